"""Formulas of metrics, as ``MetricSpec`` takes them, that several benchmarks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.base import Sums

Formula = Callable[[Sums], np.ndarray]


def total(column: str, splits: Sequence[str]) -> Formula:
    """A column's sum over splits."""
    return lambda sums: np.asarray(sum(sums[f"{split}/{column}"] for split in splits))
