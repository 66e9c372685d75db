"""``python -m trainers.pocket_lab``: train, evaluate, and say which claims of three papers hold in the pocket world."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.base import PlumblineError, sha256_of_file
from benchmarks.pocket import CHECKPOINT
from harness.command import DONE, FAILED, at_least, run_command
from trainers.pocket_lab.jobs import (
    Laboratory,
    best_rates,
    finished,
    report_jobs,
    tuning_jobs,
    tuning_of,
    workers,
)
from trainers.pocket_lab.plan import (
    DEVELOPMENT_SEED,
    EXPERIMENTS,
    RATES,
    SEEDS,
    Experiment,
    Plan,
    named,
)

if TYPE_CHECKING:
    from rich.console import Console

OUT = Path("results") / "pocket" / "lab"
WORK = Path("results") / "runs" / "pocket_lab"
WEIGHTS = "model.safetensors"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.pocket_lab",
        description="Compare preference methods on the embedded pocket checkpoint. Every step is kept; the same command "
        "goes on where it stopped, and does parts that were left out before. The page shows all that is finished.",
    )
    parser.add_argument(
        "--only", metavar="NAME[,NAME]", help="experiments (default: all; the base is always in)"
    )
    parser.add_argument(
        "--seeds",
        default=",".join(map(str, SEEDS)),
        metavar="N[,N]",
        help=f"default {','.join(map(str, SEEDS))}; {DEVELOPMENT_SEED} is for tuning",
    )
    parser.add_argument("--n", type=at_least(16), default=640, help="pairs (default 640)")
    parser.add_argument("--epochs", type=at_least(1), default=2, help="default 2")
    parser.add_argument(
        "--limit", type=at_least(1), default=200, help="items of each split (default 200)"
    )
    parser.add_argument(
        "--scenes", type=at_least(1), default=200, help="development scenes (default 200)"
    )
    parser.add_argument(
        "--workers",
        type=at_least(1),
        default=2,
        metavar="N",
        help="processes of one thread each (default 2)",
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"default {OUT}")
    parser.add_argument(
        "--work",
        type=Path,
        default=WORK,
        metavar="DIR",
        help=f"where every step is kept (default {WORK}); take another one after changing how anything is trained or measured",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--plan", action="store_true", help="only show what is left to do, and how long it takes"
    )
    instead.add_argument(
        "--page", action="store_true", help="only write the page anew, of what is finished"
    )
    return parser


def show_plan(
    experiments: Sequence[Experiment], plan: Plan, n_workers: int, console: Console
) -> None:
    """What is left to do, and about how long it takes."""
    tuning = [job for jobs in tuning_jobs(experiments, plan).values() for job in jobs]
    rates = {**dict.fromkeys(RATES, 0.0), **best_rates(tuning_of(plan))}
    jobs = report_jobs(experiments, rates, plan)
    left = [job for job in [*tuning, *jobs] if not job.path.exists()]
    minutes = sum(job.cost for job in left) / n_workers / 60
    console.print(
        f"{len(tuning)} trainings to choose learning rates, {len(jobs)} to report ({len(experiments)} experiments, "
        f"seeds {', '.join(map(str, plan.seeds))}); {len(left)} are left to do: about {minutes:.0f} min with "
        f"{n_workers} processes",
        soft_wrap=True,
    )
    for each in experiments:
        n = f"{plan.n_of(each)} pairs" if each.method else ""
        console.print(f"  {each.name:22} {each.title:38} {n}", markup=False, highlight=False)


def experiment_plan(arguments: argparse.Namespace) -> tuple[list[Experiment], Plan]:
    """Raises PlumblineError for names and seeds that there are not."""
    names = [part.strip() for part in arguments.only.split(",")] if arguments.only else None
    experiments = list(EXPERIMENTS) if names is None else named(names)
    try:
        seeds = tuple(int(part) for part in arguments.seeds.split(","))
    except ValueError:
        raise PlumblineError(f"--seeds {arguments.seeds}: write numbers, e.g. 1,2,3") from None
    if DEVELOPMENT_SEED in seeds:
        raise PlumblineError(f"seed {DEVELOPMENT_SEED} is for choosing learning rates; take others")
    settings = (arguments.n, arguments.epochs, arguments.limit, arguments.scenes, seeds)
    return experiments, Plan(arguments.work, *settings)


def laboratory(arguments: argparse.Namespace, console: Console) -> int:
    """Everything, or what is left of it."""
    experiments, plan = experiment_plan(arguments)
    failed: list[str] = []
    if not arguments.page:
        show_plan(experiments, plan, arguments.workers, console)
    if arguments.plan:
        return DONE
    if not arguments.page:
        failed = _do(experiments, plan, arguments.workers, console)
    _write_page(arguments.out, plan, console)
    if failed:
        console.print(f"{len(failed)} failed: {', '.join(failed)}", markup=False, soft_wrap=True)
    return FAILED if failed else DONE


def _do(
    experiments: Sequence[Experiment], plan: Plan, n_workers: int, console: Console
) -> list[str]:
    """What is left of the experiments. Returns the names of jobs that failed."""
    from harness.store import RunFolder

    with RunFolder(plan.work) as folder, workers(n_workers) as pool:
        folder.claim({"checkpoint_sha256": sha256_of_file(CHECKPOINT / WEIGHTS)}, {})
        lab = Laboratory(pool, console)
        lab.run([job for jobs in tuning_jobs(experiments, plan).values() for job in jobs])
        lab.run(report_jobs(experiments, best_rates(tuning_of(plan)), plan))
        return lab.failed


def _write_page(out: Path, plan: Plan, console: Console) -> None:
    from trainers.pocket_lab import page
    from trainers.pocket_lab.results import read_runs

    results = finished(plan)
    if not results:
        raise PlumblineError(
            f"{plan.work}: no experiment is finished with these settings and seeds"
        )
    page.write(out, plan, read_runs(results), tuning_of(plan))
    console.print(f"{out / page.PAGE}", markup=False, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        from harness.show import consoles

        return laboratory(arguments, consoles()[1])

    return run_command(body, "every finished step is kept, and the same command goes on from there")


if __name__ == "__main__":
    sys.exit(main())
