"""POPE's files: questions in, answers in and out.

Question files are JSON Lines in spite of their suffix (``coco``) or JSON arrays (``seem``).
Official answer files hold one record per question::

    {"question_id": 1, "question": "Is there a snowboard in the image?", "answer": "Yes"}

The official script pairs answers and labels by position, so that shuffled or missing answers give
wrong numbers without an error. Here the default is to pair by ``question_id``, in any order;
questions without an answer stay unanswered. Pairing by position repeats official numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.base import BadRecordError, Item, PlumblineError, Response, ResponseStatus
from benchmarks.records import Record, read_records

ANSWER_FIELDS = ("answer", "response", "text")
"""The official field first; LLaVA's own files use ``text``, which elsewhere may be the question."""

PAIRINGS = ("id", "position")

_FILE_NAME = re.compile(r"\w[\w. -]*")

Questions = Mapping[str, Sequence[Item]]
"""Items in question order, by split."""


class Question(NamedTuple):
    """A record of a question file."""

    question_id: int
    image: str
    text: str
    label: str


def read_questions(path: Path, remedy: str) -> Iterator[Question]:
    """The questions of a file, checked.

    Args:
        path: the file.
        remedy: the command that restores it.

    Raises:
        BadRecordError: a field is missing or wrong, or a question_id occurs twice.
    """
    fix = f"Restore the official file: {remedy}"
    line_of: dict[int, int] = {}
    for record in read_records(path):
        question_id, image, text, label = (record.fields.get(key) for key in Question._fields)
        if type(question_id) is not int:
            raise record.error(f"question_id is {question_id!r}, not an integer", fix)
        if question_id in line_of:
            raise record.error(f"question_id {question_id} as in line {line_of[question_id]}", fix)
        if not isinstance(image, str) or not _FILE_NAME.fullmatch(image):
            raise record.error(f"image is {image!r}, not a file name", fix)
        if not isinstance(text, str) or not text.strip():
            raise record.error(f"text is {text!r}, not a question", fix)
        if label not in ("yes", "no"):
            raise record.error(f"label is {label!r}, neither 'yes' nor 'no'", fix)
        line_of[question_id] = record.line
        yield Question(question_id, image, text, label)


def read_answers(
    paths: Sequence[Path],
    questions: Questions,
    *,
    split: str | None = None,
    pairing: str = "id",
) -> list[Response]:
    """Responses from answer files, JSON Lines or JSON arrays.

    With pairing "id", a record is paired by its ``question_id``; if no record has one, by position.
    Where a record has a ``question``, it must contain the official text (a prompt may stand around
    it). With pairing "position", ids and questions are not looked at, as in the official script. A
    file with more answers than questions is refused in either case: the official script leaves the
    surplus out of F1 but counts it in the yes ratio.

    Args:
        paths: answer files of one split each; several may share a split if their questions differ.
        questions: all questions that there are.
        split: the split of all files. Otherwise it is the only one whose questions are those of the
            file, or else the only one that the file's name contains.
        pairing: "id" or "position".

    Raises:
        BadRecordError: a record cannot be paired, or has no answer, or the split is not clear.
        PlumblineError: an argument is not one of those that exist.
    """
    if split is not None and split not in questions:
        raise PlumblineError(f"split is {split!r}; choose from {', '.join(questions)}")
    if pairing not in PAIRINGS:
        raise PlumblineError(f"pairing is {pairing!r}; choose from {', '.join(PAIRINGS)}")
    responses: list[Response] = []
    origin: dict[str, Record] = {}
    for path in paths:
        records = read_records(path)
        items = questions[split or _split_of(path, records, questions)]
        pair = _by_position if pairing == "position" else _by_id
        for record, item in zip(records, pair(records, items), strict=True):
            if item.id in origin:
                other = origin[item.id]
                place = f"{other.path}, line {other.line}"
                raise record.error(
                    f"{item.id} is answered already in {place}", "Remove one of them"
                )
            origin[item.id] = record
            responses.append(Response(item.id, "", _answer(record)))
    return responses


def written_answers(items: Sequence[Item], responses: Mapping[str, Response]) -> str:
    """An official answer file (JSON Lines) for those items that have an answer."""
    lines = []
    for item in items:
        response = responses.get(item.id)
        if response is not None and response.status is ResponseStatus.OK:
            record = {
                "question_id": int(_question_id(item)),
                "question": item.question,
                "answer": response.text,
            }
            # json.dumps writes ASCII: an answer may hold lone surrogates, which UTF-8 has not.
            lines.append(json.dumps(record) + "\n")
    return "".join(lines)


