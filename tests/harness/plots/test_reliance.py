"""Visual reliance: score, control score and the difference turned so that the right is better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import BadRecordError, PlumblineError
from harness.plots.reliance import draw_reliance
from harness.runs import Run, open_runs
from tests.harness.plots.made_runs import Made, make_run, metric


def told(name: str, control: float | None, score: float, **more: Any) -> dict[str, Any]:
    low, high = (None, None) if control is None else (score - control - 0.1, score - control + 0.2)
    record = {
        "name": name,
        "split": "",
        "value_a": control,
        "value_b": score,
        "low": low,
        "high": high,
    }
    return {**record, "n_paired": 20, "n_asked": 20, **more}


def one(tmp_path: Path, *records: dict[str, Any], name: str = "a") -> Run:
    metrics = [metric("f1", 0.8), metric("unparsed", 0.1, direction="lower")]
    made = Made(metrics, reliance=records)
    return open_runs([make_run(tmp_path / name, {"pope": made})])[0]


def test_score_control_and_gain(tmp_path: Path) -> None:
    run = one(tmp_path, told("f1", 0.5, 0.8), told("unparsed", 0.4, 0.1, n_paired=19))
    drawing = draw_reliance([run])
    left, right = drawing.figure.axes
    marks = [line.get_xdata()[0] for line in left.lines if line.get_marker() != "None"]  # type: ignore[index]
    assert marks == pytest.approx([50, 80, 40, 10])
    first, second = drawing.rows
    assert (first["better_by"], first["low"], first["high"]) == pytest.approx((30, 20, 50))
    assert (second["better_by"], second["low"], second["high"]) == pytest.approx((30, 10, 40))
    assert [t.get_text() for t in left.get_yticklabels()] == ["f1 ↑", "unparsed ↓ *"]
    assert [t.get_text() for t in right.get_yticklabels()] == ["", ""]
    assert "percentage points" in right.get_xlabel().replace("\n", " ")


def test_what_is_undefined_is_a_gap(tmp_path: Path) -> None:
    drawing = draw_reliance([one(tmp_path, told("f1", None, 0.8))])
    assert drawing.rows[0]["better_by"] is None
    assert "gap: no value" in drawing.notes


def test_runs_without_the_control_are_told(tmp_path: Path) -> None:
    with_control = one(tmp_path, told("f1", 0.5, 0.8))
    (without,) = open_runs([make_run(tmp_path / "b", {"pope": Made([metric("f1", 0.8)])})])
    assert draw_reliance([with_control, without]).hints == ["b has no blind control"]
    with pytest.raises(
        PlumblineError, match="no control: run the same command again with --control blind"
    ):
        draw_reliance([without])
    with pytest.raises(PlumblineError, match="no run has a shuffled control"):
        draw_reliance([with_control], "shuffled")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    run = one(tmp_path, {"name": "f9", "split": ""})
    with pytest.raises(
        BadRecordError, match=r"control_blind/pope/reliance\.json is missing or damaged"
    ):
        draw_reliance([run])
