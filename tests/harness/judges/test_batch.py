"""Judging by a provider's batch API: cheaper, resumable, and nothing ordered twice.

Run: pytest tests/harness/judges/test_batch.py
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import BadRecordError, JudgmentStatus, PlumblineError
from harness.endpoint.config import Secret
from harness.endpoint.server import Reaction, error_reaction
from harness.judges import batch as batch_module
from harness.judges.base import ORACLE_MODEL, JudgeStoppedError
from harness.judges.batch import BatchJudge
from harness.judging import judge
from tests.harness.conftest import Serve
from tests.harness.judges.batch_server import BatchServer
from tests.harness.judges.servers import says
from tests.harness.judges.toy import Sums, ask, expected, hasty, part, ratings, silent

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server(serve: Serve) -> BatchServer:
    started = serve(kind=BatchServer)
    assert isinstance(started, BatchServer)
    return started


def _judge(server: BatchServer, folder: Path, **changes: Any) -> BatchJudge:
    config = hasty(server.url, cache=folder / "c.sqlite", **changes)
    return BatchJudge(config, folder / "judge_batches.json")


class Unescaped(BatchServer):
    """Sends U+2028, which ends a line for some readers, as it is."""

    def look(self, name: str) -> Reaction:
        made = super().look(name)
        for file, content in self.files.items():
            self.files[file] = content.replace(rb"\u2028", "\u2028".encode())
        return made


def test_a_line_of_a_batch_ends_where_json_lines_end(serve: Serve, tmp_path: Path) -> None:
    server = serve(kind=Unescaped, script=lambda *_: says("Rating: 3\u2028so it is"))
    assert isinstance(server, BatchServer)
    [judgment] = ask(_judge(server, tmp_path), Sums(n=1, pattern=r"Rating: (\d)[^\d]*"))
    assert judgment.raw == "Rating: 3\u2028so it is"


def test_batches_bring_what_single_calls_bring(server: BatchServer, tmp_path: Path) -> None:
    judgments = ask(_judge(server, tmp_path), Sums())
    assert ratings({j.item_id: j for j in judgments}) == expected(40)
    assert len(server.batches) == 2  # the second one asks the six unreadable ones again
    assert [
        len(server.files[b["input_file_id"]].splitlines()) for b in server.batches.values()
    ] == [
        40,
        6,
    ]
    assert judgments[3].meta["attempts"][0]["raw"] == "What a fine answer!"
    assert judgments[0].meta["batch"] is True
    assert all(
        entry["closed"] for entry in json.loads((tmp_path / "judge_batches.json").read_text())
    )


def test_what_batches_brought_is_in_the_cache(server: BatchServer, tmp_path: Path) -> None:
    ask(_judge(server, tmp_path), Sums())
    again = ask(_judge(server, tmp_path), Sums())
    assert len(server.batches) == 2
    assert all(judgment.meta["cached"] for judgment in again)


def test_the_run_folder_names_a_batch_before_it_is_awaited(
    server: BatchServer, tmp_path: Path
) -> None:
    """The process dies while it waits; the next one finds its batch instead of ordering another."""
    server.n_looks = 10**9
    script = f"""
