"""Reading answer files of POPE: which question each answer belongs to, and what is refused.

Run: pytest tests/benchmarks/test_pope_answers.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import BadRecordError, Item, PlumblineError
from benchmarks.pope_files import read_answers

ABSENT = {"random": "kite", "popular": "chair", "adversarial": "fork"}

QUESTIONS = {
    split: [
        Item(f"{split}/{number}", "a.jpg", f"Is there a {thing} in the image?", split)
        for number, thing in enumerate(("dog", absent, "train"), start=1)
    ]
    for split, absent in ABSENT.items()
}

KITE = "Is there a kite in the image?"


def _answer_file(
    folder: Path, records: Sequence[Mapping[str, Any]], name: str = "answers.jsonl"
) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def _read(path: Path, **hints: Any) -> dict[str, str]:
    return {r.request_id: r.text for r in read_answers([path], QUESTIONS, **hints)}


FULL = [
    {"question_id": 1, "question": "Is there a dog in the image?", "answer": "Yes"},
    {"question_id": 2, "question": KITE, "answer": "No"},
    {"question_id": 3, "question": "Is there a train in the image?", "answer": "no train"},
]
READ = {"random/1": "Yes", "random/2": "No", "random/3": "no train"}


def _without(*fields: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k not in fields} for record in FULL]


# What is accepted


@pytest.mark.parametrize("field", ["answer", "text", "response"])
def test_every_name_of_the_answer_field(tmp_path: Path, field: str) -> None:
    records = [{field if k == "answer" else k: v for k, v in record.items()} for record in FULL]
    assert _read(_answer_file(tmp_path, records)) == READ


def test_a_json_array(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(FULL, indent=2))
    assert _read(path) == READ


@pytest.mark.parametrize(
    "records", [FULL[::-1], [{**r, "question_id": f"{r['question_id']}"} for r in FULL]]
)
def test_ids_pair_in_any_order_and_may_be_quoted(
    tmp_path: Path, records: list[dict[str, Any]]
) -> None:
    assert _read(_answer_file(tmp_path, records)) == READ


def test_missing_answers_stay_missing(tmp_path: Path) -> None:
    assert _read(_answer_file(tmp_path, FULL[1:])) == {"random/2": "No", "random/3": "no train"}


def test_without_ids_the_questions_confirm_the_order(tmp_path: Path) -> None:
    records = _without("question_id")
    assert _read(_answer_file(tmp_path, records)) == READ
    assert list(_read(_answer_file(tmp_path, records[:2]))) == ["random/1", "random/2"]


def test_without_ids_and_questions_a_full_file_is_in_order(tmp_path: Path) -> None:
    path = _answer_file(tmp_path, _without("question_id", "question"), "pope_random.jsonl")
    assert _read(path) == READ


def test_a_prompt_may_stand_around_the_question(tmp_path: Path) -> None:
    records = [{**r, "question": f"<image>\n{r['question']}\nAnswer briefly."} for r in FULL]
    assert _read(_answer_file(tmp_path, records)) == READ


def test_answers_are_kept_as_they_are(tmp_path: Path) -> None:
    """Lone surrogates, white space, and ten megabytes."""
    for answer in ("\ud800", " No\n", "", "no " * 3_500_000):
        path = _answer_file(tmp_path, [{"question_id": 2, "answer": answer}])
        assert _read(path, split="popular") == {"popular/2": answer}


# Which split


@pytest.mark.parametrize(("split", "absent"), ABSENT.items())
def test_the_questions_tell_the_split_whatever_the_name(
    tmp_path: Path, split: str, absent: str
) -> None:
    records = [{**FULL[1], "question": f"Is there a {absent} in the image?"}]
    (item_id,) = _read(_answer_file(tmp_path, records, "my_random_popular_run.jsonl"))
    assert item_id == f"{split}/2"


@pytest.mark.parametrize("name", ["POPE_Adversarial.jsonl", "responses-adversarial-7b.json"])
def test_the_name_tells_the_split_where_the_questions_do_not(tmp_path: Path, name: str) -> None:
    """Positive questions are the same in all splits."""
    for records in ([FULL[0]], _without("question")):
        path = _answer_file(tmp_path, records, name)
        assert {item_id.split("/")[0] for item_id in _read(path)} == {"adversarial"}


def test_a_given_split_wins(tmp_path: Path) -> None:
    path = _answer_file(tmp_path, _without("question"), "random.jsonl")
    assert list(_read(path, split="popular")) == ["popular/1", "popular/2", "popular/3"]


@pytest.mark.parametrize("name", ["answers.jsonl", "random_or_popular.jsonl"])
def test_an_unknown_split_is_asked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRecordError, match=rf"{name}: .*--split random\|popular\|adversarial"):
        _read(_answer_file(tmp_path, _without("question"), name))


@pytest.mark.parametrize("hints", [{"split": "common"}, {"pairing": "order"}])
def test_a_hint_that_does_not_exist_is_refused(tmp_path: Path, hints: dict[str, str]) -> None:
    with pytest.raises(PlumblineError, match="choose from"):
        _read(_answer_file(tmp_path, FULL), **hints)


# What is refused

RANDOM = "random.jsonl"


def _changed(**change: Any) -> list[dict[str, Any]]:
    """The three records, the second one changed."""
    return [FULL[0], {**FULL[1], **change}, FULL[2]]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (_changed(question_id=1, question=None), "line 2: question_id 1 as in line 1"),
        (_changed(question_id=7), "line 2: there is no question 7"),
        (_changed(question_id="02"), "line 2: there is no question '02'"),
        (_changed(question_id=None), "line 2: question_id is None, not an integer"),
        (_changed(question_id=True), "line 2: question_id is True, not an integer"),
        (_changed(question_id=2.0), "line 2: question_id is 2.0, not an integer"),
        (_changed(question_id=[2]), r"line 2: question_id is \[2\], not an integer"),
        (_changed(answer=None), "line 2: answer is NoneType, not text"),
        (_changed(answer=["No"]), "line 2: answer is list, not text"),
        (
            _changed(question=KITE.replace("kite", "bed")),
            "line 2: the question is .* random/2 asks",
        ),
        (_changed(question=7), "line 2: the question is 7, but random/2 asks"),
        ([FULL[0], _without("question_id")[1]], "line 2: question_id is missing"),
        (_without("answer"), "line 1: there is no answer"),
        (_without("question_id")[::-1], "line 1: the question is .* but random/1 asks"),
        ([*_without("question_id"), {"answer": "No"}], "line 4: there are 4 answers to 3"),
    ],
)
def test_a_record_that_cannot_be_paired_is_named(
    tmp_path: Path, records: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(BadRecordError, match=rf"random\.jsonl, {message}"):
        _read(_answer_file(tmp_path, records, RANDOM))


def test_the_message_for_a_wrong_question_stays_short(tmp_path: Path) -> None:
    with pytest.raises(BadRecordError) as caught:
        _read(_answer_file(tmp_path, _changed(question="x" * 10_000), RANDOM))
    assert len(str(caught.value)) < 600


def test_a_gap_that_cannot_be_found_is_refused(tmp_path: Path) -> None:
    path = _answer_file(tmp_path, _without("question_id", "question")[:2], RANDOM)
    with pytest.raises(BadRecordError, match="it is not known which are missing"):
        _read(path)
    assert list(_read(path, pairing="position")) == ["random/1", "random/2"]


def test_one_question_is_not_answered_in_two_files(tmp_path: Path) -> None:
    paths = [
        _answer_file(tmp_path, FULL[:2], "first_random.jsonl"),
        _answer_file(tmp_path, FULL[1:], "second_random.jsonl"),
    ]
    with pytest.raises(BadRecordError, match=r"random/2 is answered already in .*first_.* line 2"):
        read_answers(paths, QUESTIONS)


# By position, as the official script does


def test_position_pairing_looks_at_nothing_but_the_order(tmp_path: Path) -> None:
    records = [
        {"question_id": 9, "question": "What?", "answer": "a"},
        {"question_id": 9, "answer": "b"},
    ]
    path = _answer_file(tmp_path, records, RANDOM)
    assert _read(path, pairing="position") == {"random/1": "a", "random/2": "b"}


def test_both_pairings_agree_on_files_in_question_order(tmp_path: Path) -> None:
    path = _answer_file(tmp_path, FULL)
    assert _read(path) == _read(path, pairing="position")


def test_more_answers_than_questions_are_refused(tmp_path: Path) -> None:
    path = _answer_file(tmp_path, [*FULL, *FULL], RANDOM)
    with pytest.raises(BadRecordError, match="line 4: there are 6 answers to 3 questions"):
        _read(path, pairing="position")
