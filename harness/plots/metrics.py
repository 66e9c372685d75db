"""Which metrics of a run are drawn, in which unit, and what a reader must know about them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmarks.base import Metric, PlumblineError
from harness.plots.style import elided, inert
from harness.runs import Part, Run, judged_alike
from harness.show import ARROWS
from harness.store import differing

_SHARES = ("hallucination_rate", "strict_hallucination_rate")
"""Shares of 1 that their official scorer prints as such; figures draw all shares in percent."""

_SCALES = {"mmhal": (0.0, 6.0), "mtbench": (1.0, 10.0)}
"""The ends of the judge's scale, where that is not percent."""

_MOST_NAMED = 3


class Unit(NamedTuple):
    """How a metric is drawn.

    Attributes:
        factor: from the metric's own number to the drawn one.
        name: "%" or what else; numbers of different names do not stand on one axis.
        ends: the least and the greatest value; None where there is none.
    """

    factor: float
    name: str
    ends: tuple[float, float | None] = (0.0, None)


def unit_of(part: Part, metric: Metric) -> Unit:
    if metric.display == "percent" or metric.name in _SHARES:
        return Unit(100.0, "%", (0.0, 100.0))
    if metric.display == "points":
        return Unit(1.0, "%", (0.0, 100.0))
    ends = _SCALES.get(part.name)
    if ends:
        return Unit(1.0, f"points of {ends[0]:g}–{ends[1]:g}", ends)
    return Unit(1.0, f"{part.title}, {metric.name}")


def change_of(unit: str) -> str:
    """The unit of a difference."""
    return "percentage points" if unit == "%" else inert(unit)


class Wanted(NamedTuple):
    """A metric by name: ``"mmhal.score"``, ``"pope.f1.adversarial"``; a part that is not named is ""."""

    benchmark: str
    metric: str = ""
    split: str = ""

    @classmethod
    def read(cls, text: str) -> Wanted:
        return cls(*(text.split(".", 2)))

    def __str__(self) -> str:
        return ".".join(filter(None, self))


@dataclass(frozen=True)
class Cell:
    """A metric of a run, in the unit in which it is drawn.

    Attributes:
        value: None where there is none; ``low`` and ``high`` likewise.
        complete: whether every item that was asked entered.
    """

    run: Run
    part: Part
    metric: Metric

    @property
    def unit(self) -> Unit:
        return unit_of(self.part, self.metric)

    @property
    def value(self) -> float | None:
        return self._drawn(self.metric.value)

    @property
    def low(self) -> float | None:
        return self._drawn(self.metric.low)

    @property
    def high(self) -> float | None:
        return self._drawn(self.metric.high)

    def _drawn(self, number: float | None) -> float | None:
        return None if number is None else number * self.unit.factor

    @property
    def complete(self) -> bool:
        return self.metric.complete

    def row(self) -> dict[str, Any]:
        """The cell in the file of the figure's numbers."""
        return {
            "run": self.run.name,
            "benchmark": self.part.title,
            "metric": self.metric.name,
            "split": self.metric.split,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit.name,
            "better": self.metric.direction,
            "n_scored": self.metric.n_scored,
            "n_asked": self.metric.n_asked,
            "note": self.metric.note or "",
        }


def parts_of(runs: Sequence[Run], benchmark: str) -> dict[str, Part]:
    """The benchmark's part of every run that has it, by the run's name.

    Raises:
        PlumblineError: none has it, or they are of different editions.
    """
    parts = {run.name: run.parts[benchmark] for run in runs if benchmark in run.parts}
    if not parts:
        known = dict.fromkeys(name for run in runs for name in run.parts if "/" not in name)
        raise PlumblineError(f"no run has {benchmark!r}{known_names(benchmark, known)}")
    editions = {part.edition: name for name, part in parts.items()}
    if len(editions) > 1:
        told = ", ".join(f"{name} is {edition}" for edition, name in editions.items())
        raise PlumblineError(
            f"{benchmark}: numbers of two editions do not stand in one figure ({told}). Draw one each"
        )
    return parts


