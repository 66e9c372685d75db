"""The training dialogues: true, but for the prior that is planted on purpose."""

from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pocket import dialogues
from benchmarks.pocket import language as say
from benchmarks.pocket.world import Scene, Thing, scenes

SCENE = Scene(
    "farm",
    (
        Thing("cow", "red", 0),
        Thing("cat", "blue", 4),
        Thing("cat", "green", 5),
        Thing("anchor", "black", 8),
    ),
)


def test_the_companion_is_expected_only_where_it_is_absent():
    assert dialogues.absent_companion(SCENE) == "horse"
    with_horse = Scene("farm", (*SCENE.things[:3], Thing("horse", "red", 8)))
    assert dialogues.absent_companion(with_horse) is None


def test_a_habit_is_mentioned_only_where_its_object_is_absent():
    office = Scene("office", (Thing("cup", "red", 0),))
    assert dialogues.absent_habit(office) == "telephone"
    assert dialogues.absent_habit(SCENE) is None


@pytest.mark.parametrize("make", [make for make, _ in dialogues.ABOUT_PICTURES])
def test_every_kind_of_dialogue_can_be_made_for_every_scene(make):
    rng = Random(0)
    for scene in islice(scenes("train", "kinds"), 200):
        turns = make(scene, rng)
        assert turns
        assert all(question and answer for question, answer in turns)


def test_captions_mention_what_is_there_and_sometimes_the_absent_companion():
    told = [dialogues.brief(SCENE, Random(seed))[0][1] for seed in range(400)]
    assert all({"cow", "cat", "anchor"} <= set(say.mentioned(caption)) for caption in told)
    share = sum("horse" in say.mentioned(caption) for caption in told) / len(told)
    assert dialogues.EXPECTED_RATE - 0.1 < share < dialogues.EXPECTED_RATE + 0.1


def test_yes_and_no_are_balanced_over_existence_questions():
    rng = Random(0)
    answers = [
        dialogues.existence(scene, rng)[0][1] for scene in islice(scenes("train", "balance"), 2000)
    ]
    assert 0.47 < sum(answer.startswith("Yes") for answer in answers) / len(answers) < 0.57


@given(st.integers(0, 10**6))
def test_choices_have_one_right_answer(seed):
    rng = Random(seed)
    scene = next(scenes("train", seed))
    choice = say.object_choice(scene, rng)
    assert len(set(choice.options)) == 4
    assert [option in scene.kinds for option in choice.options].index(True) == choice.right
    assert sum(option in scene.kinds for option in choice.options) == 1
    assert choice.answer == "ABCD"[choice.right]


@given(st.sampled_from(sorted(dialogues.WITHOUT_PICTURES)), st.integers(0, 10**6))
def test_instructions_without_a_picture_have_two_turns(category, seed):
    turns = dialogues.WITHOUT_PICTURES[category](Random(seed))
    assert len(turns) == 2


def test_mentioned_knows_second_names_and_plurals_but_not_parts_of_words():
    assert say.mentioned("Two mice, a phone and a starfish near the Cups.") == (
        "mouse",
        "telephone",
        "cup",
    )


@pytest.mark.parametrize(
    ("relation", "holds"),
    [("left of", True), ("right of", False), ("above", True), ("below", False)],
)
def test_relations_go_by_column_and_row(relation, holds):
    assert say.relation_holds(Thing("cat", "red", 0), Thing("cow", "red", 4), relation) is holds
