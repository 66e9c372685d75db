"""The laboratory's jobs, and the processes that do them side by side."""

from __future__ import annotations

import logging
import multiprocessing
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.base import PlumblineError
from trainers.pocket_lab.plan import (
    DEVELOPMENT_SEED,
    EXPERIMENTS,
    RATES,
    Experiment,
    Family,
    Plan,
    cpu_seconds,
    families,
)

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Job:
    """One training with what is done with it."""

    experiment: Experiment
    seed: int
    rate: float
    plan: Plan
    develops: bool = False

    @property
    def name(self) -> str:
        what = f"{self.experiment.name}, seed {self.seed}"
        return f"{what}, learning rate {self.rate:g}" if self.develops else what

    @property
    def path(self) -> Path:
        """What it leaves behind; there when it is done."""
        from trainers.pocket_lab.work import development_path, result_path

        place = development_path if self.develops else result_path
        return place(self.experiment, self.seed, self.rate, self.plan)

    @property
    def cost(self) -> float:
        """Estimated seconds of one core."""
        return cpu_seconds(self.experiment, self.plan)


def do(job: Job) -> None:
    """A job in a worker: captions that are counted, or an evaluation."""
    from trainers.pocket_lab.work import develop, report

    step = develop if job.develops else report
    step(job.experiment, job.seed, job.rate, job.plan)


def prepare_worker() -> None:
    """One thread each: several small models side by side are faster than one with several threads."""
    import torch
    from transformers.utils import logging as library

    torch.set_num_threads(1)
    library.disable_progress_bar()
    library.set_verbosity_error()
    logging.disable(logging.WARNING)


def tuning_jobs(experiments: Sequence[Experiment], plan: Plan) -> dict[Family, list[Job]]:
    """A training for each learning rate of each family that is needed."""
    known = {each.name: each for each in EXPERIMENTS}
    return {
        family: [
            Job(known[family], DEVELOPMENT_SEED, rate, plan, develops=True)
            for rate in RATES[family]
        ]
        for family in families(experiments)
    }


def report_jobs(
    experiments: Sequence[Experiment], rates: Mapping[Family, float], plan: Plan
) -> list[Job]:
    """Every experiment whose learning rate is known, on every seed; the base once.

    Those that share a training come behind it.
    """
    jobs = [
        Job(each, seed, rates.get(each.family, 0.0), plan)
        for each in experiments
        if each.family in rates or not each.method
        for seed in (plan.seeds if each.method else plan.seeds[:1])
    ]
    return sorted(jobs, key=lambda job: (bool(job.experiment.like), -job.cost))


class Laboratory:
    """Runs jobs in workers and tells how it goes."""

    def __init__(self, pool: ProcessPoolExecutor, console: Console) -> None:
        self._pool = pool
        self._console = console
        self.failed: list[str] = []

    def run(self, jobs: Sequence[Job]) -> None:
        """Do all jobs; what came of each is on disk. Failed ones are told, and the others go on."""
        futures: dict[Future[None], Job] = {self._pool.submit(do, job): job for job in jobs}
        began, left, done_cost = time.monotonic(), sum(job.cost for job in jobs), 0.0
        for number, future in enumerate(as_completed(futures), start=1):
            job = futures[future]
            problem = ""
            try:
                future.result()
            except BrokenProcessPool as error:
                raise PlumblineError(
                    f"a process died ({error}), maybe for lack of memory. Run the same command again, with "
                    "--workers 1 if need be"
                ) from error
            except PlumblineError as error:
                problem = str(error)
            except Exception as error:
                # Whatever breaks one experiment must not end the others.
                problem = "".join(traceback.format_exception(error))
            left, done_cost = left - job.cost, done_cost + job.cost
            minutes = (time.monotonic() - began) * max(0.0, left) / done_cost / 60
            told = f"{number}/{len(jobs)} {job.name}; about {minutes:.0f} min left"
            if problem:
                self.failed.append(job.name)
                told = f"{number}/{len(jobs)} {job.name} FAILED: {problem}"
            self._console.print(told, markup=False, soft_wrap=True)


def tuning_of(plan: Plan) -> dict[Family, dict[str, float]]:
    """What tuning has found so far: by family and learning rate, the share of faultless captions."""
    from trainers.pocket_lab.work import read_development

    found: dict[Family, dict[str, float]] = {}
    for family, jobs in tuning_jobs(EXPERIMENTS, plan).items():
        done = [job for job in jobs if job.path.exists()]
        if done:
            found[family] = {f"{job.rate:g}": read_development(job.path) for job in done}
    return found


def best_rates(tuning: Mapping[Family, Mapping[str, float]]) -> dict[Family, float]:
    """The rate with the most faultless captions; the smaller one of two as good."""
    return {
        family: float(min(shares, key=lambda rate: (-shares[rate], float(rate))))
        for family, shares in tuning.items()
    }


def finished(plan: Plan) -> list[tuple[Experiment, int, Path]]:
    """All experiments that are evaluated, with seed and file, whichever of them this session was to do."""
    found = []
    for job in report_jobs(EXPERIMENTS, best_rates(tuning_of(plan)), plan):
        if job.path.exists():
            # The base is the same checkpoint on every seed.
            seeds = (job.seed,) if job.experiment.method else plan.seeds
            found += [(job.experiment, seed, job.path) for seed in seeds]
    return found


@contextmanager
def workers(number: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes; what they have not begun is forgotten when this one is interrupted."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=prepare_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
