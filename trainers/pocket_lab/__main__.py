"""``python -m trainers.pocket_lab``: train, evaluate, and say which claims of three papers hold in the pocket world."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.base import PlumblineError
from harness.command import DONE, FAILED, at_least, run_command
from trainers.pocket_lab.jobs import (
    Laboratory,
    best_rates,
    report_jobs,
    tune,
    tuning_jobs,
    workers,
)
from trainers.pocket_lab.plan import DEVELOPMENT_SEED, EXPERIMENTS, SEEDS, Experiment, Plan, named

if TYPE_CHECKING:
    from rich.console import Console

OUT = Path("results") / "pocket" / "lab"
WORK = Path("results") / "runs" / "pocket_lab"
TUNING = "tuning.json"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.pocket_lab",
        description="Compare preference methods on the embedded pocket checkpoint. Every step is kept; the same command "
        "goes on where it stopped, and does parts that were left out before.",
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
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR", help=f"default {WORK}")
    parser.add_argument(
        "--plan", action="store_true", help="show what would be done, and how long it takes"
    )
    return parser


def show_plan(
    experiments: Sequence[Experiment], plan: Plan, n_workers: int, console: Console
) -> None:
    """What would be done, and about how long it takes."""
    tuning = [job for jobs in tuning_jobs(experiments, plan).values() for job in jobs]
    jobs = report_jobs(experiments, {}, plan)
    seconds = sum(job.cost for job in [*tuning, *jobs]) / n_workers
    console.print(
        f"{len(tuning)} trainings to choose learning rates, {len(jobs)} experiments ({len(experiments)} on "
        f"{len(plan.seeds)} seeds): about {seconds / 60:.0f} min with {n_workers} processes"
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
    from harness.store import to_json, write_atomically
    from trainers.pocket_lab import page

    experiments, plan = experiment_plan(arguments)
    show_plan(experiments, plan, arguments.workers, console)
    if arguments.plan:
        return DONE
    with workers(arguments.workers) as pool:
        lab = Laboratory(pool, console)
        tuning = tune(lab, experiments, plan)
        write_atomically(plan.work / TUNING, to_json(tuning))
        found = lab.run(report_jobs(experiments, best_rates(tuning), plan))
    results = [
        (job.experiment, seed, Path(str(path)))
        for job, path in found.items()
        for seed in ((job.seed,) if job.experiment.method else plan.seeds)
    ]
    page.write(arguments.out, plan, page.read_runs(results), tuning)
    console.print(f"{arguments.out / page.PAGE}", markup=False)
    return FAILED if lab.failed else DONE


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        from harness.show import consoles

        return laboratory(arguments, consoles()[1])

    return run_command(body, "every finished step is kept, and the same command goes on from there")


if __name__ == "__main__":
    sys.exit(main())
