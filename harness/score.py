"""``python -m harness.score``: score responses that you already have.

Reads the benchmark's official answer files, and Plumbline's own: JSON Lines of ``{"id", "response"}`` (the ids that
``harness.run`` uses, ``popular/17``) or a run's ``responses.jsonl``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.base import (
    BadRecordError,
    Benchmark,
    Item,
    Judgment,
    Metric,
    PlumblineError,
    Response,
)
from benchmarks.records import Record, read_records
from benchmarks.registry import BENCHMARKS, open_benchmark
from benchmarks.tables import is_table
from harness.command import DONE, add_data_options, at_least, read_options, run_command
from harness.env import default_data_dir
from harness.generate import conversation

HINTS = ("split", "pairing")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.score",
        description="Score answers that were made elsewhere. Items without an answer lower the coverage.",
    )
    parser.add_argument("--benchmark", required=True, choices=sorted(BENCHMARKS))
    parser.add_argument(
        "--responses",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="official answer files, or JSON Lines of {id, response}",
    )
    parser.add_argument("--edition", choices=("official", "pocket"), default="official")
    parser.add_argument(
        "--judgments",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="recorded judge replies, for judged benchmarks",
    )
    parser.add_argument(
        "--split", help="which split the answers belong to, when the file does not tell"
    )
    parser.add_argument(
        "--pairing",
        choices=("id", "position"),
        help="pair answers with questions by id (default), or by position as some official scripts do",
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=0, help="seed of the intervals' resampling (default 0)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="also write scores.parquet, metrics.json and an official leaderboard here",
    )
    parser.add_argument("--json", action="store_true", help="print every metric as JSON")
    add_data_options(parser)
    return parser


def read_own(paths: Sequence[Path]) -> dict[str, tuple[Response, Record]] | None:
    """Plumbline's own response files: each answer and where it stands, by request id.

    The first record tells the form of all files; None when it is not this one. Raises BadRecordError.
    """
    if any(is_table(path) for path in paths):
        return None
    of_path = {path: read_records(path) for path in paths}
    for path, records in of_path.items():
        if not records:
            raise BadRecordError(f"{path}: there is no answer in it. Check the path")
    if not _is_own(of_path[paths[0]][0].fields):
        return None
    found: dict[str, tuple[Response, Record]] = {}
    for record in (record for records in of_path.values() for record in records):
        response = _own_response(record)
        # The log of a run may hold several; the newest counts.
        if response.request_id in found and "request_id" not in record.fields:
            _, first = found[response.request_id]
            raise record.error(
                f"a second answer to {response.request_id!r}, after {first.path}, line {first.line}",
                "Keep one answer for each id",
            )
        found[response.request_id] = response, record
    return found


def _is_own(fields: Mapping[str, Any]) -> bool:
    return (isinstance(fields.get("id"), str) and "response" in fields) or "request_id" in fields


def _own_response(record: Record) -> Response:
    """A record's answer. Raises BadRecordError."""
    fields = record.fields
    if "request_id" in fields:
        try:
            return Response.from_json(fields)
        except (KeyError, TypeError, ValueError) as error:
            problem = f"not a record of a run's responses.jsonl ({error})"
            raise record.error(problem, "Remove it, or write {id, response}") from error
    given, text = fields.get("id"), fields.get("response")
    if not isinstance(given, str | int) or isinstance(given, bool):
        raise record.error(f'"id" is {given!r}, not text', "Write the item's id")
    if not isinstance(text, str):
        found = type(text).__name__ if "response" in fields else "missing"
        fix = "Write the answer as a JSON string, or leave the record out if there is none"
        raise record.error(f'"response" is {found}; it must be text', fix)
    return Response(str(given), key="", text=text)


