"""Texts in spreadsheet cells: never a formula, and the way back.

A CSV file cannot say that a cell is text, so a text that a spreadsheet would take for a formula gets an apostrophe in
front, as a person would type it (OWASP, "CSV Injection"). An .xlsx file can say it (``sheets``).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from benchmarks.tables import sheet_text

CELL_LIMIT = 32_767
"""UTF-16 units that a cell of an Excel file holds."""

CUT = " … [cut here: a cell holds no more; annotate.html shows all of it]"

_FORMULA = re.compile(r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])")
"""Apostrophes count too, so that ``unguarded`` takes away what ``guarded`` added and no more."""


def guarded(text: str) -> str:
    """The text as a cell of a CSV file that no spreadsheet takes for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """What ``guarded`` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def csv_text(rows: Iterable[Sequence[str | int]]) -> str:
    """Rows, the header first, all cells guarded and without control characters.

    The mark at its start tells Excel that it is UTF-8.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerows([[guarded(sheet_text(str(cell))) for cell in row] for row in rows])
    return "\ufeff" + stream.getvalue()


def fitted(text: str) -> str:
    """A text that fits a cell of an Excel file, with its line ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    units = text.encode("utf-16-le", errors="surrogatepass")
    if len(units) <= 2 * CELL_LIMIT:
        return text
    kept = units[: 2 * (CELL_LIMIT - len(CUT))]
    return kept.decode("utf-16-le", errors="ignore") + CUT
