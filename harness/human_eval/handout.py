"""What an annotator gets: the texts of one sheet and its pictures. No run is named in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.base import Picture, PictureError
from harness.human_eval.rubrics import Rubric
from harness.human_eval.study import Sheet, Study

MAX_SIDE = 1024
"""Pixels; larger pictures are made smaller."""

MIN_SIDE = 288
"""Pixels; smaller pictures are shown in whole multiples of their size, every pixel a sharp square."""

LOSSLESS_SIDE = 256
"""Pixels; pictures up to it are kept as PNG."""


@dataclass(frozen=True)
class Encoded:
    """A picture as it is handed out. Its file's name and whatever it carried besides pixels stay behind.

    Attributes:
        suffix: of a file that holds it, "png" or "jpeg".
    """

    content: bytes
    suffix: str
    width: int
    height: int

    @property
    def data_uri(self) -> str:
        encoded = base64.b64encode(self.content).decode("ascii")
        return f"data:image/{self.suffix};base64,{encoded}"


@dataclass(frozen=True)
class Row:
    """One task.

    Attributes:
        responses: by side.
        pictures: names in the handout's ``pictures``.
        picture_names: what the benchmark calls the pictures, where they are not handed out.
    """

    number: int
    id: str
    question: str
    reference: str
    responses: tuple[str, ...]
    pictures: tuple[str, ...]
    picture_names: str


@dataclass(frozen=True)
class Handout:
    """A sheet. ``pictures`` are by content, so that those of several tasks are kept once."""

    sheet_id: str
    rubric: Rubric
    title: str
    rows: tuple[Row, ...]
    pictures: Mapping[str, Encoded]


def hand_out(
    study: Study,
    sheet: Sheet,
    pictures: Mapping[str, Sequence[Picture]],
    encoded: Mapping[str, Encoded],
) -> Handout:
    """A sheet's texts and pictures.

    Args:
        pictures: of the questions by item id.
        encoded: by digest, from ``encode``; empty to hand out none.
    """
    rows = []
    for number, task_id in enumerate(sheet.order, start=1):
        task = study.task_of[task_id]
        question = study.question_of[task.item_id]
        shown = pictures.get(task.item_id, ())
        rows.append(
            Row(
                number,
                task_id,
                question.text,
                question.reference,
                tuple(study.responses(sheet, task)),
                tuple(picture.digest for picture in shown) if encoded else (),
                "" if encoded else ", ".join(picture.name for picture in shown),
            )
        )
    used = {digest: encoded[digest] for row in rows for digest in row.pictures}
    return Handout(sheet.id, study.rubric, study.title, tuple(rows), used)


def encode(pictures: Mapping[str, Sequence[Picture]]) -> dict[str, Encoded]:
    """Every picture once, by digest. Raises PictureError for one that is missing or damaged."""
    found: dict[str, Encoded] = {}
    for item_id, shown in pictures.items():
        for picture in shown:
            try:
                if picture.digest not in found:
                    found[picture.digest] = _encode(picture)
            except PictureError as error:
                raise PictureError(
                    f"{item_id}: {error}. Bring the picture, or use --without-pictures"
                ) from error
    return found


def _encode(picture: Picture) -> Encoded:
    from PIL import Image as pil

    image = picture.load()
    longest = max(image.size)
    keep = longest <= LOSSLESS_SIDE
    if longest < MIN_SIDE:
        times = -(-MIN_SIDE // longest)
        image = image.resize((image.width * times, image.height * times), pil.Resampling.NEAREST)
    elif longest > MAX_SIDE:
        image.thumbnail((MAX_SIDE, MAX_SIDE), pil.Resampling.LANCZOS)
    stream = io.BytesIO()
    if keep:
        image.save(stream, "PNG")
    else:
        image.save(stream, "JPEG", quality=88)
    return Encoded(stream.getvalue(), "png" if keep else "jpeg", *image.size)