def _answer(record: Record) -> str:
    """The answer's text. Raises BadRecordError when there is none."""
    for field in ANSWER_FIELDS:
        if field in record.fields:
            answer = record.fields[field]
            if isinstance(answer, str):
                return answer
            fix = "Write the model's answer as text, or leave the record out if it did not answer"
            raise record.error(f"{field} is {type(answer).__name__}, not text", fix)
    raise record.error("there is no answer", f"Write the model's answer as {ANSWER_FIELDS[0]!r}")


def _by_position(records: Sequence[Record], items: Sequence[Item]) -> list[Item]:
    """The item of each record, by position. A shorter list leaves the last items unanswered."""
    if len(records) > len(items):
        surplus = records[len(items)]
        fix = "Remove what is not an answer to a question, or check --split and pope.variant"
        raise surplus.error(f"there are {len(records)} answers to {len(items)} questions", fix)
    return list(items[: len(records)])


def _by_id(records: Sequence[Record], items: Sequence[Item]) -> list[Item]:
    """The item of each record by its question_id; by position when no record has one."""
    if not any("question_id" in record.fields for record in records):
        return _by_question_order(records, items)
    by_id = {_question_id(item): item for item in items}
    line_of: dict[str, int] = {}
    found = []
    for record in records:
        item = by_id.get(_given_id(record))
        if item is None:
            shown = record.fields["question_id"]
            fix = "Check --split and pope.variant; ids are those of the official question file"
            raise record.error(f"there is no question {shown!r} in this split", fix)
        if item.id in line_of:
            problem = f"question_id {_question_id(item)} as in line {line_of[item.id]}"
            raise record.error(problem, "Remove one of the two answers")
        _check_question(record, item)
        line_of[item.id] = record.line
        found.append(item)
    return found


def _by_question_order(records: Sequence[Record], items: Sequence[Item]) -> list[Item]:
    """As ``_by_position``, but only if nothing speaks against it."""
    found = _by_position(records, items)
    if len(records) < len(items) and not all("question" in record.fields for record in records):
        raise BadRecordError(
            f"{records[0].path}: {len(records)} answers without question_id and question to "
            f"{len(items)} questions, so it is not known which are missing. Add the ids, or pass "
            "--pairing position if the last ones are"
        )
    for record, item in zip(records, found, strict=True):
        _check_question(record, item)
    return found


def _given_id(record: Record) -> str:
    """A record's question_id as text; ids in quotes are accepted."""
    if "question_id" not in record.fields:
        raise record.error("question_id is missing, but other records have one", "Add it")
    value = record.fields["question_id"]
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise record.error(f"question_id is {value!r}, not an integer", "Write the official id")
    return str(value)


def _question_id(item: Item) -> str:
    return item.id.removeprefix(f"{item.split}/")


def _asks(record: Record, item: Item) -> bool:
    question: Any = record.fields.get("question")
    return isinstance(question, str) and item.question in question


def _check_question(record: Record, item: Item) -> None:
    """Raises BadRecordError if a record says that it answers another question."""
    if record.fields.get("question") is not None and not _asks(record, item):
        given = record.fields["question"]
        problem = f"the question is {_shortened(given)}, but {item.id} asks {item.question!r}"
        fix = "Check --split, pope.variant and the record's question_id"
        raise record.error(problem, fix)


def _shortened(value: object, limit: int = 100) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _split_of(path: Path, records: Sequence[Record], questions: Questions) -> str:
    """The split that a file answers: by its questions, or else by its name."""
    fitting = [split for split, items in questions.items() if _all_ask(records, items)]
    named = [split for split in questions if split in path.name.lower()]
    for candidates in (fitting, named):
        if len(candidates) == 1:
            return candidates[0]
    raise BadRecordError(
        f"{path}: neither the questions nor the file's name tell one split. "
        f"Pass --split {'|'.join(questions)}"
    )


def _all_ask(records: Sequence[Record], items: Sequence[Item]) -> bool:
    """Whether every record has a question, and it is the one that the split has in its place."""
    if len(records) > len(items):
        return False
    by_id = {_question_id(item): item for item in items}
    for position, record in enumerate(records):
        given = record.fields.get("question_id", _question_id(items[position]))
        item = by_id.get(str(given))
        if item is None or not _asks(record, item):
            return False
    return bool(records)
