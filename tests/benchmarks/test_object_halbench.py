"""Object HalBench on three made-up pictures.

Run: pytest tests/benchmarks/test_object_halbench.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import (
    Judgment,
    JudgmentStatus,
    Message,
    Metric,
    PlumblineError,
    Response,
    ScoreRow,
    ScoreStatus,
)
from benchmarks.object_halbench import ObjectHalBench
from benchmarks.registry import open_benchmark
from harness.stats import evaluate
from tests.benchmarks import coco_folder

Answers = Mapping[str, tuple[str, str]]
"""Answer and judge's reply by item id."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    folder = coco_folder.write(tmp_path_factory.mktemp("data"), pytestconfig)
    coco_folder.skip_without_nltk(folder)
    return folder


@pytest.fixture(scope="module")
def benchmark(data_dir: Path) -> ObjectHalBench:
    return official(data_dir)


def official(data_dir: Path, **options: Any) -> ObjectHalBench:
    tokens = str(data_dir / "object_halbench" / "tokens.json")
    return ObjectHalBench("official", data_dir, **{"tagger": tokens, **options})


def judged(reply: str, status: JudgmentStatus = JudgmentStatus.OK) -> Judgment:
    return Judgment("1", "1", "", status, raw=reply)


def row_of(benchmark: ObjectHalBench, item_id: str, answer: str, reply: str) -> ScoreRow:
    item = next(item for item in benchmark.items() if item.id == item_id)
    return benchmark.score(item, [Response(item_id, "", answer)], [judged(reply)])


def measured(benchmark: ObjectHalBench, answers: Answers) -> dict[str, Metric]:
    rows = [row_of(benchmark, item_id, *pair) for item_id, pair in answers.items()]
    metrics = evaluate(benchmark.metric_specs(), rows, n_resamples=20)
    return {metric.name: metric for metric in metrics}


FULL: Answers = {
    # a dog (there), a man (category there), a bear (not there)
    "1": (
        "A dog, a man, a dog and a baby bear on a seat",
        '["dog", "man", "dogs", "baby bear on a seat"]',
    ),
    # no mention at all
    "2": ("Sky as far as one sees", '["sky"]'),
    # nothing is there
    "3": ("There is a red puppy here", 'Here it is:\n["red puppy"]'),
}


# What is asked


def test_items(benchmark: ObjectHalBench) -> None:
    items = benchmark.items()
    assert [(item.id, item.group, item.split) for item in items] == [(n, n, "") for n in "123"]
    assert [item.question for item in items] == list(coco_folder.QUESTIONS)
    assert [item.reference["objects"] for item in items] == list(coco_folder.TRUTH.values())
    assert items[0].pictures[0].load().getpixel((0, 0)) == (255, 0, 0)


def test_the_model_is_asked_the_bare_question_greedily(benchmark: ObjectHalBench) -> None:
    item = benchmark.items()[0]
    request = benchmark.request(item)
    assert request is not None
    assert request.messages == (Message("user", "Describe it.", item.pictures),)
    assert (request.decoding.max_new_tokens, request.decoding.temperature) == (1024, 0.0)
    assert benchmark.request(item, [Response("1", "", "A dog.")]) is None


def test_the_judge_gets_one_system_message(benchmark: ObjectHalBench) -> None:
    item = benchmark.items()[0]
    (request,) = benchmark.judge_requests(item, [Response("1", "", " Assistant: A dog on a mat. ")])
    text = "List objects.\nQ: Describe it.\nA: A dog on a mat.\n"
    assert request.messages == (Message("system", text),)
    decoding = request.decoding
    assert (decoding.temperature, decoding.top_p, decoding.max_new_tokens) == (0.2, 1.0, 512)
    assert benchmark.judge_again(request, 2) == request


def test_placeholders_are_replaced_one_after_the_other(benchmark: ObjectHalBench) -> None:
    """As in the official script: so an answer's placeholder stays, and a question's does not."""
    prompt = benchmark.judge_prompt("{answer}?", "{question}!")
    assert prompt == "List objects.\nQ: {question}!?\nA: {question}!\n"


@pytest.mark.parametrize("answer", ["", "A dog", " a  red\ndog ", "Assistant: a red dog"])
def test_the_judge_is_not_asked_about_three_words(benchmark: ObjectHalBench, answer: str) -> None:
    item = benchmark.items()[0]
    assert benchmark.judge_requests(item, [Response("1", "", answer)]) == ()
    row = benchmark.score(item, [Response("1", "", answer)])
    assert row.status is ScoreStatus.SCORED
    assert (row.values["mentions"], row.values["responses_with_mention"]) == (0, 0)
    assert len(benchmark.judge_requests(item, [Response("1", "", "a red dog barks")])) == 1


