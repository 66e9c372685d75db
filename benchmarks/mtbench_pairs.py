"""MT-Bench's other mode: which of two models answers better, judged in both orders.

Each pair of answers is judged twice: as A and B (game 1), and with the two exchanged (game 2). A
model wins if both games say so; otherwise it is a tie, also where the games contradict each other.
If one of the verdicts cannot be read, the pair does not count. Code: FastChat's
``fastchat/llm_judge/{common,show_result}.py`` (see ``benchmarks.mtbench``), which writes such games
to ``gpt-4_pair.jsonl``::

    {"question_id": 81, "model_1": "a", "model_2": "gpt-3.5-turbo", "g1_winner": "model_1",
     "g2_winner": "tie", "g1_judgment": "…", "g2_judgment": "…", "turn": 1}

``win_rates(read_games([path]))`` is the script's table of mode ``pairwise-baseline``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.records import Record, read_records

BASELINE = "gpt-3.5-turbo"

Verdict = Literal["A", "B", "tie", "error"]


def read_verdict(reply: str) -> Verdict:
    """What the judge of one game says; "error" if nothing can be read.

    As officially, the letters are looked for in this order, wherever they stand: "not [[A]] but
    [[B]]" is A.
    """
    marks: tuple[tuple[str, Verdict], ...] = (("[[A]]", "A"), ("[[B]]", "B"), ("[[C]]", "tie"))
    return next((verdict for mark, verdict in marks if mark in reply), "error")


def winner(verdict: Verdict, game: Literal[1, 2]) -> str:
    """Which model a verdict means: in game 2 model_2's answer is A."""
    a, b = ("model_1", "model_2") if game == 1 else ("model_2", "model_1")
    return {"A": a, "B": b}.get(verdict, verdict)


@dataclass(frozen=True)
class Match:
    """Two models on one question and turn.

    Attributes:
        winners: of game 1 and game 2, "model_1", "model_2", "tie" or "error"; or whatever else a
            file says, None where it says nothing.
    """

    model_1: str
    model_2: str
    winners: tuple[Any, Any]

    @property
    def outcome(self) -> Literal["model_1", "model_2", "tie", "error"]:
        """The winner of both games, "tie", or "error" if one of them has no verdict.

        Odd, as in the script: what is none of its four words and stands in both games ("A", "Tie")
        is a win of model_2, since the script asks for "error", "tie" and "model_1" only. A game
        without a winner agrees with no other: pandas reads it as NaN (before its version 3 a null
        as None, which would agree with another null).
        """
        first, second = self.winners
        if "error" in self.winners:
            return "error"
        if first is None or first == "tie" or first != second:
            return "tie"
        return "model_1" if first == "model_1" else "model_2"


@dataclass
class Standing:
    """What the matches of one model come to."""

    win: int = 0
    loss: int = 0
    tie: int = 0

    @property
    def n(self) -> int:
        return self.win + self.loss + self.tie

    @property
    def win_rate(self) -> float:
        return self.win / self.n

    @property
    def loss_rate(self) -> float:
        return self.loss / self.n

    @property
    def win_rate_adjusted(self) -> float:
        """A tie counts as half a win."""
        return (self.win + 0.5 * self.tie) / self.n


def read_games(paths: Sequence[Path]) -> list[Match]:
    """Matches from official files; a winner that no field names is read off the game's judgment.

    Raises:
        BadRecordError: a model has no name.
    """
    return [_match(record) for path in paths for record in read_records(path)]


def _match(record: Record) -> Match:
    model_1, model_2 = (record.fields.get(name) for name in ("model_1", "model_2"))
    if not isinstance(model_1, str) or not isinstance(model_2, str):
        raise record.error("model_1 or model_2 is no name", "Write who gave the two answers")
    return Match(model_1, model_2, (_winner(record, 1), _winner(record, 2)))


def _winner(record: Record, game: Literal[1, 2]) -> Any:
    name, judgment = f"g{game}_winner", record.fields.get(f"g{game}_judgment")
    if name not in record.fields and isinstance(judgment, str):
        return winner(read_verdict(judgment), game)
    return record.fields.get(name)


def win_rates(matches: Iterable[Match], baseline: str | None = BASELINE) -> dict[str, Standing]:
    """How each model does against the baseline, best adjusted win rate first.

    Args:
        matches: those without a verdict, and those without the baseline, do not count.
        baseline: None compares all pairs (the script's mode ``pairwise-all``).
    """
    standings: defaultdict[str, Standing] = defaultdict(Standing)
    for match in matches:
        models = {"model_1": match.model_1, "model_2": match.model_2}
        if match.outcome == "error" or baseline not in (None, *models.values()):
            continue
        for place, model in models.items():
            if match.outcome == "tie":
                standings[model].tie += 1
            elif match.outcome == place:
                standings[model].win += 1
            else:
                standings[model].loss += 1
    ranked = sorted(standings.items(), key=lambda entry: -entry[1].win_rate_adjusted)
    return {model: standing for model, standing in ranked if model != baseline}
