"""A handout as .xlsx and .csv. Both have the same columns, and the first row names them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.base import PlumblineError
from benchmarks.tables import NEEDS_OPENPYXL, sheet_text
from harness.cells import csv_text, fitted
from harness.human_eval.handout import Handout, Row
from harness.human_eval.rubrics import Rubric

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

SHEET, ID, VERDICT, COMMENT, ANNOTATOR = "sheet", "id", "verdict", "comment", "annotator"
NUMBER, PICTURE, QUESTION, REFERENCE = "number", "picture", "question", "reference answer"

WIDTHS = {NUMBER: 10, PICTURE: 44, QUESTION: 34, REFERENCE: 30, VERDICT: 11, COMMENT: 28, ANNOTATOR: 14}  # fmt: skip
RESPONSE_WIDTH = 44
OTHER_WIDTH = 13
"""Widths in characters, as spreadsheets count them."""

PICTURE_SIDE = 290
"""Pixels of a picture's longer side in a cell."""

FONT, FONT_POINTS = "Calibri", 12
POINTS_PER_LINE, POINTS_PER_PIXEL = 16.0, 0.75
MAX_ROW_POINTS = 409.0
"""Excel's limit of a row's height."""

DARK, PALE, ENTRY = "FF22333B", "FFF4F6F7", "FFFFF6DC"
"""Colours: of the header, of what is given, of what is to be filled in."""


def header(handout: Handout) -> list[str]:
    """The columns' names."""
    given = [NUMBER, PICTURE, QUESTION, REFERENCE, *response_columns(handout.rubric)]
    return [*given, VERDICT, COMMENT, ANNOTATOR, ID, SHEET]


def response_columns(rubric: Rubric) -> list[str]:
    """The columns of the responses, one for each side."""
    return [f"response {side}".strip() for side in rubric.sides]


def sheet_csv(handout: Handout) -> str:
    """The sheet as CSV; pictures by the names of the files beside it."""
    rows = [[cells[name] for name in header(handout)] for cells in _rows(handout)]
    return csv_text([header(handout), *rows])


def picture_files(handout: Handout) -> dict[str, bytes]:
    """The files that the CSV names, below the sheet's folder."""
    return {
        name: handout.pictures[digest].content
        for row in handout.rows
        for name, digest in zip(_picture_names(handout, row), row.pictures, strict=True)
    }


def sheet_xlsx(handout: Handout) -> bytes:
    """The sheet as an Excel file, with the pictures in it and a list to choose the verdict from.

    Raises:
        PlumblineError: openpyxl is not installed.
    """
    try:
        from openpyxl import Workbook
    except ImportError as error:
        raise PlumblineError(NEEDS_OPENPYXL) from error
    book = Workbook()
    book.properties.creator = "Plumbline"
    _fill(book.active, handout)
    _explain(book, handout)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _rows(handout: Handout) -> Iterator[dict[str, str]]:
    for row in handout.rows:
        yield {
            NUMBER: str(row.number),
            PICTURE: ", ".join(_picture_names(handout, row)) or row.picture_names,
            QUESTION: row.question,
            REFERENCE: row.reference,
            **dict(zip(response_columns(handout.rubric), row.responses, strict=True)),
            **dict.fromkeys((VERDICT, COMMENT, ANNOTATOR), ""),
            ID: row.id,
            SHEET: handout.sheet_id,
        }


def _picture_names(handout: Handout, row: Row) -> list[str]:
    many = len(row.pictures) > 1
    return [
        f"pictures/{row.number:04}{f'-{index}' if many else ''}.{handout.pictures[digest].suffix}"
        for index, digest in enumerate(row.pictures, start=1)
    ]


