"""The table as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.compare.model import Table
from harness.compare.sheets import Sheet, Text, remarks, sheets

SPECIAL = re.compile(r"([\\`*{}\[\]#|~&$!:])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What would be markup; an underscore inside a word is none."""


def markdown(table: Table) -> str:
    """The sheets, then footnotes and remarks."""
    lines = [line for sheet in sheets(table) for line in _sheet(sheet)]
    for mark, text in remarks(table):
        lines.append(f"- <sup>{mark}</sup> {escaped(text)}" if mark else f"- {escaped(text)}")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A text that stays what it is in a table's cell."""
    marked = SPECIAL.sub(lambda found: f"\\{found[0]}", text)
    return marked.replace("<", "&lt;").replace(">", "&gt;")


def _sheet(sheet: Sheet) -> Iterator[str]:
    if sheet.title:
        yield from (f"**{escaped(sheet.title)}**", "")
    over = [heading for heading, width in sheet.headings for _ in range(width)]
    labels = (
        f"{escaped(h)}<br>{escaped(label)}" for h, label in zip(over, sheet.labels, strict=True)
    )
    yield _row("", *labels)
    yield "|---|" + "---:|" * len(over)
    for line in sheet.every_line:
        yield _row(*map(_cell, (line.name, *line.cells)))
    yield ""


def _cell(cell: Text) -> str:
    main = f"**{escaped(cell.main)}**" if cell.is_bold else escaped(cell.main)
    marks = f" <sup>{','.join(cell.marks)}</sup>" if cell.marks else ""
    return main + marks + "".join(f"<br><sub>{escaped(line)}</sub>" for line in cell.small)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
