"""Agreement: published examples, statsmodels, and what must hold for any ratings."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import cohens_kappa as statsmodels_cohen
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from harness.agreement import (
    NO_UNITS,
    ONE_CATEGORY,
    Bootstrap,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    observed_agreement,
)

_ = None
KRIPPENDORFF = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
"""Krippendorff, "Computing Krippendorff's alpha-reliability", 2011: 4 observers, 12 units, 5 categories."""

FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
"""The table of Wikipedia's article on Fleiss' kappa: 10 units, 14 raters, 5 categories."""

FEW = Bootstrap(n_resamples=200)


def by_unit(by_rater):
    return [[None if r is None else r - 1 for r in unit] for unit in zip(*by_rater, strict=True)]


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])  # fmt: skip
def test_krippendorffs_own_example(level, alpha):
    found = krippendorff_alpha(by_unit(KRIPPENDORFF), 5, FEW, level=level)
    assert round(found.value, 3) == alpha
    assert found.n_units == 11  # the last unit has one value


def test_interval_distances_take_the_categories_values():
    values = [10.0, 20.0, 30.0, 40.0, 50.0]
    found = krippendorff_alpha(by_unit(KRIPPENDORFF), 5, FEW, level="interval", values=values)
    assert round(found.value, 3) == 0.849


def test_fleiss_published_example():
    ratings = [[c for c, n in enumerate(row) for _ in range(n)] for row in FLEISS]
    assert round(fleiss_kappa(ratings, 5, FEW).value, 3) == 0.210


def test_cohens_kappa_by_hand():
    # Both yes 20 times, both no 15 times, only the first 5, only the second 10: (0.7 - 0.5) / (1 - 0.5).
    ratings = [[0, 0]] * 20 + [[0, 1]] * 5 + [[1, 0]] * 10 + [[1, 1]] * 15
    found = cohen_kappa(ratings, 2)
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high


def tables(n_raters, n_categories=4, missing=False):
    rating = st.integers(0, n_categories - 1)
    if missing:
        rating = st.none() | rating
    unit = st.lists(rating, min_size=n_raters, max_size=n_raters)
    return st.lists(unit, min_size=2, max_size=25)


@given(tables(2))
@settings(max_examples=60, deadline=None)
def test_cohen_as_statsmodels_has_it(ratings):
    confusion = np.zeros((4, 4))
    for first, second in ratings:
        confusion[first, second] += 1
    for ours, theirs in (("nominal", None), ("linear", "linear"), ("quadratic", "quadratic")):
        found = cohen_kappa(ratings, 4, FEW, weights=ours).value
        with np.errstate(all="ignore"):
            expected = statsmodels_cohen(confusion, wt=theirs, return_results=False)
        if math.isfinite(expected):
            assert found == pytest.approx(expected, abs=1e-9)
        else:
            assert found is None


@given(tables(3))
@settings(max_examples=60, deadline=None)
def test_fleiss_as_statsmodels_has_it(ratings):
    found = fleiss_kappa(ratings, 4, FEW).value
    if len({rating for unit in ratings for rating in unit}) == 1:
        assert found is None
    else:
        assert found == pytest.approx(statsmodels_fleiss(aggregate_raters(np.array(ratings))[0]))


ALL = [
    observed_agreement,
    fleiss_kappa,
    krippendorff_alpha,
    lambda *given: krippendorff_alpha(*given, level="ordinal"),
    lambda *given: krippendorff_alpha(*given, level="interval"),
]


@given(tables(3, missing=True), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_bounds_and_orders(ratings, rng):
    shuffled = rng.sample(ratings, len(ratings))
    order = rng.sample(range(3), 3)
    swapped = [[unit[i] for i in order] for unit in shuffled]
    names = rng.sample(range(4), 4)
    renamed = [[None if r is None else names[r] for r in unit] for unit in ratings]
    for coefficient in ALL:
        found = coefficient(ratings, 4, FEW)
        assert (found.value is None) == (found.note in (NO_UNITS, ONE_CATEGORY))
        if found.value is None:
            assert found.low is found.high is None
            continue
        assert -1 - 1e-9 <= found.value <= 1 + 1e-9
        assert coefficient(swapped, 4, FEW).value == pytest.approx(found.value)
        if found.low is not None:
            assert -1 - 1e-9 <= found.low <= found.high <= 1 + 1e-9
    for coefficient in ALL[:3]:  # those that know of no order
        again = coefficient(renamed, 4, FEW).value
        assert again == pytest.approx(coefficient(ratings, 4, FEW).value)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=20), st.integers(2, 4))
@settings(max_examples=50, deadline=None)
def test_perfect_agreement_is_one_or_undefined(answers, n_raters):
    ratings = [[answer] * n_raters for answer in answers]
    coefficients = ALL if n_raters != 2 else [*ALL, cohen_kappa]
    for coefficient in coefficients:
        found = coefficient(ratings, 4, FEW)
        if coefficient is observed_agreement or len(set(answers)) > 1:
            assert found.value == pytest.approx(1)
        else:
            assert (found.value, found.note) == (None, ONE_CATEGORY)


@pytest.mark.parametrize("ratings", [[], [[0, None], [None, 1]], [[None, None]]])
def test_without_two_ratings_of_a_unit_there_is_no_agreement(ratings):
    for coefficient in ALL:
        found = coefficient(ratings, 2)
        assert (found.value, found.low, found.note, found.n_units) == (None, None, NO_UNITS, 0)
    if ratings:
        assert cohen_kappa(ratings, 2).note == NO_UNITS


def test_two_raters_who_systematically_disagree_are_below_chance():
    ratings = [[0, 1], [1, 0]] * 10
    assert cohen_kappa(ratings, 2).value == pytest.approx(-1)
    assert krippendorff_alpha(ratings, 2).value < -0.9


def test_units_of_one_group_are_drawn_together():
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 2, 40)
    ratings = [[int(a), int(a if n // 10 % 2 else 1 - a)] for n, a in enumerate(answers)]
    alone = cohen_kappa(ratings, 2)
    grouped = cohen_kappa(ratings, 2, Bootstrap([str(n // 10) for n in range(40)]))
    assert grouped.n_groups == 4
    assert alone.value == grouped.value
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_intervals_cover_a_known_kappa():
    """The second rater repeats the first with probability 0.6 and draws from the same three otherwise: kappa is 0.6."""
    rng = np.random.default_rng(3)
    covered = dict.fromkeys(("Cohen", "Fleiss", "Krippendorff"), 0)
    n = 200
    for seed in range(n):
        first, fresh = rng.integers(0, 3, (2, 120))
        second = np.where(rng.random(120) < 0.6, first, fresh)
        ratings = np.stack([first, second], axis=1).tolist()
        bootstrap = Bootstrap(n_resamples=400, seed=seed)
        for name, coefficient in zip(covered, (cohen_kappa, fleiss_kappa, krippendorff_alpha), strict=True):  # fmt: skip
            found = coefficient(ratings, 3, bootstrap)
            covered[name] += found.low <= 0.6 <= found.high
    assert all(0.91 <= count / n <= 0.98 for count in covered.values()), covered


@pytest.mark.parametrize("ratings", [[[0, 1], [0]], [[0, 5]], [[-2, 0]]])
def test_impossible_ratings_are_refused(ratings):
    for coefficient in ALL:
        with pytest.raises(ValueError, match=r"every unit|none of the categories"):
            coefficient(ratings, 2)


def test_cohen_is_of_two_raters():
    with pytest.raises(ValueError, match="2 raters"):
        cohen_kappa([[0, 1, 0]], 2)


def test_all_pairs_of_three_raters_agree_with_fleiss_where_habits_are_the_same():
    ratings = [list(unit) for unit in itertools.product(range(2), repeat=3)]
    pairs = [
        cohen_kappa([[u[i], u[j]] for u in ratings], 2).value
        for i, j in itertools.combinations(range(3), 2)
    ]
    assert np.mean(pairs) == pytest.approx(fleiss_kappa(ratings, 2).value)
