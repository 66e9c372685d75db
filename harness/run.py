"""``python -m harness.run``: generate, score, summarise; one folder that can be resumed.

Without arguments it runs the embedded pocket checkpoint over the pocket edition of the hallucination suite, in
about a minute, without a GPU, a key or a download.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import logging
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import (
    Benchmark,
    Edition,
    FilePicture,
    Item,
    Metric,
    MissingDataError,
    PictureError,
    PlumblineError,
    ScoreStatus,
)
from benchmarks.pocket import CHECKPOINT
from benchmarks.registry import BENCHMARKS, open_benchmark
from benchmarks.suites import SUITES, expand
from harness.command import (
    DONE,
    FAILED,
    INTERRUPTED,
    Options,
    add_data_options,
    read_options,
    run_command,
)
from harness.env import default_data_dir, remedy

if TYPE_CHECKING:
    from rich.console import Console

    from harness.engines.base import Engine
    from harness.store import RunFolder

STAGES = ("generate", "score")
RUNS = Path("results") / "runs"


@dataclass(frozen=True)
class RunConfig:
    """What a run is asked to do; filled from the command line."""

    ckpt: str
    suite: tuple[str, ...]
    edition: Edition
    data_dir: Path
    out: Path
    options: Options
    stages: tuple[str, ...]
    limit: int | None
    engine: str
    dtype: str
    device: str
    batch_size: int | None
    seed: int
    trust_remote_code: bool
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
    parser.add_argument(
        "--ckpt",
        metavar="PATH|HF_ID",
        help="a Hugging Face folder, a hub id (id@revision), a PEFT adapter folder, or a GGUF file "
        "(default: the embedded pocket checkpoint)",
    )
    parser.add_argument(
        "--suite",
        default="hallucination",
        metavar="NAME[,NAME]",
        help=f"suites ({', '.join(SUITES)}) or benchmarks ({', '.join(BENCHMARKS)}); default: hallucination",
    )
    parser.add_argument(
        "--edition",
        choices=("official", "pocket"),
        help="official questions (from --data-dir), or the embedded pocket world "
        "(default: official when --ckpt is given, else pocket)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: below results/runs)")
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N items of each split")
    parser.add_argument(
        "--stages",
        default=",".join(STAGES),
        metavar="STAGE[,STAGE]",
        help=f"which of {', '.join(STAGES)} to do (default: all)",
    )
    parser.add_argument("--engine", choices=("auto", "transformers"), default="auto")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16 or auto (default)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps or auto (default)")
    parser.add_argument(
        "--batch-size", default="auto", metavar="N|auto", help="rows a batch; halved when memory runs out"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the intervals' resampling (default 0)")
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="let the checkpoint bring its own code"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be asked, load no model, write nothing"
    )
    add_data_options(parser)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def read_config(arguments: argparse.Namespace) -> RunConfig:
    """The command line as a RunConfig. Raises PlumblineError."""
    ckpt = arguments.ckpt or str(CHECKPOINT)
    edition: Edition = arguments.edition or ("official" if arguments.ckpt else "pocket")
    suite = _available(arguments.suite)
    stages = tuple(name.strip() for name in arguments.stages.split(","))
    if unknown := [name for name in stages if name not in STAGES]:
        raise PlumblineError(f"--stages {','.join(unknown)}: choose from {', '.join(STAGES)}")
    options = read_options(arguments.options)
    if strangers := [name for name in options if name not in suite]:
        raise PlumblineError(f"--set {strangers[0]}.…: {strangers[0]} is not part of this run")
    if arguments.batch_size != "auto" and not arguments.batch_size.isdigit():
        raise PlumblineError(f"--batch-size {arguments.batch_size}: write a number or auto")
    return RunConfig(
        ckpt=ckpt,
        suite=suite,
        edition=edition,
        data_dir=arguments.data_dir or default_data_dir(),
        out=arguments.out or RUNS / _default_name(arguments.ckpt, edition, arguments.suite),
        options=options,
        stages=stages,
        limit=arguments.limit,
        engine=arguments.engine,
        dtype=arguments.dtype,
        device=arguments.device,
        batch_size=None if arguments.batch_size == "auto" else max(1, int(arguments.batch_size)),
        seed=arguments.seed,
        trust_remote_code=arguments.trust_remote_code,
        dry_run=arguments.dry_run,
    )


def _available(suite: str) -> tuple[str, ...]:
    """The benchmarks of a suite that this version has; one that is asked for by name must be there."""
    named = {name.strip() for name in suite.split(",")}
    wanted = expand(suite)
    if absent := [name for name in wanted if name not in BENCHMARKS and name in named]:
        raise PlumblineError(f"{absent[0]} is not in this version (there are: {', '.join(BENCHMARKS)})")
    found = tuple(name for name in wanted if name in BENCHMARKS)
    if not found:
        raise PlumblineError(f"no benchmark of {suite} is in this version (there are: {', '.join(BENCHMARKS)})")
    return found


def _default_name(ckpt: str | None, edition: str, suite: str) -> str:
    name = Path(ckpt.rstrip("/")).name.replace("@", "-") if ckpt else "pocket-checkpoint"
    return f"{name}_{edition}_{suite.replace(',', '+')}"


def prepare(config: RunConfig) -> dict[Benchmark, Sequence[Item]]:
    """The benchmarks and their items. Raises MissingDataError before any model is loaded."""
    from harness.generate import limited

    found: dict[Benchmark, Sequence[Item]] = {}
    for name in config.suite:
        benchmark = open_benchmark(name, config.edition, config.data_dir, config.options.get(name))
        items = limited(benchmark.items(), config.limit)
        if "generate" in config.stages:
            _check_pictures(name, items, config.data_dir)
        found[benchmark] = items
    return found


def _check_pictures(name: str, items: Sequence[Item], data_dir: Path) -> None:
    """When no picture at all is there, they were not fetched; single absent ones fail their own items."""
    paths = {p.path for item in items for p in item.pictures if isinstance(p, FilePicture)}
    if paths and not any(path.exists() for path in paths):
        example = min(paths)
        raise MissingDataError(
            f"none of the {len(paths):,} pictures of {name} is there (such as {example})",
            remedy(name, data_dir),
        )


def describe(console: Console, parts: Mapping[Benchmark, Sequence[Item]]) -> None:
    """What ``--dry-run`` prints: how much would be asked."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("benchmark", "items", "different first requests", "pictures", "absent pictures"):
        table.add_column(title, justify="left" if title == "benchmark" else "right")
    for benchmark, items in parts.items():
        keys, pictures, absent = set(), set(), set()
        for item in items:
            request = benchmark.request(item)
            try:
                keys.add(request.key if request else None)
                pictures.update(picture.digest for picture in item.pictures)
            except PictureError:
                absent.update(picture.name for picture in item.pictures)
        counts = (len(items), len(keys), len(pictures), len(absent))
        table.add_row(benchmark.title, *(f"{n:,}" for n in counts))
    console.print(table)


