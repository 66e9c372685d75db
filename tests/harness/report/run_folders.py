"""Run folders as ``harness.run`` leaves them, of answers that a test writes: pocket questions, pocket oracle, real scorers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.base import Benchmark, Item, Request, Response
from benchmarks.registry import open_benchmark, options_of
from harness.generate import limited
from harness.judges.oracle import OracleJudge
from harness.judging import JudgePart, judge, judgments_of, models_used
from harness.scoring import score_items
from harness.stats import evaluate
from harness.store import RunFolder

Answer = Callable[[Item, Request], str | Response]
"""A text, or a whole response (a failure, or an answer that was cut)."""


def write_run(
    path: Path,
    answers: Mapping[str, Answer],
    *,
    limit: int = 3,
    checkpoint: str = "some/checkpoint",
) -> Path:
    """A scored run.

    Args:
        answers: by benchmark, what is answered to each request.
        limit: items of each split.
    """
    benchmarks = {name: open_benchmark(name, "pocket") for name in answers}
    with RunFolder(path) as folder:
        identity = {
            "checkpoint": {"engine": "scripted", "weights_sha256": "0" * 64},
            "edition": "pocket",
        }
        folder.claim(identity, {name: each.protocol() for name, each in benchmarks.items()})
        folder.note_session({"started": "2026-01-01T00:00:00", "ckpt": checkpoint, "limit": limit})
        for name, benchmark in benchmarks.items():
            _write_part(folder, benchmark, answers[name], limit)
    return path


def _write_part(folder: RunFolder, benchmark: Benchmark, answer: Answer, limit: int) -> None:
    items = limited(benchmark.items(), limit)
    turns = {item.id: _conversation(benchmark, item, answer) for item in items}
    folder.responses(benchmark.name).append([turn for each in turns.values() for turn in each])
    judgments, judges = None, list[str]()
    if benchmark.judge is not None:
        part = JudgePart(benchmark, items, turns, folder.judgments(benchmark.name))
        judge([part], OracleJudge(), lambda done, total: None)
        judgments, judges = judgments_of(part), models_used(part)
    rows = score_items(benchmark, items, turns, judgments)
    folder.write_scores(benchmark.name, items, rows, turns)
    folder.write_metrics(benchmark.name, evaluate(benchmark.metric_specs(), rows, n_resamples=100))
    about = {
        "benchmark": benchmark.name,
        "title": benchmark.full_title,
        "edition": benchmark.edition,
        "control": None,
        "options": options_of(benchmark),
        "protocol": benchmark.protocol(),
        "judges": judges,
        "official_judge": benchmark.judge.model if benchmark.judge else None,
    }
    folder.write_about(benchmark.name, about)


def _conversation(benchmark: Benchmark, item: Item, answer: Answer) -> list[Response]:
    turns: list[Response] = []
    while (request := benchmark.request(item, turns)) is not None:
        given = answer(item, request)
        whole = given if isinstance(given, Response) else Response(request.id, request.key, given)
        turns.append(whole)
        if whole.error:
            break
    return turns
