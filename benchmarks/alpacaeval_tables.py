"""AlpacaEval's CSV files: rows as text, each with its line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from benchmarks.base import BadRecordError
from benchmarks.records import Record

FIX = "Restore the official file"


def read_csv(path: Path, columns: Sequence[str]) -> list[Record]:
    """The rows below the header, with the line on which each ends; a cell that is absent is "".

    Args:
        columns: those that must be there.

    Raises:
        BadRecordError: the file cannot be read, a column is absent, a row is too long, or there is
            none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            names = reader.fieldnames or ()
            records = [Record(path, reader.line_num, fields) for fields in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadRecordError(f"{path}: the file cannot be read ({error}). {FIX}") from error
    if absent := [repr(name) for name in columns if name not in names]:
        raise BadRecordError(f"{path}: no column {', '.join(absent)}. {FIX}")
    for record in records:
        if None in record.fields:
            raise record.error("more cells than columns", FIX)
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
