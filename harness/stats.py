"""Values, intervals and paired differences of metrics, from rows of numbers per item.

A metric is a function of column sums (``MetricSpec``), so resampling is one matrix product:

1. the rows are added up per group (a picture, a question) into a table of sums, G x C,
   with one column per ``"split/column"``;
2. a resample draws G groups with replacement, that is, gives every group a weight 0, 1, 2, …;
   R resamples are a weight matrix, R x G, and their column sums are weights @ table, R x C;
3. a formula is applied to all R resamples at once, and the interval is read off the percentiles.

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
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from benchmarks.base import Metric, MetricSpec, PlumblineError, ScoreRow, ScoreStatus

Treatment = Literal["scored", "official"]
"""See ``MetricSpec.treatment``."""

MAX_UNDEFINED_SHARE = 0.05
"""Above this share of undefined resamples an interval would describe other data than ours."""

_WEIGHTS_PER_CHUNK = 2**18
"""How many weights (8 bytes each) exist at once: small enough for the cache of a core."""


class Interval(NamedTuple):
    """A percentile interval, or why there is none (then ``low`` and ``high`` are None)."""

    low: float | None
    high: float | None
    note: str | None = None


@dataclass(frozen=True)
class Difference:
    """A metric of run B minus the same metric of run A, over the items that both runs scored.

    Attributes:
        value_a: the metric of A on the common items; None when undefined. ``value_b`` likewise.
        low: lower end of the clustered paired interval; None with a ``note``. ``high`` likewise.
        n_paired: items that entered; ``n_asked`` counts those that either run was asked.
    """

    name: str
    split: str
    value_a: float | None
    value_b: float | None
    low: float | None
    high: float | None
    n_paired: int
    n_asked: int
    note: str | None = None

    @property
    def difference(self) -> float | None:
        """``value_b - value_a``; None when either is undefined."""
        if self.value_a is None or self.value_b is None:
            return None
        return self.value_b - self.value_a


class _Sums(dict[str, np.ndarray]):
    """Sums by ``"split/column"``. A column that no row has sums to zero."""

    def __init__(self, names: Sequence[str], matrix: np.ndarray) -> None:
        """Takes C column names and a matrix of sums, one row per resample, N x C."""
        super().__init__((name, matrix[:, index]) for index, name in enumerate(names))
        self._length = len(matrix)

    def __missing__(self, name: str) -> np.ndarray:
        return np.zeros(self._length)


class _Table(NamedTuple):
    """Rows, added up.

    Attributes:
        names: the columns, ``"split/column"``, sorted.
        totals: plain sums over all rows, 1 x C.
        by_group: sums per group, groups sorted by name, G x C.
    """

    names: list[str]
    totals: np.ndarray
    by_group: np.ndarray


class _PairedSample(NamedTuple):
    """Two runs over the same items: their rows in run A, and sums of A and B."""

    rows: list[ScoreRow]
    plain: tuple[_Sums, _Sums]
    resampled: tuple[_Sums, _Sums]


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
        rows: all rows of one benchmark. Those that are not scored count as asked, and enter only
            metrics whose treatment is "official".
        n_resamples: bootstrap resamples.
        seed: of the resampling. The same rows, in any order, and seed give the same intervals.
        confidence: nominal coverage of the intervals.

    Returns:
        Metrics. ``n_scored`` counts rows with status SCORED, whatever the treatment. ``value`` is
        None where the formula is undefined on the sums; ``low`` and ``high`` are None, with a note,
        where no interval can be given (see ``_interval``).

    Raises:
        PlumblineError: an item has two rows.
    """
    _by_item(rows)
    samples = {}
    for treatment in {spec.treatment for spec in specs}:
        table = _table(_entering(rows, treatment), treatment)
        resamples = bootstrap_sums(table.by_group, n_resamples=n_resamples, seed=seed)
        samples[treatment] = _Sums(table.names, table.totals), _Sums(table.names, resamples)
    metrics = []
    for spec in specs:
        plain, resampled = samples[spec.treatment]
        asked = _in_coverage(spec, rows)
        entered = _entering(asked, spec.treatment)
        value = _as_value(_apply(spec, plain)) if entered else None
        if value is None:
            interval = Interval(None, None, spec.undefined if entered else "no item was scored")
        else:
            interval = _interval(_apply(spec, resampled), _n_groups(entered), confidence)
        n_scored = len(_entering(asked, "scored"))
        metrics.append(_metric(spec, value, interval, n_scored=n_scored, n_asked=len(asked)))
    return metrics


