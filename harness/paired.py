"""Is one run better than another? Paired differences with intervals, tests and what they can detect.

For every metric, over the items that both runs scored:

* an interval: the clustered bootstrap of ``harness.stats``, the same groups drawn in both runs;
* a p-value: if the runs did not differ, the two runs' answers to a group (all questions on a picture)
  could be swapped. The difference is computed anew for random swaps of whole groups; p is the share of
  swaps with a difference at least as large, counting the one that was seen (Phipson & Smyth, "Permutation
  p-values should never be zero", 2010). With few differing groups all swaps are listed, and p is exact.
  Where a difference is allowed, a swap counts whose difference is at least the seen one's excess over it:
  swaps spread a little more than a sample whose true difference is the allowed one, so this errs on the
  side of no difference;
* the smallest difference that the comparison could be expected to detect: with a two-sided test at 5 %
  in 80 % of repetitions, (1.96 + 0.84) standard errors of the paired difference.

An ``Estimate`` takes too long to be formed for thousands of swaps. Its p-value is that of Student's t with
the bootstrap's standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from benchmarks.base import Direction, Estimate, MetricSpec, PlumblineError, ScoreRow
from harness.item_table import GroupSums, ItemTable, differing
from harness.resampling import bootstrap_sums
from harness.stats import ColumnSums, Interval, Treatment, apply_formula, percentile_interval
from harness.stats_estimates import estimated_replicates, estimated_value
from harness.swaps import Swaps, Tested, swapped, t_test

DETECTABLE = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
"""The smallest detectable difference in standard errors: 80 % power, two-sided 5 %."""


@dataclass(frozen=True)
class Paired:
    """A metric of run B compared with the same metric of run A.

    Attributes:
        value_a: the metric of A over the items that both runs scored; None when undefined.
        difference: ``value_b - value_a``; None when either is undefined.
        low: lower end of the difference's interval; None with a ``note``. ``high`` likewise.
        p: two-sided, against "no difference" (or, where a difference is allowed, none beyond it);
            None where nothing can be tested, with a ``note``.
        p_worse: one-sided, against "B is not worse than A" in the metric's direction (or worse by no
            more than is allowed); None for metrics that have none.
        unit: what a group in which the runs differ contributes to the difference, typically: the sum of
            the contributions' squares by that of their sizes, taken for equal in an ``Estimate``; None
            where none contributes.
        standard_error: of the difference.
        smallest_detectable: see the module's head.
        n_paired: items that entered; ``n_asked`` counts those that either run was asked.
        n_groups: groups among them.
    """

    name: str
    split: str
    direction: Direction
    value_a: float | None
    value_b: float | None
    low: float | None
    high: float | None
    p: float | None
    p_worse: float | None
    standard_error: float | None
    n_paired: int
    n_asked: int
    n_groups: int
    note: str | None = None
    unit: float | None = None

    @property
    def difference(self) -> float | None:
        if self.value_a is None or self.value_b is None:
            return None
        return self.value_b - self.value_a

    @property
    def smallest_detectable(self) -> float | None:
        return None if self.standard_error is None else DETECTABLE * self.standard_error


def compare(
    specs: Sequence[MetricSpec],
    a: ItemTable,
    b: ItemTable,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Paired]:
    """Run B against run A, a ``Paired`` for each metric. See ``Comparison``."""
    runs = Comparison(specs, [a, b], n_resamples=n_resamples, seed=seed, confidence=confidence)
    return runs.paired(0, 1)


def compare_rows(
    specs: Sequence[MetricSpec],
    rows_a: Sequence[ScoreRow],
    rows_b: Sequence[ScoreRow],
    **settings: Any,
) -> list[Paired]:
    """``compare`` of rows that are not on disk."""
    return compare(specs, ItemTable.of_rows(rows_a), ItemTable.of_rows(rows_b), **settings)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment: rejecting those that are at most alpha errs on any of them with at most alpha.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979. None stays None and is
    not counted.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, index) in enumerate(tested):
        least = max(least, min(1.0, p * (len(tested) - rank)))
        adjusted[index] = least
    return adjusted


class _Sample(NamedTuple):
    """A run's rows that a treatment sums.

    Attributes:
        taken: their indices in the table.
        sums: added up per group, G x C.
        resampled: sums of the resamples, R x C.
    """

    taken: np.ndarray
    sums: GroupSums
    resampled: np.ndarray


class Comparison:
    """Any number of runs on one benchmark, to be compared two at a time; what they share is computed once."""

    def __init__(
        self,
        specs: Sequence[MetricSpec],
        tables: Sequence[ItemTable],
        *,
        n_resamples: int = 10_000,
        seed: int = 0,
        confidence: float = 0.95,
        allowed: Sequence[float] | None = None,
    ) -> None:
        """Takes what to compare and the runs' tables.

        Args:
            allowed: for each metric the difference, in its unit, that is not tested for; 0 if None.
            n_resamples: of the bootstrap, and the most swaps; an ``Estimate`` takes fewer.
            seed: of both.
            confidence: nominal coverage of the intervals.
        """
        self.specs, self.tables = specs, tables
        self._n_resamples, self._seed, self._confidence = n_resamples, seed, confidence
        self._allowed = [0.0] * len(specs) if allowed is None else allowed
        self._used = _used(specs)
        self._whole: dict[tuple[Treatment, int], _Sample] = {}
        self._estimates: dict[tuple[int, int, bytes], np.ndarray] = {}

    def paired(self, a: int, b: int) -> list[Paired]:
        """Run number ``b`` against run number ``a``, in the order of the specs.

        Raises:
            PlumblineError: an item's group or split differs between the runs.
        """
        samples = {
            treatment: self._samples(treatment, a, b)
            for treatment in {spec.treatment for spec in self.specs}
        }
        swaps = {
            treatment: swapped(
                *(sample.sums for sample in pair), n_swaps=self._n_resamples, seed=self._seed
            )
            for treatment, pair in samples.items()
        }
        return [
            self._metric(index, (a, b), samples[spec.treatment], swaps[spec.treatment])
            for index, spec in enumerate(self.specs)
        ]

    def _samples(self, treatment: Treatment, a: int, b: int) -> tuple[_Sample, _Sample]:
        first, second = self.tables[a], self.tables[b]
        flags_a, flags_b = first.entering(treatment), second.entering(treatment)
        if _alike(first, second) and np.array_equal(flags_a, flags_b):
            return self._sample(treatment, a), self._sample(treatment, b)
        common = [i for i in np.flatnonzero(flags_a) if first.item_ids[i] in second.index]
        found = [(i, second.index[first.item_ids[i]]) for i in common]
        taken = np.array([pair for pair in found if flags_b[pair[1]]], dtype=np.intp).reshape(-1, 2)
        _check_same(first, second, taken)
        tables = ((first, taken[:, 0]), (second, taken[:, 1]))
        used = self._used[treatment]
        sums = [table.sums(treatment, indices).only(used) for table, indices in tables]
        one, two = self._resampled(sums)
        return _Sample(taken[:, 0], sums[0], one), _Sample(taken[:, 1], sums[1], two)

    def _sample(self, treatment: Treatment, index: int) -> _Sample:
        """All entering rows of a run. Runs over the same items are resampled in one go."""
        if (treatment, index) not in self._whole:
            table = self.tables[index]
            flags = table.entering(treatment)
            same = [
                i
                for i, other in enumerate(self.tables)
                if _alike(table, other) and np.array_equal(flags, other.entering(treatment))
            ]
            taken = np.flatnonzero(flags)
            used = self._used[treatment]
            sums = [self.tables[i].sums(treatment, taken).only(used) for i in same]
            for i, added, resampled in zip(same, sums, self._resampled(sums), strict=True):
                self._whole[treatment, i] = _Sample(taken, added, resampled)
        return self._whole[treatment, index]

    def _resampled(self, sums: Sequence[GroupSums]) -> list[np.ndarray]:
        """Sums of the same resamples for several runs over the same groups."""
        side_by_side = np.concatenate([each.by_group for each in sums], axis=1)
        drawn = bootstrap_sums(side_by_side, n_resamples=self._n_resamples, seed=self._seed)
        ends = np.cumsum([each.by_group.shape[1] for each in sums])
        return np.split(drawn, ends[:-1], axis=1)

    def _metric(
        self,
        number: int,
        runs: tuple[int, int],
        samples: tuple[_Sample, _Sample],
        swaps: Swaps,
    ) -> Paired:
        spec = self.specs[number]
        first, second = (self.tables[run] for run in runs)
        covered = _covered(spec, first.splits[samples[0].taken])
        n_groups = len(set(first.groups[samples[0].taken][covered]))
        values = [
            self._value(spec, run, sample, covered)
            for run, sample in zip(runs, samples, strict=True)
        ]
        interval, error, unit, test = Interval(None, None), None, None, Tested()
        if values[0] is None or values[1] is None:
            empty = "no item was scored in both runs"
            interval = Interval(None, None, spec.undefined if covered.any() else empty)
        else:
            seen = values[1] - values[0]
            before, after = (
                self._replicates(number, run, sample, covered)
                for run, sample in zip(runs, samples, strict=True)
            )
            spread = after - before
            interval = percentile_interval(spread, n_groups, self._confidence)
            defined = spread[np.isfinite(spread)]
            if n_groups > 1 and len(defined) > 1:
                # Resamples of G groups vary less than samples do, by (G - 1) / G.
                error = float(np.std(defined, ddof=1)) * math.sqrt(n_groups / (n_groups - 1))
            allowed = self._allowed[number]
            if isinstance(spec.formula, Estimate):
                taken = samples[0].taken[covered], samples[1].taken[covered]
                n_differing = len(set(first.groups[taken[0]][differing(first, second, taken)]))
                unit = error / math.sqrt(n_differing) if error and n_differing else None
                test = t_test(seen, error, n_groups, spec.direction, allowed)
            elif n_groups > 1:
                unit, test = swaps.unit(spec), swaps.test(spec, seen, allowed)
        return Paired(
            name=spec.name,
            split=spec.split,
            direction=spec.direction,
            value_a=values[0],
            value_b=values[1],
            low=interval.low,
            high=interval.high,
            p=test.p,
            p_worse=test.p_worse,
            standard_error=error,
            n_paired=int(covered.sum()),
            n_asked=self._n_asked(spec, *runs),
            n_groups=n_groups,
            note=interval.note,
            unit=unit,
        )

    def _value(
        self, spec: MetricSpec, run: int, sample: _Sample, covered: np.ndarray
    ) -> float | None:
        if not covered.any():
            return None
        if isinstance(spec.formula, Estimate):
            value = estimated_value(spec.formula, self._rows(run, sample.taken[covered]))
        else:
            sums = ColumnSums(sample.sums.names, sample.sums.totals[np.newaxis])
            value = float(apply_formula(spec.formula, sums).item())
        return value if math.isfinite(value) else None

    def _replicates(
        self, number: int, run: int, sample: _Sample, covered: np.ndarray
    ) -> np.ndarray:
        formula = self.specs[number].formula
        if not isinstance(formula, Estimate):
            return apply_formula(formula, ColumnSums(sample.sums.names, sample.resampled))
        taken = sample.taken[covered]
        key = (number, run, taken.tobytes())
        if key not in self._estimates:
            self._estimates[key] = estimated_replicates(
                formula,
                self._rows(run, taken),
                sorted(set(self.tables[run].groups[sample.taken])),
                n_resamples=self._n_resamples,
                seed=self._seed,
            )
        return self._estimates[key]

    def _rows(self, run: int, taken: np.ndarray) -> list[ScoreRow]:
        rows = self.tables[run].rows
        return [rows[index] for index in taken]

    def _n_asked(self, spec: MetricSpec, a: int, b: int) -> int:
        asked = {
            item_id
            for table in (self.tables[a], self.tables[b])
            for item_id in table.item_ids[_covered(spec, table.splits)]
        }
        return len(asked)


class _Reader(dict[str, np.ndarray]):
    """Any sums; notes which are read."""

    def __missing__(self, name: str) -> np.ndarray:
        self[name] = np.ones(1)
        return self[name]


def _used(specs: Sequence[MetricSpec]) -> dict[Treatment, Set[str]]:
    """The columns that formulas read, by treatment. The others need not be resampled."""
    readers: dict[Treatment, _Reader] = {"scored": _Reader(), "official": _Reader()}
    for spec in specs:
        if not isinstance(spec.formula, Estimate):
            apply_formula(spec.formula, readers[spec.treatment])
    return {treatment: reader.keys() for treatment, reader in readers.items()}


def _covered(spec: MetricSpec, splits: np.ndarray) -> np.ndarray:
    """Flags of the rows of the splits that a metric is computed on."""
    wanted = spec.splits or ((spec.split,) if spec.split else ())
    return np.isin(splits.astype(str), wanted) if wanted else np.ones(len(splits), dtype=bool)


def _alike(a: ItemTable, b: ItemTable) -> bool:
    """Whether two runs have the same items in the same order."""
    return a is b or (
        np.array_equal(a.item_ids, b.item_ids)
        and np.array_equal(a.groups, b.groups)
        and np.array_equal(a.splits, b.splits)
    )


def _check_same(a: ItemTable, b: ItemTable, taken: np.ndarray) -> None:
    for name in ("groups", "splits"):
        of_a, of_b = getattr(a, name)[taken[:, 0]], getattr(b, name)[taken[:, 1]]
        for index in np.flatnonzero(of_a != of_b)[:1]:
            raise PlumblineError(
                f"{a.item_ids[taken[index, 0]]}: its {name[:-1]} is {of_a[index]!r} in one run, "
                f"{of_b[index]!r} in the other; compare runs over the same data"
            )
