"""Drawing: proportions, seeds, blinding, sides, identical responses, what is refused."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import PlumblineError
from harness.human_eval.draw import NO_ANSWER, NOT_SHARED, Plan, draw, stratified
from harness.human_eval.rubrics import HALLUCINATION, PREFERENCE
from harness.human_eval.study import Study, pairs_of
from harness.runs import open_runs
from harness.store import to_json
from tests.harness.human_eval.runs import make_run, make_study, truthful


def contrary(item):
    """Another answer to every second question."""
    number = int(item.reference["question_topic"] < "m")
    return truthful(item) if number else f"I see nothing of the kind in {item.id}."


@pytest.fixture
def runs(tmp_path):
    return open_runs(
        [make_run(tmp_path / "zebra_dpo", truthful), make_run(tmp_path / "quokka_base", contrary)]
    )


def plan(rubric=PREFERENCE, **changes):
    given = {"n": 16, "seed": 0, "n_annotators": 2, **changes}
    return Plan("mmhal", rubric, **given)


@given(
    st.dictionaries(st.text(max_size=3), st.integers(1, 30), min_size=1, max_size=8),
    st.integers(1, 120),
    st.integers(0, 5),
)
def test_every_stratum_has_its_share_but_for_rounding(sizes, n, seed):
    strata = {f"{name}/{i}": name for name, size in sizes.items() for i in range(size)}
    drawn = stratified(strata, n, seed)
    assert len(drawn) == len(set(drawn)) == min(n, len(strata))
    assert drawn == stratified(dict(reversed(strata.items())), n, seed)
    taken = Counter(strata[name] for name in drawn)
    for name, size in sizes.items():
        assert abs(taken[name] - len(drawn) * size / len(strata)) < 1


def test_the_largest_remainders_are_rounded_up():
    strata = {**{f"a{i}": "a" for i in range(50)}, **{f"b{i}": "b" for i in range(30)}, **{f"c{i}": "c" for i in range(20)}}  # fmt: skip
    taken = Counter(strata[name] for name in stratified(strata, 11, 0))
    assert taken == {"a": 6, "b": 3, "c": 2}  # of 5.5, 3.3 and 2.2


def test_lots_decide_between_equal_remainders():
    strata = {f"{name}{i}": name for name in "abcd" for i in range(5)}
    first = {stratified(strata, 1, seed)[0][0] for seed in range(40)}
    assert first == set("abcd")


def test_identical_responses_are_ties_that_nobody_is_asked_about(runs):
    study, pictures = draw(plan(n=24), runs, None)
    same = {item_id for item_id, pair in study.identical}
    assert same
    for question in study.questions:
        assert (question.responses[0] == question.responses[1]) == (question.item_id in same)
    assert {task.item_id for task in study.tasks} == {q.item_id for q in study.questions} - same
    assert set(pictures) == {q.item_id for q in study.questions}


def test_a_response_that_both_runs_gave_is_rated_once_for_both(runs):
    study, _ = draw(plan(HALLUCINATION, n=24), runs, None)
    by_item = Counter(task.item_id for task in study.tasks)
    for question in study.questions:
        is_same = question.responses[0] == question.responses[1]
        assert by_item[question.item_id] == (1 if is_same else 2)
    assert any(task.runs == (0, 1) for task in study.tasks)


def test_sides_are_balanced_and_the_second_sheet_mirrors_the_first(runs):
    study, _ = draw(plan(n=24), runs, None)
    first, second = study.sheets
    assert abs(2 * len(first.flipped) - len(study.tasks)) <= 1
    assert second.flipped == set(study.task_of) - first.flipped
    assert first.order != second.order
    assert list(first.order) != sorted(first.order)


def test_the_same_seed_draws_the_same_and_another_one_something_else(runs):
    first, again, other = (draw(plan(seed=seed), runs, None)[0] for seed in (3, 3, 4))
    assert first == again
    assert first.sheets[0].order != other.sheets[0].order
    assert first.sheets[0].id != other.sheets[0].id


def test_what_a_run_lacks_is_counted(tmp_path):
    whole = make_run(tmp_path / "whole", truthful, n_items=24)
    gaps = make_run(
        tmp_path / "gaps",
        lambda item: None if item.id.startswith("counting") else f"No: {item.id}",
        n_items=16,
    )
    study, _ = draw(plan(n=100), open_runs([whole, gaps]), None)
    assert study.left_out == {NOT_SHARED: 8, NO_ANSWER: 2}
    assert study.n_eligible == len(study.questions) == 14


def test_the_reference_answer_and_the_prompt_are_shown(runs):
    study, _ = draw(plan(n=24), runs, None)
    question = study.questions[0]
    assert question.reference
    assert question.text.endswith(("?", "."))


def test_all_pairs_or_those_with_the_baseline():
    assert pairs_of(3, None) == ((0, 1), (0, 2), (1, 2))
    assert pairs_of(3, 1) == ((0, 1), (2, 1))


def test_a_key_comes_back_as_it_was(runs):
    import json

    study, _ = draw(plan(), runs, None)
    assert Study.from_json(json.loads(to_json(study.to_json()))) == study


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key.update(format=2),
        lambda key: key.pop("tasks"),
        lambda key: key.update(rubric_name="taste"),
        lambda key: key["tasks"][0].update(runs=[0, 7]),
        lambda key: key["tasks"][0].update(item_id="nowhere"),
        lambda key: key["sheets"][0]["order"].pop(),
        lambda key: key["questions"][0]["responses"].pop(),
    ],
)
def test_a_damaged_key_is_none(spoil):
    study = make_study([("a", "b"), ("c", "d")])
    import json

    key = json.loads(to_json(study.to_json()))
    spoil(key)
    with pytest.raises((KeyError, ValueError, TypeError)):
        Study.from_json(key)


def test_runs_that_agree_everywhere_leave_nothing_to_compare(tmp_path):
    twins = open_runs([make_run(tmp_path / name, truthful) for name in ("a", "b")])
    with pytest.raises(PlumblineError, match="identical"):
        draw(plan(), twins, None)


def test_another_benchmark_is_named(runs):
    with pytest.raises(PlumblineError, match="no scored pope"):
        draw(Plan("pope", PREFERENCE, 4, 0, 1), runs, None)