def load_engine(config: RunConfig, console: Console) -> Engine:
    """The engine with the checkpoint in it."""
    with console.status(f"loading {config.ckpt}"):
        from transformers.utils import logging as library_logging

        from harness.engines.transformers_engine import TransformersEngine

        library_logging.disable_progress_bar()
        library_logging.set_verbosity_error()
        return TransformersEngine.load(
            config.ckpt,
            dtype=config.dtype,
            device=config.device,
            batch_size=config.batch_size,
            trust_remote_code=config.trust_remote_code,
        )


def _command_line() -> str:
    return shlex.join(["python", "-m", "harness.run", *sys.argv[1:]])


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def execute(config: RunConfig, out: Console, err: Console) -> int:
    """All stages of a run. Returns the exit code."""
    parts = prepare(config)
    if config.dry_run:
        describe(out, parts)
        return DONE
    from harness.store import RunFolder

    with RunFolder(config.out) as folder:
        session: dict[str, Any] = {"started": now(), "command": _command_line()}
        if "generate" in config.stages:
            _generate(config, parts, folder, session, err)
        elif not folder.info:
            raise PlumblineError(f"{config.out} holds no run: generate first, or name another --out")
        else:
            identity = {**folder.info["identity"], "edition": config.edition}
            folder.claim(identity, _protocols(parts))
        if "score" not in config.stages:
            return DONE
        return _score(config, parts, folder, out)


