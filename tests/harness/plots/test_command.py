"""The command: files, exit codes, and errors that say what to do."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from harness.plots.__main__ import main
from tests.harness.plots.made_runs import Made, make_run, metric, origin


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    return [
        str(
            make_run(
                tmp_path / name,
                {"pope": Made([metric("f1", value, split) for split in ("random", "popular")])},
                origin=origin(name, 100),
            )
        )
        for name, value in (("dpo", 0.5), ("mdpo", 0.7))
    ]


def test_a_figure_in_all_formats_with_its_numbers(
    tmp_path: Path, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [tmp_path / f"out/figure.{suffix}" for suffix in ("png", "svg", "pdf")]
    out = [part for name in names for part in ("--out", str(name))]
    wanted = ["--metric", "pope.f1.random"]
    assert main(["scale", *runs, *wanted, *out, "--label", "mdpo=mDPO", "--width", "column"]) == 0
    assert names[0].read_bytes().startswith(b"\x89PNG")
    assert names[1].read_bytes().startswith(b"<?xml")
    assert names[2].read_bytes().startswith(b"%PDF")
    with (tmp_path / "out/figure.data.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["line"], row["pairs"], row["value"]) for row in rows] == [
        ("dpo", "100.0", "50.0"), ("mdpo", "100.0", "70.0")
    ]  # fmt: skip
    told = capsys.readouterr()
    assert str(names[0]) in told.out
    assert "95 % interval" in told.err


def test_notes_can_stay_out_and_numbers_go_elsewhere(tmp_path: Path, runs: list[str]) -> None:
    common = ["bars", *runs, "--metric", "pope", "--data", str(tmp_path / "d.json")]
    heights = []
    for option in ([], ["--no-notes"]):
        assert main([*common, "--out", str(tmp_path / "b.png"), *option]) == 0
        heights.append(int.from_bytes((tmp_path / "b.png").read_bytes()[20:24], "big"))
    assert heights[1] < heights[0]
    assert '"rows"' in (tmp_path / "d.json").read_text()
    assert not (tmp_path / "b.data.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--metric", "pope.f1.random", "--out", "x.bmp"],
            "--out x.bmp: name it .png, .svg or .pdf",
        ),
        (["--metric", "mmhal.score", "--out", "x.png"], "no run has 'mmhal'"),
        (["--metric", "pope.f1.random", "--out", "x.png", "--label", "x"], "write it as NAME=TEXT"),
        (["--metric", "pope.f1.random", "--out", "x.png", "--table", "none.csv"], "none.csv"),
        (["--metric", "pope.f1.random", "--out", "x.png", "--base", "none"], "none holds no run"),
    ],
)
def test_wrong_usage_says_what_to_do(
    tmp_path: Path, runs: list[str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["scale", *runs, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("width", ["wide", "1", "nan", "inf"])
def test_widths_that_are_none_are_refused(runs: list[str], width: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bars", *runs, "--metric", "pope", "--out", "x.png", "--width", width])
