"""Official outputs and annotations, in and out, and the leaderboard with a run's row in it.

Run: pytest tests/benchmarks/test_alpacaeval_files.py
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.alpacaeval import AlpacaEval
from benchmarks.alpacaeval_leaderboard import read_difficulties, read_rows, read_weights
from benchmarks.alpacaeval_length_control import V1, Comparisons, fit
from benchmarks.base import (
    BadRecordError,
    JudgmentStatus,
    Metric,
    PlumblineError,
    Response,
    ResponseStatus,
    ScoreStatus,
)
from benchmarks.logprobs import unpack
from harness import score
from harness.scoring import score_items
from harness.stats import evaluate
from tests.benchmarks.alpacaeval_folder import (
    AE1,
    AE2,
    INSTRUCTIONS,
    LEADERBOARDS,
    N,
    baseline_texts,
    outputs,
    write_folder,
)

FIX = "python -m harness.fetch alpacaeval"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data")


@pytest.fixture
def ae2(data_dir: Path) -> AlpacaEval:
    return AlpacaEval("official", data_dir)


def _write(path: Path, records: Any) -> Path:
    path.write_text(json.dumps(records, indent=1))
    return path


def _annotation(number: int, preference: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "instruction": INSTRUCTIONS[number],
        "output_1": baseline_texts("gpt4")[number],
        "generator_1": "gpt4",
        "dataset": "made up",
        "output_2": f"mine {number}",
        "generator_2": "mine",
        "annotator": AE2,
        "preference": preference,
        **changes,
    }


# Outputs


def test_outputs_are_matched_by_instruction_in_any_order(ae2: AlpacaEval, tmp_path: Path) -> None:
    records = outputs("mine", [" a ", "b", "c"])[::-1]
    responses = ae2.read_responses([_write(tmp_path / "model_outputs.json", records)])
    assert {r.request_id: r.text for r in responses} == {"0": " a ", "1": "b", "2": "c"}


def test_an_output_that_is_null_is_a_failed_generation(ae2: AlpacaEval, tmp_path: Path) -> None:
    path = _write(tmp_path / "model_outputs.json", outputs("mine", [None, "b"]))
    failed, good = ae2.read_responses([path])
    assert failed.status is ResponseStatus.GENERATION_ERROR
    assert good.text == "b"


def test_an_output_that_comes_again_counts_once(ae2: AlpacaEval, tmp_path: Path) -> None:
    records = outputs("mine", [None, "b"])
    responses = ae2.read_responses([_write(tmp_path / "model_outputs.json", records * 2)])
    assert [r.request_id for r in responses] == ["0", "1"]


def test_outputs_can_be_taken_from_annotations(ae2: AlpacaEval, tmp_path: Path) -> None:
    path = _write(tmp_path / "annotations.json", [_annotation(4, 1.5), _annotation(2, None)])
    responses = ae2.read_responses([path])
    assert [(r.request_id, r.text) for r in responses] == [("4", "mine 4"), ("2", "mine 2")]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"instruction": "Something else"}, r"line 8: 'Something else' is none of the 12"),
        ({"instruction": INSTRUCTIONS[0]}, r"line 8: a second output for"),
        ({"instruction": None}, "line 8: instruction is None, not a text"),
        ({"output": 5}, "line 8: output is 5, not a text"),
    ],
)
def test_a_record_that_cannot_be_used_is_named(
    change: dict[str, Any], problem: str, ae2: AlpacaEval, tmp_path: Path
) -> None:
    records = outputs("mine", ["a", "b"])
    records[1].update(change)
    with pytest.raises(BadRecordError, match=problem):
        ae2.read_responses([_write(tmp_path / "model_outputs.json", records)])
    if "output" in change:
        del records[1]["output"]
        with pytest.raises(BadRecordError, match="output is missing"):
            ae2.read_responses([_write(tmp_path / "model_outputs.json", records)])


def test_hints_are_refused(ae2: AlpacaEval) -> None:
    with pytest.raises(PlumblineError, match="no hints, not split"):
        ae2.read_responses([], split="x")


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.integers(0, N - 1), st.text(), min_size=1))
def test_what_is_written_is_read_again(
    ae2: AlpacaEval, tmp_path: Path, texts: dict[int, str]
) -> None:
    responses = {str(n): Response(str(n), "", text) for n, text in texts.items()}
    responses["11"] = Response.failed("11", "", "gone")
    texts.pop(11, None)
    [(name, written)] = ae2.official_files(responses).items()
    assert name == "model_outputs.json"
    path = tmp_path / name
    path.write_text(str(written), encoding="utf-8")
    found = {r.request_id: r.text for r in ae2.read_responses([path])}
    assert found == {str(n): text.strip() for n, text in sorted(texts.items())}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda records: records[:0], "there is no record in it"),
        (lambda records: [*records, records[0]], "a second output"),
        (lambda records: [{**records[0], "output": None}], "output is None, not a text"),
        (lambda records: [{"output": "x"}], "instruction is missing"),
    ],
)
def test_a_damaged_baseline_is_named(change: Any, problem: str, data_dir: Path) -> None:
    path = data_dir / "alpacaeval/baseline_outputs/gpt4_1106_preview.json"
    _write(path, change(json.loads(path.read_text())))
    with pytest.raises(BadRecordError, match=problem) as raised:
        AlpacaEval("official", data_dir).items()
    assert FIX in str(raised.value)


# Annotations


def test_a_stored_preference_counts_and_the_reply_is_kept(ae2: AlpacaEval, tmp_path: Path) -> None:
    """The stored log-probabilities are rounded more than the preference."""
    candidates = [{"token": "M", "logprob": -0.1}, {"token": "m", "logprob": -2.4}]
    completion = {
        "finish_reason": "length",
        "message": {"content": "M", "role": "assistant"},
        "logprobs": {"content": [{"token": "M", "top_logprobs": candidates}]},
    }
    path = _write(
        tmp_path / "annotations.json", [_annotation(3, 1.0911, raw_completion=completion)]
    )
    [judgment] = ae2.read_judgments([path])
    assert (judgment.item_id, judgment.status) == ("3", JudgmentStatus.OK)
    assert judgment.values == {"preference": 1.0911}
    assert unpack(judgment.raw) == ("M", [("M", -0.1), ("m", -2.4)])
    assert judgment.model == "gpt-4-1106-preview"


@pytest.mark.parametrize(
    ("preference", "raw", "status", "text"),
    [
        (0, None, ScoreStatus.SCORED, ""),
        (2, "[{'model': 'model_1', 'rank': 1}]", ScoreStatus.SCORED, "[{'model'"),
        (None, "sorry", ScoreStatus.UNPARSED, "sorry"),
        (None, {"message": {"content": "sorry"}}, ScoreStatus.UNPARSED, "sorry"),
        (None, {"message": None}, ScoreStatus.JUDGE_ERROR, ""),
        (None, None, ScoreStatus.JUDGE_ERROR, ""),
        (float("nan"), None, ScoreStatus.JUDGE_ERROR, ""),
    ],
)
def test_what_an_annotation_comes_to(
    preference: Any, raw: Any, status: ScoreStatus, text: str, ae2: AlpacaEval, tmp_path: Path
) -> None:
    path = _write(tmp_path / "a.json", [_annotation(3, preference, raw_completion=raw)])
    judgments = ae2.read_judgments([path])
    assert judgments[0].raw.startswith(text)
    item = ae2.items()[3]
    row = ae2.score(item, ae2.read_responses([path]), judgments)
    assert row.status is status
    if preference == 0:
        assert row.values == {"preference": 1.5}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"annotator": AE1}, f"annotated by '{AE1}', not by {AE2}.*annotator={AE1}"),
        ({"output_1": "x"}, r"output_1 is not what gpt4 answered.*alpacaeval\.version"),
        ({"preference": "2"}, "preference is '2'. Write a number from 1 to 2, or null"),
        ({"preference": True}, "preference is True"),
        ({"output_2": 5}, "output_2 is 5, not a text"),
        ({"preference": 10**400}, "preference is 1000"),
        ({"preference": [2]}, "preference is \\[2\\]"),
        ({"instruction": INSTRUCTIONS[0]}, "a second annotation of"),
    ],
)
def test_an_annotation_that_cannot_be_used_is_named(
    change: dict[str, Any], problem: str, ae2: AlpacaEval, tmp_path: Path
) -> None:
    path = _write(tmp_path / "a.json", [_annotation(0, 1), {**_annotation(1, 2), **change}])
    with pytest.raises(BadRecordError, match=problem) as raised:
        ae2.read_judgments([path])
    assert f"{path}, line " in str(raised.value)


def test_outputs_are_no_annotations(ae2: AlpacaEval, tmp_path: Path) -> None:
    with pytest.raises(BadRecordError, match=r"line 2: there is no preference\. Give annotations"):
        ae2.read_judgments([_write(tmp_path / "a.json", outputs("mine", ["a", "b"]))])


def test_annotations_in_another_order_have_the_difficulties_of_their_places(
    ae2: AlpacaEval, tmp_path: Path
) -> None:
    """Also where some are missing; the number of an instruction's own place would be another one."""
    numbers = [3, 0, 7, 5, 1, 8, 2, 9, 4, 11]
    records = [_annotation(n, 1 + (n % 7) / 7, output_2="y" * (1 + 37 * n % 50)) for n in numbers]
    path = _write(tmp_path / "annotations.json", records)
    judgments = {j.item_id: [j] for j in ae2.read_judgments([path])}
    turns = {r.request_id: [r] for r in ae2.read_responses([path])}
    rows = score_items(ae2, ae2.items(), turns, judgments)
    in_file_order = Comparisons(
        np.array([record["preference"] for record in records]),
        np.array([len(record["output_1"]) - len(record["output_2"]) for record in records], float),
        np.zeros(len(records), bool),
    )
    found = fit(V1, in_file_order, ae2._gamed)
    assert found is not None
    metrics = {m.name: m.value for m in evaluate(ae2.metric_specs(), rows, n_resamples=2)}
    assert metrics["length_controlled_winrate"] == found.win_rate
    order = np.argsort(numbers)
    sorted_fit = fit(V1, Comparisons(*(column[order] for column in in_file_order)), ae2._gamed)
    assert sorted_fit is not None
    assert sorted_fit.win_rate != found.win_rate


