"""LLaVA-Bench's scores: how a review is read, and how ratings make a relative score.

The rules are those of the official scripts (``benchmarks.llava_bench.SCRIPT``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.base import Direction, Estimate, MetricSpec, ScoreRow, Sums
from benchmarks.formulas import total
from benchmarks.llava_bench_files import CATEGORIES

Pair = tuple[float, float]
"""The ratings of the reference answer and of the model's answer."""

FAILED: Pair = (-1.0, -1.0)
"""What the script makes of a reply that it cannot read, and counts."""

LOWEST, HIGHEST = 1.0, 10.0
SIDES = ("reference", "candidate")

LARGEST = 1e300
"""A judge may write any number; a sum of greater ones would not be finite."""
NOT_FINITE = ("inf", "-inf", "nan")

UNGROUPED = "ungrouped_"
"""Before a run's number: marks a review that counts in no category."""

N_RESAMPLES = 1000


def official_pair(reply: str) -> Pair | None:
    """The ratings that the script reads in the first line of a reply; None where it fails.

    Commas are blanks, and there must be one blank exactly: "8 9", "8,9" and "8.5 7\\r" are read, as
    are "-1 5", "11 3" and "nan inf"; "8, 9", " 8 9", "Score: 8 9" and "8/10 9/10" are not.
    """
    words = reply.split("\n")[0].replace(",", " ").split(" ")
    if len(words) != 2:
        return None
    try:
        return float(words[0]), float(words[1])
    except ValueError:
        return None


def is_on_scale(pair: Pair) -> bool:
    """Whether both are ratings as the judge was asked for them, from 1 to 10."""
    return all(LOWEST <= rating <= HIGHEST for rating in pair)


def stored(pair: Pair) -> list[float | str]:
    """A pair as a judgment keeps it: what JSON does not have as text, such as "nan"."""
    return [rating if math.isfinite(rating) else str(rating) for rating in pair]


def restored(values: Sequence[float | str]) -> Pair:
    first, second = values
    return float(first), float(second)


def columns_of(pairs: Sequence[Pair]) -> dict[str, float]:
    """An item's ratings in each run as columns; for one that is not finite, a mark of what it is."""
    columns: dict[str, float] = {}
    for run, pair in enumerate(pairs, start=1):
        for side, rating in zip(SIDES, pair, strict=True):
            if math.isnan(rating):
                columns[f"{side}_{run}_nan"] = 1
            elif abs(rating) > LARGEST:
                columns[f"{side}_{run}_{math.copysign(math.inf, rating)}"] = 1
            else:
                columns[f"{side}_{run}"] = rating
    return columns


def sums_of(pairs: Sequence[Pair]) -> dict[str, float]:
    """Both sides' ratings, added up over the runs."""
    return {
        side: math.fsum(sided) for side, sided in zip(SIDES, zip(*pairs, strict=True), strict=True)
    }


def _rating(row: ScoreRow, column: str) -> float:
    """What ``columns_of`` was given."""
    if column in row.official:
        return row.official[column]
    return float(next(word for word in NOT_FINITE if f"{column}_{word}" in row.official))


def mean_ratings(rows: Sequence[ScoreRow], counts: np.ndarray, run: int) -> Pair:
    """Both sides' mean ratings in a run, rounded as the script does before it divides.

    Ratings are added up one by one in the order of the items, and rounded by Python's ``round``,
    both as in the script: another order, or numpy's rounding (6.0125 to 6.012), now and then
    changes the last printed digit.

    Args:
        counts: how often each row counts.
    """
    present = counts > 0  # zero times "inf" would be "nan"
    counts = counts[present]
    if not counts.size:
        return math.nan, math.nan
    entering = [row for row, is_present in zip(rows, present, strict=True) if is_present]
    ratings = [[_rating(row, f"{side}_{run}") for side in SIDES] for row in entering]
    means = np.cumsum(counts[:, np.newaxis] * np.array(ratings), axis=0)[-1] / counts.sum()
    reference, candidate = (round(mean, 3) for mean in means.tolist())
    return reference, candidate


def relative_score(means: Pair) -> float:
    """The model's mean rating in percent of the reference's; NaN where the script stops."""
    reference, candidate = means
    return candidate / reference * 100 if reference else math.nan


FIGURES: dict[str, tuple[Callable[[Pair], float], Direction]] = {
    "relative_score": (relative_score, "higher"),
    "reference_score": (lambda means: means[0] * 10, "neither"),
    "candidate_score": (lambda means: means[1] * 10, "higher"),
}
"""What the script prints of each group, and which way it is better."""


def over_runs(
    statistic: Callable[[list[float]], Any],
    figure: Callable[[Pair], float],
    runs: Sequence[int],
    category: str = "",
) -> Estimate:
    """A statistic of a figure's values in some runs.

    Args:
        category: reviews that name no category do not count in one; "" for all reviews.
    """

    def in_run(rows: Sequence[ScoreRow], counts: np.ndarray, run: int) -> float:
        if category:
            counts = counts * [f"{UNGROUPED}{run}" not in row.official for row in rows]
        return figure(mean_ratings(rows, counts, run))

    def value(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
        return float(statistic([in_run(rows, counts, run) for run in runs]))

    return Estimate(value, N_RESAMPLES)


def strict_score(sums: Sums) -> np.ndarray:
    """The relative score of all runs together, from sums of ratings."""
    reference, candidate = (total(side, CATEGORIES)(sums) for side in SIDES)
    return candidate / reference * 100


def metric_specs(n_runs: int) -> list[MetricSpec]:
    """As the script prints them, all categories and then each; then Plumbline's own."""
    runs = range(1, n_runs + 1)
    number = MetricSpec(
        "relative_score",
        over_runs(np.mean, relative_score, runs),
        "higher",
        display="points",
        treatment="official",
        undefined="no review, a rating that is no finite number, or references rated 0 on average",
    )
    own = replace(number, official=False)
    found = [
        replace(
            number,
            name=name,
            split=split,
            formula=over_runs(np.mean, figure, runs, split),
            direction=direction,
            headline=(name, split) == ("relative_score", ""),
        )
        for split in ("", *CATEGORIES)
        for name, (figure, direction) in FIGURES.items()
    ]
    if n_runs > 1:
        found += [
            replace(
                number,
                name=f"relative_score_run_{run}",
                formula=over_runs(np.mean, relative_score, (run,)),
            )
            for run in runs
        ]
        spread = over_runs(np.std, relative_score, runs)
        found.append(replace(own, name="relative_score_std", formula=spread, direction="neither"))
    return [
        *found,
        replace(own, name="strict_relative_score", formula=strict_score, treatment="scored"),
        replace(
            own,
            name="unparsed_replies",
            formula=total("unparsed", CATEGORIES),
            direction="lower",
            display="number",
        ),
    ]
