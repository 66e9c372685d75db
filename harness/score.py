"""``python -m harness.score``: score responses that you already have.

Reads the benchmark's official answer files, and Plumbline's own: JSON Lines of ``{"id", "response"}`` (the ids that
``harness.run`` uses, ``popular/17``) or a run's ``responses.jsonl``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from benchmarks.registry import BENCHMARKS, open_benchmark
from harness.command import DONE, add_data_options, read_options, run_command
from harness.env import default_data_dir

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
        "--seed", type=int, default=0, help="seed of the intervals' resampling (default 0)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="also write scores.parquet and metrics.json here"
    )
    parser.add_argument("--json", action="store_true", help="print every metric as JSON")
    add_data_options(parser)
    return parser


def read_own(paths: Sequence[Path]) -> list[Response] | None:
    """Plumbline's own response files, or None when the records are not of that form. Raises BadRecordError."""
    from benchmarks.records import read_records

    found: dict[str, Response] = {}
    for path in paths:
        records = read_records(path)
        if not records or not all(_is_own(record.fields) for record in records):
            return None
        for record in records:
            response = _own_response(record.fields)
            if response is None:
                raise record.error('"response" must be text', "write the answer as a JSON string")
            if response.request_id in found and "request_id" not in record.fields:
                raise record.error(
                    f"a second answer to {response.request_id!r}", "keep one answer for each id"
                )
            found[response.request_id] = response
    return list(found.values())


def _is_own(fields: Mapping[str, Any]) -> bool:
    return (isinstance(fields.get("id"), str) and "response" in fields) or "request_id" in fields


def _own_response(fields: Mapping[str, Any]) -> Response | None:
    if "request_id" in fields:
        try:
            return Response.from_json(fields)
        except (TypeError, ValueError):
            return None
    text = fields["response"]
    return Response(fields["id"], key="", text=text) if isinstance(text, str) else None


def by_item(
    benchmark: Benchmark, items: Sequence[Item], responses: Sequence[Response]
) -> dict[str, list[Response]]:
    """Responses by item, in the order of the turns. Raises BadRecordError for an unknown id."""
    known = {item.id for item in items}
    found: dict[str, list[Response]] = {}
    for response in sorted(responses, key=_turn):
        item_id = response.request_id.split("#")[0]
        if item_id not in known:
            raise BadRecordError(
                f"there is an answer to {item_id!r}, which {benchmark.title} does not have. Ids look like "
                f"{items[0].id!r}; check --benchmark, --edition and --set."
            )
        found.setdefault(item_id, []).append(response)
    return found


def _turn(response: Response) -> int:
    _, _, turn = response.request_id.partition("#")
    return int(turn) if turn.isdigit() else 1


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
    responses = read_own(arguments.responses)
    if responses is None:
        responses = list(benchmark.read_responses(arguments.responses, **hints))
    elif hints:
        raise PlumblineError(
            f"--{next(iter(hints))} is for official answer files; these name their items"
        )
    turns = by_item(benchmark, items, responses)
    rows = score_items(benchmark, items, turns, _judgments(benchmark, arguments.judgments))
    metrics = measure(benchmark, rows, seed=arguments.seed)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        score_table(items, rows, turns).to_parquet(arguments.out / "scores.parquet", index=False)
        write_atomically(arguments.out / "metrics.json", to_json([m.to_json() for m in metrics]))
    return benchmark, metrics, len(items), len(turns)


def _judgments(benchmark: Benchmark, paths: Sequence[Path] | None) -> dict[str, list[Judgment]]:
    found: dict[str, list[Judgment]] = {}
    for judgment in benchmark.read_judgments(paths) if paths else ():
        found.setdefault(judgment.item_id, []).append(judgment)
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
        print_table(
            out, f"{n_answered:,} of {n_items:,} items are answered", {benchmark.title: metrics}
        )
        return DONE

    return run_command(body, "nothing was written")


if __name__ == "__main__":
    sys.exit(main())
