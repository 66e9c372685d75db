"""Bars and radars: which metrics are the categories of a benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from benchmarks.base import Metric, PlumblineError
from harness.plots.categories import draw_categories
from harness.plots.metrics import Wanted
from harness.plots.style import Layout
from harness.runs import Run, open_runs
from tests.harness.plots.made_runs import Made, make_run, metric

TYPES = ["attribute", "adversarial", "counting", "other"]


def mmhal(values: list[float | None], **options: int) -> list[Metric]:
    return [
        metric("score", 3.0, display="number"),
        *[
            metric("score", value, split, display="number", **options)  # type: ignore[arg-type]
            for split, value in zip(TYPES, values, strict=False)
        ],
    ]


def runs(tmp_path: Path, **metrics: list[Metric]) -> list[Run]:
    return open_runs(
        [make_run(tmp_path / name, {"mmhal": Made(each)}) for name, each in metrics.items()]
    )


def test_the_categories_are_the_splits_of_the_usual_metric(tmp_path: Path) -> None:
    found = runs(tmp_path, a=mmhal([1, 2, 3, 4]), b=mmhal([2, 3, None, 5], n_scored=19))
    drawing = draw_categories(found, Wanted("mmhal"), "bars")
    (axes,) = drawing.figure.axes
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [bar.get_height() for bar in bars] == [1, 2, 2, 3, 3, 4, 5]
    assert len({bar.get_hatch() for bar in bars}) == 2
    assert [label.get_text() for label in axes.get_xticklabels()] == TYPES
    assert [text.get_text() for text in axes.texts] == ["*"] * 3
    assert "gap: no value" in drawing.notes
    assert len(drawing.rows) == 8


def test_a_radar_goes_from_end_to_end_of_the_scale(tmp_path: Path) -> None:
    drawing = draw_categories(runs(tmp_path, a=mmhal([1, 2, 3, 4])), Wanted("mmhal"), "radar")
    (axes,) = drawing.figure.axes
    assert axes.get_ylim() == (0, 6)
    assert axes.lines[0].get_ydata() == pytest.approx([1, 2, 3, 4, 1])
    assert [text.get_text() for text in axes.texts] == TYPES


def test_several_metrics_can_be_the_categories(tmp_path: Path) -> None:
    metrics = [metric(f"score_{topic}", 1.0, display="number") for topic in ("farm", "sky", "sea")]
    found = runs(tmp_path, a=[*metrics, metric("score", 3.0, display="number")])
    drawing = draw_categories(found, Wanted.read("mmhal.score_*"), "bars")
    assert [row["category"] for row in drawing.rows] == ["farm", "sky", "sea"]
    named = draw_categories(found, Wanted.read("mmhal.score_sky,score_farm"), "bars")
    assert [row["category"] for row in named.rows] == ["farm", "sky"]


def test_capabilities_that_were_not_asked_are_left_out(tmp_path: Path) -> None:
    names = ("rec", "spat", "math", "total")
    made = Made([metric(name, 80.0, display="points") for name in names])
    found = open_runs([make_run(tmp_path / "a", {"mmvet": made})])
    drawing = draw_categories(found, Wanted("mmvet"), "radar")
    assert [row["category"] for row in drawing.rows] == ["rec", "spat", "math"]
    assert drawing.figure.axes[0].get_ylim() == (0, 100)


def test_bars_go_on_below_where_they_do_not_fit(tmp_path: Path) -> None:
    found = runs(tmp_path, **{f"run{n}": mmhal([1, 2, 3, 4]) for n in range(8)})
    narrow = draw_categories(found, Wanted("mmhal"), "bars", layout=Layout(3.3))
    assert len(narrow.figure.axes) == 2
    wide = draw_categories(found, Wanted("mmhal"), "bars")
    assert len(wide.figure.axes) == 1


@pytest.mark.parametrize(
    ("wanted", "kind", "message"),
    [
        ("mmhal.score_*", "bars", r"0 categories.*Metrics with categories: score"),
        ("mmhal.overall", "bars", "0 categories"),
        ("mmvet", "radar", "no run has 'mmvet'"),
        ("mmhal.*", "bars", "several units"),
    ],
)
def test_what_is_no_category_is_told(tmp_path: Path, wanted: str, kind: str, message: str) -> None:
    found = runs(tmp_path, a=[*mmhal([1, 2]), metric("informativeness", 0.5)])
    with pytest.raises(PlumblineError, match=message):
        draw_categories(found, Wanted.read(wanted), kind)  # type: ignore[arg-type]


def test_a_gap_breaks_the_polygon(tmp_path: Path) -> None:
    found = runs(tmp_path, a=mmhal([1, None, 3, 4]))
    (axes,) = draw_categories(found, Wanted("mmhal"), "radar").figure.axes
    assert np.isnan(axes.lines[0].get_ydata()[1])  # type: ignore[index]
    assert not axes.patches
