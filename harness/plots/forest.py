"""Paired differences to a baseline with their intervals, metric by metric: a forest plot.

Every difference is turned so that the right is better, whatever the metric's direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.base import Metric, MetricSpec, PlumblineError
from harness.item_table import ItemTable
from harness.paired import Comparison, Paired, holm
from harness.plots.drawing import Drawing
from harness.plots.metrics import (
    Unit,
    Wanted,
    change_of,
    find,
    parts_of,
    protocol_notes,
    reading_notes,
    unit_of,
)
from harness.plots.rows import draw_rows, height_of, panels_of
from harness.plots.style import (
    INK,
    Layout,
    Look,
    elided,
    framed,
    house_style,
    look,
)
from harness.runs import Part, Run
from harness.show import headlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ALPHA = 0.05


@dataclass(frozen=True)
class Contrast:
    """A run against the baseline on one metric, in the unit in which it is drawn.

    Attributes:
        better: how much better the run is; None where there is no difference. ``low`` and ``high``
            are the ends of its interval.
        adjusted: Holm's p-value over all contrasts of the figure.
    """

    run: Run
    part: Part
    metric: Metric
    paired: Paired
    adjusted: float | None

    @property
    def unit(self) -> Unit:
        return unit_of(self.part, self.metric)

    @property
    def _turn(self) -> float:
        return -self.unit.factor if self.metric.direction == "lower" else self.unit.factor

    @property
    def better(self) -> float | None:
        difference = self.paired.difference
        return None if difference is None else self._turn * difference

    @property
    def interval(self) -> tuple[float, float] | None:
        if self.paired.low is None or self.paired.high is None:
            return None
        low, high = sorted((self._turn * self.paired.low, self._turn * self.paired.high))
        return low, high

    @property
    def is_complete(self) -> bool:
        return self.paired.n_paired == self.paired.n_asked

    @property
    def is_significant(self) -> bool:
        return self.adjusted is not None and self.adjusted < ALPHA


def draw_forest(
    runs: Sequence[Run],
    baseline: Run,
    wanted: Sequence[Wanted] = (),
    *,
    data_dir: Path | None = None,
    layout: Layout | None = None,
) -> Drawing:
    """A row for each metric, a marker for each run, a panel for each unit.

    Args:
        wanted: benchmarks or metrics; by default the headline metrics of all benchmarks of the baseline.
        data_dir: of the official files, which a few formulas need.

    Raises:
        PlumblineError: nothing can be compared, or a metric has no better direction.
        MissingDataError: a formula needs official files.
    """
    runs = [run for run in runs if run.path.resolve() != baseline.path.resolve()]
    if not runs:
        raise PlumblineError("name at least one run beside the baseline")
    contrasts = _contrasts(runs, baseline, wanted, data_dir)
    everyone = [baseline, *runs]
    layout = layout or Layout()
    names = layout.names(run.name for run in everyone)
    n_tests = sum(each.adjusted is not None for each in contrasts)
    notes = [
        f"whiskers: paired 95 % intervals, clustered; filled: p < {ALPHA:g}, permutation test, Holm-corrected over "
        f"{n_tests} tests; hollow: no significant difference",
        *reading_notes(
            [each.metric for each in contrasts],
            has_gaps=any(each.better is None for each in contrasts),
            is_complete=all(each.is_complete for each in contrasts),
            turned=True,
        ),
        *protocol_notes(everyone, [each.part.name for each in contrasts], names),
    ]
    with house_style():
        figure = _figure(contrasts, runs, names, names[baseline.name], notes, layout)
    hints = [
        f"{part.title} is left out: its formulas are lmms-eval's"
        for name, part in baseline.parts.items()
        if "/" not in name and not wanted and not _has_formulas(name, part)
    ]
    return Drawing(figure, [_row(each, baseline) for each in contrasts], notes, hints)


def _contrasts(
    runs: Sequence[Run], baseline: Run, wanted: Sequence[Wanted], data_dir: Path | None
) -> list[Contrast]:
    found = []
    for benchmark, metrics in _asked(baseline, wanted).items():
        parts = parts_of([baseline, *runs], benchmark)
        having = [run for run in runs if run.name in parts]
        by_name = {(s.name, s.split): s for s in parts[baseline.name].open(data_dir).metric_specs()}
        specs = [_spec(by_name, metric, parts[baseline.name]) for metric in metrics]
        tables = [ItemTable.of_part(parts[run.name]) for run in (baseline, *having)]
        comparison = Comparison(specs, tables)
        for index, run in enumerate(having, start=1):
            part = parts[run.name]
            for metric, paired in zip(metrics, comparison.paired(0, index), strict=True):
                found.append((run, part, metric, paired))
    if not found:
        raise PlumblineError(
            "no run shares a benchmark with the baseline: evaluate them with the same --suite"
        )
    adjusted = holm([paired.p for _, _, _, paired in found])
    return [Contrast(*each, p) for each, p in zip(found, adjusted, strict=True)]


def _spec(known: Mapping[tuple[str, str], MetricSpec], metric: Metric, part: Part) -> MetricSpec:
    if (metric.name, metric.split) not in known:
        raise PlumblineError(
            f"{part.path}: this version has no formula for {metric.name}; score the run again"
        )
    return known[metric.name, metric.split]


def _asked(baseline: Run, wanted: Sequence[Wanted]) -> dict[str, list[Metric]]:
    """Metrics of the baseline, by benchmark."""
    names = [name for name, part in baseline.parts.items() if _has_formulas(name, part)]
    asked: dict[str, list[Metric]] = {}
    for each in wanted or [Wanted(name) for name in names]:
        part = parts_of([baseline], each.benchmark)[baseline.name]
        metrics = [find(part, each)] if each.metric else headlines(part.metrics)
        directed = [metric for metric in metrics if metric.direction != "neither"]
        if each.metric and not directed:
            raise PlumblineError(f"{each}: more of it is neither better nor worse; leave it out")
        known = asked.setdefault(each.benchmark, [])
        known += [metric for metric in directed if metric not in known]
    return asked


def _has_formulas(folder: str, part: Part) -> bool:
    """Tasks of lmms-eval have none; see ``Part.open``."""
    return "/" not in folder and part.about["options"] is not None


def _figure(
    contrasts: Sequence[Contrast],
    runs: Sequence[Run],
    names: Mapping[str, str],
    against: str,
    notes: Sequence[str],
    layout: Layout,
) -> Figure:
    looks = {run.name: look(index) for index, run in enumerate(runs)}
    legend = [(_handle(looks[run.name]), names[run.name]) for run in runs]
    panels = panels_of(contrasts)
    heights = [height_of(rows, len(runs)) for rows in panels.values()]
    figure = framed(layout, sum(heights) + 0.5 * len(panels), legend, notes)
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (unit, rows) in zip(grid, panels.items(), strict=True):
        axes.axvline(0, color=INK, linewidth=0.7, zorder=1)
        for place, each in draw_rows([axes], rows, list(looks), layout.width):
            _draw(axes, each, place, looks[each.run.name])
        axes.set_xlabel(
            f"better than {elided(against, int(layout.width * 6))} →\n({change_of(unit)})"
        )
    return figure


def _handle(style: Look) -> Line2D:
    return Line2D([], [], color=style.colour, marker=style.marker, linestyle="none")


def _draw(axes: Axes, each: Contrast, place: float, style: Look) -> None:
    if each.better is None:
        return
    if each.interval is not None:
        axes.hlines(place, *each.interval, color=style.colour, linewidth=0.9, zorder=2)
    axes.plot(
        each.better, place, linestyle="none", marker=style.marker, color=style.colour, zorder=3,
        markerfacecolor=style.colour if each.is_significant else "white", markeredgewidth=0.9,
    )  # fmt: skip


def _row(each: Contrast, baseline: Run) -> dict[str, Any]:
    low, high = each.interval or (None, None)
    return {
        "run": each.run.name,
        "baseline": baseline.name,
        "benchmark": each.part.title,
        "metric": each.metric.name,
        "split": each.metric.split,
        "better_by": each.better,
        "low": low,
        "high": high,
        "unit": change_of(each.unit.name),
        "difference": each.paired.difference,
        "p": each.paired.p,
        "p_holm": each.adjusted,
        "direction": each.metric.direction,
        "n_paired": each.paired.n_paired,
        "n_asked": each.paired.n_asked,
        "note": each.paired.note or "",
    }
