"""A finished figure with its numbers and remarks, and how it is written.

The same runs give the same bytes: no date, no version, no drawn identifiers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import PlumblineError
from harness.cells import guarded
from harness.plots.style import DPI, house_style
from harness.store import to_json, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
DATA_FORMATS = (".csv", ".json")


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes:
        rows: what is drawn, one row per point, all with the same keys.
        notes: what a reader must know: bands, gaps, incomplete coverage. They stand in the figure.
        hints: what whoever draws it may want to know.
    """

    figure: Figure
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()
    hints: Sequence[str] = ()


def check_names(figures: Sequence[Path], data: Path | None) -> None:
    """Raises PlumblineError for a file whose name does not tell a format that can be written."""
    for path in figures:
        if path.suffix.lower() not in _METADATA:
            raise PlumblineError(f"--out {path}: name it .png, .svg or .pdf")
    if data is not None and data.suffix.lower() not in DATA_FORMATS:
        raise PlumblineError(f"--data {data}: name it .csv or .json")


def write_figure(drawing: Drawing, path: Path) -> None:
    """The figure in the format of the file's name."""
    suffix = path.suffix.lower()
    stream = io.BytesIO()
    with house_style():
        drawing.figure.savefig(stream, format=suffix[1:], dpi=DPI, metadata=_METADATA[suffix])
    write_atomically(path, stream.getvalue())


def write_data(drawing: Drawing, path: Path) -> None:
    """What is drawn, as CSV or JSON."""
    if path.suffix.lower() == ".json":
        content = to_json({"notes": list(drawing.notes), "rows": list(drawing.rows)})
    else:
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(drawing.rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in drawing.rows:
            cells = (guarded(cell) if isinstance(cell, str) else cell for cell in row.values())
            writer.writerow(dict(zip(row, cells, strict=True)))
        content = stream.getvalue()
    write_atomically(path, content)
