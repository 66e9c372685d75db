"""Training with pairs that the policy makes while it learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.pocket import preferences as pocket_preferences
from trainers import online
from trainers.preferences import read_preferences
from trainers.sampling.rounds import Rounds

SETTINGS = ("learning_rate=1e-3", "per_device_train_batch_size=4", "save_steps=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pocket_preferences.write(tmp_path_factory.mktemp("pocket"), 120, seed=5)


def command(data: Path, out: Path, *more: str) -> list[str]:
    given = ["--method", "dpo", "--recipe", "pocket", "--data", str(data), "--out", str(out)]
    given += ["--rounds", "2", "--refresh-steps", "1", "--cache-dir", str(out.parent / "cache")]
    return [*given, *(part for each in SETTINGS for part in ("--set", each)), *more]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_each_round_is_the_policys_own_and_a_killed_training_sees_the_same_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert online.main(command(data, whole, "--mix", "0.5")) == 0
    rounds = [read_preferences(path).pairs for path in sorted(whole.glob("online/*/pairs.jsonl"))]
    assert [len(pairs) for pairs in rounds] == [4, 4]
    record = json.loads((whole / "training.json").read_text())
    assert record["curves"]["step"][-1] == 2
    assert record["reference"]["first_loss"] == pytest.approx(0.6931, abs=1e-3)
    make = Rounds.make

    def dying(self: Rounds, number: int, *rest: object) -> None:
        if number == 1:
            raise KeyboardInterrupt
        make(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Rounds, "make", dying)
    assert online.main(command(data, killed, "--mix", "0.5")) == 130
    monkeypatch.undo()
    assert online.main(command(data, killed, "--mix", "0.5")) == 0
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(killed)[name], value)
    assert [path.read_text() for path in sorted(whole.glob("online/*/pairs.jsonl"))] == [
        path.read_text() for path in sorted(killed.glob("online/*/pairs.jsonl"))
    ]


def test_the_policys_own_temptations_can_be_the_rejected_answers(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bdhs"
    more = ("--pairs", "bdhs", "--set", "lora_r=4", "--method", "mdpo")
    assert online.main(command(data, out, *more)) == 0
    pairs = read_preferences(out / "online" / "round-0001" / "pairs.jsonl").pairs
    assert {pair.source for pair in pairs} == {"bdhs"}
    capsys.readouterr()
    assert online.main(command(data, out, *more, "--threshold", "0.5")) == 2
    assert "threshold: 0.99 in the folder, 0.5 now" in capsys.readouterr().err


def test_methods_and_settings_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert online.main(["--list"]) == 0
    assert "mdpo" in capsys.readouterr().out


def test_what_cannot_be_trained_online_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more, message in [
        (("--method", "mrpo"), "second reference"),
        (("--limit", "3"), "prompts gave"),
        (("--data", str(tmp_path / "none.jsonl")), "no such file"),
    ]:
        assert online.main(command(data, tmp_path / "out", *more)) == 2
        assert message in capsys.readouterr().err
