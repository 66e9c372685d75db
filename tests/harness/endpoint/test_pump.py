"""A coroutine beside the caller: results as they come, errors after them, an end when it is left.

Run: pytest tests/harness/endpoint/test_pump.py
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from benchmarks.base import PlumblineError
from harness.endpoint.pump import pump, side_by_side

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
    assert "endpoint" not in {thread.name for thread in threading.enumerate()}


def test_items_are_handled_side_by_side_up_to_the_number_of_workers() -> None:
    now, most = 0, 0

    async def work(put: Put) -> None:
        async def handle(number: int) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            put(number)

        await side_by_side(range(50), 4, handle)

    assert sorted(number for batch in pump(work) for number in batch) == list(range(50))
    assert most == 4


def test_a_reason_to_stop_lets_what_is_under_way_finish() -> None:
    async def work(put: Put) -> None:
        async def handle(number: int) -> None:
            if number == 2:
                raise PlumblineError("no more")
            await asyncio.sleep(0.01)
            put(number)

        await side_by_side(range(50), 3, handle)

    came: list[int] = []

    def collect() -> None:
        for batch in pump(work):
            came.extend(batch)

    with pytest.raises(PlumblineError, match="no more"):
        collect()
    assert sorted(came) == [0, 1]


def test_a_fault_in_our_own_code_is_raised_as_it_is() -> None:
    async def work(put: Put) -> None:
        async def handle(number: int) -> None:
            raise KeyError(number)

        await side_by_side(range(5), 3, handle)

    with pytest.raises(KeyError):
        list(pump(work))
