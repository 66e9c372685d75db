"""AlpacaEval's protocol: what is asked, what the judge is asked, and how both versions are scored.

Run: pytest tests/benchmarks/test_alpacaeval.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.alpacaeval import AlpacaEval
from benchmarks.alpacaeval_annotators import is_switched
from benchmarks.alpacaeval_length_control import DESIGN, V1, Comparisons, fit, win_rate_between
from benchmarks.base import (
    Decoding,
    Item,
    Judgment,
    JudgmentStatus,
    Metric,
    MissingDataError,
    PlumblineError,
    Response,
    ScoreRow,
    ScoreStatus,
)
from benchmarks.logprobs import pack
from benchmarks.registry import open_benchmark
from harness.endpoint.server import serving
from harness.judges.client import HttpJudge
from harness.judging import JudgePart, judge, judgments_of
from harness.scoring import score_items
from harness.stats import evaluate
from harness.store import Log
from tests.benchmarks.alpacaeval_folder import INSTRUCTIONS, N, baseline_texts, write_folder
from tests.harness.judges.servers import ScriptedServer, says
from tests.harness.judges.toy import hasty, silent


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data")


@pytest.fixture
def ae2(data_dir: Path) -> AlpacaEval:
    return AlpacaEval("official", data_dir)


@pytest.fixture
def ae1(data_dir: Path) -> AlpacaEval:
    return AlpacaEval("official", data_dir, version=1)


def _answer(item: Item, text: str) -> list[Response]:
    return [Response(item.id, "", text)]


def _judged(item: Item, preference: float, **changes: Any) -> list[Judgment]:
    judgment = Judgment(item.id, item.id, "", JudgmentStatus.OK, values={"preference": preference})
    return [replace(judgment, **changes)]


def _scored(benchmark: AlpacaEval, preferences: Sequence[float | None]) -> list[ScoreRow]:
    """Rows of outputs that grow in length, with these preferences."""
    rows = []
    for number, (item, preference) in enumerate(zip(benchmark.items(), preferences, strict=False)):
        judgments = [] if preference is None else _judged(item, preference)
        rows.append(benchmark.score(item, _answer(item, "y" * (3 * number + 1)), judgments))
    return rows


def _metrics(benchmark: AlpacaEval, rows: Sequence[ScoreRow]) -> Mapping[str, Metric]:
    metrics = evaluate(benchmark.metric_specs(), rows, n_resamples=20)
    return {metric.name: metric for metric in metrics}


# What is asked


def test_an_instruction_is_asked_bare_in_one_turn(ae2: AlpacaEval) -> None:
    item = ae2.items()[3]
    assert (item.id, item.question, item.group) == ("3", INSTRUCTIONS[3], "3")
    request = ae2.request(item)
    assert request is not None
    [message] = request.messages
    assert (message.role, message.text, message.pictures) == ("user", INSTRUCTIONS[3], ())
    assert request.decoding == Decoding(2048, temperature=0.7, top_p=1.0)
    assert ae2.request(item, _answer(item, "x")) is None


def test_both_versions_ask_the_same_against_other_baselines(
    ae1: AlpacaEval, ae2: AlpacaEval
) -> None:
    asked = [[bench.request(item) for item in bench.items()] for bench in (ae1, ae2)]
    assert asked[0] == asked[1]
    outputs = [[item.reference["output"] for item in bench.items()] for bench in (ae1, ae2)]
    assert outputs == [baseline_texts("davinci"), baseline_texts("gpt4")]
    assert (ae1.full_title, ae2.full_title) == ("AlpacaEval 1", "AlpacaEval 2")


def test_options_are_set_by_text(data_dir: Path) -> None:
    options = {"version": "1", "temperature": "0", "max_new_tokens": "5", "strip_outputs": "false"}
    benchmark = open_benchmark("alpacaeval", "official", data_dir, options)
    item = benchmark.items()[0]
    request = benchmark.request(item)
    assert request is not None
    assert request.decoding == Decoding(5, temperature=0.0)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"version": 3}, "version is 3; give 1 or 2"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; give at least 1"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_p": 0.0}, "top_p 0.0"),
        ({"version": 1, "against": "strong"}, "version 2's leaderboard"),
        ({"edition": "pocket", "version": 1}, "for the official edition"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(PlumblineError, match=problem):
        AlpacaEval(**{"edition": "official", **options})


def test_version_1s_baseline_also_stands_in_its_annotations(data_dir: Path) -> None:
    before = AlpacaEval("official", data_dir, version=1)
    records = [
        {
            "instruction": item.question,
            "output_1": item.reference["output"],
            "generator_1": "davinci",
            "dataset": "made up",
            "output_2": "another model's",
            "preference": 1,
        }
        for item in before.items()
    ]
    folder = data_dir / "alpacaeval"
    path = folder / "annotations/alpaca-7b.alpaca_eval_gpt4.json"
    path.write_text(json.dumps(records))
    (folder / "baseline_outputs/alpaca_eval.json").unlink()
    assert AlpacaEval("official", data_dir, version=1).items() == before.items()
    path.unlink()
    with pytest.raises(MissingDataError, match=r"baseline_outputs/alpaca_eval\.json"):
        AlpacaEval("official", data_dir, version=1).items()


# What the judge is asked


def test_a_judge_sees_both_outputs_in_the_drawn_order(ae2: AlpacaEval) -> None:
    for item in ae2.items():
        [request] = ae2.judge_requests(item, _answer(item, "  mine \n"))
        text = request.messages[1].text
        mine, theirs = text.index('"""mine"""'), text.index(item.reference["output"])
        assert (mine < theirs) == is_switched(item.question)
        assert (request.top_logprobs, request.decoding.max_new_tokens) == (5, 1)
        assert request.prompt_name == "weighted_alpaca_eval_gpt4_turbo"


def test_equal_outputs_are_a_draw_without_a_judge(ae2: AlpacaEval) -> None:
    item = ae2.items()[2]
    same = _answer(item, f"\n{item.reference['output']} ")
    assert ae2.judge_requests(item, same) == ()
    row = ae2.score(item, same)
    assert (row.status, row.values) == (ScoreStatus.SCORED, {"preference": 1.5})
    as_it_is = ae2.for_official_answers()
    assert len(as_it_is.judge_requests(item, same)) == 1, "a file's outputs are not stripped"


def test_a_failed_generation_is_not_judged(ae2: AlpacaEval) -> None:
    item = ae2.items()[0]
    failed = [Response.failed(item.id, "", "out of memory")]
    assert ae2.judge_requests(item, failed) == ()
    row = ae2.score(item, failed)
    assert (row.status, row.official) == (ScoreStatus.GENERATION_ERROR, {})


def test_a_reply_is_read_back_into_the_order_of_baseline_and_model(ae2: AlpacaEval) -> None:
    shown_first = pack("m", [("m", -0.001), ("M", -8.0)])
    for item in ae2.items():
        [request] = ae2.judge_requests(item, _answer(item, "mine"))
        values = ae2.read_reply(request, shown_first)
        assert values is not None
        assert (values["preference"] > 1.5) == is_switched(item.question)
    assert ae2.read_reply(request, "m") is None


def test_version_1_reads_rankings(ae1: AlpacaEval) -> None:
    item = next(item for item in ae1.items() if is_switched(item.question))
    [request] = ae1.judge_requests(item, _answer(item, "mine"))
    assert request.top_logprobs == 0
    reply = "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]"
    assert ae1.read_reply(request, reply) == {"preference": 2}


def test_the_judge_is_the_annotators(ae1: AlpacaEval, ae2: AlpacaEval) -> None:
    assert (ae1.judge.model, ae2.judge.model) == ("gpt-4", "gpt-4-1106-preview")
    other = replace(ae2, annotator="alpaca_eval_gpt4")
    assert other.judge.model == "gpt-4"


def test_a_run_is_judged_over_http_and_scored(ae2: AlpacaEval, tmp_path: Path) -> None:
    """The judge likes what is shown first, refuses one question, and is silent on another."""

    def script(number: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        text = body["messages"][1]["content"]
        if "thing 5:" in text:
            return says(None, refusal="no")
        reply = json.loads(says("m", model=body["model"], finish_reason="length").body)
        token = "?" if "thing 6:" in text else "m"
        candidates = [{"token": token, "logprob": -0.5}]
        reply["choices"][0]["logprobs"] = {"content": [{"top_logprobs": candidates}]}
        return replace(says(""), body=json.dumps(reply).encode())

    items = ae2.items()
    turns = {item.id: _answer(item, "mine") for item in items}
    turns["0"] = _answer(items[0], items[0].reference["output"])
    part = JudgePart(ae2, items, turns, Log(tmp_path / "judgments.jsonl", Judgment))
    server = ScriptedServer(script)
    stop = serving(server)
    try:
        judge([part], HttpJudge(hasty(server.url, model=None)), silent)
    finally:
        stop()
    assert len(server.bodies) == N - 1
    assert {body["model"] for body in server.bodies} == {"gpt-4-1106-preview"}
    rows = score_items(ae2, items, turns, judgments_of(part))
    statuses = {row.item_id: row.status for row in rows if row.status is not ScoreStatus.SCORED}
    assert statuses == {"5": ScoreStatus.JUDGE_ERROR, "6": ScoreStatus.UNPARSED}
    metrics = _metrics(ae2, rows)
    assert metrics["n_total"].value == N - 2
    assert metrics["null_preferences"].value == 2
    assert metrics["n_draws"].value == 1
    n_switched = sum(is_switched(item.question) for item in items if item.id not in "056")
    assert metrics["n_wins"].value == n_switched


# How it is scored


def test_an_unjudged_output_keeps_its_lengths(ae2: AlpacaEval) -> None:
    item = ae2.items()[1]
    row = ae2.score(item, _answer(item, "mine"))
    assert row.status is ScoreStatus.JUDGE_ERROR
    assert row.official["length"] == 4
    assert row.official["baseline_length"] == len(item.reference["output"])
    unparsed = _judged(item, 0, status=JudgmentStatus.UNPARSED, values={}, error="unreadable")
    row = ae2.score(item, _answer(item, "mine"), unparsed)
    assert (row.status, row.details) == (ScoreStatus.UNPARSED, {"reason": "unreadable"})


def test_lengths_are_code_points_of_the_output(ae2: AlpacaEval) -> None:
    item = ae2.items()[1]
    row = ae2.for_official_answers().score(item, _answer(item, "  ünï😀"))
    assert row.official["length"] == 6


def test_a_preference_from_outside_is_no_score(ae2: AlpacaEval) -> None:
    item = ae2.items()[1]
    row = ae2.score(item, _answer(item, "mine"), _judged(item, 2.5))
    assert (row.status, row.values) == (ScoreStatus.UNPARSED, {})
    assert row.details == {"reason": "preference 2.5 is not from 1 to 2"}


def test_an_annotation_of_another_output_is_no_score(ae2: AlpacaEval) -> None:
    item = ae2.items()[1]
    judgments = _judged(item, 2, meta={"output": "something else"})
    row = ae2.score(item, _answer(item, "mine"), judgments)
    assert row.status is ScoreStatus.JUDGE_ERROR
    assert row.details == {"reason": "the annotation is of another output"}


def test_a_missing_annotation_moves_the_difficulties(ae2: AlpacaEval) -> None:
    """An output that was not judged keeps its place; an instruction without an output has none."""
    preferences = [1.1, 2, 1.8, 1.9, 1.7, 2, 1.9, 2, 1.3, 1.9, 1.8, 2]
    rows = _scored(ae2, preferences)
    gamed = ae2._gamed
    assert gamed is not None
    for kept in (rows, rows[1:]):
        found = fit(V1, Comparisons.of(kept), gamed)
        assert found is not None
        assert _metrics(ae2, kept)["length_controlled_winrate"].value == found.win_rate
    unjudged = [ae2.score(ae2.items()[0], _answer(ae2.items()[0], "y")), *rows[1:]]
    found = fit(V1, Comparisons.of(unjudged), gamed)
    assert found is not None
    assert _metrics(ae2, unjudged)["length_controlled_winrate"].value == found.win_rate
    assert found.win_rate != _metrics(ae2, rows[1:])["length_controlled_winrate"].value


def test_without_df_gamed_the_rest_still_works(tmp_path: Path) -> None:
    bare = AlpacaEval("official", write_folder(tmp_path, with_gamed=False))
    metrics = _metrics(bare, _scored(bare, [1.2, 1.8, 1.4, 1.9, 1.1, 1.7, 1.5, 1.3]))
    controlled = metrics["length_controlled_winrate"]
    assert controlled.value is None
    assert "df_gamed.csv is not there: python -m harness.fetch alpacaeval" in str(controlled.note)
    assert metrics["win_rate"].value == pytest.approx(48.75)
    assert metrics["length_controlled_minimal"].value is not None
    assert bare.protocol()["df_gamed_sha256"] is None


def test_the_win_rate_against_a_leaderboard_model(data_dir: Path) -> None:
    benchmark = AlpacaEval("official", data_dir, against="strong")
    rows = _scored(benchmark, [1.1, 1.9, 1.3, 1.8, 1.2, 1.7, 1.4, 1.6, 1.3, 1.2, 1.8, 1.5])
    metric = _metrics(benchmark, rows)["length_controlled_winrate_against_strong"]
    found = fit(V1, Comparisons.of(rows), benchmark._gamed)
    rival = benchmark._rival
    assert found is not None
    assert rival is not None
    assert rival.weights == dict(zip(DESIGN, (-1.25, 0.5, 0.75), strict=True))
    np.testing.assert_allclose(rival.difficulties, np.arange(N) / 10 - 0.5)
    assert metric.value == win_rate_between(found.weights, rival)
    assert not metric.official
    with pytest.raises(PlumblineError, match=r"against=weak: .* no such model"):
        AlpacaEval("official", data_dir, against="weak").metric_specs()


def test_the_protocol_names_what_a_number_depends_on(ae1: AlpacaEval, ae2: AlpacaEval) -> None:
    one, two = ae1.protocol(), ae2.protocol()
    assert one.keys() == two.keys()
    differing = {key for key in one if one[key] != two[key]}
    assert differing == {"version", "annotator", "annotator_sha256", "baseline_sha256"}
    assert differing < ae1.scoring_settings, "the same answers serve both versions"
    asked = set(one) - ae1.scoring_settings
    assert asked == {"decoding", "items_sha256"}


def test_absent_files_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as raised:
        AlpacaEval("official", tmp_path).items()
    assert "gpt4_1106_preview.json" in str(raised.value)
    assert "harness.fetch alpacaeval" in raised.value.remedy
    with pytest.raises(MissingDataError, match="give --data-dir"):
        AlpacaEval("official").items()
