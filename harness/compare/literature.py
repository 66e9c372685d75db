"""Published figures as rows of a table, held against the runs above them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.base import PlumblineError
from harness.comparability import PublishedCell, cell
from harness.compare.columns import Column
from harness.compare.layouts import Layout
from harness.compare.model import Cell, Footnotes, Row
from harness.published import (
    PAPER_TABLES,
    Figure,
    PublishedRow,
    distinct,
    find,
    rows_of_table,
)
from harness.runs import Part, Run

MOST_SOURCES = 3
"""Named below a row."""

MOST_DECIMALS = 3
"""More than a column has, to tell figures apart."""

WORST = ("deviates", "unknown", "comparable")


def look_up(
    query: str | None,
    columns: Sequence[Column],
    runs: Sequence[Run],
    layout: Layout | None = None,
    folder: Path | None = None,
) -> list[PublishedRow]:
    """The published rows that a table wants.

    Args:
        query: see ``harness.published.find``; without one, all rows, or those of the layout's own table.
        folder: like ``results/published``.

    Raises:
        PlumblineError: nothing fits.
    """
    if layout is not None and not query:
        return rows_of_table(*PAPER_TABLES[layout.name], folder)
    parts = {column: next(filter(None, map(column.part, runs)), None) for column in columns}
    keys = [key for column in columns if (key := column.key(parts[column]))]
    return find(query, keys, folder)


def look_up_one(query: str, folder: Path | None = None) -> PublishedRow:
    """The one row that a query means: a row's name, or words that only one row has.

    Raises:
        PlumblineError: there is none, or there are several; the text lists them.
    """
    rows = [row for row in find("", folder=folder) if row.name.casefold() == query.casefold()]
    rows = rows or find(query, folder=folder)
    if len(rows) > 1:
        listed = "\n".join(f"  {row.name}, {_sources(row.figures)}" for row in rows)
        raise PlumblineError(
            f"{query!r} means several published rows; add a word of the one you mean:\n{listed}"
        )
    return rows[0]


def published_rows(
    rows: Sequence[PublishedRow],
    columns: Sequence[Column],
    parts: Mapping[Column, Part],
    footnotes: Footnotes,
) -> list[Row]:
    """Rows of a table.

    Args:
        parts: what the figures of a column are held against; columns that no run has are not there.
    """
    return [_row(row, columns, parts, footnotes) for row in rows]


def _row(
    row: PublishedRow,
    columns: Sequence[Column],
    parts: Mapping[Column, Part],
    footnotes: Footnotes,
) -> Row:
    cells, labels, used = [], [], list[Figure]()
    for column in columns:
        part = parts.get(column)
        key = column.key(part)
        figures = row.cells.get(key, ()) if key else _foreign(row, column)
        beside = cell(figures, part) if figures and part else None
        labels += [beside.label] if beside else []
        used += figures
        texts = _texts(column, figures)
        marks = footnotes.mark([*_about(texts, beside, figures)])
        cells.append(Cell(figures=tuple(texts), marks=marks))
    return Row(
        row.name, tuple(cells), _sources(used), min(labels, key=WORST.index, default="unknown")
    )


def _foreign(row: PublishedRow, column: Column) -> tuple[Figure, ...]:
    """Figures of a paper's column that no benchmark here gives."""
    return tuple(figure for figure in row.others if figure.benchmark == column.foreign)


def _texts(column: Column, figures: Sequence[Figure]) -> dict[str, tuple[Figure, ...]]:
    """Figures by what is printed, with as many decimals as tell different ones apart."""
    groups = distinct(figures)
    for more in range(MOST_DECIMALS + 1):
        finer = column.finer(more)
        texts = {finer.text(group[0].value): group for group in groups}
        if len(texts) == len(groups):
            break
    return texts


def _about(
    texts: Mapping[str, Sequence[Figure]], beside: PublishedCell | None, figures: Sequence[Figure]
) -> Iterator[str]:
    """Where different figures come from, what deviates, and what else is known."""
    if len(texts) > 1:
        yield "; ".join(f"{text}: {_places(group)}" for text, group in texts.items())
    yield from beside.deviations if beside else ()
    yield from (r.text for figure in figures for r in figure.remarks if r.effect == "told")


def _places(figures: Sequence[Figure]) -> str:
    return ", ".join(dict.fromkeys(figure.place for figure in figures))


def _sources(figures: Sequence[Figure]) -> str:
    places = [*dict.fromkeys(figure.place for figure in figures)]
    if len(places) > 1:
        places = [*dict.fromkeys(figure.source.name for figure in figures)]
    more = len(places) - MOST_SOURCES
    return ", ".join(places[:MOST_SOURCES]) + (f" and {more} more" if more > 0 else "")