def paired_difference(
    specs: Sequence[MetricSpec],
    rows_a: Sequence[ScoreRow],
    rows_b: Sequence[ScoreRow],
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Difference]:
    """How much better or worse run B is than run A on the same items, with a paired interval.

    Only items that both runs scored enter, and each resample gives a group the same weight in both
    runs, so that what makes a picture easy or hard for both cancels.

    Args:
        specs: what to compare.
        rows_a: all rows of run A.
        rows_b: all rows of run B, matched with those of A by item id.
        n_resamples: bootstrap resamples.
        seed: of the resampling.
        confidence: nominal coverage of the intervals.

    Raises:
        PlumblineError: an item occurs twice in a run, or its group or split differs between them.
    """
    samples = {
        treatment: _paired_sample(rows_a, rows_b, treatment, n_resamples, seed)
        for treatment in {spec.treatment for spec in specs}
    }
    asked = list({row.item_id: row for row in (*rows_a, *rows_b)}.values())
    differences = []
    for spec in specs:
        sample = samples[spec.treatment]
        paired = _in_coverage(spec, sample.rows)
        a, b = (_as_value(_apply(spec, sums)) if paired else None for sums in sample.plain)
        if a is None or b is None:
            note = spec.undefined if paired else "no item was scored in both runs"
            interval = Interval(None, None, note)
        else:
            resampled_a, resampled_b = (_apply(spec, sums) for sums in sample.resampled)
            interval = _interval(resampled_b - resampled_a, _n_groups(paired), confidence)
        differences.append(
            Difference(
                name=spec.name,
                split=spec.split,
                value_a=a,
                value_b=b,
                low=interval.low,
                high=interval.high,
                n_paired=len(paired),
                n_asked=len(_in_coverage(spec, asked)),
                note=interval.note,
            )
        )
    return differences


def bootstrap_sums(columns: np.ndarray, *, n_resamples: int, seed: int) -> np.ndarray:
    """Column sums of resampled groups. The draws depend on G and the seed only, not on the columns.

    Args:
        columns: sums per group, G x C.
        n_resamples: R.
        seed: of numpy's PCG64.

    Returns:
        Sums of the resamples, R x C; exact where the columns are integers.
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}; give at least 1")
    n_groups, n_columns = columns.shape
    sums = np.zeros((n_resamples, n_columns))
    if n_groups == 0:
        return sums
    rng = np.random.default_rng(seed)
    chunk = max(1, _WEIGHTS_PER_CHUNK // n_groups)
    for start in range(0, n_resamples, chunk):
        stop = min(start + chunk, n_resamples)
        sums[start:stop] = _draw_weights(rng, stop - start, n_groups) @ columns
    return sums


def _draw_weights(rng: np.random.Generator, n_resamples: int, n_groups: int) -> np.ndarray:
    """How often each group is drawn, R x G; every row adds up to G.

    Counting drawn indices takes a third of the time of ``rng.multinomial``, which has the same law.
    """
    drawn = rng.integers(n_groups, size=(n_resamples, n_groups))
    drawn += np.arange(0, n_resamples * n_groups, n_groups)[:, np.newaxis]
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_groups)
    return counts.reshape(n_resamples, n_groups).astype(np.float64)


def _interval(replicates: np.ndarray, n_groups: int, confidence: float) -> Interval:
    """Percentile interval over the defined replicates.

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
    tail = (1 - confidence) / 2
    low, high = (float(end) for end in np.quantile(defined, [tail, 1 - tail]))
    notes = []
    if n_undefined:
        notes.append(
            f"undefined in {n_undefined} of {len(replicates)} resamples, which are left out"
        )
    if low == high:
        notes.append("the interval has no width because the resamples agree")
    return Interval(low, high, "; ".join(notes) or None)


def _apply(spec: MetricSpec, sums: _Sums) -> np.ndarray:
    """The formula on all rows of ``sums``. Division by zero is how a formula says "undefined"."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(spec.formula(sums), dtype=np.float64)


def _as_value(result: np.ndarray) -> float | None:
    """The only element of a formula's result on plain sums; None when it is not a number."""
    value = float(result.item())
    return value if math.isfinite(value) else None


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
    return _Table(list(column_index), totals, by_group)


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


def _paired_sample(
    rows_a: Sequence[ScoreRow],
    rows_b: Sequence[ScoreRow],
    treatment: Treatment,
    n_resamples: int,
    seed: int,
) -> _PairedSample:
    """Sums and resampled sums of both runs over the items that enter in both."""
    by_id_a, by_id_b = (_by_item(_entering(rows, treatment)) for rows in (rows_a, rows_b))
    common = sorted(by_id_a.keys() & by_id_b.keys())
    for item_id in common:
        a, b = by_id_a[item_id], by_id_b[item_id]
        if (a.group, a.split) != (b.group, b.split):
            raise PlumblineError(
                f"{item_id}: group and split are {a.group!r} and {a.split!r} in one run, "
                f"{b.group!r} and {b.split!r} in the other; compare runs over the same data"
            )
    rows = [by_id_a[item_id] for item_id in common]
    tables = _table(rows, treatment), _table([by_id_b[item_id] for item_id in common], treatment)
    names_a, names_b = (table.names for table in tables)
    both = np.hstack([table.by_group for table in tables])
    resamples = np.hsplit(bootstrap_sums(both, n_resamples=n_resamples, seed=seed), [len(names_a)])
    return _PairedSample(
        rows=rows,
        plain=(_Sums(names_a, tables[0].totals), _Sums(names_b, tables[1].totals)),
        resampled=(_Sums(names_a, resamples[0]), _Sums(names_b, resamples[1])),
    )


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
