"""The rules that read a letter from an answer, in both versions.

Run: pytest tests/benchmarks/test_mmbench_matching.py
"""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mmbench_matching import API_FAILURE, REFUSALS, RULES, Rule, matched_letter

PETS = {"A": "teddy bear", "B": "rabbit", "C": "cat", "D": "dog"}
YES_NO = {"A": "yes", "B": "no"}


def both(answer: str, options: dict[str, str] | None = None) -> tuple[str | None, str | None]:
    """What the current rules read, and those before August 2025."""
    options = PETS if options is None else options
    return matched_letter(answer, options), matched_letter(answer, options, "before_2025_08")


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("(B).", "B"),
        ("{B}", "B"),
        ("#B#", "B"),
        ("**B**", "B"),
        ("Answer:B", "B"),
        ("B B B", "B"),
        ("Z", "Z"),
        ("B, not Z", "B"),
        ("a Teddy Bear", "A"),
        ("A cat", "A"),  # the letter goes before the text
        ("rabbit\tor hare", "B"),
        ("", None),
        ("b", None),
        ("E", None),
        ('"B"', None),
        ("A/B", None),
        ("A or B", None),
        ("cat and dog", None),
        ("Spider", None),
        (f"{REFUSALS[0]} B", "Z"),
        (f"{REFUSALS[3]}.", "Z"),
        (API_FAILURE, None),
        (f"{API_FAILURE} B", None),
        (f"{API_FAILURE} cat", "C"),  # the text is looked for all the same
    ],
)
def test_both_versions_read_the_same(answer: str, letter: str | None) -> None:
    assert both(answer) == (letter, letter)


@pytest.mark.parametrize(
    ("answer", "now", "before"),
    [
        ("B w x y", "B", "B"),
        ("B w x y z", None, "B"),  # the fifth token from the end
        ("B\n\nExplanation: the option is right", None, "B"),
        ("B w x y z B", None, "B"),  # its first place counts
        ("B is what I say, the answer is B", "B", "B"),
        ("Both C and D, but the correct ANSWER  IS **d**, I think", "D", None),
        ("A or B? I say that the answer is because", "B", "A"),  # "b" of "because"
        ("A or B? The answer is E", None, "A"),
        ("A or B? The answer is: B", None, None),
        ("It is, as one can easily see in this picture, a cat", None, "C"),
    ],
)
def test_where_the_versions_differ(answer: str, now: str | None, before: str | None) -> None:
    assert both(answer) == (now, before)


@pytest.mark.parametrize(
    ("answer", "now", "before"),
    [
        ("None", "B", "B"),  # holds "no"
        ("nan", None, None),
        ("No, it is not", None, "B"),  # longer than twice "yesno"
        ("A man", "A", "A"),
        ("Answer is B", "B", "B"),
    ],
)
def test_short_options(answer: str, now: str | None, before: str | None) -> None:
    assert both(answer, YES_NO) == (now, before)


def test_other_letters_and_texts() -> None:
    assert both("F", {letter: letter.lower() * 9 for letter in "ABCDEF"}) == ("F", "F")
    assert both("故宫", {"A": "天坛", "B": "故宫"}) == ("B", "B")
    assert both("Z", {"A": "one", "Z": "two"}) == ("Z", "Z")
    assert both("istanbul", {"A": "İstanbul", "B": "Rome"}) == (None, None)
    assert both("The answer is C", YES_NO) == (None, None)


@given(
    st.lists(st.sampled_from([*"ABCDZab.(*\n", "answer", "is", "cat"]), max_size=12).map(" ".join),
    st.sampled_from(RULES),
)
def test_a_letter_is_an_option_or_a_refusal(answer: str, rule: Rule) -> None:
    assert matched_letter(answer, PETS, rule) in (None, "Z", *PETS)


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_is_read(answer: str) -> None:
    for rule in RULES:
        assert matched_letter(answer, PETS, rule) in (None, "Z", *PETS)


@given(st.sampled_from(string.ascii_uppercase[:4]), st.text(" .:*#(){}[]", max_size=8))
def test_marks_around_a_letter_do_not_matter(letter: str, marks: str) -> None:
    assert both(marks + letter + marks) == (letter, letter)


@pytest.mark.parametrize("unit", ["answer is ", "answer is *", "A ", "*", "\n"])
def test_long_answers_are_read(unit: str) -> None:
    assert both(unit * 100_000)[0] in (None, "A", "B")
