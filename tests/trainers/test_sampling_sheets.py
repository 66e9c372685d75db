"""What annotators are asked, and how their replies are read."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import Message
from tests.trainers.sampling_cases import pocket_pairs
from trainers.pairs import Preference
from trainers.sampling.sheets import (
    RatingSheet,
    RewardSheet,
    VerdictSheet,
    read_ratings,
    read_verdict,
)
from trainers.scored import LIKERT_ATTRIBUTES

PROMPT = Preference("p1", (Message("user", "What is {this}?"),), "A cup.")
GOOD = "It is fine.\nHelpfulness: 4\nCorrectness: 3\nCoherence: 4\nComplexity: 1\nVerbosity: 2"


def test_ratings_are_read_with_reasons_before_them() -> None:
    request = RatingSheet().requests(PROMPT, {0: "A cup."})[0]
    values = RatingSheet().read(request, GOOD)
    assert values is not None
    assert (values["Correctness"], values["score"]) == (3, 11)


@pytest.mark.parametrize(
    "reply",
    [
        GOOD.replace("Helpfulness: 4", "- **Helpfulness**: 4/4"),
        GOOD.replace("Helpfulness: 4", "Helpfulness = 4.0"),
        GOOD.replace("Helpfulness: 4", "helpfulness:4"),
        "Helpfulness: 1\nNo, wait.\n" + GOOD,
    ],
)
def test_ratings_may_be_adorned_and_the_last_one_counts(reply: str) -> None:
    values = read_ratings(reply)
    assert values is not None
    assert values["Helpfulness"] == 4


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot rate this.",
        GOOD.replace("Verbosity: 2", ""),
        GOOD.replace("Helpfulness: 4", "Helpfulness: 7"),
        GOOD.replace("Helpfulness: 4", "Helpfulness: -1"),
        GOOD.replace("Helpfulness: 4", "Helpfulness: 3/5"),
        GOOD.replace("Helpfulness: 4", "Helpfulness: high"),
    ],
)
def test_a_reply_without_all_ratings_is_none(reply: str) -> None:
    assert read_ratings(reply) is None


@given(st.lists(st.integers(0, 4), min_size=5, max_size=5), st.text(max_size=20))
def test_ratings_in_lines_of_their_own_are_always_read(values: list[int], chat: str) -> None:
    told = dict(zip(LIKERT_ATTRIBUTES, values, strict=True))
    lines = [f"{name}: {value}" for name, value in told.items()]
    assert read_ratings("\n".join([chat, *lines])) == told


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Response 1. It makes up less.", 1),
        ("Response 2", 2),
        ("**Response 2** is better than Response 1.", 2),
        ("Verdict: response 1", 1),
        ("The better one is Response 2.", 2),
        ("Response 1 and Response 2 are equally good.", None),
        ("The first names a dog. Response 2 does not, Response 1 does.", None),
        ("Response 12", None),
        ("2", None),
        ("", None),
    ],
)
def test_a_verdict_is_read_where_it_can_be_told(reply: str, verdict: int | None) -> None:
    assert read_verdict(reply) == verdict


def test_which_answer_stands_first_is_drawn_for_each_prompt_and_undone() -> None:
    firsts: Counter[float] = Counter()
    for seed in range(60):
        sheet = VerdictSheet(seed)
        [request] = sheet.requests(PROMPT, {0: "Zero.", 1: "One."})
        values = sheet.read(request, "Response 1 is better")
        assert values is not None
        assert values["better"] == values["shown_first"]
        first = "Zero." if values["better"] == 0 else "One."
        assert request.messages[0].text.index(first) == min(
            request.messages[0].text.index(text) for text in ("Zero.", "One.")
        )
        firsts[values["better"]] += 1
        assert sheet.requests(PROMPT, {0: "Zero.", 1: "One."}) == [request]
    assert min(firsts[0], firsts[1]) > 15


def test_two_answers_alike_or_one_alone_are_not_compared() -> None:
    assert VerdictSheet().requests(PROMPT, {0: "Same."}) == []
    assert VerdictSheet().requests(PROMPT, {0: "Same.", 1: "Same."}) == []


def test_pictures_are_shown_and_texts_stay_as_they_are() -> None:
    [pair] = pocket_pairs(1)
    [request] = RatingSheet().requests(pair, {3: "{answer} {0}"})
    assert request.messages[0].pictures == pair.pictures
    assert "{answer} {0}" in request.messages[0].text
    assert request.id == "pocket-5-0/3"
    [request] = RatingSheet().requests(PROMPT, {0: "x"})
    assert "picture" not in request.messages[0].text


def test_a_conversation_is_told_with_its_speakers() -> None:
    messages = (Message("user", "Hello"), Message("assistant", "Hi"), Message("user", "Why?"))
    [request] = RatingSheet().requests(Preference("p", messages, ""), {0: "Because."})
    assert "User: Hello\nAssistant: Hi\nUser: Why?" in request.messages[0].text
    [request] = RewardSheet().requests(Preference("p", messages, ""), {0: "Because."})
    assert request.messages == (*messages, Message("assistant", "Because."))
