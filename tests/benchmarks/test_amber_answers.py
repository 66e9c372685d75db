"""AMBER's answer files: what is read, what is refused, and what is written.

Run: pytest tests/benchmarks/test_amber_answers.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.amber_files import read_answers, written_answers
from benchmarks.base import BadRecordError, Item, Response

SPLIT_OF = {"1": "generative", "2": "generative", "3": "existence", "4": "relation"}
SPLITS = tuple(SPLIT_OF.values())
ITEMS = [Item(item_id, "a.jpg", "Asked?", split) for item_id, split in SPLIT_OF.items()]


def written(path: Path, records: object) -> Path:
    path.write_text(json.dumps(records))
    return path


def read(path: Path) -> dict[str, str]:
    return {r.request_id: r.text for r in read_answers([path], SPLIT_OF, SPLITS)}


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(SPLIT_OF)), st.text(st.characters(exclude_categories=()))
    )
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, answers: dict[str, str]
) -> None:
    """Any characters, lone surrogates among them."""
    responses = {item_id: Response(item_id, "", text) for item_id, text in answers.items()}
    text = written_answers(ITEMS, responses, str)
    path = tmp_path_factory.mktemp("answers") / "answers.json"
    path.write_text(text, encoding="utf-8")
    assert read(path) == answers
    assert bool(text) == bool(answers)


def test_yes_no_answers_are_normalised_and_failures_left_out() -> None:
    responses = {
        "3": Response("3", "", "no dog"),
        "1": Response("1", "", "no lake\ud800"),
        "2": Response.failed("2", "", "out of memory"),
    }
    assert json.loads(written_answers(ITEMS, responses, str.upper)) == [
        {"id": 1, "response": "no lake\ud800"},
        {"id": 3, "response": "NO DOG"},
    ]


def test_order_form_and_other_fields_do_not_matter(tmp_path: Path) -> None:
    records = [{"id": 4, "response": "Yes", "image": "a.jpg"}, {"id": "1", "response": "A dog."}]
    assert read(written(tmp_path / "array.json", records)) == {"4": "Yes", "1": "A dog."}
    lines = tmp_path / "lines.json"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert read(lines) == {"4": "Yes", "1": "A dog."}


def test_answers_may_be_spread_over_files(tmp_path: Path) -> None:
    paths = [
        written(tmp_path / "captions.json", [{"id": 1, "response": "A dog."}]),
        written(tmp_path / "answers.json", [{"id": 3, "response": "No"}]),
    ]
    found = read_answers(paths, SPLIT_OF, SPLITS)
    assert [response.request_id for response in found] == ["1", "3"]
    with pytest.raises(BadRecordError, match=r"item 1 is answered already in .*captions\.json"):
        read_answers([paths[0], paths[0]], SPLIT_OF, SPLITS)


def test_answers_to_other_parts_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.json", [{"id": n, "response": "No"} for n in (4, 3, 1)])
    found = read_answers([path], SPLIT_OF, ["existence"])
    assert [response.request_id for response in found] == ["3"]
    assert read_answers([path], SPLIT_OF, ["attribute-state"]) == []


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([{"id": 13, "response": "Yes"}], "AMBER has no item 13. Ids go from 1 to 4"),
        ([{"id": 0, "response": "Yes"}], "AMBER has no item 0"),
        ([{"id": -1, "response": "Yes"}], "AMBER has no item -1"),
        ([{"id": 3, "response": "Yes"}] * 2, "item 3 is answered already in .*, line 1"),
        ([{"id": True, "response": "Yes"}], "id is True, not an integer"),
        ([{"id": 3.0, "response": "Yes"}], "id is 3.0, not an integer"),
        ([{"id": "three", "response": "Yes"}], "id is 'three', not an integer"),
        ([{"response": "Yes"}], "id is None, not an integer"),
        ([{"id": 3, "response": None}], "response is NoneType, not text"),
        ([{"id": 3, "answer": "Yes"}], "response is missing, not text"),
        ([3], "a JSON object is expected, not int"),
    ],
)
def test_a_bad_record_is_named_with_its_place(
    tmp_path: Path, records: list[Any], problem: str
) -> None:
    path = written(tmp_path / "answers.json", records)
    with pytest.raises(BadRecordError, match=rf"answers\.json, line 1: {problem}"):
        read(path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_bytes('[{"id": 1, "response": "Ein B\u00e4r"}]'.encode("latin-1"))
    with pytest.raises(BadRecordError, match="line 1: not UTF-8"):
        read(path)
