"""How well raters agree, beyond what chance would give: Cohen, Fleiss, Krippendorff, each with an interval.

All three are one minus observed over expected disagreement, and differ in whose answers "expected" is taken from:

* Cohen's kappa ("A coefficient of agreement for nominal scales", 1960; weighted: "Weighted kappa", 1968): two raters,
  each with habits of their own;
* Fleiss' kappa ("Measuring nominal scale agreement among many raters", 1971): any number of raters, their habits
  pooled; units that not all of them rated are left out;
* Krippendorff's alpha ("Computing Krippendorff's alpha-reliability", 2011): any number of raters, pooled, with a
  correction for few ratings; every unit with at least two ratings counts.

Each is a function of sums over units (a table of counts), so the interval is the clustered bootstrap of
``harness.stats``: groups of units are drawn, and the same formula is applied to the resampled sums. Where the
expected disagreement is zero (everybody always gave the same one answer) there is nothing to correct for, and the
value is None with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.resampling import bootstrap_sums
from harness.stats import percentile_interval

Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["nominal", "linear", "quadratic"]
Ratings = Sequence[Sequence[int | None]]
"""Units x raters: the number of the category, counted from 0; None where a rater gave none."""

MISSING = -1

NO_UNITS = "no unit has ratings of two raters"
ONE_CATEGORY = "all ratings are the same, so there is no disagreement to expect by chance"


@dataclass(frozen=True)
class Agreement:
    """A coefficient: 1 is perfect agreement, 0 what chance gives, below 0 less than that.

    Attributes:
        value: None when undefined, with a ``note``; ``low`` and ``high`` likewise.
        n_units: units that entered.
        n_groups: groups among them; what the interval draws.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    n_units: int
    n_groups: int
    note: str | None = None


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        groups: the group of each unit; None if every unit is one of its own.
    """

    groups: Sequence[str] | None = None
    n_resamples: int = 2_000
    seed: int = 0
    confidence: float = 0.95


Formula = Callable[[np.ndarray], np.ndarray]
"""Sums over units, R x C, to values, R; NaN where undefined."""


def observed_agreement(
    ratings: Ratings, n_categories: int, bootstrap: Bootstrap | None = None
) -> Agreement:
    """The share of pairs of ratings of a unit that are equal, averaged over units. Not corrected for chance."""
    counts = _counts(ratings, n_categories)
    n = counts.sum(axis=1)
    present = n >= 2
    equal = (counts * (counts - 1)).sum(axis=1)[present] / (n * (n - 1))[present]
    sums = np.stack([np.ones(len(equal)), equal], axis=1)
    return _measured("agreement", sums, present, lambda sums: sums[:, 1] / sums[:, 0], bootstrap)


def cohen_kappa(
    ratings: Ratings,
    n_categories: int,
    bootstrap: Bootstrap | None = None,
    *,
    weights: Weights = "nominal",
) -> Agreement:
    """Cohen's kappa of two raters, over the units that both rated.

    Args:
        ratings: units x 2.
        weights: how much a disagreement weighs: all the same, by distance, or by its square.
    """
    table = _matrix(ratings)
    if table.shape[1] != 2:
        raise ValueError(f"Cohen's kappa is of 2 raters, not {table.shape[1]}")
    present = (table != MISSING).all(axis=1)
    first, second = table[present].T
    k = n_categories
    confusion = np.zeros((len(first), k, k))
    confusion[np.arange(len(first)), first, second] = 1
    power = {"nominal": 0, "linear": 1, "quadratic": 2}[weights]
    weight = _distances(np.arange(k), power)

    def formula(sums: np.ndarray) -> np.ndarray:
        observed = sums.reshape(-1, k, k)
        n = observed.sum(axis=(1, 2))
        by_first, by_second = observed.sum(axis=2), observed.sum(axis=1)
        expected = by_first[:, :, None] * by_second[:, None, :] / n[:, None, None]
        return 1 - (weight * observed).sum(axis=(1, 2)) / (weight * expected).sum(axis=(1, 2))

    name = "Cohen's kappa" if weights == "nominal" else f"Cohen's kappa ({weights} weights)"
    return _measured(name, confusion.reshape(-1, k * k), present, formula, bootstrap)


def fleiss_kappa(
    ratings: Ratings, n_categories: int, bootstrap: Bootstrap | None = None
) -> Agreement:
    """Fleiss' kappa, over the units that all raters rated."""
    table = _matrix(ratings)
    n_raters = table.shape[1]
    present = (table != MISSING).all(axis=1) & (n_raters >= 2)
    counts = _counts(ratings, n_categories)[present]
    pairs = max(1, n_raters * (n_raters - 1))
    equal = (counts * (counts - 1)).sum(axis=1) / pairs
    sums = np.concatenate([np.ones((len(counts), 1)), equal[:, None], counts], axis=1)

    def formula(sums: np.ndarray) -> np.ndarray:
        n_units = sums[:, 0]
        shares = sums[:, 2:] / (n_units * n_raters)[:, None]
        by_chance = (shares**2).sum(axis=1)
        return (sums[:, 1] / n_units - by_chance) / _nonzero(1 - by_chance)

    return _measured("Fleiss' kappa", sums, present, formula, bootstrap)


