"""Pocket MM-Vet: what it asks, and how its oracle grades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import Item, Message
from benchmarks.mmvet import MMVet
from benchmarks.mmvet_scores import official_score
from benchmarks.pocket import mmvet as pocket
from benchmarks.pocket import oracle
from benchmarks.pocket.world import ScenePicture
from tests.scripted import judged, score

ITEMS = {item.id: item for item in pocket.items()}


def whole(item: Item) -> str:
    """The ground truth as a model would say it."""
    truth: str = item.reference["answer"]
    return truth.replace("<AND>", " ")


def values(answers: Mapping[str, str], folder: Path) -> dict[str, float | None]:
    """Metrics without a split."""
    mmvet = MMVet("pocket")
    _, metrics = score(mmvet, judged(mmvet, answers, oracle.reply, folder).judgments)
    return {name: metric.value for (split, name), metric in metrics.items() if not split}


def grade(item_id: str, answer: str) -> float | None:
    prompt = MMVet("pocket").judge_prompt(ITEMS[item_id], answer)
    return official_score(pocket.oracle_reply(prompt))


def test_questions_cover_all_capabilities_but_reading() -> None:
    assert len(ITEMS) == len({item.group for item in ITEMS.values()}) == 200
    pictures = [picture for item in ITEMS.values() for picture in item.pictures]
    assert {p.scene.part for p in pictures if isinstance(p, ScenePicture)} == {"evaluation"}
    taken = Counter(name for item in ITEMS.values() for name in item.reference["capability"])
    assert set(taken) == {"rec", "spat", "math", "know", "gen"}
    assert min(taken.values()) >= 20
    assert {item.split for item in ITEMS.values()} == {
        "rec", "rec_spat", "math_rec", "know_rec", "gen_rec", "gen_rec_spat",
    }  # fmt: skip
    assert pocket.items() == list(ITEMS.values())


def test_the_truth_is_totally_right(tmp_path: Path) -> None:
    found = values({name: whole(item) for name, item in ITEMS.items()}, tmp_path)
    assert found["total"] == found["strict_total"] == 100
    assert found["unparsed_replies"] == 0


def test_silence_is_totally_wrong(tmp_path: Path) -> None:
    assert values(dict.fromkeys(ITEMS, ""), tmp_path)["total"] == 0


def test_another_questions_answer_is_mostly_wrong(tmp_path: Path) -> None:
    names = list(ITEMS)
    others = [*names[1:], names[0]]
    answers = {n: whole(ITEMS[other]) for n, other in zip(names, others, strict=True)}
    total = values(answers, tmp_path)["total"]
    assert total is not None
    assert total < 10


@pytest.mark.parametrize(
    ("item_id", "answer", "wanted"),
    [
        # "What colour is the house?" The house is red.
        ("colour/1", "Red.", 1.0),
        ("colour/1", "The house is blue.", 0.0),
        ("colour/1", "The house is red and blue.", 0.5),
        ("colour/1", "There is no house in the image.", 0.0),
        # "What colour is the cow?" There is none.
        ("absent/1", "No, there is no cow.", 1.0),
        ("absent/1", "The cow is red.", 0.0),
        # "Is the keyboard below the telephone in this image?" It is.
        ("relation/1", "Yes", 1.0),
        ("relation/1", "No, the keyboard is not below the telephone.", 0.0),
        # "Are there more flasks than gears in the image?" There is one of each.
        ("comparison/1", "No.", 1.0),
        ("comparison/1", "No, there is one flask and two gears.", 0.5),
        ("comparison/1", "Yes, there are two flasks and one gear.", 0.0),
        # "How many umbrellas are in the image?" One.
        ("counting/1", "1", 1.0),
        ("counting/1", "There are two umbrellas.", 0.0),
        # "Describe this image in detail." A blue horse in the middle, a red one at the bottom left.
        ("detailed/1", "The image shows a farm.", 0.2),
        ("detailed/1", "The image shows a farm. There is a blue horse in the middle.", 0.7),
        ("detailed/1", "The image shows an office. There is a cup.", 0.0),
    ],
)
def test_grades(item_id: str, answer: str, wanted: float) -> None:
    assert grade(item_id, answer) == wanted


def test_what_is_made_up_lowers_the_grade() -> None:
    for item in ITEMS.values():
        if item.split.startswith("gen"):
            picture = " ".join(item.reference["picture"])
            absent = next(kind for kind in ("anchor", "crown", "gear") if kind not in picture)
            made_up = grade(item.id, f"{whole(item)} There is a red {absent} at the top.")
            assert made_up is not None
            assert 0.5 <= made_up < 1


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_answer_gets_a_grade(answer: str) -> None:
    for item_id in ("colour/1", "detailed/1", "relation/1"):
        assert grade(item_id, answer) is not None


def test_prompts_are_known_by_their_title() -> None:
    prompt = MMVet("pocket").judge_prompt(ITEMS["colour/1"], "Red.")
    assert oracle.reply([Message("user", prompt)]) == "1.0"
    with pytest.raises(ValueError, match="not a prompt for the pocket oracle"):
        oracle.reply([Message("user", pocket.TITLE)])
