"""Values, clustered intervals and paired differences.

Run: pytest tests/harness/test_stats.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from benchmarks.base import Metric, MetricSpec, PlumblineError, ScoreRow, ScoreStatus, Sums
from harness import resampling
from harness.paired import Paired, compare_rows
from harness.resampling import bootstrap_sums
from harness.stats import evaluate


def _accuracy(sums: Sums) -> Any:
    return sums["a/right"] / sums["a/n"]


def _f1(sums: Sums) -> Any:
    return 2 * sums["a/tp"] / (2 * sums["a/tp"] + sums["a/fp"] + sums["a/fn"])


ACCURACY = MetricSpec("accuracy", _accuracy, "higher", split="a", undefined="nobody was asked")
F1 = MetricSpec("f1", _f1, "higher", split="a")
BOTH_SPLITS = MetricSpec(
    "mean",
    lambda sums: (sums["a/right"] / sums["a/n"] + sums["b/right"] / sums["b/n"]) / 2,
    "higher",
    splits=("a", "b"),
)
OVERALL = MetricSpec("right", lambda sums: sums["a/right"] + sums["b/right"], "higher")


def _row(number: int, group: str, right: float, split: str = "a") -> ScoreRow:
    values = {"right": right, "n": 1}
    return ScoreRow(f"{split}/{number}", group, split, ScoreStatus.SCORED, values)


def _failed(number: int, group: str, split: str = "a") -> ScoreRow:
    return ScoreRow(f"{split}/{number}", group, split, ScoreStatus.GENERATION_ERROR)


def _rows(table: Sequence[tuple[str, int]], split: str = "a") -> list[ScoreRow]:
    """Rows from (group, right or wrong)."""
    return [_row(number, group, right, split) for number, (group, right) in enumerate(table)]


def test_value_is_the_formula_on_the_plain_sums() -> None:
    (metric,) = evaluate([ACCURACY], _rows([("x", 1), ("x", 0), ("y", 1)]), n_resamples=100)
    assert metric.value == 2 / 3
    assert (metric.n_scored, metric.n_asked, metric.complete) == (3, 3, True)


def test_interval_of_two_groups_is_their_two_extremes() -> None:
    """Two pictures: a quarter of the resamples holds x twice, a quarter y twice."""
    (metric,) = evaluate([ACCURACY], _rows([("x", 1), ("x", 1), ("y", 0)]))
    assert (metric.low, metric.high) == (0.0, 1.0)


def test_float_columns_are_summed_with_correct_rounding() -> None:
    """0.1 ten times is 1.0, which a running sum misses by one unit in the last place."""
    total = MetricSpec("sum", lambda sums: sums["a/right"], "higher", split="a")
    rows = [_row(number, str(number % 2), 0.1) for number in range(10)]
    (metric,) = evaluate([total], rows, n_resamples=10)
    assert metric.value == 1.0


def test_no_rows_at_all() -> None:
    (metric,) = evaluate([ACCURACY], [])
    assert (metric.value, metric.low, metric.high, metric.n_asked) == (None, None, None, 0)
    assert metric.note == "no item was scored"


def test_only_failed_rows_have_no_value_though_a_sum_of_nothing_is_zero() -> None:
    (metric,) = evaluate([OVERALL], [_failed(1, "x")])
    assert (metric.value, metric.note) == (None, "no item was scored")
    assert (metric.n_scored, metric.n_asked) == (0, 1)


def test_a_failed_row_changes_the_coverage_and_nothing_else() -> None:
    rows = _rows([("x", 1), ("y", 0), ("z", 1)])
    (without,) = evaluate([ACCURACY], rows)
    (with_failure,) = evaluate([ACCURACY], [*rows, _failed(9, "w")])
    assert with_failure == replace(without, n_asked=4)
    assert not with_failure.complete


def test_an_undefined_value_carries_the_specs_note() -> None:
    rows = [ScoreRow("a/1", "x", "a", ScoreStatus.SCORED, {"right": 0})]
    (metric,) = evaluate([ACCURACY], rows, n_resamples=10)
    assert (metric.value, metric.low, metric.note) == (None, None, "nobody was asked")


def test_a_single_group_has_a_value_but_no_interval() -> None:
    (metric,) = evaluate([ACCURACY], _rows([("x", 1), ("x", 0)]))
    assert (metric.value, metric.low, metric.high) == (0.5, None, None)
    assert metric.note == "no interval: a single group"


def test_an_interval_without_width_says_so() -> None:
    (metric,) = evaluate([ACCURACY], _rows([("x", 1), ("y", 1)]))
    assert (metric.low, metric.high) == (1.0, 1.0)
    assert metric.note == "the interval has no width because the resamples agree"


def test_many_undefined_resamples_void_the_interval_and_few_are_left_out() -> None:
    """A column that one group of three has is absent from (2/3)^3 = 30 % of the resamples; one that
    three groups of four have, from (1/4)^4 = 0.4 %."""
    share = MetricSpec("share", lambda sums: sums["a/hit"] / sums["a/seen"], "higher", split="a")

    def rows(seen: str, unseen: str) -> list[ScoreRow]:
        hits = [
            ScoreRow(f"a/{g}", g, "a", ScoreStatus.SCORED, {"hit": i % 2, "seen": 1})
            for i, g in enumerate(seen)
        ]
        rest = [ScoreRow(f"a/{g}", g, "a", ScoreStatus.SCORED, {"seen": 0}) for g in unseen]
        return hits + rest

    (many,) = evaluate([share], rows("x", "yz"))
    assert (many.value, many.low, many.high) == (0.0, None, None)
    assert many.note in [f"no interval: undefined in {n}% of the resamples" for n in (29, 30)]
    (few,) = evaluate([share], rows("wxy", "z"))
    assert few.low is not None
    assert str(few.note).endswith("of 10000 resamples, which are left out")


def test_official_treatment_sums_the_official_numbers_of_unscored_rows_too() -> None:
    """A scorer that rates an unparsable reply 0: its mean is 1/2; that of parsed replies is 1."""
    official = replace(ACCURACY, name="official", treatment="official")
    one, zero = {"right": 1, "n": 1}, {"right": 0, "n": 1}
    parsed = ScoreRow("a/1", "x", "a", ScoreStatus.SCORED, one, one)
    unparsed = ScoreRow("a/2", "y", "a", ScoreStatus.UNPARSED, official=zero)
    metrics = evaluate([ACCURACY, official], [parsed, unparsed])
    assert [metric.value for metric in metrics] == [1.0, 0.5]
    assert [(metric.n_scored, metric.n_asked) for metric in metrics] == [(1, 2), (1, 2)]
    assert (metrics[1].low, metrics[1].high) == (0.0, 1.0)
    (only_unparsed,) = evaluate([official], [unparsed])
    assert (only_unparsed.value, only_unparsed.n_scored) == (0.0, 0)
    found = compare_rows([ACCURACY, official], [parsed, unparsed], [parsed, unparsed])
    assert [difference.n_paired for difference in found] == [1, 2]


def test_coverage_is_that_of_the_metrics_own_splits() -> None:
    rows = [*_rows([("x", 1), ("y", 0)]), *_rows([("x", 1)], "b"), _failed(5, "y", "b")]
    coverage = {m.name: (m.n_scored, m.n_asked) for m in evaluate([ACCURACY, BOTH_SPLITS], rows)}
    assert coverage == {"accuracy": (2, 2), "mean": (3, 4)}


def test_no_split_named_means_all_splits() -> None:
    (metric,) = evaluate([OVERALL], [*_rows([("x", 1)]), *_rows([("y", 1)], "b")])
    assert (metric.value, metric.n_scored) == (2.0, 2)


def test_rows_of_one_picture_are_no_more_evidence_than_one_row() -> None:
    """Every row twice, in its own group: the interval stays. As groups of their own: it shrinks."""
    once = _rows([(str(number), number % 3 == 0) for number in range(60)])
    again = [replace(row, item_id=row.item_id + "+") for row in once]
    apart = [replace(row, group=row.group + "+") for row in again]
    (single,) = evaluate([ACCURACY], once)
    (clustered,) = evaluate([ACCURACY], once + again)
    (unclustered,) = evaluate([ACCURACY], once + apart)
    assert (clustered.low, clustered.high) == (single.low, single.high)
    assert _width(unclustered) == pytest.approx(_width(single) / np.sqrt(2), rel=0.1)


def test_a_picture_moves_together_in_all_splits() -> None:
    """Split b mirrors split a, so right in a plus wrong in b is the same in every resample."""
    outcomes = [(str(number), number % 2) for number in range(20)]
    rows = _rows(outcomes) + _rows([(group, 1 - right) for group, right in outcomes], "b")
    (metric,) = evaluate([BOTH_SPLITS], rows)
    assert (metric.value, metric.low, metric.high) == (0.5, 0.5, 0.5)


def test_the_seed_decides_and_the_confidence_widens() -> None:
    rows = _rows([(str(number), number % 3 == 0) for number in range(50)])
    assert evaluate([ACCURACY], rows) == evaluate([ACCURACY], rows)
    (narrow,) = evaluate([ACCURACY], rows, confidence=0.5)
    (wide,) = evaluate([ACCURACY], rows, confidence=0.99)
    assert _width(narrow) < _width(wide)


@pytest.mark.parametrize("setting", [{"n_resamples": 0}, {"confidence": 95.0}])
def test_a_senseless_setting_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give"):
        evaluate([ACCURACY], _rows([("x", 1), ("y", 0)]), **setting)  # type: ignore[arg-type]


def test_resamples_hold_as_many_groups_as_the_data() -> None:
    sums = bootstrap_sums(np.ones((7, 1)), n_resamples=50, seed=3)
    assert (sums == 7).all()


def test_resamples_do_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.arange(39.0).reshape(13, 3)
    at_once = bootstrap_sums(columns, n_resamples=1000, seed=5)
    monkeypatch.setattr(resampling, "_WEIGHTS_PER_CHUNK", 40)
    np.testing.assert_array_equal(bootstrap_sums(columns, n_resamples=1000, seed=5), at_once)


def test_interval_agrees_with_scipy_on_an_unclustered_mean() -> None:
    sample = np.random.default_rng(8).gamma(2.0, size=150)
    rows = [_row(number, str(number), float(value)) for number, value in enumerate(sample)]
    (metric,) = evaluate([ACCURACY], rows, n_resamples=40_000)
    theirs = scipy_stats.bootstrap(
        (sample,), np.mean, method="percentile", n_resamples=40_000, rng=np.random.default_rng(1)
    ).confidence_interval
    tolerance = 0.02 * (theirs.high - theirs.low)
    assert (metric.low, metric.high) == pytest.approx((theirs.low, theirs.high), abs=tolerance)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Pictures of five questions; half of the pictures are hard (accuracy 0.6), half easy (0.9).

    Half of the labels are "yes", so accuracy is 0.75, and F1 = 2 x 0.375 / (0.75 + 0.125 + 0.125)
    is 0.75. 1,000 simulations have a standard error of 0.7 points at 95 %. Intervals that take the
    rows as independent cover 90 % here.
    """
    rng = np.random.default_rng(20)
    n_covered = np.zeros(2)
    for simulation in range(1000):
        rows = _simulated_rows(rng, n_pictures=100, n_questions=5)
        metrics = evaluate([ACCURACY, F1], rows, n_resamples=500, seed=simulation)
        n_covered += [m.low is not None and m.low <= 0.75 <= (m.high or 0) for m in metrics]
    assert all(930 <= n <= 970 for n in n_covered), n_covered