def find(part: Part, wanted: Wanted) -> Metric:
    """The metric that ``wanted`` names. Without a split, it is the aggregate or the only one.

    Raises:
        PlumblineError: there is none; the text lists those that exist.
    """
    named = [metric for metric in part.metrics if metric.name == wanted.metric]
    if not named:
        names = dict.fromkeys(metric.name for metric in part.metrics)
        problem = f"it has no metric {wanted.metric!r}" if wanted.metric else "say which metric"
        raise PlumblineError(f"{part.path}: {problem}{known_names(wanted.metric, names)}")
    by_split = {metric.split: metric for metric in named}
    if not wanted.split and len(named) == 1:
        return named[0]
    if wanted.split not in by_split:
        listed = ", ".join(f"{wanted.benchmark}.{wanted.metric}.{s}" if s else "" for s in by_split)
        raise PlumblineError(f"{wanted}: name the split: {listed.strip(', ')}")
    return by_split[wanted.split]


def known_names(name: str, known: Iterable[str]) -> str:
    """The end of an error about a name: those like it, and all."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=2)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{hint} (there are: {', '.join(names)})"


def metric_label(metric: Metric) -> str:
    """The metric's name with its split, for people; "°" where it is not the official scorer's."""
    name = inert(metric.name.replace("_", " "))
    split = f" ({inert(metric.split)})" if metric.split else ""
    return f"{name}{split}{'' if metric.official else ' °'}"


def reading_notes(
    metrics: Iterable[Metric], *, has_gaps: bool, is_complete: bool, turned: bool = False
) -> list[str]:
    """What the signs in a figure mean, as far as they occur.

    Args:
        turned: the figure shows differences, and the right of them is better.
    """
    metrics = list(metrics)
    told = []
    if turned and any(metric.direction == "lower" for metric in metrics):
        told.append("↓ lower is better: its difference is turned round")
    if not is_complete:
        told.append("* not every item that was asked has a score")
    if has_gaps:
        told.append("gap: no value")
    if not all(metric.official for metric in metrics):
        told.append("° not the official scorer's number")
    return told


def axis_label(cell: Cell) -> str:
    """What an axis of the metric's values is called."""
    unit = " (%)" if cell.unit.name == "%" else ""
    arrow = ARROWS[cell.metric.direction].strip()
    name = elided(f"{metric_label(cell.metric)}{unit}", 34)
    return f"{name} {arrow}".rstrip()


def protocol_notes(
    runs: Sequence[Run], benchmarks: Iterable[str], names: Mapping[str, str]
) -> list[str]:
    """How the runs' measurements of a benchmark differ, which the figure cannot show.

    Args:
        names: what the figure calls the runs.
    """
    told = []
    for benchmark in dict.fromkeys(benchmarks):
        (first, reference), *others = parts_of(runs, benchmark).items()
        alike: dict[str, list[str]] = {}
        for name, part in others:
            if found := _otherwise(reference, part):
                listed = ", ".join([*found[:_MOST_NAMED], *["…"][: len(found) > _MOST_NAMED]])
                alike.setdefault(listed, []).append(names[name])
        told += [
            f"{inert(reference.title)}: {', '.join(who)} measured in another way than {names[first]} ({listed})"
            for listed, who in alike.items()
        ]
    return told


def _otherwise(a: Part, b: Part) -> list[str]:
    """In what two measurements differ."""
    found = [where for where, _, _ in differing(a.protocol, b.protocol)]
    if not judged_alike(a.judges, b.judges):
        found.append("judge")
    if _n_asked(a) != _n_asked(b):
        found.append("number of items")
    return found


def _n_asked(part: Part) -> int:
    return max((metric.n_asked for metric in part.metrics), default=0)
