"""AMBER on a made-up folder of two pictures and twelve questions: files, requests, answers, options.

Run: pytest tests/benchmarks/test_amber.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.amber import NORMALISERS, PARTS, Amber
from benchmarks.amber_mentions import MAX_CAPTION_CHARACTERS
from benchmarks.base import (
    BadRecordError,
    Item,
    Metric,
    MissingDataError,
    PlumblineError,
    Request,
    Response,
    ScoreRow,
    ScoreStatus,
)
from harness.stats import evaluate

RELATION = {"tree": ["bush"], "lake": ["water"], "person": ["man"], "dog": [], "lamp": ["light"]}

# picture, type, question, truth
ASKED: list[tuple[str, str, str, Any]] = [
    ("a.jpg", "generative", "Describe this image.", (["tree", "lake"], ["dog", "person"])),
    ("b.jpg", "generative", "Describe this image.", (["person"], ["dog"])),
    ("a.jpg", "discriminative-attribute-state", "Is the tree green in this image?", "yes"),
    ("a.jpg", "discriminative-attribute-state", "Is the tree blue in this image?", "no"),
    ("a.jpg", "discriminative-attribute-number", "Is there one tree in this image?", "yes"),
    ("b.jpg", "discriminative-attribute-number", "Are there two men in this image?", "no"),
    ("b.jpg", "discriminative-attribute-action", "Does the man sit in this image?", "yes"),
    ("b.jpg", "discriminative-attribute-action", "Does the man run in this image?", "no"),
    ("a.jpg", "discriminative-hallucination", "Is there a dog in this image?", "no"),
    ("b.jpg", "discriminative-hallucination", "Is there a dog in this image?", "no"),
    ("a.jpg", "discriminative-relation", "Is the tree beside the lake?", "yes"),
    ("b.jpg", "relation", "Is the man under the lamp?", "no"),
]

TYPES_OF_PART = {
    "all": "",
    "generative": "generative",
    "discriminative": ("discriminative", "relation"),
    "existence": "discriminative-hallucination",
    "attribute": "discriminative-attribute",
    "relation": ("discriminative-relation", "relation"),
}


def annotations() -> list[dict[str, Any]]:
    records = []
    for number, (_, kind, _, truth) in enumerate(ASKED, start=1):
        words = {"truth": truth[0], "hallu": truth[1]} if kind == "generative" else {"truth": truth}
        records.append({"id": number, "type": kind, **words})
    return records


def queries() -> dict[str, list[dict[str, Any]]]:
    """The records of each query file, by its part."""
    return {
        part: [
            {"id": number, "image": image, "query": question}
            for number, (image, kind, question, _) in enumerate(ASKED, start=1)
            if kind.startswith(types)
        ]
        for part, types in TYPES_OF_PART.items()
    }


def write_data(
    folder: Path,
    asked: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    annotated: Sequence[Mapping[str, Any]] | None = None,
) -> Path:
    """A data folder in the official layout."""
    (folder / "amber" / "query").mkdir(parents=True)
    for part, records in (asked or queries()).items():
        prefix = "discriminative-" if part in ("existence", "attribute", "relation") else ""
        path = folder / "amber" / "query" / f"query_{prefix}{part}.json"
        path.write_text(json.dumps(records))
    (folder / "amber" / "annotations.json").write_text(json.dumps(annotated or annotations()))
    (folder / "amber" / "relation.json").write_text(json.dumps(RELATION, indent=4))
    (folder / "amber" / "safe_words.txt").write_text("light\nsign")
    return folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def amber(data_dir: Path) -> Amber:
    return Amber("official", data_dir, similarity="exact")


def item_of(amber: Amber, item_id: str) -> Item:
    return next(item for item in amber.items() if item.id == item_id)


def scored(amber: Amber, item_id: str, text: str) -> ScoreRow:
    return amber.score(item_of(amber, item_id), [Response(item_id, "", text)])


# Items and requests


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_its_items_with_the_official_ids(data_dir: Path, part: str) -> None:
    items = Amber("official", data_dir, part=part).items()
    assert [int(item.id) for item in items] == [record["id"] for record in queries()[part]]
    assert {item.split for item in items} == set(PARTS[part])


def test_an_item_knows_its_picture_and_its_truth(amber: Amber, data_dir: Path) -> None:
    caption, answer = item_of(amber, "1"), item_of(amber, "4")
    assert caption.reference == {"truth": ("tree", "lake"), "hallu": ("dog", "person")}
    assert (answer.reference, answer.split) == ({"label": "no"}, "attribute-state")
    assert caption.group == answer.group == "a.jpg"
    assert caption.pictures[0].path == data_dir / "amber" / "images" / "a.jpg"
    assert len({id(item.pictures[0]) for item in amber.items()}) == 2
    assert [item_of(amber, number).reference["label"] for number in ("11", "12")] == ["yes", "no"]


def asked_text(amber: Amber, item_id: str) -> str:
    request = amber.request(item_of(amber, item_id))
    assert isinstance(request, Request)
    return request.messages[0].text


def test_the_prompt_is_the_bare_query_unless_another_is_asked_for(data_dir: Path) -> None:
    official = Amber("official", data_dir)
    suffixed = Amber("official", data_dir, prompt="yes_no")
    assert asked_text(official, "1") == asked_text(suffixed, "1") == "Describe this image."
    assert asked_text(official, "9") == "Is there a dog in this image?"
    assert asked_text(suffixed, "9") == "Is there a dog in this image?\nPlease answer yes or no."
    request = official.request(item_of(official, "1"))
    assert request
    assert official.request(item_of(official, "1"), [Response("1", "", "A lake.")]) is None
    assert (request.decoding.max_new_tokens, request.decoding.temperature) == (1024, 0.0)


@pytest.mark.parametrize(
    "options",
    [
        {"part": "action"},
        {"prompt": "short"},
        {"normaliser": "none"},
        {"threshold": 1.5},
        {"threshold": float("nan")},
        {"max_new_tokens_caption": 0},
        {"max_new_tokens_answer": -1},
        {"similarity": "en_core_web_lg"},
    ],
)
def test_an_option_that_does_not_exist_is_refused(options: dict[str, Any]) -> None:
    """The last one exists, but not in the pocket edition, which is the default."""
    with pytest.raises(PlumblineError, match=r"amber\."):
        Amber(**options)


def test_protocol_names_what_a_run_depends_on(data_dir: Path) -> None:
    protocol = Amber("official", data_dir, similarity="exact").protocol()
    assert json.loads(json.dumps(protocol))["prompt_template"] == "{question}"
    assert protocol["similarity"].endswith("(not official)")
    assert set(protocol["data_sha256"]) == {
        "query_all.json",
        "annotations.json",
        "relation.json",
        "safe_words.txt",
    }
    relation = Amber("official", data_dir, part="relation").protocol()
    assert "similarity" not in relation
    assert relation["normaliser"] == "lenient"
    captions = Amber("official", data_dir, part="generative", similarity="exact").protocol()
    assert "normaliser" not in captions


# Damaged and missing files


def test_missing_files_come_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"relation\.json") as caught:
        Amber("official", tmp_path).items()
    assert caught.value.remedy == f"python -m harness.fetch amber --data-dir {tmp_path}"
    with pytest.raises(MissingDataError) as caught:
        Amber("official").items()
    assert caught.value.remedy == "python -m harness.fetch amber"


@pytest.mark.parametrize(
    ("number", "change", "problem"),
    [
        (2, {"id": 1}, "id is 1, not 2"),
        (2, {"id": "2"}, "id is '2', not 2"),
        (3, {"type": "discriminative"}, "type is 'discriminative'"),
        (3, {"truth": "Yes"}, "truth is 'Yes', neither"),
        (1, {"truth": ["moon"]}, "truth has 'moon', which relation.json does not have"),
        (1, {"hallu": []}, r"hallu is \[\], not a list of words"),
        (1, {"hallu": "dog"}, "hallu is 'dog', not a list of words"),
    ],
)
def test_damaged_annotations_are_not_scored_against(
    tmp_path: Path, number: int, change: dict[str, Any], problem: str
) -> None:
    records = annotations()
    records[number - 1] |= change
    write_data(tmp_path, annotated=records)
    with pytest.raises(BadRecordError, match=rf"annotations\.json.*{problem}") as caught:
        Amber("official", tmp_path).items()
    assert "python -m harness.fetch amber" in str(caught.value)


@pytest.mark.parametrize(
    "change", [{"id": 13}, {"id": True}, {"id": 1}, {"image": "../a.jpg"}, {"query": " "}]
)
def test_a_damaged_query_file_is_not_asked(tmp_path: Path, change: dict[str, Any]) -> None:
    asked = queries()
    asked["all"][1] |= change
    write_data(tmp_path, asked)
    with pytest.raises(BadRecordError, match=r"query_all\.json, line 1: (id|image|query) is"):
        Amber("official", tmp_path).items()


@pytest.mark.parametrize("content", [b"\xff", b"[]", b"{}", b'{"tree": "bush"}', b'{"tree": [1]}'])
def test_a_damaged_word_list_is_refused(tmp_path: Path, content: bytes) -> None:
    (write_data(tmp_path) / "amber" / "relation.json").write_bytes(content)
    with pytest.raises(BadRecordError, match=r"relation\.json.*Restore the official file"):
        Amber("official", tmp_path).items()


# Answers


@pytest.mark.parametrize(
    ("text", "lenient", "halva"),
    [
        ("Yes", "Yes", "Yes"),
        ("No", "No", "No"),
        ("yes", "Yes", "Yes"),
        ("NO.", "No", "No"),
        ("Yes, the tree is green in this image.", "Yes", "Yes"),
        ("No, it is not a cloud.", "No", "No"),
        ("There is no dog in the image.", "No", "No"),
        ("No, there is no yes here.", "No, there is no yes here.", "Yes"),
        ("I am not sure", "I am not sure", "No"),
        ("", "", "No"),
        ("\ud800", "\ud800", "No"),
    ],
)
def test_normalisers(text: str, lenient: str, halva: str) -> None:
    assert NORMALISERS["exact"](text) == text
    assert NORMALISERS["lenient"](text) == lenient
    assert NORMALISERS["halva"](text) == halva


@settings(deadline=None)
@given(st.text(), st.sampled_from(sorted(NORMALISERS)))
def test_a_normalised_answer_stays_as_it_is(text: str, name: str) -> None:
    normalise = NORMALISERS[name]
    assert normalise(normalise(text)) == normalise(text)
    assert normalise(text) in ("Yes", "No", text)


def test_only_the_two_words_are_right_officially(data_dir: Path) -> None:
    exact = Amber("official", data_dir, normaliser="exact")
    assert scored(exact, "9", "No").values["correct"] == 1
    for text in ("no", "No.", "No ", "", "Yes", "\ud800"):
        row = scored(exact, "9", text)
        assert (row.status, row.values["correct"]) == (ScoreStatus.SCORED, 0)


def test_an_answer_is_counted_with_and_without_normalisation(amber: Amber) -> None:
    row = scored(amber, "4", "No, it is green.")
    counted = {name for name, value in row.values.items() if value}
    assert counted == {"answered", "truth_no", "correct", "answered_no", "correct_no"}
    assert row.details == {"label": "no", "prediction": "No"}
    assert scored(amber, "4", "Hm").values["unparsed"] == 1


def test_a_failed_generation_is_a_status(amber: Amber) -> None:
    for item_id in ("1", "9"):
        item = item_of(amber, item_id)
        row = amber.score(item, [Response.failed(item_id, "", "out of memory")])
        assert (row.status, row.values) == (ScoreStatus.GENERATION_ERROR, {})
        assert amber.score(item, []).status is ScoreStatus.GENERATION_ERROR


def test_ten_megabytes_end_in_a_status(amber: Amber) -> None:
    row = scored(amber, "1", "A tree. " * 1_250_000)
    assert row.status is ScoreStatus.UNPARSED
    assert row.details["reason"] == (
        f"the caption has 10,000,000 characters; at most {MAX_CAPTION_CHARACTERS:,} are tagged"
    )
    row = scored(amber, "9", "No, no. " * 1_250_000)
    assert (row.status, row.values["correct"]) == (ScoreStatus.SCORED, 1)
    assert len(row.details["prediction"]) <= 100


def test_a_caption_needs_nltk_and_its_data(
    amber: Amber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nltk = pytest.importorskip("nltk")
    amber = Amber("official", write_data(tmp_path), similarity="exact")
    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(MissingDataError) as caught:
        scored(amber, "1", "A tree.")
    assert caught.value.remedy == f"python -m harness.fetch nltk_data --data-dir {tmp_path}"
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(PlumblineError, match=r"pip install \"plumbline-eval\[nlp\]\""):
        scored(amber, "1", "A tree.")


# From answers to metrics


def measured(amber: Amber, answers: Mapping[str, str]) -> dict[tuple[str, str], Metric]:
    rows = [
        amber.score(item, [Response(item.id, "", answers[item.id])] if item.id in answers else [])
        for item in amber.items()
    ]
    found = evaluate(amber.metric_specs(), rows, n_resamples=50)
    return {(metric.split, metric.name): metric for metric in found}


def test_metrics_by_hand(data_dir: Path) -> None:
    """Ten questions, 6 of them "no": 4 of these answered "No", and 2 of the 4 others as well."""
    answers = dict.fromkeys(("3", "4", "6", "7", "8", "9"), "No")
    answers |= {"5": "yes", "10": "Yes, there is.", "11": "Hm", "12": "Yes"}
    metrics = measured(Amber("official", data_dir, part="discriminative"), answers)
    values = {name: metrics["", name].value for name in ("accuracy", "precision", "recall", "f1")}
    # 5 / 10.001, 4 / 6.001, 4 / 6.001, and 2 x 0.667 x 0.667 / (0.667 + 0.667 + 0.0001)
    assert values == {"accuracy": 50.0, "precision": 66.7, "recall": 66.7, "f1": 66.7}
    assert metrics["", "unparsed"].value == 1 / 10.001 * 100
    # "yes" is not "Yes".
    assert metrics["", "exact_accuracy"].value == 40.0
    assert metrics["existence", "precision"].value == 99.9
    assert metrics["existence", "recall"].value == 50.0
    assert metrics["attribute", "accuracy"].value == 66.6
    assert metrics["attribute-action", "recall"].value == 99.9
    assert metrics["relation", "precision"].value == 0.0
    assert [key for key, metric in metrics.items() if metric.headline] == [("", "f1")]


def test_a_group_without_answers_has_no_figures(amber: Amber) -> None:
    metrics = measured(amber, {"9": "No", "10": "No"})
    assert metrics["existence", "f1"].value == 100.0
    assert metrics["relation", "f1"].value is None
    assert metrics["", "amber_score"].value is None
    note = metrics["", "amber_score"].note
    assert note == "the AMBER score needs captions and yes/no answers"
    assert (metrics["", "f1"].n_scored, metrics["", "f1"].n_asked) == (2, 10)


def test_a_file_is_scored_as_it_is_read_and_written(amber: Amber, tmp_path: Path) -> None:
    """Raw answers in; in the official form out, with the same figures."""
    answers = {"9": "No, there is no dog.", "10": "yes", "11": "Yes", "12": "hm"}
    responses = {item_id: Response(item_id, "", text) for item_id, text in answers.items()}
    ((name, text),) = amber.official_files(responses).items()
    (tmp_path / name).write_text(text)
    read = {r.request_id: r.text for r in amber.read_responses([tmp_path / name])}
    assert read == {"9": "No", "10": "Yes", "11": "Yes", "12": "hm"}
    raw, official = measured(amber, answers), measured(amber, read)
    for key in (("", "f1"), ("existence", "accuracy"), ("relation", "recall")):
        assert raw[key].value == official[key].value
    with pytest.raises(PlumblineError, match="split"):
        amber.read_responses([tmp_path / name], split="existence")


def test_without_the_official_similarity_captions_are_not_official(data_dir: Path) -> None:
    specs = Amber("official", data_dir, similarity="exact").metric_specs()
    assert [spec.name for spec in specs if spec.headline] == [
        *("CHAIR", "Cover", "Hal", "Cog"),
        "f1",
        "amber_score",
    ]
    unofficial = {spec.name for spec in specs if not spec.official and spec.headline}
    assert unofficial == {"CHAIR", "Cover", "Hal", "Cog", "amber_score"}
    assert len({(spec.split, spec.name) for spec in specs}) == len(specs)
    lower = {spec.name for spec in specs if spec.direction == "lower" and spec.headline}
    assert lower == {"CHAIR", "Hal", "Cog"}
