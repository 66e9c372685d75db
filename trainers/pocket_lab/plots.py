"""The laboratory's figures: all experiments side by side, and what more pairs bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.plots.drawing import Drawing
from harness.plots.style import FAINT, PAGE, Layout, framed, house_style, look, wrapped
from harness.show import ARROWS
from trainers.pocket_lab.claims import CHAIR_S, COVER, LLAVA_BENCH, MMHAL, MTBENCH, POPE
from trainers.pocket_lab.compare import Found, Measure
from trainers.pocket_lab.plan import EXPERIMENTS, sizes_of
from trainers.pocket_lab.results import Cell

COMPARED = (CHAIR_S, COVER, POPE, LLAVA_BENCH, MTBENCH)
"""Few enough to be read: what is made up, what is mentioned, yes/no, open answers, text alone."""

SCALED = (CHAIR_S, COVER, MMHAL, LLAVA_BENCH)

ROW = 0.17
"""Inches of an experiment's row."""


def compared(cells: Sequence[Cell]) -> Drawing:
    """A row for each experiment, a panel for each measure: value, interval, seeds; the base as a line."""
    found = _by_place(cells)
    shown = [each for each in EXPERIMENTS if (each.name, COMPARED[0]) in found]
    places = range(len(shown))
    with house_style():
        notes = [
            "Lines: 95 % intervals over pictures and seeds. Small dots: single seeds. Dashed: base."
        ]
        figure = framed(Layout(PAGE), 0.6 + ROW * len(shown), [], notes)
        panels = figure.subplots(1, len(COMPARED), sharey=True, squeeze=False)[0]
        for axes, measure in zip(panels, COMPARED, strict=True):
            axes.set_title(_title(measure))
            axes.grid(False, axis="y")
            for place, experiment in zip(places, shown, strict=True):
                if value := found.get((experiment.name, measure)):
                    _draw(axes, place, value, measure)
            if base := found.get(("base", measure)):
                axes.axvline(_shown(base, measure), color=FAINT, linestyle="--", linewidth=0.7)
        panels[0].set_yticks(list(places), [each.title for each in shown])
        panels[0].invert_yaxis()
    return Drawing(figure, ())


def _draw(axes: Any, place: int, found: Found, measure: Measure) -> None:
    colour = look(0).colour
    scale = measure.scale
    if found.low is not None and found.high is not None:
        axes.plot([found.low * scale, found.high * scale], [place] * 2, color=colour)
    seeds = [value * scale for value in found.by_seed]
    axes.plot(seeds, [place + 0.3] * len(seeds), ".", color=FAINT, markersize=2)
    axes.plot(_shown(found, measure), place, "o", color=colour, markersize=3)


def scaled(cells: Sequence[Cell], n_pairs: Mapping[str, int]) -> Drawing | None:
    """Values against the number of pairs, a line for DPO and one for mDPO; None if there are no two sizes.

    Args:
        n_pairs: by experiment.
    """
    found = _by_place(cells)
    lines = {
        title: [each.name for each in sizes_of(name) if (each.name, SCALED[0]) in found]
        for name, title in (("dpo", "DPO"), ("mdpo", "mDPO"))
    }
    if max(map(len, lines.values())) < 2:
        return None
    ticks = sorted({n_pairs[name] for names in lines.values() for name in names})
    with house_style():
        notes = ["Bars: 95 % intervals over pictures and seeds. Dashed: base."]
        figure = framed(Layout(PAGE), 2.0, [], notes)
        panels = figure.subplots(1, len(SCALED), squeeze=False)[0]
        for axes, measure in zip(panels, SCALED, strict=True):
            axes.set(xscale="log", xlabel="pairs", title=_title(measure))
            for index, (title, names) in enumerate(lines.items()):
                points = {n_pairs[n]: found[n, measure] for n in names if (n, measure) in found}
                _draw_line(axes, index, title, dict(sorted(points.items())), measure)
            axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axes.minorticks_off()
            if base := found.get(("base", measure)):
                axes.axhline(_shown(base, measure), color=FAINT, linestyle="--", linewidth=0.7)
        panels[0].legend()
    return Drawing(figure, ())


def _draw_line(
    axes: Any, index: int, title: str, points: Mapping[int, Found], measure: Measure
) -> None:
    """Values by number of pairs; lines stand beside each other, not on top of each other."""
    axes.errorbar(
        [number * 1.04 ** (index - 0.5) for number in points],
        [_shown(value, measure) for value in points.values()],
        yerr=_lengths(list(points.values()), measure),
        color=look(index).colour,
        marker=look(index).marker,
        linestyle=look(index).dashes,
        elinewidth=0.8,
        label=title,
    )


def _title(measure: Measure) -> str:
    return wrapped(f"{measure.title} {ARROWS[measure.direction]}", 17)


def _by_place(cells: Sequence[Cell]) -> dict[tuple[str, Measure], Found]:
    return {
        (cell.experiment, cell.measure): cell.found
        for cell in cells
        if cell.found.value is not None
    }


def _shown(found: Found, measure: Measure) -> float:
    assert found.value is not None
    return found.value * measure.scale


def _lengths(values: Sequence[Found], measure: Measure) -> list[list[float]]:
    """How far the intervals reach below and above, 2 x n; 0 where there is none."""
    below, above = [], []
    for each in values:
        value = each.value or 0.0
        low = value if each.low is None else each.low
        high = value if each.high is None else each.high
        below.append((value - low) * measure.scale)
        above.append((high - value) * measure.scale)
    return [below, above]
