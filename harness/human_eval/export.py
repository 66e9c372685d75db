"""The folder of a study: a handout for each annotator, and the key apart from them.

::

    DIR/annotator_1/annotate.html   one page to annotate in, offline
    DIR/annotator_1/sheet.xlsx      the same as a spreadsheet with pictures
    DIR/annotator_1/sheet.csv       the same as text, with the pictures beside it
    DIR/annotator_2/…
    DIR/unblind/key.json            which response is whose: for nobody who annotates
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.base import Picture, PlumblineError
from harness.human_eval.handout import encode, hand_out
from harness.human_eval.page import page_html
from harness.human_eval.sheets import picture_files, sheet_csv, sheet_xlsx
from harness.human_eval.study import Study
from harness.store import to_json, write_atomically

PAGE, WORKBOOK, TABLE = "annotate.html", "sheet.xlsx", "sheet.csv"
UNBLIND, KEY = "unblind", "key.json"


def export(
    study: Study,
    pictures: Mapping[str, Sequence[Picture]],
    out: Path,
    *,
    with_pictures: bool = True,
) -> None:
    """Write a study's folder, or nothing.

    Raises:
        PlumblineError: there is something at ``out`` already, perhaps somebody's annotations.
        PictureError: a picture is missing; it is named.
    """
    check_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    half = out.with_name(f".{out.name}.{os.getpid()}")
    half.mkdir()
    try:
        _write(study, pictures, half, with_pictures)
        if out.exists():
            out.rmdir()
        os.replace(half, out)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def check_free(out: Path) -> None:
    """Raises PlumblineError unless ``out`` is a name that is free, or an empty folder."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists():
        raise PlumblineError(
            f"{out} is there already, and annotations may belong to its key. Use another --out, or "
            "remove it"
        )


def _write(
    study: Study, pictures: Mapping[str, Sequence[Picture]], folder: Path, with_pictures: bool
) -> None:
    encoded = encode(pictures) if with_pictures else {}
    for sheet in study.sheets:
        handout = hand_out(study, sheet, pictures, encoded)
        own = folder / f"annotator_{sheet.number}"
        write_atomically(own / PAGE, page_html(handout))
        write_atomically(own / WORKBOOK, sheet_xlsx(handout))
        write_atomically(own / TABLE, sheet_csv(handout))
        for name, content in picture_files(handout).items():
            write_atomically(own / name, content)
    write_atomically(folder / UNBLIND / KEY, to_json(study.to_json()))