def by_item(
    benchmark: Benchmark,
    items: Sequence[Item],
    responses: Sequence[Response],
    origin: Mapping[str, Record] | None = None,
) -> dict[str, list[Response]]:
    """Responses by item, in the order of the turns.

    Args:
        origin: where responses stand, by request id; for the error.

    Raises:
        BadRecordError: there is an answer to something that is not asked.
    """
    by_id = {response.request_id: response for response in responses}
    found: dict[str, list[Response]] = {}
    for item in items:
        ask = partial(benchmark.request, item)
        turns = conversation(ask, by_id, independent=benchmark.independent_turns)
        for turn in turns:
            by_id.pop(turn.request_id, None)
        if turns:
            found[item.id] = turns
    for request_id in by_id:
        problem = f"there is an answer to {request_id!r}, which {benchmark.title} does not ask"
        like = f"Ids look like {items[0].id!r}; check" if items else "Check"
        fix = f"{like} --benchmark, --edition and --set"
        record = (origin or {}).get(request_id)
        raise record.error(problem, fix) if record else BadRecordError(f"{problem}. {fix}")
    return found


def score(arguments: argparse.Namespace) -> tuple[Benchmark, list[Metric], int, int]:
    """The command's work: benchmark, metrics, number of items, number of answered items."""
    from harness.scoring import measure, score_items
    from harness.store import score_table, to_json, write_atomically

    options = read_options(arguments.options)
    if strangers := [name for name in options if name != arguments.benchmark]:
        raise PlumblineError(f"--set {strangers[0]}.…: the benchmark is {arguments.benchmark}")
    benchmark = open_benchmark(
        arguments.benchmark,
        arguments.edition,
        arguments.data_dir or default_data_dir(),
        options.get(arguments.benchmark),
    )
    items = benchmark.items()
    hints = {
        name: getattr(arguments, name) for name in HINTS if getattr(arguments, name) is not None
    }
    own = read_own(arguments.responses)
    if own is None:
        benchmark = benchmark.for_official_answers()
        responses = list(benchmark.read_responses(arguments.responses, **hints))
    elif hints:
        raise PlumblineError(
            f"--{next(iter(hints))} is for official answer files; these name their items"
        )
    else:
        responses = [response for response, _ in own.values()]
    origin = {request_id: record for request_id, (_, record) in (own or {}).items()}
    turns = by_item(benchmark, items, responses, origin)
    judgments = _judgments(benchmark, arguments.judgments)
    rows = score_items(benchmark, items, turns, judgments)
    metrics = measure(benchmark, rows, seed=arguments.seed)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        table = score_table(items, rows, turns)
        write_atomically(arguments.out / "scores.parquet", table.to_parquet(index=False))
        write_atomically(arguments.out / "metrics.json", to_json([m.to_json() for m in metrics]))
        judges = sorted({one.model for several in judgments.values() for one in several})
        for name, text in benchmark.comparison_files(metrics, judges).items():
            write_atomically(arguments.out / name, text)
    return benchmark, metrics, len(items), len(turns)


def _judgments(benchmark: Benchmark, paths: Sequence[Path] | None) -> dict[str, list[Judgment]]:
    found: dict[str, list[Judgment]] = {}
    if paths is None:
        return found
    for judgment in benchmark.read_judgments(paths):
        found.setdefault(judgment.item_id, []).append(judgment)
    if not found:
        files = ", ".join(map(str, paths))
        raise BadRecordError(f"{files}: there is no judgment in it. Check the path")
    return found


def as_json(
    benchmark: Benchmark, metrics: Sequence[Metric], n_items: int, n_answered: int
) -> dict[str, Any]:
    """What ``--json`` prints. ``metrics`` by name, ``"f1/popular"`` for one that belongs to a split."""
    return {
        "benchmark": benchmark.name,
        "edition": benchmark.edition,
        "protocol": benchmark.protocol(),
        "n_items": n_items,
        "n_answered": n_answered,
        "metrics": {
            f"{metric.name}/{metric.split}" if metric.split else metric.name: asdict(metric)
            for metric in metrics
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        from harness.show import consoles, print_table
        from harness.store import to_json

        benchmark, metrics, n_items, n_answered = score(arguments)
        if arguments.json:
            print(to_json(as_json(benchmark, metrics, n_items, n_answered)), end="")
            return DONE
        out, _ = consoles()
        remarks = []
        if arguments.judgments:
            remarks = ["judged by recorded replies"]
        elif benchmark.judge is not None:
            remarks = ["a judge's replies are needed: give them by --judgments FILE"]
        heading = f"{n_answered:,} of {n_items:,} items are answered"
        print_table(out, heading, {benchmark.full_title: metrics}, remarks)
        return DONE

    return run_command(body, "nothing was written")


if __name__ == "__main__":
    sys.exit(main())
