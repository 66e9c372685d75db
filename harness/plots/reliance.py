"""Visual reliance: the score, the score of the control whose pictures say nothing, and their difference."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.base import BadRecordError, Metric, PlumblineError
from harness.plots.drawing import Drawing
from harness.plots.metrics import Unit, change_of, protocol_notes, reading_notes, unit_of
from harness.plots.rows import draw_rows, height_of, panels_of
from harness.plots.style import INK, Layout, Look, framed, house_style, inert, look, wrapped
from harness.runs import Part, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RELIANCE = "reliance.json"
_CONTROL = "control_"

_LETTERS = 7
"""Of an axis label in each inch of the figure's width."""


@dataclass(frozen=True)
class Reliance:
    """A metric of a run and of its control, in the unit in which it is drawn.

    Attributes:
        score: over the items that both scored; None where undefined, ``control`` likewise.
        gain: how much better the score is than the control's.
        interval: of the gain.
    """

    run: Run
    part: Part
    metric: Metric
    score: float | None
    control: float | None
    interval: tuple[float, float] | None
    n_paired: int
    n_asked: int

    @property
    def unit(self) -> Unit:
        return unit_of(self.part, self.metric)

    @property
    def is_complete(self) -> bool:
        return self.n_paired == self.n_asked

    @property
    def gain(self) -> float | None:
        if self.score is None or self.control is None:
            return None
        return (self.score - self.control) * (-1 if self.metric.direction == "lower" else 1)


def draw_reliance(
    runs: Sequence[Run],
    control: str | None = None,
    benchmarks: Sequence[str] = (),
    *,
    layout: Layout | None = None,
) -> Drawing:
    """A row for each headline metric: score and control score beside their difference.

    Args:
        control: which one; by default the only one that the runs have.
        benchmarks: the ones to draw; by default all.

    Raises:
        PlumblineError: no run has the control, or they have several and none is named.
        BadRecordError: a file of a run is damaged.
    """
    control = control or _only_control(runs)
    found = [each for run in runs for each in _reliances(run, control, benchmarks)]
    if not found:
        named = f" of {', '.join(benchmarks)}" if benchmarks else ""
        raise PlumblineError(
            f"no run has a {control} control{named}: run the same command again with --control {control}"
        )
    drawn = {each.run.name for each in found}
    having = [run for run in runs if run.name in drawn]
    layout = layout or Layout()
    names = layout.names(run.name for run in having)
    notes = [
        f"filled: score; hollow: {control} control; right: how much better the score is, with its paired 95 % interval",
        *reading_notes(
            [each.metric for each in found],
            has_gaps=any(each.gain is None for each in found),
            is_complete=all(each.is_complete for each in found),
            turned=True,
        ),
        *protocol_notes(having, [each.part.name for each in found], names),
    ]
    with house_style():
        figure = _figure(found, having, names, notes, layout)
    hints = [f"{run.name} has no {control} control" for run in runs if run.name not in drawn]
    return Drawing(figure, [_row(each, control) for each in found], notes, hints)


def _only_control(runs: Sequence[Run]) -> str:
    kinds = {
        folder.partition("/")[0].removeprefix(_CONTROL)
        for run in runs
        for folder in run.parts
        if folder.startswith(_CONTROL)
    }
    if not kinds:
        raise PlumblineError(
            f"{runs[0].path} has no control: run the same command again with --control blind"
        )
    if len(kinds) > 1:
        raise PlumblineError(
            f"the runs have several controls: --control {' or '.join(sorted(kinds))}"
        )
    return kinds.pop()


def _reliances(run: Run, control: str, benchmarks: Sequence[str]) -> list[Reliance]:
    found = []
    for name, part in run.parts.items():
        path = run.path / f"{_CONTROL}{control}" / name / RELIANCE
        if "/" in name or (benchmarks and name not in benchmarks) or not path.is_file():
            continue
        metrics = {(metric.name, metric.split): metric for metric in part.metrics}
        try:
            for record in json.loads(path.read_text(encoding="utf-8")):
                metric = metrics[record["name"], record["split"]]
                found.append(_reliance(run, part, metric, record))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadRecordError(
                f"{path} is missing or damaged ({error!r}). Score the run again (the same command with "
                f"--control {control} --stages score)."
            ) from error
    return found


def _reliance(run: Run, part: Part, metric: Metric, record: Mapping[str, Any]) -> Reliance:
    unit = unit_of(part, metric)

    def drawn(name: str) -> float | None:
        return None if record[name] is None else float(record[name]) * unit.factor

    low, high = drawn("low"), drawn("high")
    interval = None
    if low is not None and high is not None:
        interval = (-high, -low) if metric.direction == "lower" else (low, high)
    counts = int(record["n_paired"]), int(record["n_asked"])
    return Reliance(run, part, metric, drawn("value_b"), drawn("value_a"), interval, *counts)


def _figure(
    found: Sequence[Reliance],
    runs: Sequence[Run],
    names: Mapping[str, str],
    notes: Sequence[str],
    layout: Layout,
) -> Figure:
    looks = {run.name: look(index) for index, run in enumerate(runs)}
    legend = [(Line2D([], [], **_dot(each)), names[name]) for name, each in looks.items()]
    panels = panels_of(found)
    heights = [height_of(rows, len(runs)) for rows in panels.values()]
    figure = framed(layout, sum(heights) + 0.5 * len(panels), legend, notes)
    grid = figure.subplots(len(panels), 2, squeeze=False, height_ratios=heights)
    for (left, right), (unit, rows) in zip(grid, panels.items(), strict=True):
        right.axvline(0, color=INK, linewidth=0.7, zorder=1)
        for place, each in draw_rows([left, right], rows, list(looks), layout.width):
            _draw_scores(left, each, place, looks[each.run.name])
            _draw_gain(right, each, place, looks[each.run.name])
        letters = int(layout.width * _LETTERS)
        left.set_xlabel(wrapped(f"score ({inert(unit)})", letters))
        right.set_xlabel(wrapped(f"better with the picture → ({change_of(unit)})", letters))
    return figure


def _draw_scores(axes: Axes, each: Reliance, place: float, style: Look) -> None:
    if each.score is not None and each.control is not None:
        axes.hlines(place, each.control, each.score, color=style.colour, linewidth=0.7, zorder=2)
    for value, face in ((each.control, "white"), (each.score, style.colour)):
        if value is not None:
            axes.plot(value, place, markerfacecolor=face, zorder=3, **_dot(style))


def _draw_gain(axes: Axes, each: Reliance, place: float, style: Look) -> None:
    if each.gain is None:
        return
    if each.interval is not None:
        axes.hlines(place, *each.interval, color=style.colour, linewidth=0.9, zorder=2)
    axes.plot(each.gain, place, zorder=3, **_dot(style))


def _dot(style: Look) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": style.marker,
        "color": style.colour,
        "markeredgewidth": 0.9,
    }


def _row(each: Reliance, control: str) -> dict[str, Any]:
    low, high = each.interval or (None, None)
    return {
        "run": each.run.name,
        "benchmark": each.part.title,
        "metric": each.metric.name,
        "split": each.metric.split,
        "control": control,
        "score": each.score,
        "control_score": each.control,
        "better_by": each.gain,
        "low": low,
        "high": high,
        "unit": each.unit.name,
        "direction": each.metric.direction,
        "n_paired": each.n_paired,
        "n_asked": each.n_asked,
    }
