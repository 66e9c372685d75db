"""The table as CSV, for a spreadsheet or a data frame: a row for each run, numbers as numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from harness.cells import guarded
from harness.compare.columns import Column
from harness.compare.model import Cell, Row, Table
from harness.compare.sheets import printable

FIELDS = (
    "",
    "low",
    "high",
    "scored",
    "asked",
    "best",
    "difference",
    "difference low",
    "difference high",
    "p corrected",
    "smallest detectable",
)
"""What stands in the columns of a metric; the value's has the metric's name alone."""

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def spreadsheet(table: Table) -> str:
    """Names, the fields of each metric in the unit in which the table prints it, and what to know of each row."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    labels = [f"{c.full_label} {field}".strip() for c in table.columns for field in FIELDS]
    writer.writerow([safe(text) for text in ("row", "source", "label", *labels, "notes")])
    for row in (*table.rows, *table.published):
        cells = zip(table.columns, row.cells, strict=True)
        numbers = [value for column, cell in cells for value in _fields(column, cell)]
        texts = [safe(text) for text in (row.name, row.source, row.label)]
        writer.writerow([*texts, *numbers, safe(" | ".join(_notes(table, row)))])
    return stream.getvalue()


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return guarded(printable(text))


def _fields(column: Column, cell: Cell) -> Sequence[object]:
    if cell.metric is None:
        return [_figures(cell), *[""] * (len(FIELDS) - 1)]
    metric, against = cell.metric, cell.against
    difference = (
        (against.difference, against.low, against.high, cell.p, against.smallest_detectable)
        if against
        else (None,) * 5
    )
    scaled = [metric.value, metric.low, metric.high, *difference[:3], difference[4]]
    value, low, high, *change, detectable = (_number(number, column.scale) for number in scaled)
    best = "yes" if cell.is_best else ""
    coverage = (metric.n_scored, metric.n_asked)
    return [value, low, high, *coverage, best, *change, _number(cell.p, 1.0), detectable]


def _figures(cell: Cell) -> str:
    """A published number as it is, as a number where it is one."""
    text = " / ".join(cell.figures)
    return text if NUMBER.fullmatch(text) else safe(text)


def _number(value: float | None, scale: float) -> str:
    return "" if value is None else f"{value * scale:.10g}"


def _notes(table: Table, row: Row) -> list[str]:
    """The footnotes of a row, with the column that each is about."""
    found = []
    for column, cell in zip(table.columns, row.cells, strict=True):
        for mark in (*cell.marks, *cell.difference_marks):
            found.append(f"{column.full_label}: {table.footnotes[mark]}")
    return found