def _protocols(parts: Mapping[Benchmark, Sequence[Item]]) -> dict[str, Mapping[str, Any]]:
    return {benchmark.name: benchmark.protocol() for benchmark in parts}


def _generate(
    config: RunConfig,
    parts: Mapping[Benchmark, Sequence[Item]],
    folder: RunFolder,
    session: dict[str, Any],
    console: Console,
) -> None:
    from harness.generate import Part, generate
    from harness.show import Progress

    engine = load_engine(config, console)
    identity = {"checkpoint": dict(engine.identity), "edition": config.edition}
    folder.claim(identity, _protocols(parts))
    asked = [Part(b, items, folder.responses(b.name)) for b, items in parts.items()]
    began = time.monotonic()
    try:
        with Progress(console, "answers") as progress:
            written = generate(engine, asked, progress)
    finally:
        session |= {
            "finished": now(),
            "seconds": round(time.monotonic() - began, 2),
            "ckpt": config.ckpt,
            "limit": config.limit,
            "versions": dict(engine.versions),
            "engine": dataclasses.asdict(engine.stats),
        }
        folder.note_session(session)
    if written:
        console.print(f"{written:,} answers in {time.monotonic() - began:.1f} s")
    else:
        console.print("every answer was already on disk; nothing was asked")


def _score(
    config: RunConfig, parts: Mapping[Benchmark, Sequence[Item]], folder: RunFolder, console: Console
) -> int:
    from harness.generate import Part, turns_of
    from harness.scoring import measure, score_items
    from harness.show import markdown, print_table
    from harness.store import to_json, write_atomically

    results: dict[str, list[Metric]] = {}
    n_failed = 0
    for benchmark, items in parts.items():
        responses = turns_of(Part(benchmark, items, folder.responses(benchmark.name)))
        rows = score_items(benchmark, items, responses)
        n_failed += sum(row.status is not ScoreStatus.SCORED for row in rows)
        metrics = measure(benchmark, rows, seed=config.seed)
        folder.write_scores(benchmark.name, items, rows, responses)
        folder.write_metrics(benchmark.name, metrics)
        results[_title(benchmark)] = metrics
    told = {title: [metric.to_json() for metric in metrics] for title, metrics in results.items()}
    write_atomically(folder.path / "summary.json", to_json(told))
    write_atomically(folder.path / "summary.md", markdown(results))
    print_table(console, f"{config.ckpt if not config.is_embedded else 'pocket checkpoint'}", results)
    _what_next(config, console, n_failed)
    return FAILED if n_failed else DONE


def _title(benchmark: Benchmark) -> str:
    return f"{benchmark.title} (pocket)" if benchmark.edition == "pocket" else benchmark.title


def _what_next(config: RunConfig, console: Console, n_failed: int) -> None:
    if n_failed:
        console.print(
            f"{n_failed:,} items have no score; the same command asks the failed ones again.", style="yellow"
        )
    console.print(f"The run is in {config.out} (summary.md has every metric).", soft_wrap=True)
    if config.is_embedded:
        console.print(
            "\nYour own checkpoint, on the same questions:\n"
            "  python -m harness.run --ckpt PATH_OR_HUB_ID --edition pocket\n"
            "and on the official ones:\n"
            "  python -m harness.fetch hallucination\n"
            "  python -m harness.run --ckpt PATH_OR_HUB_ID --suite hallucination",
            soft_wrap=True,
        )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        config = read_config(arguments)
        from harness.show import consoles

        out, err = consoles()
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        return execute(config, out, err)

    return run_command(body, "what is answered is on disk, and the same command goes on from there")


__all__ = ["INTERRUPTED", "RunConfig", "execute", "main", "make_parser", "read_config"]

if __name__ == "__main__":
    sys.exit(main())
