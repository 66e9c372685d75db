"""Correction of a judge: formulas, limits, clusters, coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.judge_correction import FEW_GROUPS, NO_WIDTH, correct_mean
from tests.bench.simulate_judge_correction import Case, covers, one, rates, ratings, truth


def made_up(seed=0, n=80, n_labelled=30, bias=0.5):
    rng = np.random.default_rng(seed)
    judge = rng.normal(3, 1, n)
    human = judge - bias + rng.normal(0, 0.5, n)
    human[n_labelled:] = np.nan
    return human, judge, np.arange(n)


def test_lambda_one_is_the_first_papers_estimate():
    human, judge, groups = made_up()
    found = correct_mean(human, judge, groups, lambda_=1.0)
    y, f, rest = human[:30], judge[:30], judge[30:]
    assert found.corrected.value == pytest.approx(rest.mean() + (y - f).mean())
    error = math.sqrt((y - f).var(ddof=1) / 30 + rest.var() / 50 * 30 / 29)
    half = found.corrected.high - found.corrected.value
    assert half == pytest.approx(stats.t.ppf(0.975, 29) * error)


def test_the_best_lambda_is_that_of_the_second_paper():
    human, judge, groups = made_up()
    found = correct_mean(human, judge, groups)
    y, f, rest = human[:30], judge[:30], judge[30:]
    covariance = ((y - y.mean()) * (f - f.mean())).mean() / 30
    assert found.lambda_ == pytest.approx(covariance / (f.var() / 30 + rest.var() / 50))
    best = found.corrected.width
    for other in (found.lambda_ - 0.1, min(1, found.lambda_ + 0.1)):
        assert correct_mean(human, judge, groups, lambda_=other).corrected.width > 0.98 * best


def test_people_alone_have_the_usual_interval():
    human, judge, groups = made_up()
    found = correct_mean(human, judge, groups).human
    expected = stats.t.interval(0.95, 29, human[:30].mean(), stats.sem(human[:30]))
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_useless_judge_leaves_the_human_mean():
    human, _, groups = made_up()
    for judge in (np.full(80, 4.0), np.nan_to_num(-human, nan=-3.0)):
        found = correct_mean(human, judge, groups)
        assert found.lambda_ == 0
        assert found.corrected == found.human


def test_without_unlabelled_items_the_judge_changes_nothing():
    human, judge, groups = made_up(n=30, n_labelled=30)
    found = correct_mean(human, judge, groups)
    assert found.n_unlabelled == 0
    assert found.corrected == found.human


@given(
    st.floats(-5, 5), st.floats(0.1, 10), st.floats(-3, 3), st.floats(0.1, 5), st.integers(0, 20)
)
@settings(max_examples=40, deadline=None)
def test_units_and_a_constant_bias_of_the_judge_do_not_matter(shift, scale, add, times, seed):
    human, judge, groups = made_up(seed, bias=shift)
    plain = correct_mean(human, judge, groups, lambda_=0.5)
    biased = correct_mean(human, judge + add, groups, lambda_=0.5)
    assert biased.corrected.value == pytest.approx(plain.corrected.value)
    assert biased.corrected.width == pytest.approx(plain.corrected.width)
    scaled = correct_mean(scale * human + shift, judge, groups, lambda_=0.0)
    assert scaled.corrected.value == pytest.approx(scale * plain.human.value + shift)
    order = np.random.default_rng(seed).permutation(len(judge))
    mixed = correct_mean(human[order], times * judge[order], groups[order])
    tuned = correct_mean(human, judge, groups)
    if tuned.lambda_ / times < 1 and mixed.lambda_ < 1 and tuned.lambda_ < 1:
        assert mixed.corrected.value == pytest.approx(tuned.corrected.value)


def test_items_of_a_picture_are_one_observation():
    human, judge, groups = made_up(n_labelled=80)
    copies = [np.repeat(values, 3) for values in (human, judge, groups)]
    once, thrice = correct_mean(human, judge, groups), correct_mean(*copies)
    assert thrice.human.value == pytest.approx(once.human.value)
    assert thrice.human.width == pytest.approx(once.human.width)
    assert thrice.judge.width == pytest.approx(once.judge.width)


def test_bounds_cut_intervals_off():
    human = [1.0] * 9 + [0.0] + [None] * 5
    found = correct_mean(human, [0.5] * 15, range(15), bounds=(0, 1))
    assert found.human.high == 1
    assert 0 < found.human.low < 0.9


def test_few_or_equal_labels_are_told():
    assert correct_mean([1.0, None], [1.0, 2.0], ["a", "b"]).corrected.note == FEW_GROUPS
    found = correct_mean([1.0, 1.0, 1.0, None], [1.0, 2.0, 3.0, 4.0], list("abcd"))
    assert found.human.note == NO_WIDTH
    assert found.correlation is None


@pytest.mark.parametrize(
    ("human", "judge", "groups", "told"),
    [
        ([None], [1.0], ["a"], "no item has"),
        ([1.0], [math.nan], ["a"], "missing"),
        ([1.0, 2.0], [1.0], ["a"], "2 human labels"),
    ],
)
def test_impossible_input_is_refused(human, judge, groups, told):
    with pytest.raises(ValueError, match=told):
        correct_mean(human, judge, groups)


@pytest.mark.parametrize(
    "case",
    [
        Case("a biased judge's ratings", ratings(0.9, bias=0.7), 300, 60, (0.0, 6.0)),
        Case("rates, two on a picture", rates(0.9), 300, 80, (0.0, 1.0), 2),
    ],
    ids=lambda case: case.name,
)
def test_intervals_cover_what_they_say(case):
    rng, true = np.random.default_rng(11), truth(case)
    found = [one(case, rng) for _ in range(400)]
    share = np.mean([covers(each, "corrected", true) for each in found])
    assert 0.92 <= share <= 0.98  # 400 repetitions: a standard error of 1.1 points
    assert np.mean([e.corrected.width / e.human.width for e in found]) < 0.9
    if "biased" in case.name:
        assert np.mean([covers(each, "judge", true) for each in found]) < 0.05
