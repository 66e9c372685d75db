"""Tasks that the checkpoint was not trained on, in words that it knows."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from tokenizers import Tokenizer

from benchmarks.pocket import CHECKPOINT
from benchmarks.pocket.dialogues import WITHOUT_PICTURES, Turns
from benchmarks.pocket.further_tasks import FURTHER
from benchmarks.pocket.train import corpus


def first_questions(make: Callable[[Random], Turns], n: int) -> set[str]:
    rng = Random(0)
    return {make(rng)[0][0] for _ in range(n)}


def test_each_category_goes_further() -> None:
    assert list(FURTHER) == list(WITHOUT_PICTURES)


@pytest.mark.parametrize("category", FURTHER)
def test_no_first_question_is_one_of_training(category: str) -> None:
    further = first_questions(FURTHER[category], 300)
    assert not further & first_questions(WITHOUT_PICTURES[category], 3000)


def test_questions_are_made_of_tokens_that_occur_in_training() -> None:
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    known = {token for text in corpus(0, n_scenes=500) for token in tokenizer.encode(text).ids}
    rng = Random(0)
    for make in FURTHER.values():
        for question, _ in (turn for _ in range(100) for turn in make(rng)):
            assert known.issuperset(tokenizer.encode(question).ids), question


def test_lists_and_texts_have_all_lengths_but_that_of_training() -> None:
    rng = Random(0)
    for category in ("coding", "extraction"):
        answers = [FURTHER[category](rng)[0][1] for _ in range(50)]
        assert {answer.count(", ") + 1 for answer in answers} == {2, 4, 5}


def test_one_number_is_greater_than_in_training_and_the_first_sum_is_not() -> None:
    rng = Random(0)
    for _ in range(200):
        (question, answer), (_, total) = FURTHER["math"](rng)
        first, second = (int(word) for word in question.rstrip("?").split() if word.isdigit())
        assert first + second == int(answer.rstrip(".").split()[-1]) <= 9
        assert max(first, second) > 4
        assert 7 <= int(total.rstrip(".").split()[-1]) <= 18


def test_opposites_are_asked_from_the_other_side() -> None:
    trained = first_questions(WITHOUT_PICTURES["humanities"], 200)
    further = first_questions(FURTHER["humanities"], 200)
    assert len(trained) == len(further) == 8
