"""Metrics below each other under the names of their benchmarks, with a mark for each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from benchmarks.base import Metric
from harness.plots.metrics import metric_label, unit_of
from harness.plots.style import GRID, INK, elided, inert
from harness.runs import Part, Run
from harness.show import ARROWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW, _PER_MARK, _HEADING = 0.1, 0.066, 0.17
"""Inches: a row without marks, what each mark adds, and the name of a benchmark."""

_LETTERS = 9
"""How many letters of labels fit into an inch of the figure's width."""


class Mark(Protocol):
    """Something about a metric of a run."""

    @property
    def run(self) -> Run: ...
    @property
    def part(self) -> Part: ...
    @property
    def metric(self) -> Metric: ...
    @property
    def is_complete(self) -> bool: ...


M = TypeVar("M", bound=Mark)


@dataclass(frozen=True)
class Row(Generic[M]):
    """A row of a figure: what there is about one metric, under the heading ``group``."""

    group: str
    label: str
    marks: list[M]


def panels_of(marks: Sequence[M]) -> dict[str, list[Row[M]]]:
    """Rows by unit: what has different units does not stand on one axis."""
    panels: dict[str, dict[tuple[str, str], list[M]]] = {}
    for mark in marks:
        rows = panels.setdefault(unit_of(mark.part, mark.metric).name, {})
        arrow = ARROWS[mark.metric.direction].strip()
        key = inert(mark.part.title), f"{metric_label(mark.metric)} {arrow}".rstrip()
        rows.setdefault(key, []).append(mark)
    return {
        unit: [Row(group, _starred(label, found), found) for (group, label), found in rows.items()]
        for unit, rows in panels.items()
    }


def _starred(label: str, marks: Sequence[Mark]) -> str:
    return label if all(mark.is_complete for mark in marks) else f"{label} *"


def height_of(rows: Sequence[Row[M]], n_runs: int) -> float:
    """Inches that the rows take with their headings."""
    n_groups = len({row.group for row in rows})
    return (_ROW + _PER_MARK * n_runs) * len(rows) + _HEADING * n_groups


def draw_rows(
    axes: Sequence[Axes], rows: Sequence[Row[M]], runs: Sequence[str], width: float
) -> Iterator[tuple[float, M]]:
    """Set axes beside each other up for the rows, and yield each mark with its place along y.

    Args:
        axes: from the left; only the first is labelled.
        runs: the names of all, which stand in this order in each row.
        width: of the figure in inches; long labels are cut to fit.
    """
    row_height = _ROW + _PER_MARK * len(runs)
    step, heading = _PER_MARK / row_height, _HEADING / row_height
    longest = int(width * _LETTERS)
    ticks, place = [], 0.0
    for group, members in groupby(rows, key=lambda row: row.group):
        axes[0].annotate(
            elided(group, longest + 6), (0, place + heading * 0.55), xycoords=("axes fraction", "data"),
            xytext=(-4, 0), textcoords="offset points", ha="right", va="center", weight="bold",
            fontsize=6.5, color=INK,
        )  # fmt: skip
        place += heading
        for row in members:
            ticks.append(place + 0.5)
            for mark in row.marks:
                offset = (runs.index(mark.run.name) - (len(runs) - 1) / 2) * step
                yield ticks[-1] + offset, mark
            place += 1
            for each in axes:
                each.axhline(place, color=GRID, linewidth=0.4, zorder=0)
    for each in axes:
        labelled = each is axes[0]
        each.set_yticks(ticks, [elided(row.label, longest) if labelled else "" for row in rows])
        each.set_ylim(place, 0)
        each.tick_params(axis="y", length=0)
        each.grid(visible=False, axis="y")
        each.spines["left"].set_visible(False)
