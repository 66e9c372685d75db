"""Calls run side by side within the limits that are set, and the budget is not overdrawn.

Run: pytest tests/harness/judges/test_limits.py
"""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest

from benchmarks.base import Judgment, JudgmentStatus, PlumblineError
from harness.endpoint.server import FaultPlan, Reaction, error_reaction
from harness.judges.base import JudgeStoppedError
from harness.judges.client import HttpJudge
from harness.judges.prices import PriceTable
from tests.harness.conftest import Serve
from tests.harness.judges.servers import CountingHandler, always, says
from tests.harness.judges.toy import Sums, ask, hasty, questions

PRICES = '["pocket-oracle"]\ninput = 1000.0\noutput = 10000.0\n'
"""A toy reply (5 to 8 words in, 2 out) costs 0.03 USD and is bounded by about 0.2 USD."""


def _spend(server_url: str, prices: Path, **changes: object) -> tuple[list[Judgment], str]:
    """Ask until the budget ends. Returns what came and what was said at the end."""
    prices.write_text(PRICES)
    judge = HttpJudge(hasty(server_url, prices=prices, **changes))
    came: list[Judgment] = []
    try:
        for batch in judge.ask(questions(Sums(n=100, max_attempts=1))):
            came += [judgment for _, judgment in batch]
    except JudgeStoppedError as stopped:
        return came, str(stopped)
    return came, ""


def test_calls_run_side_by_side_up_to_the_limit(serve: Serve) -> None:
    server = serve(latency_s=0.3, handler=CountingHandler)
    began = time.monotonic()
    ask(HttpJudge(hasty(server.url, concurrency=8)), Sums(n=40, max_attempts=1))
    assert server.most_at_a_time == 8
    assert time.monotonic() - began < 6.0  # 12 s one after the other


def test_calls_a_minute_are_limited(serve: Serve) -> None:
    server = serve()
    judge = HttpJudge(hasty(server.url, requests_per_minute=1200))
    ask(judge, Sums(n=20, max_attempts=1))
    began = sorted(call.began for call in server.calls)
    assert began[-1] - began[0] >= 0.8
    gaps = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert sorted(gaps)[len(gaps) // 2] >= 0.04


def test_tokens_a_minute_are_limited(serve: Serve) -> None:
    server = serve(always(says("Rating: 1")))  # 12 tokens by the server's count
    judge = HttpJudge(hasty(server.url, concurrency=1, tokens_per_minute=12 * 20 * 60))
    began = time.monotonic()
    ask(judge, Sums(n=20))
    assert 0.8 <= time.monotonic() - began < 10


def test_the_budget_is_not_overdrawn_by_calls_at_the_same_time(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(latency_s=0.02)
    came, said = _spend(server.url, tmp_path / "p.toml", max_cost_usd=1.0, concurrency=16)
    spent = sum(judgment.meta["cost_usd"] for judgment in came)
    charged = sum(_charge(server_body) for server_body in server.bodies)
    assert spent == pytest.approx(charged)
    assert 0.7 < charged <= 1.0
    assert len(came) == len(server.bodies) < 100
    assert said.startswith("--max-cost 1 is reached")
    assert "the same command with a larger --max-cost goes on" in said


def _charge(body: object) -> float:
    """The server's bill: 1000 USD for a million words in, 10000 for those out."""
    assert isinstance(body, dict)
    text = body["messages"][0]["content"]
    n_out = 4 if int(text.split("What is ")[1].split()[0]) % 7 == 3 else 2
    return (len(text.split()) * 1000 + n_out * 10_000) / 1e6


def test_what_earlier_sessions_paid_counts(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(PRICES)
    server = serve()
    judge = HttpJudge(hasty(server.url, prices=tmp_path / "p.toml", max_cost_usd=1.0))
    with pytest.raises(JudgeStoppedError, match=r"0\.9500 USD are spent"):
        list(judge.ask(questions(Sums(n=1)), spent_usd=0.95))
    assert server.bodies == []


def test_failed_calls_cost_nothing_unless_the_server_may_have_charged(
    serve: Serve, tmp_path: Path
) -> None:
    refusing = serve(always(error_reaction(500, "down", "down")))
    changes = {"max_cost_usd": 1.0, "concurrency": 1, "max_retries": 0}
    came, _ = _spend(refusing.url, tmp_path / "p.toml", **changes)
    assert {judgment.meta["cost_usd"] for judgment in came} == {0.0}
    broken = serve(faults=FaultPlan(1.0, kinds=("half_json",)))
    came, said = _spend(broken.url, tmp_path / "p.toml", **changes)
    assert "is reached" in said
    assert all(judgment.meta["cost_usd"] > 0.1 for judgment in came)
    assert len(broken.bodies) <= 5


def test_a_budget_needs_a_price_and_says_where_to_write_it(serve: Serve) -> None:
    server = serve()
    judge = HttpJudge(hasty(server.url, model="my-judge", max_cost_usd=1.0))
    with pytest.raises(PlumblineError, match=r"price of my-judge.*prices\.toml has none") as error:
        ask(judge, Sums(n=1))
    assert '["my-judge"]\n  input = 2.5' in str(error.value)
    with pytest.raises(PlumblineError, match="price of my-judge"):
        judge.check([Sums(n=1)])
    assert server.bodies == []


def test_without_a_price_the_cost_is_unknown_not_zero(serve: Serve) -> None:
    server = serve(always(says("Rating: 1", model="my-judge")))
    judge = HttpJudge(hasty(server.url, model="my-judge"))
    [judgment] = ask(judge, Sums(n=1))
    assert judgment.status is JudgmentStatus.OK
    assert judgment.meta["cost_usd"] is None
    assert judge.stats.cost_usd is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[", "cannot be read"),
        ('["m"]\ninput = 1', "needs input and output"),
        ('["m"]\ninput = 1\noutput = "much"', "needs input and output"),
        ('["m"]\ninput = 1\noutput = -1', "below zero"),
        ("m = 3", "needs input and output"),
    ],
)
def test_a_bad_price_table_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "p.toml").write_text(content)
    with pytest.raises(PlumblineError, match=reason):
        PriceTable.load(tmp_path / "p.toml")


def test_ones_own_prices_win_over_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('["gpt-4o"]\ninput = 1\noutput = 2\nbatch = 0.25\n')
    table = PriceTable.load(tmp_path / "p.toml")
    assert table.need("gpt-4o").of(1_000_000, 1_000_000, batch=True) == 0.75
    assert table.need("gpt-4-0613").of(1000, 1000) == pytest.approx(0.09)


def test_a_judge_that_is_left_early_leaves_no_call_behind(serve: Serve) -> None:
    server = serve(lambda number, *_: Reaction(silent_s=60) if number else None)
    # Of the first three sums none needs a second attempt, so whichever is served first is judged.
    judged = HttpJudge(hasty(server.url, concurrency=3)).ask(questions(Sums(n=3)))
    next(iter(judged))
    judged.close()  # type: ignore[attr-defined]
    assert "endpoint" not in {thread.name for thread in threading.enumerate()}
