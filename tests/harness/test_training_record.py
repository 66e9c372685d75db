"""What a run keeps of the training of its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pocket import CHECKPOINT
from harness import run
from harness.training_record import RECORD, kept_of

WRITTEN: dict[str, Any] = {
    "identity": {
        "checkpoint": {"weights_sha256": "b" * 64},
        "data_sha256": "d" * 64,
        "recipe": {"method": "mdpo", "beta": 0.1, "seed": 3},
    },
    "data": {"n_pairs": 640, "source": "pairs.jsonl"},
    "sessions": [{"steps": [0, 50]}, {"steps": [50, 80]}],
}


def write(folder: Path, record: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).write_text(json.dumps(record))
    return folder


def test_a_record_is_kept(tmp_path: Path) -> None:
    assert kept_of(write(tmp_path, WRITTEN)) == {
        "n_pairs": 640,
        "n_steps": 80,
        "base_sha256": "b" * 64,
        "recipe": {"method": "mdpo", "beta": 0.1, "seed": 3},
    }


def test_a_state_on_the_way_has_its_own_steps(tmp_path: Path) -> None:
    write(tmp_path, {**WRITTEN, "sessions": []})
    state = tmp_path / "checkpoint-30"
    state.mkdir()
    (state / "trainer_state.json").write_text('{"global_step": 30}')
    kept = kept_of(state)
    assert kept is not None
    assert (kept["n_pairs"], kept["n_steps"]) == (640, 30)


@pytest.mark.parametrize("record", [{}, [], {**WRITTEN, "sessions": []}, {**WRITTEN, "data": {}}])
def test_what_is_no_finished_record_is_none(tmp_path: Path, record: Any) -> None:
    assert kept_of(write(tmp_path, record)) is None
    assert kept_of(tmp_path / "absent") is None
    (tmp_path / RECORD).write_text("{")
    assert kept_of(tmp_path) is None


def test_a_run_keeps_it(tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "trained", WRITTEN)
    for path in CHECKPOINT.iterdir():
        (checkpoint / path.name).symlink_to(path)
    given = ["--suite", "pope", "--limit", "1", "--edition", "pocket"]
    out = tmp_path / "run"
    assert run.main([*given, "--ckpt", str(checkpoint), "--out", str(out)]) == 0
    origin = json.loads((out / "run.json").read_text())["sessions"][0]["origin"]
    assert origin["n_parameters"] == 1_611_264
    assert origin["training"]["recipe"]["method"] == "mdpo"
