"""Pocket preference sets: true against false, of training scenes, and readable by the trainers."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pocket import language as say
from benchmarks.pocket.dialogues import absent_companion, absent_habit
from benchmarks.pocket.facts import facts
from benchmarks.pocket.preferences import FILE_NAME, Pair, main, pairs, write
from benchmarks.pocket.world import COLOURS, HABITS, USUAL, Scene, ScenePicture
from trainers.preferences import read_preferences

N = 400


@pytest.fixture(scope="module")
def made() -> list[Pair]:
    return list(islice(pairs("test"), N))


def bears_out(scene: Scene, text: str) -> bool:
    """Whether everything that a text says of things is so."""
    told = facts(text)
    colours = {(thing.kind, thing.colour) for thing in scene.things}
    for kind, *words in told:
        if kind == "object" and words[0] not in scene.kinds and not text.startswith("No"):
            return False
        if kind == "absent" and words[0] in scene.kinds:
            return False
        if kind == "colour" and tuple(words) not in colours:
            return False
    return True


def asked_kind(pair: Pair) -> str:
    (kind,) = say.mentioned(pair.prompt)
    return kind


def answer_holds(pair: Pair, answer: str, scene: Scene) -> bool:
    if pair.kind == "existence":
        return answer.startswith("Yes") == (asked_kind(pair) in scene.kinds)
    return bears_out(scene, answer)


def test_chosen_answers_are_true_and_rejected_ones_are_not(made: list[Pair]) -> None:
    for pair in made:
        assert answer_holds(pair, pair.chosen, pair.scene), pair
        assert not answer_holds(pair, pair.rejected, pair.scene), pair


def test_rejected_answers_are_true_of_what_is_imagined(made: list[Pair]) -> None:
    imagined = [pair for pair in made if pair.imagined is not None]
    assert len(imagined) > N / 2
    for pair in imagined:
        assert pair.imagined is not None
        assert answer_holds(pair, pair.rejected, pair.imagined), pair
        differing = set(pair.imagined.things) ^ set(pair.scene.things)
        assert len(differing) in (1, 2)


def test_no_scene_is_one_of_evaluation(made: list[Pair]) -> None:
    shown = [pair.scene for pair in made] + [pair.imagined for pair in made if pair.imagined]
    assert {scene.part for scene in shown} == {"train"}
    assert len({pair.scene.name for pair in made}) == N


def test_questions_on_absent_and_present_things_are_balanced(made: list[Pair]) -> None:
    asked = [pair for pair in made if pair.kind == "existence"]
    assert 0.3 < sum(pair.chosen.startswith("Yes") for pair in asked) / len(asked) < 0.7
    captions = [pair for pair in made if pair.kind in ("brief", "detailed")]
    longer = sum(len(pair.rejected) > len(pair.chosen) + 10 for pair in captions)
    assert 0.6 < longer / len(captions) < 0.9


def test_rejected_captions_name_what_the_scene_makes_one_expect(made: list[Pair]) -> None:
    captions = [pair for pair in made if pair.kind in ("brief", "detailed")]
    for pair in captions:
        (named,) = set(say.mentioned(pair.rejected)) - set(pair.scene.kinds)
        expected = absent_habit(pair.scene) or absent_companion(pair.scene)
        assert named == expected or (expected is None and named in USUAL[pair.scene.place])
    assert any(absent_habit(pair.scene) for pair in captions)
    assert any(HABITS.get(pair.scene.place) in pair.scene.kinds for pair in captions)


def test_a_set_is_seeded_and_a_longer_one_begins_with_the_shorter() -> None:
    assert list(islice(pairs(1), 20)) == list(islice(pairs(1), 40))[:20]
    assert list(islice(pairs(1), 20)) != list(islice(pairs(2), 20))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_marked_words_are_where_the_answers_differ(tmp_path: Path) -> None:
    for record in lines(write(tmp_path, 100, 0)):
        spans = record["spans"]
        assert spans["rejected"]
        for name in ("chosen", "rejected"):
            text = record[name]
            for start, end in spans[name]:
                assert 0 <= start < end <= len(text)
        marked = [record["rejected"][a:b] for a, b in spans["rejected"]]
        assert any(mark not in record["chosen"] for mark in marked)


def test_a_written_set_is_read_by_the_trainers(tmp_path: Path) -> None:
    path = write(tmp_path, 30, 7, rejected_images=True)
    found = read_preferences(path)
    assert (len(found.pairs), len(found.dropped), found.format) == (30, 0, "plain")
    for pair, made in zip(found.pairs, pairs(7), strict=False):
        assert (pair.messages[0].text, pair.chosen, pair.rejected) == (
            made.prompt,
            made.chosen,
            made.rejected,
        )
        assert pair.pictures[0].load().tobytes() == ScenePicture(made.scene).load().tobytes()
        if made.imagined is None:
            assert not pair.rejected_pictures
        else:
            drawn = ScenePicture(made.imagined).load().tobytes()
            assert pair.rejected_pictures[0].load().tobytes() == drawn
    assert not list(tmp_path.rglob("*.part"))


def test_writing_again_gives_the_same_and_mends_pictures(tmp_path: Path) -> None:
    first = write(tmp_path, 5, 0).read_bytes()
    picture = next((tmp_path / "pictures").iterdir())
    drawn = picture.read_bytes()
    picture.write_bytes(b"damaged")
    assert write(tmp_path, 5, 0).read_bytes() == first
    assert picture.read_bytes() == drawn


def test_the_command_writes_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "set"), "--n", "3", "--seed", "5"]) == 0
    records = lines(tmp_path / "set" / FILE_NAME)
    assert [record["id"] for record in records] == ["pocket-5-0", "pocket-5-1", "pocket-5-2"]
    with pytest.raises(SystemExit) as refused:
        main(["--out", str(tmp_path / "none"), "--n", "0"])
    assert refused.value.code == 2
    assert "at least one pair" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as failed:
        main(["--out", str(tmp_path / "file"), "--n", "1"])
    assert failed.value.code == 2
    assert "Mend this" in capsys.readouterr().err


def test_colours_are_those_of_the_world(made: list[Pair]) -> None:
    told = [pair for pair in made if pair.kind == "colour" and pair.imagined is None]
    assert told
    for pair in told:
        assert pair.chosen_marks[0] in COLOURS
        assert pair.rejected_marks[0] in COLOURS
