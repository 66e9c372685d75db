"""Object HalBench's files: questions, pictures and recorded judge replies in, answers in and out.

A record of the question file (JSON Lines)::

    {"org_idx": 0, "image_id": 310196, "question": "Provide a …", "image": "<base64>"}

and of an official answer file, where the official script takes ``text`` before ``answer`` and
``prompt`` before ``question``, and the line's place in the question file for an absent
``image_id``::

    {"image_id": 310196, "prompt": "Provide a …", "text": "The image shows …"}
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.base import (
    BadRecordError,
    EmbeddedPicture,
    FilePicture,
    Item,
    Picture,
    Response,
    ResponseStatus,
)
from benchmarks.records import Record, read_records

ANSWER_FIELDS = ("text", "answer")
QUESTION_FIELDS = ("prompt", "question")


class Question(NamedTuple):
    """A record of the question file. ``id`` is the image's, with "/2" for a second question."""

    id: str
    image_id: int
    text: str
    picture: Picture


def read_questions(path: Path, pictures: Path, remedy: str) -> list[Question]:
    """The questions in file order.

    Args:
        path: the question file.
        pictures: folder of COCO's val2014 pictures, for records without an embedded one.
        remedy: the command that restores the file.

    Raises:
        BadRecordError: a field is missing or wrong.
    """
    fix = f"Restore the official file: {remedy}"
    seen: Counter[int] = Counter()
    questions = []
    for record in read_records(path):
        image_id, text, encoded = (
            record.fields.get(key) for key in ("image_id", "question", "image")
        )
        if not isinstance(text, str) or not text.strip():
            raise record.error(f"question is {text!r}, not a question", fix)
        if not isinstance(encoded, str | None):
            raise record.error(f"image is {type(encoded).__name__}, not base64 text", fix)
        number = _image_number(record, image_id, fix)
        seen[number] += 1
        suffix = f"/{seen[number]}" if seen[number] > 1 else ""
        name = f"COCO_val2014_{number:012d}.jpg"
        picture = EmbeddedPicture(name, encoded) if encoded else FilePicture(pictures / name)
        questions.append(Question(f"{number}{suffix}", number, text, picture))
    if not questions:
        raise BadRecordError(f"{path}: there is no question in it. {fix}")
    return questions


def read_answers(paths: Sequence[Path], items: Sequence[Item]) -> list[Response]:
    """Responses from official answer files (JSON Lines or a JSON array), in any order.

    A record belongs to the question on its ``image_id``; if no record has one, to the question on
    the same line. Where it names its question, that must contain the official text.

    Raises:
        BadRecordError: a record cannot be paired, is a second answer, or has no text.
    """
    return [
        Response(item.id, "", _answer(record)) for record, item in _paired(paths, items, "answer")
    ]


class RecordedReplies(NamedTuple):
    """What a judge once replied about an item, attempt by attempt."""

    item: Item
    replies: Sequence[str]


def read_replies(paths: Sequence[Path], items: Sequence[Item]) -> list[RecordedReplies]:
    """Recorded judge replies: records of ``image_id`` and ``judge_outputs_in_turn``.

    Raises:
        BadRecordError: a record cannot be paired, comes twice, or has no replies.
    """
    found = []
    for record, item in _paired(paths, items, "judge reply"):
        replies = record.fields.get("judge_outputs_in_turn")
        if (
            not isinstance(replies, list)
            or not replies
            or not all(isinstance(r, str) for r in replies)
        ):
            problem = "judge_outputs_in_turn is no list of texts"
            raise record.error(problem, "Write every reply of the judge, in order")
        found.append(RecordedReplies(item, replies))
    return found


def written_answers(items: Sequence[Item], responses: Mapping[str, Response]) -> str:
    """An official answer file for the items that have an answer."""
    lines = []
    for item in items:
        response = responses.get(item.id)
        if response is not None and response.status is ResponseStatus.OK:
            record = {
                "image_id": item.reference["image_id"],
                "prompt": item.question,
                "text": response.text,
            }
            # Written as ASCII: an answer may hold lone surrogates, which UTF-8 does not have.
            lines.append(json.dumps(record) + "\n")
    return "".join(lines)


def _paired(paths: Sequence[Path], items: Sequence[Item], what: str) -> list[tuple[Record, Item]]:
    """Each record with the item that it is about."""
    pairs: list[tuple[Record, Item]] = []
    taken: dict[str, Record] = {}
    for path in paths:
        records = read_records(path)
        is_by_id = any("image_id" in record.fields for record in records)
        found = _by_image(records, items, taken) if is_by_id else _by_line(path, records, items)
        for record, item in zip(records, found, strict=True):
            if item.id in taken:
                other = taken[item.id]
                problem = f"a second {what} for {item.id}, after {other.path}, line {other.line}"
                raise record.error(problem, "Remove one of them")
            if not _fits(record, item):
                problem = (
                    f"it is about {_question(record)[:80]!r}, but {item.id} asks {item.question!r}"
                )
                raise record.error(problem, "Check the ids and the order of the records")
            taken[item.id] = record
            pairs.append((record, item))
    return pairs


def _by_image(
    records: Sequence[Record], items: Sequence[Item], taken: Mapping[str, Record]
) -> list[Item]:
    """The item on each record's image: of several, the first fitting one that no record has yet."""
    of_image: dict[int, list[Item]] = {}
    for item in items:
        of_image.setdefault(item.reference["image_id"], []).append(item)
    used = set(taken)
    found = []
    for record in records:
        if "image_id" not in record.fields:
            raise record.error("image_id is missing, but other records have one", "Add it")
        number = _image_number(record, record.fields["image_id"], "Write COCO's id")
        if number not in of_image:
            raise record.error(f"there is no question on image {number}", "Check the file")
        candidates = of_image[number]
        fitting = [item for item in candidates if item.id not in used and _fits(record, item)]
        item = (fitting or candidates)[0]
        used.add(item.id)
        found.append(item)
    return found


def _by_line(path: Path, records: Sequence[Record], items: Sequence[Item]) -> list[Item]:
    if len(records) != len(items):
        raise BadRecordError(
            f"{path}: {len(records)} records without image_id to {len(items)} questions, so it is "
            "not known which belongs to which. Add the ids"
        )
    return list(items)


def _image_number(record: Record, value: object, fix: str) -> int:
    """COCO's id, which may stand in quotes."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return int(value)
        except ValueError:
            pass
    raise record.error(f"image_id is {str(value)[:80]!r}, not an integer", fix)


def _question(record: Record) -> str:
    """The question that a record names; empty when it names none."""
    given: Any = next((record.fields[key] for key in QUESTION_FIELDS if key in record.fields), None)
    return "" if given is None else str(given)


def _fits(record: Record, item: Item) -> bool:
    question = _question(record)
    return not question or item.question.strip() in question


def _answer(record: Record) -> str:
    for field in ANSWER_FIELDS:
        if field in record.fields:
            answer = record.fields[field]
            if isinstance(answer, str):
                return answer
            fix = "Write the model's answer as text, or leave the record out if it did not answer"
            raise record.error(f"{field} is {type(answer).__name__}, not text", fix)
    raise record.error("there is no answer", f"Write the model's answer as {ANSWER_FIELDS[0]!r}")
