"""Tests that allow for a difference, against all swaps listed by hand and against scipy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.base import Estimate, MetricSpec, ScoreRow, ScoreStatus
from harness.item_table import ItemTable
from harness.paired import Comparison, Paired
from harness.swaps import t_test

MEAN = MetricSpec("mean", lambda sums: sums["/x"] / sums["/n"], "higher")
ESTIMATED = MetricSpec(
    "estimated",
    Estimate(lambda rows, counts: float(np.dot([r.values["x"] for r in rows], counts)), 200),
    "higher",
)


def rows(numbers: Sequence[float]) -> ItemTable:
    """One number on each picture, beside a column that no metric reads."""
    return ItemTable.of_rows(
        [
            ScoreRow(str(i), f"g{i:04}", "", ScoreStatus.SCORED, {"x": x, "n": 1.0, "other": x})
            for i, x in enumerate(numbers)
        ]
    )


def compared(
    spec: MetricSpec, a: Sequence[float], b: Sequence[float], allowed: float = 0.0
) -> Paired:
    return Comparison([spec], [rows(a), rows(b)], n_resamples=300, allowed=[allowed]).paired(0, 1)[
        0
    ]


changes = st.lists(st.integers(-4, 4), min_size=2, max_size=7)


@settings(deadline=None)
@given(changes, st.sampled_from([0.0, 0.25, 1.0, 2.0]))
def test_a_swap_counts_that_exceeds_what_is_seen_beyond_the_allowed(
    change: list[int], allowed: float
) -> None:
    found = compared(MEAN, [0.0] * len(change), change, allowed)
    signs = itertools.product((1, -1), repeat=len(change))
    swapped = np.array([np.dot(sign, change) / len(change) for sign in signs])
    seen = sum(change) / len(change)
    assert found.p == pytest.approx(np.mean(np.abs(swapped) >= abs(seen) - allowed - 1e-12))
    assert found.p_worse == pytest.approx(np.mean(-swapped >= -seen - allowed - 1e-12))


@settings(deadline=None)
@given(changes)
def test_a_unit_is_what_a_differing_group_contributes(change: list[int]) -> None:
    found = compared(MEAN, [0.0] * len(change), change)
    sizes = np.abs(change) / len(change)
    if sizes.any():
        assert found.unit == pytest.approx(np.sum(sizes**2) / np.sum(sizes))
    else:
        assert found.unit is None


def test_an_estimates_contributions_are_taken_for_equal() -> None:
    a, b = [0.0] * 40, [1.0, -1.0] * 8 + [0.0] * 24
    found = compared(ESTIMATED, a, b)
    assert found.standard_error is not None
    assert found.unit == pytest.approx(found.standard_error / 4)
    assert compared(ESTIMATED, a, a).unit is None


def test_estimates_have_students_tails() -> None:
    found = t_test(-2.0, 0.5, 30, "higher", 0.5)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(3.0, 29))
    assert found.p_worse == pytest.approx(scipy.stats.t.sf(3.0, 29))
    assert t_test(-2.0, 0.5, 30, "lower", 0.5).p_worse == pytest.approx(scipy.stats.t.sf(-5.0, 29))
    assert t_test(0.0, 0.0, 30, "neither", 0.0) == (1.0, None)
    assert t_test(-0.1, 0.0, 30, "higher", 0.2).p_worse == 1.0
    assert t_test(-0.3, 0.0, 30, "higher", 0.2).p_worse == 0.0
    assert t_test(0.0, None, 1, "higher", 0.0) == (None, None)
