"""The pocket edition's judge, in this process: it knows the ground truth and needs no network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.base import Benchmark, Message, PlumblineError
from harness.endpoint.replies import Fault, Reply
from harness.judges.base import ORACLE_MODEL, Judged, JudgeStats, Question, Trial

BATCH = 64
"""Judgments handed over at a time: what a killed run would have to judge again."""

NOT_A_POCKET_PROMPT = (
    "the pocket oracle judges the pocket edition's prompts only, and this is none of them"
)

WHERE = {"endpoint": "in this process"}

ReplyTo = Callable[[Sequence[Message]], str | None]
"""A judge as a function: its reply to a conversation, in the form of ``benchmarks.logprobs`` where
its kind of question asks for log-probabilities, and None when it does not know the prompt. Raises
ValueError when it knows the prompt but cannot read it."""


def pocket_reply() -> ReplyTo:
    """The function that ships with the pocket edition."""
    from benchmarks.pocket import oracle

    return oracle.reply


class OracleJudge:
    """Judges by a function.

    Args:
        reply: what to judge by; the pocket edition's own when it is None.
        model: what the function is called in records.
    """

    def __init__(self, reply: ReplyTo | None = None, model: str = ORACLE_MODEL) -> None:
        self.stats = JudgeStats(cost_usd=0.0)
        self._model = model
        self._reply = reply or pocket_reply()

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"model": self._model, **WHERE}

    def model_for(self, benchmark: Benchmark) -> str:
        return self._model

    def check(self, benchmarks: Sequence[Benchmark]) -> Mapping[str, str]:
        for benchmark in benchmarks:
            if benchmark.edition != "pocket":
                raise PlumblineError(
                    f"{ORACLE_MODEL} knows the pocket world only and cannot judge "
                    f"{benchmark.title} in its {benchmark.edition} edition. Name another model by "
                    "--judge, or leave it out for the official one"
                )
        return {ORACLE_MODEL: ORACLE_MODEL}

    def ask(
        self, questions: Sequence[Question], spent_usd: float = 0.0
    ) -> Iterator[Sequence[Judged]]:
        judged = (self._judge(question) for question in questions)
        while batch := list(itertools.islice(judged, BATCH)):
            yield batch

    def close(self) -> None:
        """There is nothing to let go of."""

    def _judge(self, question: Question) -> Judged:
        trial = Trial(question, self._model, WHERE)
        while True:
            self.stats.n_calls += 1
            judgment = trial.take(self._outcome(trial.request.messages))
            if judgment is not None:
                self.stats.n_judgments += 1
                return Judged(question, judgment)

    def _outcome(self, messages: Sequence[Message]) -> Reply | Fault:
        try:
            text = self._reply(messages)
        except ValueError as error:
            return Fault(f"{self._model} cannot judge this: {error}", retry=False, cost_usd=0.0)
        if text is None:
            return Fault(NOT_A_POCKET_PROMPT, retry=False, cost_usd=0.0)
        return Reply(text, self._model, cost_usd=0.0)
