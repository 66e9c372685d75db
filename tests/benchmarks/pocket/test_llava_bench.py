"""Pocket LLaVA-Bench: what it asks, and how its oracle rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import Message
from benchmarks.llava_bench import LLaVABench
from benchmarks.llava_bench_files import CATEGORIES
from benchmarks.llava_bench_scores import is_on_scale, official_pair
from benchmarks.pocket import llava_bench as pocket
from benchmarks.pocket import oracle
from benchmarks.pocket.world import ScenePicture
from tests.scripted import judged, score

ITEMS = {item.id: item for item in pocket.items()}


def values(answers: Mapping[str, str], folder: Path) -> dict[tuple[str, str], float | None]:
    benchmark = LLaVABench("pocket")
    _, metrics = score(benchmark, judged(benchmark, answers, oracle.reply, folder).judgments)
    return {key: metric.value for key, metric in metrics.items()}


def ratings(item_id: str, answer: str) -> tuple[float, float] | None:
    prompt = LLaVABench("pocket").judge_prompt(ITEMS[item_id], answer)
    return official_pair(pocket.oracle_reply(prompt))


def test_three_questions_about_each_scene() -> None:
    assert (len(ITEMS), len({item.group for item in ITEMS.values()})) == (90, 30)
    assert Counter(item.split for item in ITEMS.values()) == dict.fromkeys(CATEGORIES, 30)
    pictures = [picture for item in ITEMS.values() for picture in item.pictures]
    assert {p.scene.part for p in pictures if isinstance(p, ScenePicture)} == {"evaluation"}
    assert list(ITEMS) == [str(number) for number in range(90)]
    assert len({item.question.split()[0] for item in ITEMS.values()}) > 5
    assert pocket.items() == list(ITEMS.values())


def test_the_truth_is_as_good_as_the_reference(tmp_path: Path) -> None:
    answers = {name: item.reference["answer"] for name, item in ITEMS.items()}
    found = values(answers, tmp_path)
    for split in ("", *CATEGORIES):
        assert found[split, "relative_score"] == found[split, "reference_score"] == 100
    assert found["", "strict_relative_score"] == 100
    assert found["", "unparsed_replies"] == 0


def test_silence_has_the_lowest_rating(tmp_path: Path) -> None:
    found = values(dict.fromkeys(ITEMS, ""), tmp_path)
    assert (found["", "relative_score"], found["", "candidate_score"]) == (10, 10)


def test_another_questions_answer_is_rated_low(tmp_path: Path) -> None:
    names = list(ITEMS)
    others = [ITEMS[name].reference["answer"] for name in [*names[1:], names[0]]]
    answers = dict(zip(names, others, strict=True))
    relative = values(answers, tmp_path)["", "relative_score"]
    assert relative is not None
    assert relative < 40


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_is_made_up_lowers_the_rating(category: str) -> None:
    for item in ITEMS.values():
        if item.split == category:
            content = " ".join((item.question, *item.reference["context"]))
            absent = next(kind for kind in ("anchor", "crown", "gear") if kind not in content)
            answer = f"{item.reference['answer']} There is a red {absent} at the top."
            found = ratings(item.id, answer)
            assert found is not None
            assert found[0] == 10
            assert 1 < found[1] < 10


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_answer_is_rated_on_the_scale(answer: str) -> None:
    for item_id in ("0", "1", "2"):
        found = ratings(item_id, answer)
        assert found is not None
        assert is_on_scale(found)


def test_prompts_are_known_by_their_title() -> None:
    item = ITEMS["0"]
    prompt = LLaVABench("pocket").judge_prompt(item, item.reference["answer"])
    reply = oracle.reply([Message("system", "Be helpful."), Message("user", prompt)])
    assert reply is not None
    assert reply.split("\n")[0] == "10 10"
    with pytest.raises(ValueError, match="not a prompt for the pocket oracle"):
        oracle.reply([Message("user", pocket.TITLE)])
