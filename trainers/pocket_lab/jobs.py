"""The laboratory's jobs, and the processes that do them side by side."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
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
    TUNED,
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
    def cost(self) -> float:
        """Estimated seconds of one core."""
        return cpu_seconds(self.experiment, self.plan)


def do(job: Job) -> float | Path:
    """A job in a worker: the share of faultless captions, or the file with an evaluation's rows."""
    from trainers.pocket_lab.work import develop, report

    step: Callable[..., float | Path] = develop if job.develops else report
    return step(job.experiment, job.seed, job.rate, job.plan)


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
            Job(known[TUNED[family]], DEVELOPMENT_SEED, rate, plan, develops=True)
            for rate in RATES[family]
        ]
        for family in families(experiments)
    }


def report_jobs(
    experiments: Sequence[Experiment], rates: dict[Family, float], plan: Plan
) -> list[Job]:
    """Every experiment on every seed; the base once. Those that share a training come behind it."""
    jobs = [
        Job(each, seed, rates.get(each.family, 0.0), plan)
        for each in experiments
        for seed in (plan.seeds if each.method else plan.seeds[:1])
    ]
    return sorted(jobs, key=lambda job: (bool(job.experiment.like), -job.cost))


class Laboratory:
    """Runs jobs in workers and tells how it goes."""

    def __init__(self, pool: ProcessPoolExecutor, console: Console) -> None:
        self._pool = pool
        self._console = console
        self.failed: list[str] = []

    def run(self, jobs: Sequence[Job]) -> dict[Job, float | Path]:
        """What came of each job; failed ones are told and left out."""
        futures: dict[Future[float | Path], Job] = {self._pool.submit(do, job): job for job in jobs}
        found: dict[Job, float | Path] = {}
        began, left, done_cost = time.monotonic(), sum(job.cost for job in jobs), 0.0
        for number, future in enumerate(as_completed(futures), start=1):
            job = futures[future]
            try:
                found[job] = future.result()
                problem = ""
            except PlumblineError as error:
                self.failed.append(job.name)
                problem = f" FAILED: {error}"
            except BrokenProcessPool as error:
                raise PlumblineError(
                    f"a process died ({error}), maybe for lack of memory. Run the same command again, with "
                    "--workers 1 if need be"
                ) from error
            left, done_cost = left - job.cost, done_cost + job.cost
            minutes = (time.monotonic() - began) * left / done_cost / 60
            told = f"{number}/{len(jobs)} {job.name}{problem}; about {minutes:.0f} min left"
            self._console.print(told, markup=False, soft_wrap=True)
        return found


def tune(
    laboratory: Laboratory, experiments: Sequence[Experiment], plan: Plan
) -> dict[str, dict[str, float]]:
    """By family and learning rate, the share of faultless captions."""
    jobs = tuning_jobs(experiments, plan)
    found = laboratory.run([job for each in jobs.values() for job in each])
    return {
        family: {f"{job.rate:g}": float(str(found[job])) for job in each if job in found}
        for family, each in jobs.items()
    }


def best_rates(tuning: dict[str, dict[str, float]]) -> dict[Family, float]:
    """The rate with the most faultless captions; the smaller one of two as good."""
    best: dict[Family, float] = {}
    for family, shares in tuning.items():
        if not shares:
            raise PlumblineError(f"no learning rate of {family} could be tried; see the log")
        rates = sorted(shares, key=lambda rate: (-shares[rate], float(rate)))
        best[family] = float(rates[0])  # type: ignore[index]
    return best


@contextmanager
def workers(number: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes; what they have not begun is forgotten when this one is interrupted."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=prepare_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
