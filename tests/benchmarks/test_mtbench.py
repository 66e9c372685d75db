"""MT-Bench on made-up questions of the official form: what is asked, judged and counted.

Run: pytest tests/benchmarks/test_mtbench.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import (
    BadRecordError,
    Item,
    Judgment,
    JudgmentStatus,
    Message,
    Metric,
    MissingDataError,
    PlumblineError,
    Response,
    ScoreRow,
    ScoreStatus,
)
from benchmarks.judge_runs import run_id
from benchmarks.mtbench import MTBench, prompt_name
from benchmarks.mtbench_files import turn_id
from harness.judging import JudgePart, questions_of
from harness.scoring import measure
from harness.store import Log
from tests.benchmarks.mtbench_folder import (
    CATEGORIES,
    PROMPTS,
    make_folder,
    questions,
    written,
)

OK, FAILED = JudgmentStatus.OK, JudgmentStatus.JUDGE_ERROR


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def mtbench(data_dir: Path) -> MTBench:
    return MTBench("official", data_dir)


def item_of(mtbench: MTBench, item_id: str) -> Item:
    return next(item for item in mtbench.items() if item.id == item_id)


def answers(item: Item, first: str = "One.", second: str = "Two.") -> list[Response]:
    return [Response(item.id, "", first), Response(f"{item.id}#2", "", second)]


def reply(item: Item, turn: int, raw: str, run: int = 1) -> Judgment:
    return Judgment(run_id(turn_id(item.id, turn), run), item.id, "", OK, raw=raw)


def failed(item: Item, turn: int) -> Judgment:
    return Judgment(turn_id(item.id, turn), item.id, "", FAILED, error="timed out")


def metrics_of(mtbench: MTBench, rows: Sequence[ScoreRow]) -> Mapping[str, Metric]:
    """By name, ``"average/math"`` for a category's."""
    return {f"{m.name}/{m.split}".rstrip("/"): m for m in measure(mtbench, rows)}


# What is asked


def test_the_second_turn_holds_the_first_one_and_the_models_own_answer(mtbench: MTBench) -> None:
    item = mtbench.items()[0]
    assert (item.id, item.group, item.split) == ("81", "81", "writing")
    first = mtbench.request(item)
    assert first is not None
    assert (first.id, first.messages) == ("81", (Message("user", "First 81?"),))
    said = Response("81", "", "\n It {is} so. \n")
    second = mtbench.request(item, [said])
    assert second is not None
    assert second.id == "81#2"
    assert second.messages == (
        Message("user", "First 81?"),
        Message("assistant", "It {is} so."),
        Message("user", "And {then} 81?"),
    )
    assert second.decoding == first.decoding
    assert mtbench.request(item, answers(item)) is None


def test_temperatures_are_those_of_the_category(mtbench: MTBench) -> None:
    found = {}
    for item in mtbench.items():
        request = mtbench.request(item)
        assert request is not None
        assert (request.decoding.max_new_tokens, request.decoding.seed) == (1024, 0)
        found[item.split] = request.decoding.temperature
    assert [found[name] for name in CATEGORIES] == [0.7, 0.7, 0, 0, 0, 0, 0.1, 0.1]


@pytest.mark.parametrize(
    ("required", "temperature"), [(0.3, 0.3), (0, 0), (0.00001, 0), (0.0001, 0.0001)]
)
def test_a_record_may_require_a_temperature(
    tmp_path: Path, required: float, temperature: float
) -> None:
    records = questions()
    records[0]["required_temperature"] = required
    records[1]["category"] = "arena-hard-200"
    written(tmp_path / "mtbench" / "question.jsonl", records)
    mtbench = MTBench("official", tmp_path)
    first, second = (mtbench.request(item) for item in mtbench.items()[:2])
    assert first is not None
    assert second is not None
    assert (first.decoding.temperature, second.decoding.temperature) == (temperature, 0.7)


