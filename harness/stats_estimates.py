"""Values and resamples of metrics that column sums do not determine (``benchmarks.base.Estimate``).

The resamples are those of every other metric (``harness.resampling``), so that differences keep
their correlation; an estimate takes only the first of them, since each costs as much as the value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.base import Estimate, ScoreRow
from harness.resampling import draw_weights


def estimated_value(estimate: Estimate, rows: Sequence[ScoreRow]) -> float:
    """The estimate with each row counted once; NaN where it is undefined.

    Args:
        rows: those that enter, in the order of the items.
    """
    return _estimated(estimate, rows, np.ones(len(rows)))


def estimated_replicates(
    estimate: Estimate,
    rows: Sequence[ScoreRow],
    groups: Sequence[str],
    *,
    n_resamples: int,
    seed: int,
) -> np.ndarray:
    """The estimate of each resample, a row counting as often as its group is drawn.

    Args:
        rows: those that enter, in the order of the items.
        groups: all that are drawn, those of ``rows`` among them.
        n_resamples: the most that are wanted; the estimate may take fewer.
        seed: of the draws.

    Returns:
        One float for each resample; NaN where the estimate is undefined, as in a resample that
        holds none of the rows.
    """
    n_resamples = min(n_resamples, estimate.n_resamples)
    column_of = {name: column for column, name in enumerate(groups)}
    columns = [column_of[row.group] for row in rows]
    return np.array(
        [
            _estimated(estimate, rows, counts[columns])
            for weights in draw_weights(len(groups), n_resamples=n_resamples, seed=seed)
            for counts in weights
        ]
    )


def _estimated(estimate: Estimate, rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
    """Division by zero is how a function says "undefined"."""
    if not counts.any():
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(estimate.function(rows, counts))
