"""LLaVA-Bench's files: questions, what the judge is told, answers in and out, recorded reviews in.

All but the rules are JSON Lines, as LLaVA's scripts write them::

    questions.jsonl      {"question_id": 0, "image": "001.jpg", "text": "What …?", "category": "conv"}
    context.jsonl        {"image": "001.jpg", "caption": "An aerial view of …", …}
    answers_gpt4.jsonl   {"question_id": 0, "text": "The …", "answer_id": "…", …}
    answers              {"question_id": 0, "prompt": "What …?", "text": "The …", "answer_id": "…",
                          "model_id": "…", "metadata": {}}
    reviews              {"id": 1, "question_id": 0, "category": "llava_bench_conv",
                          "content": "8 9\\nBoth …", "tuple": [8.0, 9.0], …}
    rule.json            {"llava_bench_conv": {"role": "Assistant", "prompt": "We would …"}, …}

The official script pairs questions, reference answers and answers by position and looks at no id.
Here ids decide, and what the script would pair otherwise is refused, unless pairing by position is
asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.base import (
    BadRecordError,
    FilePicture,
    Item,
    PlumblineError,
    Response,
    ResponseStatus,
    sha256_of,
)
from benchmarks.records import Record, read_one_file, read_records

CATEGORIES = ("complex", "conv", "detail")
PREFIX = "llava_bench_"
"""Of a category's name among the rules and in reviews."""

PAIRINGS = ("id", "position")
MODEL_ID = "plumbline"
"""The model's name in written answers; no official script looks at it."""


def read_questions(path: Path, pictures: Path, remedy: str) -> list[Item]:
    """The questions in file order; an item's id is its question's, its split the category.

    Args:
        path: the official file, or its stand-in, which does not name the pictures.
        pictures: the folder of the pictures.
        remedy: the command that restores the file.

    Raises:
        BadRecordError: a field is missing or wrong.
    """
    fix = f"Restore the official file: {remedy}"
    items: dict[str, Item] = {}
    for record in read_records(path):
        item = _item(record, pictures, fix)
        if item.id in items:
            raise record.error(f"a second question with question_id {item.id}", fix)
        items[item.id] = item
    if not items:
        raise BadRecordError(f"{path}: there is no question in it. {fix}")
    return list(items.values())


def _item(record: Record, pictures: Path, fix: str) -> Item:
    item_id = _question_id(record, fix)
    image, text, category = (record.fields.get(name) for name in ("image", "text", "category"))
    if not isinstance(text, str) or not text.strip():
        raise record.error(f"text is {text!r}, not a question", fix)
    if category not in CATEGORIES:
        raise record.error(f"category is {category!r}, none of {', '.join(CATEGORIES)}", fix)
    if image is None:
        # A picture that cannot be there, so that nobody asks the question without one.
        image = f"picture of question {item_id}, named in questions.jsonl"
    if not isinstance(image, str) or not image or Path(image).name != image:
        raise record.error(f"image is {image!r}, not a file name", fix)
    return Item(
        id=item_id,
        group=image,
        question=text,
        split=category,
        pictures=(FilePicture(pictures / image),),
        reference={"question_id": record.fields["question_id"], "image": image},
    )


def read_captions(path: Path, remedy: str) -> dict[str, str]:
    """What the judge is told of each picture. Raises BadRecordError."""
    fix = f"Restore the official file: {remedy}"
    found = {}
    for record in read_records(path):
        image, caption = record.fields.get("image"), record.fields.get("caption")
        if isinstance(caption, list) and all(isinstance(line, str) for line in caption):
            caption = "\n".join(caption)
        if not isinstance(image, str) or not isinstance(caption, str):
            raise record.error("image or caption is no text", fix)
        found[image] = caption
    return found


def read_references(path: Path, items: Sequence[Item], remedy: str) -> dict[str, str]:
    """GPT-4's answers by item id.

    Raises:
        BadRecordError: they are not in the order of the questions, or one has no text.
    """
    fix = f"Restore the official file: {remedy}"
    records = read_records(path)
    if len(records) != len(items):
        raise BadRecordError(f"{path}: {len(records)} answers to {len(items)} questions. {fix}")
    found = {}
    for record, item in zip(records, items, strict=True):
        if (given := _question_id(record, fix)) != item.id:
            raise record.error(f"question_id is {given} where {item.id} belongs", fix)
        found[item.id] = _text(record, fix)
    return found


class Rule(NamedTuple):
    """What the judge of a category is told to do, and what it calls the two answers."""

    role: str
    prompt: str


def read_rules(path: Path, remedy: str) -> dict[str, Rule]:
    """The rule of each category. Raises BadRecordError."""
    records = read_records(path)
    known = records[0].fields if len(records) == 1 else {}
    found = {}
    for category in CATEGORIES:
        rule = known.get(f"{PREFIX}{category}")
        texts = [rule.get(name) for name in Rule._fields] if isinstance(rule, dict) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise BadRecordError(
                f"{path}: no rule {PREFIX}{category} with role and prompt. "
                f"Restore the official file: {remedy}"
            )
        found[category] = Rule(*texts)
    return found


