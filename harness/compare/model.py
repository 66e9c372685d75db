"""A table of runs and published results, before it is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.base import Metric
from harness.compare.columns import Column
from harness.paired import Paired


@dataclass(frozen=True)
class Cell:
    """What a row says in a column.

    Attributes:
        metric: of a run; None in an empty cell and for published figures.
        figures: published, as this table prints them: several where sources disagree.
        is_best: significantly better than every other run that measured in the same way.
        against: the run compared with the baseline; None where it is not.
        p: of that comparison, corrected for all tests of the table.
        marks: of footnotes on the value; ``difference_marks`` on the comparison.
    """

    metric: Metric | None = None
    figures: tuple[str, ...] = ()
    is_best: bool = False
    against: Paired | None = None
    p: float | None = None
    marks: tuple[str, ...] = ()
    difference_marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A run, or a published result.

    Attributes:
        source: where a published result was printed; empty for a run.
        label: whether it may stand beside the runs: "comparable", "deviates", "unknown"; empty for a run.
    """

    name: str
    cells: tuple[Cell, ...]
    source: str = ""
    label: str = ""


@dataclass(frozen=True)
class Table:
    """What every format prints.

    Attributes:
        rows: the runs; ``published`` below a rule.
        baseline: the number of the run that others are compared with.
        detectable: by column, the smallest difference that the comparisons could be expected to detect (80 %
            power at two-sided 5 %, uncorrected): the largest over the rows.
        footnotes: text by mark, in the order in which a reader meets them.
        remarks: what holds for the whole table.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    published: tuple[Row, ...]
    baseline: int
    alpha: float
    detectable: tuple[float | None, ...]
    footnotes: Mapping[str, str]
    remarks: tuple[str, ...]

    @property
    def base(self) -> str:
        return self.rows[self.baseline].name


@dataclass
class Footnotes:
    """Texts by mark: a, b, …, z, aa, …; the same text has one mark."""

    marks: dict[str, str] = field(default_factory=dict)

    def mark(self, texts: Sequence[str]) -> tuple[str, ...]:
        """The marks of some texts, each once, in their order below the table."""
        found = {self.marks.setdefault(text, _letters(len(self.marks))) for text in texts}
        return tuple(sorted(found, key=lambda mark: (len(mark), mark)))

    @property
    def by_mark(self) -> dict[str, str]:
        return {mark: text for text, mark in self.marks.items()}


def _letters(number: int) -> str:
    more, letter = divmod(number, 26)
    return (_letters(more - 1) if more else "") + chr(ord("a") + letter)
