"""MM-Vet's scores: how a judge's reply is read, when it is asked again, and how runs are added up.

The rules are those of the official script (``benchmarks.mmvet.SCRIPT``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.base import Decoding, Estimate, Item, MetricSpec, ScoreRow
from benchmarks.formulas import Formula, total

JUDGE_DECODING = Decoding(max_new_tokens=3, temperature=0.0)
MAX_ATTEMPTS = 6
GIVEN_UP = 0.0
"""The score once the last attempt is used up."""

N_RESAMPLES = 1000

HAIR = 1e-9
"""Of a figure from 0 to 100: too little to see, and more than floats lose."""


def official_score(reply: str) -> float | None:
    """The score that the script reads; None where it asks again.

    Python's ``float`` decides: "0.5\\n", ".5", "1e-1" and "nan" are read; " 0.5", "0.5.", "0,5"
    and "1.5" are not.
    """
    try:
        score = float(reply.split(" ")[0].strip())
    except ValueError:
        return None
    return None if score > 1.0 or score < 0.0 else score


def stored(score: float) -> float | None:
    """A score as a judgment keeps it: None for "nan", which JSON does not have."""
    return score if math.isfinite(score) else None


def attempt_decoding(attempt: int) -> Decoding:
    """How the judge is asked the first, second, … time."""
    return replace(JUDGE_DECODING, temperature=0.5 * max(0, attempt - 2))


def official_columns(scores: Sequence[float | None]) -> dict[str, float]:
    """An item's scores as columns, ``run_1`` and so on. One of None, a "nan", has no column."""
    return {f"run_{run}": score for run, score in enumerate(scores, 1) if score is not None}


def run_scores(rows: Sequence[ScoreRow], counts: np.ndarray, n_runs: int) -> np.ndarray:
    """100 times the mean score in each run; NaN if one of the scores is.

    Scores are added up one by one in the order of the items, as in the script. Another order
    rounds otherwise, and so now and then the last printed digit: in a group of 8 items half of all
    means stand right between two of them.

    Args:
        counts: how often each row counts.
    """
    names = [f"run_{run}" for run in range(1, n_runs + 1)]
    scores = np.array([[row.official.get(name, math.nan) for name in names] for row in rows])
    return np.cumsum(counts[:, np.newaxis] * scores, axis=0)[-1] / counts.sum() * 100


def as_printed(figure: float) -> float:
    """A figure that everybody's rounding takes to the decimal that the script prints.

    The script rounds by numpy, which multiplies by ten before: 49.45, in binary a little more than
    that, becomes 494.5 and then, to the even side, 49.4. Where numpy does not find the nearest
    decimal, the figure is moved by less than HAIR.
    """
    printed = float(np.round(figure, 1))
    if math.isnan(figure) or printed == round(figure, 1):
        return figure
    return figure + math.copysign(HAIR, printed - figure)


def metric_specs(items: Sequence[Item], n_runs: int) -> list[MetricSpec]:
    """As in the script's two tables, capabilities and their combinations by number of items; then
    Plumbline's own.
    """
    capability = {item.split: item.reference["capability"] for item in items}
    splits = [split for split, _ in Counter(item.split for item in items).most_common()]
    taken = Counter(name for item in items for name in item.reference["capability"])
    number = MetricSpec(
        "total",
        _over_runs(np.mean, n_runs),
        "higher",
        display="points",
        treatment="official",
        undefined='a judge replied "nan", which the script accepts: its average is no number',
    )
    aside = replace(number, direction="neither")
    own = replace(number, official=False)
    return [
        *(
            replace(number, name=name, splits=tuple(s for s in splits if name in capability[s]))
            for name, _ in taken.most_common()
        ),
        replace(number, headline=True),
        replace(aside, name="std", formula=_over_runs(np.std, n_runs)),
        *(
            replace(aside, name=f"total_run_{run + 1}", formula=_over_runs(_at(run), n_runs))
            for run in range(n_runs)
        ),
        *(replace(number, name="score", split=split) for split in splits),
        replace(own, name="strict_total", formula=_strict_total(splits), treatment="scored"),
        replace(
            own,
            name="unparsed_replies",
            formula=total("unparsed", splits),
            direction="lower",
            display="number",
        ),
    ]


def _over_runs(statistic: Callable[[np.ndarray], Any], n_runs: int) -> Estimate:
    """A statistic of the runs' scores."""

    def value(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
        return as_printed(float(statistic(run_scores(rows, counts, n_runs))))

    return Estimate(value, N_RESAMPLES)


def _at(index: int) -> Callable[[np.ndarray], Any]:
    return lambda scores: scores[index]


def _strict_total(splits: Sequence[str]) -> Formula:
    return lambda sums: 100 * total("score", splits)(sums) / total("n", splits)(sums)
