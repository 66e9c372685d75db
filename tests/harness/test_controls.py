"""Controls change the picture and nothing else."""

import pytest

from benchmarks.base import Decoding, Item, Message, Request
from benchmarks.pocket.world import ScenePicture, scenes
from harness.controls import CONTROLS, GREY, change_for


@pytest.fixture
def items():
    stream = scenes("evaluation", "controls")
    pictures = [ScenePicture(next(stream)) for _ in range(5)]
    return [
        Item(f"{p.name}/{n}", p.name, f"Question {n}?", pictures=(p,))
        for p in pictures
        for n in range(3)
    ]


def request(item):
    messages = (Message("user", item.question, item.pictures),)
    return Request(item.id, item.id, messages, Decoding(max_new_tokens=4))


@pytest.mark.parametrize("control", CONTROLS)
def test_only_the_picture_changes(items, control):
    change = change_for(control, items)
    for item in items:
        before, after = request(item), change(item, request(item))
        assert after.id == before.id
        assert [m.text for m in after.messages] == [m.text for m in before.messages]
        assert after.decoding == before.decoding
        assert after.key != before.key


def test_blind_shows_grey_of_the_same_size(items):
    shown = change_for("blind", items)(items[0], request(items[0])).pictures
    image = shown[0].load()
    assert image.size == (72, 72)
    assert image.getcolors() == [(72 * 72, GREY)]


def test_shuffled_shows_one_other_picture_to_all_questions_of_a_group(items):
    change = change_for("shuffled", items)
    shown = {}
    for item in items:
        (picture,) = change(item, request(item)).pictures
        assert picture != item.pictures[0]
        shown.setdefault(item.group, set()).add(picture.name)
    assert all(len(names) == 1 for names in shown.values())
    assert {name for names in shown.values() for name in names} == {item.group for item in items}


def test_text_only_shows_nothing(items):
    assert change_for("text_only", items)(items[0], request(items[0])).pictures == ()
