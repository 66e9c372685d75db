"""Pauses between calls, and what ``Retry-After`` says.

Run: pytest tests/harness/endpoint/test_limits.py
"""

from __future__ import annotations

import pytest

from harness.endpoint.limits import pause_s, read_retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("0.5", 0.5), ("-3", 0), ("", None), ("soon", None), ("inf", None)],
)
def test_retry_after_is_read(text: str, seconds: float | None) -> None:
    assert read_retry_after({"retry-after": text}) == seconds


@pytest.mark.parametrize("zone", ["+99999999999999999", "-99999999999999999"])
def test_a_date_that_cannot_be_says_nothing(zone: str) -> None:
    assert read_retry_after({"retry-after": f"Wed, 21 Oct 2015 07:28:00 {zone}"}) is None


def test_a_past_date_asks_for_no_patience() -> None:
    assert read_retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


def test_pauses_double_up_to_a_cap_and_spread_over_the_whole_range() -> None:
    for n_failed, ceiling in ((1, 0.5), (2, 1.0), (5, 8.0), (9, 60.0), (5000, 60.0)):
        drawn = [pause_s(n_failed, 0.5, 60.0) for _ in range(400)]
        assert 0 <= min(drawn) < 0.1 * ceiling
        assert 0.9 * ceiling < max(drawn) <= ceiling
