"""Win rates and what stands beside them.

Run: pytest tests/benchmarks/test_alpacaeval_metrics.py
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.alpacaeval_metrics import metric_specs, preference_columns
from benchmarks.base import Estimate, ScoreRow, ScoreStatus
from harness.stats import evaluate

COUNTS = ("n_wins", "n_wins_base", "n_draws", "n_total")


def _values(preferences: Sequence[float | None]) -> dict[str, float | None]:
    """Sums' metrics of preferences for outputs of 10, 11, … characters; the baseline's have 20."""
    rows = [
        ScoreRow(
            str(number),
            str(number),
            "",
            ScoreStatus.SCORED if preference is not None else ScoreStatus.UNPARSED,
            official={
                "annotated": 1,
                "length": 10 + number,
                "baseline_length": 20,
                "same": 0,
                **preference_columns(preference),
            },
        )
        for number, preference in enumerate(preferences)
    ]
    specs = [
        spec
        for spec in metric_specs(2, None, "no file", None)
        if not isinstance(spec.formula, Estimate)
    ]
    return {metric.name: metric.value for metric in evaluate(specs, rows, n_resamples=1)}


def _counts(values: dict[str, float | None]) -> list[float | None]:
    return [values[name] for name in COUNTS]


def test_a_win_rate_by_hand() -> None:
    """Of 1, 1.25, 1.5 and 2: (0 + 0.25 + 0.5 + 1) / 4, and discretely (0 + 0 + 0.5 + 1) / 4."""
    values = _values([1, 1.25, 1.5, 2])
    assert values["win_rate"] == pytest.approx(43.75)
    assert values["discrete_win_rate"] == pytest.approx(37.5)
    deviation = np.std([0, 0.25, 0.5, 1], ddof=1)
    assert values["standard_error"] == pytest.approx(100 * deviation / 2)
    assert _counts(values) == [1, 2, 1, 4]
    assert values["avg_length"] == 11, "11.5, cut"


def test_zero_is_an_old_draw() -> None:
    assert _values([0, 2]) == _values([1.5, 2])


def test_a_missing_preference_drops_out_and_is_counted() -> None:
    values = _values([1, None, 2, math.nan, math.inf])
    assert values["win_rate"] == 50
    assert _counts(values) == [1, 1, 0, 2]
    assert values["null_preferences"] == 3
    assert values["avg_length"] == 12


def test_numbers_from_outside_count_in_the_discrete_rate_once_rounded() -> None:
    """2.5 is rounded to 2, a win; 0.4 to 0, a draw; 3 stays outside."""
    values = _values([1, 2.5, 0.4, 3])
    assert values["win_rate"] == 0
    assert values["n_total"] == 1
    assert values["discrete_win_rate"] == pytest.approx(50)


def test_a_single_preference_has_no_standard_error() -> None:
    values = _values([2])
    assert (values["win_rate"], values["standard_error"]) == (100, None)


def test_without_any_preference_rates_are_undefined_and_counts_are_zero() -> None:
    values = _values([None, None])
    assert (values["win_rate"], values["standard_error"]) == (None, None)
    assert _counts(values) == [0, 0, 0, 0]


@given(st.lists(st.sampled_from([1.0, 2.0, 1.5]), min_size=2))
def test_of_whole_preferences_both_rates_agree(preferences: list[float]) -> None:
    """A run of the official ZeroOneScoringRule checks the same equation."""
    values = _values(preferences)
    wins, losses, draws, n = (float(value or 0) for value in _counts(values))
    assert values["win_rate"] == pytest.approx(values["discrete_win_rate"])
    assert values["win_rate"] == pytest.approx((wins + draws / 2) / n * 100)
    assert wins + losses + draws == n == len(preferences)


@given(st.lists(st.floats(1, 2), min_size=2, max_size=50))
def test_the_standard_error_is_that_of_the_sample(preferences: list[float]) -> None:
    expected = 100 * np.std(preferences, ddof=1) / np.sqrt(len(preferences))
    assert _values(preferences)["standard_error"] == pytest.approx(expected, abs=1e-5)


def test_what_is_headline_and_what_is_official() -> None:
    for version, headlines in ((1, ["win_rate"]), (2, ["length_controlled_winrate", "win_rate"])):
        specs = metric_specs(version, None, "no file", None)
        assert [spec.name for spec in specs if spec.headline] == headlines
        assert [spec.name for spec in specs if not spec.official] == ["null_preferences"]
