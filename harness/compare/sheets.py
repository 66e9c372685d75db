"""A table as texts: a sheet of values, and one of differences from the baseline.

What is printed is decided here, once for all formats; how it is escaped and set is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from harness.compare.columns import Column
from harness.compare.model import Cell, Row, Table
from harness.show import ARROWS

EMPTY = "–"


@dataclass(frozen=True)
class Text:
    """A cell: its number, lines that stand small below it, and the marks of footnotes."""

    main: str = EMPTY
    small: tuple[str, ...] = ()
    is_bold: bool = False
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A row: its name, and its cells."""

    name: Text
    cells: tuple[Text, ...]


@dataclass(frozen=True)
class Sheet:
    """A table of texts.

    Attributes:
        headings: of neighbouring columns, with how many these are.
        labels: of the columns.
        below: lines under a rule.
    """

    title: str
    headings: tuple[tuple[str, int], ...]
    labels: tuple[str, ...]
    lines: tuple[Line, ...]
    below: tuple[Line, ...] = ()

    @property
    def every_line(self) -> tuple[Line, ...]:
        return (*self.lines, *self.below)

    @property
    def over(self) -> tuple[str, ...]:
        """The headings, each over the first of its columns."""
        return tuple(text for heading, n in self.headings for text in (heading, *[""] * (n - 1)))

    def pieces(self, widths: Sequence[float], room: float) -> Iterator[Sheet]:
        """Parts that fit beside the names, a benchmark's columns together where they can be.

        Args:
            widths: of the columns.
            room: for them.
        """
        ends = [number for number, heading in enumerate(self.over) if heading]
        first = 0
        while first < len(widths):
            last = first + 1
            while last < len(widths) and sum(widths[first : last + 1]) <= room:
                last += 1
            if last < len(widths):
                last = max((end for end in ends if first < end <= last), default=last)
            yield self._columns(first, last)
            first = last

    def _columns(self, first: int, last: int) -> Sheet:
        of_column = [heading for heading, width in self.headings for _ in range(width)]

        def cut(lines: Sequence[Line]) -> tuple[Line, ...]:
            return tuple(replace(line, cells=line.cells[first:last]) for line in lines)

        return Sheet(
            self.title,
            _together(of_column[first:last]),
            self.labels[first:last],
            cut(self.lines),
            cut(self.below),
        )


def printable(text: str) -> str:
    """One line without control characters, which would move a terminal's cursor or turn a text's direction."""
    return visible(" ".join(text.split()))


def visible(line: str) -> str:
    """A line with its spaces, but without control characters."""
    return "".join(character if character.isprintable() else "�" for character in line)


def sheets(table: Table) -> list[Sheet]:
    """Values, and what differs from the baseline where there is something to compare."""
    headings = _together([column.heading for column in table.columns])
    labels = tuple(printable(f"{c.label} {ARROWS[c.direction]}") for c in table.columns)
    values = Sheet(
        table.title,
        headings,
        labels,
        tuple(_values(table, row) for row in table.rows),
        tuple(_values(table, row) for row in table.published),
    )
    if len(table.rows) < 2:
        return [values]
    detectable = Line(
        Text("smallest detectable"),
        tuple(
            Text(column.text(size) if size else EMPTY)
            for column, size in zip(table.columns, table.detectable, strict=True)
        ),
    )
    differences = Sheet(
        f"Difference from {printable(table.base)}, 95 % interval, corrected p",
        headings,
        labels,
        tuple(_differences(table, row) for n, row in enumerate(table.rows) if n != table.baseline),
        (detectable,),
    )
    return [values, differences]


def _together(headings: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return tuple((printable(heading), len([*same])) for heading, same in groupby(headings))


def _values(table: Table, row: Row) -> Line:
    cells = tuple(
        _value(c, cell, table.alpha) for c, cell in zip(table.columns, row.cells, strict=True)
    )
    small = (printable(f"{row.source}: {row.label}"),) if row.source else ()
    return Line(Text(printable(row.name), small), cells)


def _value(column: Column, cell: Cell, alpha: float) -> Text:
    if cell.figures:
        return Text(printable(" / ".join(cell.figures)), marks=cell.marks)
    metric = cell.metric
    if metric is None:
        return Text(marks=cell.marks)
    star = "" if metric.complete else "*"
    small = (
        [] if metric.low is None else [f"{column.text(metric.low)} – {column.text(metric.high)}"]
    )
    if not metric.complete:
        small.append(f"{metric.n_scored:,}/{metric.n_asked:,}")
    return Text(
        column.text(metric.value) + star + _dagger(cell, alpha),
        tuple(small),
        cell.is_best,
        cell.marks,
    )


def _differences(table: Table, row: Row) -> Line:
    cells = zip(table.columns, row.cells, strict=True)
    return Line(
        Text(printable(row.name)), tuple(_difference(c, cell, table.alpha) for c, cell in cells)
    )


def _difference(column: Column, cell: Cell, alpha: float) -> Text:
    found = cell.against
    if found is None or found.difference is None:
        return Text(marks=cell.difference_marks)
    small = []
    if found.low is not None and found.high is not None:
        ends = [column.text(end, signed=True) for end in (found.low, found.high)]
        small.append(f"[{', '.join(ends)}]")
    if cell.p is not None:
        small.append(_p(cell.p))
    return Text(
        column.text(found.difference, signed=True) + _dagger(cell, alpha),
        tuple(small),
        marks=cell.difference_marks,
    )


def _dagger(cell: Cell, alpha: float) -> str:
    """Marks what differs significantly from the baseline."""
    return "†" if cell.p is not None and cell.p <= alpha else ""


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def remarks(table: Table) -> Iterator[tuple[str, str]]:
    """Footnotes by mark, then what holds for the whole table, without a mark."""
    yield from ((mark, printable(text)) for mark, text in table.footnotes.items())
    yield from (("", printable(remark)) for remark in table.remarks)
