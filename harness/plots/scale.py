"""Score against preference pairs, training steps or parameters: a line for each method, a band over its seeds.

This is the form of mDPO's figure on the scale of data (arXiv 2406.11839).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.base import PlumblineError
from harness.plots.drawing import Drawing
from harness.plots.metrics import (
    Cell,
    Wanted,
    axis_label,
    find,
    known_names,
    parts_of,
    protocol_notes,
    reading_notes,
)
from harness.plots.style import FAINT, Layout, Look, framed, house_style, inert, look
from harness.plots.training import AXES, Axis, Trained, lacking
from harness.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_WIDTH, _PANEL_HEIGHT = 2.1, 1.75
"""Inches; panels are at least so wide."""

_MOST_BANDS = 4
"""More of them cannot be told apart: then whiskers stand beside each other."""

_SHIFT = 0.4
"""Over how much of the way between two sizes (of a doubling) they stand."""

_BASE: dict[str, Any] = {"color": FAINT, "linewidth": 0.9, "linestyle": (0, (4, 3))}

_MAX_TICKS = 8
_LOG_FROM = 4
"""How many times the least size the greatest must be for a logarithmic axis."""


@dataclass(frozen=True)
class _Point:
    """The runs of one line at one size, a cell for each seed."""

    size: float
    cells: tuple[Cell, ...]

    @property
    def values(self) -> list[float]:
        return [cell.value for cell in self.cells if cell.value is not None]

    @property
    def value(self) -> float | None:
        return fmean(self.values) if self.values else None

    @property
    def band(self) -> tuple[float, float] | None:
        """Least and greatest of the seeds; the interval of a single one."""
        if len(self.values) > 1:
            return min(self.values), max(self.values)
        for cell in self.cells:
            if cell.low is not None and cell.high is not None:
                return cell.low, cell.high
        return None


Lines = Mapping[str, Sequence[_Point]]


def draw_scale(
    runs: Sequence[Run],
    trained: Mapping[str, Trained],
    wanted: Sequence[Wanted],
    axis: Axis,
    *,
    base: Run | None = None,
    by: Sequence[str] = ("method",),
    layout: Layout | None = None,
) -> Drawing:
    """A panel for each metric.

    Args:
        runs: those on the lines, and the base checkpoint if it is found among them.
        trained: how each run's checkpoint was trained, by the run's name.
        base: the checkpoint that the trainings began with; by default the run with those weights.
        by: settings of the recipe that tell lines apart.

    Raises:
        PlumblineError: a run's size is not known, two runs stand at one place of a line, or a metric does
            not exist.
    """
    layout = layout or Layout()
    base = base or _base_of(runs, trained)
    on_lines = [run for run in runs if base is None or run.path.resolve() != base.path.resolve()]
    if not on_lines:
        raise PlumblineError("no run is left to draw beside the base checkpoint")
    for run in on_lines:
        if axis not in trained[run.name].sizes:
            raise lacking(run, axis)
    line_of = _lines_of(on_lines, trained, by)
    _check_places(on_lines, trained, line_of, axis)
    panels = [_lines(on_lines, trained, line_of, each, axis) for each in wanted]
    baselines = [_cell(base, each) if base else None for each in wanted]
    shown = layout.names(line_of.values())
    all_runs = [*on_lines, *([base] if base else [])]
    points = [p for lines in panels for line in lines.values() for p in line]
    cells = [cell for point in points for cell in point.cells]
    notes = [
        *_band_notes(points),
        *reading_notes(
            [cell.metric for cell in cells],
            has_gaps=any(p.value is None for p in points),
            is_complete=all(cell.complete for cell in cells),
        ),
        *protocol_notes(
            all_runs, [w.benchmark for w in wanted], layout.names(run.name for run in all_runs)
        ),
    ]
    with house_style():
        figure = _figure(panels, baselines, axis, shown, notes, layout)
    hints = _mixed_lines(on_lines, trained, line_of, shown)
    return Drawing(figure, _rows(panels, baselines, axis, trained), notes, hints)


def _base_of(runs: Sequence[Run], trained: Mapping[str, Trained]) -> Run | None:
    """The run of the weights that the trainings of the others began with."""
    begun = {each.base_sha256 for each in trained.values()} - {""}
    for run in runs:
        digest = run.info["identity"].get("checkpoint", {}).get("weights_sha256")
        if digest in begun and not trained[run.name].recipe:
            return run
    return None


def _lines_of(
    runs: Sequence[Run], trained: Mapping[str, Trained], by: Sequence[str]
) -> dict[str, str]:
    """The line of each run, by the run's name. Raises PlumblineError for a setting that none has."""
    known = dict.fromkeys(name for run in runs for name in trained[run.name].recipe)
    for name in by:
        if name not in known and name != "method":
            raise PlumblineError(f"--by {name}: no such setting{known_names(name, known)}")
    return {run.name: trained[run.name].line(by) or "checkpoints" for run in runs}