def test_options(data_dir: Path) -> None:
    mtbench = MTBench("official", data_dir, max_new_tokens=7, seed=3)
    request = mtbench.request(mtbench.items()[0])
    assert request is not None
    assert (request.decoding.max_new_tokens, request.decoding.seed) == (7, 3)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"max_new_tokens": 0}, "max_new_tokens is 0; give at least 1"),
        ({"judge_runs": 0}, "judge_runs is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"answers": "raw"}, "choose generated or recorded"),
    ]
    for options, message in refused:
        with pytest.raises(PlumblineError, match=message):
            MTBench("official", data_dir, **options)


def test_what_an_answer_depends_on_is_in_the_protocol(mtbench: MTBench, data_dir: Path) -> None:
    def asked(benchmark: MTBench) -> Mapping[str, object]:
        settings = benchmark.scoring_settings
        return {k: v for k, v in benchmark.protocol().items() if k not in settings}

    same = MTBench("official", data_dir, judge_runs=3, model="m")
    assert asked(mtbench) == asked(same)
    assert json.dumps(mtbench.protocol())
    others: list[dict[str, Any]] = [{"seed": 1}, {"max_new_tokens": 9}]
    for other in others:
        assert asked(mtbench) != asked(MTBench("official", data_dir, **other))


# What the judge is told


@pytest.mark.parametrize(
    ("item_id", "first", "second"),
    [
        (
            "81",
            ("Help.", "Q First 81? A {answer} [[3]]"),
            ("Rate.\n\n", "First 81? | {answer} [[3]] | And {then} 81? | Two."),
        ),
        (
            "111",
            ("Help.", "Q First 111? R Ref 111. A {answer} [[3]]"),
            (
                "Rate maths.\n\n",
                "First 111? Ref 111. And {then} 111? Ref2 111. | "
                "First 111? {answer} [[3]] And {then} 111? Two.",
            ),
        ),
    ],
)
def test_each_turn_has_its_judge_prompt(
    mtbench: MTBench, item_id: str, first: tuple[str, str], second: tuple[str, str]
) -> None:
    item = item_of(mtbench, item_id)
    requests = mtbench.judge_requests(item, answers(item, " {answer} [[3]]\n", "Two.\n"))
    assert [request.id for request in requests] == [item_id, f"{item_id}#2"]
    for request, (system, user) in zip(requests, (first, second), strict=True):
        assert request.messages == (Message("system", system), Message("user", user))
        assert (request.decoding.temperature, request.decoding.max_new_tokens) == (0, 2048)
    assert (mtbench.judge.model, mtbench.judge.max_attempts) == ("gpt-4", 1)


def test_references_go_to_reasoning_math_and_coding_only() -> None:
    assert [prompt_name(name, 1) for name in (*CATEGORIES, "arena-hard-200", "other")] == [
        "single-v1", "single-v1", "single-math-v1", "single-math-v1", "single-math-v1",
        "single-v1", "single-v1", "single-v1", "single-math-v1", "single-v1",
    ]  # fmt: skip
    assert prompt_name("math", 2) == "single-math-v1-multi-turn"


def test_recorded_answers_are_judged_as_they_are(mtbench: MTBench) -> None:
    item = mtbench.items()[0]
    request, _ = mtbench.for_official_answers().judge_requests(item, answers(item, " x\n"))
    assert request.messages[1].text == "Q First 81? A  x\n"


def test_a_failed_conversation_is_not_judged(mtbench: MTBench) -> None:
    item = mtbench.items()[0]
    first, second = answers(item)
    assert mtbench.judge_requests(item, [first]) == ()
    assert mtbench.judge_requests(item, [first, Response.failed("81#2", "", "gone")]) == ()
    assert second.text == "Two."


