"""Preferences as lines of the plain format, which ``trainers.preferences`` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.base import FilePicture, Message, Picture
from harness.store import write_atomically
from trainers.conversations import MARKER
from trainers.pairs import Preference


def write_preferences(path: Path, pairs: Iterable[Preference]) -> int:
    """Write a set in one step; pictures that are no files yet are written beside it, as PNG.

    Returns:
        The number of records.

    Raises:
        PictureError: a picture cannot be read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_record(pair, path), ensure_ascii=True) + "\n" for pair in pairs]
    write_atomically(path, "".join(lines))
    return len(lines)


def _record(pair: Preference, path: Path) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": pair.id,
        "images": [_written(picture, path) for picture in pair.pictures],
        "prompt": _prompt(pair.messages),
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "rejected_images": [_written(picture, path) for picture in pair.rejected_pictures],
        "spans": pair.spans and pair.spans._asdict(),
        "scores": dict(pair.scores),
        "source": pair.source,
        "meta": dict(pair.meta),
    }
    return {name: value for name, value in record.items() if value not in (None, [], {}, "")}


def _prompt(messages: Sequence[Message]) -> str | list[dict[str, str]]:
    """A single question as text; else turns, with markers unless all pictures stand with the first question."""
    if len(messages) == 1:
        return messages[0].text
    first = next(message for message in messages if message.role == "user")
    marked = any(message.pictures for message in messages if message is not first)
    turns = []
    for message in messages:
        lead = MARKER * len(message.pictures) + "\n" if marked and message.pictures else ""
        turns.append({"role": message.role, "content": lead + message.text})
    return turns


def _written(picture: Picture, path: Path) -> str:
    """A picture's path: from the set's folder where it lies in it, else the whole."""
    folder = path.parent.resolve()
    file = picture.path.resolve() if isinstance(picture, FilePicture) else _saved(picture, path)
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)


def _saved(picture: Picture, path: Path) -> Path:
    folder = path.parent.resolve() / f"{path.stem}_pictures"
    file = folder / f"{picture.digest}.png"
    if not file.exists():
        folder.mkdir(exist_ok=True)
        half = file.with_suffix(".part")
        picture.load().save(half, format="PNG")
        os.replace(half, file)
    return file
