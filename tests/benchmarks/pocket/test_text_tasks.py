"""Points for answers to tasks without a picture."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pocket.dialogues import WITHOUT_PICTURES, Turns
from benchmarks.pocket.further_tasks import FURTHER
from benchmarks.pocket.text_tasks import Case, grade

MAKERS = [*WITHOUT_PICTURES.values(), *FURTHER.values()]


def share(question: str, answer: str, first_question: str = "", truth: str = "") -> float:
    return grade(Case(question, first_question or question, truth, answer)).share


@given(st.sampled_from(MAKERS), st.integers(0, 10**6))
def test_the_answer_of_who_made_a_task_is_all_right(
    make: Callable[[Random], Turns], seed: int
) -> None:
    turns = make(Random(seed))
    for question, answer in turns:
        case = Case(question, turns[0][0], answer, answer)
        assert grade(case).share == 1
        assert grade(case._replace(answer="")).share == 0


TWO = "Write a sentence about a red cup and a blue house."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("There is a blue house and a red mug.", 1),
        ("There is a blue house.", 2 / 4),
        ("There is a red house and a blue cup.", 2 / 6),
        ("There is a red cup and a red house.", 3 / 5),
        ("There is a red cup, a blue house and a star.", 4 / 5),
        ("Red, blue.", 0),
    ],
)
def test_a_sentence_about_two_objects(answer: str, expected: float) -> None:
    assert share(TWO, answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("There is a red cup.", 1),
        ("A cup.", 1 / 2),
        ("There is a blue cup.", 1 / 3),
        ("There is a blue house.", 0),
        ("There is a red cup and a blue house.", 2 / 4),
    ],
)
def test_one_of_the_objects_of_the_first_question(answer: str, expected: float) -> None:
    assert share("Now write it about the cup.", answer, TWO) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Every day I see a sword in my castle.", 1),
        ("A horse.", 1),  # usual for both
        ("Every day I see a cow in my castle.", 0),
        ("Every day I see a sword in my farm.", 1 / 2),
    ],
)
@pytest.mark.parametrize(
    "question",
    [
        "You move from a farm to a castle. What do you see every day?",
        "You move from the farm to a castle. What do you see now?",
        "You move to a castle. What do you see now?",
        "You live in a castle. What do you see every day?",
    ],
)
def test_where_one_lives_now(question: str, answer: str, expected: float) -> None:
    assert share(question, answer) == expected


def test_several_that_are_unusual() -> None:
    question = "Which of these are unusual for a farm: cow, anchor, crown, cat?"
    truth = "The anchor and the crown are unusual for a farm."
    assert share(question, "Crowns and anchors.", truth=truth) == 1
    assert share(question, "The crown.", truth=truth) == 1 / 2
    assert share(question, "The cow and the cat.", truth=truth) == 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The hammer is for driving nails.", 1),
        ("A hammer.", 1),
        ("The hammer is for drinking.", 1 / 2),
        ("The cup is for driving nails.", 0),
        ("A hammer or a cup.", 1 / 2),
    ],
)
def test_the_object_of_a_use(answer: str, expected: float) -> None:
    assert share("Which object is for driving nails?", answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("A cow and the sun.", 1),
        ("Cows, mice and a cloud.", 1),
        ("A cow.", 1 / 2),
        ("A cow and a mouse.", 2 / 3),
        ("A cow and a cup.", 1 / 3),
        ("A cup and a house.", 0),
    ],
)
def test_members_of_two_categories(answer: str, expected: float) -> None:
    assert share("Name an animal and a thing in the sky.", answer) == expected


def test_a_missing_category_is_named() -> None:
    graded = grade(Case("Name an animal and a thing in the sky.", "", "", "A cow."))
    assert graded.wanted - graded.said == {"a thing in the sky"}


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Who?",
        "Now write it about the cow and the",
        "Which object is for dancing?",
        "Now sort it.",
    ],
)
def test_a_question_without_points_is_refused(question: str) -> None:
    with pytest.raises(ValueError, match="no task without a picture"):
        grade(Case(question, "", "", "A cow."))
