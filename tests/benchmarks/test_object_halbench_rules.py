"""Object HalBench's rules, one by one.

Run: pytest tests/benchmarks/test_object_halbench_rules.py
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import BadRecordError, MissingDataError
from benchmarks.coco_objects import WordList, picture_objects
from benchmarks.object_halbench_rules import (
    counts,
    is_short,
    lenient_objects,
    object_words,
    official_answer,
    official_objects,
    strings_of,
)
from benchmarks.taggers import OFFICIAL_TAGGER, RecordedTokens, Token, open_tagger, resolved
from tests.benchmarks import coco_folder


@pytest.fixture
def words(tmp_path: Path) -> WordList:
    path = tmp_path / "words.txt"
    path.write_text(coco_folder.WORDS)
    return WordList.read(path, "fetch it")


def tagger(text: str) -> list[Token]:
    return [Token(*pair) for pair in coco_folder.TOKENS[text]]


# The judge's reply


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ('["dog", "dog"]', ["dog", "dog"]),
        (' [\n"dog"\n] ', ["dog"]),
        ('I see ["a"]\n["dog"]\n\n', ["dog"]),
        ('{"dog": 1, "cat": [2]}', {"dog": 1, "cat": [2]}),
        ('"dog"', "dog"),
        ('Sure: ["a"]\n7', 7),
        ("null", None),
        ('["\\ud800"]', ["\ud800"]),
    ],
)
def test_any_json_value_counts(reply: str, value: Any) -> None:
    assert official_objects(reply) == value


@pytest.mark.parametrize(
    "reply",
    ["", "()", "dog, cat", '["dog"', 'Sure: ["dog"]', "['dog']", '["dog"]\nDone.', "[" * 100_000],
)
def test_other_replies_are_refused(reply: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        official_objects(reply)


def test_what_is_not_a_number_is_no_list() -> None:
    assert math.isnan(official_objects("NaN"))
    assert strings_of(official_objects("NaN")) is None


@pytest.mark.parametrize(
    ("value", "strings"),
    [
        (["dog", ""], ["dog", ""]),
        ({"dog": 1, "cat": 2}, ["dog", "cat"]),
        ("dog", ["d", "o", "g"]),
        (["dog", None, 3, True, ["cat"]], ["dog", "None", "3", "True", "['cat']"]),
        ([], []),
        (None, None),
        (3, None),
        (False, None),
    ],
)
def test_the_script_iterates_over_whatever_it_parsed(value: Any, strings: Any) -> None:
    assert strings_of(value) == strings


@pytest.mark.parametrize(
    ("reply", "strings"),
    [
        ('```json\n["dog"]\n```', ["dog"]),
        ("()", []),
        ("```\n( )\n```", []),
        ('The list is ["dog", "cat"]. Done.', ["dog", "cat"]),
    ],
)
def test_the_lenient_parser_reads_lists_wherever_they_stand(reply: str, strings: list[str]) -> None:
    assert lenient_objects(reply) == strings


@pytest.mark.parametrize("reply", ["", "dog", "[dog]", '["dog", 3]', "[" * 100_000 + "]" * 100_000])
def test_the_lenient_parser_refuses_the_rest(reply: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (json's own texts)
        lenient_objects(reply)


# From strings to words


@pytest.mark.parametrize(
    ("strings", "found"),
    [
        (["dog", "dogs", "red puppy"], ["dog", "puppy"]),
        (["dog walker"], ["dog walker"]),
        (["toilet seat"], ["toilet"]),
        (["baby bear on a seat"], ["bear"]),
        (["seat near a man"], ["seat", "man"]),
        ([], []),
    ],
)
def test_terms_go_before_nouns_and_nouns_stay_together(
    words: WordList, strings: list[str], found: list[str]
) -> None:
    assert object_words(strings, tagger, words) == found


def test_beside_a_toilet_a_seat_is_no_chair(words: WordList) -> None:
    assert [m.category for m in words.mentions(["man", "seat"])] == ["person", "chair"]
    assert [m.category for m in words.mentions(["seat", "toilet"])] == ["toilet"]


def test_words_that_follow_a_term_are_kept(words: WordList) -> None:
    assert words.merged(["a", "baby", "bear", "cub", "wine", "glas"]) == [
        "a", "bear", "cub", "wine glass",
    ]  # fmt: skip


def test_stray_blanks_in_a_word_list(tmp_path: Path) -> None:
    """Object HalBench's script strips them, CHAIR's does not, so that a word matches nothing."""
    path = tmp_path / "words.txt"
    path.write_text(coco_folder.WORDS)
    stripped, plain = (WordList.read(path, "", strips_words=strips) for strips in (True, False))
    assert stripped.mentions(["beaker"])[0].category == "cup"
    assert plain.mentions(["beaker"]) == []


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Assistant: A dog. \n", "A dog."),
        ("AssiAssistant:stant: x", "Assistant: x"),
        ("assistant: x", "assistant: x"),
    ],
)
def test_answers_are_cleaned_once(text: str, answer: str) -> None:
    assert official_answer(text) == answer


def test_four_words_are_not_short() -> None:
    answers = ("", "one two three", "one\ttwo \n three", "one two three four", "x " * 5_000_000)
    assert [is_short(answer) for answer in answers] == [True, True, True, False, False]


def test_counts_of_one_answer(words: WordList) -> None:
    mentions = words.mentions(["man", "woman", "dog", "cup"])
    assert counts("a b  c", mentions, ["person", "cup", "chair"]) == {
        "responses": 1,
        "hallucinated_responses": 1,
        "responses_with_mention": 1,
        "mentions": 4,
        "hallucinated_mentions": 1,
        "correct_categories": 2,
        "true_categories": 3,
        "words": 4,
    }


# Taggers


def test_recorded_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text('{"a dogs": [["a", "DT"], ["dog", "NNS"]]}')
    tokens = RecordedTokens.read(path)
    assert tokens("a dogs") == [("a", "DT"), ("dog", "NNS")]
    with pytest.raises(BadRecordError, match="no tokens for 'a cat'"):
        tokens("a cat")


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": [["x"]]}', "\xff"])
def test_other_files_hold_no_tokens(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadRecordError, match="no recorded tokens"):
        RecordedTokens.read(path)


def test_a_spacy_pipeline(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("attribute_ruler")
    ruler.add([[{"LOWER": "dogs"}]], {"LEMMA": "dog", "TAG": "NNS"})
    pipeline.to_disk(tmp_path)
    assert open_tagger(str(tmp_path), None)("a dogs")[1] == Token("dog", "NNS")
    assert len(open_tagger(str(tmp_path), None)("a \ud800")) == 2


def test_auto_is_the_official_tagger_or_says_that_it_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = resolved("auto")
    assert found == OFFICIAL_TAGGER or (found == "nltk" and "not official" in caplog.text)
    assert resolved("some_pipeline") == "some_pipeline"


# What is in a picture


def lemmas(text: str) -> list[str]:
    return text.lower().rstrip(".").replace("dogs", "dog").split()


def annotations(folder: Path, **changes: Any) -> Path:
    """Annotation files of val2014, some of them changed."""
    files = {
        "instances_val2014": coco_folder.instances(coco_folder.ANNOTATED),
        "captions_val2014": coco_folder.captions(coco_folder.CAPTIONS),
        **changes,
    }
    for name, content in files.items():
        if content is not None:
            text = content if isinstance(content, str) else coco_folder.json.dumps(content)
            (folder / f"{name}.json").write_text(text)
    return folder


def test_objects_are_annotated_or_told(tmp_path: Path, words: WordList) -> None:
    found = picture_objects([1, 2, 3], annotations(tmp_path), words, lemmas, "fetch it")
    assert {number: sorted(names) for number, names in found.items()} == coco_folder.TRUTH


def test_train_is_read_only_for_pictures_that_val_does_not_know(
    tmp_path: Path, words: WordList
) -> None:
    folder = annotations(tmp_path)
    with pytest.raises(MissingDataError, match=r"instances_train2014\.json"):
        picture_objects([1, 7], folder, words, lemmas, "fetch it")
    train = {
        "instances_train2014": coco_folder.instances({7: ["cup"]}),
        "captions_train2014": coco_folder.captions({7: ["A man."]}),
    }
    found = picture_objects([1, 7], annotations(folder, **train), words, lemmas, "fetch it")
    assert found[7] == {"cup", "person"}


def test_a_picture_without_annotations_holds_nothing(tmp_path: Path, words: WordList) -> None:
    """As in the official script; but not if that is so for all of them."""
    train = {
        "instances_train2014": coco_folder.instances({}),
        "captions_train2014": coco_folder.captions({}),
    }
    folder = annotations(tmp_path, **train)
    assert picture_objects([1, 99], folder, words, lemmas, "fetch it")[99] == set()
    with pytest.raises(BadRecordError, match=r"no object is annotated in any of the 2 pictures"):
        picture_objects([98, 99], folder, words, lemmas, "fetch it")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"instances_val2014": None}, MissingDataError),
        ({"captions_val2014": None}, MissingDataError),
        ({"instances_val2014": "{"}, BadRecordError),
        ({"instances_val2014": "[]"}, BadRecordError),
        ({"captions_val2014": {"images": [], "annotations": [{"image_id": 1}]}}, BadRecordError),
        (
            {"instances_val2014": {**coco_folder.instances({1: ["dog"]}), "categories": []}},
            BadRecordError,
        ),
    ],
)
def test_annotations_that_cannot_be_used(
    tmp_path: Path, words: WordList, changes: dict[str, Any], error: type[Exception]
) -> None:
    folder = annotations(tmp_path, **changes)
    with pytest.raises(error, match=r"_val2014\.json"):
        picture_objects([1], folder, words, lemmas, "fetch it")
