"""Pocket MMBench, and the matcher that answers from the prompt alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import Item, Judgment, JudgmentStatus, Message, Response, ScoreStatus
from benchmarks.mmbench import MMBench
from benchmarks.mmbench_matching import matched_letter
from benchmarks.pocket import language as say
from benchmarks.pocket import mmbench, oracle
from benchmarks.pocket.world import ScenePicture
from harness.scoring import measure, score_items

ITEMS = mmbench.items()
OPTIONS = {"A": "top left", "B": "top", "C": "left", "D": "middle"}


def scene_of(item: Item) -> ScenePicture:
    (picture,) = item.pictures
    assert isinstance(picture, ScenePicture)
    return picture


def test_kinds_take_turns_over_evaluation_scenes() -> None:
    assert len(ITEMS) == len({item.group for item in ITEMS}) == 105
    assert [item.id for item in ITEMS] == [str(number) for number in range(105)]
    assert {scene_of(item).scene.part for item in ITEMS} == {"evaluation"}
    assert Counter(item.reference["l2-category"] for item in ITEMS) == {
        "coarse_perception": 30,
        "finegrained_perception (instance-level)": 45,
        "finegrained_perception (cross-instance)": 15,
        "attribute_reasoning": 15,
    }
    assert Counter(len(item.reference["passes"]) for item in ITEMS) == {4: 91, 3: 14}
    assert mmbench.items() == ITEMS


def test_the_right_option_takes_every_place() -> None:
    for item in ITEMS:
        passes = item.reference["passes"]
        assert sorted(one.answer for one in passes) == list("ABCD"[: len(passes)])
        assert len({one.options[one.answer] for one in passes}) == 1
        assert len(set(passes[0].options.values())) == len(passes)


def test_the_prompt_is_the_one_that_the_checkpoint_knows() -> None:
    benchmark = MMBench("pocket")
    for item in benchmark.items():
        one = item.reference["passes"][0]
        request = benchmark.request(item)
        assert request is not None
        known = say.Choice(one.question, tuple(one.options.values()), "ABCD".index(one.answer))
        assert request.messages[0].text == known.prompt


def test_answers_in_words_are_matched_by_the_oracle() -> None:
    """The rules leave open what several options' texts are in: "top left" holds "top" and "left"."""
    benchmark = MMBench("pocket")
    turns: dict[str, list[Response]] = {}
    judgments: dict[str, list[Judgment]] = {}
    n_asked = 0
    for item in benchmark.items():
        passes = item.reference["passes"]
        texts = [f"I see. It is {one.options[one.answer]}." for one in passes]
        names = [item.id, *(f"{item.id}#{n}" for n in range(2, len(passes) + 1))]
        turns[item.id] = [Response(n, "", text) for n, text in zip(names, texts, strict=True)]
        for request in benchmark.judge_requests(item, turns[item.id]):
            reply = oracle.reply(request.messages)
            assert reply is not None
            assert benchmark.read_reply(request, reply) is not None
            judgment = Judgment(request.id, item.id, "", JudgmentStatus.OK, raw=reply)
            judgments.setdefault(item.id, []).append(judgment)
            n_asked += 1
    rows = score_items(benchmark, benchmark.items(), turns, judgments)
    assert {row.status for row in rows} == {ScoreStatus.SCORED}
    assert n_asked > 20
    assert {m.name: m.value for m in measure(benchmark, rows)}["circular"] == 1


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("The cup is at the top left.", "A"),
        ("Top!", "B"),
        ("It is in the Middle of the image", "D"),
        ("The cup is at the bottom.", "Z"),
        ("top left or middle", "Z"),
        ("It is not at the top.", "Z"),
        ("", "Z"),
    ],
)
def test_the_oracle_matches_positions(answer: str, letter: str) -> None:
    assert (
        mmbench.oracle_reply(mmbench.judge_prompt("Where is the cup?", OPTIONS, answer)) == letter
    )


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        ({"A": "2", "B": "3"}, "There are three objects.", "B"),
        ({"A": "cup", "B": "mouse", "C": "cow"}, "Two mice", "B"),
        ({"A": "cup", "B": "cow"}, "a mug", "A"),
        ({"A": "red", "B": "blue"}, "The cup is blue.", "B"),
        ({"A": "farm", "B": "castle"}, "This is a farm.", "A"),
        ({"A": "farm", "B": "castle"}, "D", "Z"),
    ],
)
def test_the_oracle_knows_the_words_of_the_world(
    options: dict[str, str], answer: str, letter: str
) -> None:
    assert mmbench.oracle_reply(mmbench.judge_prompt("?", options, answer)) == letter


@given(st.text(st.characters(exclude_categories=()), max_size=100))
def test_any_answer_gets_a_letter(answer: str) -> None:
    reply = oracle.reply([Message("user", mmbench.judge_prompt("?", OPTIONS, answer))])
    assert reply in (*OPTIONS, "Z")
    assert matched_letter(reply, OPTIONS) == reply


def test_other_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="not a prompt for the pocket oracle"):
        mmbench.oracle_reply(mmbench.TITLE)