def _check_places(
    runs: Sequence[Run], trained: Mapping[str, Trained], line_of: Mapping[str, str], axis: Axis
) -> None:
    """Raises PlumblineError where two runs would be taken for seeds of each other and have one seed."""
    places: dict[tuple[str, float, str], Run] = {}
    for run in runs:
        told = trained[run.name]
        place = line_of[run.name], told.sizes[axis], told.seed
        other = places.setdefault(place, run)
        if other is not run:
            differing = _differing([trained[other.name], told])
            fix = (
                f"a line for each of their settings: --by method,{','.join(differing)}"
                if differing
                else "name one of them only"
            )
            raise PlumblineError(
                f"{other.name} and {run.name} are both {place[0]} with {place[1]:g} {AXES[axis]} and seed "
                f"{place[2] or 'unknown'}. Draw {fix}"
            )


def _differing(trained: Sequence[Trained]) -> list[str]:
    """Settings, but for the seed, in which recipes differ."""
    names = dict.fromkeys(name for each in trained for name in each.recipe)
    return [
        name
        for name in names
        if name not in ("seed", "method")
        and len({str(each.recipe.get(name)) for each in trained}) > 1
    ]


def _cell(run: Run, wanted: Wanted) -> Cell | None:
    part = run.parts.get(wanted.benchmark)
    if part is None:
        return None
    return Cell(run, part, find(part, wanted))


def _lines(
    runs: Sequence[Run],
    trained: Mapping[str, Trained],
    line_of: Mapping[str, str],
    wanted: Wanted,
    axis: Axis,
) -> dict[str, list[_Point]]:
    parts_of(runs, wanted.benchmark)
    cells: dict[str, dict[float, list[Cell]]] = {}
    for run in runs:
        at = cells.setdefault(line_of[run.name], {}).setdefault(trained[run.name].sizes[axis], [])
        cell = _cell(run, wanted)
        if cell is not None:
            at.append(cell)
    return {
        line: [_Point(size, tuple(found)) for size, found in sorted(by_size.items())]
        for line, by_size in cells.items()
    }


def _figure(
    panels: Sequence[Lines],
    baselines: Sequence[Cell | None],
    axis: Axis,
    shown: Mapping[str, str],
    notes: Sequence[str],
    layout: Layout,
) -> Figure:
    n_columns = min(len(panels), max(1, int(layout.width / _PANEL_WIDTH)))
    n_rows = -(-len(panels) // n_columns)
    looks = {line: look(index) for index, line in enumerate(shown)}
    legend = [
        (Line2D([], [], color=looks[line].colour, marker=looks[line].marker, linestyle=looks[line].dashes), name)
        for line, name in shown.items()
    ]  # fmt: skip
    if any(baselines):
        legend.append((Line2D([], [], **_BASE), "base checkpoint"))
    figure = framed(layout, _PANEL_HEIGHT * n_rows, legend, notes)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).flatten()
    sizes = sorted({point.size for points in panels[0].values() for point in points})
    is_log = sizes[-1] >= _LOG_FROM * sizes[0]
    several = any(len(p.values) > 1 for lines in panels for line in lines.values() for p in line)
    for axes, lines, baseline in zip(grid, panels, baselines, strict=False):
        cell = next(c for points in lines.values() for p in points for c in p.cells)
        axes.set_title(inert(cell.part.title), loc="left")
        axes.set_ylabel(axis_label(cell))
        for number, (line, points) in enumerate(lines.items()):
            crowded = len(lines) > _MOST_BANDS
            place = (number + 0.5) / len(lines) - 0.5 if crowded else 0.0
            _draw_line(axes, points, looks[line], _shift(sizes, place, is_log))
            if not crowded:
                _draw_band(axes, points, looks[line].colour, several)
        if baseline is not None and baseline.value is not None:
            axes.axhline(baseline.value, zorder=1, **_BASE)
    _set_sizes(grid[0], sizes, is_log)
    for axes in grid[max(0, len(panels) - n_columns) : len(panels)]:
        axes.set_xlabel(AXES[axis])
        axes.tick_params(labelbottom=True)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return figure


