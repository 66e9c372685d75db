"""Metrics that sums do not determine, beside the same metrics from sums.

Run: pytest tests/harness/test_stats_estimates.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.base import Estimate, MetricSpec, ScoreRow, ScoreStatus
from harness.paired import compare_rows
from harness.resampling import bootstrap_sums
from harness.stats import evaluate

N_RESAMPLES = 300


def _mean(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
    return float(counts @ [row.values["x"] for row in rows] / counts.sum())


def _median(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
    return float(np.median(np.repeat([row.values["x"] for row in rows], counts.astype(int))))


SUMS = MetricSpec("mean", lambda sums: sums["a/x"] / sums["a/n"], "higher", split="a")
ESTIMATE = replace(SUMS, formula=Estimate(_mean, N_RESAMPLES))
MEDIAN = replace(SUMS, name="median", formula=Estimate(_median, N_RESAMPLES))


def _row(number: int, group: str, x: float, split: str = "a") -> ScoreRow:
    return ScoreRow(f"{split}/{number}", group, split, ScoreStatus.SCORED, {"x": x, "n": 1})


def _rows(table: Sequence[tuple[str, float]], split: str = "a") -> list[ScoreRow]:
    return [_row(number, group, x, split) for number, (group, x) in enumerate(table)]


def _failed(number: int, group: str) -> ScoreRow:
    return ScoreRow(f"a/{number}", group, "a", ScoreStatus.UNPARSED)


tables = st.lists(
    st.tuples(st.sampled_from("stuvwxyz"), st.integers(-9, 9)), min_size=1, max_size=30
)


@settings(deadline=None, max_examples=40)
@given(tables, tables, st.integers(0, 2**32))
def test_an_estimated_mean_is_that_of_sums_with_the_same_resamples(
    table: list[tuple[str, float]], other: list[tuple[str, float]], seed: int
) -> None:
    """Groups of another split are drawn along; resamples without any row of "a" are undefined."""
    rows = [*_rows(table), *_rows(other, "b"), _failed(99, "w")]
    (estimated,) = evaluate([ESTIMATE], rows, seed=seed)
    (summed,) = evaluate([SUMS], rows, n_resamples=N_RESAMPLES, seed=seed)
    assert (estimated.n_scored, estimated.n_asked) == (summed.n_scored, summed.n_asked)
    assert estimated.value == pytest.approx(summed.value)
    assert (estimated.low, estimated.high) == pytest.approx((summed.low, summed.high))


def test_it_takes_no_more_resamples_than_are_asked_for() -> None:
    rows = _rows([(str(number), number % 7) for number in range(40)])
    (few,) = evaluate([ESTIMATE], rows, n_resamples=20)
    (summed,) = evaluate([SUMS], rows, n_resamples=20)
    assert (few.low, few.high) == pytest.approx((summed.low, summed.high))


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=20))
def test_39_resamples_give_their_least_and_their_greatest(numbers: list[int]) -> None:
    """These are numbers 1 and 39 of 40 x 0.025 and 40 x 0.975: few resamples do not shorten it."""
    rows = _rows([(f"g{number}", x) for number, x in enumerate(numbers)])
    (interval,) = evaluate([SUMS], rows, n_resamples=39)
    means = [float(x / n) for x, n in bootstrap_sums(_table(numbers), n_resamples=39, seed=0)]
    assert (interval.low, interval.high) == pytest.approx((min(means), max(means)))


def _table(numbers: Sequence[int]) -> np.ndarray:
    """Sums by group, sorted by name: of the numbers, and of how many there are."""
    by_name = sorted((f"g{index}", x) for index, x in enumerate(numbers))
    return np.array([[x, 1] for _, x in by_name], dtype=float)


def test_rows_come_in_the_order_of_the_items_with_float_counts() -> None:
    seen: list[tuple[list[str], np.ndarray]] = []

    def note(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
        seen.append(([row.item_id for row in rows], counts))
        return 0.0

    spec = replace(SUMS, formula=Estimate(note, 50))
    rows = [
        _row(2, "z", 1),
        _failed(7, "z"),
        _row(0, "y", 1),
        _row(9, "z", 1, "b"),
        _row(1, "z", 1),
    ]
    evaluate([spec], rows)
    ids = ["a/2", "a/0", "a/1"]
    assert [order for order, _ in seen] == [ids] * 51
    counts = np.array([counts for _, counts in seen])
    assert counts.dtype == np.float64
    assert (counts[0] == 1).all()
    assert (counts[:, 0] == counts[:, 2]).all(), "rows of one group count alike"
    assert (counts[1:, 0] + counts[1:, 1] == 2).all(), "a resample holds as many groups"
    seen.clear()
    compare_rows([spec], rows, rows[::-1])
    assert [order for order, _ in seen] == [ids] * 102, "the order is that of the first run"


def test_a_statistic_of_sorted_values_gets_an_interval() -> None:
    rows = _rows([(str(number), float(number)) for number in range(101)])
    (metric,) = evaluate([MEDIAN], rows)
    assert metric.value == 50
    assert metric.low is not None
    assert metric.high is not None
    assert 35 < metric.low < 45 < 55 < metric.high < 65
    assert evaluate([MEDIAN], rows) == [metric]
    assert evaluate([MEDIAN], rows, seed=1) != [metric]


def test_undefined_and_empty_estimates_say_why() -> None:
    nothing = Estimate(lambda rows, counts: float("nan"))
    spec = replace(SUMS, formula=nothing, undefined="the file is not there")
    (metric,) = evaluate([spec], _rows([("x", 1), ("y", 2)]))
    assert (metric.value, metric.low, metric.note) == (None, None, "the file is not there")
    (difference,) = compare_rows([spec], _rows([("x", 1)]), _rows([("x", 2)]))
    assert (difference.difference, difference.note) == (None, "the file is not there")
    (metric,) = evaluate([ESTIMATE], [_failed(1, "x")])
    assert (metric.value, metric.note) == (None, "no item was scored")


def test_many_undefined_resamples_void_the_interval() -> None:
    """A resample of three groups misses a given one in (2/3)^3 = 30 % of the cases."""

    def over_x(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
        shown = counts[[row.group == "x" for row in rows]].sum()
        return float(np.divide(shown, shown))

    spec = replace(SUMS, formula=Estimate(over_x, N_RESAMPLES))
    (metric,) = evaluate([spec], _rows([("x", 1), ("y", 1), ("z", 1)]))
    assert (metric.value, metric.low) == (1.0, None)
    assert "of the resamples" in str(metric.note)


def test_a_single_group_has_a_value_but_no_interval() -> None:
    (metric,) = evaluate([MEDIAN], _rows([("x", 1), ("x", 3)]))
    assert (metric.value, metric.low, metric.note) == (2.0, None, "no interval: a single group")


def test_the_official_treatment_takes_rows_that_are_not_scored() -> None:
    def mean(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
        return float(counts @ [row.official["x"] for row in rows] / counts.sum())

    spec = replace(SUMS, formula=Estimate(mean, 50), treatment="official")
    unparsed = replace(_failed(1, "x"), official={"x": 3})
    (metric,) = evaluate([spec], [unparsed, replace(_row(2, "y", 0), official={"x": 1})])
    assert (metric.value, metric.n_scored, metric.n_asked) == (2.0, 1, 2)


def test_a_paired_difference_sees_the_same_resamples_in_both_runs() -> None:
    values = [(str(number), float(number % 5)) for number in range(30)]
    better = [(group, x + (x == 0)) for group, x in values]
    rows_a, rows_b = _rows(values), [*_rows(better)[:-1], _failed(29, "29")]
    (estimated,) = compare_rows([ESTIMATE], rows_a, rows_b)
    (summed,) = compare_rows([SUMS], rows_a, rows_b, n_resamples=N_RESAMPLES)
    assert estimated.n_paired == 29
    assert estimated.difference == pytest.approx(summed.difference)
    assert (estimated.low, estimated.high) == pytest.approx((summed.low, summed.high))
    (same,) = compare_rows([MEDIAN], rows_a, rows_a)
    assert (same.difference, same.low, same.high) == (0.0, 0.0, 0.0)
