"""The judging stage: what is on disk is not asked again, and a sudden death loses and repeats
nothing.

Run: pytest tests/harness/judges/test_judging.py
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import (
    FilePicture,
    Item,
    JudgeRequest,
    JudgeSpec,
    Judgment,
    JudgmentStatus,
    Response,
    ResponseStatus,
)
from harness.endpoint.server import FAULTS, FaultPlan
from harness.judges.base import ORACLE_MODEL, judge_label, prompt_sha256
from harness.judges.client import HttpJudge
from harness.judges.oracle import OracleJudge
from harness.judges.server import OracleServer
from harness.judging import JudgePart, judge, judgments_of, models_used
from harness.store import Log, MixedRunError
from tests.harness.conftest import Serve
from tests.harness.judges.toy import Sums, expected, hasty, part, rate, ratings, silent
from tests.harness.judges.worker import CONCURRENCY

ROOT = Path(__file__).parents[3]
WORKER = Path(__file__).with_name("worker.py")
N_CALLS = 46
"""Good replies that the forty items need: six of them are asked twice."""
KINDS = tuple(kind for kind in FAULTS if kind != "hang")
"""Without the silence, whose time limit a busy machine could break by itself."""


def _oracle() -> OracleJudge:
    return OracleJudge(rate)


def test_every_item_is_judged_and_written(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    toy = part(Sums(n=100), tmp_path)
    assert judge([toy], _oracle(), lambda came, asked: seen.append((came, asked))) == 100
    assert ratings(Log(toy.log.path, Judgment).records) == expected(100)
    assert seen == [(64, 100), (100, 100)]


def test_what_is_written_says_who_judged_what_and_how(tmp_path: Path) -> None:
    toy = part(Sums(n=4), tmp_path)
    judge([toy], _oracle(), silent)
    judgment = toy.log.records["3/0"]
    [request] = toy.benchmark.judge_requests(toy.items[3], toy.responses["3"])
    again = toy.benchmark.judge_again(request, 2)
    assert judgment.key == request.key
    assert (judgment.item_id, judgment.raw, judgment.model) == ("3", "Rating: 3", ORACLE_MODEL)
    meta = dict(judgment.meta)
    assert meta.pop("asked_at").startswith("20")
    assert [attempt["raw"] for attempt in meta.pop("attempts")] == [
        "What a fine answer!",
        "Rating: 3",
    ]
    assert meta == {
        "judge": ORACLE_MODEL,
        "endpoint": "in this process",
        "prompt_name": "rate",
        "prompt_sha256": prompt_sha256(again.messages),
        "decoding": {
            "max_new_tokens": 16,
            "temperature": 0.5,
            "top_p": 1.0,
            "seed": 0,
            "stop": (),
        },
        "not_sent": [],
        "system_fingerprint": None,
        "finish_reason": "stop",
        "n_prompt_tokens": 0,
        "n_new_tokens": 0,
        "cost_usd": 0.0,
        "n_calls": 2,
        "cached": False,
    }


def test_what_is_on_disk_is_not_asked_again(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    for n_written in (40, 0):
        toy = part(Sums(), tmp_path)
        assert judge([toy], HttpJudge(hasty(server.url)), silent) == n_written
    assert len(server.bodies) == 46


def test_failed_judgments_are_asked_again(serve: Serve, tmp_path: Path) -> None:
    server = serve(faults=FaultPlan(0.5, kinds=("error",)))
    toy = part(Sums(), tmp_path)
    judge([toy], HttpJudge(hasty(server.url, max_retries=0)), silent)
    n_good = len(ratings(toy.log.records))
    assert 5 < n_good < 35
    assert len(toy.log.records) == 40
    server.faults = None
    assert judge([toy], HttpJudge(hasty(server.url)), silent) == 40 - n_good
    assert ratings(toy.log.records) == expected(40)


def test_an_unreadable_reply_stays_and_is_read_again_by_a_mended_parser(tmp_path: Path) -> None:
    strict = part(Sums(n=3, pattern=r"Rating = (\d)"), tmp_path)
    assert judge([strict], _oracle(), silent) == 3
    assert {j.status for j in strict.log.records.values()} == {JudgmentStatus.UNPARSED}
    assert strict.log.records["1/0"].raw == "Rating: 1"
    assert strict.log.records["1/0"].error == "the reply cannot be read (attempt 2 of 2)"
    unasked = OracleJudge(lambda messages: pytest.fail("a judge was asked"))
    assert judge([strict], unasked, silent) == 0
    mended = part(Sums(n=3), tmp_path)
    assert judge([mended], unasked, silent) == 3
    assert ratings(mended.log.records) == expected(3)
    assert judge([part(strict.benchmark, tmp_path)], unasked, silent) == 3


def test_items_without_an_answer_are_not_judged(tmp_path: Path) -> None:
    toy = part(Sums(n=4), tmp_path)
    failed = Response("1", "", "", ResponseStatus.GENERATION_ERROR, "error")
    some = replace(toy, responses={**toy.responses, "1": [failed], "2": []})
    assert judge([some], _oracle(), silent) == 2
    assert set(judgments_of(some)) == {"0", "3"}


def test_a_benchmark_or_item_that_needs_no_judge_gets_none(tmp_path: Path) -> None:
    class Quiet(Sums):
        @property
        def judge(self) -> JudgeSpec | None:
            return None

    class Half(Sums):
        def judge_requests(self, item: Item, responses: Any) -> Sequence[JudgeRequest]:
            return super().judge_requests(item, responses) if int(item.id) % 2 else ()

    assert judge([part(Quiet(), tmp_path / "a")], _oracle(), silent) == 0
    half = part(Half(n=6), tmp_path / "b")
    assert judge([half], _oracle(), silent) == 3
    assert set(judgments_of(half)) == {"1", "3", "5"}


def test_equal_questions_are_asked_once_and_paid_once(serve: Serve, tmp_path: Path) -> None:
    toy = part(Sums(n=2), tmp_path)
    twins = [*toy.items, *(replace(item, id=f"{item.id}-twin") for item in toy.items)]
    answers = {item.id: [Response(item.id, "", "It is 0.")] for item in twins}
    server = serve()
    twofold = JudgePart(toy.benchmark, twins, answers, toy.log)
    assert judge([twofold], HttpJudge(hasty(server.url)), silent) == 4
    assert len(server.bodies) == 2
    first, twin = toy.log.records["1/0"], toy.log.records["1-twin/0"]
    assert (twin.item_id, twin.request_id, twin.values) == ("1-twin", "1-twin/0", first.values)
    assert [first.meta["cost_usd"], twin.meta["cost_usd"]] == pytest.approx([0.0, 0.0])
    assert (first.meta["cached"], twin.meta["cached"]) == (False, True)


def test_repeated_judging_of_one_item_is_asked_each_time(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    config = hasty(server.url, cache=tmp_path / "c.sqlite")
    toy = part(Sums(n=2, n_samples=3), tmp_path / "a")
    assert judge([toy], HttpJudge(config), silent) == 6
    assert len(server.bodies) == 6
    assert [len(judgments) for judgments in judgments_of(toy).values()] == [3, 3]
    judge([part(Sums(n=2, n_samples=3), tmp_path / "b")], HttpJudge(config), silent)
    assert len(server.bodies) == 6


def test_another_judge_is_refused_unless_all_is_judged_anew(serve: Serve, tmp_path: Path) -> None:
    toy = part(Sums(n=3), tmp_path)
    judge([toy], _oracle(), silent)
    server = serve()
    other = HttpJudge(hasty(server.url, model="gpt-9", any_model=True))
    with pytest.raises(MixedRunError, match="judged by pocket-oracle, and gpt-9 is asked now"):
        judge([toy], other, silent)
    server.answer = lambda body: OracleServer.answer(server, {**body, "model": ORACLE_MODEL})  # type: ignore[method-assign]
    assert judge([toy], other, silent, rejudge=True) == 3
    assert {j.meta["judge"] for j in toy.log.records.values()} == {"gpt-9"}
    assert models_used(toy) == [ORACLE_MODEL]  # what the server says it is


def test_judgments_of_two_judges_are_not_scored_together(tmp_path: Path) -> None:
    toy = part(Sums(n=3), tmp_path)
    judge([toy], _oracle(), silent)
    stored = toy.log.records["2/0"]
    toy.log.append([replace(stored, meta={**stored.meta, "judge": "gpt-9"})])
    with pytest.raises(MixedRunError, match="judgments of gpt-9 and pocket-oracle"):
        judgments_of(toy)


def test_a_changed_answer_or_prompt_is_refused(tmp_path: Path) -> None:
    toy = part(Sums(n=3), tmp_path)
    judge([toy], _oracle(), silent)
    changed = {**toy.responses, "1": [Response("1", "", "It is 11.")]}
    with pytest.raises(MixedRunError, match="1/0 was judged by another prompt, decoding or answer"):
        judge([replace(toy, responses=changed)], _oracle(), silent)
    assert judge([replace(toy, responses=changed)], _oracle(), silent, rejudge=True) == 1


def test_what_is_not_judged_yet_is_a_failed_judgment(tmp_path: Path) -> None:
    [judgment] = judgments_of(part(Sums(n=1), tmp_path))["0"]
    assert (judgment.status, judgment.error) == (JudgmentStatus.JUDGE_ERROR, "not judged yet")


def test_an_absent_picture_is_a_status_of_its_item(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Shown(Sums):
        def judge_requests(self, item: Item, responses: Any) -> Sequence[JudgeRequest]:
            [request] = super().judge_requests(item, responses)
            shown = (FilePicture(Path("absent.png")),) if item.id == "1" else ()
            return [replace(request, messages=(replace(request.messages[0], pictures=shown),))]

    toy = part(Shown(n=3), tmp_path)
    assert judge([toy], _oracle(), silent) == 3
    assert toy.log.records["1/0"].status is JudgmentStatus.JUDGE_ERROR
    assert "absent.png: the picture cannot be read" in (toy.log.records["1/0"].error or "")
    assert ratings(toy.log.records) == {"0": 0, "2": 2}


def test_a_prompt_that_the_oracle_does_not_know_is_a_status(tmp_path: Path) -> None:
    toy = part(Sums(n=1), tmp_path)
    judge([toy], OracleJudge(lambda messages: None), silent)
    judgment = toy.log.records["0/0"]
    assert judgment.status is JudgmentStatus.JUDGE_ERROR
    assert "judges the pocket edition's prompts only" in (judgment.error or "")


def test_only_the_official_judge_is_called_official() -> None:
    official = Sums(official_judge="gpt-4-0613", edition="official")
    assert judge_label(official, "gpt-4-0613") == "the official judge, gpt-4-0613"
    assert judge_label(official, "openai/gpt-4-0613") == (
        "the official judge, gpt-4-0613, which replied as openai/gpt-4-0613"
    )
    assert judge_label(official, "gpt-4o") == (
        "another judge (gpt-4o instead of gpt-4-0613): not comparable with published numbers"
    )
    assert "another judge" in judge_label(official, ORACLE_MODEL)
    assert judge_label(replace(official, edition="pocket"), ORACLE_MODEL) == "the pocket oracle"


def test_killed_among_faults_and_resumed_it_ends_as_if_nothing_had_happened(
    serve: Serve, tmp_path: Path
) -> None:
    """Three calls of ten fail, and the process is killed twice by SIGKILL."""
    calm = part(Sums(), tmp_path / "calm")
    judge([calm], HttpJudge(hasty(serve().url)), silent)
    storm = FaultPlan(0.3, seed=205, kinds=KINDS, retry_after="0.02")
    server = serve(faults=storm, latency_s=0.02)
    cache, folder = tmp_path / "c.sqlite", tmp_path / "stormy"
    command = [sys.executable, str(WORKER), server.url, str(cache), str(folder)]
    stored_at: list[tuple[float, int]] = []
    for n_wanted in (8, 22):
        process = subprocess.Popen(command, cwd=ROOT)
        _wait_for(folder, n_wanted, process)
        process.kill()
        process.wait()
        stored_at.append((time.monotonic(), _n_stored(cache)))
    assert subprocess.run(command, cwd=ROOT, timeout=120).returncode == 0
    assert _essence(part(Sums(), folder)) == _essence(calm)
    assert {call.fault for call in server.calls} >= {"error", "wrong_model", "broken"}
    whole = [call for call in server.calls if call.status != 400]  # a death may cut a call in two
    for death, n_stored in stored_at:
        asked_later = {call.body_sha256 for call in whole if call.began > death}
        assert len(asked_later) == N_CALLS - n_stored  # what was stored is not asked again
    good = [call for call in whole if call.status == 200 and not call.fault]
    assert len(good) <= N_CALLS + len(stored_at) * CONCURRENCY  # what was on its way at a death is


def _n_stored(cache: Path) -> int:
    with contextlib.closing(sqlite3.connect(cache)) as database:
        (n_stored,) = database.execute("SELECT count(*) FROM replies").fetchone()
        return int(n_stored)


def _wait_for(folder: Path, n_lines: int, process: subprocess.Popen[bytes]) -> None:
    log = folder / "sums" / "judgments.jsonl"
    deadline = time.monotonic() + 60
    while not log.exists() or log.read_bytes().count(b"\n") < n_lines:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _essence(toy: JudgePart) -> dict[str, Any]:
    return {
        name: (j.item_id, j.key, j.status, j.raw, j.values, j.model, j.meta["prompt_sha256"])
        for name, j in toy.log.records.items()
    }
