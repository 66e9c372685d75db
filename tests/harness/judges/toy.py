"""A benchmark of forty sums for a judge, and a judge that rates them: what the tests of the judges
run.

Every seventh item's first reply is chatty and cannot be read; its second one can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.base import (
    Benchmark,
    Decoding,
    Item,
    JudgeRequest,
    JudgeSpec,
    Judgment,
    JudgmentStatus,
    Message,
    MetricSpec,
    Request,
    Response,
    ScoreRow,
    ScoreStatus,
)
from harness.judges.base import ORACLE_MODEL, Judge, Question
from harness.judges.config import JudgeConfig
from harness.judging import JudgePart
from harness.store import Log

AGAIN = "\nReply with the rating only."


@dataclass(frozen=True)
class Sums(Benchmark):
    """Asks for sums and has the answers rated from 0 to 9."""

    name: ClassVar[str] = "sums"
    title: ClassVar[str] = "Sums"
    paper: ClassVar[str] = ""

    n: int = 40
    official_judge: str = ORACLE_MODEL
    max_attempts: int = 2
    n_samples: int = 1
    pattern: str = r"Rating: (\d)"

    def items(self) -> Sequence[Item]:
        return [Item(str(n), str(n), f"What is {n} + {n}?") for n in range(self.n)]

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        if earlier:
            return None
        return Request(item.id, item.id, (Message("user", item.question),), Decoding(8))

    @property
    def judge(self) -> JudgeSpec | None:
        return JudgeSpec(self.official_judge, "served by this test", self.max_attempts)

    def judge_requests(self, item: Item, responses: Sequence[Response]) -> Sequence[JudgeRequest]:
        text = f"Rate this answer: {item.question} {responses[0].text}"
        return [
            JudgeRequest(f"{item.id}/{n}", item.id, (Message("user", text),), Decoding(16), "rate")
            for n in range(self.n_samples)
        ]

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        found = re.fullmatch(self.pattern, reply)
        return {"rating": int(found[1])} if found else None

    def judge_again(self, request: JudgeRequest, attempt: int) -> JudgeRequest:
        message = Message("user", request.messages[0].text + AGAIN)
        decoding = replace(request.decoding, temperature=0.5 * (attempt - 1))
        return replace(request, messages=(message,), decoding=decoding)

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        [judgment] = judgments
        values = {"rating": float(judgment.values["rating"])}
        return ScoreRow(item.id, item.group, "", ScoreStatus.SCORED, values)

    def metric_specs(self) -> Sequence[MetricSpec]:
        return ()


def rate(messages: Sequence[Message]) -> str | None:
    """The judge: the last digit of the first number, after some chat for every seventh."""
    text = messages[-1].text
    found = re.search(r"What is (\d+)", text)
    if not found:
        return None
    number = int(found[1])
    if number % 7 == 3 and not text.endswith(AGAIN):
        return "What a fine answer!"
    return f"Rating: {number % 10}"


def expected(n: int) -> dict[str, int]:
    """The right ratings by item."""
    return {str(number): number % 10 for number in range(n)}


def questions(benchmark: Benchmark) -> list[Question]:
    return [
        Question(request, benchmark)
        for item in benchmark.items()
        for request in benchmark.judge_requests(item, answers(item))
    ]


def answers(item: Item) -> list[Response]:
    return [Response(item.id, "", f"It is {2 * int(item.id)}.")]


def part(benchmark: Benchmark, folder: Path) -> JudgePart:
    items = benchmark.items()
    log = Log(folder / benchmark.name / "judgments.jsonl", Judgment)
    return JudgePart(benchmark, items, {item.id: answers(item) for item in items}, log)


def ratings(judgments: Mapping[str, Judgment]) -> dict[str, int]:
    """What the usable judgments say, by item."""
    return {
        judgment.item_id: judgment.values["rating"]
        for judgment in judgments.values()
        if judgment.status is JudgmentStatus.OK
    }


def ask(judge: Judge, benchmark: Benchmark) -> list[Judgment]:
    """All judgments of a benchmark, in the order of its items."""
    asked = questions(benchmark)
    found = {id(q): judgment for batch in judge.ask(asked) for q, judgment in batch}
    return [found[id(question)] for question in asked]


def hasty(url: str, **changes: Any) -> JudgeConfig:
    """A configuration that loses no time in a test."""
    usual = {
        "model": ORACLE_MODEL,
        "base_url": url,
        "timeout_s": 30.0,
        "backoff_s": 0.01,
        "backoff_cap_s": 0.02,
        "poll_s": 0.05,
    }
    return JudgeConfig(**{**usual, **changes})


def silent(n_came: int, n_asked: int) -> None:
    """Progress that nobody looks at."""
