"""One metric over the categories of its benchmark, as bars with intervals or on a radar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator

from benchmarks.base import PlumblineError
from harness.plots.drawing import Drawing
from harness.plots.metrics import (
    Cell,
    Wanted,
    parts_of,
    protocol_notes,
    reading_notes,
)
from harness.plots.style import (
    FAINT,
    GRID,
    INK,
    Layout,
    Look,
    elided,
    framed,
    house_style,
    inert,
    lightened,
    look,
    wrapped,
)
from harness.runs import Part, Run
from harness.show import ARROWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["bars", "radar"]

USUAL = {
    "pope": "f1",
    "amber": "f1",
    "mmhal": "score",
    "mmvet": "rec,ocr,know,gen,spat,math",
    "llava_bench": "relative_score",
    "mmbench": "circular_CP,circular_FP-S,circular_FP-C,circular_LR,circular_RR,circular_AR",
    "mtbench": "average",
}
"""What a benchmark's categories are: the splits of a metric, or metrics of their own."""

_POOLED = {("amber", "attribute")}
"""Splits that only add others up."""

_BAR = 0.8
_LEAST_BAR_WIDTH, _LEAST_CATEGORY_WIDTH = 0.075, 0.42
"""Inches; with less, bars go on in a row below."""

_MOST_FILLED = 3
"""Polygons; more of them would hide each other."""


@dataclass(frozen=True)
class _Category:
    """A category with the cells of the runs that have it, by the run's name."""

    name: str
    cells: Mapping[str, Cell]


def draw_categories(
    runs: Sequence[Run],
    wanted: Wanted,
    kind: Kind,
    *,
    layout: Layout | None = None,
) -> Drawing:
    """The categories side by side, a bar or a polygon for each run.

    Args:
        wanted: a benchmark, with the metric whose splits are the categories (by default, the usual one). Several
            metrics, separated by commas or named by a pattern (``score_*``), are the categories themselves.

    Raises:
        PlumblineError: the metric has fewer than two categories, three for a radar.
    """
    parts = parts_of(runs, wanted.benchmark)
    having = [run for run in runs if run.name in parts]
    categories = _categories(having, parts, wanted)
    least = 3 if kind == "radar" else 2
    if len(categories) < least:
        raise PlumblineError(
            f"{wanted}: {len(categories)} categories; {kind} needs at least {least}. {_offer(parts.values())}"
        )
    units = {cell.unit.name for each in categories for cell in each.cells.values()}
    if len(units) > 1:
        raise PlumblineError(
            f"{wanted}: its metrics have several units ({', '.join(sorted(units))})"
        )
    layout = layout or Layout()
    names = layout.names(run.name for run in having)
    cells = [cell for each in categories for cell in each.cells.values()]
    notes = [
        *(["whiskers: 95 % interval"] if kind == "bars" else []),
        *reading_notes(
            [cell.metric for cell in cells],
            has_gaps=len([c for c in cells if c.value is not None]) < len(having) * len(categories),
            is_complete=all(cell.complete for cell in cells),
        ),
        *protocol_notes(having, [wanted.benchmark], names),
    ]
    draw: Callable[..., Figure] = _bars if kind == "bars" else _radar
    with house_style():
        figure = draw(categories, having, names, notes, layout)
    rows = [
        {"category": each.name, **cell.row()} for each in categories for cell in each.cells.values()
    ]
    return Drawing(figure, rows, notes)


def _categories(runs: Sequence[Run], parts: Mapping[str, Part], wanted: Wanted) -> list[_Category]:
    metric = wanted.metric or USUAL.get(wanted.benchmark, "")
    if not metric:
        raise PlumblineError(f"{wanted}: say which metric. {_offer(parts.values())}")
    by_split = not set(metric) & set(",*?[")
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    for run in runs:
        part = parts[run.name]
        for each in part.metrics:
            if by_split:
                belongs = each.name == metric and _is_category(part, each.split)
            else:
                named = any(fnmatchcase(each.name, pattern) for pattern in metric.split(","))
                belongs = named and wanted.split in ("", each.split)
            if belongs:
                found.setdefault((each.name, each.split), {})[run.name] = Cell(run, part, each)
    n_splits = len({split for _, split in found})
    prefix = _prefix([name for name, _ in found])

    def called(name: str, split: str) -> str:
        if by_split:
            return split
        own = name.removeprefix(prefix)
        return f"{own} ({split})" if n_splits > 1 and split else own

    return [_Category(called(*key), cells) for key, cells in found.items()]


def _is_category(part: Part, split: str) -> bool:
    return split != "" and (part.name, split) not in _POOLED


def _prefix(names: Sequence[str]) -> str:
    """What the names share, up to an underscore: ``circular_``."""
    first, last = min(names, default=""), max(names, default="")
    same = [a == b for a, b in zip(first, last, strict=False)]
    common = first[: same.index(False)] if False in same else first
    return common[: common.rfind("_") + 1]


def _offer(parts: Iterable[Part]) -> str:
    """The metrics that have categories."""
    found: dict[str, set[str]] = {}
    for part in parts:
        for metric in part.metrics:
            if _is_category(part, metric.split):
                found.setdefault(metric.name, set()).add(metric.split)
    names = [name for name, splits in found.items() if len(splits) > 1]
    return f"Metrics with categories: {', '.join(names) or 'none'}"


