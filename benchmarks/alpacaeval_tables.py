"""AlpacaEval's CSV files: rows as text, each with its line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.base import BadRecordError
from benchmarks.records import Record
from benchmarks.tables import delimited_rows

FIX = "Restore the official file"


def read_csv(path: Path, columns: Sequence[str]) -> list[Record]:
    """The rows below the header, with the line on which each begins.

    Args:
        columns: those that must be there.

    Raises:
        BadRecordError: the file cannot be read, a column is absent, a row has more or fewer cells
            than the header, or there is none.
    """
    rows = delimited_rows(path, ",", FIX)
    _, names = next(rows, (1, []))
    if absent := [repr(name) for name in columns if name not in names]:
        raise BadRecordError(f"{path}: no column {', '.join(absent)}. {FIX}")
    records = []
    for line, cells in rows:
        if not cells:
            continue
        record = Record(path, line, dict(zip(names, cells, strict=False)))
        if len(cells) != len(names):
            raise record.error(f"{len(cells)} cells under {len(names)} columns", FIX)
        records.append(record)
    if not records:
        raise BadRecordError(f"{path}: there is no record in it. {FIX}")
    return records


def number(record: Record, column: str) -> float | None:
    """A cell as a number; None if it is empty. Raises BadRecordError."""
    text = record.fields[column].strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise record.error(f"{column} is {text!r}, not a number", FIX) from None
