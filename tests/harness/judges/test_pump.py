"""A coroutine beside the caller: results as they come, errors after them, an end when it is left.

Run: pytest tests/harness/judges/test_pump.py
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from harness.judges.client import HttpJudge
from harness.judges.pump import pump
from harness.judges.server import Reaction
from tests.harness.judges.conftest import Serve
from tests.harness.judges.toy import Sums, hasty, questions

Put = Callable[[int], None]


def test_results_come_in_order_and_those_at_hand_together() -> None:
    async def work(put: Put) -> None:
        for number in range(1000):
            put(number)

    batches = list(pump(work))
    assert [number for batch in batches for number in batch] == list(range(1000))
    assert len(batches) < 1000


def test_an_error_comes_after_the_results_before_it() -> None:
    async def work(put: Put) -> None:
        put(1)
        raise ValueError("no more")

    came: list[int] = []

    def collect() -> None:
        for batch in pump(work):
            came.extend(batch)

    with pytest.raises(ValueError, match="no more"):
        collect()
    assert came == [1]


def test_leaving_early_cancels_the_work() -> None:
    cancelled = threading.Event()

    async def work(put: Put) -> None:
        put(1)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    results = pump(work)
    assert next(results) == [1]
    results.close()
    assert cancelled.is_set()
    assert "judge" not in {thread.name for thread in threading.enumerate()}


def test_a_judge_that_is_left_early_leaves_no_call_behind(serve: Serve) -> None:
    server = serve(lambda number, *_: Reaction(silent_s=60) if number else None)
    # Of the first three sums none needs a second attempt, so whichever is served first is judged.
    judged = HttpJudge(hasty(server.url, concurrency=3)).ask(questions(Sums(n=3)))
    next(iter(judged))
    judged.close()  # type: ignore[attr-defined]
    assert "judge" not in {thread.name for thread in threading.enumerate()}
