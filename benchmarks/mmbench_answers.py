"""MMBench's answers: predictions and recorded matcher replies in, the upload file out.

Predictions are tables of VLMEvalKit (``index`` and ``prediction`` among other columns; .tsv, .xlsx
or the same as JSON), or LLaVA's JSON Lines (``question_id`` and ``text``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.base import Item, Response, ResponseStatus
from benchmarks.mmbench_files import LETTERS, NO_SPLIT, Pass, whole_number, with_official_names
from benchmarks.records import Record, read_records
from benchmarks.tables import Cell, is_table, read_table

PREDICTION_AT = 6
"""Where LLaVA's script puts the prediction into the table's columns: behind the option D."""

OTHER_VERSION = "Name the table that was answered: --set mmbench.version=…"


def request_id(item_id: str, number: int) -> str:
    """The id of the request about pass number 0, 1, … of an item, and of what the matcher is asked."""
    return item_id if number == 0 else f"{item_id}#{number + 1}"


def read_predictions(paths: Sequence[Path], items: Sequence[Item]) -> list[Response]:
    """Responses from prediction files, in any order; passes may be missing.

    A missing prediction is the text that it officially becomes, and is judged as such: "nan" for an
    empty cell, "None" for JSON's null.

    Raises:
        BadRecordError: a record has no index or prediction, or its index is not asked or comes
            twice, or its answer shows that it belongs to another version of the table.
    """
    places = _places(items)
    found: dict[int, tuple[Record, Response]] = {}
    for path in paths:
        for record in read_table(path) if is_table(path) else read_records(path):
            record = with_official_names(record)
            index, text = _prediction(record)
            if index not in places:
                raise record.error(f"index {index} is not asked", OTHER_VERSION)
            if index in found:
                other, _ = found[index]
                place = f"{other.path}, line {other.line}"
                raise record.error(
                    f"a second prediction for index {index}, after {place}", "Keep one"
                )
            name, one = places[index]
            given = record.fields.get("answer")
            if one.answer and given in tuple(LETTERS) and given != one.answer:
                problem = (
                    f"the answer to index {index} is {given}, and {one.answer} in the questions"
                )
                raise record.error(problem, OTHER_VERSION)
            found[index] = record, Response(name, "", text)
    return [response for _, response in found.values()]


def _prediction(record: Record) -> tuple[int, str]:
    """A record's index and prediction."""
    fields = record.fields
    if "prediction" in fields and "index" in fields:
        index = whole_number(record, "index", "Write the index of the question table")
        return index, _as_official_text(record, fields["prediction"])
    if "question_id" in fields and "text" in fields:
        if fields.get("round_id"):
            raise record.error(
                f"round_id is {fields['round_id']!r}: these are answers to options that the script "
                "rotated (--all-rounds), not to the rows of the table",
                "Answer the rows of the table",
            )
        index = whole_number(record, "question_id", "Write the index of the question table")
        return index, _as_official_text(record, fields["text"])
    raise record.error(
        "there is no prediction", "Write index and prediction, or LLaVA's question_id and text"
    )


def _as_official_text(record: Record, value: Any) -> str:
    """What VLMEvalKit's ``str`` makes of a prediction; of an empty cell its reader makes NaN first."""
    if isinstance(value, list | dict):
        raise record.error(f"the prediction is {type(value).__name__}, not text", "Write text")
    return "nan" if value == "" and is_table(record.path) else str(value)


def read_replies(paths: Sequence[Path], items: Sequence[Item]) -> dict[str, list[str]]:
    """The matcher's replies by request id, in the order in which it gave them.

    VLMEvalKit keeps them as pickles only. Here a file has JSON Lines of ``index`` and ``reply``,
    one for each attempt.

    Raises:
        BadRecordError: a record has no index that is asked, or no text.
    """
    places = _places(items)
    found: dict[str, list[str]] = {}
    for record in (record for path in paths for record in read_records(path)):
        index = whole_number(record, "index", "Write the index of the question table")
        reply = record.fields.get("reply")
        if index not in places:
            raise record.error(f"index {index} is not asked", OTHER_VERSION)
        if not isinstance(reply, str):
            raise record.error(f"reply is {type(reply).__name__}, not text", "Write the reply")
        found.setdefault(places[index][0], []).append(reply)
    return found


def _places(items: Sequence[Item]) -> dict[int, tuple[str, Pass]]:
    """Request ids and passes by index."""
    return {
        one.row_index: (request_id(item.id, number), one)
        for item in items
        for number, one in enumerate(item.reference["passes"])
    }


def upload_rows(items: Sequence[Item], responses: Mapping[str, Response]) -> list[list[Cell]]:
    """The table for MMBench's server, the header first, as LLaVA's script makes it.

    A question of which a pass is not answered is left out, because the server would judge it by the
    other passes. Empty if that leaves nothing.
    """
    records: list[dict[str, Cell]] = []
    for item in items:
        passes = item.reference["passes"]
        turns = [responses.get(request_id(item.id, number)) for number in range(len(passes))]
        texts = [turn.text for turn in turns if turn and turn.status is ResponseStatus.OK]
        if len(texts) == len(passes):
            records += [
                _upload_record(*pair, item.split) for pair in zip(passes, texts, strict=True)
            ]
    if not records:
        return []
    used = {column for record in records for column, cell in record.items() if cell != ""}
    n_letters = max(4, *(LETTERS.index(name) + 1 for name in used if name in LETTERS))
    columns = ["index", "question", *LETTERS[:n_letters]]
    columns += [column for column in ("answer", "split") if column in used]
    columns.insert(PREDICTION_AT, "prediction")
    records.sort(key=lambda record: record["index"])
    return [[*columns], *([record.get(name, "") for name in columns] for record in records)]


def _upload_record(one: Pass, prediction: str, split: str) -> dict[str, Cell]:
    return {
        "index": one.row_index,
        "question": one.question,
        **one.options,
        "prediction": prediction,
        "answer": one.answer,
        "split": "" if split == NO_SPLIT else split,
    }