def _fill(sheet: Worksheet, handout: Handout) -> None:
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
    from openpyxl.utils import get_column_letter

    names = header(handout)
    sheet.title = "annotate"
    line = Border(bottom=Side(style="thin", color="FFD0D7DB"))
    paper, entry = (PatternFill("solid", fgColor=colour) for colour in (PALE, ENTRY))
    sheet.append(names)
    for cell in sheet[1]:
        cell.font = Font(FONT, FONT_POINTS, bold=True, color="FFFFFFFF")
        cell.fill = PatternFill("solid", fgColor=DARK)
        cell.alignment = Alignment(vertical="center", wrap_text=True)
    for number, (row, texts) in enumerate(zip(handout.rows, _rows(handout), strict=True), start=2):
        if row.pictures:
            texts[PICTURE] = ""
        for column, name in enumerate(names, start=1):
            cell = sheet.cell(number, column)
            cell.value = sheet_text(fitted(texts[name])) or None
            if cell.value is not None:
                cell.data_type = "s"  # a text that begins with "=" would become a formula,
                cell.quotePrefix = True  # and again if somebody edits it
            cell.number_format = "@"
            cell.font = Font(FONT, FONT_POINTS)
            cell.alignment = Alignment(vertical="top", wrap_text=True)
            cell.fill = entry if name in (VERDICT, COMMENT, ANNOTATOR) else paper
            cell.border = line
        needed = [_text_points(text, _width(name)) for name, text in texts.items()]
        needed.append(_put_pictures(sheet, handout, row, number, names.index(PICTURE)))
        sheet.row_dimensions[number].height = min(MAX_ROW_POINTS, max(needed))
    for column, name in enumerate(names, start=1):
        sheet.column_dimensions[get_column_letter(column)].width = _width(name)
    sheet.row_dimensions[1].height = 24
    sheet.freeze_panes = f"{get_column_letter(names.index(QUESTION) + 1)}2"
    _offer_verdicts(sheet, handout, get_column_letter(names.index(VERDICT) + 1))
    _print_on_one_width(sheet)
    sheet.print_title_rows = "1:1"


def _width(name: str) -> int:
    return RESPONSE_WIDTH if name.startswith("response") else WIDTHS.get(name, OTHER_WIDTH)


def _text_points(text: str, width: int) -> float:
    """The height that a text needs in a cell."""
    per_line = 0.95 * width  # widths count characters of 11 points
    lines = (max(1, math.ceil(len(line) / per_line)) for line in text.split("\n"))
    return POINTS_PER_LINE * sum(lines)


def _put_pictures(sheet: Worksheet, handout: Handout, row: Row, line: int, column: int) -> float:
    """Puts a row's pictures into a cell, one below the other; returns the height in points.

    Args:
        line: of the cell, from 1; ``column`` from 0.
    """
    from openpyxl.drawing.image import Image
    from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, OneCellAnchor
    from openpyxl.drawing.xdr import XDRPositiveSize2D
    from openpyxl.utils.units import pixels_to_EMU

    top = 6
    for digest in row.pictures:
        picture = handout.pictures[digest]
        scale = PICTURE_SIDE / len(row.pictures) / max(picture.width, picture.height)
        width, height = round(picture.width * scale), round(picture.height * scale)
        image = Image(io.BytesIO(picture.content))
        corner = AnchorMarker(col=column, colOff=pixels_to_EMU(8), row=line - 1, rowOff=pixels_to_EMU(top))  # fmt: skip
        size = XDRPositiveSize2D(pixels_to_EMU(width), pixels_to_EMU(height))
        image.anchor = OneCellAnchor(_from=corner, ext=size)
        sheet.add_image(image)
        top += height + 6
    return top * POINTS_PER_PIXEL if row.pictures else 0.0


def _offer_verdicts(sheet: Worksheet, handout: Handout, column: str) -> None:
    from openpyxl.worksheet.datavalidation import DataValidation

    values = [option.value for option in handout.rubric.options]
    choice = DataValidation("list", formula1=f'"{",".join(values)}"', allow_blank=True)
    choice.errorTitle, choice.error = "No such verdict", f"Choose one of {', '.join(values)}."
    choice.showErrorMessage = True
    choice.add(f"{column}2:{column}{len(handout.rows) + 1}")
    sheet.add_data_validation(choice)


def _explain(book: Workbook, handout: Handout) -> None:
    """The second sheet: what to do."""
    from openpyxl.styles import Alignment, Font

    sheet = book.create_sheet("instructions")
    width = 90
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 12, width
    rubric = handout.rubric
    name_once = f"Fill in the yellow cells of the first sheet; under {ANNOTATOR!r} your name, once."
    rows = [
        ("", rubric.title),
        *(("", text) for text in (*rubric.task, name_once)),
        (VERDICT, "when"),
        *((option.value, option.meaning) for option in rubric.options),
    ]
    for number, (name, text) in enumerate(rows, start=1):
        sheet.append([name or None, text])
        sheet.row_dimensions[number].height = _text_points(text, width) + 4
        for cell in sheet[number]:
            cell.alignment = Alignment(vertical="top", wrap_text=True)
            cell.font = Font(FONT, FONT_POINTS, bold=number == 1 or cell.column == 1)
    _print_on_one_width(sheet)


def _print_on_one_width(sheet: Worksheet) -> None:
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
