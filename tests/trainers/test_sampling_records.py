"""Prompts in, preference records out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.base import BadRecordError, FilePicture, Message, PlumblineError
from benchmarks.pocket.world import ScenePicture, scenes
from tests.trainers.preference_sets import QUESTION, TRUE, picture, written
from trainers.pairs import Preference, Spans
from trainers.preferences import read_preferences
from trainers.sampling.prompts import read_prompts
from trainers.sampling.records import write_preferences

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: text.strip() and "<image>" not in text
)
SCENE = ScenePicture(next(scenes("train", "records")))


def test_prompts_alone_need_no_answer(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.jsonl",
        [{"id": "x", "image": "a.png", "prompt": "Why?"}, {"question": "What is 1 + 1?"}],
    )
    found = read_prompts(path)
    assert found.format == "prompts"
    assert [(p.id, p.messages[0].text, p.chosen, len(p.pictures)) for p in found.pairs] == [
        ("x", "Why?", "", 1),
        ("2", "What is 1 + 1?", "", 0),
    ]


def test_a_prompt_that_many_pairs_share_is_asked_once(tmp_path: Path) -> None:
    pair = {"image": "a.png", "prompt": QUESTION, "chosen": TRUE, "rejected": "A dog."}
    other = {**pair, "image": "b.png"}
    path = written(tmp_path / "p.jsonl", [pair, {**pair, "rejected": "A cat."}, other])
    found = read_prompts(path)
    assert [pair.id for pair in found.pairs] == ["1", "3"]
    assert "the same prompt" in found.dropped[0].reason


def test_what_holds_no_prompt_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", [{"prompt": "Why?"}, {"image": "a.png"}])
    with pytest.raises(BadRecordError, match=r"p.jsonl, line 2: there is no prompt"):
        read_prompts(path)
    path = written(tmp_path / "q.jsonl", [{"id": 1, "prompt": "a"}, {"id": 1, "prompt": "b"}])
    with pytest.raises(PlumblineError, match="two records have the id 1"):
        read_prompts(path)
    path = written(tmp_path / "r.jsonl", [{"words": "?"}])
    with pytest.raises(BadRecordError, match="no known format"):
        read_prompts(path)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_records_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("records")
    shown = FilePicture(picture(folder / "pictures" / "a.png"))
    pictures = data.draw(st.sampled_from([(), (shown,), (shown, shown)]))
    chosen, rejected = data.draw(TEXTS), data.draw(TEXTS)
    pair = Preference(
        "ü1",
        (Message("user", data.draw(TEXTS), pictures),),
        chosen,
        data.draw(st.sampled_from([None, rejected + "!" * (rejected == chosen)])),
        rejected_pictures=data.draw(st.sampled_from([(), (shown,)])),
        spans=data.draw(st.sampled_from([None, Spans(((0, 1),), ())])),
        scores=data.draw(st.dictionaries(st.text("abc", min_size=1), st.floats(-9, 9))),
        source="test",
    )
    write_preferences(folder / "out.jsonl", [pair])
    [found] = read_preferences(folder / "out.jsonl").pairs
    resolved = tuple(FilePicture(each.path.resolve()) for each in pictures)
    assert found.messages == (Message("user", pair.messages[0].text, resolved),)
    assert (found.id, found.chosen, found.rejected) == (pair.id, pair.chosen, pair.rejected)
    assert (found.spans, found.scores, found.source) == (pair.spans, pair.scores, "test")
    assert len(found.rejected_pictures) == len(pair.rejected_pictures)


def test_turns_keep_their_pictures(tmp_path: Path) -> None:
    messages = (
        Message("user", "Here is one.", (SCENE,)),
        Message("assistant", "Yes."),
        Message("user", "And here?", (SCENE, SCENE)),
    )
    write_preferences(tmp_path / "out.jsonl", [Preference("1", messages, "A", "B")])
    [found] = read_preferences(tmp_path / "out.jsonl").pairs
    assert [(m.role, m.text, len(m.pictures)) for m in found.messages] == [
        ("user", "Here is one.", 1),
        ("assistant", "Yes.", 0),
        ("user", "And here?", 2),
    ]


def test_pictures_that_are_no_files_are_written_beside_the_set(tmp_path: Path) -> None:
    pair = Preference("1", (Message("user", "What?", (SCENE,)),), "A", "B")
    out = tmp_path / "deep" / "out.jsonl"
    assert write_preferences(out, [pair, Preference("2", pair.messages, "C", "D")]) == 2
    assert [path.name for path in (out.parent / "out_pictures").iterdir()] == [
        f"{SCENE.digest}.png"
    ]
    told = json.loads(out.read_text().splitlines()[0])["images"]
    assert told == [f"out_pictures/{SCENE.digest}.png"]
    # A set can be moved with its pictures.
    out.parent.rename(tmp_path / "moved")
    [found, _] = read_preferences(tmp_path / "moved" / "out.jsonl").pairs
    assert found.pictures[0].load().tobytes() == SCENE.load().tobytes()