def test_the_judge_is_not_asked_about_failures(benchmark: ObjectHalBench, data_dir: Path) -> None:
    item = benchmark.items()[0]
    assert benchmark.judge_requests(item, [Response.failed("1", "", "out of memory")]) == ()
    without_judge = official(data_dir, extractor="words")
    assert without_judge.judge_requests(item, [Response("1", "", "a red dog barks")]) == ()
    assert without_judge.judge is None


def test_attempts(data_dir: Path) -> None:
    for attempts in (10, 100):
        spec = official(data_dir, judge_attempts=attempts).judge
        assert spec is not None
        assert (spec.model, spec.max_attempts) == ("gpt-3.5-turbo-0613", attempts)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("extractor", "eyes"),
        ("reply_parser", "any"),
        ("judge_attempts", "0"),
        ("max_new_tokens", "0"),
    ],
)
def test_options_are_checked(option: str, value: str) -> None:
    with pytest.raises(PlumblineError, match=f"object_halbench.{option} is "):
        open_benchmark("object_halbench", "pocket", options={option: value})


# What is counted


def test_metrics_by_hand(benchmark: ObjectHalBench) -> None:
    metrics = measured(benchmark, FULL)
    assert {name: metric.value for name, metric in metrics.items()} == {
        "CHAIRs": 2 / 3,
        "CHAIRs_refine": 2 / 2,
        "CHAIRi": 2 / 4,  # bear and puppy of dog, man, bear, puppy
        "correct_rate": 0.0,
        "object_correct_rate": 0.5,
        "obj_rec": 2 / 4,  # dog and person of cup, dog, person, toilet
        "avg_word_len": (13 + 6 + 6) / 3,
        "sentence_num": 3,
        "coco_sentence_num": 2,
        "coco_word_count": 2,
        "gt_word_count": 4,
    }
    headlines = [metric.name for metric in metrics.values() if metric.headline]
    assert headlines == ["CHAIRs_refine", "CHAIRi"]


def test_details_show_what_was_found(benchmark: ObjectHalBench) -> None:
    assert row_of(benchmark, "1", *FULL["1"]).details == {
        "extracted": ["dog", "man", "dogs", "baby bear on a seat"],
        "words": ["dog", "man", "bear"],
        "mentions": [["dog", "dog"], ["man", "person"], ["bear", "bear"]],
        "hallucinated": [["bear", "bear"]],
        "truth": ["cup", "dog", "person"],
    }


def test_figures_that_would_divide_by_zero_are_undefined(benchmark: ObjectHalBench) -> None:
    metrics = measured(benchmark, {"3": ("Sky as far as one sees", '["sky"]')})
    assert metrics["CHAIRs"].value == 0
    for name in ("CHAIRs_refine", "CHAIRi", "correct_rate", "object_correct_rate", "obj_rec"):
        assert metrics[name].value is None
        assert "ZeroDivisionError" in (metrics[name].note or "")


def test_an_empty_answer_has_one_word(benchmark: ObjectHalBench) -> None:
    assert row_of(benchmark, "1", "Assistant:", "").values["words"] == 1
    assert row_of(benchmark, "1", "a  b", "").values["words"] == 3


@pytest.mark.parametrize("reply", ["", "()", "Sure!", '```json\n["dog"]\n```', "null", "3", "true"])
def test_an_unusable_reply_is_no_score(benchmark: ObjectHalBench, reply: str) -> None:
    row = row_of(benchmark, "1", "A dog on a mat.", reply)
    assert row.status is ScoreStatus.UNPARSED
    assert row.details["reason"]
    item = benchmark.items()[0]
    (request,) = benchmark.judge_requests(item, [Response("1", "", "A dog on a mat.")])
    assert benchmark.read_reply(request, reply) is None
    assert benchmark.read_reply(request, '["dog"]') == {"objects": ["dog"]}


def test_failures_have_their_status(benchmark: ObjectHalBench) -> None:
    item = benchmark.items()[0]
    answer = [Response("1", "", "A dog on a mat.")]
    for responses, judgments, status in (
        ([], [], ScoreStatus.GENERATION_ERROR),
        ([Response.failed("1", "", "gone")], [judged("[]")], ScoreStatus.GENERATION_ERROR),
        (answer, [], ScoreStatus.JUDGE_ERROR),
        (answer, [judged("", JudgmentStatus.JUDGE_ERROR)], ScoreStatus.JUDGE_ERROR),
    ):
        row = benchmark.score(item, responses, judgments)
        assert (row.status, row.values) == (status, {})


