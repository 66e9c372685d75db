"""A judge whose replies stand in a case, asked the way that a run asks its judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.base import Benchmark, Decoding, Judgment, Message, Metric, Response, ScoreRow
from harness.judges.oracle import OracleJudge, ReplyTo
from harness.judging import JudgePart, questions_of
from harness.scoring import score_items
from harness.stats import evaluate
from harness.store import Log


@dataclass(frozen=True)
class Call:
    """One request to the judge."""

    messages: Sequence[Message]
    decoding: Decoding


@dataclass(frozen=True)
class Session:
    """What a scripted judge was asked, and what it judged, each by item and in order."""

    calls: Mapping[str, Sequence[Call]]
    judgments: Mapping[str, Sequence[Judgment]]


def ask(
    benchmark: Benchmark, answers: Mapping[str, str], replies: Sequence[str], folder: Path
) -> Session:
    """Have answers judged, item by item; ``replies`` go out in the order of the calls.

    Args:
        answers: by item id; other items are not judged.
        folder: an empty one.
    """
    left = iter(replies)
    session = judged(benchmark, answers, lambda messages: next(left), folder)
    assert not list(left)
    return session


def judged(
    benchmark: Benchmark, answers: Mapping[str, str], reply: ReplyTo, folder: Path
) -> Session:
    """Have answers judged by a function, item by item."""
    responses = {name: [Response(name, "", text)] for name, text in answers.items()}
    log = Log(folder / "judgments.jsonl", Judgment)
    questions = list(questions_of(JudgePart(benchmark, benchmark.items(), responses, log)))
    seen: list[Sequence[Message]] = []

    def noted(messages: Sequence[Message]) -> str | None:
        seen.append(messages)
        return reply(messages)

    calls: dict[str, list[Call]] = {}
    judgments: dict[str, list[Judgment]] = {}
    told = iter(seen)
    for batch in OracleJudge(noted).ask(questions):
        for question, judgment in batch:
            judgments.setdefault(judgment.item_id, []).append(judgment)
            for number in range(1, len(judgment.meta["attempts"]) + 1):
                decoding = question.attempt(number).decoding
                calls.setdefault(judgment.item_id, []).append(Call(next(told), decoding))
    return Session(calls, judgments)


def score(
    benchmark: Benchmark, judgments: Mapping[str, Sequence[Judgment]]
) -> tuple[list[ScoreRow], dict[tuple[str, str], Metric]]:
    """Rows and metrics by (split, name); intervals are rough, so that tests are quick.

    The answers themselves have no say in a score.
    """
    items = benchmark.items()
    responses = {name: [Response(name, "", "an answer")] for name in judgments}
    rows = score_items(benchmark, items, responses, judgments)
    metrics = evaluate(benchmark.metric_specs(), rows, n_resamples=20)
    return rows, {(metric.split, metric.name): metric for metric in metrics}


def by_item(judgments: Sequence[Judgment]) -> dict[str, list[Judgment]]:
    found: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        found.setdefault(judgment.item_id, []).append(judgment)
    return found