def _simulated_rows(
    rng: np.random.Generator, *, n_pictures: int, n_questions: int
) -> list[ScoreRow]:
    shape = (n_pictures, n_questions)
    right = rng.random(shape) < rng.choice([0.6, 0.9], size=(n_pictures, 1))
    positive = rng.random(shape) < 0.5
    columns = {
        "right": right,
        "n": np.ones(shape, bool),
        "tp": right & positive,
        "fp": ~right & ~positive,
        "fn": ~right & positive,
    }
    return [
        ScoreRow(
            f"a/{picture}/{question}",
            str(picture),
            "a",
            ScoreStatus.SCORED,
            {name: float(column[picture, question]) for name, column in columns.items()},
        )
        for picture, question in np.ndindex(shape)
    ]


def _width(result: Metric | Paired) -> float:
    assert result.low is not None
    assert result.high is not None
    return result.high - result.low


# Properties

outcome_tables = st.lists(
    st.tuples(st.sampled_from("stuvwxyz"), st.integers(0, 1)), min_size=1, max_size=30
)


@settings(deadline=None, max_examples=50)
@given(outcome_tables, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(table: list[tuple[str, int]], random) -> None:  # type: ignore[no-untyped-def]
    rows = [*_rows(table), _failed(99, "s")]
    shuffled = random.sample(rows, len(rows))
    assert evaluate([ACCURACY], rows, n_resamples=200) == evaluate(
        [ACCURACY], shuffled, n_resamples=200
    )


@settings(deadline=None, max_examples=50)
@given(outcome_tables)
def test_an_interval_lies_between_the_worst_and_the_best_picture(
    table: list[tuple[str, int]],
) -> None:
    (metric,) = evaluate([ACCURACY], _rows(table), n_resamples=200)
    by_group = {group: [right for name, right in table if name == group] for group, _ in table}
    shares = [sum(rights) / len(rights) for rights in by_group.values()]
    assert metric.value == sum(right for _, right in table) / len(table)
    if metric.low is not None and metric.high is not None:
        assert min(shares) - 1e-12 <= metric.low <= metric.high <= max(shares) + 1e-12


@settings(deadline=None, max_examples=50)
@given(outcome_tables, outcome_tables)
def test_a_difference_changes_its_sign_with_the_order_of_the_runs(
    table_a: list[tuple[str, int]], table_b: list[tuple[str, int]]
) -> None:
    """The second run answers the first run's questions, as many as there are in both."""
    both = list(zip(table_a, table_b, strict=False))
    rows_a = _rows([(group, right) for (group, right), _ in both])
    rows_b = _rows([(group, right) for (group, _), (_, right) in both])
    (forth,) = compare_rows([ACCURACY], rows_a, rows_b, n_resamples=200)
    (back,) = compare_rows([ACCURACY], rows_b, rows_a, n_resamples=200)
    assert forth.difference is not None
    assert back.difference is not None
    assert forth.difference == -back.difference
    if forth.low is not None and forth.high is not None:
        assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low), abs=1e-12)


