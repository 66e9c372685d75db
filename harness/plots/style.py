"""What all figures share: sizes, fonts, and colours with shapes that survive greyscale.

Colours are those of M. Okabe and K. Ito, "Color Universal Design" (2008), which people with any of the common
colour vision deficiencies can tell apart; its yellow, too pale for a line on paper, is replaced by a grey.
Colour is never alone: each series has a marker, a line style and a hatch of its own as well.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.3, 6.8
"""Inches: one column of a two-column paper, and the width of its page."""

DPI = 300
_NOTE_SIZE, _NOTE_LETTER = 5.5, 2.95
"""Points: the size of remarks, and the width of their letters on average."""

INK, FAINT, GRID = "#222222", "#6B6B6B", "#DDDDDD"

_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00", "#8C8C8C",
)  # fmt: skip
_MARKERS = "osD^vPX<>*"
_DASHES: tuple[Any, ...] = (
    "solid", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)), (0, (2.5, 1)),
)  # fmt: skip
_HATCHES = ("", "/////", "....", "\\\\\\\\\\", "xxxx", "-----", "|||||", "ooo", "+++++")

_RC: dict[str, Any] = {
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.8,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "plumbline",
    "text.parse_math": False,  # names come from outside
}


@contextmanager
def house_style() -> Iterator[None]:
    """Figures that are made and written inside look alike, whatever the user's matplotlibrc says."""
    import matplotlib.style

    with matplotlib.style.context(["default", _RC]):
        yield


@dataclass(frozen=True)
class Look:
    """How one series is drawn."""

    colour: str
    marker: str
    dashes: Any
    hatch: str


def look(index: int) -> Look:
    """The look of series number ``index``; the first 8 differ in everything, the first 40 in something."""

    def of(choices: Sequence[Any]) -> Any:
        return choices[index % len(choices)]

    return Look(of(_COLOURS), of(_MARKERS), of(_DASHES), of(_HATCHES))


def lightened(colour: str) -> str:
    """Half way to white."""
    channels = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{(channel + 255) // 2:02X}" for channel in channels)


@cache
def _font() -> Any:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return get_font(findfont(FontProperties(family=_RC["font.family"])))


@cache
def _drawable(character: str) -> bool:
    return bool(_font().get_char_index(ord(character)))


def inert(text: str) -> str:
    """A name from outside on one line; what the font lacks, and what would turn text around, is "?"."""

    def shown(character: str) -> str:
        if character.isspace():
            return " "
        is_plain = unicodedata.category(character)[0] != "C"
        return character if is_plain and _drawable(character) else "?"

    return " ".join("".join(map(shown, text)).split()) or "?"


def elided(text: str, limit: int) -> str:
    """At most ``limit`` characters: the middle goes, for names often differ at their ends."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}"


def legible(names: Sequence[str], limit: int = 44) -> list[str]:
    """Names as a figure shows them; those that come out alike are numbered."""
    shown: list[str] = []
    for name in names:
        short = elided(inert(name), limit)
        numbered = (f"{elided(short, limit - 4)} ({n})" for n in count(2))
        while short in shown:
            short = next(numbered)
        shown.append(short)
    return shown


def wrapped(text: str, width: int) -> str:
    """Text on several lines of at most ``width`` characters."""
    return "\n".join(wrap(text, width)) or text


@dataclass(frozen=True)
class Layout:
    """What whoever draws a figure chooses.

    Attributes:
        width: inches.
        labels: what to call runs and lines, by their names.
        with_notes: whether remarks stand in the figure.
    """

    width: float = PAGE
    labels: Mapping[str, str] = field(default_factory=dict)
    with_notes: bool = True

    def names(self, known: Iterable[str]) -> dict[str, str]:
        """What the figure calls the runs or lines of these names."""
        named = list(dict.fromkeys(known))
        return dict(zip(named, legible([self.labels.get(n, n) for n in named]), strict=True))


def framed(
    layout: Layout, height: float, legend: Sequence[tuple[Any, str]], notes: Sequence[str] = ()
) -> Figure:
    """An empty figure with the legend above and remarks below, so that neither covers what is drawn.

    Args:
        height: inches for what is between.
        legend: handles and names, drawn in as many columns as fit.
    """
    from matplotlib.figure import Figure

    width = layout.width
    notes = notes if layout.with_notes else ()
    size = _RC["legend.fontsize"]
    widest = max((_text_width(label, size) for _, label in legend), default=0.0) + 5.5 * size
    n_columns = max(1, min(len(legend), int(width * 72 / widest)))
    n_legend_rows = -(-len(legend) // n_columns)
    lines = [wrapped(note, int(width * 72 / _NOTE_LETTER)) for note in notes]
    n_note_lines = sum(line.count("\n") + 1 for line in lines)
    above = (1.5 * size * n_legend_rows + size * bool(legend)) / 72
    below = (1.25 * _NOTE_SIZE * n_note_lines + _NOTE_SIZE * bool(lines)) / 72
    figure = Figure(figsize=(width, height + above + below), layout="constrained")
    if legend:
        # The library leaves out labels that begin with an underscore, so they are set afterwards.
        blanks = ["" for _ in legend]
        box = figure.legend(
            [handle for handle, _ in legend], blanks, loc="outside upper center", ncols=n_columns
        )
        for text, (_, label) in zip(box.get_texts(), legend, strict=True):
            text.set_text(label)
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=_NOTE_SIZE, color=FAINT, x=0.01, ha="left")
    return figure


def _text_width(text: str, size: float) -> float:
    """Points."""
    font = _font()
    font.set_size(size, 72)
    font.set_text(text)
    return float(font.get_width_height()[0]) / 64
