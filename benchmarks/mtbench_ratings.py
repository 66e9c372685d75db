"""What MT-Bench's judgments say, and the numbers that are made of them."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.base import Direction, Judgment, JudgmentStatus, ScoreStatus, Sums
from benchmarks.formulas import Formula, total
from benchmarks.mtbench_files import MAX_SCORE, N_TURNS, place_of

TURNS = tuple(f"turn_{number}" for number in range(1, N_TURNS + 1))

RUN_STATISTICS: tuple[tuple[str, Callable[..., Any], Direction], ...] = (
    ("median", np.median, "higher"),
    ("min", np.min, "neither"),
    ("max", np.max, "neither"),
    ("sd", partial(np.std, ddof=1), "neither"),
)
"""What is shown of the averages of several judging runs."""

_RATINGS = (re.compile(r"\[\[(\d+(?:\.\d*)?)\]\]"), re.compile(r"\[(\d+(?:\.\d*)?)\]"))
"""The numbers of the script, ``\\d+\\.?\\d*``, put so that no text takes quadratic time."""


class Reading(NamedTuple):
    """A judgment's rating, or why there is none."""

    rating: int | float | None
    problem: str = ""


def read_rating(reply: str) -> Reading:
    """The rating that the script finds in a judge's reply.

    It takes the first number in double brackets, or else the first in single ones, without looking
    at what stands before it: ``a[[2]] = 1; Rating: [[9]]`` is 2. It evaluates the number as Python,
    which raises for "07" and for digits of other scripts, so that the whole run stops there; here
    such a reply has no rating.
    """
    match = next((found for pattern in _RATINGS if (found := pattern.search(reply))), None)
    if match is None:
        return Reading(None, "the judge's reply has no number in brackets")
    try:
        rating = ast.literal_eval(match[1])
    except (SyntaxError, ValueError) as error:
        shown, kind = match[1][:20], type(error).__name__
        return Reading(None, f"the judge's number is {shown!r}: the official script raises {kind}")
    if rating > MAX_SCORE:
        return Reading(None, "the judge's number is too large")
    return Reading(rating)


def counted_rating(judgment: Judgment) -> Reading:
    """What a judgment counts: officially the score on file; where there is none, the reply's.

    The reply is parsed anew, so that a mended parser needs no judge.
    """
    reading = read_rating(judgment.raw)
    if "score_on_file" not in judgment.meta:
        return reading
    score = judgment.meta["score_on_file"]
    if score in (None, -1):
        return Reading(None, reading.problem or "the score on file says that there is no rating")
    return Reading(score)


def disagrees(judgment: Judgment) -> bool:
    """Whether the score on file is not what the reply beside it says."""
    said = read_rating(judgment.raw).rating
    return bool(judgment.raw) and counted_rating(judgment).rating != said


class Tally(NamedTuple):
    """A question's ratings, added up.

    Attributes:
        columns: number ("_n") and sum ("_sum") of ratings for each turn, and each run of several;
            the number of replies without one.
        ratings: those of each turn, None for a reply without one.
        problems: what keeps the question from being scored.
    """

    columns: dict[str, float]
    ratings: dict[str, list[float | None]]
    problems: dict[ScoreStatus, str]

    @classmethod
    def of(cls, judgments: Sequence[Judgment], n_runs: int) -> Tally:
        """Of the judgments of one question, of which there should be ``n_runs`` for each turn."""
        columns: defaultdict[str, float] = defaultdict(float)
        n_judged: Counter[int] = Counter()
        ratings: dict[str, list[float | None]] = {name: [] for name in TURNS}
        problems: dict[ScoreStatus, str] = {}
        for judgment in judgments:
            turn, run = place_of(judgment)
            n_judged[turn] += 1
            if judgment.status is JudgmentStatus.JUDGE_ERROR:
                problems[ScoreStatus.JUDGE_ERROR] = judgment.error or "the judge failed"
                continue
            rating, problem = counted_rating(judgment)
            ratings[f"turn_{turn}"].append(rating)
            if rating is None:
                columns["unparsed"] += 1
                problems[ScoreStatus.UNPARSED] = problem
                continue
            for name in (f"turn_{turn}", f"run_{run}") if n_runs > 1 else (f"turn_{turn}",):
                columns[f"{name}_n"] += 1
                columns[f"{name}_sum"] += rating
        for turn in range(1, N_TURNS + 1):
            if n_judged[turn] < n_runs:
                told = f"turn {turn} has {n_judged[turn]} judgments of {n_runs}"
                problems.setdefault(ScoreStatus.JUDGE_ERROR, told)
        return cls(dict(columns), ratings, problems)


def mean(groups: Sequence[str], categories: Sequence[str]) -> Formula:
    """The mean of all ratings of some turns, or some runs, over categories."""

    def added(part: str, sums: Sums) -> np.ndarray:
        columns = [total(f"{name}_{part}", categories)(sums) for name in groups]
        return np.asarray(np.sum(columns, axis=0))

    return lambda sums: added("sum", sums) / added("n", sums)


def over(formulas: Sequence[Formula], statistic: Callable[..., Any]) -> Formula:
    """A statistic of several numbers, such as their median."""
    return lambda sums: np.asarray(statistic([formula(sums) for formula in formulas], axis=0))
