"""Values and intervals of metrics, from rows of numbers per item. ``harness.paired`` compares runs.

A metric is a function of column sums (``MetricSpec``), so resampling is one matrix product:

1. the rows are added up per group (a picture, a question) into a table of sums, G x C,
   with one column per ``"split/column"``;
2. a resample draws G groups with replacement, that is, gives every group a weight 0, 1, 2, …;
   R resamples are a weight matrix, R x G, and their column sums are weights @ table, R x C
   (``harness.resampling``);
3. a formula is applied to all R resamples at once, and the interval is read off the percentiles
   (``percentile_interval``).

An ``Estimate``, which sums do not determine, is computed anew for each resample instead, over the
first of the same draws (``harness.stats_estimates``).

Groups are drawn, not rows, because the rows of one picture are not independent (Davison & Hinkley,
"Bootstrap Methods and their Application", 1997: clusters in section 3.8, percentiles in 5.3).
A picture that several splits show moves in all of them at once, and all metrics see the same
resamples, so that aggregates and differences keep their correlation.

The value never comes from a resample: the formula is applied to the plain sums. These are correctly
rounded (``math.fsum``), hence exact for integer columns and independent of the order of the rows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from benchmarks.base import (
    Estimate,
    Metric,
    MetricSpec,
    PlumblineError,
    ScoreRow,
    ScoreStatus,
    Sums,
)
from harness.resampling import bootstrap_sums
from harness.stats_estimates import estimated_replicates, estimated_value

Treatment = Literal["scored", "official"]
"""See ``MetricSpec.treatment``."""

MAX_UNDEFINED_SHARE = 0.05
"""Above this share of undefined resamples an interval would describe other data than ours."""


class Interval(NamedTuple):
    """A percentile interval, or why there is none (then ``low`` and ``high`` are None)."""

    low: float | None
    high: float | None
    note: str | None = None


class ColumnSums(dict[str, np.ndarray]):
    """Sums by ``"split/column"``. A column that no row has sums to zero."""

    def __init__(self, names: Sequence[str], matrix: np.ndarray) -> None:
        """Takes C column names and a matrix of sums, one row per resample, N x C."""
        super().__init__((name, matrix[:, index]) for index, name in enumerate(names))
        self.length = len(matrix)

    def __missing__(self, name: str) -> np.ndarray:
        return np.zeros(self.length)


class _Table(NamedTuple):
    """Rows, added up.

    Attributes:
        names: the columns, ``"split/column"``, sorted.
        groups: sorted by name.
        totals: plain sums over all rows, 1 x C.
        by_group: sums per group, G x C.
    """

    names: list[str]
    groups: list[str]
    totals: np.ndarray
    by_group: np.ndarray


@dataclass(frozen=True)
class _Sample:
    """What the metrics of one treatment are computed from.

    Attributes:
        rows: those that enter, in the order of the items.
        groups: what is drawn.
        plain: sums over all rows.
        resampled: sums of each resample.
        seed: of the draws.
    """

    rows: list[ScoreRow]
    groups: list[str]
    plain: ColumnSums
    resampled: ColumnSums
    seed: int

    def value(self, spec: MetricSpec) -> float | None:
        """A metric over the rows of its splits; None where it is undefined or nothing entered."""
        entered = _in_coverage(spec, self.rows)
        if not entered:
            return None
        if isinstance(spec.formula, Estimate):
            value = estimated_value(spec.formula, entered)
        else:
            value = float(apply_formula(spec.formula, self.plain).item())
        return value if math.isfinite(value) else None

    def replicates(self, spec: MetricSpec) -> np.ndarray:
        """The metric of each resample."""
        if not isinstance(spec.formula, Estimate):
            return apply_formula(spec.formula, self.resampled)
        return estimated_replicates(
            spec.formula,
            _in_coverage(spec, self.rows),
            self.groups,
            n_resamples=self.resampled.length,
            seed=self.seed,
        )


def evaluate(
    specs: Sequence[MetricSpec],
    rows: Sequence[ScoreRow],
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Metric]:
    """Every metric with its clustered percentile interval and coverage, in the order of ``specs``.

    Args:
        specs: what to compute.
        rows: all rows of one benchmark, in the order of the items. Those that are not scored count
            as asked, and enter only metrics whose treatment is "official".
        n_resamples: bootstrap resamples; an ``Estimate`` may take fewer.
        seed: of the resampling. The same rows and seed give the same intervals; but for an
            ``Estimate``, which may look at it, the order of the rows makes no difference.
        confidence: nominal coverage of the intervals.

    Returns:
        Metrics. ``n_scored`` counts rows with status SCORED, whatever the treatment. ``value`` is
        None where the formula is undefined on the sums; ``low`` and ``high`` are None, with a note,
        where no interval can be given (see ``percentile_interval``).

    Raises:
        PlumblineError: an item has two rows.
    """
    _by_item(rows)
    samples = {
        treatment: _sample(rows, treatment, n_resamples, seed)
        for treatment in {spec.treatment for spec in specs}
    }
    metrics = []
    for spec in specs:
        sample = samples[spec.treatment]
        asked, entered = _in_coverage(spec, rows), _in_coverage(spec, sample.rows)
        value = sample.value(spec)
        if value is None:
            interval = Interval(None, None, spec.undefined if entered else "no item was scored")
        else:
            interval = percentile_interval(sample.replicates(spec), _n_groups(entered), confidence)
        n_scored = len(_entering(asked, "scored"))
        metrics.append(_metric(spec, value, interval, n_scored=n_scored, n_asked=len(asked)))
    return metrics


def percentile_interval(replicates: np.ndarray, n_groups: int, confidence: float) -> Interval:
    """Expanded percentile interval over the defined replicates, R of them.

    Resamples of G groups vary less than samples do, by (G - 1) / G, and with few groups by how much they vary
    is itself uncertain. Percentiles further out make up for both (T. Hesterberg, "What Teachers Should Know
    About the Bootstrap", 2015, section 5.3.3): the plain ones would cover about 91 to 93 % at 24 groups.
    An end at share p is number (R + 1) p of the replicates in their order: without the 1 an interval of
    few replicates covers too little.

    There is none for fewer than two groups (nothing varies between resamples), nor when more than
    MAX_UNDEFINED_SHARE of the replicates are undefined. Fewer are left out with a note.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; give a share between 0 and 1, such as 0.95")
    if n_groups < 2:
        return Interval(None, None, "no interval: a single group")
    defined = replicates[np.isfinite(replicates)]
    n_undefined = len(replicates) - len(defined)
    if n_undefined > MAX_UNDEFINED_SHARE * len(replicates):
        share = n_undefined / len(replicates)
        return Interval(None, None, f"no interval: undefined in {share:.0%} of the resamples")
    tail = _expanded((1 - confidence) / 2, n_groups)
    low, high = map(float, np.quantile(defined, [tail, 1 - tail], method="weibull"))
    notes = []
    if n_undefined:
        notes.append(
            f"undefined in {n_undefined} of {len(replicates)} resamples, which are left out"
        )
    if low == high:
        notes.append("the interval has no width because the resamples agree")
    return Interval(low, high, "; ".join(notes) or None)


def _expanded(tail: float, n_groups: int) -> float:
    """The share of replicates to leave out at each end, so that ``tail`` of the samples lie beyond."""
    from scipy.special import ndtr, stdtrit

    freedom = n_groups - 1
    return float(ndtr(math.sqrt(n_groups / freedom) * stdtrit(freedom, tail)))


def apply_formula(formula: Callable[[Sums], np.ndarray], sums: Sums) -> np.ndarray:
    """The formula on all rows of ``sums``. Division by zero is how a formula says "undefined"."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(formula(sums), dtype=np.float64)


def _table(entering: Sequence[ScoreRow], treatment: Treatment) -> _Table:
    """Adds rows up, per group and in all."""
    cells: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in entering:
        columns = row.values if treatment == "scored" else row.official
        for column, value in columns.items():
            cells[row.group, f"{row.split}/{column}"].append(float(value))
    group_index = {
        name: index for index, name in enumerate(sorted({row.group for row in entering}))
    }
    column_index = {name: index for index, name in enumerate(sorted({name for _, name in cells}))}
    by_group = np.zeros((len(group_index), len(column_index)))
    everything: defaultdict[str, list[float]] = defaultdict(list)
    for (group, column), values in cells.items():
        by_group[group_index[group], column_index[column]] = math.fsum(values)
        everything[column] += values
    totals = np.array([[math.fsum(everything[name]) for name in column_index]])
    return _Table(list(column_index), list(group_index), totals, by_group)


def _entering(rows: Sequence[ScoreRow], treatment: Treatment) -> list[ScoreRow]:
    """The rows that a metric of this treatment sums; see ``MetricSpec.treatment``."""
    if treatment == "scored":
        return [row for row in rows if row.status is ScoreStatus.SCORED]
    return [row for row in rows if row.official]


def _in_coverage(spec: MetricSpec, rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """The rows of the splits that a metric is computed on; all rows when it names no split."""
    splits: Collection[str] = spec.splits or ((spec.split,) if spec.split else ())
    return [row for row in rows if not splits or row.split in splits]


def _n_groups(rows: Sequence[ScoreRow]) -> int:
    return len({row.group for row in rows})


def _sample(rows: Sequence[ScoreRow], treatment: Treatment, n_resamples: int, seed: int) -> _Sample:
    entering = _entering(rows, treatment)
    table = _table(entering, treatment)
    resamples = bootstrap_sums(table.by_group, n_resamples=n_resamples, seed=seed)
    plain, resampled = ColumnSums(table.names, table.totals), ColumnSums(table.names, resamples)
    return _Sample(entering, table.groups, plain, resampled, seed)


def _by_item(rows: Sequence[ScoreRow]) -> dict[str, ScoreRow]:
    """Rows by item id. Raises PlumblineError when an item occurs twice."""
    by_id: dict[str, ScoreRow] = {}
    for row in rows:
        if row.item_id in by_id:
            raise PlumblineError(f"{row.item_id}: two rows for one item; score the run again")
        by_id[row.item_id] = row
    return by_id


def _metric(
    spec: MetricSpec, value: float | None, interval: Interval, *, n_scored: int, n_asked: int
) -> Metric:
    return Metric(
        name=spec.name,
        split=spec.split,
        value=value,
        low=interval.low,
        high=interval.high,
        n_scored=n_scored,
        n_asked=n_asked,
        direction=spec.direction,
        display=spec.display,
        official=spec.official,
        headline=spec.headline,
        note=interval.note,
    )