def test_repeated_judging_asks_the_same_again(data_dir: Path, tmp_path: Path) -> None:
    mtbench = MTBench("official", data_dir, judge_runs=3)
    item = mtbench.items()[0]
    requests = mtbench.judge_requests(item, answers(item))
    ids = ["81", "81#run2", "81#run3", "81#2", "81#2#run2", "81#2#run3"]
    assert [request.id for request in requests] == ids
    assert len({request.key for request in requests}) == 2
    log = Log(tmp_path / "judgments.jsonl", Judgment)
    part = JudgePart(mtbench, [item], {item.id: answers(item)}, log)
    assert [question.sample for question in questions_of(part)] == [0, 1, 2, 0, 1, 2]


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"question\.jsonl"):
        MTBench("official", tmp_path).items()
    make_folder(tmp_path)
    folder = tmp_path / "mtbench"
    written(folder / "reference_answer_gpt-4.jsonl", [])
    mtbench = MTBench("official", tmp_path)
    item = item_of(mtbench, "111")
    with pytest.raises(BadRecordError, match="no reference answer to question 111"):
        mtbench.judge_requests(item, answers(item))
    (folder / "judge_prompts.jsonl").unlink()
    with pytest.raises(MissingDataError, match=r"judge_prompts\.jsonl"):
        mtbench.judge_requests(mtbench.items()[0], answers(item))
    assert mtbench.protocol()["judge_prompts_sha256"].startswith("fd283293")
    with pytest.raises(MissingDataError, match="give --data-dir"):
        MTBench("official").items()


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (PROMPTS[:-1], "no judge prompt single-math-v1-multi-turn"),
        (
            [{**p, "prompt_template": "{question} {model}"} for p in PROMPTS],
            "line 2: the template of single-v1 cannot be filled .*'model'",
        ),
        ([{**p, "prompt_template": "{"} for p in PROMPTS], "cannot be filled"),
        ([{**p, "prompt_template": "{}"} for p in PROMPTS], "cannot be filled"),
        ([{**p, "system_prompt": None} for p in PROMPTS], "is no text"),
        ([{"name": ["single-v1"]}], "no judge prompt"),
    ],
)
def test_damaged_prompts(tmp_path: Path, prompts: list[dict[str, str]], message: str) -> None:
    make_folder(tmp_path)
    written(tmp_path / "mtbench" / "judge_prompts.jsonl", prompts)
    mtbench = MTBench("official", tmp_path)
    item = mtbench.items()[0]
    with pytest.raises(BadRecordError, match=message):
        mtbench.judge_requests(item, answers(item))


# What is counted


def test_metrics_by_hand(mtbench: MTBench) -> None:
    """Maths has 2 and 1, writing 9 and no second rating, roleplay failed, the others 6 and 4."""
    rows = []
    for item in mtbench.items():
        first, second = {"math": ("2", "1"), "writing": ("9", "x")}.get(item.split, ("6", "4"))
        replies = [reply(item, 1, f"[[{first}]]"), reply(item, 2, f"[[{second}]]")]
        if item.split == "roleplay":
            replies = [failed(item, 1), failed(item, 2)]
        rows.append(mtbench.score(item, answers(item), replies))
    metrics = metrics_of(mtbench, rows)
    assert metrics["turn_1"].value == (2 + 9 + 5 * 6) / 7
    assert metrics["turn_2"].value == (1 + 5 * 4) / 6
    assert metrics["average"].value == (2 + 9 + 5 * 6 + 1 + 5 * 4) / 13
    assert metrics["average/writing"].value == 9
    assert metrics["average/math"].value == 1.5
    assert metrics["average/roleplay"].value is None
    assert metrics["unparsed_replies"].value == 10
    assert (metrics["average"].n_scored, metrics["average"].n_asked) == (60, 80)
    assert [m for m in metrics if metrics[m].headline] == ["turn_1", "turn_2", "average"]
    assert [m for m in metrics if metrics[m].official] == ["turn_1", "turn_2", "average"]


