"""Pocket AlpacaEval: its tasks and baseline, its oracle, and its length control.

Run: pytest tests/benchmarks/pocket/test_alpacaeval.py
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.alpacaeval import AlpacaEval
from benchmarks.base import Item, Message, Metric, Response, ScoreStatus
from benchmarks.logprobs import unpack
from benchmarks.pocket import alpacaeval as pocket
from benchmarks.pocket import oracle
from benchmarks.pocket.dialogues import WITHOUT_PICTURES
from benchmarks.pocket.text_tasks import Case, grade
from harness.stats import evaluate
from tests.scripted import judged

ITEMS = pocket.items()


def _share(item: Item, output: str) -> float:
    return grade(Case(item.question, item.question, item.reference["correct"], output)).share


def _log_odds(item: Item, output_m: str, output_big_m: str) -> float:
    """Of "m", as the oracle tells them."""
    weighed = unpack(pocket.oracle_reply(pocket.judge_prompt(item, output_m, output_big_m)))
    assert weighed is not None
    told = dict(weighed.top_logprobs)
    assert weighed.text == max(told, key=lambda token: told[token])
    return told["m"] - told["M"]


def test_a_hundred_different_instructions_of_all_categories() -> None:
    assert len({item.question for item in ITEMS}) == len(ITEMS) == 100
    assert [item.id for item in ITEMS] == [str(number) for number in range(100)]
    assert {item.reference["dataset"] for item in ITEMS} == set(WITHOUT_PICTURES)
    assert pocket.items() == ITEMS
    assert not any(item.pictures for item in ITEMS)


def test_the_baseline_is_right_in_about_three_cases_of_four() -> None:
    shares = Counter(_share(item, item.reference["output"]) == 1 for item in ITEMS)
    assert 65 <= shares[True] <= 85
    assert all(_share(item, item.reference["correct"]) == 1 for item in ITEMS)
    polite = [item.reference["output"].startswith(pocket.OPENING) for item in ITEMS]
    assert polite == [False, True] * 50


@pytest.mark.parametrize("item", ITEMS[:20], ids=lambda item: item.id)
def test_the_oracle_prefers_what_is_right_in_either_order(item: Item) -> None:
    correct, wrong = item.reference["correct"], "x" * 200
    assert _log_odds(item, correct, wrong) > 3
    assert _log_odds(item, wrong, correct) < -3


def test_of_equally_right_outputs_it_likes_the_longer_one_a_little() -> None:
    item = ITEMS[0]
    correct = item.reference["correct"]
    odds = _log_odds(item, f"{correct} {pocket.CLOSING}", correct)
    assert 0 < odds < pocket.LENGTH_LOGIT
    assert _log_odds(item, correct, correct) == 0


@given(st.sampled_from(ITEMS), st.text(), st.text())
def test_whatever_the_outputs_say_they_are_weighed(item: Item, first: str, second: str) -> None:
    forth, back = _log_odds(item, first, second), _log_odds(item, second, first)
    assert math.isfinite(forth)
    assert forth == pytest.approx(-back, abs=1e-9)
    assert abs(forth) <= pocket.RIGHT_LOGIT + pocket.LENGTH_LOGIT


def test_the_oracle_knows_its_prompts_by_their_title() -> None:
    prompt = pocket.judge_prompt(ITEMS[0], "a", "b")
    assert oracle.reply([Message("user", prompt)]) == pocket.oracle_reply(prompt)
    with pytest.raises(ValueError, match="not a prompt for the pocket oracle"):
        pocket.oracle_reply(f"{pocket.TITLE}\n\nm or M?")
    with pytest.raises(ValueError, match="no text"):
        pocket.oracle_reply(prompt.replace('output of m: "a"', 'output of m: ["a"]'))
    with pytest.raises(ValueError, match="no task without a picture"):
        pocket.oracle_reply(prompt.replace(ITEMS[0].question[:9], "Why is it "))


def test_the_gamed_baseline_has_the_official_columns() -> None:
    gamed = pocket.gamed_baseline()
    n = len(ITEMS)
    assert {len(column) for column in (gamed.preference, gamed.index, gamed.std_delta_len)} == {200}
    assert not gamed.not_gamed_baseline.any()
    difficulties = gamed.difficulties(n)
    assert difficulties.mean() == pytest.approx(0, abs=1e-9)
    verbose, concise = gamed.std_delta_len[:n], gamed.std_delta_len[n:]
    assert (verbose < 0).all(), "the baseline's output is the shorter one"
    assert (concise >= 0).all()
    assert (gamed.preference[:n] > 0.5).all(), "and the longer one is liked"
    assert (gamed.preference[n:] <= 0.5).all()
    assert verbose.std(ddof=1) == pytest.approx(1)


# Through the benchmark


Measure = Callable[[Callable[[Item], str]], dict[str, Metric]]


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    """The metrics of a model that answers by a function, judged by the oracle."""

    def measure(answer: Callable[[Item], str]) -> dict[str, Metric]:
        benchmark = AlpacaEval()
        answers = {item.id: answer(item) for item in benchmark.items()}
        judgments = judged(benchmark, answers, oracle.reply, tmp_path).judgments
        rows = [
            benchmark.score(
                item, [Response(item.id, "", answers[item.id])], judgments.get(item.id, ())
            )
            for item in benchmark.items()
        ]
        assert {row.status for row in rows} == {ScoreStatus.SCORED}
        metrics = evaluate(benchmark.metric_specs(), rows, n_resamples=30)
        return {metric.name: metric for metric in metrics}

    return measure


def _value(metrics: dict[str, Metric], name: str) -> float:
    value = metrics[name].value
    assert value is not None
    return value


def test_the_right_answers_win_and_wrong_ones_lose(measure: Measure) -> None:
    right = measure(lambda item: item.reference["correct"])
    wrong = measure(lambda item: "I do not know.")
    assert 55 < _value(right, "win_rate") < 75
    assert _value(wrong, "win_rate") < 20
    assert _value(right, "n_draws") > 0
    assert right["length_controlled_winrate"].low is not None


def test_length_control_takes_the_bonus_of_long_outputs_away(measure: Measure) -> None:
    brief = measure(lambda item: item.reference["correct"])
    padded = measure(lambda item: f"{pocket.OPENING} {item.reference['correct']} {pocket.CLOSING}")
    gained = _value(padded, "win_rate") - _value(brief, "win_rate")
    name = "length_controlled_winrate"
    controlled = _value(padded, name) - _value(brief, name)
    assert gained > 5
    assert abs(controlled) < gained / 2


def test_the_baseline_itself_draws_without_a_judge(measure: Measure) -> None:
    metrics = measure(lambda item: item.reference["output"])
    assert _value(metrics, "win_rate") == 50
    assert _value(metrics, "length_controlled_winrate") == 50
    assert _value(metrics, "n_draws") == 100