def read_answers(paths: Sequence[Path], items: Sequence[Item], pairing: str) -> list[Response]:
    """Responses from an official answer file.

    Args:
        pairing: "id", or "position" as in the official script; an end that is missing is not
            answered.

    Raises:
        BadRecordError: a record cannot be paired, is a second answer, or has no text.
        PlumblineError: there is no such pairing.
    """
    if pairing not in PAIRINGS:
        raise PlumblineError(f"pairing is {pairing!r}; choose from {', '.join(PAIRINGS)}")
    records = read_one_file(paths, "answers")
    if pairing == "position":
        if len(records) > len(items):
            problem = f"there are {len(records)} answers to {len(items)} questions"
            raise records[len(items)].error(problem, "Remove what is no answer to a question")
        pairs = list(zip(records, items, strict=False))
    else:
        pairs = list(_by_id(records, items, "Check the ids, or pass --pairing position"))
    fix = "Write the answer as text, or leave the record out if there is none"
    return [Response(item.id, "", _text(record, fix)) for record, item in pairs]


class Review(NamedTuple):
    """A judge's review of an item in one run.

    Attributes:
        pair: the ratings of reference and answer, as the record has them.
        content: the judge's reply; None where the record has none.
        has_category: whether the record names its category; officially one that does not counts in
            "all" only.
    """

    item_id: str
    pair: tuple[float, float]
    content: str | None
    has_category: bool


def read_reviews(path: Path, items: Sequence[Item]) -> list[Review]:
    """The reviews of one run.

    Raises:
        BadRecordError: there is none; a record cannot be paired, is a second review, is of another
            category than its question, or has no pair of ratings.
    """
    fix = "Check that the reviews are of these questions"
    records = read_records(path)
    if not records:
        raise BadRecordError(f"{path}: there is no review in it. Check the path")
    found = []
    for record, item in _by_id(records, items, fix):
        category = record.fields.get("category")
        if category not in (None, item.split, f"{PREFIX}{item.split}"):
            problem = f"category is {category!r}, but question {item.id} is of {item.split}"
            raise record.error(problem, fix)
        content = record.fields.get("content")
        if not isinstance(content, str | None):
            raise record.error("content is no text", "Write the judge's reply")
        found.append(Review(item.id, _pair(record), content, category is not None))
    return found


def _pair(record: Record) -> tuple[float, float]:
    """The ratings: ``tuple``, or ``score`` in older files."""
    given: Any = record.fields.get("tuple", record.fields.get("score"))
    if not isinstance(given, list) or [type(x) in (int, float) for x in given] != [True, True]:
        raise record.error(f"tuple is {given!r}, no pair of numbers", "Write [8.0, 9.0]")
    first, second = given
    try:
        return float(first), float(second)
    except OverflowError:
        raise record.error("a number of tuple is too large", "Write [8.0, 9.0]") from None


def written_answers(items: Sequence[Item], responses: Mapping[str, Response]) -> str:
    """An official answer file; empty if an answer is missing, since positions would shift."""
    lines = []
    for item in items:
        response = responses.get(item.id)
        if response is None or response.status is not ResponseStatus.OK:
            return ""
        record = {
            "question_id": item.reference["question_id"],
            "prompt": item.question,
            "text": response.text,
            "answer_id": sha256_of([item.id, response.text])[:22],
            "model_id": MODEL_ID,
            "metadata": {},
        }
        # json.dumps writes ASCII: an answer may hold lone surrogates, which UTF-8 does not have.
        lines.append(json.dumps(record) + "\n")
    return "".join(lines)


def _by_id(
    records: Sequence[Record], items: Sequence[Item], fix: str
) -> Iterator[tuple[Record, Item]]:
    """Each record with its item, in the order of the records. Raises BadRecordError."""
    by_id = {item.id: item for item in items}
    line_of: dict[str, int] = {}
    for record in records:
        given = _question_id(record, fix)
        if given not in by_id:
            raise record.error(f"there is no question with question_id {given}", fix)
        if given in line_of:
            raise record.error(f"question_id {given} as in line {line_of[given]}", fix)
        line_of[given] = record.line
        yield record, by_id[given]


def _question_id(record: Record, fix: str) -> str:
    """A record's question_id as text; ids in quotes are accepted."""
    value = record.fields.get("question_id")
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise record.error(f"question_id is {value!r}, no id", fix)
    return str(value)


def _text(record: Record, fix: str) -> str:
    text = record.fields.get("text")
    if not isinstance(text, str):
        raise record.error(f"text is {type(text).__name__}, not text", fix)
    return text
