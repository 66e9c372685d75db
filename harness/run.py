"""``python -m harness.run``: generate, judge, score, summarise; one folder that can be resumed.

Without arguments it runs the embedded pocket checkpoint over the pocket edition of the hallucination suite, in
about a minute, without a GPU, a key or a download.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.base import Edition, PlumblineError
from benchmarks.pocket import CHECKPOINT
from benchmarks.registry import BENCHMARKS
from benchmarks.suites import SUITES, expand
from harness.command import Options, add_data_options, at_least, read_options, run_command
from harness.controls import CONTROLS, Control
from harness.engines.select import Hosted, InProcess, add_engine_options, choose
from harness.env import default_data_dir
from harness.judges.options import add_judge_options
from harness.lmms.tasks import split_suite

STAGES = ("generate", "judge", "score")
RUNS = Path("results") / "runs"


@dataclass(frozen=True)
class RunConfig:
    """What a run is asked to do; filled from the command line."""

    ckpt: str
    suite: tuple[str, ...]
    lmms: tuple[str, ...]
    lmms_include: tuple[Path, ...]
    edition: Edition
    data_dir: Path
    out: Path
    options: Options
    stages: tuple[str, ...]
    limit: int | None
    engine: InProcess | Hosted
    seed: int
    control: Control | None
    judge: argparse.Namespace
    dry_run: bool

    @property
    def is_embedded(self) -> bool:
        return Path(self.ckpt) == CHECKPOINT


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.run",
        description="Run benchmarks against a checkpoint. Without arguments: the embedded pocket checkpoint "
        "on the pocket edition of the hallucination suite. The same --out resumes a run.",
    )
    add_engine_options(parser)
    parser.add_argument(
        "--suite",
        default="hallucination",
        metavar="NAME[,NAME]",
        help=f"suites ({', '.join(SUITES)}) or benchmarks ({', '.join(BENCHMARKS)}); behind lmms: tasks of "
        "lmms-eval (lmms:mme,gqa); default: hallucination",
    )
    parser.add_argument(
        "--lmms-include",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder with lmms-eval task files of your own; may be repeated",
    )
    parser.add_argument(
        "--edition",
        choices=("official", "pocket"),
        help="official questions (from --data-dir), or the embedded pocket world "
        "(default: official when --ckpt is given, else pocket)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the run folder (default: below results/runs)"
    )
    parser.add_argument(
        "--limit", type=at_least(1), metavar="N", help="only the first N items of each split"
    )
    parser.add_argument(
        "--stages",
        default=",".join(STAGES),
        metavar="STAGE[,STAGE]",
        help=f"which of {', '.join(STAGES)} to do (default: all)",
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=0, help="seed of the intervals' resampling (default 0)"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be asked, load no model, write nothing",
    )
    parser.add_argument(
        "--control",
        choices=("none", *CONTROLS),
        default="none",
        help="also ask everything with a grey picture (blind), another item's picture (shuffled) or no "
        "picture (text_only), and show how much of each score comes from looking",
    )
    add_data_options(parser)
    add_judge_options(parser)
    return parser


def read_config(arguments: argparse.Namespace) -> RunConfig:
    """The command line as a RunConfig. Raises PlumblineError."""
    ckpt = arguments.ckpt or str(CHECKPOINT)
    edition: Edition = arguments.edition or ("official" if arguments.ckpt else "pocket")
    ours, lmms = split_suite(arguments.suite)
    suite = _available(ours) if ours or not lmms else ()
    if arguments.lmms_include and not lmms:
        raise PlumblineError("--lmms-include is for lmms-eval's tasks: name one, --suite lmms:TASK")
    stages = tuple(name.strip() for name in arguments.stages.split(","))
    if unknown := [name for name in stages if name not in STAGES]:
        raise PlumblineError(f"--stages {','.join(unknown)}: choose from {', '.join(STAGES)}")
    options = read_options(arguments.options)
    known = (*suite, "lmms") if lmms else suite
    if strangers := [name for name in options if name not in known]:
        raise PlumblineError(f"--set {strangers[0]}.…: {strangers[0]} is not part of this run")
    return RunConfig(
        ckpt=ckpt,
        suite=suite,
        lmms=lmms,
        lmms_include=tuple(arguments.lmms_include),
        edition=edition,
        data_dir=arguments.data_dir or default_data_dir(),
        out=arguments.out or RUNS / _default_name(arguments.ckpt, edition, arguments.suite),
        options=options,
        stages=stages,
        limit=arguments.limit,
        engine=choose(arguments),
        seed=arguments.seed,
        control=None if arguments.control == "none" else arguments.control,
        judge=arguments,
        dry_run=arguments.dry_run,
    )


def _available(suite: str) -> tuple[str, ...]:
    """The benchmarks of a suite that this version has; one that is asked for by name must be there."""
    named = {name.strip() for name in suite.split(",")}
    wanted = expand(suite)
    if absent := [name for name in wanted if name not in BENCHMARKS and name in named]:
        raise PlumblineError(
            f"{absent[0]} is not in this version (there are: {', '.join(BENCHMARKS)})"
        )
    found = tuple(name for name in wanted if name in BENCHMARKS)
    if not found:
        raise PlumblineError(
            f"no benchmark of {suite} is in this version (there are: {', '.join(BENCHMARKS)})"
        )
    return found


def _default_name(ckpt: str | None, edition: str, suite: str) -> str:
    """The last two parts of the checkpoint's name, the edition and what is asked."""
    if ckpt is None:
        name = "pocket-checkpoint"
    else:
        path = Path(ckpt)
        parts = (path.resolve() if path.exists() else path).parts[-2:]
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-")
    asked = "+".join(part.strip() for part in suite.replace(":", "-").split(","))
    return f"{name}_{edition}_{asked}"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        config = read_config(arguments)
        from harness.pipeline import execute
        from harness.show import consoles

        out, err = consoles()
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        return execute(config, out, err)

    return run_command(body, "what is answered is on disk, and the same command goes on from there")


if __name__ == "__main__":
    sys.exit(main())
