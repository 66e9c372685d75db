"""Paired tests against scipy, against all swaps listed by hand, and by what must always hold."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from benchmarks.base import Estimate, MetricSpec, ScoreRow, ScoreStatus
from harness.item_table import ItemTable
from harness.paired import DETECTABLE, Comparison, compare, compare_rows, holm

MEAN = MetricSpec("mean", lambda sums: sums["/x"] / sums["/n"], "higher")
RATE = MetricSpec("rate", lambda sums: sums["/hit"] / sums["/n"], "lower")
OFFICIAL = MetricSpec("official", lambda sums: sums["/x"], "higher", treatment="official")


def _weighted_mean(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
    return float(np.average([row.values["x"] for row in rows], weights=counts))


ESTIMATED = MetricSpec("estimated", Estimate(_weighted_mean, 2000), "higher")


def _rows(numbers: Sequence[float], per_group: int = 1) -> list[ScoreRow]:
    return [
        ScoreRow(str(i), f"g{i // per_group:04}", "", ScoreStatus.SCORED, {"x": x, "n": 1.0})
        for i, x in enumerate(numbers)
    ]


small = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=7
).map(lambda pairs: tuple(zip(*pairs, strict=True)))  # fmt: skip


@given(small)
def test_p_counts_the_swaps_that_are_at_least_as_extreme(
    numbers: tuple[tuple[int, ...], ...],
) -> None:
    a, b = numbers
    (found,) = compare_rows([MEAN], _rows(a), _rows(b), n_resamples=200)
    seen = sum(b) - sum(a)
    swaps = [
        sum(sign * (y - x) for sign, x, y in zip(signs, a, b, strict=True))
        for signs in itertools.product((1, -1), repeat=len(a))
    ]
    assert found.p == Fraction(sum(abs(s) >= abs(seen) for s in swaps), len(swaps))
    assert found.p_worse == Fraction(sum(s <= seen for s in swaps), len(swaps))


def test_many_groups_agree_with_scipy() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=300)
    b = a + rng.normal(0.04, 0.5, size=300)
    (found,) = compare_rows([MEAN], _rows(a.tolist()), _rows(b.tolist()))
    theirs = scipy.stats.permutation_test(
        (b, a), lambda x, y, axis: np.mean(x - y, axis=axis), vectorized=True,
        permutation_type="samples", n_resamples=20_000, rng=5,
    )  # fmt: skip
    assert found.p == pytest.approx(theirs.pvalue, abs=0.015)
    assert found.difference == pytest.approx(np.mean(b - a))
    error = scipy.stats.sem(b - a)
    assert found.standard_error == pytest.approx(error, rel=0.03)
    assert found.smallest_detectable == pytest.approx(DETECTABLE * error, rel=0.03)


def test_groups_are_swapped_whole() -> None:
    """Twelve questions on each of two pictures are two observations, however alike the answers are."""
    (found,) = compare_rows([MEAN], _rows([0] * 24, 12), _rows([1] * 24, 12))
    assert (found.n_paired, found.n_groups, found.p, found.p_worse) == (24, 2, 0.5, 1.0)


def test_worse_follows_the_direction() -> None:
    a, b = _rows([0.0] * 8), _rows([1.0] * 8)
    higher, lower, neither = compare_rows(
        [MEAN, replace(MEAN, direction="lower"), replace(MEAN, direction="neither")], a, b
    )
    assert (higher.p, lower.p, neither.p) == (2 / 256,) * 3
    assert (higher.p_worse, lower.p_worse, neither.p_worse) == (1.0, 1 / 256, None)


def test_an_undefined_swap_counts_as_extreme() -> None:
    """The rate of a run without any object is undefined, and it might have been anything."""

    def row(item: str, **values: float) -> ScoreRow:
        return ScoreRow(item, item, "", ScoreStatus.SCORED, values)

    a = [row("1", hit=1, n=1), row("2", hit=0, n=0)]
    b = [row("1", hit=0, n=0), row("2", hit=0, n=1)]
    (found,) = compare_rows([RATE], a, b)
    assert found.difference == -1
    assert (found.p, found.p_worse) == (1.0, 1.0)


def test_failed_items_are_left_out_of_both_runs() -> None:
    a, b = _rows([1, 2, 3, 4]), _rows([1, 2, 3, 5])
    b[0] = ScoreRow("0", "g0000", "", ScoreStatus.JUDGE_ERROR, official={"x": 0})
    a[1] = replace(a[1], official={"x": 7})
    scored, official = compare_rows([MEAN, OFFICIAL], a, b)
    assert (scored.value_a, scored.value_b, scored.n_paired, scored.n_asked) == (3, 10 / 3, 3, 4)
    assert official.note == "no item was scored in both runs"


def test_an_estimate_is_tested_by_its_standard_error() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=200)
    rows_a, rows_b = (_rows(x.tolist()) for x in (a, a + rng.normal(0.1, 0.7, size=200)))
    estimated, summed = compare_rows([ESTIMATED, MEAN], rows_a, rows_b)
    assert estimated.difference == pytest.approx(summed.difference)
    assert estimated.p == pytest.approx(summed.p, abs=0.02)
    assert estimated.p_worse == pytest.approx(summed.p_worse, abs=0.02)
    (same,) = compare_rows([ESTIMATED], rows_a, rows_a)
    assert (same.p, same.difference) == (1.0, 0.0)


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.lists(st.sampled_from([0, 1, None]), min_size=6, max_size=6), min_size=3, max_size=3
    )
)
def test_many_runs_at_once_are_as_two_at_a_time(runs: list[list[int | None]]) -> None:
    """What runs share is computed once; runs that lack some item are compared on what is common."""
    tables = [
        ItemTable.of_rows(
            [
                ScoreRow(str(i), f"g{i // 2}", "", ScoreStatus.UNPARSED)
                if x is None
                else ScoreRow(str(i), f"g{i // 2}", "", ScoreStatus.SCORED, {"x": x, "n": 1})
                for i, x in enumerate(numbers)
            ]
        )
        for numbers in runs
    ]
    together = Comparison([MEAN], tables, n_resamples=50)
    for a, b in itertools.permutations(range(3), 2):
        assert together.paired(a, b) == compare([MEAN], tables[a], tables[b], n_resamples=50)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    theirs = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(theirs.tolist())
    with_gap = holm([None, *p_values])
    assert with_gap[0] is None
    assert with_gap[1:] == holm(p_values)


def test_false_alarms_keep_to_their_level_where_pictures_are_clusters() -> None:
    """Two runs of one kind, 40 pictures with 6 questions each that depend on each other."""
    rng = np.random.default_rng(7)
    n_alarms = 0
    for _ in range(200):
        hard = rng.normal(size=(40, 1))
        a, b = (
            (hard + rng.normal(size=(40, 1)) + rng.normal(size=(40, 6)) > 0).astype(float).ravel()
            for _ in range(2)
        )
        tables = [_rows(x.tolist(), 6) for x in (a, b)]
        (found,) = compare_rows([MEAN], *tables, n_resamples=400)
        assert found.p is not None
        n_alarms += found.p <= 0.05
    assert n_alarms <= scipy.stats.binom.ppf(0.999, 200, 0.05)


def test_sums_that_only_differ_by_rounding_are_ties() -> None:
    numbers = [0.1, 0.2, 0.3, 0.7, 1e-3]
    (found,) = compare_rows([MEAN], _rows(numbers), _rows([math.nextafter(x, 2) for x in numbers]))
    assert found.p is not None
    assert found.p <= 1
