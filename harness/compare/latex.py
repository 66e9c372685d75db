r"""The table as LaTeX that needs ``\usepackage{booktabs}`` and nothing else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from harness.compare.model import Table
from harness.compare.sheets import Line, Sheet, Text, remarks, sheets

PAGE_WIDTH, PAGE_LINES = 105, 24
"""Characters beside each other, and rows below each other, on a page of small type."""
SMALL, GAP = 0.75, 2
"""The width of a character in the smallest type, and that between columns, in characters."""

COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "[": "{[}",  # after the end of a row it would be read as an argument
    "]": "{]}",
    "*": "{*}",
    '"': r"\char34{}",
    "'": r"\char39{}",
    "`": r"\char96{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "°": r"$^{\circ}$",
    "†": r"$^{\dagger}$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
}
ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
NUMBER = re.compile(r"(?<![\w.])-(?=\d)")


def latex(table: Table) -> str:
    """Tabulars that fit on a page, then footnotes and remarks; for a ``table*`` or for the text itself."""
    lines = [r"% needs \usepackage{booktabs}", r"\begingroup\centering\small"]
    lines += [r"\setlength{\tabcolsep}{4pt}"]
    for sheet in sheets(table):
        if sheet.title:
            lines += [rf"{escaped(sheet.title)}\par\smallskip"]
        for piece in _pieces(sheet):
            lines += [*_tabular(piece), r"\par\medskip"]
    lines += [r"\footnotesize\raggedright"]
    for mark, text in remarks(table):
        lines += [f"{_superscript((mark,)) if mark else ''}{escaped(text)}\\par"]
    return "\n".join([*lines, r"\endgroup"]) + "\n"


def escaped(text: str) -> str:
    """A text that pdflatex prints as it is; what its fonts lack as its code point."""
    return "".join(map(_character, NUMBER.sub("−", text)))


def _character(c: str) -> str:
    if c == "−":
        return "$-$"
    if c in COMMANDS:
        return COMMANDS[c]
    if c.isascii():
        return c
    letter, accent = unicodedata.normalize("NFD", c)[:1], unicodedata.normalize("NFD", c)[1:]
    if letter.isascii() and accent in ACCENTS:
        return rf"\{ACCENTS[accent]}{{{letter}}}"
    return rf"\texttt{{U+{ord(c):04X}}}"


def _pieces(sheet: Sheet) -> Iterator[Sheet]:
    """Parts of a sheet that fit on a page."""
    widths = [
        max(
            len(label),
            *(_width(line.cells[n]) for line in sheet.every_line),
        )
        + GAP
        for n, label in enumerate(sheet.labels)
    ]
    names = max(_width(line.name) for line in sheet.every_line)
    for piece in sheet.pieces(widths, PAGE_WIDTH - names):
        for first in range(0, len(piece.lines), PAGE_LINES):
            lines = piece.lines[first : first + PAGE_LINES]
            is_last = first + PAGE_LINES >= len(piece.lines)
            yield replace(piece, lines=lines, below=piece.below if is_last else ())


def _width(cell: Text) -> float:
    main = len(cell.main) + SMALL * len(",".join(cell.marks))
    return max(main, *(SMALL * len(line) for line in cell.small), 0)


def _tabular(sheet: Sheet) -> Iterator[str]:
    yield rf"\begin{{tabular}}{{l{'r' * len(sheet.labels)}}}"
    yield r"\toprule"
    over, rules, column = [""], [], 2
    for heading, width in sheet.headings:
        over.append(rf"\multicolumn{{{width}}}{{c}}{{{escaped(heading)}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    yield " & ".join(over) + r" \\"
    yield "".join(rules)
    yield " & ".join(["", *map(escaped, sheet.labels)]) + r" \\"
    yield r"\midrule"
    for line in sheet.lines:
        yield from _line(line)
    if sheet.below:
        yield r"\midrule"
    for line in sheet.below:
        yield from _line(line)
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _line(line: Line) -> Iterator[str]:
    """A row of values and, closer than rows are, those of what stands small below them."""
    cells = (line.name, *line.cells)
    n_small = max(len(cell.small) for cell in cells)
    yield " & ".join(map(_main, cells)) + (r" \\[-2pt]" if n_small else r" \\")
    for number in range(n_small):
        small = (
            rf"{{\scriptsize {escaped(cell.small[number])}}}" if number < len(cell.small) else ""
            for cell in cells
        )
        yield " & ".join(small) + (r" \\[2pt]" if number == n_small - 1 else r" \\[-3pt]")


def _main(cell: Text) -> str:
    text = rf"\textbf{{{escaped(cell.main)}}}" if cell.is_bold else escaped(cell.main)
    return text + (_superscript(cell.marks) if cell.marks else "")


def _superscript(marks: tuple[str, ...]) -> str:
    return rf"\textsuperscript{{{','.join(marks)}}}"
