"""What the commands share: options that several take, and errors turned into exit codes."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.base import MissingDataError, PlumblineError

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

Options = dict[str, dict[str, str]]
"""Benchmark options as given on the command line: ``{"pope": {"prompt": "bare"}}``."""


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """``--data-dir`` and ``--set``."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where the official files lie (default: $PLUMBLINE_DATA or ~/.cache/plumbline/data)",
    )
    parser.add_argument(
        "--set",
        dest="options",
        action="append",
        default=[],
        metavar="BENCHMARK.OPTION=VALUE",
        help="a protocol's option, e.g. pope.variant=seem_gqa or pope.prompt=bare; may be repeated",
    )


def read_options(given: Sequence[str]) -> Options:
    """``["pope.prompt=bare"]`` as ``{"pope": {"prompt": "bare"}}``. Raises PlumblineError."""
    options: Options = {}
    for text in given:
        name, equals, value = text.partition("=")
        benchmark, dot, option = name.partition(".")
        if not (equals and dot and benchmark and option):
            raise PlumblineError(
                f"--set {text}: write it as BENCHMARK.OPTION=VALUE, e.g. pope.prompt=bare"
            )
        options.setdefault(benchmark, {})[option] = value
    return options


def at_least(minimum: int) -> Callable[[str], int]:
    """The type of an option that takes whole numbers from ``minimum`` on."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number of at least {minimum}"
            )
        return value

    return convert


def above_zero(text: str) -> float:
    """The type of an option that takes positive numbers."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def run_command(body: Callable[[], int], when_interrupted: str) -> int:
    """Run a command's body; problems that the user can mend become a message and an exit code."""
    try:
        return body()
    except MissingDataError as error:
        print(f"error: {error}\nTo bring it:  {error.remedy}", file=sys.stderr)
    except PlumblineError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:  # a full disk, a folder that may not be written
        place = f"{error.filename}: " if error.filename else ""
        problem = f"{place}{error.strerror or error}"
        print(f"error: {problem}. Mend this and run the same command again.", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"\ninterrupted; {when_interrupted}", file=sys.stderr)
        return INTERRUPTED
    return WRONG_USAGE