# Paired differences


def test_a_difference_is_b_minus_a_over_common_items() -> None:
    rows_a = [*_rows([("x", 1), ("y", 0), ("z", 0)]), _row(7, "z", 1)]
    rows_b = [*_rows([("x", 1), ("y", 1), ("z", 0)]), _failed(7, "z")]
    (found,) = compare_rows([ACCURACY], rows_a, rows_b)
    assert (found.value_a, found.value_b) == (1 / 3, 2 / 3)
    assert found.difference == 2 / 3 - 1 / 3
    assert (found.n_paired, found.n_asked) == (3, 4)
    assert (found.low, found.high) == (0.0, 1.0)


def test_a_run_does_not_differ_from_itself() -> None:
    rows = _rows([(str(number), number % 2) for number in range(30)])
    (found,) = compare_rows([ACCURACY], rows, rows)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)


def test_pairing_removes_what_both_runs_share() -> None:
    """B is right on one picture more. Unpaired, the pictures' spread would hide it."""
    outcomes = [(str(number), number % 2) for number in range(40)]
    improved = [(group, 1 if group in {"0", "2", "4"} else right) for group, right in outcomes]
    (found,) = compare_rows([ACCURACY], _rows(outcomes), _rows(improved))
    (alone,) = evaluate([ACCURACY], _rows(improved))
    assert _width(found) < _width(alone) / 1.5


def test_without_common_items_there_is_no_difference() -> None:
    (found,) = compare_rows([ACCURACY], _rows([("x", 1)]), [_failed(0, "x")])
    assert (found.value_a, found.difference, found.low) == (None, None, None)
    assert (found.n_paired, found.n_asked) == (0, 1)
    assert found.note == "no item was scored in both runs"


def test_items_must_mean_the_same_in_both_runs() -> None:
    with pytest.raises(PlumblineError, match="a/0: its group is 'x' in one run"):
        compare_rows([ACCURACY], _rows([("x", 1)]), _rows([("y", 1)]))
    with pytest.raises(PlumblineError, match="a/0: two rows"):
        compare_rows([ACCURACY], _rows([("x", 1)]) * 2, _rows([("x", 1)]))
    with pytest.raises(PlumblineError, match="a/0: two rows"):
        evaluate([ACCURACY], _rows([("x", 1)]) * 2)
