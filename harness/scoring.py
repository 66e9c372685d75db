"""The last stages: responses and judgments to rows, rows to metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.base import (
    Benchmark,
    Item,
    Judgment,
    Metric,
    Response,
    ResponseStatus,
    ScoreRow,
    ScoreStatus,
    failed_row,
)
from harness import stats


def score_items(
    benchmark: Benchmark,
    items: Sequence[Item],
    responses: Mapping[str, Sequence[Response]],
    judgments: Mapping[str, Sequence[Judgment]] | None = None,
) -> list[ScoreRow]:
    """One row per item; an item without a complete answer gets a row that says so.

    Where turns do not depend on each other, the benchmark itself says what the answered ones are worth.
    """
    rows = []
    for item in items:
        turns = responses.get(item.id, ())
        failure = next((turn for turn in turns if turn.status is not ResponseStatus.OK), None)
        if failure is not None and not benchmark.independent_turns:
            row = failed_row(item, ScoreStatus.GENERATION_ERROR, failure.error)
        elif not turns or benchmark.request(item, turns) is not None:
            row = failed_row(item, ScoreStatus.GENERATION_ERROR, "no answer yet")
        else:
            row = benchmark.score(item, turns, (judgments or {}).get(item.id, ()))
        rows.append(row)
    return rows


def measure(benchmark: Benchmark, rows: Sequence[ScoreRow], *, seed: int = 0) -> list[Metric]:
    """All metrics of a benchmark with their intervals."""
    return stats.evaluate(benchmark.metric_specs(), rows, seed=seed)
