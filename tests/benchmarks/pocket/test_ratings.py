"""The pocket oracle's ratings of sampled answers."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import Message, PlumblineError
from benchmarks.pocket import oracle, ratings
from benchmarks.pocket.preferences import pairs
from benchmarks.pocket.questions import content_of

CONTENT = ["farm", "red cow at the top", "blue house in the middle"]
TRUE = "The image shows a farm. There is a red cow at the top. There is a blue house in the middle."


def rated(
    answer: str, question: str = "Describe this image.", correct: str = TRUE
) -> dict[str, int]:
    prompt = ratings.judge_prompt(CONTENT, question, correct, answer)
    reply = oracle.reply([Message("user", prompt)])
    assert reply is not None
    return {
        name: int(value) for name, _, value in (line.partition(": ") for line in reply.split("\n"))
    }


def test_a_true_answer_has_the_best_ratings() -> None:
    found = rated(TRUE)
    assert (found["Made up"], found["Left out"]) == (0, 0)
    assert (found["Helpfulness"], found["Correctness"], found["Coherence"]) == (4, 4, 4)


def test_what_is_made_up_and_what_is_left_out_is_counted() -> None:
    more = rated(f"{TRUE} There is a green cat at the left.")
    # An object, its colour and its place.
    assert (more["Made up"], more["Left out"], more["Correctness"]) == (3, 0, 1)
    less = rated("The image shows a farm. There is a red cow at the top.")
    assert (less["Made up"], less["Left out"], less["Helpfulness"]) == (0, 3, 1)
    other = rated(TRUE.replace("red", "green"))
    assert (other["Made up"], other["Left out"]) == (1, 1)


def test_a_sentence_said_again_costs_coherence() -> None:
    assert rated(f"{TRUE} There is a red cow at the top.")["Coherence"] == 3


def test_short_answers_are_rated_too() -> None:
    question = "Is there a cat in the image?\nAnswer the question using a single word or phrase."
    assert rated("No", question, "No")["Made up"] == 0
    wrong = rated("Yes", question, "No")
    assert (wrong["Made up"], wrong["Left out"]) == (1, 1)


@given(st.text(max_size=80))
def test_any_answer_gets_ratings_on_the_scale(answer: str) -> None:
    found = rated(answer)
    assert all(0 <= found[name] <= 4 for name in list(found)[2:])


def test_chosen_answers_of_pocket_pairs_are_faultless_and_rejected_ones_are_not() -> None:
    for pair in islice(pairs(3), 200):
        counts = []
        for answer in (pair.chosen, pair.rejected):
            prompt = ratings.judge_prompt(content_of(pair.scene), pair.prompt, pair.chosen, answer)
            lines = ratings.oracle_reply(prompt).split("\n")[:2]
            counts.append(sum(int(line.partition(": ")[2]) for line in lines))
        assert counts[0] == 0 < counts[1], pair


def test_the_scene_of_a_pair_is_found_by_its_id() -> None:
    expected = {f"pocket-7-{number}": pair.scene for number, pair in enumerate(islice(pairs(7), 5))}
    assert ratings.scenes_of(expected) == expected
    assert ratings.scenes_of(["pocket-7-2/round-1", "pocket-7-2~2"]) == {
        "pocket-7-2/round-1": expected["pocket-7-2"],
        "pocket-7-2~2": expected["pocket-7-2"],
    }


@pytest.mark.parametrize("id", ["17", "pocket-7", "pocket-7-x", "pocket-7-1x", "coco-7-1"])
def test_an_id_of_nothing_in_the_pocket_world_is_refused(id: str) -> None:
    with pytest.raises(PlumblineError, match="no pair of the pocket world"):
        ratings.scenes_of([id])