def test_a_reply_is_parsed_anew(data_dir: Path) -> None:
    """So that another parser needs no judge."""
    unparsed = judged('```json\n["dog"]\n```', JudgmentStatus.UNPARSED)
    lenient = official(data_dir, reply_parser="lenient")
    row = lenient.score(lenient.items()[0], [Response("1", "", "A dog on a mat.")], [unparsed])
    assert (row.status, row.values["mentions"]) == (ScoreStatus.SCORED, 1)


@pytest.mark.parametrize(
    ("options", "is_official"),
    [
        ({"tagger": "en_core_web_trf"}, True),
        ({"tagger": "en_core_web_trf", "reply_parser": "lenient"}, False),
        ({"tagger": "en_core_web_trf", "extractor": "words"}, False),
        ({"tagger": "nltk"}, False),
    ],
)
def test_what_deviates_is_not_called_official(
    data_dir: Path, options: dict[str, str], is_official: bool
) -> None:
    specs = official(data_dir, **options).metric_specs()
    assert {spec.official for spec in specs} == {is_official}


def test_without_a_judge_mentions_are_not_made_unique(data_dir: Path) -> None:
    benchmark = official(data_dir, extractor="words")
    row = row_of(benchmark, "1", "Two dogs, a puppy and a toilet seat", "")
    assert row.details["mentions"] == [["dog", "dog"], ["puppy", "dog"], ["toilet", "toilet"]]
    assert row.details["extracted"] is None
    assert row.values["correct_categories"] == 1


def test_nltk_can_stand_in_for_spacy(data_dir: Path) -> None:
    benchmark = official(data_dir, tagger="nltk")
    row = row_of(benchmark, "1", "Two dogs and a man here", '["two dogs", "man", "wine glasses"]')
    assert [word for word, _ in row.details["mentions"]] == ["dog", "man", "wine glass"]


def test_an_absent_pipeline_is_named(data_dir: Path) -> None:
    benchmark = official(data_dir, tagger="en_no_such_pipeline")
    with pytest.raises(PlumblineError, match=r"plumbline-eval\[nlp\]|download en_no_such_pipeline"):
        row_of(benchmark, "1", "A dog on a mat.", '["dog"]')


# Recorded files


def test_recorded_replies_give_the_first_that_can_be_parsed(
    benchmark: ObjectHalBench, tmp_path: Path
) -> None:
    path = tmp_path / "replies.jsonl"
    turns = {1: ["()", "Sure!", '["dog"]', '["cat"]'], 2: ["()"], 3: ["[]"]}
    records = [{"image_id": n, "judge_outputs_in_turn": replies} for n, replies in turns.items()]
    path.write_text(coco_folder.json_lines(records))
    first, second, third = benchmark.read_judgments([path])
    assert (first.values, first.meta) == ({"objects": ["dog"]}, {"attempts": 3})
    assert (second.status, second.raw) == (JudgmentStatus.UNPARSED, "()")
    assert (third.status, third.values) == (JudgmentStatus.OK, {"objects": []})


@pytest.mark.parametrize(("n_failed", "status"), [(99, "ok"), (100, "unparsed")])
def test_the_script_asks_a_hundred_times(
    benchmark: ObjectHalBench, tmp_path: Path, n_failed: int, status: str
) -> None:
    path = tmp_path / "replies.jsonl"
    replies = ["no"] * n_failed + ["[]"]
    path.write_text(json.dumps({"image_id": 1, "judge_outputs_in_turn": replies}))
    (judgment,) = benchmark.read_judgments([path])
    assert judgment.status == status


def test_protocols_tell_what_differs(data_dir: Path) -> None:
    first = official(data_dir).protocol()
    assert str(data_dir) not in json.dumps(first)
    for options in ({"tagger": "nltk"}, {"judge_attempts": 100}, {"extractor": "words"}):
        assert official(data_dir, **options).protocol() != first


def test_a_judge_prompt_that_is_not_fetched_yet_makes_no_other_measurement(
    data_dir: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    folder = coco_folder.write(tmp_path / "other", pytestconfig)
    (folder / "object_halbench" / "judge_prompt.txt").unlink()
    benchmark = official(folder)
    official_sha256 = "9d732f9b73a3cc965bee6eb163b8e5248e58bd9d382eb583e9ece59933e2b580"
    assert benchmark.protocol()["judge_prompt_sha256"] == official_sha256
    with pytest.raises(PlumblineError, match=r"judge_prompt\.txt"):
        benchmark.judge_requests(benchmark.items()[0], [Response("1", "", "a red dog barks")])