def krippendorff_alpha(
    ratings: Ratings,
    n_categories: int,
    bootstrap: Bootstrap | None = None,
    *,
    level: Level = "nominal",
    values: Sequence[float] | None = None,
) -> Agreement:
    """Krippendorff's alpha, over the units with at least two ratings.

    Args:
        level: how far apart two categories are: "nominal" all the same, "ordinal" by how many ratings lie
            between them, "interval" by the square of their difference.
        values: of the categories, for "interval"; their numbers by default.
    """
    counts = _counts(ratings, n_categories)
    n = counts.sum(axis=1)
    present = n >= 2
    counts, n = counts[present], n[present]
    k = n_categories
    # A unit's coincidences: its pairs of ratings (c, k), so weighted that each rating counts once.
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(k)
    coincidences = pairs / (n - 1)[:, None, None]
    scale = np.arange(k) if values is None else np.asarray(values, dtype=np.float64)

    def formula(sums: np.ndarray) -> np.ndarray:
        observed = sums.reshape(-1, k, k)
        totals = observed.sum(axis=2)
        n_ratings = totals.sum(axis=1)
        distance = _ordinal(totals) if level == "ordinal" else _distances(scale, 2 * (level == "interval"))  # fmt: skip
        expected = totals[:, :, None] * totals[:, None, :]
        seen, by_chance = ((distance * each).sum(axis=(1, 2)) for each in (observed, expected))
        return 1 - (n_ratings - 1) * seen / by_chance

    sums = coincidences.reshape(-1, k * k)
    return _measured(f"Krippendorff's alpha ({level})", sums, present, formula, bootstrap)


def _matrix(ratings: Ratings) -> np.ndarray:
    """Units x raters, MISSING where there is no rating."""
    widths = {len(unit) for unit in ratings}
    if len(widths) > 1:
        raise ValueError("every unit needs an entry for each rater, None where there is no rating")
    rows = [[MISSING if rating is None else rating for rating in unit] for unit in ratings]
    return np.array(rows, dtype=np.intp).reshape(len(rows), widths.pop() if widths else 0)


def _counts(ratings: Ratings, n_categories: int) -> np.ndarray:
    """How often each category was given to each unit, units x categories."""
    table = _matrix(ratings)
    if table.size and not (table.min() >= MISSING and table.max() < n_categories):
        raise ValueError(f"a rating is none of the categories 0 to {n_categories - 1}")
    is_given = table[:, :, None] == np.arange(n_categories)
    counts: np.ndarray = is_given.sum(axis=1).astype(np.float64)
    return counts


def _distances(values: np.ndarray, power: int) -> np.ndarray:
    """Distances between categories; ``power`` 0 counts every difference as 1."""
    apart = np.abs(values[:, None] - values[None, :]).astype(np.float64)
    return (apart > 0).astype(np.float64) if power == 0 else apart**power


def _ordinal(totals: np.ndarray) -> np.ndarray:
    """Krippendorff's ordinal distances: the ratings from one category to the other, half of both ends.

    Args:
        totals: ratings per category, R x K.
    """
    middle = np.cumsum(totals, axis=1) - totals / 2
    return np.square(middle[:, :, None] - middle[:, None, :])


def _nonzero(values: np.ndarray) -> np.ndarray:
    """NaN for what is zero but for rounding."""
    return np.where(np.abs(values) < 1e-12, np.nan, values)


def _measured(
    name: str,
    sums: np.ndarray,
    present: np.ndarray,
    formula: Formula,
    bootstrap: Bootstrap | None,
) -> Agreement:
    """A coefficient and its interval.

    Args:
        sums: per unit that enters, U x C.
        present: which of all units enter.
    """
    given = bootstrap or Bootstrap()
    labels = np.arange(len(present)).astype(str) if given.groups is None else np.array(given.groups)
    groups, index = np.unique(labels[present], return_inverse=True)
    if not len(sums):
        return Agreement(name, None, None, None, 0, 0, NO_UNITS)

    def apply(sums: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return formula(sums)

    value = float(apply(sums.sum(axis=0, keepdims=True)).item())
    if not math.isfinite(value):
        return Agreement(name, None, None, None, len(sums), len(groups), ONE_CATEGORY)
    by_group = np.zeros((len(groups), sums.shape[1]))
    np.add.at(by_group, index, sums)
    drawn = bootstrap_sums(by_group, n_resamples=given.n_resamples, seed=given.seed)
    found = percentile_interval(apply(drawn), len(groups), given.confidence)
    return Agreement(name, value, found.low, found.high, len(sums), len(groups), found.note)
