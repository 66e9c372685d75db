"""Pairs and labels from scored answers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.scored import Candidates, candidates, likert_request, ranked_pairs, steerlm_label


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([5, 6, 2, 5], Candidates(1, (2,))),
        ([8, 8, 6, 1], Candidates(0, (2, 3))),
        ([5, 6, 5, 5], None),
        ([7, 5], Candidates(0, (1,))),
        ([4], None),
        ([], None),
    ],
)
def test_the_first_best_answer_is_chosen_and_clearly_worse_ones_rejected(
    scores: list[float], expected: Candidates | None
) -> None:
    assert candidates(scores) == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), max_size=6))
def test_a_rejected_answer_is_always_worse(scores: list[float]) -> None:
    found = candidates(scores)
    if found is not None:
        assert found.rejected
        assert all(scores[found.chosen] - scores[index] >= 2 for index in found.rejected)


def test_every_two_different_ratings_make_a_pair() -> None:
    scores = {0: 3.0, 1: 4.0, 3: 3.0}
    assert ranked_pairs(scores) == [(1, 0), (1, 3)]
    assert ranked_pairs({0: 5.0, 1: 3.0, 2: 4.0}, "widest") == [(0, 1)]
    assert ranked_pairs({0: 5.0, 1: 3.0, 2: 5.0}, "widest") == [(0, 1), (2, 1)]
    assert ranked_pairs({0: 5.0, 1: 5.0}, "widest") == []
    assert ranked_pairs({}) == []


def test_labels_are_clamped_and_rounded_half_to_even() -> None:
    values = {"quality": 2.5, "toxicity": -1.0, "verbosity": 9.0, "humor": 3.5}
    assert steerlm_label(values) == "quality:2,toxicity:0,humor:4,verbosity:4"
    assert steerlm_label(values, ["humor", "quality"]) == "humor:4,quality:2"


def test_the_likert_request_stands_on_two_lines() -> None:
    attributes = ("Helpfulness", "Correctness", "Coherence", "Complexity", "Verbosity")
    told = likert_request(dict.fromkeys(attributes, 4.0))
    first, last = told.removeprefix("\n").split("\n")
    assert first.endswith("5-point Likert scale:")
    assert last == "Helpfulness:4,Correctness:4,Coherence:4,Complexity:4,Verbosity:4"
