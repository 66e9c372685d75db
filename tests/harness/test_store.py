"""The run folder: torn lines, refusals to mix, locks, whole files."""

import json
import subprocess
import sys

import pytest

from benchmarks.base import (
    BadRecordError,
    Item,
    Metric,
    Response,
    ResponseStatus,
    ScoreRow,
    ScoreStatus,
)
from harness.store import Log, MixedRunError, RunFolder, RunInUseError, differences, score_table

IDENTITY = {"checkpoint": {"name": "a", "weights_sha256": "1" * 64}, "edition": "pocket"}
PROTOCOLS = {"pope": {"prompt": "short_answer", "decoding": {"max_new_tokens": 64}}}


def answer(number, text="Yes", **changes):
    return Response(f"random/{number}", key=f"{number:064d}", text=text, **changes)


def reopened(path):
    log = Log(path, Response)
    log.close()
    return log.records


def test_answers_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "responses.jsonl"
    log = Log(path, Response)
    odd = ["Yes", "", "\ud800 lone", "line\nbreak", "\u2028", "ünï", "x" * 10_000]
    written = [answer(i, text) for i, text in enumerate(odd)]
    failed = Response.failed("random/99", "k", "the picture is absent")
    log.append([*written, failed])
    log.close()
    records = reopened(path)
    assert [records[r.request_id] for r in written] == written
    assert records["random/99"].status is ResponseStatus.GENERATION_ERROR


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_is_cut_off_and_the_log_goes_on(tmp_path, cut):
    path = tmp_path / "responses.jsonl"
    log = Log(path, Response)
    log.append([answer(1), answer(2)])
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    log = Log(path, Response)
    assert list(log.records) == ["random/1"]
    log.append([answer(2)])
    log.close()
    assert path.read_bytes() == whole


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "responses.jsonl"
    log = Log(path, Response)
    log.append([answer(1), answer(2)])
    log.close()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0][:20] + "\n" + lines[1])
    with pytest.raises(BadRecordError, match=r"responses\.jsonl, line 1"):
        Log(path, Response)


def test_the_newest_line_of_a_request_counts(tmp_path):
    log = Log(tmp_path / "responses.jsonl", Response)
    log.append([Response.failed("random/1", "", "out of memory")])
    log.append([answer(1, "No")])
    log.close()
    assert reopened(log.path)["random/1"].text == "No"


def test_the_same_settings_may_go_on_and_benchmarks_may_be_added(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.claim(IDENTITY, PROTOCOLS)
        folder.note_session({"started": "1", "seconds": 2})
    with RunFolder(tmp_path / "run") as folder:
        folder.claim(IDENTITY, PROTOCOLS)
        folder.claim(IDENTITY, {"amber": {"prompt": "official"}})
        assert set(folder.info["benchmarks"]) == {"pope", "amber"}
        assert [session["seconds"] for session in folder.info["sessions"]] == [2]


@pytest.mark.parametrize(
    ("identity", "protocols", "named"),
    [
        (
            {**IDENTITY, "checkpoint": {"name": "a", "weights_sha256": "2" * 64}},
            PROTOCOLS,
            r"checkpoint\.weights_sha256: \"111",
        ),
        ({**IDENTITY, "edition": "official"}, PROTOCOLS, 'edition: "pocket" in the folder'),
        (
            IDENTITY,
            {"pope": {"prompt": "bare", "decoding": {"max_new_tokens": 64}}},
            r"pope\.prompt: \"short_answer\" in the folder, \"bare\" now",
        ),
        (
            IDENTITY,
            {"pope": {"prompt": "short_answer", "decoding": {"max_new_tokens": 8}}},
            r"pope\.decoding\.max_new_tokens: 64 in the folder, 8 now",
        ),
    ],
)
def test_a_changed_setting_is_refused_and_named(tmp_path, identity, protocols, named):
    with RunFolder(tmp_path / "run") as folder:
        folder.claim(IDENTITY, PROTOCOLS)
        before = (folder.path / "run.json").read_text()
        with pytest.raises(MixedRunError, match=named):
            folder.claim(identity, protocols)
        assert (folder.path / "run.json").read_text() == before


def test_differences_name_the_leaf():
    assert differences({"a": {"b": 1}}, {"a": {"b": 1}}) == []
    assert differences({"a": {"b": 1}}, {"a": {"c": 1}}) == [
        "a.b: 1 in the folder, null now",
        "a.c: null in the folder, 1 now",
    ]


def test_a_second_writer_is_refused(tmp_path):
    program = (
        "import sys; from pathlib import Path; from harness.store import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])): pass"
    )
    with RunFolder(tmp_path / "run"):
        other = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "run")], capture_output=True, text=True
        )
        with pytest.raises(RunInUseError, match="another process"), RunFolder(tmp_path / "run"):
            pass
    assert "being written by another process" in other.stderr
    with RunFolder(tmp_path / "run"):
        pass


def test_scores_hold_the_numbers_and_what_was_said(tmp_path):
    items = [
        Item("a", "g1", "Is there a cup?", reference={"label": "yes"}),
        Item("b", "g2", "Is there a \ud800?", reference={"label": "no"}),
    ]
    rows = [
        ScoreRow("a", "g1", "", ScoreStatus.SCORED, {"tp": 1.0}, details={"prediction": "yes"}),
        ScoreRow("b", "g2", "", ScoreStatus.GENERATION_ERROR, details={"reason": "absent"}),
    ]
    table = score_table(items, rows, {"a": [Response("a", "", "Yes \udfff")]})
    path = tmp_path / "scores.parquet"
    table.to_parquet(path)
    import pandas as pd

    back = pd.read_parquet(path)
    assert list(back["status"]) == ["scored", "generation_error"]
    assert list(back["responses"][0]) == ["Yes \\udfff"]
    assert back["value.tp"][0] == 1.0
    assert pd.isna(back["value.tp"][1])
    assert json.loads(back["reference"][1]) == {"label": "no"}


def test_metrics_come_back_as_they_were_written(tmp_path):
    metric = Metric("f1", "random", 0.1 + 0.2, None, None, 3, 4, "higher", note="no interval")
    with RunFolder(tmp_path / "run") as folder:
        folder.write_metrics("pope", [metric])
        assert folder.metrics("pope") == [metric]


def test_a_failure_cannot_carry_a_number():
    with pytest.raises(ValueError, match="must not carry numbers"):
        ScoreRow("a", "g", "", ScoreStatus.JUDGE_ERROR, {"score": 0.0})
    with pytest.raises(ValueError, match="a failure is a status"):
        ScoreRow("a", "g", "", ScoreStatus.SCORED, {"score": float("nan")})
