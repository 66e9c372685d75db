"""The drawn world: scenes, pixels and the border between training and evaluation."""

from itertools import islice
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import Picture
from benchmarks.pocket import world
from benchmarks.pocket.world import Scene, ScenePicture, Thing, pixels, scenes


def test_the_world_has_the_size_that_the_checkpoint_was_made_for():
    assert (len(world.OBJECTS), len(world.COLOURS), len(world.PLACES)) == (32, 6, 7)
    assert all(len(usual) == 6 for usual in world.USUAL.values())
    assert {kind for usual in world.USUAL.values() for kind in usual} == set(world.OBJECTS)
    for place, pair in world.COMPANIONS.items():
        assert set(pair) <= set(world.USUAL[place])


def test_a_stream_is_seeded_and_has_no_scene_twice():
    first = list(islice(scenes("train", 1), 300))
    assert first == list(islice(scenes("train", 1), 300))
    assert first != list(islice(scenes("train", 2), 300))
    assert len({scene.name for scene in first}) == 300


def test_training_and_evaluation_scenes_never_meet():
    train = {scene.name for scene in islice(scenes("train", "a"), 500)}
    evaluation = {scene.name for scene in islice(scenes("evaluation", "a"), 500)}
    assert not train & evaluation


@given(st.integers(0, 10**9))
def test_every_scene_is_well_formed(seed):
    scene = world.draw_scene(Random(seed))
    cells = [thing.cell for thing in scene.things]
    assert 2 <= len(cells) <= 4
    assert cells == sorted(set(cells))
    assert all(thing.kind in world.OBJECTS for thing in scene.things)
    assert all(thing.colour in world.COLOURS for thing in scene.things)


def test_four_in_five_things_are_usual_for_their_place():
    drawn = list(islice(scenes("train", "usual"), 2000))
    usual = [t.kind in world.USUAL[s.place] for s in drawn for t in s.things]
    # a kind drawn from all 32 is usual by chance at times, hence a little above USUAL_SHARE
    assert 0.78 < np.mean(usual) < 0.88


def test_a_thing_is_drawn_in_its_colour_inside_its_cell():
    scene = Scene("farm", (Thing("heart", "red", 4),))
    drawn = pixels(scene)
    assert drawn.shape == (72, 72, 3)
    assert drawn.dtype == np.uint8
    background = np.array(world.BACKGROUNDS["farm"], dtype=np.uint8)
    changed = (drawn != background).any(-1)
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 24 - world.JITTER
    assert rows.max() < 48 + world.JITTER
    assert columns.min() >= 24 - world.JITTER
    assert columns.max() < 48 + world.JITTER
    assert tuple(drawn[36, 36]) == world.COLOURS["red"]


def test_pictographs_differ_from_each_other():
    drawn = {
        kind: pixels(Scene("farm", (Thing(kind, "black", 4),))).tobytes() for kind in world.OBJECTS
    }
    assert len(set(drawn.values())) == len(world.OBJECTS)


def test_a_scene_picture_is_hashed_by_what_the_model_sees():
    one, same = (ScenePicture(Scene("farm", (Thing("cat", "red", 0),))) for _ in range(2))
    other = ScenePicture(Scene("farm", (Thing("cat", "blue", 0),)))
    assert one.digest == same.digest != other.digest
    assert isinstance(one, Picture)
    assert one.load().size == (72, 72)
