"""Weights of tokens: where two answers differ, where a span marks them, beyond the shorter answer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.token_weights import length_weights, segment_weights, span_weights

ids = st.lists(st.integers(0, 5), max_size=30)


def test_differing_segments_weigh_more() -> None:
    chosen, rejected = [1, 2, 3, 40, 41, 6, 7, 8], [1, 2, 3, 50, 6, 7, 8]
    weights = segment_weights(chosen, rejected, 5.0)
    assert weights.chosen == [1, 1, 1, 5, 5, 1, 1, 1]
    assert weights.rejected == [1, 1, 1, 5, 1, 1, 1]


def test_short_common_runs_count_as_different() -> None:
    chosen, rejected = [1, 2, 3, 40, 6, 7], [1, 2, 3, 50, 6, 7]
    assert segment_weights(chosen, rejected, 4.0).chosen == [1, 1, 1, 4, 4, 4]
    assert segment_weights(chosen, rejected, 4.0, min_match=2).chosen == [1, 1, 1, 4, 1, 1]


def test_pure_insertions_get_no_extra_weight() -> None:
    chosen, rejected = [1, 2, 3, 6, 7, 8], [1, 2, 3, 50, 51, 6, 7, 8]
    weights = segment_weights(chosen, rejected, 4.0)
    assert set(weights.chosen) == set(weights.rejected) == {1.0}


def test_shared_tokens_can_be_left_out() -> None:
    weights = segment_weights([1, 2, 3, 4], [1, 2, 3, 5], 1.0, shared_weight=0.0)
    assert weights.chosen == [0, 0, 0, 1]


@settings(deadline=None)
@given(ids, ids)
def test_every_token_has_one_of_the_two_weights(chosen: list[int], rejected: list[int]) -> None:
    weights = segment_weights(chosen, rejected, 4.0)
    assert (len(weights.chosen), len(weights.rejected)) == (len(chosen), len(rejected))
    assert {*weights.chosen, *weights.rejected} <= {1.0, 4.0}
    assert (4.0 in weights.chosen) == (4.0 in weights.rejected)


@settings(deadline=None)
@given(ids)
def test_equal_answers_differ_nowhere(answer: list[int]) -> None:
    weights = segment_weights(answer, answer, 4.0, min_match=1)
    assert set(weights.chosen) <= {1.0}


def test_tokens_that_overlap_a_span_weigh_more() -> None:
    offsets = [(0, 3), (3, 7), (7, 9), (0, 0)]
    assert span_weights(offsets, [(5, 7)], 5.0) == [1, 5, 1, 1]
    assert span_weights(offsets, [(2, 8)], 5.0, shared_weight=0.0) == [5, 5, 5, 0]
    assert span_weights(offsets, [], 5.0) == [1, 1, 1, 1]


def test_tokens_beyond_the_shorter_answer_weigh_alpha() -> None:
    assert length_weights(4, 2, 0.5) == ([1, 1, 0.5, 0.5], [1, 1])
    assert length_weights(2, 4, 0.5) == ([1, 1], [1, 1, 0.5, 0.5])
    assert length_weights(2, 2, 0.0) == ([1, 1], [1, 1])
