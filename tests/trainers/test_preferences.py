"""Preference sets: one schema from every format, errors that name the place, nothing lost silently."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.base import BadRecordError, Message, PlumblineError
from tests.trainers.preference_sets import (
    FALSE,
    FORMS,
    QUESTION,
    TRUE,
    picture,
    rated,
    scored,
    turn,
    written,
)
from trainers.pairs import Preference, Spans
from trainers.preference_formats import FORMATS, Choices
from trainers.preferences import Lengths, Preferences, read_preferences, without_long


def read(folder: Path, *records: Mapping[str, Any], **options: Any) -> Preferences:
    return read_preferences(written(folder / "set.jsonl", records), **options)


def only(folder: Path, record: Mapping[str, Any], **options: Any) -> Preference:
    (pair,) = read(folder, record, **options).pairs
    return pair


@pytest.mark.parametrize("name", FORMS)
def test_every_format_becomes_the_same_pair(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, FORMS[name])
    (pair,) = found.pairs
    assert found.format == name
    assert (pair.chosen, pair.rejected) == (TRUE, FALSE)
    (message,) = pair.messages
    assert (message.role, message.text) == ("user", QUESTION)
    assert [shown.name for shown in pair.pictures] == ["a.png"]
    assert pair.pictures[0].load().size == (8, 6)
    assert not found.dropped


@pytest.mark.parametrize("name", FORMS)
def test_a_format_that_is_named_is_read_as_that(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "set.json", [FORMS[name]])
    assert read_preferences(path, format=name).pairs == read_preferences(path).pairs


def test_the_formats_are_all_covered_here() -> None:
    assert set(FORMATS) == {*FORMS, "gemini_scored", "llava"}


def test_ids_are_the_sets_own_or_lines_and_never_repeat(tmp_path: Path) -> None:
    base = FORMS["plain"]
    found = read(tmp_path, base, {**base, "id": "x"}, {**base, "id": "x"}, {**base, "idx": 9})
    assert [pair.id for pair in found.pairs] == ["1", "x", "x~2", "9"]


def test_optional_fields_are_kept(tmp_path: Path) -> None:
    more = {
        "rejected_image": "b.png",
        "spans": {"rejected": [[2, 5]], "chosen": []},
        "scores": {"chosen": "4", "rejected": 1.5},
        "source": "ours",
    }
    pair = only(tmp_path, {**FORMS["plain"], **more})
    assert [shown.name for shown in pair.rejected_pictures] == ["b.png"]
    assert pair.spans == Spans((), ((2, 5),))
    assert pair.scores == {"chosen": 4.0, "rejected": 1.5}
    assert pair.source == "ours"


def test_chats_may_stand_in_the_place_of_texts(tmp_path: Path) -> None:
    question = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    record = {
        "images": ["a.png"],
        "prompt": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": question},
        ],
        "chosen": [{"role": "assistant", "content": [{"type": "text", "text": TRUE}]}],
        "rejected": [{"role": "assistant", "content": FALSE}],
    }
    pair = only(tmp_path, record)
    assert [message.role for message in pair.messages] == ["system", "user"]
    assert (pair.messages[1].text, len(pair.messages[1].pictures)) == (QUESTION, 1)
    assert (pair.chosen, pair.rejected) == (TRUE, FALSE)


def test_a_prompt_can_be_what_two_chats_share(tmp_path: Path) -> None:
    asked = {"role": "user", "content": QUESTION}
    record = {
        "image": "a.png",
        "chosen": [asked, {"role": "assistant", "content": TRUE}],
        "rejected": [asked, {"role": "assistant", "content": FALSE}],
    }
    pair = only(tmp_path, record)
    assert pair.messages == (Message("user", QUESTION, pair.pictures),)


def test_each_answer_of_a_conversation_is_a_pair(tmp_path: Path) -> None:
    asked, again = turn("human", f"<image>\n{QUESTION}"), turn("human", "And now?")
    record = {
        "id": "p",
        "image": "a.png",
        "conversations": [asked, turn("gpt", TRUE), again, turn("gpt", "A mug.")],
        "rejected_conversations": [asked, turn("gpt", FALSE), again, turn("gpt", "A cow.")],
    }
    first, second = read(tmp_path, record).pairs
    assert (first.id, second.id) == ("p/0", "p/1")
    assert (second.chosen, second.rejected) == ("A mug.", "A cow.")
    told = [(message.role, message.text) for message in second.messages]
    assert told == [("user", QUESTION), ("assistant", TRUE), ("user", "And now?")]


def test_a_retrieved_picture_is_the_rejected_one(tmp_path: Path) -> None:
    pair = only(tmp_path, {**FORMS["povid"], "retrieved_image": "b.png"})
    assert [shown.name for shown in pair.rejected_pictures] == ["b.png"]


def test_conversations_alone_supervise(tmp_path: Path) -> None:
    record = {key: value for key, value in FORMS["povid"].items() if "rejected" not in key}
    found = read(tmp_path, record)
    assert found.format == "llava"
    assert [pair.rejected for pair in found.pairs] == [None]


def test_other_pictures_alone_can_be_what_is_rejected(tmp_path: Path) -> None:
    record = {**FORMS["swift"], "rejected_images": ["b.png"]}
    del record["rejected_response"]
    pair = only(tmp_path, record)
    assert pair.chosen == pair.rejected == TRUE
    assert [shown.name for shown in pair.rejected_pictures] == ["b.png"]


def test_ratings_make_all_pairs_or_the_widest(tmp_path: Path) -> None:
    completions = [rated("a", "1", "1", "1"), rated("b", "3", "3", "3"), rated("c", "5", "5", "5")]
    record = {**FORMS["vlfeedback"], "completions": completions}
    found = read(tmp_path, record)
    assert [(p.chosen, p.rejected) for p in found.pairs] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert found.pairs[1].scores == {"chosen": 5.0, "rejected": 1.0}
    widest = read(tmp_path, record, choices=Choices(pairing="widest"))
    assert [(pair.chosen, pair.rejected) for pair in widest.pairs] == [("c", "a")]


def test_answers_without_a_rating_and_ties_are_reported(tmp_path: Path) -> None:
    unread = {**FORMS["vlfeedback"], "completions": [rated("a", "1", "N/A", "1")]}
    tied = {**FORMS["vlfeedback"], "id": "t"}
    tied["completions"] = [rated("a", "1", "2", "3"), rated("b", "3", "2", "1")]
    found = read(tmp_path, unread, tied, FORMS["vlfeedback"])
    reasons = [(item.id, item.reason) for item in found.dropped]
    assert reasons == [
        ("v/0", "its ratings cannot be read"),
        ("v", "no two answers with different ratings"),
        ("t", "no two answers with different ratings"),
    ]
    assert "1 pairs (vlfeedback), 3 left out" in found.report()
    assert "2: no two answers with different ratings (v, t)" in found.report()


def test_completions_may_be_lists_by_field(tmp_path: Path) -> None:
    listed = FORMS["vlfeedback"]["completions"]
    by_field = {key: [one[key] for one in listed] for key in ("annotations", "model", "response")}
    pair = only(tmp_path, {**FORMS["vlfeedback"], "completions": by_field})
    assert (pair.chosen, pair.rejected) == (TRUE, FALSE)


def test_scored_answers_to_one_question_make_one_pair(tmp_path: Path) -> None:
    records = [
        scored("q", "best", 4, 4, 4),
        scored("q", "close", 4, 4, 3),
        scored("q", "bad", 0, 0, 0),
        scored("q", "worse", 1, 1, 1),
        scored("r", "a", 1, 1, 1),
        scored("r", "b", 1, 1, 2),
        scored("r", "unscored", None, 1, 1),
    ]
    chosen = set()
    for seed in range(8):
        found = read(tmp_path, *records, choices=Choices(seed=seed))
        (pair,) = found.pairs
        assert (found.format, pair.chosen) == ("gemini_scored", "best")
        chosen.add(pair.rejected)
        assert pair.scores["chosen"] == 12
    assert chosen == {"bad", "worse"}
    assert [item.reason for item in found.dropped] == [
        "no Helpfulness, Correctness, Coherence that can be read",
        "the scores of its answers are too close",
    ]
    again = read(tmp_path, *records, choices=Choices(seed=3))
    assert again.pairs == read(tmp_path, *records, choices=Choices(seed=3)).pairs


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rejected": TRUE}, "chosen and rejected are the same"),
        ({"chosen": " \n"}, "an answer is empty"),
        ({"rejected": ""}, "an answer is empty"),
        (
            {"images": ["a.png", "b.png"], "image": None, "prompt": "Is <image> like <image>?"},
            "words stand between its pictures",
        ),
    ],
)
def test_what_is_no_pair_is_left_out_and_reported(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    found = read(tmp_path, FORMS["plain"], {**FORMS["plain"], **change})
    assert [(item.id, item.reason) for item in found.dropped] == [("2", reason)]
    assert len(found.pairs) == 1


@pytest.mark.parametrize(
    ("text", "shown", "left"),
    [
        ("<image>\nWhat?", 1, "What?"),
        ("What?\n<image>", 1, "What?"),
        ("See <image> there", 1, "See  there"),
        ("What?", 1, "What?"),
        ("<image><image>\nWhat?", 2, "What?"),
        ("<image>\n<image>\nWhat?", 2, "What?"),
    ],
)
def test_markers_become_pictures_before_the_text(
    tmp_path: Path, text: str, shown: int, left: str
) -> None:
    pictures = ["a.png", "b.png"][:shown]
    record = {**FORMS["plain"], "image": None, "images": pictures, "prompt": text}
    (message,) = only(tmp_path, record).messages
    assert (len(message.pictures), message.text.strip("\n")) == (shown, left)


def test_pictures_go_to_the_turns_of_their_markers(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "<image>First?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "And <image>?"},
    ]
    record = {"images": ["a.png", "b.png"], "prompt": turns, "chosen": TRUE, "rejected": FALSE}
    messages = only(tmp_path, record).messages
    assert [[shown.name for shown in m.pictures] for m in messages] == [["a.png"], [], ["b.png"]]


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("plain", {"chosen": 3}, "chosen holds no answer. Write the answer as text"),
    ("plain", {"prompt": None}, "prompt is no list of turns"),
    ("plain", {"prompt": [{"role": "judge", "content": "x"}]}, "nobody known \\('judge'\\)"),
    ("plain", {"prompt": [{"role": "user"}]}, "a turn without text"),
    ("plain", {"prompt": [{"role": "assistant", "content": "x"}]}, "does not end with the user"),
    ("plain", {"image": "c.png"}, "the picture c.png is not in .*--image-dir"),
    ("plain", {"image": 5}, "image is int, not a path"),
    ("plain", {"prompt": "<image><image>?"}, "2 markers <image> and 1 pictures"),
    ("plain", {"spans": [1]}, "spans is no object"),
    ("plain", {"spans": {"chosen": [[0, 99]]}}, "spans.chosen has \\[0, 99\\]"),
    ("plain", {"spans": {"chosen": [[3, 3]]}}, "not in the text"),
    ("plain", {"scores": {"chosen": "high"}}, "scores.chosen is 'high', not a number"),
    ("mdpo", {"prompt": ["x"]}, "prompt is list, not text"),
    ("rlhf_v", {"text": "{"}, "text holds no pair"),
    ("rlhf_v", {"text": "[1]"}, "text holds no pair"),
    ("povid", {"conversations": [turn("human", "Other?"), turn("gpt", TRUE)]}, "differ in more"),
    ("povid", {"conversations": []}, "conversations is no list of turns"),
    ("llava_rlhf", {"preference": 0}, "preference is 0. Write 1 or 2"),
    ("mllm_dpo", {"rejected": None}, "rejected holds no answer"),
    ("vlfeedback", {"completions": "x"}, "completions is no list of answers"),
    ("swift", {"messages": [{"role": "user", "content": "x"}]}, "does not end with an answer"),
]


@pytest.mark.parametrize(("name", "change", "problem"), BAD)
def test_a_bad_record_is_named_with_its_line(
    tmp_path: Path, name: str, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadRecordError, match=rf"set\.jsonl, line 2: .*{problem}"):
        read(tmp_path, FORMS[name], {**FORMS[name], **change})


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    second = {key: value for key, value in FORMS["mdpo"].items() if key != "rejected"}
    with pytest.raises(BadRecordError, match="line 2: rejected is missing"):
        read(tmp_path, FORMS["mdpo"], second)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "there is no record in it"),
        ('{"a": 1}\n', "line 1: no known format has the fields a"),
        ('{"chosen": ', "line 1: not valid JSON"),
        ('{"prompt": "a", "chosen": "b", "rejected": "b"}\n', "no pair in it.*are the same"),
    ],
)
def test_a_file_that_gives_nothing_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(PlumblineError, match=rf"(?s){problem}"):
        read_preferences(written(tmp_path / "set.jsonl", content))


def test_an_unknown_format_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(PlumblineError, match=r"no format 'rlhfv'; did you mean rlhf_v\?"):
        read(tmp_path, FORMS["plain"], format="rlhfv")


def test_pictures_may_lie_elsewhere(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "c.png", "green")
    record = {**FORMS["plain"], "image": "c.png"}
    pair = only(tmp_path, record, image_dir=tmp_path / "elsewhere")
    assert pair.pictures[0].load().getpixel((0, 0)) == (0, 128, 0)
    absolute = str(tmp_path / "elsewhere" / "c.png")
    assert only(tmp_path, {**FORMS["plain"], "image": absolute}).pictures[0].name == "c.png"


def test_long_pairs_are_left_out_whole_and_reported(tmp_path: Path) -> None:
    texts = ["short", "a very long answer", "mid"]
    found = read(tmp_path, *({**FORMS["plain"], "chosen": text} for text in texts))
    rejected_long = Preferences(found.pairs, (), "plain")

    def lengths(pair: Preference) -> Lengths:
        return Lengths(10, len(pair.chosen), len(pair.rejected or ""))

    kept = without_long(rejected_long, lengths, 16)
    assert [pair.chosen for pair in kept.pairs] == ["short", "mid"]
    assert [(item.id, item.reason) for item in kept.dropped] == [("2", "longer than 16 tokens")]
    assert kept.pairs[0] is found.pairs[0]
    with pytest.raises(PlumblineError, match=r"longer than 5 tokens.*longest has 28"):
        without_long(rejected_long, lengths, 5)


answers = st.text(min_size=1).filter(lambda text: text.strip() != "")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=answers, rejected=answers, prompt=st.text().filter(lambda text: "<image>" not in text)
)
def test_texts_survive_unchanged(tmp_path: Path, chosen: str, rejected: str, prompt: str) -> None:
    record = {"image": "a.png", "prompt": prompt, "chosen": chosen, "rejected": rejected}
    other = {"prompt": "p", "chosen": "1", "rejected": "2"}
    found = read(tmp_path, other, record)
    if chosen == rejected:
        assert len(found.dropped) == 1
    else:
        pair = found.pairs[1]
        assert (pair.chosen, pair.rejected) == (chosen, rejected)
        assert pair.messages[0].text == prompt


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(FORMS)), data=st.data(), value=values)
def test_whatever_a_field_holds_there_is_a_pair_a_reason_or_a_named_error(
    tmp_path: Path, name: str, data: st.DataObject, value: Any
) -> None:
    field = data.draw(st.sampled_from(sorted(FORMS[name])))
    path = written(tmp_path / "set.jsonl", [FORMS[name], {**FORMS[name], field: value}])
    try:
        found = read_preferences(path)
    except BadRecordError as error:
        problem = str(error)
    else:
        problem = "line 2"
        assert len(found.pairs) + len(found.dropped) >= 2
    assert "line 2" in problem
