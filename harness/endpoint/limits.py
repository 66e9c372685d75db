"""How fast and how patiently: pacing, pauses after a fault, and what ``Retry-After`` says."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import math
import random
import time
from collections.abc import Mapping


class Pace:
    """Starts spread evenly over time: ``units`` a minute, with no burst that a server could refuse.

    Belongs to one event loop. Times are those of ``time.monotonic``.
    """

    def __init__(self, units_per_minute: float | None) -> None:
        self._s_per_unit = 60 / units_per_minute if units_per_minute else 0.0
        self._next = 0.0

    async def take(self, units: float = 1.0) -> None:
        """Wait for a turn that uses ``units``."""
        turn = max(time.monotonic(), self._next)
        self._next = turn + units * self._s_per_unit
        while (delay := turn - time.monotonic()) > 0:
            await asyncio.sleep(delay)

    def correct(self, taken: float, used: float) -> None:
        """Bring an estimate that was taken to what was really used."""
        self._next += (used - taken) * self._s_per_unit


class Gate:
    """Closed for everyone while the server has asked for patience."""

    def __init__(self) -> None:
        self._opens = 0.0

    def close(self, for_s: float) -> None:
        self._opens = max(self._opens, time.monotonic() + for_s)

    async def passed(self) -> None:
        while (delay := self._opens - time.monotonic()) > 0:
            await asyncio.sleep(delay)


def pause_s(n_failed: int, first_s: float, cap_s: float) -> float:
    """Exponential back-off with full jitter: anything up to ``first_s`` doubled at each failure.

    The jitter covers the whole range, so that callers who failed together do not come back
    together.
    """
    ceiling: float = min(cap_s, first_s * math.pow(2, min(n_failed - 1, 60)))
    return random.uniform(0, ceiling)


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``Retry-After`` as seconds or as an HTTP date; None without it."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return _seconds_until(text)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, (moment - datetime.datetime.now(datetime.UTC)).total_seconds())
