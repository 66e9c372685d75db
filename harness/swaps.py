"""The test of ``harness.paired``: what the difference of two runs would be if their answers were swapped."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from benchmarks.base import Direction, Estimate, MetricSpec
from harness.item_table import GroupSums
from harness.stats import ColumnSums, apply_formula

_TIE = 1e-9
"""Differences that agree to so many parts count as equal: swaps add the same numbers in another order."""

_SWAPS_PER_CHUNK = 2**20


class Tested(NamedTuple):
    """See ``harness.paired.Paired``."""

    p: float | None = None
    p_worse: float | None = None


class Swaps(NamedTuple):
    """Sums of both runs after swaps of groups.

    Attributes:
        names: of the C columns.
        first: of run A, S x C; ``second`` of run B.
        is_exact: every possible swap is there, once.
        totals: of both runs as they are, 2 x C.
        change: run B minus run A in each of the K groups where they differ, K x C.
    """

    names: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    is_exact: bool
    totals: np.ndarray
    change: np.ndarray

    def test(self, spec: MetricSpec, seen: float, allowed: float) -> Tested:
        """Whether a difference beyond the allowed one is more than swaps bring about."""
        found = self._difference(spec, self.first, self.second)
        slack = _TIE * max(abs(seen), np.finfo(float).tiny)
        # A swap for which the metric is undefined might have been as extreme.
        undefined = ~np.isfinite(found)
        p = self._share(undefined | (np.abs(found) >= abs(seen) - allowed - slack))
        if spec.direction == "neither":
            return Tested(p)
        sign = -1 if spec.direction == "higher" else 1
        worse = sign * found >= sign * seen - allowed - slack
        return Tested(p, self._share(undefined | worse))

    def unit(self, spec: MetricSpec) -> float | None:
        """``Paired.unit``: half of what the difference moves by when a group is swapped alone."""
        first, second = self.totals[:, np.newaxis]
        alone = self._difference(spec, first + self.change, second - self.change)
        sizes = np.abs(self._difference(spec, first, second) - alone) / 2
        sizes = sizes[np.isfinite(sizes)]
        return float(np.sum(sizes**2) / np.sum(sizes)) if sizes.any() else None

    def _difference(self, spec: MetricSpec, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        assert not isinstance(spec.formula, Estimate)
        a, b = (apply_formula(spec.formula, ColumnSums(self.names, s)) for s in (first, second))
        return b - a

    def _share(self, extreme: np.ndarray) -> float:
        n_extreme = int(extreme.sum())
        return n_extreme / len(extreme) if self.is_exact else (n_extreme + 1) / (len(extreme) + 1)


def swapped(a: GroupSums, b: GroupSums, *, n_swaps: int, seed: int) -> Swaps:
    """Swaps of whole groups, random or all there are. Groups in which the runs agree need none."""
    names = tuple(sorted({*a.names, *b.names}))
    first, second = (_widened(sums, names) for sums in (a, b))
    change = second.by_group - first.by_group
    change = change[np.any(change != 0, axis=1)]
    is_exact = 2 ** min(len(change), 63) <= n_swaps
    moved = _all_swaps(change) if is_exact else _random_swaps(change, n_swaps, seed)
    totals = np.stack([first.totals, second.totals])
    return Swaps(names, totals[0] + moved, totals[1] - moved, is_exact, totals, change)


def t_test(
    seen: float, error: float | None, n_groups: int, direction: Direction, allowed: float
) -> Tested:
    """The same from a standard error, for what takes too long to be formed for every swap.

    Student's t, since with 30 groups a normal tail would be crossed nearly twice as often as it says.
    """
    from scipy.special import stdtr

    if error is None:
        return Tested()

    def tail(excess: float) -> float:
        """The chance of at least so much."""
        distance = excess / error if error else math.copysign(math.inf, excess) if excess else 0.0
        return float(stdtr(n_groups - 1, -distance))

    p = min(1.0, 2 * tail(abs(seen) - allowed))
    if direction == "neither":
        return Tested(p)
    return Tested(p, tail((-seen if direction == "higher" else seen) - allowed))


def _all_swaps(change: np.ndarray) -> np.ndarray:
    """What moves to the first run in each of the 2^G swaps, 2^G x C."""
    numbers = np.arange(2 ** len(change))[:, np.newaxis]
    return ((numbers >> np.arange(len(change))) & 1).astype(np.float64) @ change


def _random_swaps(change: np.ndarray, n_swaps: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, n_swaps])
    n_groups = len(change)
    chunk = max(1, _SWAPS_PER_CHUNK // n_groups)
    moved = []
    for start in range(0, n_swaps, chunk):
        n = min(chunk, n_swaps - start)
        bits = np.unpackbits(np.frombuffer(rng.bytes(-(-n * n_groups // 8)), np.uint8))
        moved.append(bits[: n * n_groups].reshape(n, n_groups).astype(np.float64) @ change)
    return np.concatenate(moved)


def _widened(sums: GroupSums, names: tuple[str, ...]) -> GroupSums:
    """The same with a column of zeros for each name that it lacks."""
    by_group, totals = np.zeros((len(sums.by_group), len(names))), np.zeros(len(names))
    places = [names.index(name) for name in sums.names]
    by_group[:, places], totals[places] = sums.by_group, sums.totals
    return GroupSums(names, by_group, totals)