def test_a_failed_turn_does_not_take_the_other_one_with_it(mtbench: MTBench) -> None:
    item = mtbench.items()[0]
    row = mtbench.score(item, answers(item), [reply(item, 1, "[[7]]"), failed(item, 2)])
    assert (row.status, row.values) == (ScoreStatus.JUDGE_ERROR, {})
    assert row.official == {"turn_1_n": 1, "turn_1_sum": 7}
    assert row.details["reason"] == "timed out"
    row = mtbench.score(item, answers(item), [reply(item, 1, "[[07]]"), reply(item, 2, "[[5]]")])
    assert (row.status, row.values) == (ScoreStatus.UNPARSED, {})
    assert row.official == {"turn_2_n": 1, "turn_2_sum": 5, "unparsed": 1}
    assert "SyntaxError" in row.details["reason"]
    assert (row.details["turn_1"], row.details["turn_2"]) == ([None], [5])


def test_failures(mtbench: MTBench) -> None:
    item = mtbench.items()[0]
    first, second = answers(item)
    gone = Response.failed(second.request_id, "", "out of memory")
    for responses, reason in (
        ([], "there is no answer"),
        ([first], "there is no answer to both turns"),
        ([first, gone], "out of memory"),
    ):
        row = mtbench.score(item, responses, [reply(item, 1, "[[7]]")])
        assert (row.status, row.official) == (ScoreStatus.GENERATION_ERROR, {})
        assert row.details["reason"].startswith(reason)
    row = mtbench.score(item, [first, second], [reply(item, 1, "[[7]]")])
    assert (row.status, row.official["turn_1_sum"]) == (ScoreStatus.JUDGE_ERROR, 7)
    assert row.details["reason"] == "turn 2 has 0 judgments of 1"


def test_an_official_generation_error_counts_officially_and_is_no_score(mtbench: MTBench) -> None:
    item = mtbench.items()[0]
    replies = [reply(item, 1, "[[1]]"), reply(item, 2, "[[2]]")]
    row = mtbench.for_official_answers().score(item, answers(item, "Yes.", "ERROR"), replies)
    assert (row.status, row.values) == (ScoreStatus.GENERATION_ERROR, {})
    assert (row.official["turn_1_sum"], row.official["turn_2_sum"]) == (1, 2)
    assert mtbench.score(item, answers(item, "Yes.", "ERROR"), replies).status == "scored"


def test_several_runs_show_their_median_and_spread(data_dir: Path) -> None:
    """Averages of the runs: 5, 6 and 10; one rating of the last run is missing."""
    mtbench = MTBench("official", data_dir, judge_runs=3)
    ratings = {1: ("4", "6"), 2: ("6", "6"), 3: ("10", "no")}
    rows = [
        mtbench.score(
            item,
            answers(item),
            [
                reply(item, turn, f"[[{rated[turn - 1]}]]", run)
                for turn in (1, 2)
                for run, rated in ratings.items()
            ],
        )
        for item in mtbench.items()
    ]
    metrics = metrics_of(mtbench, rows)
    assert metrics["average"].value == (4 + 6 + 6 + 6 + 10) / 5
    assert metrics["turn_1"].value == 20 / 3
    spread = [metrics[f"{name}_of_runs"].value for name in ("median", "min", "max", "sd")]
    assert spread == [6, 5, 10, pytest.approx(7**0.5)]
    assert metrics["sd_of_runs"].direction == "neither"
    assert not metrics["median_of_runs"].official
    assert metrics["average"].n_scored == 0  # no question has all its ratings


def test_a_reply_is_read(mtbench: MTBench) -> None:
    item = mtbench.items()[0]
    request, _ = mtbench.judge_requests(item, answers(item))
    assert mtbench.read_reply(request, "Rating: [[7.5]]") == {"rating": 7.5}
    assert mtbench.read_reply(request, "Rating: [[07]]") is None
