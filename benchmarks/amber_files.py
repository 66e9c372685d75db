"""AMBER's files: questions, annotations and word lists in, answers in and out.

An official answer file is one JSON array for all parts, in any order::

    [{"id": 1, "response": "The image shows a lake."}, {"id": 1005, "response": "Yes"}]

The official script counts a second answer to an id as one more answer. Here it is refused, because an
answer has one place in a run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.base import (
    BadRecordError,
    FilePicture,
    Item,
    MissingDataError,
    Response,
    ResponseStatus,
)
from benchmarks.records import Record, read_records

SPLIT_OF_TYPE = {
    "generative": "generative",
    "discriminative-attribute-state": "attribute-state",
    "discriminative-attribute-number": "attribute-number",
    "discriminative-attribute-action": "attribute-action",
    "discriminative-hallucination": "existence",
    "discriminative-relation": "relation",
    "relation": "relation",
}
"""Our names for the official types; relation questions have one type for yes and another for no."""

ANSWERS_FILE = "amber_responses.json"

Association = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Folder:
    """The official files in ``DATA_DIR/amber``, and the command that brings them."""

    path: Path
    remedy: str

    def queries(self, part: str) -> Path:
        is_dimension = part in ("existence", "attribute", "relation")
        name = f"discriminative-{part}" if is_dimension else part
        return self._file(f"query/query_{name}.json")

    @property
    def annotations(self) -> Path:
        return self._file("annotations.json")

    @property
    def relation(self) -> Path:
        return self._file("relation.json")

    @property
    def safe_words(self) -> Path:
        return self._file("safe_words.txt")

    def _file(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise MissingDataError(f"{path}: the file is not there", self.remedy)
        return path


def read_splits(folder: Folder) -> dict[str, str]:
    """The split of every item that there is, by its id. Raises MissingDataError or BadRecordError."""
    fix = f"Restore the official file: {folder.remedy}"
    records = _annotations(folder, fix)
    return {str(number): _split(record, fix) for number, record in enumerate(records, start=1)}


def read_items(folder: Folder, part: str) -> Iterator[Item]:
    """The items of a part's own query file, in its order. Raises MissingDataError or BadRecordError.

    The files differ in one question: the imagined object of item 13193 is a computer in
    ``query_all.json``, and a chair in the files of its part and in the annotation of the picture.
    """
    fix = f"Restore the official file: {folder.remedy}"
    known, annotations = read_association(folder), _annotations(folder, fix)
    # One object per picture, so that its digest is computed once, not for each of 15 questions.
    pictures: dict[str, FilePicture] = {}
    seen: set[int] = set()
    for query in read_records(folder.queries(part)):
        number, image, question = (query.fields.get(key) for key in ("id", "image", "query"))
        if type(number) is not int or not 1 <= number <= len(annotations) or number in seen:
            raise query.error(f"id is {number!r}, not that of one more annotation", fix)
        if not isinstance(image, str) or Path(image).name != image:
            raise query.error(f"image is {image!r}, not a file name", fix)
        if not isinstance(question, str) or not question.strip():
            raise query.error(f"query is {question!r}, not a question", fix)
        seen.add(number)
        picture = pictures.setdefault(image, FilePicture(folder.path / "images" / image))
        annotation = annotations[number - 1]
        split = _split(annotation, fix)
        reference = _reference(annotation, split, known, fix)
        yield Item(str(number), image, question, split, (picture,), reference)


def _annotations(folder: Folder, fix: str) -> list[Record]:
    """The annotations; as in the official script, an id is a place in the file, counted from 1."""
    records = read_records(folder.annotations)
    for number, record in enumerate(records, start=1):
        if record.fields.get("id") != number:
            raise record.error(f"id is {record.fields.get('id')!r}, not {number}", fix)
    return records


def _split(annotation: Record, fix: str) -> str:
    split = SPLIT_OF_TYPE.get(str(annotation.fields.get("type")))
    if split is None:
        raise annotation.error(f"type is {annotation.fields.get('type')!r}", fix)
    return split


def _reference(record: Record, split: str, known: Association, fix: str) -> dict[str, Any]:
    """``truth`` and ``hallu`` words of a picture, or the ``label`` of a question."""
    if split == "generative":
        return {name: _words(record, name, known, fix) for name in ("truth", "hallu")}
    label = record.fields.get("truth")
    if label not in ("yes", "no"):
        raise record.error(f"truth is {label!r}, neither 'yes' nor 'no'", fix)
    return {"label": label}


def _words(record: Record, name: str, known: Association, fix: str) -> tuple[str, ...]:
    words = record.fields.get(name)
    if not isinstance(words, list) or not words:
        raise record.error(f"{name} is {words!r}, not a list of words", fix)
    for word in words:
        if not isinstance(word, str) or word not in known:
            raise record.error(f"{name} has {word!r}, which relation.json does not have", fix)
    return tuple(words)


def read_association(folder: Folder) -> dict[str, tuple[str, ...]]:
    """``relation.json``: words with the words that are taken for them. Raises BadRecordError."""
    fix = f"Restore the official file: {folder.remedy}"
    try:
        content = json.loads(_text(folder.relation, fix))
    except (ValueError, RecursionError) as error:
        raise BadRecordError(f"{folder.relation}: not valid JSON ({error}). {fix}") from error
    if not isinstance(content, dict) or not content:
        raise BadRecordError(f"{folder.relation}: not a JSON object of words. {fix}")
    for word, associated in content.items():
        if not isinstance(associated, list) or not all(isinstance(w, str) for w in associated):
            raise BadRecordError(f"{folder.relation}: {word} has {associated!r}, not words. {fix}")
    return {word: tuple(associated) for word, associated in content.items()}


def read_safe_words(folder: Folder) -> frozenset[str]:
    """``safe_words.txt``: a word a line, never counted as hallucinated. Raises BadRecordError."""
    fix = f"Restore the official file: {folder.remedy}"
    return frozenset(_text(folder.safe_words, fix).split("\n"))


def _text(path: Path, fix: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecordError(f"{path}: the file cannot be read ({error}). {fix}") from error


def read_answers(
    paths: Sequence[Path], split_of: Mapping[str, str], splits: Sequence[str]
) -> list[Response]:
    """Responses from official answer files, in the order of the files.

    Args:
        paths: JSON arrays, or JSON Lines of the same records.
        split_of: the split of every item that there is, by its id.
        splits: those that are scored. Answers to others are checked and left out, as the official
            script does not print their figures.

    Raises:
        BadRecordError: an id is unknown or answered twice, or an answer is not text.
    """
    origin: dict[str, Record] = {}
    responses = []
    for path in paths:
        for record in read_records(path):
            item_id = _given_id(record)
            if item_id not in split_of:
                fix = f"Ids go from 1 to {len(split_of)}; remove the record or correct its id"
                raise record.error(f"AMBER has no item {item_id}", fix)
            if item_id in origin:
                other = f"{origin[item_id].path}, line {origin[item_id].line}"
                raise record.error(
                    f"item {item_id} is answered already in {other}", "Keep one of them"
                )
            origin[item_id] = record
            text = _answer(record)
            if split_of[item_id] in splits:
                responses.append(Response(item_id, "", text))
    return responses


def _given_id(record: Record) -> str:
    """A record's id as text; ids in quotes are accepted."""
    value = record.fields.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return value.lstrip("0") or "0"
    raise record.error(f"id is {value!r}, not an integer", "Write the official id")


def _answer(record: Record) -> str:
    answer = record.fields.get("response")
    if isinstance(answer, str):
        return answer
    found = type(answer).__name__ if "response" in record.fields else "missing"
    fix = "Write the model's answer as text, or leave the record out if it did not answer"
    raise record.error(f"response is {found}, not text", fix)


def written_answers(
    items: Sequence[Item], responses: Mapping[str, Response], normalise: Callable[[str], str]
) -> str:
    """The official answer file for those items that have an answer; yes/no answers normalised."""
    records = []
    for item in items:
        response = responses.get(item.id)
        if response is not None and response.status is ResponseStatus.OK:
            is_caption = item.split == "generative"
            text = response.text if is_caption else normalise(response.text)
            records.append({"id": int(item.id), "response": text})
    # json.dumps writes ASCII: an answer may hold lone surrogates, which UTF-8 does not have.
    return json.dumps(records, indent=1) + "\n" if records else ""
