"""Items of several runs in one order, with what each run said about them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.base import BadRecordError
from harness.report.item_scores import ITEM_SCORES, item_scores
from harness.report.samples import ABSENT, STATUSES, Samples, all_samples
from harness.runs import open_runs
from tests.harness.report.run_folders import write_run


def samples_of(runs: list[Path], name: str) -> Samples:
    (found,) = all_samples(open_runs(runs), {name})
    return found


def test_items_of_all_runs_are_there_once_in_the_order_of_the_first(
    runs: list[Path], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    write_run(other, {"pope": lambda item, request: "No"}, limit=5)
    samples = samples_of([runs[0], other], "pope")
    assert samples.ids[:9] == samples_of([runs[0]], "pope").ids
    assert sorted(samples.ids) == sorted(samples_of([other], "pope").ids)
    assert samples.own(0)["status"][9:] == [ABSENT] * 6
    assert samples.own(0)["answers"][9] is None
    assert samples.own(1)["answers"] == [["No"]] * 15
    asked = pd.read_parquet(other / "pope" / "scores.parquet").set_index("item_id")["question"]
    assert samples.shared["question"] == asked[samples.ids].tolist()


def test_scores_are_those_of_the_table(runs: list[Path]) -> None:
    samples = samples_of(runs, "pope")
    table = (
        pd.read_parquet(runs[0] / "pope" / "scores.parquet").set_index("item_id").loc[samples.ids]
    )
    scores, kinds = samples.scored[0]
    np.testing.assert_array_equal(scores, (table["value.tp"] + table["value.tn"]).to_numpy())
    failed = samples.ids.index("random/3")
    assert np.isnan(scores[failed])
    assert kinds[failed] == ABSENT
    assert samples.item_kinds()[failed] == 0, "the other run scored it"
    assert STATUSES[samples.own(0)["status"][failed]] == "generation_error"
    assert samples.spread()[failed] == 0


def test_answers_that_reached_their_limit_are_known_by_turn(runs: list[Path]) -> None:
    samples = samples_of(runs, "mtbench")
    assert samples.own(0)["cut"] == [[0, 1]] * len(samples.ids)
    assert samples_of(runs, "pope").own(0)["cut"] == [[]] * 9


def test_the_newest_judgment_of_a_request_counts_and_half_a_line_does_not(
    runs: list[Path], tmp_path: Path
) -> None:
    run = shutil.copytree(runs[0], tmp_path / "run")
    path = run / "mmhal" / "judgments.jsonl"
    first = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**first, "raw": "newer"}) + "\n" + json.dumps(first)[:40])
    samples = samples_of([run], "mmhal")
    replies = samples.judged(0)[samples.ids.index(first["item_id"])]
    assert [reply["raw"] for reply in replies] == ["newer"]


def test_a_damaged_log_is_named_with_its_line(runs: list[Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs[0], tmp_path / "run")
    path = run / "mmhal" / "judgments.jsonl"
    path.write_text('{"request_id": 3}\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(BadRecordError, match=r"judgments\.jsonl, line 1: not a record"):
        samples_of([run], "mmhal").judged(0)


def test_every_benchmark_of_a_run_has_item_scores(runs: list[Path]) -> None:
    for samples in all_samples(open_runs(runs), set(ITEM_SCORES)):
        scores, kinds = samples.scored[0]
        scored = samples.tables[0].is_scored
        assert np.isfinite(scores[scored]).all(), samples.folder
        assert (kinds[scored] >= 0).all()


def test_an_unknown_benchmark_is_scored_by_its_first_column() -> None:
    (kind,) = item_scores("lmms:some_task", ["exact_match", "n"], "lower")
    found = kind.of({"exact_match": np.array([1.0, np.nan]), "n": np.ones(2)})
    np.testing.assert_array_equal(found, [1.0, np.nan])
    assert kind.direction == "lower"
    assert item_scores("lmms:some_task", [], "higher") == ()


def test_a_ratio_over_nothing_is_no_score() -> None:
    (kind,) = ITEM_SCORES["llava_bench"]
    found = kind.of({"candidate": np.array([8.0, 1.0]), "reference": np.array([10.0, 0.0])})
    np.testing.assert_array_equal(found, [80.0, np.nan])
