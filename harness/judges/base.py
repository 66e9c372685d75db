"""What every judge is: something that takes Questions and yields Judgments.

A failure is a status, never a score: a call that brings no usable reply ends as ``JUDGE_ERROR``
with its reason, a reply that the benchmark cannot read as ``UNPARSED``, and both keep what the
server sent.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from benchmarks.base import (
    Benchmark,
    Edition,
    JudgeRequest,
    Judgment,
    JudgmentStatus,
    Message,
    PlumblineError,
    sha256_of,
)
from harness.endpoint.replies import Fault, Reply
from harness.endpoint.wire import same_model

ORACLE_MODEL = "pocket-oracle"
"""The judge of the pocket edition: it knows the ground truth."""

KEPT_OF_A_FAULT = 10_000
"""Characters that are kept of what a server sent instead of a reply."""


class JudgeStoppedError(PlumblineError):
    """The judge cannot go on: budget reached, key refused, server gone. What came is kept."""


@dataclass(frozen=True)
class Question:
    """A JudgeRequest with the benchmark that can read its reply.

    Attributes:
        sample: 0, 1, 2, … where an item asks the same more than once to see how much the judge
            varies.
    """

    request: JudgeRequest
    benchmark: Benchmark
    sample: int = 0

    @property
    def max_attempts(self) -> int:
        return self.benchmark.judge.max_attempts if self.benchmark.judge else 1

    def attempt(self, number: int) -> JudgeRequest:
        """What is asked the first, second, … time."""
        return self.request if number == 1 else self.benchmark.judge_again(self.request, number)


class Judged(NamedTuple):
    """A question and its judgment."""

    question: Question
    judgment: Judgment


@dataclass
class JudgeStats:
    """What a judge has done in this session. The cost is None as long as no price is known."""

    n_judgments: int = 0
    n_calls: int = 0
    n_faults: int = 0
    n_cached: int = 0
    n_prompt_tokens: int = 0
    n_new_tokens: int = 0
    cost_usd: float | None = None

    def count(self, outcome: Reply | Fault) -> None:
        """Count one call."""
        reply = outcome.reply if isinstance(outcome, Fault) else outcome
        self.n_calls += 1
        self.n_faults += isinstance(outcome, Fault)
        if reply:
            self.n_prompt_tokens += reply.n_prompt_tokens or 0
            self.n_new_tokens += reply.n_new_tokens or 0
        if outcome.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + outcome.cost_usd

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@runtime_checkable
class Judge(Protocol):
    """Grades answers. It never decides about scoring."""

    stats: JudgeStats

    @property
    def identity(self) -> Mapping[str, Any]:
        """Who judges, for run.json: model, endpoint."""

    def model_for(self, benchmark: Benchmark) -> str:
        """The model that is asked for a benchmark."""

    def check(self, benchmarks: Sequence[Benchmark]) -> Mapping[str, str]:
        """Reach the judge with one tiny call for each model.

        Returns:
            By the model asked, its name as the server returns it.

        Raises:
            PlumblineError: unreachable, wrong key, wrong model, no price; the text says what to do.
        """

    def ask(
        self, questions: Sequence[Question], spent_usd: float = 0.0
    ) -> Iterator[Sequence[Judged]]:
        """Yield judgments as they come, in any order, one for each question.

        Args:
            spent_usd: what earlier sessions of the run paid; it counts against the budget.

        Raises:
            JudgeStoppedError: after everything that came has been yielded.
        """

    def close(self) -> None:
        """Let go of files."""


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def prompt_sha256(messages: Sequence[Message]) -> str:
    """SHA-256 of the rendered prompt: the messages' texts, joined by line breaks."""
    text = "\n".join(message.text for message in messages)
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def judge_label(benchmark: Benchmark, model: str) -> str:
    """Whether judgments by ``model`` (as the server named it) compare with published numbers."""
    official = benchmark.judge.model if benchmark.judge else None
    return label_beside(official, model, benchmark.edition)


def label_beside(official: str | None, model: str, edition: Edition) -> str:
    """``judge_label``, for a run whose benchmark is not at hand: ``official`` is None where none judges."""
    if official is None:
        return "no judge"
    if edition == "pocket" and model == ORACLE_MODEL:
        return "the pocket oracle"
    if model == official:
        return f"the official judge, {model}"
    if same_model(official, model):
        return f"the official judge, {official}, which replied as {model}"
    return (
        f"another judge ({model or 'unknown'} instead of {official}): "
        "not comparable with published numbers"
    )


