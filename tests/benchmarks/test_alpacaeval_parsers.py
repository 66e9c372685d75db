"""What is read off a judge's reply, and the numbers of one preference.

Run: pytest tests/benchmarks/test_alpacaeval_parsers.py
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import logprobs
from benchmarks.alpacaeval_parsers import LogprobParser, RankingParser

WEIGHTED = LogprobParser("m", ("m", "M"), binarize=False)


@pytest.mark.parametrize(
    ("reply", "preference"),
    [
        ("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]", 1),
        ("[{'model': 'model_2', 'rank': 1}, {'model': 'model_1', 'rank': 2}]", 2),
        ('\n[{"model": "model_1", "rank": 2}]', 2),
        ('  [{"model": "model_1", "rank": 2}]', 2),
        ('\n  [{"model": "model_1", "rank": 2}]', None),
        ("({'model': 'model_1', 'rank': 1.0},)", 1),
        ("[{'model': 'model_1', 'rank': True}]", 1),
        ("[{'model': 'model_1', 'rank': 2}, {'model': 'model_1', 'rank': 1}]", 2),
        ("[{'model': 'model_1', 'rank': 2}, {'model': 'model_1'}]", 2),
        ("[{'model': 'model_1', 'rank': 3}]", None),
        ("[{'model': 'model_1', 'rank': '1'}]", None),
        ("[{'model': 'model_1', 'rank': [1]}]", None),
        ("[{'model': 'model_1', 'rank': None}]", None),
        ("[{'model': 'model_1'}]", None),
        ("[{'model': 'model_1', 'rank': 1}, {'name': 'model_2'}]", None),
        ("[{'model': 'model_2', 'rank': 1}]", None),
        ("[]", None),
        ("{'model': 'model_1', 'rank': 1}", None),
        ("'model_1'", None),
        ("5", None),
        ("", None),
        ("The first one is better.", None),
        ("```python\n[{'model': 'model_1', 'rank': 1}]\n```", None),
        ("[{'model': 'model_1', 'rank': 1}", None),
        ("[" * 5000, None),
        ("\0", None),
    ],
)
def test_a_ranking_is_a_python_literal(reply: str, preference: float | None) -> None:
    assert RankingParser().preference(reply) == preference


def test_the_ranked_model_may_have_another_name() -> None:
    assert RankingParser("m").preference("[{'model': 'm', 'rank': 2}]") == 2


@given(st.text())
def test_no_text_breaks_the_ranking_parser(text: str) -> None:
    assert RankingParser().preference(text) in (None, 1, 2)


@pytest.mark.parametrize(
    ("candidates", "preference"),
    [
        ({"m": math.log(0.75), "M": math.log(0.25)}, 1.25),
        ({"M": math.log(0.4), "m": math.log(0.1)}, 1.8),
        ({"m": -0.7, "M": -0.7, "The": -0.1}, 1.5),
        ({"m": -30.0}, 1.0),
        ({"M": -30.0, " m": -0.1}, 2.0),
        ({"M": -1e6, "m": -9999.0}, 1.0),
        ({" m": -0.1, " M": -2.5, "Both": -0.2}, None),
        ({}, None),
        ({"m": -math.inf}, None),
        ({"m": -math.inf, "M": -3.0}, 2.0),
        ({"m": math.nan, "M": -3.0}, None),
    ],
)
def test_a_preference_is_the_share_of_the_second_label(
    candidates: dict[str, float], preference: float | None
) -> None:
    found = WEIGHTED.of(list(candidates.items()))
    assert found == (preference if preference is None else pytest.approx(preference, abs=1e-12))


def test_of_a_token_that_comes_twice_the_last_one_counts() -> None:
    assert WEIGHTED.of([("m", -0.1), ("M", -0.1), ("m", -math.inf)]) == 2.0


@pytest.mark.parametrize(
    ("candidates", "preference"),
    [({"m": -0.1, "M": -2.0}, 1), ({"m": -2.0, "M": -2.0}, 2), ({"M": -2.0}, 2), ({"m": -9}, 1)],
)
def test_binarized_the_likeliest_label_decides(
    candidates: dict[str, float], preference: float
) -> None:
    assert LogprobParser("m", ("m", "M")).of(list(candidates.items())) == preference


def test_a_reply_without_log_probabilities_is_unreadable() -> None:
    assert WEIGHTED.preference("m") is None
    assert WEIGHTED.preference(logprobs.pack("m", [("m", -0.5), ("M", -0.5)])) == 1.5


@given(st.floats(-60, 0), st.floats(-60, 0))
def test_the_labels_are_symmetric(first: float, second: float) -> None:
    preference = WEIGHTED.of([("m", first), ("M", second)])
    mirrored = WEIGHTED.of([("m", second), ("M", first)])
    assert preference is not None
    assert mirrored is not None
    assert 1 <= preference <= 2
    assert preference == pytest.approx(3 - mirrored)
    assert preference - 1 == pytest.approx(1 / (1 + np.exp(first - second)))
