"""The length-controlled win rate, beside scikit-learn's own cross-validation and by construction.

Run: pytest tests/benchmarks/test_alpacaeval_length_control.py
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import make_scorer
from sklearn.model_selection import GroupKFold

from benchmarks.alpacaeval_gamed import Gamed, read_gamed
from benchmarks.alpacaeval_length_control import (
    DESIGN,
    MINIMAL,
    NOREG,
    V1,
    Comparisons,
    Glm,
    LengthControl,
    Rival,
    fit,
    win_rate_between,
)
from benchmarks.alpacaeval_metrics import metric_specs, preference_columns
from benchmarks.base import BadRecordError, Estimate, MetricSpec, ScoreRow, ScoreStatus
from harness.paired import compare_rows
from harness.stats import evaluate
from tests.benchmarks.alpacaeval_folder import gamed_csv

GLMS = (V1, NOREG, MINIMAL)


def _gamed(tmp_path: Path, n: int, seed: int = 1) -> Gamed:
    path = tmp_path / "df_gamed.csv"
    path.write_text(gamed_csv(n, seed))
    return read_gamed(path)


def _comparisons(n: int, seed: int, *, skill: float = 0.3, length: float = 1.0) -> Comparisons:
    """A model that is a little better, before a judge who likes longer outputs."""
    rng = np.random.default_rng(seed)
    delta = rng.integers(-800, 800, n).astype(float)
    odds = skill - length * np.tanh(delta / delta.std()) + rng.normal(0, 0.5, n)
    preference = 1 + 1 / (1 + np.exp(-odds))
    return Comparisons(preference, delta, np.zeros(n, bool))


def _rows(compared: Comparisons) -> list[ScoreRow]:
    rows = []
    for number, (preference, delta, same) in enumerate(zip(*compared, strict=True)):
        known = None if np.isnan(preference) else float(preference)
        official = {
            "annotated": 1,
            "place": number,
            "length": 1000,
            "baseline_length": 1000 + delta,
            "same": int(same),
            **preference_columns(known),
        }
        status = ScoreStatus.UNPARSED if known is None else ScoreStatus.SCORED
        rows.append(ScoreRow(f"{number}", f"{number}", "", status, official=official))
    return rows


def _by_scikit_learn(glm: Glm, rows: Comparisons, gamed: Gamed) -> tuple[float, np.ndarray]:
    """C and weights as LogisticRegressionCV finds them, called as the official code calls it."""
    delta, n = rows.delta_length, len(rows.preference)
    difficulty = gamed.difficulties(n)
    x = np.column_stack([np.tanh(delta / delta.std(ddof=1)), difficulty, np.ones(n)])
    y, weight = rows.preference - 1, np.ones(n)
    if glm.gamed_weight:
        others = [np.tanh(gamed.std_delta_len), gamed.instruction_difficulty]
        x = np.concatenate([np.column_stack([*others, gamed.not_gamed_baseline]), x])
        y = np.concatenate([gamed.preference, y])
        weight = np.concatenate([np.full(len(gamed.index), 0.1), weight])
    known = np.isfinite(y)
    x, y, weight = x[known][:, glm.columns], y[known], np.tile(weight[known], 2)
    probability = np.concatenate([y, 1 - y])

    def loss(
        y_true: np.ndarray, y_pred: np.ndarray, probability: np.ndarray, own_weight: np.ndarray
    ) -> float:
        truth = np.where(y_true == 1, probability, 1 - probability)
        clipped = np.clip(y_pred, 1e-15, 1 - 1e-15)
        each = truth * np.log(clipped) + (1 - truth) * np.log(1 - clipped)
        return float(-np.mean(each * own_weight))

    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scorer = make_scorer(loss, response_method="predict_proba", greater_is_better=False)
        model = LogisticRegressionCV(
            cv=GroupKFold(n_splits=5),
            scoring=scorer.set_score_request(probability=True, own_weight=True),
            l1_ratios=(1.0,),
            solver="liblinear",
            fit_intercept=False,
            random_state=123,
        )
        model.set_fit_request(sample_weight=True)
        model.fit(
            np.concatenate([x, x]),
            np.repeat([1, 0], len(y)),
            sample_weight=probability * weight,
            groups=np.tile(np.arange(len(y)), 2),
            probability=probability,
            own_weight=weight,
        )
    return float(np.ravel(model.C_)[0]), np.ravel(model.coef_)


@pytest.mark.parametrize("glm", GLMS, ids=lambda glm: glm.name)
@pytest.mark.parametrize("seed", range(6))
def test_it_is_scikit_learns_cross_validation(glm: Glm, seed: int, tmp_path: Path) -> None:
    compared = _comparisons(60, seed, skill=(seed - 2) / 2)
    compared.preference[[3, 17]] = np.nan
    gamed = _gamed(tmp_path, 80, seed)
    found = fit(glm, compared, gamed)
    assert found is not None
    c, weights = _by_scikit_learn(glm, compared, gamed)
    assert found.c == c
    assert list(found.weights) == [DESIGN[column] for column in glm.columns]
    np.testing.assert_allclose(list(found.weights.values()), weights, rtol=1e-9, atol=1e-12)


def test_it_predicts_without_the_difference_in_length(tmp_path: Path) -> None:
    """By hand from the weights; rows without a preference are predicted, too."""
    compared, gamed = _comparisons(40, 2), _gamed(tmp_path, 40)
    compared.preference[5] = np.nan
    found = fit(V1, compared, gamed)
    assert found is not None
    _, difficulty, model = found.weights.values()
    predicted = 1 / (1 + np.exp(-(model + difficulty * gamed.difficulties(40))))
    assert found.win_rate == pytest.approx(100 * predicted.mean())
    error = 100 * predicted.std(ddof=1) / np.sqrt(40)
    assert found.standard_error == pytest.approx(error)


def test_it_takes_out_what_length_alone_does(tmp_path: Path) -> None:
    """Equal skill, but the model's outputs are longer in most cases."""
    compared = _comparisons(400, 3)
    delta = compared.delta_length - 500
    odds = -2 * np.tanh(delta / delta.std())
    compared = compared._replace(delta_length=delta, preference=1 + 1 / (1 + np.exp(-odds)))
    raw = 100 * (compared.preference - 1).mean()
    found = fit(V1, compared, _gamed(tmp_path, 400))
    assert found is not None
    assert raw > 70
    assert found.win_rate == pytest.approx(50, abs=3)


