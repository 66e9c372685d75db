"""Values and differences of experiments, over the same pictures and over seeds.

Rows of all seeds enter together, clustered by picture, so that the bootstrap of ``harness.stats`` says how much
depends on the pictures. How much depends on the training is seen from the seeds: the variance of their values,
divided by their number, is added. With a single seed that part is unknown, and the page says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, variance

from benchmarks.base import Direction, MetricSpec, ScoreRow
from benchmarks.registry import open_benchmark
from harness.paired import compare_rows
from harness.stats import evaluate

Rows = Mapping[str, Sequence[ScoreRow]]
"""Of one evaluation, by benchmark."""

NORMAL_975 = 1.959964
T_975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Quantiles of Student's t by degrees of freedom."""

FEW_RESAMPLES = 10
"""Where only the value is wanted."""


@dataclass(frozen=True)
class Measure:
    """One number of one benchmark.

    Attributes:
        worth: the smallest difference that is worth speaking of, in the metric's own unit.
    """

    benchmark: str
    metric: str
    split: str
    title: str
    worth: float

    @property
    def spec(self) -> MetricSpec:
        specs = open_benchmark(self.benchmark, "pocket").metric_specs()
        return next(each for each in specs if (each.name, each.split) == (self.metric, self.split))

    @property
    def direction(self) -> Direction:
        return self.spec.direction


@dataclass(frozen=True)
class Found:
    """A value or a difference with its 95 % interval; None where there is none.

    Attributes:
        by_seed: the same for each seed alone.
    """

    value: float | None
    low: float | None
    high: float | None
    by_seed: tuple[float, ...]


def value_of(measure: Measure, runs: Mapping[int, Rows]) -> Found:
    """An experiment's value over its seeds."""
    spec = measure.spec
    [whole] = evaluate([spec], _pooled(measure, runs))
    alone = [
        evaluate([spec], rows[measure.benchmark], n_resamples=FEW_RESAMPLES)[0].value
        for rows in runs.values()
    ]
    return _found(whole.value, whole.low, whole.high, alone)


def difference(measure: Measure, runs: Mapping[int, Rows], others: Mapping[int, Rows]) -> Found:
    """How much better an experiment is than another on the same seeds: positive where it is better."""
    spec = measure.spec
    seeds = [seed for seed in runs if seed in others]
    if not seeds:
        return Found(None, None, None, ())
    runs, others = ({seed: each[seed] for seed in seeds} for each in (runs, others))
    [whole] = compare_rows([spec], _pooled(measure, others), _pooled(measure, runs))
    alone = [
        compare_rows(
            [spec],
            others[seed][measure.benchmark],
            runs[seed][measure.benchmark],
            n_resamples=FEW_RESAMPLES,
        )[0].difference
        for seed in seeds
    ]
    found = _found(whole.difference, whole.low, whole.high, alone)
    return _turned(found) if spec.direction == "lower" else found


def mean_of(values: Sequence[float]) -> Found:
    """A mean over seeds with Student's interval; none for fewer than two."""
    if not values:
        return Found(None, None, None, ())
    if len(values) < 2:
        return Found(values[0], None, None, tuple(values))
    half = T_975.get(len(values) - 1, NORMAL_975) * math.sqrt(variance(values) / len(values))
    middle = fmean(values)
    return Found(middle, middle - half, middle + half, tuple(values))


def _pooled(measure: Measure, runs: Mapping[int, Rows]) -> list[ScoreRow]:
    """All seeds' rows, told apart by their ids; a picture stays one cluster."""
    return [
        replace(row, item_id=f"{seed}/{row.item_id}")
        for seed, rows in runs.items()
        for row in rows[measure.benchmark]
    ]


def _found(
    value: float | None, low: float | None, high: float | None, alone: Sequence[float | None]
) -> Found:
    """The interval over pictures, widened by the variance between seeds."""
    by_seed = tuple(each for each in alone if each is not None)
    if value is None or low is None or high is None:
        return Found(value, None, None, by_seed)
    between = variance(by_seed) / len(by_seed) if len(by_seed) > 1 else 0.0
    ends = [
        math.copysign(math.hypot(end - value, NORMAL_975 * math.sqrt(between)), sign)
        for end, sign in ((low, -1.0), (high, 1.0))
    ]
    return Found(value, value + ends[0], value + ends[1], by_seed)


def _turned(found: Found) -> Found:
    def minus(value: float | None) -> float | None:
        return None if value is None else -value

    by_seed = tuple(-each for each in found.by_seed)
    return Found(minus(found.value), minus(found.high), minus(found.low), by_seed)
