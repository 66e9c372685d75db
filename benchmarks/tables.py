"""Tab-separated tables and Excel sheets whose cells are text, whatever they look like.

Spreadsheet readers of the field turn "3", "NA" or "None" into numbers and missing values, and
writers take "=B" for a formula. Here a cell is what is written in it, and an empty one is "".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.base import BadRecordError, PlumblineError
from benchmarks.records import Record

Cell = str | int

MAX_FIELD = 2**31 - 1
"""Characters of a field; a picture as base64 has more than the 131,072 that csv allows."""

_END = "\0 the end of the file \0"
"""A line behind the last one: a quote that nothing closes takes it into its cell."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_NO_CHARACTERS = dict.fromkeys(
    [*(c for c in range(0x20) if chr(c) not in "\t\n\r"), 0xFFFE, 0xFFFF], _REPLACEMENT
)
"""XML has none of these; openpyxl refuses the first ones and lets the last two pass."""

NEEDS_OPENPYXL = "Excel files need openpyxl: pip install -e '.[human]'"


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table, and not JSON."""
    return path.suffix.lower() in (".tsv", ".xlsx")


def read_table(path: Path, delimiter: str = "\t") -> list[Record]:
    """The rows below the header by column name, with the line (of a sheet: the row) of each.

    Columns without a name and empty rows are left out.

    Args:
        delimiter: of a text file.

    Raises:
        BadRecordError: the file cannot be read, has no rows, or one with more or fewer cells than the
            header.
        PlumblineError: it is an Excel file, and openpyxl is not installed.
    """
    is_sheet = path.suffix.lower() == ".xlsx"
    rows = _sheet_rows(path) if is_sheet else delimited_rows(path, delimiter)
    line, header = next(rows, (1, []))
    names = [name for name in header if name]
    if not names:
        raise BadRecordError(f"{path}: there is no table in it. Check the path")
    if len(names) != len(set(names)):
        raise BadRecordError(f"{path}, line {line}: two columns have one name. Rename one of them")
    records = []
    for line, cells in rows:
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise BadRecordError(
                f"{path}, line {line}: {len(cells)} cells under {len(header)} columns. Restore the "
                "file; a tab, quote or line break inside a cell must stand in quotes"
            )
        fields = {name: cell for name, cell in zip(header, cells, strict=True) if name}
        records.append(Record(path, line, fields))
    if not records:
        raise BadRecordError(f"{path}: there is no row below the header. Check the path")
    return records


def delimited_rows(
    path: Path,
    delimiter: str = "\t",
    fix: str = "Check the path, and that the file is whole and UTF-8",
) -> Iterator[tuple[int, list[str]]]:
    """Each row of a text file with the line on which it begins.

    Args:
        fix: what to do about a damaged file.

    Raises:
        BadRecordError: the file cannot be read, or ends inside quotes.
    """
    limit = csv.field_size_limit(MAX_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(chain(stream, [_END]), delimiter=delimiter)
            line = 1
            for cells in reader:
                if cells == [_END]:
                    break
                if cells and cells[-1].endswith(_END):
                    raise BadRecordError(f"{path}, line {line}: a quote is not closed. {fix}")
                yield line, cells
                line = reader.line_num + 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadRecordError(f"{path}: the table cannot be read ({reason}). {fix}") from error
    finally:
        csv.field_size_limit(limit)


def _sheet_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of the first sheet, all of one length."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise PlumblineError(f"{path}: {NEEDS_OPENPYXL}, or save it as .tsv") from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        rows = [[_text(cell) for cell in row] for row in book.worksheets[0].values]
        book.close()
    except Exception as error:
        # Readers of zip archives and of XML raise what they like about a damaged file.
        raise BadRecordError(
            f"{path}: the Excel file cannot be read ({error}). Save it anew, or as .tsv"
        ) from error
    width = max((n for row in rows for n, cell in enumerate(row, start=1) if cell), default=0)
    for number, row in enumerate(rows, start=1):
        yield number, [*row, *[""] * width][:width]


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def tsv_text(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows, the header first, as a tab-separated table; texts stand in quotes."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows(rows)
    return stream.getvalue()


def sheet_text(text: str) -> str:
    """A text with U+FFFD for the characters that an Excel file cannot hold."""
    whole = text.encode("utf-8", errors="backslashreplace").decode("utf-8")
    return whole.translate(_NO_CHARACTERS)


def xlsx_bytes(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Rows, the header first, as an Excel file.

    Excel has no control characters (here U+FFFD stands for them) and cuts a text after 32,767.

    Raises:
        ImportError: openpyxl is not installed.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in rows:
        cells = []
        for value in row:
            if isinstance(value, str):
                cell = WriteOnlyCell(sheet, sheet_text(value))
                cell.data_type = "s"  # a text that begins with "=" would become a formula
            else:
                cell = WriteOnlyCell(sheet, value)
            cells.append(cell)
        sheet.append(cells)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()
