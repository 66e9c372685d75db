"""The forest plot: whose differences, which side is better, what is filled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.base import PlumblineError, Response
from benchmarks.pope import Pope
from harness.plots.forest import draw_forest
from harness.plots.metrics import Wanted
from harness.runs import open_runs
from tests.harness.compare.run_folders import pope, write_run


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    base = write_run(tmp_path / "base", pope=pope(lambda n: n % 3 == 0))
    better = write_run(tmp_path / "better", pope=pope(lambda n: False, failed=[7]))
    same = write_run(tmp_path / "same", pope=pope(lambda n: n % 3 == 0))
    return [base, better, same]


def test_differences_to_the_baseline(paths: list[Path]) -> None:
    baseline, *runs = open_runs(paths)
    drawing = draw_forest(runs, baseline, [Wanted("pope", "mean_accuracy")])
    better, same = drawing.rows
    assert (better["run"], same["run"]) == ("better", "same")
    assert better["better_by"] == pytest.approx(better["difference"] * 100)
    assert better["p_holm"] < 0.05
    assert (same["difference"], same["p_holm"]) == (0, 1)
    (axes,) = drawing.figure.axes
    marks = [line for line in axes.lines if line.get_marker() != "None"]
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [False, True]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["mean accuracy ↑ *"]
    assert axes.get_xlabel() == "better than base →\n(percentage points)"
    assert "Holm-corrected over 2 tests" in drawing.notes[0]
    assert "* not every item that was asked has a score" in drawing.notes


def test_lower_is_better_is_turned_round(tmp_path: Path, paths: list[Path]) -> None:
    clear, benchmark = pope(lambda n: False), Pope(edition="official")
    mumbled = [
        benchmark.score(item, [Response(item.id, "", "perhaps")]) for item in clear.items[:60]
    ]
    mumbling = replace(clear, rows=[*mumbled, *clear.rows[60:]])
    other = write_run(tmp_path / "mumbling", pope=mumbling)
    baseline, run = open_runs([paths[0], other])
    drawing = draw_forest([run], baseline, [Wanted("pope", "lenient_mean_unparsed")])
    (row,) = drawing.rows
    assert row["difference"] == pytest.approx(0.5)
    assert (row["better_by"], row["direction"]) == (pytest.approx(-50), "lower")
    assert row["low"] < -50 < row["high"] < 0
    assert "↓ lower is better: its difference is turned round" in drawing.notes


def test_headline_metrics_are_drawn_by_default(paths: list[Path]) -> None:
    baseline, *runs = open_runs(paths)
    rows = draw_forest(runs, baseline).rows
    headlines = [m.name for m in baseline.parts["pope"].metrics if m.headline]
    assert [row["metric"] for row in rows if row["run"] == "same"] == headlines


def test_the_baseline_alone_or_a_metric_without_direction_is_refused(paths: list[Path]) -> None:
    baseline, other, _ = open_runs(paths)
    with pytest.raises(PlumblineError, match="at least one run"):
        draw_forest([baseline], baseline)
    with pytest.raises(PlumblineError, match="neither better nor worse"):
        draw_forest([other], baseline, [Wanted("pope", "yes_ratio", "random")])
