"""The tests of a table, their correction for being many, and what bold means.

The tests of a table are one family, which Holm's method corrects together:

* every run against the baseline, in every column;
* in every column the claim that its best run is better than *each* of the others. Its p-value is the largest
  of those of the best run against one other (an intersection-union test: Berger, "Multiparameter hypothesis
  testing and acceptance sampling", 1982). These are two-sided although the claim has a direction, because
  which run is best was seen in the same data (Gutmann & Maymin, "Is the selected population the best?", 1987).

A value is bold if that claim holds. With two runs the claim and the test against the baseline are the same
test, which counts once. A value that prints like another is no best, and neither is one without a direction.

Only runs that measured a benchmark in the same way (a ``Pool``) are tested against each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from benchmarks.base import MetricSpec
from harness.compare.columns import Column
from harness.item_table import ItemTable
from harness.paired import Comparison, Paired, holm

N_RESAMPLES, MOST_RESAMPLES = 10_000, 100_000

Place = tuple[int, Column]
"""A cell: number of the run, column."""


@dataclass(frozen=True)
class Pool:
    """Runs that measured a benchmark in the same way.

    Attributes:
        members: their numbers in the table.
        specs: what can be computed anew, by column.
        tables: of the members, in the same order.
    """

    members: Sequence[int]
    specs: Mapping[Column, MetricSpec]
    tables: Sequence[ItemTable]


@dataclass(frozen=True)
class Findings:
    """What the tests of a table came to.

    Attributes:
        against: runs against the baseline.
        adjusted: p-values of these, corrected.
        best: the cells that are significantly better than every other in their column and pool.
        n_tests: in the family.
        n_resamples: of each test and interval.
    """

    against: Mapping[Place, Paired]
    adjusted: Mapping[Place, float | None]
    best: Set[Place]
    n_tests: int
    n_resamples: int

    @property
    def least_p(self) -> float:
        """The smallest corrected p-value that random swaps can give."""
        return min(1.0, self.n_tests / (self.n_resamples + 1))


class _Meetings:
    """Paired comparisons of a pool's runs, each made once."""

    def __init__(self, pool: Pool, n_resamples: int, seed: int) -> None:
        self._pool = pool
        specs = list(pool.specs.values())
        self._comparison = Comparison(specs, pool.tables, n_resamples=n_resamples, seed=seed)
        self._found: dict[tuple[int, int], dict[Column, Paired]] = {}

    def paired(self, a: int, b: int) -> dict[Column, Paired]:
        """Run ``b`` against run ``a``, by their numbers in the table."""
        if (a, b) not in self._found:
            places = [self._pool.members.index(number) for number in (a, b)]
            found = self._comparison.paired(places[0], places[1])
            self._found[a, b] = dict(zip(self._pool.specs, found, strict=True))
        return self._found[a, b]

    def p_of_best(self, column: Column, ranked: Sequence[int], alpha: float) -> float:
        """That the first of ``ranked`` is better than each other; 1 as soon as one of them is too near."""
        best, *others = ranked
        largest = 0.0
        for other in others:
            # The same pair either way round has the same p-value; one of them may be there already.
            pair = (other, best) if (other, best) in self._found else (best, other)
            found = self.paired(*pair)[column]
            gain = (found.difference or 0.0) * (1 if pair[1] == best else -1)
            is_ahead = gain > 0 if column.direction == "higher" else gain < 0
            if found.p is None or found.p > alpha or not is_ahead:
                return 1.0
            largest = max(largest, found.p)
        return largest


def find(
    pools: Sequence[Pool],
    values: Mapping[Place, float | None],
    *,
    baseline: int,
    alpha: float,
    seed: int,
) -> Findings:
    """Make every test of a table.

    Args:
        values: what the cells hold; a place that is not there is an empty cell.
        baseline: the run that others are tested against, by its number.
        alpha: the level of the family.
    """
    most = sum(len(pool.specs) * len(pool.members) for pool in pools)
    n_resamples = min(MOST_RESAMPLES, max(N_RESAMPLES, math.ceil(2 * most / alpha)))
    against: dict[Place, Paired] = {}
    family: dict[tuple[Column, frozenset[int]], float] = {}
    claims: dict[tuple[Column, frozenset[int]], Place] = {}
    for pool in pools:
        meetings = _Meetings(pool, n_resamples, seed)
        rivals = [number for number in pool.members if number != baseline]
        for number in rivals if baseline in pool.members else ():
            for column, found in meetings.paired(baseline, number).items():
                against[number, column] = found
                if found.p is not None:
                    family[column, frozenset({baseline, number})] = found.p
        for column in pool.specs:
            if ranked := _ranked(column, pool.members, values):
                claim = column, frozenset(ranked)
                p = meetings.p_of_best(column, ranked, alpha)
                family.setdefault(claim, p)
                if p <= alpha:
                    claims[claim] = ranked[0], column
    adjusted = dict(zip(family, holm([*family.values()]), strict=True))
    return Findings(
        against,
        {
            (number, column): adjusted.get((column, frozenset({baseline, number})))
            for number, column in against
        },
        {place for claim, place in claims.items() if (adjusted[claim] or 0.0) <= alpha},
        n_tests=len(family),
        n_resamples=n_resamples,
    )


def _ranked(
    column: Column, members: Sequence[int], values: Mapping[Place, float | None]
) -> list[int]:
    """The runs that have a value, best first; none where nothing is best: no rival, no direction, a tie."""
    found = {number: values.get((number, column)) for number in members}
    defined = {number: value for number, value in found.items() if value is not None}
    ranked = sorted(defined, key=defined.__getitem__, reverse=column.direction == "higher")
    if column.direction == "neither" or len(ranked) < 2:
        return []
    first, second = (column.text(defined[number]) for number in ranked[:2])
    return [] if first == second else ranked