def _shift(sizes: Sequence[float], place: float, is_log: bool) -> Callable[[float], float]:
    """Moves the whiskers of many lines apart; ``place`` is from -0.5 to 0.5 of what there is to move."""
    if is_log:
        return lambda size: size * 2 ** (_SHIFT * place)
    room = min((b - a for a, b in pairwise(sizes)), default=1.0)
    return lambda size: size + _SHIFT * place * room


def _draw_band(axes: Axes, points: Sequence[_Point], colour: str, several: bool) -> None:
    """Between the whiskers; those of seeds and those of a run's interval are not joined to one band."""
    lows, highs = _ends(points)
    sizes = [point.size for point in points]
    joined = [len(point.values) > 1 or not several for point in points]
    axes.fill_between(sizes, lows, highs, joined, color=colour, alpha=0.14, linewidth=0)


def _ends(points: Sequence[_Point]) -> tuple[list[float], list[float]]:
    ends = [point.band or (math.nan, math.nan) for point in points]
    return [low for low, _ in ends], [high for _, high in ends]


def _draw_line(
    axes: Axes, points: Sequence[_Point], style: Look, moved: Callable[[float], float]
) -> None:
    sizes = [moved(point.size) for point in points]
    values = [math.nan if point.value is None else point.value for point in points]
    lows, highs = _ends(points)
    axes.plot(
        sizes, values, color=style.colour, marker=style.marker, linestyle=style.dashes,
        markeredgecolor="white", markeredgewidth=0.4, zorder=3,
    )  # fmt: skip
    axes.vlines(sizes, lows, highs, color=style.colour, linewidth=0.6, zorder=2)
    for point, size in zip(points, sizes, strict=True):
        if point.value is not None and not all(cell.complete for cell in point.cells):
            place = (size, point.value)
            axes.annotate("*", place, (3, 1), textcoords="offset points", color=style.colour)


def _set_sizes(axes: Axes, sizes: Sequence[float], is_log: bool) -> None:
    if is_log:
        axes.set_xscale("log", base=2)
    if len(sizes) <= _MAX_TICKS:
        axes.set_xticks(sizes)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: short_number(size)))


def short_number(number: float) -> str:
    """640, 2,560, 10k, 1.6M, 7B: three digits tell sizes apart."""
    for least, letter in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if number >= least:
            return f"{number / (1e3 if letter == 'k' else least):.3g}{letter}"
    return f"{number:,.10g}"


def _band_notes(points: Sequence[_Point]) -> list[str]:
    n_seeds = {len(point.values) for point in points}
    several = max(n_seeds) > 1
    told = []
    if several:
        told.append("line: mean over seeds; band and whiskers: least to greatest of the seeds")
    if 1 in n_seeds:
        where = "whiskers where there is one seed" if several else "band and whiskers"
        told.append(f"{where}: the run's own 95 % interval")
    return told


def _mixed_lines(
    runs: Sequence[Run],
    trained: Mapping[str, Trained],
    line_of: Mapping[str, str],
    shown: Mapping[str, str],
) -> list[str]:
    """Lines whose runs differ in more than seed and size."""
    told = []
    for line, name in shown.items():
        differing = _differing([trained[run.name] for run in runs if line_of[run.name] == line])
        if differing:
            told.append(
                f"{name}: its runs differ in {', '.join(differing)} as well "
                f"(a line each: --by method,{','.join(differing)})"
            )
    return told


def _rows(
    panels: Sequence[Lines],
    baselines: Sequence[Cell | None],
    axis: Axis,
    trained: Mapping[str, Trained],
) -> list[dict[str, Any]]:
    rows = []
    for lines, baseline in zip(panels, baselines, strict=True):
        for line, points in lines.items():
            for point in points:
                rows += [
                    _row(cell, line, axis, point.size, trained[cell.run.name].seed)
                    for cell in point.cells
                ]
        if baseline is not None:
            rows.append(_row(baseline, "base checkpoint", axis, None, ""))
    return rows


def _row(cell: Cell, line: str, axis: Axis, size: float | None, seed: str) -> dict[str, Any]:
    return {"line": line, axis: size, "seed": seed, **cell.row()}
