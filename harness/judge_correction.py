"""Few human labels and many of a judge, combined into one mean with an honest interval.

A judge that labels everything is precise and biased; people who label a sample are unbiased and few. The
prediction-powered estimate of the mean of Y, with the judge's labels f as predictions, is

    mean of λ f over the items without a human label + mean of (Y - λ f) over those with one.

It is unbiased for any judge and any fixed λ. λ = 1 is the estimate of Angelopoulos et al. ("Prediction-powered
inference", Science 382, 2023, arXiv 2301.09633); here λ is the one with the smallest variance, as in "PPI++" (Angelopoulos,
Duchi & Zrnic, 2023, arXiv 2311.01453), kept between 0 and 1 as in their code. A useless judge gets λ near 0, and
what remains is the human mean.

Items on one picture are not independent, and a picture may have items with and without a human label. Therefore the
variance is that of sums per group: with

    a_g = sum over labelled items of g of (Y - mean Y) / n,
    b_g = sum over labelled items of g of (f - mean f) / n - sum over the others of (f - mean f) / N,

the estimate's error is the sum over groups of a_g - λ b_g, its variance is estimated by m / (m - p) Σ (a_g - λ b_g)²,
and the best λ is Σ a_g b_g / Σ b_g². With a group for each item this is PPI++'s formula. m counts the groups with a
human label, because it is their residuals that make the interval uncertain, and p what was fitted to them (a mean,
and λ); the interval takes Student's quantile with m - p degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEW_GROUPS = "no interval: too few groups"
NO_WIDTH = "the interval has no width because nothing varies between groups"


@dataclass(frozen=True)
class Estimated:
    """A mean with its interval; ``low`` and ``high`` are None with a ``note`` where there is none."""

    value: float
    low: float | None
    high: float | None
    note: str | None = None

    @property
    def width(self) -> float | None:
        return None if self.low is None or self.high is None else self.high - self.low


@dataclass(frozen=True)
class Correction:
    """Three estimates of the same mean.

    Attributes:
        human: from the items with a human label alone.
        judge: the judge's mean over all items. Its interval says nothing of its bias.
        corrected: both together.
        bias: the judge's mean minus people's, over the items that both labelled.
        lambda_: how much the judge counts, 0 to 1.
        correlation: of both on those items; None where either never varies.
        n_labelled: items with a human label, n.
        n_unlabelled: the others, N.
    """

    human: Estimated
    judge: Estimated
    corrected: Estimated
    bias: float
    lambda_: float
    correlation: float | None
    n_labelled: int
    n_unlabelled: int
    n_groups: int


def correct_mean(
    human: Sequence[float | None] | np.ndarray,
    judge: Sequence[float] | np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    confidence: float = 0.95,
    lambda_: float | None = None,
) -> Correction:
    """Human-only, judge-only and corrected mean.

    Args:
        human: a number for each item; None (or NaN) where nobody labelled it. Which items are labelled must be
            drawn at random.
        judge: the judge's number for each item.
        groups: what items share, e.g. a picture.
        bounds: what a mean can be; intervals are cut off there.
        lambda_: fixes it; None for the best one.

    Raises:
        ValueError: no item has a human label, a judge's number is missing, or lengths differ.
    """
    y = np.array([math.nan if label is None else label for label in human], dtype=np.float64)
    f = np.asarray(judge, dtype=np.float64)
    if not len(y) == len(f) == len(groups):
        raise ValueError(f"{len(y)} human labels, {len(f)} of the judge, {len(groups)} groups")
    labelled = ~np.isnan(y)
    if not labelled.any():
        raise ValueError("no item has a human label")
    if not np.isfinite(f).all():
        raise ValueError("a number of the judge is missing; any prediction will do in its place")
    names, group_of = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    n, n_groups = int(labelled.sum()), len(names)
    n_other = len(y) - n

    def by_group(values: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Deviations from the mean, divided by how many there are, added up per group."""
        if not taken.any():
            return np.zeros(n_groups)
        apart = (values[taken] - values[taken].mean()) / taken.sum()
        return np.bincount(group_of[taken], apart, minlength=n_groups)

    a = by_group(y, labelled)
    b = by_group(f, labelled) - by_group(f, ~labelled)
    human_mean, judge_mean = float(y[labelled].mean()), float(f[labelled].mean())
    other_mean = float(f[~labelled].mean()) if n_other else judge_mean
    tuned = lambda_ is None
    if lambda_ is None:
        spread = float(b @ b)
        lambda_ = min(1.0, max(0.0, float(a @ b) / spread)) if spread > 0 and n_other else 0.0
    n_human_groups = len(np.unique(group_of[labelled]))
    n_fitted = 2 if tuned and lambda_ > 0 else 1
    everything = by_group(f, np.ones(len(y), dtype=bool))
    corrected = human_mean + lambda_ * (other_mean - judge_mean)
    limits = (bounds, confidence)
    return Correction(
        human=_estimated(human_mean, a, n_human_groups, 1, *limits),
        judge=_estimated(float(f.mean()), everything, n_groups, 1, *limits),
        corrected=_estimated(corrected, a - lambda_ * b, n_human_groups, n_fitted, *limits),
        bias=judge_mean - human_mean,
        lambda_=lambda_,
        correlation=_correlation(y[labelled], f[labelled]),
        n_labelled=n,
        n_unlabelled=n_other,
        n_groups=n_groups,
    )


def _estimated(
    value: float,
    errors: np.ndarray,
    n_groups: int,
    n_fitted: int,
    bounds: tuple[float, float],
    confidence: float,
) -> Estimated:
    """A mean whose error is the sum of the errors of groups."""
    from scipy.stats import t

    degrees = n_groups - n_fitted
    if degrees < 1:
        return Estimated(value, None, None, FEW_GROUPS)
    error = math.sqrt(n_groups / degrees * float(errors @ errors))
    half = float(t.ppf((1 + confidence) / 2, degrees)) * error
    low, high = max(bounds[0], value - half), min(bounds[1], value + half)
    return Estimated(value, low, high, None if half else NO_WIDTH)


def _correlation(y: np.ndarray, f: np.ndarray) -> float | None:
    if len(y) < 2 or np.ptp(y) == 0 or np.ptp(f) == 0:
        return None
    return float(np.corrcoef(y, f)[0, 1])