def _titles(categories: Sequence[_Category]) -> tuple[str, str]:
    """The benchmark's title, and the metric with its unit and direction."""
    cells = [cell for each in categories for cell in each.cells.values()]
    metrics = {cell.metric.name for cell in cells}
    shared = _prefix(list(metrics)).rstrip("_") or "score"
    first = cells[0]
    name = first.metric.name if len(metrics) == 1 else shared
    marks = ["" if first.metric.official else "°", "(%)" if first.unit.name == "%" else ""]
    told = [_spaced(name), *marks, ARROWS[first.metric.direction].strip()]
    return inert(first.part.title), " ".join(filter(None, told))


def _bars(
    categories: Sequence[_Category],
    runs: Sequence[Run],
    names: Mapping[str, str],
    notes: Sequence[str],
    layout: Layout,
) -> Figure:
    looks = {run.name: look(index) for index, run in enumerate(runs)}
    legend = [(Patch(**_fill(looks[run.name])), names[run.name]) for run in runs]
    needed = _LEAST_BAR_WIDTH * len(runs) / _BAR
    n_across = max(
        1, min(len(categories), int((layout.width - 0.5) / max(needed, _LEAST_CATEGORY_WIDTH)))
    )
    n_panels = -(-len(categories) // n_across)
    n_across = -(-len(categories) // n_panels)
    figure = framed(layout, 1.6 * n_panels, legend, notes)
    grid = figure.subplots(n_panels, 1, squeeze=False, sharey=True)[:, 0]
    title, metric = _titles(categories)
    grid[0].set_title(title, loc="left")
    step = _BAR / len(runs)
    letters = int((layout.width - 0.5) * 72 / n_across / 3.6)
    for number, axes in enumerate(grid):
        members = categories[number * n_across : (number + 1) * n_across]
        for index, category in enumerate(members):
            for place, run in enumerate(runs):
                cell = category.cells.get(run.name)
                if cell is not None:
                    x = index + (place - (len(runs) - 1) / 2) * step
                    _draw_bar(axes, cell, x, step, looks[run.name])
        shown = [wrapped(elided(_spaced(each.name), 3 * letters), letters) for each in members]
        axes.set_xticks(range(len(members)), shown)
        axes.set_xlim(-0.5, n_across - 0.5)
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(metric)
    return figure


def _fill(style: Look) -> dict[str, Any]:
    return {
        "facecolor": lightened(style.colour),
        "edgecolor": style.colour,
        "hatch": style.hatch,
        "linewidth": 0.6,
    }


def _draw_bar(axes: Axes, cell: Cell, x: float, width: float, style: Look) -> None:
    if cell.value is None:
        return
    axes.bar(x, cell.value, width * 0.92, zorder=2, **_fill(style))
    if cell.low is not None and cell.high is not None:
        for colour, line_width in (("white", 1.8), (INK, 0.7)):
            axes.vlines(x, cell.low, cell.high, color=colour, linewidth=line_width, zorder=3)
    if not cell.complete:
        top = max(cell.value, cell.high or cell.value)
        axes.text(x, top, "*", ha="center", va="bottom", fontsize=6.5)


def _radar(
    categories: Sequence[_Category],
    runs: Sequence[Run],
    names: Mapping[str, str],
    notes: Sequence[str],
    layout: Layout,
) -> Figure:
    looks = {run.name: look(index) for index, run in enumerate(runs)}
    legend = [(Line2D([], [], **_line(looks[run.name])), names[run.name]) for run in runs]
    figure = framed(layout, min(layout.width, 4.2) * 0.85, legend, notes)
    axes = figure.add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    angles = [2 * math.pi * index / len(categories) for index in range(len(categories))]
    values = {run.name: [_value(each.cells.get(run.name)) for each in categories] for run in runs}
    for name, found in values.items():
        axes.plot([*angles, angles[0]], [*found, found[0]], **_line(looks[name]))
        if len(runs) <= _MOST_FILLED and not any(map(math.isnan, found)):
            axes.fill(angles, found, color=looks[name].colour, alpha=0.08, linewidth=0)
    cells = [cell for each in categories for cell in each.cells.values()]
    least, most = cells[0].unit.ends
    highest = max((v for found in values.values() for v in found if v == v), default=1.0)
    axes.set_ylim(least, max(highest, most or highest * 1.05))
    _name_spokes(axes, categories, angles)
    title, metric = _titles(categories)
    axes.set_title(f"{title}: {metric}", pad=22)
    return figure


def _line(style: Look) -> dict[str, Any]:
    return {
        "color": style.colour,
        "marker": style.marker,
        "linestyle": style.dashes,
        "clip_on": False,
    }


def _value(cell: Cell | None) -> float:
    return math.nan if cell is None or cell.value is None else cell.value


def _name_spokes(axes: PolarAxes, categories: Sequence[_Category], angles: Sequence[float]) -> None:
    axes.set_xticks(angles, [""] * len(angles))
    axes.set_rlabel_position(180 / len(angles))
    axes.tick_params(axis="y", labelsize=5.5, labelcolor=FAINT)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.spines["polar"].set_color(GRID)
    outside = axes.get_ylim()[0] + 1.06 * (axes.get_ylim()[1] - axes.get_ylim()[0])
    for category, angle in zip(categories, angles, strict=True):
        across, up = math.sin(angle), math.cos(angle)
        complete = all(cell.complete for cell in category.cells.values())
        name = wrapped(elided(_spaced(category.name), 40), 16)
        axes.text(
            angle, outside, name if complete else f"{name} *", fontsize=6.5,
            ha="center" if abs(across) < 0.2 else "left" if across > 0 else "right",
            va="center" if abs(up) < 0.8 else "bottom" if up > 0 else "top",
        )  # fmt: skip


def _spaced(name: str) -> str:
    return inert(name.replace("_", " "))
