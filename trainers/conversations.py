"""Turns, answers and pictures of a record, whatever way its data set writes them.

Turns come as ``{"role", "content"}`` or ``{"from", "value"}``, with text or TRL's list of parts; pictures
as markers in the text, as parts, or as nothing but the record's list of pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.base import Message, Role
from trainers.preference_files import Row

MARKER = "<image>"

ROLES: Mapping[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}

PICTURE_FIELDS = ("images", "image", "img_path")


class UnusableError(Exception):
    """A record is well formed and yet no pair; the text says why."""


def conversation(row: Row, prompt: Any) -> tuple[Message, ...]:
    """A prompt that is text, or a list of turns, with the row's pictures. Raises BadRecordError."""
    told = [Message("user", prompt)] if isinstance(prompt, str) else turns(row, prompt, "prompt")
    return with_pictures(row, told)


def turns(row: Row, value: Any, name: str) -> list[Message]:
    """A list of turns; parts that are pictures become markers.

    Args:
        name: what an error calls it.

    Raises:
        BadRecordError: it is no such list.
    """
    fix = 'Write [{"role": "user", "content": "…"}, …]'
    if not isinstance(value, list) or not value:
        raise row.error(f"{name} is no list of turns", fix)
    told = []
    for turn in value:
        who = turn.get("role", turn.get("from")) if isinstance(turn, Mapping) else None
        if not isinstance(who, str) or who not in ROLES:
            raise row.error(f"{name} has a turn of nobody known ({who!r})", fix)
        text = _content(turn.get("content", turn.get("value")))
        if text is None:
            raise row.error(f"{name} has a turn without text", fix)
        told.append(Message(ROLES[who], text))
    return told


def answer(row: Row, value: Any, name: str) -> str:
    """An answer that is text, a turn, or a list of one turn. Raises BadRecordError."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping):
        value = _content(value.get("content", value.get("value")))
    if not isinstance(value, str):
        raise row.error(f"{name} holds no answer", "Write the answer as text")
    return value


def with_pictures(row: Row, told: Sequence[Message]) -> tuple[Message, ...]:
    """The turns with the row's pictures where their markers stand, or with the first user turn.

    Pictures stand before their turn's text, wherever in it the marker is: LLaVA's code moves it there, too.

    Raises:
        BadRecordError: markers and pictures differ in number, or the user does not have the last turn.
        UnusableError: words stand between markers, so that moving them would lose their order.
    """
    if told[-1].role != "user":
        raise row.error("the prompt does not end with the user", "Let the question be last")
    pictures = list(row.pictures(*PICTURE_FIELDS))
    in_turns = [turn.text.count(MARKER) for turn in told]
    if sum(in_turns) not in (0, len(pictures)):
        raise row.error(
            f"{sum(in_turns)} markers {MARKER} and {len(pictures)} pictures",
            f"Write one {MARKER} for each picture, or none",
        )
    if not any(in_turns):
        first = next(index for index, turn in enumerate(told) if turn.role == "user")
        in_turns[first] = len(pictures)
    messages = []
    for turn, number in zip(told, in_turns, strict=True):
        if any(between.strip() for between in turn.text.split(MARKER)[1:-1]):
            raise UnusableError("words stand between its pictures")
        text = turn.text
        if MARKER in text:
            text = text.replace(MARKER, "").strip("\n ")
        messages.append(Message(turn.role, text, tuple(pictures[:number])))
        del pictures[:number]
    return tuple(messages)


def _content(content: Any) -> str | None:
    """A turn's text; of a list of parts, pictures become markers. None if it is neither."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        return None
    # The columns of a data set give every part a text, None for a picture.
    parts = [MARKER if part.get("type") == "image" else part.get("text") for part in content]
    return "".join(part for part in parts if isinstance(part, str))
