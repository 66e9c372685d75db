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
from typing import Literal

from benchmarks.records import Record, read_records

BASELINE = "gpt-3.5-turbo"

Verdict = Literal["A", "B", "tie", "error"]

WINNERS = ("model_1", "model_2", "tie", "error")


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
    """Two models on one question and turn: the winners of game 1 and game 2, out of WINNERS."""

    model_1: str
    model_2: str
    winners: tuple[str, str]

    @property
    def outcome(self) -> str:
        """The winner of both games, "tie", or "error" if one of them has no verdict."""
        if "error" in self.winners:
            return "error"
        first, second = self.winners
        return first if first == second else "tie"


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
    """Matches from official files; winners that are not there are read off the judgments.

    Raises:
        BadRecordError: a model has no name, or a game neither a known winner nor a judgment.
    """
    return [_match(record) for path in paths for record in read_records(path)]


def _match(record: Record) -> Match:
    model_1, model_2 = (record.fields.get(name) for name in ("model_1", "model_2"))
    if not isinstance(model_1, str) or not isinstance(model_2, str):
        raise record.error("model_1 or model_2 is no name", "Write who gave the two answers")
    return Match(model_1, model_2, (_winner(record, 1), _winner(record, 2)))


def _winner(record: Record, game: Literal[1, 2]) -> str:
    named, judgment = (record.fields.get(f"g{game}_{part}") for part in ("winner", "judgment"))
    if named is None and isinstance(judgment, str):
        return winner(read_verdict(judgment), game)
    if named not in WINNERS:
        fix = f"Write one of {', '.join(WINNERS)}, or g{game}_judgment"
        raise record.error(f"g{game}_winner is {named!r}", fix)
    return str(named)


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
