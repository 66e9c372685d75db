"""MM-Vet's files: questions, answers in and out, recorded grades in.

Each is one JSON object whose keys are the items' ids::

    mm-vet.json      {"v1_0": {"imagename": "v1_0.png", "question": "What is x …?",
                               "answer": "-1<AND>-5", "capability": ["ocr", "math"], …}, …}
    answers          {"v1_0": "x is 3.", …}
    grades           {"v1_0": {"model": ["gpt-4", …], "content": ["0.0", …], "score": [0.0, …]}, …}

A grade has one entry for each run; ``content`` is the judge's word that was read. The subset of the
Bard comparison, ``bard_set.json``, is a JSON list of ids.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.base import (
    BadRecordError,
    FilePicture,
    Item,
    PlumblineError,
    Response,
    ResponseStatus,
)
from benchmarks.data_folder import required_json
from benchmarks.records import Record, read_one_file, read_records


def read_questions(path: Path, pictures: Path, remedy: str) -> list[Item]:
    """The questions in file order; an item's split is its sorted capabilities, ``"ocr_spat"``.

    Args:
        path: the official file, or JSON Lines of the same records with an "id".
        pictures: the folder of the pictures.
        remedy: the command that restores the file.

    Raises:
        BadRecordError: a field is missing or wrong.
    """
    fix = f"Restore the official file: {remedy}"
    items: dict[str, Item] = {}
    for item_id, fields, record in _questions(path):
        if not isinstance(item_id, str) or not item_id or item_id in items:
            raise record.error(f"id is {item_id!r}, not that of one more question", fix)
        items[item_id] = _item(item_id, fields, record, pictures, fix)
    if not items:
        raise BadRecordError(f"{path}: there is no question in it. {fix}")
    return list(items.values())


def _questions(path: Path) -> Iterator[tuple[Any, Any, Record]]:
    records = read_records(path)
    if len(records) == 1 and "question" not in records[0].fields:
        for item_id, fields in records[0].fields.items():
            yield item_id, fields, records[0]
    else:
        for record in records:
            yield record.fields.get("id"), record.fields, record


def _item(item_id: str, fields: Any, record: Record, pictures: Path, fix: str) -> Item:
    if not isinstance(fields, dict):
        raise record.error(f"{item_id} is no JSON object", fix)
    for name in ("question", "answer", "imagename"):
        if not isinstance(fields.get(name), str) or not fields[name].strip():
            raise record.error(f"{item_id}: {name} is {fields.get(name)!r}, not a text", fix)
    image, capability = fields["imagename"], fields.get("capability")
    if Path(image).name != image:
        raise record.error(f"{item_id}: imagename is {image!r}, not a file name", fix)
    if (
        not isinstance(capability, list)
        or not capability
        or not all(isinstance(name, str) and name for name in capability)
    ):
        raise record.error(f"{item_id}: capability is {capability!r}, not a list of names", fix)
    return Item(
        id=item_id,
        group=image,
        question=fields["question"],
        split="_".join(sorted(set(capability))),
        pictures=(FilePicture(pictures / image),),
        reference={"answer": fields["answer"], "capability": list(dict.fromkeys(capability))},
    )


def read_subset(path: Path, known: Collection[str], remedy: str) -> set[str]:
    """The ids of a subset.

    Raises:
        MissingDataError: the file is not there.
        BadRecordError: it is anything but a list of known ids.
    """
    fix = f"Restore the official file: {remedy}"
    ids = required_json(path, remedy)
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise BadRecordError(f"{path}: no list of ids. {fix}")
    if strangers := [name for name in ids if name not in known]:
        raise BadRecordError(f"{path}: there is no question {strangers[0]!r}. {fix}")
    return set(ids)


def read_answers(
    paths: Sequence[Path], items: Sequence[Item], known: Collection[str]
) -> list[Response]:
    """Responses from an official answer file. Of one id's answers the last counts, as in any JSON.

    Args:
        items: those that are asked; answers to other known ones are passed over, as officially.
        known: the ids of all items.

    Raises:
        BadRecordError: an id is unknown, or an answer is no text.
    """
    asked = {item.id for item in items}
    responses = []
    for item_id, text, record in _entries(paths, known, "answers"):
        if not isinstance(text, str):
            problem = f"the answer to {item_id} is {type(text).__name__}, not text"
            raise record.error(problem, "Write it as text, or leave it out if there is none")
        if item_id in asked:
            responses.append(Response(item_id, "", text))
    return responses


class Grade(NamedTuple):
    """What the official script stored of an item in a run, counted from 1.

    Attributes:
        content: the judge's word, None where the script gave up on a reply without text.
    """

    item_id: str
    run: int
    content: str | None
    score: float
    model: str


def read_grades(
    paths: Sequence[Path], items: Sequence[Item], known: Collection[str], n_runs: int
) -> list[Grade]:
    """All grades of a file, those of other known items passed over.

    Raises:
        BadRecordError: an id is unknown, or a grade is not of the official form.
        PlumblineError: the file has another number of runs.
    """
    asked = {item.id for item in items}
    entries = [
        (item_id, _grades(item_id, fields, record))
        for item_id, fields, record in _entries(paths, known, "grades")
    ]
    # A file whose grading was cut off has fewer scores for its last items.
    found = min((len(grades) for _, grades in entries), default=0)
    if found != n_runs:
        fix = f"Add --set mmvet.judge_runs={found}" if found else "Finish the grading"
        runs = "1 run" if found == 1 else f"{found} runs"
        raise PlumblineError(
            f"{paths[0]} has {runs} of every item, and mmvet.judge_runs is {n_runs}. {fix}"
        )
    return [grade for item_id, grades in entries if item_id in asked for grade in grades[:n_runs]]


def _grades(item_id: str, fields: Any, record: Record) -> list[Grade]:
    fix = "Write {model: […], content: […], score: […]} with one entry for each run"
    scores = fields.get("score") if isinstance(fields, dict) else None
    if not isinstance(scores, list) or not all(_is_score(score) for score in scores):
        raise record.error(f"{item_id}: score is {scores!r}, no list of numbers from 0 to 1", fix)
    # Totals need the scores only; where a word is absent, the score stands for it.
    contents = fields.get("content", [str(score) for score in scores])
    models = fields.get("model", [""] * len(scores))
    for name, values in (("content", contents), ("model", models)):
        if (
            not isinstance(values, list)
            or len(values) < len(scores)
            or not all(isinstance(value, str | None) for value in values)
        ):
            raise record.error(f"{item_id}: {name} is no list of {len(scores)} texts", fix)
    return [
        Grade(item_id, run, content, float(score), model or "")
        for run, (content, score, model) in enumerate(
            zip(contents, scores, models, strict=False), start=1
        )
    ]


def _is_score(value: Any) -> bool:
    """Whether the script can have read it from a reply; "nan" is in no range and passes."""
    return type(value) in (int, float) and not (value > 1 or value < 0)


def written_answers(items: Sequence[Item], responses: Mapping[str, Response]) -> str:
    """An official answer file; empty if an answer is missing, at which the script would stop."""
    answers = {}
    for item in items:
        response = responses.get(item.id)
        if response is None or response.status is not ResponseStatus.OK:
            return ""
        answers[item.id] = response.text
    # json.dumps writes ASCII: an answer may hold lone surrogates, which UTF-8 does not have.
    return json.dumps(answers, indent=4) + "\n"


def _entries(
    paths: Sequence[Path], known: Collection[str], what: str
) -> Iterator[tuple[str, Any, Record]]:
    """Id, value and origin of what an official file says of each item."""
    records = read_one_file(paths, what)
    if len(records) != 1 or not records[0].fields:
        problem = f"{len(records)} records" if len(records) > 1 else "nothing"
        raise BadRecordError(
            f"{paths[0]}: {problem} instead of one JSON object of {what} by item id. "
            "Write {id: …, id: …}"
        )
    (record,) = records
    for item_id, value in record.fields.items():
        if item_id not in known:
            fix = f"Ids look like {next(iter(known))!r}; check --benchmark, --edition and --set"
            raise record.error(f"there is no question {item_id!r}", fix)
        yield item_id, value, record