# The command, and the leaderboard


def _score(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert score.main(["--benchmark", "alpacaeval", "--json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_official_files_are_scored_by_one_command(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten annotations of twelve instructions, one of them without a preference."""
    preferences = [1.25, 2, 1, 1.5, None, 1.75, 1.2, 1.3, 1.9, 1.1]
    annotations = _write(
        tmp_path / "annotations.json", [_annotation(n, p) for n, p in enumerate(preferences)]
    )
    records = outputs("mine", [f"mine {n}" for n in range(10)])
    answers = _write(tmp_path / "model_outputs.json", records)
    out = tmp_path / "out"
    found = _score(
        ["--responses", str(answers), "--judgments", str(annotations),
         "--data-dir", str(data_dir), "--out", str(out)], capsys,
    )  # fmt: skip
    assert (found["n_items"], found["n_answered"]) == (12, 10)
    metrics = found["metrics"]
    assert metrics["win_rate"]["value"] == pytest.approx(400 / 9)
    assert metrics["n_total"]["value"] == 9
    assert metrics["null_preferences"]["value"] == 1
    assert (metrics["win_rate"]["n_scored"], metrics["win_rate"]["n_asked"]) == (9, 12)
    assert metrics["length_controlled_winrate"]["low"] is not None
    assert found["protocol"]["strip_outputs"] is False
    table = (out / "leaderboard.md").read_text()
    assert "NOT comparable with the rows beside it: 9 of 12 instructions." in table
    models = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert sorted(models) == sorted(
        ["model", "---", "strong", "quoted\\", "without_lc", "**this run**"]
    )


def test_a_file_without_judgments_is_named(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = _write(tmp_path / "model_outputs.json", outputs("mine", ["a"]))
    annotations = _write(tmp_path / "annotations.json", [])
    arguments = ["--responses", answers, "--judgments", annotations, "--data-dir", data_dir]
    assert score.main(["--benchmark", "alpacaeval", *map(str, arguments)]) == 2
    assert f"{annotations}: there is no judgment in it" in capsys.readouterr().err


def _metric(name: str, value: float, low: float | None = None) -> Metric:
    high = None if low is None else 2 * value - low
    return Metric(name, "", value, low, high, 805, 805, "higher")


def _table(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def test_a_run_stands_at_its_place_among_the_official_rows(ae2: AlpacaEval) -> None:
    metrics = [
        _metric("length_controlled_winrate", 50.5, 47.25),
        _metric("win_rate", 61.0),
        _metric("n_total", N),
        _metric("avg_length", 1234.0, 1200.0),
    ]
    [(name, text)] = ae2.comparison_files(metrics, ["gpt-4-1106-preview"]).items()
    assert name == "leaderboard.md"
    assert "\nComparable, as every model chose its own decoding." in text
    heading, _, *rows = _table(text)
    assert heading == ["model", "LC win rate", "win rate", "standard error", "n", "average length"]
    assert [row[0] for row in rows] == ["strong", "**this run**", "quoted/model", "without_lc"]
    assert rows[0] == ["strong", "60.25", "70.50", "1.50", "805", "2100"]
    assert rows[1] == ["**this run**", "**50.50 (47.25 – 53.75)**", "**61.00**", "", "**12**",
                       "**1234**"]  # fmt: skip
    assert rows[3][1] == ""


def test_without_a_controlled_rate_the_plain_one_decides(ae2: AlpacaEval) -> None:
    metrics = [_metric("win_rate", 35.0), _metric("n_total", N)]
    text = ae2.comparison_files(metrics, [])["leaderboard.md"]
    models = [row[0] for row in _table(text)[2:]]
    assert models == ["strong", "quoted/model", "**this run**", "without_lc"]


def test_another_judge_or_annotator_is_not_comparable(ae2: AlpacaEval) -> None:
    metrics = [_metric("win_rate", 35.0), _metric("n_total", N)]
    text = ae2.comparison_files(metrics, ["some-model"])["leaderboard.md"]
    assert "judged by some-model instead of gpt-4-1106-preview." in text
    other = AlpacaEval("official", ae2.data_dir, annotator=AE1)
    text = other.comparison_files(metrics, ["gpt-4"])["leaderboard.md"]
    assert f"NOT comparable with the rows beside it: annotated by {AE1} instead of {AE2}." in text


def test_version_1_has_its_own_leaderboard(data_dir: Path) -> None:
    ae1 = AlpacaEval("official", data_dir, version=1)
    text = ae1.comparison_files([_metric("win_rate", 95.0), _metric("n_total", N)], ["gpt-4"])
    assert [row[0] for row in _table(text["leaderboard.md"])[2:]] == ["**this run**", "old"]


def test_without_the_official_table_there_is_none(data_dir: Path, ae2: AlpacaEval) -> None:
    (data_dir / f"alpacaeval/leaderboards/{AE2}_leaderboard.csv").unlink()
    assert ae2.comparison_files([], []) == {}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("win_rate,standard_error", "rate,standard_error", "no column 'win_rate'"),
        ("70.5", "many", "line 2: win_rate is 'many', not a number"),
    ],
)
def test_a_damaged_leaderboard_is_named(
    old: str, new: str, problem: str, data_dir: Path, ae2: AlpacaEval
) -> None:
    path = data_dir / f"alpacaeval/leaderboards/{AE2}_leaderboard.csv"
    path.write_text(LEADERBOARDS[path.name].replace(old, new, 1))
    with pytest.raises(BadRecordError, match=problem):
        ae2.comparison_files([], [])


def test_stored_weights_and_difficulties_are_read(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "alpacaeval"
    path = folder / "leaderboards/length_controlled_v1_weights_baseline_gpt4_1106_preview.csv"
    assert set(read_weights(path, "gpt4_1106_preview").values()) == {0.0}
    difficulties = read_difficulties(folder / "instruction_difficulty.csv")
    np.testing.assert_allclose(difficulties[:2], [-0.5, -0.4])
    path = tmp_path / "instruction_difficulty.csv"
    for content, problem in (
        ("", "there is no record"),
        ("0,1\n1,\n", "line 3: the instruction has no difficulty"),
        ("0,hard\n", "line 2: instruction_difficulty is 'hard', not a number"),
        ("0,1,2\n", "line 2: 3 cells under 2 columns"),
        ("0,1\n\n1\n", "line 4: 1 cells under 2 columns"),
    ):
        path.write_text(f",instruction_difficulty\n{content}")
        with pytest.raises(BadRecordError, match=problem):
            read_difficulties(path)
    with pytest.raises(BadRecordError, match="cannot be read"):
        read_rows(tmp_path / "absent.csv", ["win_rate"])
