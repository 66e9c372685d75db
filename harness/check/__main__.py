"""``python -m harness.check RUN --baseline FILE``: fail when a run is worse than what was accepted."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.check.baseline import write_baseline
from harness.check.rules import Rules, read_rules
from harness.command import DONE, FAILED, run_command
from harness.env import default_data_dir, step_summary
from harness.store import write_atomically


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.check",
        description="Compare a run with accepted numbers. Exit code 0: not worse; 1: worse, or less complete; "
        "2: not the same measurement, or wrong usage.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a folder that harness.run made")
    parser.add_argument(
        "--baseline", type=Path, required=True, metavar="FILE", help="the accepted numbers (JSON)"
    )
    parser.add_argument(
        "--rules", type=Path, metavar="FILE", help="what each metric is allowed to do (TOML)"
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="NAME[,NAME]",
        help="benchmarks to check (default: all of the baseline; one that the run lacks fails)",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write JUnit XML")
    parser.add_argument(
        "--summary",
        type=Path,
        metavar="FILE",
        help="also write Markdown (appended to $GITHUB_STEP_SUMMARY where that is set)",
    )
    parser.add_argument(
        "--update", action="store_true", help="accept the run's numbers: write the baseline anew"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where the official files lie, for the few formulas that need them (default: as in harness.run)",
    )
    return parser


def _update(arguments: argparse.Namespace) -> int:
    from harness.check.changes import changes
    from harness.check.pages import print_changes
    from harness.runs import open_runs
    from harness.show import consoles

    (run,) = open_runs([arguments.run])
    out, _ = consoles()
    told = changes(run, arguments.baseline)
    write_baseline(
        run, arguments.baseline, shlex.join(["python", "-m", "harness.check", *sys.argv[1:]])
    )
    print_changes(out, str(arguments.baseline), told)
    return DONE


def _check(arguments: argparse.Namespace) -> int:
    from harness.check.baseline import read_baseline
    from harness.check.gate import check
    from harness.check.junit import junit
    from harness.check.pages import print_verdict, summary
    from harness.runs import open_runs
    from harness.show import consoles

    rules = read_rules(arguments.rules) if arguments.rules else Rules()
    (run,) = open_runs([arguments.run])
    verdict = check(
        run,
        read_baseline(arguments.baseline),
        rules,
        only=[name.strip() for name in arguments.only.split(",") if name.strip()],
        data_dir=arguments.data_dir or default_data_dir(),
        baseline_name=str(arguments.baseline),
    )
    if arguments.junit is not None:
        write_atomically(arguments.junit, junit(verdict))
    page = summary(verdict)
    if arguments.summary is not None:
        write_atomically(arguments.summary, page)
    if (shared := step_summary()) is not None:
        with shared.open("a", encoding="utf-8") as stream:
            stream.write(page)
    out, _ = consoles()
    print_verdict(out, verdict)
    return FAILED if verdict.breaches else DONE


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if arguments.update:
        for name in ("rules", "only", "junit", "summary"):
            if getattr(arguments, name):
                parser.error(f"--update takes the whole run and checks nothing; leave out --{name}")
    return run_command(
        lambda: _update(arguments) if arguments.update else _check(arguments),
        "the baseline is as it was",
    )


if __name__ == "__main__":
    sys.exit(main())
