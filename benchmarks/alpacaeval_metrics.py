"""AlpacaEval's metrics: the numbers of one preference, and what is made of their sums.

Official code: ``metrics/helpers.py`` and ``metrics/winrate.py`` (see ``benchmarks.alpacaeval``).

A preference lies between 1 (the baseline's output is better) and 2 (the model's is); 1.5 is a draw,
and so is 0 in old files. What is no number from 1 to 2 does not count. The discrete win rate rounds
first, and half to even: 1.4 is a loss, 1.5 exactly a draw, and a number from outside may become one
from inside, 0.5 a draw and 2.5 a win.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.alpacaeval_gamed import Gamed
from benchmarks.alpacaeval_length_control import MINIMAL, NOREG, V1, LengthControl, Rival
from benchmarks.base import Estimate, MetricSpec, Sums

DRAW = 1.5
N_RESAMPLES = 400
"""Of a regression: 2 to 3 ms each."""

UNDEFINED_REGRESSION = (
    "undefined: too few preferences, all alike, or no variety in the difference in length"
)


def preference_columns(preference: float | None) -> dict[str, float]:
    """What one preference adds to the sums; a count of what is missing where there is none."""
    if preference is None or not math.isfinite(preference):
        return {"null": 1}
    rounded = 0 if preference == DRAW else round(preference)
    discrete = {0: 0.5, 1: 0.0, 2: 1.0}.get(rounded)
    found = {} if discrete is None else {"n_discrete": 1, "discrete": discrete}
    preference = preference or DRAW
    if not 1 <= preference <= 2:
        return found
    win = preference - 1
    return {
        **found,
        "n": 1,
        "preference": preference,
        "win": win,
        "win_squared": win * win,
        "wins": int(win > 0.5),
        "losses": int(win < 0.5),
        "draws": int(win == 0.5),
    }


def total(column: str) -> Callable[[Sums], np.ndarray]:
    """A column's sum."""
    return lambda sums: sums[f"/{column}"]


def win_rate(sums: Sums) -> np.ndarray:
    """In percent."""
    return 100 * sums["/win"] / sums["/n"]


def standard_error(sums: Sums) -> np.ndarray:
    """Of the win rate, in points, from the sample variance; undefined for a single preference."""
    n = sums["/n"]
    squares = sums["/win_squared"] - sums["/win"] ** 2 / n
    return 100 * np.sqrt(np.maximum(squares, 0) / (n - 1) / n)


def discrete_win_rate(sums: Sums) -> np.ndarray:
    """In percent."""
    return 100 * sums["/discrete"] / sums["/n_discrete"]


def average_length(sums: Sums) -> np.ndarray:
    """Characters of the model's outputs, cut to a whole number."""
    return np.trunc(sums["/length"] / sums["/annotated"])


def metric_specs(
    version: int, gamed: Gamed | None, no_gamed: str, rival: Rival | None
) -> Sequence[MetricSpec]:
    """As on the leaderboard, then the other official regressions and Plumbline's own.

    Args:
        version: 2 has the length-controlled win rate as its headline.
        gamed: ``df_gamed.csv``, if it is there.
        no_gamed: what to say where it is needed and absent.
        rival: whom the length-controlled win rate is predicted against besides the baseline.
    """
    rate = MetricSpec(
        "win_rate",
        win_rate,
        "higher",
        display="points",
        treatment="official",
        headline=True,
        undefined="no preference",
    )
    points = replace(rate, direction="neither", headline=False)
    number = replace(points, display="number")
    main, noreg, minimal = (LengthControl(glm, gamed) for glm in (V1, NOREG, MINIMAL))
    controlled = replace(
        rate,
        name="length_controlled_winrate",
        formula=Estimate(main.win_rate, N_RESAMPLES),
        headline=version == 2,
        undefined=UNDEFINED_REGRESSION if gamed else no_gamed,
    )
    variant = replace(controlled, headline=False)
    specs = [
        controlled,
        rate,
        replace(
            points,
            name="standard_error",
            formula=standard_error,
            undefined="a single preference has no standard error",
        ),
        replace(
            points,
            name="lc_standard_error",
            formula=Estimate(main.standard_error, N_RESAMPLES),
            undefined=controlled.undefined,
        ),
        replace(number, name="n_wins", formula=total("wins")),
        replace(number, name="n_wins_base", formula=total("losses")),
        replace(number, name="n_draws", formula=total("draws")),
        replace(number, name="n_total", formula=total("n")),
        replace(rate, name="discrete_win_rate", formula=discrete_win_rate, headline=False),
        replace(number, name="avg_length", formula=average_length),
        replace(variant, name=NOREG.name, formula=Estimate(noreg.win_rate, N_RESAMPLES)),
        replace(
            variant,
            name=MINIMAL.name,
            formula=Estimate(minimal.win_rate, N_RESAMPLES),
            undefined=UNDEFINED_REGRESSION,
        ),
        replace(
            number,
            name="null_preferences",
            formula=total("null"),
            direction="lower",
            official=False,
        ),
    ]
    if rival:
        name = f"length_controlled_winrate_against_{rival.model}"
        estimate = Estimate(main.win_rate_against(rival), N_RESAMPLES)
        specs.append(replace(variant, name=name, formula=estimate, official=False))
    return specs
