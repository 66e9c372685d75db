"""What is bold and what is marked as different: by hand, against scipy's exact tests, and how often by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats

from benchmarks.base import Direction, MetricSpec, ScoreRow, ScoreStatus
from harness.compare.columns import Column
from harness.compare.significance import Findings, Pool, find
from harness.item_table import ItemTable
from harness.paired import holm

N = 60


def _mean(direction: Direction, name: str = "x") -> MetricSpec:
    return MetricSpec(name, lambda sums: sums[f"/{name}"] / sums["/n"], direction)


def _column(direction: Direction = "higher", name: str = "x") -> Column:
    return Column("Toy", name, "toy", name, direction=direction, scale=1.0, decimals=3)


def _table(**numbers: Sequence[float]) -> ItemTable:
    rows = [
        ScoreRow(
            str(i),
            f"g{i}",
            "",
            ScoreStatus.SCORED,
            {"n": 1.0, **dict(zip(numbers, each, strict=True))},
        )
        for i, each in enumerate(zip(*numbers.values(), strict=True))
    ]
    return ItemTable.of_rows(rows)


def _find(
    runs: Sequence[Sequence[float]],
    *,
    direction: Direction = "higher",
    baseline: int = 0,
    alpha: float = 0.05,
    members: Sequence[int] | None = None,
) -> tuple[Findings, Column]:
    column = _column(direction)
    members = members or range(len(runs))
    pool = Pool(members, {column: _mean(direction)}, [_table(x=run) for run in runs])
    values = {
        (number, column): float(np.mean(run)) for number, run in zip(members, runs, strict=True)
    }
    return find([pool], values, baseline=baseline, alpha=alpha, seed=0), column


def _shifted(size: float) -> list[float]:
    noise = np.random.default_rng(1).normal(size=N)
    return [float(number) for number in noise + size]


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_a_clear_winner_is_best_and_differs(direction: Direction) -> None:
    sign = 1 if direction == "higher" else -1
    rng = np.random.default_rng(2)
    runs = [sign * (np.array(_shifted(size)) + rng.normal(size=N) / 9) for size in (0.0, 1.0, 2.0)]
    found, column = _find(runs, direction=direction)
    assert found.best == {(2, column)}
    assert found.n_tests == 3  # two against the baseline, one claim
    assert set(found.against) == {(1, column), (2, column)}
    assert all(p is not None and p < 0.05 for p in found.adjusted.values())


def test_the_best_must_beat_each_of_the_others_not_only_the_baseline() -> None:
    rng = np.random.default_rng(3)
    runs = [_shifted(0.0), _shifted(2.0), list(np.array(_shifted(2.0)) + rng.normal(size=N) / 5)]
    found, _ = _find(runs)
    assert found.best == frozenset()
    assert all(p is not None and p < 0.05 for p in found.adjusted.values())


def test_the_noisiest_rival_counts_although_it_is_no_runner_up() -> None:
    best = np.zeros(N) + 1.0
    runner_up = np.zeros(N) + 0.9 + np.random.default_rng(0).normal(size=N) / 100
    noisy = np.where(np.arange(N) == 0, -40.0, 1.0)  # a lower mean by one item alone
    found, _ = _find([runner_up, noisy, best])
    assert found.best == frozenset()


def test_with_two_runs_the_claim_is_the_test_against_the_baseline() -> None:
    a, b = _shifted(0.0), list(np.array(_shifted(0.35)) + np.random.default_rng(4).normal(size=N))
    for baseline, other in ((0, 1), (1, 0)):
        found, column = _find([a, b], baseline=baseline)
        assert found.n_tests == 1
        p = found.adjusted[other, column]
        assert p == found.against[other, column].p
        assert p is not None
        assert (column in {place[1] for place in found.best}) == (p <= 0.05)


@pytest.mark.parametrize("direction", ["higher", "lower", "neither"])
def test_equal_values_and_values_without_a_direction_are_never_best(direction: Direction) -> None:
    far = list(np.array(_shifted(3.0)) + np.random.default_rng(5).normal(size=N))
    equal, _ = _find([_shifted(0.0), _shifted(0.0)], direction=direction)
    different, _ = _find([_shifted(0.0), far], direction=direction)
    assert equal.best == frozenset()
    assert (different.best == frozenset()) == (direction == "neither")


def test_values_that_print_alike_are_a_tie() -> None:
    column = Column("Toy", "x", "toy", "x", scale=1.0, decimals=1)
    runs = [np.full(N, 0.50), np.full(N, 0.52) + np.arange(N) * 1e-6]
    pool = Pool([0, 1], {column: _mean("higher")}, [_table(x=run) for run in runs])
    values = {(n, column): float(np.mean(run)) for n, run in enumerate(runs)}
    found = find([pool], values, baseline=0, alpha=0.05, seed=0)
    assert found.best == frozenset()
    assert (found.adjusted[1, column] or 0) < 0.05


def test_runs_of_another_pool_are_neither_tested_nor_ranked() -> None:
    column = _column()
    rng = np.random.default_rng(6)
    runs = [np.array(_shifted(size)) + rng.normal(size=N) / 9 for size in (0.0, 1.0, 5.0, 6.0)]
    pools = [
        Pool([0, 1], {column: _mean("higher")}, [_table(x=run) for run in runs[:2]]),
        Pool([2, 3], {column: _mean("higher")}, [_table(x=run) for run in runs[2:]]),
    ]
    values = {(n, column): float(np.mean(run)) for n, run in enumerate(runs)}
    found = find(pools, values, baseline=0, alpha=0.05, seed=0)
    assert set(found.against) == {(1, column)}
    assert found.best == {(1, column), (3, column)}
    assert found.n_tests == 2


def test_p_values_are_those_of_the_exact_test_corrected_for_all_tests_of_the_table() -> None:
    rng = np.random.default_rng(7)
    n = 10
    runs = [rng.integers(0, 5, size=n).astype(float) for _ in range(4)]
    found, column = _find(runs)
    exact = [
        scipy.stats.permutation_test(
            (runs[0], runs[number]),
            lambda a, b, axis: np.mean(b, axis=axis) - np.mean(a, axis=axis),
            permutation_type="samples",
            n_resamples=10_000,
        ).pvalue
        for number in (1, 2, 3)
    ]
    assert [found.against[number, column].p for number in (1, 2, 3)] == pytest.approx(exact)
    assert found.n_tests in (3, 4)  # no claim where two print alike
    claims = [1.0] * (found.n_tests - 3)
    wanted = holm([*exact, *claims])[:3]
    assert [found.adjusted[number, column] for number in (1, 2, 3)] == pytest.approx(wanted)


def test_without_a_difference_a_run_is_seldom_called_best() -> None:
    n_tables, alpha = 150, 0.1
    rng = np.random.default_rng(8)
    n_best = 0
    for _ in range(n_tables):
        common = rng.normal(size=(1, 9))
        runs = common + rng.normal(size=(3, 9))
        n_best += bool(_find([*runs], alpha=alpha)[0].best)
    assert scipy.stats.binomtest(n_best, n_tables, alpha, alternative="greater").pvalue > 0.001


def test_so_many_tests_get_as_many_resamples_as_they_need() -> None:
    found, _ = _find([_shifted(0.0), _shifted(1.0)])
    assert found.n_resamples == 10_000
    assert found.least_p < 0.05
    found, _ = _find([[0.0, 1.0], [1.0, 0.0]], alpha=1e-4)
    assert found.n_resamples == math.ceil(2 * 2 / 1e-4)
