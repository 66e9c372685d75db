"""Object HalBench's numbers against those of the official script, value by value.

Cases are found by their form, so that another folder of the same form can be given::

    pytest tests/parity/test_object_halbench_parity.py --parity-dir DIR [--parity-data-dir DIR]

A case is a folder with a ``.json`` file of "overall_metrics_with_judge" (and "…_without_judge").
Beside it lie, under any name, an answer file, recorded judge replies, COCO annotations, recorded
tokens, and what the script found per item.

Answers go the way of a user's: answer file, ``read_responses``, ``read_judgments``,
``score_items``, ``measure``. The question file is made from the answers, because the official one
is not needed for any number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Metric, PlumblineError, ScoreRow
from benchmarks.object_halbench import JUDGE_PROMPT_FILE, QUESTION_FILE, WORD_FILE, ObjectHalBench
from benchmarks.object_halbench_rules import is_short, official_answer, official_objects
from benchmarks.records import read_records
from harness.scoring import measure, score_items

JUDGE, WORDS = "judge", "words"
METRICS = {JUDGE: "overall_metrics_with_judge", WORDS: "overall_metrics_without_judge"}

SUMMARY_NAMES = {
    "Response Hall": "CHAIRs_refine",
    "Object Hall": "CHAIRi",
    "Response Correct": "correct_rate",
    "Object Correct": "object_correct_rate",
    "Object Recall": "obj_rec",
    "Average Length": "avg_word_len",
    "COCO Sent Number": "coco_sentence_num",
    "COCO Word Number": "coco_word_count",
    "GT Word Number": "gt_word_count",
}


@dataclass(frozen=True)
class Case:
    """One run of the official script."""

    folder: Path
    expected: Mapping[str, Any]

    def content(self, is_it: Callable[[Any], bool]) -> list[Path]:
        """The .json files of the folder whose content has a form."""
        return [path for path in sorted(self.folder.glob("*.json")) if is_it(_json(path))]

    def lines(self, *fields: str, without: str = "") -> list[Path]:
        """The .jsonl files of the folder whose first record has these fields."""
        found = []
        for path in sorted(self.folder.glob("*.jsonl")):
            first = next((record.fields for record in read_records(path)), {})
            if set(fields) <= set(first) and without not in first:
                found.append(path)
        return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _cases(config: pytest.Config) -> list[Case]:
    folder: Path | None = config.getoption("parity_dir")
    if folder is None:
        return []
    below = folder / "object_halbench"
    contents = [
        (path, _json(path))
        for path in sorted((below if below.is_dir() else folder).rglob("*.json"))
    ]
    return [
        Case(path.parent, content)
        for path, content in contents
        if isinstance(content, dict) and METRICS[JUDGE] in content
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = _cases(metafunc.config)
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", cases, ids=lambda case: case.folder.name, scope="module")
    if "parsed" in metafunc.fixturenames:
        paths = [path for case in cases for path in case.lines("judge_output", "parsed", "error")]
        records = [record.fields for path in paths for record in read_records(path)]
        metafunc.parametrize(
            "parsed", records, ids=lambda record: repr(record["judge_output"])[:40]
        )


# Scoring as a user does


def _is_tokens(content: Any) -> bool:
    """``{text: [[lemma, tag], …]}``."""
    return isinstance(content, dict) and all(
        isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
        for pairs in content.values()
    )


def _is_ground_truth(content: Any) -> bool:
    """``{image id: [category, …]}``."""
    return isinstance(content, dict) and all(
        key.isdigit() and isinstance(names, list) for key, names in content.items()
    )


def _annotation_files(case: Case, field: str) -> list[Path]:
    def is_it(content: Any) -> bool:
        annotations = content.get("annotations") if isinstance(content, dict) else None
        return isinstance(annotations, list) and any(field in entry for entry in annotations)

    return case.content(is_it)


def _lay_out(case: Case, data_dir: Path, scratch: Path) -> Path:
    """A data folder with the case's questions and annotations; the answer file's path."""
    (answers,) = [
        *case.lines("image_id", "text"),
        *case.lines("image_id", "answer", without="text"),
    ]
    own = scratch / "object_halbench"
    own.mkdir()
    with (own / QUESTION_FILE).open("w") as stream:
        for record in read_records(answers):
            fields = record.fields
            question = fields["prompt"] if "prompt" in fields else fields["question"]
            stream.write(json.dumps({"image_id": fields["image_id"], "question": question}) + "\n")
    for name in (WORD_FILE, JUDGE_PROMPT_FILE):
        path = data_dir / "object_halbench" / name
        if path.is_file():
            (own / name).symlink_to(path)
    if (data_dir / "nltk_data").is_dir():
        (scratch / "nltk_data").symlink_to(data_dir / "nltk_data")
    annotations = scratch / "coco" / "annotations"
    annotations.mkdir(parents=True)
    for kind, field in (("instances", "category_id"), ("captions", "caption")):
        (path,) = _annotation_files(case, field)
        content = _json(path)
        (annotations / f"{kind}_val2014.json").write_text(json.dumps(content))
        empty = {**content, "images": [], "annotations": []}
        (annotations / f"{kind}_train2014.json").write_text(json.dumps(empty))
    return answers


@dataclass(frozen=True)
class Scored:
    """A case after scoring, in both modes."""

    answers: Path
    benchmarks: Mapping[str, ObjectHalBench]
    rows: Mapping[str, list[ScoreRow]]
    metrics: Mapping[str, Mapping[str, Metric]]


@pytest.fixture(scope="module")
def scored(case: Case, parity_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    scratch = tmp_path_factory.mktemp("object_halbench")
    answers = _lay_out(case, parity_data_dir, scratch)
    (tokens,) = case.content(_is_tokens)
    (replies,) = case.lines("judge_outputs_in_turn")
    benchmarks, rows, metrics = {}, {}, {}
    for mode in (JUDGE, WORDS):
        benchmark = ObjectHalBench("official", scratch, extractor=mode, tagger=str(tokens))
        responses = {r.request_id: [r] for r in benchmark.read_responses([answers])}
        judgments = {j.item_id: [j] for j in benchmark.read_judgments([replies])}
        benchmarks[mode] = benchmark
        rows[mode] = score_items(benchmark, benchmark.items(), responses, judgments)
        metrics[mode] = {metric.name: metric for metric in measure(benchmark, rows[mode])}
    return Scored(answers, benchmarks, rows, metrics)


# The tests


@pytest.mark.parametrize("mode", [JUDGE, WORDS])
def test_overall_metrics_are_the_official_ones(case: Case, scored: Scored, mode: str) -> None:
    if case.expected.get("error"):
        pytest.skip(f"the official script stopped: {case.expected['error']}")
    expected = case.expected[METRICS[mode]]
    assert expected
    assert {name: scored.metrics[mode][name].value for name in expected} == expected
    assert all(metric.complete for metric in scored.metrics[mode].values())


def test_the_summary_prints_the_same(case: Case, scored: Scored) -> None:
    lines = [line.split(":") for line in case.expected["summary_lines"]]
    for label, printed in lines:
        metric = scored.metrics[JUDGE][SUMMARY_NAMES[label.strip()]]
        assert metric.value is not None
        is_count = metric.name.endswith(("_num", "_count"))
        shown = metric.value * 100 if metric.display == "percent" else metric.value
        assert printed.strip() == (str(shown) if is_count else f"{shown:.2f}")


def test_ground_truth_is_the_official_one(case: Case, scored: Scored) -> None:
    (path,) = case.content(_is_ground_truth)
    items = scored.benchmarks[JUDGE].items()
    assert {item.group: item.reference["objects"] for item in items} == _json(path)


@pytest.mark.parametrize("mode", [JUDGE, WORDS])
def test_every_item_is_read_as_officially(case: Case, scored: Scored, mode: str) -> None:
    if mode == JUDGE:
        (path,) = case.lines("mscoco_generated_words", "extract_objs")
    else:
        (path,) = case.lines("mscoco_generated_words", "words", without="extract_objs")
    expected = [record.fields for record in read_records(path)]
    for row, official in zip(scored.rows[mode], expected, strict=True):
        assert row.group == str(official["image_id"])
        found = row.details
        assert found["mentions"] == official["mscoco_generated_words"]
        hallucinated = [[word, [word, category]] for word, category in found["hallucinated"]]
        assert hallucinated == official["mscoco_hallucinated_words"]
        assert row.values["hallucinated_responses"] == official["CHAIRs"]
        share = row.values["hallucinated_mentions"] / (row.values["mentions"] or 1)
        assert share == official["CHAIRi"]
        if mode == WORDS:
            assert found["words"] == official["words"]
            continue
        assert found["extracted"] == [str(name) for name in official["extract_objs"]]
        assert found["words"] == official["objs"]
        assert found["truth"] == sorted(official["mscoco_gt_words"])


def test_answers_are_cleaned_as_officially(case: Case, scored: Scored) -> None:
    (path,) = case.lines("caption_after_cleaning")
    expected = [record.fields["caption_after_cleaning"] for record in read_records(path)]
    responses = scored.benchmarks[JUDGE].read_responses([scored.answers])
    assert [official_answer(response.text) for response in responses] == expected


def test_judge_prompts_are_the_official_ones(case: Case, scored: Scored) -> None:
    benchmark = scored.benchmarks[JUDGE]
    answers = [official_answer(r.text) for r in benchmark.read_responses([scored.answers])]
    hashes = {entry["question_id"]: entry for entry in case.expected["judge_prompt_hashes"]}
    ids = [record.fields.get("question_id") for record in read_records(scored.answers)]
    responses = benchmark.read_responses([scored.answers])
    n_compared = 0
    for question_id, item, answer, response in zip(
        ids, benchmark.items(), answers, responses, strict=True
    ):
        if question_id not in hashes:
            continue
        try:
            prompt = benchmark.judge_prompt(item.question, answer)
        except PlumblineError as error:
            pytest.skip(f"the official judge prompt is not among the official files ({error})")
        assert len(prompt) == hashes[question_id]["prompt_chars"]
        digest = hashlib.sha256(prompt.encode("utf-8")).hexdigest()
        assert digest == hashes[question_id]["prompt_sha256"]
        asked = [request.messages[0].text for request in benchmark.judge_requests(item, [response])]
        assert asked == ([] if is_short(answer) else [prompt])
        n_compared += 1
    assert n_compared == len(hashes)


def test_the_word_list_has_the_official_sizes(case: Case, scored: Scored) -> None:
    words = scored.benchmarks[JUDGE]._words
    assert len(words.double_words) == case.expected["double_word_dict_size"]
    assert len(words.categories) == case.expected["n_distinct_mscoco_words"]
    assert len(set(words.categories.values())) == case.expected["n_node_words"]


def test_replies_are_parsed_as_officially(parsed: Mapping[str, Any]) -> None:
    if parsed["error"] is None:
        assert official_objects(parsed["judge_output"]) == parsed["parsed"]
    else:
        with pytest.raises(ValueError, match="JSON"):
            official_objects(parsed["judge_output"])