def test_difficulties_go_by_the_place_among_the_annotations(tmp_path: Path) -> None:
    """Officially, a missing annotation shifts the difficulties of all later ones."""
    compared, gamed = _comparisons(50, 4), _gamed(tmp_path, 50)
    shorter = Comparisons(*(column[1:] for column in compared))
    found, again = fit(NOREG, shorter, gamed), fit(NOREG, shorter, gamed)
    assert found == again
    moved = replace(gamed, instruction_difficulty=np.roll(gamed.instruction_difficulty, -1))
    other = fit(NOREG, shorter, moved)
    assert found is not None
    assert other is not None
    assert found.win_rate != other.win_rate
    with pytest.raises(BadRecordError, match=r"df_gamed\.csv: record 50 .*first 51 records"):
        fit(NOREG, _comparisons(51, 4), gamed)


def test_difficulties_stand_at_the_lines_of_the_first_rows(tmp_path: Path) -> None:
    """The index column tells which rows are repeats; the line is what is looked up."""
    gamed = _gamed(tmp_path, 4)
    shuffled = replace(gamed, index=np.array([2.0, 0, 3, 1, 2, 0, 3, 1]))
    np.testing.assert_array_equal(shuffled.difficulties(4), gamed.difficulties(4))
    repeated = replace(gamed, index=np.array([0.0, 0, 1, 2, 3, 1, 2, 3]))
    with pytest.raises(BadRecordError, match=r"record 1 .*not its instruction's first"):
        repeated.difficulties(3)


