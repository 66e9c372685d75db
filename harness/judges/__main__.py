"""``python -m harness.judges``: try a judge, or serve one.

::

    python -m harness.judges check --judge gpt-4o-2024-11-20
    python -m harness.judges serve-oracle --port 8000 --latency 0.5 --fault-rate 0.3
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from benchmarks.base import PlumblineError
from harness.command import DONE, run_command
from harness.judges.options import add_judge_options, make_config


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.judges", description="Try a judge, or serve the pocket edition's."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser(
        "check", help="reach a judge with one tiny call and say which model replies"
    )
    add_judge_options(check)
    _add_server(
        commands.add_parser(
            "serve-oracle",
            help="the pocket oracle as an OpenAI-compatible endpoint",
            description="Serve the pocket edition's judge until interrupted. The first line "
            "printed is the URL to name by --judge-base-url (with --judge pocket-oracle).",
        )
    )
    return parser


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)"
    )
    parser.add_argument("--port", type=int, default=0, help="(default 0: any free one)")
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="S", help="seconds that each reply takes"
    )
    parser.add_argument(
        "--fault-rate",
        type=float,
        default=0.0,
        metavar="P",
        help="the share of calls (0 to 1) answered by a fault: 429, 500, no choices, a web page, "
        "half of a JSON text, another model, a closed connection, silence",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="which calls fail (default 0)"
    )


def _check(arguments: argparse.Namespace) -> int:
    if not arguments.judge:
        raise PlumblineError("name the model to reach: --judge MODEL")
    from harness.judges.client import HttpJudge

    judge = HttpJudge(make_config(arguments))
    returned = judge.reach(arguments.judge)
    print(
        f"{arguments.judge} at {judge.config.endpoint} replies, as {returned or 'an unnamed model'}"
    )
    return DONE


def _serve(arguments: argparse.Namespace) -> int:
    from harness.endpoint.server import FaultPlan
    from harness.judges.oracle import pocket_reply
    from harness.judges.server import OracleServer

    if not 0 <= arguments.fault_rate <= 1:
        raise PlumblineError(f"--fault-rate {arguments.fault_rate:g}: a share lies between 0 and 1")
    faults = FaultPlan(arguments.fault_rate, arguments.seed) if arguments.fault_rate else None
    server = OracleServer(
        pocket_reply(),
        host=arguments.host,
        port=arguments.port,
        latency_s=arguments.latency,
        faults=faults,
    )
    with server:
        print(server.url, flush=True)
        server.serve_forever()
    return DONE


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    body = {"check": _check, "serve-oracle": _serve}[arguments.command]
    return run_command(lambda: body(arguments), "nothing is lost")


if __name__ == "__main__":
    sys.exit(main())
