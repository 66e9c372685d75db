"""Do the intervals cover what they say? Run: python -m tests.bench.simulate_intervals

Draws samples of clustered data whose true value is known, in the shapes and sizes of the benchmarks, and counts how
often the 95 % interval of ``harness.stats`` holds it; the same for the paired difference of two runs that
depend on the same pictures (``harness.paired``), with how often its test calls a difference that there is not.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from benchmarks.base import MetricSpec, ScoreRow, ScoreStatus
from harness.paired import compare_rows
from harness.stats import evaluate

RATIO = MetricSpec("ratio", lambda sums: sums["/x"] / sums["/n"], "higher")
N_GROUPS = (24, 60, 96, 300, 500)
"""LLaVA-Bench's pictures, its questions, MMHal-Bench's questions, Object HalBench's and POPE's pictures."""

Sampler = Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Takes how hard each of G groups is (standard normal); returns sums and counts per group."""


def questions(rng: np.random.Generator, hard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right answers to 18 yes-or-no questions on a picture, as POPE has them."""
    right = hard[:, np.newaxis] + rng.normal(size=(len(hard), 18)) > -1.2
    return right.sum(axis=1), np.full(len(hard), 18)


def ratings(rng: np.random.Generator, hard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ratings from 0 to 6, most of them at the ends, as MMHal-Bench has them."""
    score = NormalDist().cdf
    quantile = np.array([score(x) for x in (hard + rng.normal(size=len(hard))) / math.sqrt(2)])
    return np.searchsorted([0.25, 0.35, 0.4, 0.5, 0.65, 0.8], quantile), np.ones(len(hard))


def mentions(rng: np.random.Generator, hard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hallucinated among mentioned objects, as CHAIRi counts them."""
    made_up = rng.poisson(0.35 * np.exp(0.6 * hard))
    return made_up, made_up + rng.poisson(3, size=len(hard)) + 1


SAMPLERS: dict[str, Sampler] = {"questions": questions, "ratings": ratings, "mentions": mentions}


def truth(sampler: Sampler) -> float:
    """The value in a sample so large that its error does not matter."""
    rng = np.random.default_rng(0)
    x, n = sampler(rng, rng.normal(size=400_000))
    return float(x.sum() / n.sum())


def rows(x: np.ndarray, n: np.ndarray) -> list[ScoreRow]:
    return [
        ScoreRow(str(i), str(i), "", ScoreStatus.SCORED, {"x": float(a), "n": float(b)})
        for i, (a, b) in enumerate(zip(x, n, strict=True))
    ]


def simulate(sampler: Sampler, n_groups: int, n_samples: int, n_resamples: int) -> list[float]:
    """Shares of samples: interval covers, difference's interval covers, test says there is one."""
    true = truth(sampler)
    rng = np.random.default_rng(n_groups)
    found = []
    for _ in range(n_samples):
        hard = rng.normal(size=n_groups)
        a, b = (rows(*sampler(rng, hard)) for _ in range(2))
        (alone,) = evaluate([RATIO], a, n_resamples=n_resamples)
        (paired,) = compare_rows([RATIO], a, b, n_resamples=n_resamples)
        assert alone.low is not None
        assert alone.high is not None
        assert paired.low is not None
        assert paired.high is not None
        assert paired.p is not None
        found.append(
            (alone.low <= true <= alone.high, paired.low <= 0 <= paired.high, paired.p <= 0.05)
        )
    return [float(share) for share in np.mean(found, axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    error = math.sqrt(0.95 * 0.05 / arguments.samples)
    print(f"{arguments.samples} samples each; a share of 95 % has a standard error of {error:.1%}")
    print("shape      groups  covered  difference covered  false alarms at 5 %")
    for name, sampler in SAMPLERS.items():
        for n_groups in N_GROUPS:
            alone, paired, alarms = simulate(
                sampler, n_groups, arguments.samples, arguments.resamples
            )
            print(
                f"{name:10} {n_groups:6}  {alone:7.1%}  {paired:18.1%}  {alarms:19.1%}", flush=True
            )


if __name__ == "__main__":
    main()
