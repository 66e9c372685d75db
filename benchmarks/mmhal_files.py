"""MMHal-Bench's files: questions in, answers in and out, recorded judge replies in.

The question file is a JSON array, the "response template"; an answer file is the same with
``model_answer`` filled::

    {"question_type": "attribute", "question_topic": "outdoor", "image_id": "df62a56fdc1bb12b",
     "image_src": "https://c4.staticflickr.com/…_o.jpg", "image_content": ["Fire hydrant"],
     "question": "What color is …?", "gt_answer": "The color of …", "model_answer": ""}

A file of judge replies is a JSON array of chat completions. In each the record's position tells its
question, and its question's type; the official scripts check nothing but the number. Here a record
must also be the one that belongs in its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.base import (
    BadRecordError,
    FilePicture,
    Item,
    Judgment,
    JudgmentStatus,
    Response,
    ResponseStatus,
)
from benchmarks.records import Record, read_one_file, read_records

TYPES = (
    "attribute", "adversarial", "comparison", "counting", "relation", "environment", "holistic",
    "other",
)  # fmt: skip
"""A question's type by its position modulo 8."""

TOPICS = (
    "outdoor", "vehicle", "person", "animal", "food", "sports", "kitchen", "accessory",
    "electronic", "furniture", "indoor", "appliance",
)  # fmt: skip

N_QUESTIONS = len(TYPES) * len(TOPICS)

TEXT_FIELDS = ("question_type", "question_topic", "image_id", "image_src", "question", "gt_answer")


def read_questions(path: Path, pictures: Path, remedy: str) -> list[Item]:
    """The 96 questions in the official order; an item's id is ``"<type>/<topic>"``.

    Args:
        path: the response template.
        pictures: the folder of the pictures.
        remedy: the command that restores the file.

    Raises:
        BadRecordError: a field is missing or wrong, or the order is not the official one.
    """
    fix = f"Restore the official file: {remedy}"
    records = read_records(path)
    if len(records) != N_QUESTIONS:
        raise BadRecordError(f"{path}: {len(records)} records instead of {N_QUESTIONS}. {fix}")
    items: dict[str, Item] = {}
    for position, record in enumerate(records):
        item = _item(record, TYPES[position % len(TYPES)], pictures, fix)
        if item.id in items:
            raise record.error(f"a second question of type and topic {item.id}", fix)
        items[item.id] = item
    return list(items.values())


def _item(record: Record, wanted_type: str, pictures: Path, fix: str) -> Item:
    fields = record.fields
    for name in TEXT_FIELDS:
        if not isinstance(fields.get(name), str) or not fields[name].strip():
            raise record.error(f"{name} is {fields.get(name)!r}, not a text", fix)
    content = fields.get("image_content")
    # An old loading script made dictionaries of these lists; the judge would then read their keys.
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise record.error("image_content is no list of texts", fix)
    if fields["question_type"] != wanted_type:
        problem = f"question_type is {fields['question_type']!r} where {wanted_type!r} belongs"
        raise record.error(problem, fix)
    file_name = fields["image_src"].rsplit("/", 1)[-1]
    return Item(
        id=f"{fields['question_type']}/{fields['question_topic']}",
        group=file_name,
        question=fields["question"],
        split=fields["question_type"],
        pictures=(FilePicture(pictures / file_name),),
        reference={name: fields[name] for name in (*TEXT_FIELDS, "image_content")},
    )


def read_answers(paths: Sequence[Path], items: Sequence[Item]) -> list[Response]:
    """Responses from a filled response template.

    Raises:
        BadRecordError: records are missing, too many, out of place or without an answer.
    """
    responses = []
    for record, item in zip(_of_all_items(paths, items, "answers"), items, strict=True):
        _check_place(record, item, items)
        answer = record.fields.get("model_answer")
        if not isinstance(answer, str):
            problem = f"model_answer is {type(answer).__name__}, not text"
            raise record.error(problem, 'Write what the model answered, or "" if it said nothing')
        responses.append(Response(item.id, "", answer))
    if not any(response.text for response in responses):
        raise BadRecordError(
            f"{paths[0]}: every model_answer is empty; this is the template. Fill it with answers"
        )
    return responses


def read_replies(paths: Sequence[Path], items: Sequence[Item]) -> list[Judgment]:
    """Judgments from a file of chat completions, not parsed yet: OK wherever there is a text.

    Raises:
        BadRecordError: records are missing or too many, or one is no chat completion.
    """
    judgments = []
    for record, item in zip(_of_all_items(paths, items, "judge replies"), items, strict=True):
        try:
            choice = record.fields["choices"][0]
            text = choice["message"]["content"]
            is_reply = isinstance(text, str | None)
        except (KeyError, IndexError, TypeError):
            is_reply = False
        if not is_reply:
            raise record.error("no chat completion", "Write {choices: [{message: {content: …}}]}")
        judgments.append(
            Judgment(
                request_id=item.id,
                item_id=item.id,
                key="",
                status=JudgmentStatus.JUDGE_ERROR if text is None else JudgmentStatus.OK,
                raw=text or "",
                model=str(record.fields.get("model") or ""),
                error="the judge's reply has no text" if text is None else None,
                meta={"finish_reason": choice.get("finish_reason")},
            )
        )
    return judgments


def written_answers(items: Sequence[Item], responses: Mapping[str, Response]) -> str:
    """The filled response template; empty if an answer is missing: the form has no such case."""
    records = []
    for item in items:
        response = responses.get(item.id)
        if response is None or response.status is not ResponseStatus.OK:
            return ""
        fields = {name: item.reference[name] for name in (*TEXT_FIELDS, "image_content")}
        records.append({**fields, "model_answer": response.text.strip()})
    # json.dumps writes ASCII: an answer may hold lone surrogates, which UTF-8 does not have.
    return json.dumps(records, indent=2) + "\n"


def _of_all_items(paths: Sequence[Path], items: Sequence[Item], what: str) -> list[Record]:
    """The records of the one file, one for each item."""
    records = read_one_file(paths, f"{len(items)} {what}")
    if len(records) != len(items):
        raise BadRecordError(
            f"{paths[0]}: {len(records)} {what} to {len(items)} questions. A record's position "
            "tells its question, so there must be one for each, in the order of the template"
        )
    return records


def _check_place(record: Record, item: Item, items: Sequence[Item]) -> None:
    """Raises BadRecordError if a record is not that of the item in its place."""
    identity = ("image_id", "question")
    named: dict[str, Any] = {
        name: record.fields[name] for name in identity if name in record.fields
    }
    if not named:
        raise record.error("neither image_id nor question is there", "Start from the template")
    if any(item.reference[name] != value for name, value in named.items()):
        is_other = any(
            all(other.reference[name] == value for name, value in named.items()) for other in items
        )
        problem = f"{_shortened(named)} where {item.id} belongs ({item.question!r})"
        fix = (
            "Restore the order of the template" if is_other else "Start from the official template"
        )
        raise record.error(problem, fix)


def _shortened(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