def test_the_baseline_against_itself_is_a_draw_without_a_fit() -> None:
    n = 3
    itself = Comparisons(np.full(n, 1.5), np.zeros(n), np.ones(n, bool))
    for glm in GLMS:
        found = fit(glm, itself, None)
        assert found is not None
        assert (found.win_rate, found.standard_error) == (50, 0)
        assert set(found.weights.values()) == {0}


@pytest.mark.parametrize(
    ("preference", "delta"),
    [
        ([1.2], [5.0]),
        ([1.2, 1.3, 1.4, 1.5, 1.6, 1.7], [0.0] * 6),
        ([1.2, 1.3, 1.4, 1.5], [1.0, 2.0, 3.0, 4.0]),
        ([np.nan] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ([1.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ([2.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ([1.0] * 5 + [2.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    ],
    ids=[
        "a single row",
        "no variety in length",
        "fewer rows than folds",
        "no preference",
        "losses only",
        "wins only",
        "a fold without a win",
    ],
)
def test_where_nothing_can_be_fitted_it_is_undefined(
    preference: list[float], delta: list[float]
) -> None:
    n = len(delta)
    compared = Comparisons(np.array(preference), np.array(delta), np.zeros(n, bool))
    assert fit(MINIMAL, compared, None) is None


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_counting_a_row_twice_is_having_it_twice(seed: int) -> None:
    """Up to liblinear's tolerance, since its steps depend on the order of the rows."""
    compared = _comparisons(30, seed)
    counts = np.random.default_rng(seed).integers(0, 3, 30).astype(float)
    repeated = Comparisons(*(np.repeat(column, counts.astype(int)) for column in compared))
    counted = fit(MINIMAL, compared, None, counts=counts, c=2.78)
    written_out = fit(MINIMAL, repeated, None, c=2.78)
    assert counted is not None
    assert written_out is not None
    assert counted.win_rate == pytest.approx(written_out.win_rate, abs=0.05)
    assert counted.standard_error == pytest.approx(0, abs=1e-9)


# As a metric


def _spec(name: str, gamed: Gamed | None, n_resamples: int = 60) -> MetricSpec:
    [spec] = [
        s for s in metric_specs(2, gamed, "df_gamed.csv is not there", None) if s.name == name
    ]
    assert isinstance(spec.formula, Estimate)
    return replace(spec, formula=replace(spec.formula, n_resamples=n_resamples))


def test_the_metric_is_the_fit_with_an_interval_around_it(tmp_path: Path) -> None:
    compared, gamed = _comparisons(80, 5), _gamed(tmp_path, 80)
    compared.preference[7] = np.nan
    names = ("length_controlled_winrate", "lc_standard_error", "length_controlled_noreg")
    specs = [_spec(name, gamed) for name in names]
    rate, error, noreg = evaluate(specs, _rows(compared))
    found, without = fit(V1, compared, gamed), fit(NOREG, compared, gamed)
    assert found is not None
    assert without is not None
    assert (rate.value, error.value) == (found.win_rate, found.standard_error)
    assert noreg.value == without.win_rate
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low < found.win_rate < rate.high
    assert (rate.n_scored, rate.n_asked) == (79, 80)
    again = [_spec(name, gamed) for name in names]
    assert evaluate(again, _rows(compared)) == [rate, error, noreg]


def test_a_resample_keeps_the_c_of_all_rows(tmp_path: Path) -> None:
    compared, gamed = _comparisons(40, 6), _gamed(tmp_path, 40)
    whole = fit(V1, compared, gamed)
    counts = np.ones(40)
    counts[:5] = 0
    found = LengthControl(V1, gamed).fit(_rows(compared), counts)
    assert whole is not None
    assert found is not None
    assert found == fit(V1, compared, gamed, counts=counts, c=whole.c)


def test_rows_count_in_the_order_of_their_annotations(tmp_path: Path) -> None:
    gamed, rows = _gamed(tmp_path, 60), _rows(_comparisons(60, 9))
    rng = np.random.default_rng(9)
    counts, order = rng.integers(0, 3, 60).astype(float), rng.permutation(60)
    shuffled = [rows[number] for number in order]
    expected = LengthControl(V1, gamed).win_rate(rows, counts)
    assert LengthControl(V1, gamed).win_rate(shuffled, counts[order]) == expected
    assert LengthControl(V1, gamed).win_rate(shuffled, counts) != expected


def test_without_the_file_the_metric_says_what_is_missing() -> None:
    rows = _rows(_comparisons(30, 7))
    names = ("length_controlled_winrate", "length_controlled_noreg", "length_controlled_minimal")
    rate, noreg, minimal = evaluate([_spec(name, None) for name in names], rows)
    assert (rate.value, rate.note) == (None, "df_gamed.csv is not there")
    assert (noreg.value, noreg.note) == (None, "df_gamed.csv is not there")
    assert minimal.value is not None, "it uses nothing of the file"


def test_two_models_are_compared_on_the_same_resamples(tmp_path: Path) -> None:
    gamed = _gamed(tmp_path, 60)
    worse, better = (_rows(_comparisons(60, 8, skill=skill)) for skill in (0.0, 1.5))
    spec = _spec("length_controlled_winrate", gamed)
    [difference] = compare_rows([spec], worse, better)
    assert difference.low is not None
    assert difference.high is not None
    assert 0 < difference.low < (difference.difference or 0) < difference.high
    [same] = compare_rows([spec], worse, worse)
    assert (same.difference, same.low, same.high) == (0, 0, 0)


# One model against another


def _weights(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(DESIGN, values, strict=True))


def test_the_win_rate_between_two_models_by_hand() -> None:
    """Difficulties 0 and 1: sigmoid(1) and sigmoid(3)."""
    rival = Rival("other", _weights([9, -1, 0.5]), np.array([0.0, 1.0]))
    expected = 50 * (1 / (1 + np.exp(-1)) + 1 / (1 + np.exp(-3)))
    assert win_rate_between(_weights([0, 1, 1.5]), rival) == pytest.approx(expected)


@given(st.lists(st.floats(-5, 5), min_size=6, max_size=6))
def test_a_model_draws_with_itself_and_two_share_a_hundred(values: list[float]) -> None:
    one, other = _weights(values[:3]), _weights(values[3:])
    difficulties = np.linspace(-2, 2, 7)
    forth = win_rate_between(one, Rival("other", other, difficulties))
    back = win_rate_between(other, Rival("one", one, difficulties))
    assert forth + back == pytest.approx(100)
    assert win_rate_between(one, Rival("itself", one, difficulties)) == 50


# df_gamed.csv


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("std_delta_len", "delta", "no column 'std_delta_len'"),
        (",False", ",perhaps", "line 2: not_gamed_baseline is 'perhaps'"),
        (",0,", ",,", "line 2: index is ''"),
        ("gpt4_verbose,0", "gpt4_verbose,many", "line 2: preference is 'many"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(
    old: str, new: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "df_gamed.csv"
    path.write_text(gamed_csv(3).replace(old, new, 1))
    with pytest.raises(BadRecordError, match=problem):
        read_gamed(path)


def test_an_empty_or_unreadable_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "df_gamed.csv"
    for content in (b"", b"\xff\xfe", gamed_csv(0).encode()):
        path.write_bytes(content)
        with pytest.raises(BadRecordError, match=r"df_gamed\.csv.*Restore the official file"):
            read_gamed(path)


def test_a_missing_preference_in_the_table_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "df_gamed.csv"
    lines = gamed_csv(30).splitlines()
    fields = lines[1].split(",")
    path.write_text("\n".join([lines[0], ",".join([fields[0], "", *fields[2:]]), *lines[2:]]))
    gamed = read_gamed(path)
    assert np.isnan(gamed.preference).tolist() == [True] + [False] * 59
    assert fit(V1, _comparisons(30, 9), gamed) is not None
