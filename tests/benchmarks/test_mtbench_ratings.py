"""Ratings of MT-Bench's judge, as the official expression finds them.

Run: pytest tests/benchmarks/test_mtbench_ratings.py
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mtbench_ratings import read_rating


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Good. Rating: [[7]]", 7),
        ("Rating: [[7.5]]", 7.5),
        ("[[8.]] or [[9]]", 8.0),
        ("see [1]. Rating: [[6]]", 6),
        ("Rating: [9]", 9),
        ("Rating: [[9]", 9),
        ("a[[2]] = 1; Rating: [[9]]", 2),
        ("[[0]]", 0),
        ("[[11]]", 11),
        ("[[00]]", 0),
        ("[[09.5]]", 9.5),
        ("[[10/10]] is [10]", 10),
        ("Rating: 7", None),
        ("[[10/10]]", None),
        ("[[ 8 ]]", None),
        ("[[-3]]", None),
        ("[[.5]]", None),
        ("[[1.2.3]]", None),
        ("[[7,5]]", None),
        ("$ERROR$", None),
        ("", None),
        ("\ud800", None),
    ],
)
def test_ratings(text: str, rating: float | None) -> None:
    assert read_rating(text).rating == rating


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[07]] [[8]]", "'07': the official script raises SyntaxError"),
        ("[[７]]", "'７': the official script raises SyntaxError"),  # full-width
        ("[[٧]]", "the official script raises SyntaxError"),  # Arabic
        ("[07]", "the official script raises SyntaxError"),
        (f"[[{'9' * 5000}]]", "the official script raises SyntaxError"),
        (f"[[{'9' * 400}]]", "too large"),
        (f"[[{'9' * 400}.0]]", "too large"),
        ("Rating: 7", "no number in brackets"),
    ],
)
def test_a_reply_without_a_rating_says_why(text: str, problem: str) -> None:
    reading = read_rating(text)
    assert reading.rating is None
    assert problem in reading.problem


@pytest.mark.parametrize("unit", ["[[", "[[1", "1", "[[1.", "]]", "[[1.1"])
def test_long_replies_are_parsed_in_time(unit: str) -> None:
    assert read_rating(f"[[{unit * 100_000}").rating is None


@given(st.text("[]0123456789. 07a７", max_size=30))
def test_ratings_are_found_where_the_official_expression_finds_them(text: str) -> None:
    official = re.search(r"\[\[(\d+\.?\d*)\]\]", text) or re.search(r"\[(\d+\.?\d*)\]", text)
    reading = read_rating(text)
    assert (reading.rating is None) == (official is None or "raises" in reading.problem)
    if official is not None and reading.rating is not None:
        assert reading.rating == float(official[1])