def unread(attempt: int, max_attempts: int) -> str:
    """What is said of a reply that the benchmark cannot read."""
    return f"the reply cannot be read (attempt {attempt} of {max_attempts})"


class Trial:
    """One question on its way to a judgment: attempt after attempt, until a reply can be read.

    Args:
        where: the endpoint, for the record.
    """

    def __init__(self, question: Question, model: str, where: Mapping[str, Any]) -> None:
        self.question = question
        self.model = model
        self.number = 1
        self.request = question.request
        self._where = where
        self._attempts: list[tuple[JudgeRequest, Reply | Fault]] = []

    def cache_key(self, endpoint: str) -> str:
        """What a reply is stored under: who is asked what, and for the how manieth time.

        The endpoint belongs to it because a model's name says little on another server, and the
        attempt because the same question at temperature 0 would else be served the same unreadable
        reply for ever.
        """
        return sha256_of(
            {
                "endpoint": endpoint,
                "model": self.model,
                "request": self.request.key,
                "attempt": self.number,
                "sample": self.question.sample,
            }
        )

    def take(self, outcome: Reply | Fault) -> Judgment | None:
        """The judgment that an outcome brings; None when ``request`` (a new one) is to be asked."""
        self._attempts.append((self.request, outcome))
        if isinstance(outcome, Fault):
            return self._judgment(JudgmentStatus.JUDGE_ERROR, {}, outcome.reason)
        values = self.question.benchmark.read_reply(self.request, outcome.text)
        if values is not None:
            return self._judgment(JudgmentStatus.OK, values, None)
        if self.number >= self.question.max_attempts:
            return self._judgment(JudgmentStatus.UNPARSED, {}, self._unread(outcome))
        self.number += 1
        self.request = self.question.attempt(self.number)
        return None

    def _unread(self, reply: Reply) -> str:
        reason = unread(self.number, self.question.max_attempts)
        if reply.finish_reason == "length":
            reason += f"; it was cut at {self.request.decoding.max_new_tokens} tokens"
        return reason

    def _judgment(
        self, status: JudgmentStatus, values: Mapping[str, Any], error: str | None
    ) -> Judgment:
        asked, last = self._attempts[-1]
        reply = last.reply if isinstance(last, Fault) else last
        return Judgment(
            request_id=self.question.request.id,
            item_id=self.question.request.item_id,
            key=self.question.request.key,
            status=status,
            raw=_raw(last),
            values=values,
            model=reply.model if reply else "",
            error=error,
            meta=self._meta(asked, reply),
        )

    def _meta(self, asked: JudgeRequest, reply: Reply | None) -> dict[str, Any]:
        outcomes = [outcome for _, outcome in self._attempts]
        replies = [o.reply if isinstance(o, Fault) else o for o in outcomes]
        costs = [o.cost_usd for o in outcomes if o.cost_usd is not None]
        return {
            "judge": self.model,
            **self._where,
            "asked_at": now(),
            "prompt_name": asked.prompt_name,
            "prompt_sha256": prompt_sha256(asked.messages),
            "decoding": asdict(asked.decoding),
            "not_sent": list(reply.not_sent) if reply else [],
            "system_fingerprint": reply.fingerprint if reply else None,
            "finish_reason": reply.finish_reason if reply else None,
            "n_prompt_tokens": sum(r.n_prompt_tokens or 0 for r in replies if r),
            "n_new_tokens": sum(r.n_new_tokens or 0 for r in replies if r),
            "cost_usd": sum(costs) if costs else None,
            "n_calls": sum(o.n_calls for o in outcomes),
            "cached": all(isinstance(o, Reply) and o.cached for o in outcomes),
            "attempts": [_attempt(request, outcome) for request, outcome in self._attempts],
        }


def _raw(outcome: Reply | Fault) -> str:
    return outcome.text if isinstance(outcome, Reply) else outcome.raw[:KEPT_OF_A_FAULT]


def _attempt(request: JudgeRequest, outcome: Reply | Fault) -> dict[str, Any]:
    """One attempt, as it is kept beside the judgment."""
    reply = outcome.reply if isinstance(outcome, Fault) else outcome
    return {
        "raw": _raw(outcome),
        "error": outcome.reason if isinstance(outcome, Fault) else None,
        "model": reply.model if reply else "",
        "finish_reason": reply.finish_reason if reply else None,
        "temperature": request.decoding.temperature,
        "n_calls": outcome.n_calls,
    }
