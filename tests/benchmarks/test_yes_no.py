"""The lenient reading of yes/no answers."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.yes_no import lenient_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes", "yes"),
        ("YES!", "yes"),
        ("yeah, it does", "yes"),
        ("Yes, but it is not clearly visible", "yes"),
        ("Yes, there is no doubt", "yes"),
        ("The answer is: **yes**", "yes"),
        ("No", "no"),
        ("NO.", "no"),
        ("no\n", "no"),
        ("No!", "no"),
        ('"No"', "no"),
        ("No,there is none.", "no"),
        ("No\nThere is a cat", "no"),
        ("no there is only a cat", "no"),
        ("Nope", "no"),
        ("The answer is no", "no"),
        ("There is no dog in the image.", "no"),
        ("There isn't a dog.", "no"),
        ("There isn\N{RIGHT SINGLE QUOTATION MARK}t a dog.", "no"),
        ("I do not see a dog here.", "no"),
        ("I cannot see a dog.", "no"),
        ("None", "no"),
        ("A cat. There are no dogs.", "no"),
        ("There is a dog in the image.", "yes"),
        ("The image features a dog. It is not very large.", "yes"),
        ("A dog is visible", "yes"),
        ("Yes. No, wait.", None),
        ("No, the image does not contain a dog. Yes.", None),
        ("Yes or no", None),
        ("not sure", None),
        ("It is impossible to tell", None),
        ("I can't tell if there is a dog", None),
        ("It cannot be determined.", None),
        ("unanswerable", None),
        ("Maybe", None),
        ("", None),
        ("a dog", None),
        ("yesterday, nobody knows", None),
        ("\ud800", None),
    ],
)
def test_answers_are_read_as_a_person_would(text: str, expected: str | None) -> None:
    assert lenient_answer(text) == expected


@given(st.text(alphabet=string.printable))
def test_case_and_outer_space_do_not_matter(text: str) -> None:
    read = lenient_answer(text)
    assert lenient_answer(text.upper()) == read
    assert lenient_answer(f" \n{text}\n ") == read


@given(st.text())
def test_a_verdict_in_front_cannot_turn_into_the_other(text: str) -> None:
    assert lenient_answer(f"Yes. {text}") in ("yes", None)
    assert lenient_answer(f"No. {text}") in ("no", None)


@given(st.text(alphabet="abcd \n."))
def test_without_any_known_word_there_is_no_answer(text: str) -> None:
    assert lenient_answer(text) is None
