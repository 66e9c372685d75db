"""MMBench on a made-up table: CircularEval, vanilla numbers, the matcher's say, missing answers.

Run: pytest tests/benchmarks/test_mmbench_scores.py
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.base import Metric, Response, ScoreRow, ScoreStatus
from benchmarks.mmbench import MMBench
from benchmarks.tables import read_table
from harness import score as score_command
from harness.score import by_item
from harness.scoring import measure, score_items
from harness.stats import evaluate
from tests.benchmarks.mmbench_table import (
    COLUMNS,
    NOTHING,
    QUESTIONS,
    Answers,
    answered,
    data_folder,
    judged,
    opened,
    picture,
    rows,
)


def scored(
    mmbench: MMBench, answers: Answers = NOTHING, replies: Answers = NOTHING
) -> tuple[dict[str, ScoreRow], dict[str, Metric]]:
    """Rows by item and metrics by name (with the split behind a slash where it is not "dev")."""
    turns = answered(mmbench, answers)
    judgments = judged(mmbench, turns, replies)
    rows_ = score_items(mmbench, mmbench.items(), turns, judgments)
    metrics = evaluate(mmbench.metric_specs(), rows_, n_resamples=20)
    by_name = {m.name if m.split == "dev" else f"{m.name}/{m.split}": m for m in metrics}
    return {row.item_id: row for row in rows_}, by_name


# CircularEval and vanilla


def test_a_question_counts_when_every_pass_is_right(tmp_path: Path) -> None:
    rows_, metrics = scored(opened(tmp_path, matcher="none"), {"1#3": "A", "2#2": "3"})
    assert {name: row.official["circular/hit"] for name, row in rows_.items()} == {
        "1": 0,
        "2": 0,
        "5": 1,
    }
    assert metrics["circular"].value == 1 / 3
    assert metrics["vanilla_first_order"].value == 1
    assert metrics["vanilla_all_orders"].value == 7 / 9
    assert metrics["circular_AR"].value == metrics["circular_identity_reasoning"].value == 0
    assert metrics["circular_FP-S"].value == 1 / 2
    assert (metrics["circular_ocr"].value, metrics["vanilla_all_orders_FP-S"].value) == (1, 4 / 5)
    assert metrics["circular"].complete
    assert [m.name for m in metrics.values() if m.headline] == ["circular"]


def test_without_a_matcher_what_the_rules_do_not_read_is_wrong(tmp_path: Path) -> None:
    mmbench = opened(tmp_path, matcher="none")
    rows_, metrics = scored(mmbench, {"1": "It barks", "5#2": "It barks"})
    assert mmbench.judge is None
    assert {row.status for row in rows_.values()} == {ScoreStatus.SCORED}
    assert metrics["circular"].value == metrics["strict_circular"].value == 1 / 3
    assert metrics["unmatched_by_rule"].value == 2
    assert metrics["vanilla_first_order"].official
    assert rows_["1"].details["letters"] == ["Z", "C", "D", "A"]


def test_the_report_has_every_split_and_ability(tmp_path: Path) -> None:
    content = rows([QUESTIONS[0], {**QUESTIONS[1], "split": "test"}])
    _, metrics = scored(opened(tmp_path, content, matcher="none"), {"1": "A"})
    assert (metrics["circular"].value, metrics["circular/test"].value) == (0, 1)
    assert metrics["circular_AR"].value == 0
    assert metrics["circular_AR/test"].value is None
    assert "no question of this kind" in str(metrics["circular_AR/test"].note)
    names = [name for name in metrics if name.startswith("circular") and "/" not in name]
    assert names == [
        "circular",
        "circular_AR",
        "circular_FP-S",
        "circular_identity_reasoning",
        "circular_object_localization",
    ]


def test_index_1000000_officially_counts_as_a_first_pass(tmp_path: Path) -> None:
    content = rows([{**QUESTIONS[0], "index": 0}, QUESTIONS[1]])
    _, metrics = scored(opened(tmp_path, content, matcher="none"), {"0#2": "A"})
    assert metrics["vanilla_first_order"].value == 2 / 3
    for row in content:
        row["g_index"] = row["index"] % 1_000_000
    folder = data_folder(tmp_path, content, columns=(*COLUMNS, "g_index"))
    _, metrics = scored(MMBench("official", folder, matcher="none"), {"0#2": "A"})
    assert metrics["vanilla_first_order"].value == 1


def test_a_question_without_its_base_pass_drops_out_of_circular(tmp_path: Path) -> None:
    content = [{**row, "image": picture((1, 1, 1))} for row in rows() if row["index"] != 5]
    rows_, metrics = scored(opened(tmp_path, content, matcher="none"))
    assert "circular/n" not in rows_["5"].official
    assert rows_["5"].official["vanilla_all_orders/n"] == 1
    assert metrics["circular"].value == 1


def test_the_version_of_the_rules_matters(tmp_path: Path) -> None:
    explained = {"1": "B\nIt is the dog that barks at the man with the hat"}
    for rule, value in (("current", 2 / 3), ("before_2025_08", 1)):
        _, metrics = scored(opened(tmp_path, matcher="none", rule=rule), explained)
        assert metrics["circular"].value == value


# The matcher


def test_the_matcher_decides(tmp_path: Path) -> None:
    mmbench = opened(tmp_path)
    answers = {"1": "It barks", "2#2": "hm", "5": "hm"}
    rows_, metrics = scored(mmbench, answers, {"1": "B", "2#2": "Z", "5": "A"})
    assert {row.status for row in rows_.values()} == {ScoreStatus.SCORED}
    assert metrics["circular"].value == 1 / 3
    assert rows_["1"].details["letters"] == ["B", "C", "D", "A"]
    assert metrics["vanilla_all_orders"].value == 6 / 9  # by the rules alone
    assert not metrics["vanilla_all_orders"].official
    _, metrics = scored(
        opened(tmp_path, vanilla_matcher=True), answers, {"1": "B", "2#2": "Z", "5": "A"}
    )
    assert metrics["vanilla_all_orders"].value == 7 / 9
    assert metrics["vanilla_all_orders"].official


def test_a_reply_that_names_no_option_is_no_random_letter(tmp_path: Path) -> None:
    rows_, metrics = scored(opened(tmp_path), {"1": "hm", "2": "hm"}, {"1": "?", "2": "A"})
    assert rows_["1"].status is ScoreStatus.UNPARSED
    assert (rows_["1"].values, rows_["1"].official["circular/hit"]) == ({}, 0)
    assert (metrics["circular"].value, metrics["circular"].n_scored) == (2 / 3, 2)
    assert metrics["strict_circular"].value == 1
    assert metrics["failed_extractions"].value == 1
    assert not any("random" in name for name in metrics)


def test_a_wrong_pass_settles_a_question_whatever_was_not_read(tmp_path: Path) -> None:
    rows_, _ = scored(opened(tmp_path), {"1": "hm", "1#2": "hm"}, {"1": "?", "1#2": "Z"})
    assert rows_["1"].status is ScoreStatus.SCORED
    assert rows_["1"].values["strict_circular/hit"] == 0


def test_without_a_judgment_there_is_no_number(tmp_path: Path) -> None:
    rows_, metrics = scored(opened(tmp_path), {"1": "hm"})
    assert rows_["1"].status is ScoreStatus.JUDGE_ERROR
    assert "circular/n" not in rows_["1"].official
    assert (metrics["circular"].value, metrics["circular"].n_scored) == (1, 2)
    assert rows_["1"].details["reason"] == "there is no judgment"


def test_vanilla_numbers_by_the_matcher_need_all_its_judgments(tmp_path: Path) -> None:
    mmbench = opened(tmp_path, vanilla_matcher=True)
    rows_, metrics = scored(mmbench, {"1": "hm", "1#2": "A"})
    assert rows_["1"].status is ScoreStatus.JUDGE_ERROR
    assert rows_["1"].official["circular/hit"] == 0
    assert (metrics["circular"].value, metrics["vanilla_all_orders"].value) == (2 / 3, 1)


def test_the_random_draw_is_made_only_when_asked_for(tmp_path: Path) -> None:
    mmbench = opened(tmp_path, random_fallback=True)
    drawn = {}
    for first in ("hm", "ha"):
        _, metrics = scored(mmbench, {"5": first, "5#2": "hm"}, {"5": "?", "5#2": "?"})
        drawn[first] = metrics["circular_random_2680"]
    assert drawn["hm"].value == drawn["ha"].value
    assert drawn["hm"].value in (2 / 3, 1)
    assert not drawn["hm"].official
    assert metrics["circular"].value == 2 / 3
    _, metrics = scored(mmbench, {"5": "hm"}, {"5": "B"})
    assert metrics["circular_random_2680"].value == metrics["circular"].value == 1


# Answers that are missing


def test_missing_passes_of_a_file_are_ignored_as_officially(tmp_path: Path) -> None:
    mmbench = opened(tmp_path, matcher="none")
    texts = {1: "B", 1_000_001: "A", 2: "A", 2_000_002: "C", 1_000_005: "A"}
    path = tmp_path / "predictions.jsonl"
    lines = (json.dumps({"index": i, "prediction": text}) for i, text in texts.items())
    path.write_text("\n".join(lines))
    for benchmark, value, n in ((mmbench.for_official_answers(), 1 / 2, 5), (mmbench, None, 0)):
        turns = by_item(benchmark, benchmark.items(), benchmark.read_responses([path]))
        rows_ = score_items(benchmark, benchmark.items(), turns)
        metrics = {metric.name: metric for metric in measure(benchmark, rows_)}
        assert {row.status for row in rows_} == {ScoreStatus.GENERATION_ERROR}
        assert metrics["circular"].value == value
        assert metrics["circular"].n_scored == 0
        assert sum(row.official.get("vanilla_all_orders/n", 0) for row in rows_) == n
    assert rows_[0].details["reason"] == "2 of 4 passes are not answered: there is no answer"


def test_a_failed_pass_leaves_its_question_without_a_number(tmp_path: Path) -> None:
    mmbench = opened(tmp_path, matcher="none")
    turns = answered(mmbench, {})
    turns["1"][2] = Response.failed("1#3", "", "no memory")
    row, *others = score_items(mmbench, mmbench.items(), turns)
    assert (row.status, row.official, row.values) == (ScoreStatus.GENERATION_ERROR, {}, {})
    assert "1 of 4 passes are not answered: no memory" in row.details["reason"]
    assert {other.status for other in others} == {ScoreStatus.SCORED}
    assert mmbench.official_files({r.request_id: r for r in turns["1"]}) == {}


def test_answers_that_are_not_public(tmp_path: Path) -> None:
    content = [{**row, "answer": "", "split": "test"} for row in rows()]
    mmbench = opened(tmp_path, content)
    turns = answered(mmbench, {"1": "B", "1#2": "hm"})
    rows_, metrics = scored(mmbench, {"1": "B", "1#2": "hm"})
    assert {row.status for row in rows_.values()} == {ScoreStatus.WITHHELD}
    metric = metrics["circular/test"]
    assert (metric.value, metric.n_scored, metric.n_asked) == (None, 0, 3)
    assert "not public" in str(metric.note)
    assert metrics["unmatched_by_rule/test"].value == 8  # "" of the table's absent answers, and hm
    files = mmbench.official_files({r.request_id: r for t in turns.values() for r in t})
    path = tmp_path / "upload.tsv"
    path.write_text(str(files["mmbench_upload.tsv"]))
    assert [record.fields["prediction"] for record in read_table(path)[:1]] == ["B"]


def test_prediction_files_are_scored_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_folder(tmp_path)
    path = tmp_path / "predictions.tsv"
    lines = [f"{row['index']}\t{row['answer']}" for row in rows()]
    lines[0] = "1\tIt barks"
    path.write_text("\n".join(["index\tprediction", *lines]) + "\n")
    replies = tmp_path / "replies.jsonl"
    replies.write_text('{"index": 1, "reply": "B"}\n')
    command = ["--benchmark", "mmbench", "--responses", str(path), "--data-dir", str(tmp_path)]
    command.append("--json")
    values = {}
    for name, more in (("open", []), ("judged", ["--judgments", str(replies)])):
        assert score_command.main([*command, *more]) == 0
        metric = json.loads(capsys.readouterr().out)["metrics"]["circular/dev"]
        values[name] = (metric["value"], metric["n_scored"], metric["n_asked"])
    assert values == {"open": (1, 2, 3), "judged": (1, 3, 3)}
