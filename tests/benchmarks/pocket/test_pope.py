"""Pocket POPE: the three sampling rules and the official balance."""

from collections import Counter

import pytest

from benchmarks.pocket import pope
from benchmarks.pocket.world import USUAL


@pytest.fixture(scope="module")
def items():
    return pope.items()


def test_every_split_has_the_official_shape(items):
    assert Counter(item.split for item in items) == dict.fromkeys(pope.SPLITS, 1200)
    assert Counter((item.split, item.reference["label"]) for item in items) == {
        (split, label): 600 for split in pope.SPLITS for label in ("yes", "no")
    }
    assert len({item.id for item in items}) == len(items)
    assert len({item.group for item in items}) == 200


def test_labels_are_the_ground_truth(items):
    for item in items:
        kind = item.question.split()[3]
        present = kind in item.pictures[0].scene.kinds
        assert item.reference["label"] == ("yes" if present else "no")


def test_the_positive_questions_are_the_same_in_all_splits(items):
    positives = {
        split: [i.question for i in items if i.split == split and i.reference["label"] == "yes"]
        for split in pope.SPLITS
    }
    assert positives["random"] == positives["popular"] == positives["adversarial"]


def test_all_questions_come_from_evaluation_scenes(items):
    assert all(item.pictures[0].scene.part == "evaluation" for item in items)


def test_adversarial_negatives_are_usual_for_the_place_and_random_ones_are_not(items):
    def usual_share(split):
        negatives = [i for i in items if i.split == split and i.reference["label"] == "no"]
        fitting = [i.question.split()[3] in USUAL[i.pictures[0].scene.place] for i in negatives]
        return sum(fitting) / len(fitting)

    assert usual_share("adversarial") > 0.75
    assert usual_share("random") < 0.25


def test_items_are_the_same_on_every_call(items):
    assert [item.question for item in pope.items()] == [item.question for item in items]
