"""MT-Bench's pairwise mode: verdicts, both orders, win rates.

Run: pytest tests/benchmarks/test_mtbench_pairs.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import BadRecordError
from benchmarks.mtbench_pairs import Match, read_games, read_verdict, win_rates, winner
from tests.benchmarks.mtbench_folder import written

BASELINE = "gpt-3.5-turbo"


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("My verdict: [[A]]", "A"),
        ("[[B]]", "B"),
        ("[[C]]", "tie"),
        ("not [[B]] but [[A]]", "A"),
        ("[[C]], hence [[B]]", "B"),
        ("[A]", "error"),
        ("[[a]]", "error"),
        ("[[ A ]]", "error"),
        ("[[Ａ]]", "error"),
        ("$ERROR$", "error"),
        ("", "error"),
    ],
)
def test_verdicts(reply: str, verdict: str) -> None:
    assert read_verdict(reply) == verdict


def test_the_second_game_has_the_answers_exchanged() -> None:
    verdicts = ("A", "B", "tie", "error")
    assert [winner(v, 1) for v in verdicts] == ["model_1", "model_2", "tie", "error"]  # type: ignore[arg-type]
    assert [winner(v, 2) for v in verdicts] == ["model_2", "model_1", "tie", "error"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("model_1", "model_1", "model_1"),
        ("model_2", "model_2", "model_2"),
        ("model_1", "model_2", "tie"),
        ("model_1", "tie", "tie"),
        ("tie", "model_2", "tie"),
        ("tie", "tie", "tie"),
        ("error", "model_1", "error"),
        ("tie", "error", "error"),
        ("error", "error", "error"),
        ("A", "A", "model_2"),
        ("A", "B", "tie"),
        ("Tie", "Tie", "model_2"),
        ("", "", "model_2"),
        ("A", "model_1", "tie"),
        ("A", "error", "error"),
        (None, None, "tie"),
        (None, "model_1", "tie"),
        ("tie", None, "tie"),
        (None, "error", "error"),
        (["tie"], ["tie"], "model_2"),
    ],
)
def test_both_games_decide(first: Any, second: Any, outcome: str) -> None:
    """What is no winner counts as oddly as in the script."""
    assert Match("a", "b", (first, second)).outcome == outcome


def match(model_1: str, model_2: str, result: str) -> Match:
    return Match(model_1, model_2, (result, result))


def test_win_rates_by_hand() -> None:
    """a: 2 wins, 1 loss, 1 tie; b as model_2: 1 win; pairs without the baseline do not count."""
    matches = [
        match("a", BASELINE, "model_1"),
        match("a", BASELINE, "model_1"),
        match("a", BASELINE, "model_2"),
        match("a", BASELINE, "tie"),
        match("a", BASELINE, "error"),
        match(BASELINE, "b", "model_2"),
        match("a", "b", "model_1"),
    ]
    table = win_rates(matches)
    assert list(table) == ["b", "a"]
    a = table["a"]
    assert (a.win, a.loss, a.tie, a.n) == (2, 1, 1, 4)
    assert (a.win_rate, a.loss_rate, a.win_rate_adjusted) == (0.5, 0.25, 0.625)
    assert (table["b"].win, table["b"].n) == (1, 1)
    everyone = win_rates(matches, baseline=None)
    assert (everyone["a"].win, everyone["b"].loss, everyone[BASELINE].n) == (3, 1, 5)
    assert win_rates([match("a", BASELINE, "error")]) == {}


def game(**fields: Any) -> dict[str, Any]:
    return {"model_1": "a", "model_2": BASELINE, "turn": 1, **fields}


def test_games_are_read_by_winner_or_by_judgment(tmp_path: Path) -> None:
    records = [
        game(g1_winner="model_1", g2_winner="tie", g1_judgment="[[B]]"),
        game(g1_judgment="[[A]]", g2_judgment="[[B]]"),
        game(g1_judgment="[[A]]", g2_judgment="[[A]]"),
        game(g1_judgment="$ERROR$", g2_judgment="[[A]]"),
        game(g1_winner=None, g2_winner=None, g1_judgment="[[A]]", g2_judgment="[[B]]"),
        game(),
    ]
    matches = read_games([written(tmp_path / "gpt-4_pair.jsonl", records)])
    assert [found.outcome for found in matches] == ["tie", "model_1", "tie", "error", "tie", "tie"]


def test_a_model_without_a_name_is_refused(tmp_path: Path) -> None:
    record = game(model_2=None, g1_winner="tie", g2_winner="tie")
    with pytest.raises(BadRecordError, match="line 1: model_1 or model_2 is no name"):
        read_games([written(tmp_path / "gpt-4_pair.jsonl", [record])])
