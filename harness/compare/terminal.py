"""The table as a terminal shows it: as many columns side by side as fit."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from harness.compare.model import Table
from harness.compare.sheets import Sheet, Text, remarks, sheets
from harness.show import FILE_WIDTH

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as Styled

PADDING = 3


def print_table(console: Console, table: Table) -> None:
    """The sheets, then footnotes and remarks."""
    for sheet in sheets(table):
        for piece in _pieces(sheet, console.width):
            _print(console, piece)
    for mark, text in remarks(table):
        console.print(f"({mark}) {text}" if mark else text, style="yellow" if mark else "dim")


def plain(table: Table) -> str:
    """What a terminal would show, for a file."""
    from rich.console import Console

    stream = io.StringIO()
    print_table(Console(file=stream, width=FILE_WIDTH, highlight=False, markup=False), table)
    return stream.getvalue()


def _pieces(sheet: Sheet, width: int) -> Iterator[Sheet]:
    names = _width([_text(line.name) for line in sheet.every_line])
    widths = [
        _width([sheet.over[n], label, *(_text(line.cells[n]) for line in sheet.every_line)])
        for n, label in enumerate(sheet.labels)
    ]
    return sheet.pieces(widths, width - names)


def _width(texts: Sequence[str]) -> int:
    return max(cell_len(line) for text in texts for line in text.split("\n")) + PADDING


def _print(console: Console, sheet: Sheet) -> None:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text as Styled

    grid = Grid(
        title=Styled(sheet.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    grid.add_column("", no_wrap=True)
    for over, label in zip(sheet.over, sheet.labels, strict=True):
        grid.add_column(Styled(f"{over}\n{label}"), justify="right", no_wrap=True)
    for line in sheet.every_line:
        is_last = bool(sheet.below) and line is sheet.lines[-1]
        cells = (_styled(cell) for cell in (line.name, *line.cells))
        grid.add_row(*cells, end_section=is_last)
    console.print(grid)


def _styled(cell: Text) -> Styled:
    from rich.text import Text as Styled

    text = Styled(_text(cell))
    first_line = len(_text(cell).partition("\n")[0])
    text.stylize("bold" if cell.is_bold else "", 0, first_line)
    text.stylize("dim", first_line)
    return text


def _text(cell: Text) -> str:
    marks = f" ({','.join(cell.marks)})" if cell.marks else ""
    return "\n".join([cell.main + marks, *cell.small])