from pathlib import Path
from harness.judges.batch import BatchJudge
from harness.judging import judge
from tests.harness.judges.toy import Sums, hasty, part, silent
folder = Path({str(tmp_path)!r})
config = hasty({server.url!r}, cache=folder / "c.sqlite")
judge([part(Sums(), folder)], BatchJudge(config, folder / "judge_batches.json"), silent)
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not any(batch["looks"] for batch in server.batches.values()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    server.n_looks = 1
    toy = part(Sums(), tmp_path)
    assert judge([toy], _judge(server, tmp_path), silent) == 40
    assert ratings(toy.log.records) == expected(40)
    assert len(server.ordered) == 46
    assert len({call["custom_id"] for call in server.ordered}) == 46


def test_an_order_whose_reply_was_lost_is_not_given_twice(
    server: BatchServer, tmp_path: Path
) -> None:
    server.lost = 1
    judgments = ask(_judge(server, tmp_path), Sums(n=2))
    assert [judgment.values for judgment in judgments] == [{"rating": 0}, {"rating": 1}]
    assert len(server.batches) == 1


def test_a_session_that_died_before_it_knew_the_batch_finds_it(
    server: BatchServer, tmp_path: Path
) -> None:
    server.lost = 1
    with pytest.raises(JudgeStoppedError, match="the connection failed"):
        ask(_judge(server, tmp_path, max_retries=0), Sums(n=2))
    assert json.loads((tmp_path / "judge_batches.json").read_text())[0]["batch"] is None
    judgments = ask(_judge(server, tmp_path), Sums(n=2))
    assert [judgment.values for judgment in judgments] == [{"rating": 0}, {"rating": 1}]
    assert len(server.batches) == 1


def test_single_failures_are_single_statuses(server: BatchServer, tmp_path: Path) -> None:
    refused = error_reaction(400, "too long", "context_length_exceeded")
    server._script = lambda n, body, headers: refused if _about(body, 1) else None
    server.leaves_out = lambda text: "What is 2 " in text
    server.ending = "expired"
    judgments = ask(_judge(server, tmp_path), Sums(n=5))
    good, failed = JudgmentStatus.OK, JudgmentStatus.JUDGE_ERROR
    assert [judgment.status for judgment in judgments] == [good, failed, failed, good, good]
    assert judgments[1].error == "HTTP 400: too long"
    assert judgments[2].error == "batch batch_0 ended without a reply (expired)"


def _about(body: Any, number: int) -> bool:
    return f"What is {number} " in body["messages"][-1]["content"]


def test_a_refused_batch_stops_with_the_reason_and_can_be_ordered_anew(
    server: BatchServer, tmp_path: Path
) -> None:
    server.ending = "failed"
    with pytest.raises(JudgeStoppedError, match=r"batch_0 was refused.*model_not_found"):
        ask(_judge(server, tmp_path), Sums(n=2))
    server.ending = "completed"
    assert ask(_judge(server, tmp_path), Sums(n=2))[1].values == {"rating": 1}


def test_batches_hold_one_model_and_a_limited_number_of_calls(
    server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "MOST_REQUESTS", 4)
    ask(_judge(server, tmp_path), Sums(n=10, max_attempts=1))
    sizes = [len(server.files[b["input_file_id"]].splitlines()) for b in server.batches.values()]
    assert sizes == [4, 4, 2]


def test_the_budget_holds_for_batches_too(server: BatchServer, tmp_path: Path) -> None:
    """At these prices a reply costs 0.01 to 0.03 USD and may cost up to 0.13."""
    (tmp_path / "p.toml").write_text(
        f'["{ORACLE_MODEL}"]\ninput = 1000\noutput = 10000\nbatch = 0.5\n'
    )
    prices = {"prices": tmp_path / "p.toml", "max_cost_usd": 0.5}
    toy = part(Sums(max_attempts=1), tmp_path)
    with pytest.raises(JudgeStoppedError, match=r"--max-cost 0\.5 is reached"):
        judge([toy], _judge(server, tmp_path, **prices), silent)
    came = list(toy.log.records.values())
    spent = sum(judgment.meta["cost_usd"] for judgment in came)
    assert 0.3 < spent <= 0.5
    assert len(came) == len(server.ordered) < 40


def test_faults_on_the_way_are_overcome(server: BatchServer, tmp_path: Path) -> None:
    create, n_failed = server.create, 0

    def faulty(order: Any) -> Any:
        nonlocal n_failed
        n_failed += 1
        if n_failed == 1:
            return error_reaction(503, "busy", "busy", {"Retry-After": "0.01"})
        return create(order)

    server.create = faulty  # type: ignore[method-assign]
    assert ask(_judge(server, tmp_path), Sums(n=1))[0].values == {"rating": 0}
    assert len(server.batches) == 1


def test_a_refused_key_stops_and_is_not_shown(
    server: BatchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    canary = "canary-4711"
    server.create = lambda order: error_reaction(401, f"bad key {canary}", "bad")  # type: ignore[method-assign]
    with caplog.at_level(logging.DEBUG), pytest.raises(JudgeStoppedError) as stopped:
        ask(_judge(server, tmp_path, key=Secret(canary)), Sums(n=1))
    assert "bad key [key]" in str(stopped.value)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert canary not in caplog.text
    assert not any(canary.encode() in content for content in written)


def test_a_list_of_batches_that_cannot_be_read_is_named(
    server: BatchServer, tmp_path: Path
) -> None:
    (tmp_path / "judge_batches.json").write_text("[{}]")
    with pytest.raises(BadRecordError, match=r"judge_batches\.json: not a list of batches"):
        _judge(server, tmp_path)


def test_the_check_is_a_single_call(server: BatchServer, tmp_path: Path) -> None:
    assert _judge(server, tmp_path).check([Sums()]) == {ORACLE_MODEL: ORACLE_MODEL}
    with pytest.raises(PlumblineError, match="is not there"):
        _judge(server, tmp_path, model="gpt-9").check([Sums()])
    assert server.batches == {}
