"""Do corrected intervals cover what they should? Run: python -m tests.bench.simulate_judge_correction

Draws benchmarks from populations whose true mean is known, lets a judge of known quality label everything and people
label a random sample, and counts how often each 95 % interval holds the true mean. Fails unless the corrected one
does in 93 % to 97 % of the repetitions, everywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from harness.judge_correction import Correction, correct_mean

LOW, HIGH = 0.93, 0.97


@dataclass(frozen=True)
class Case:
    """A population, a judge and a study.

    Attributes:
        draw: takes a generator and a number of items; gives people's labels and the judge's.
        n_items: of the benchmark; ``n_labelled`` of them get a human label.
        per_group: items that share a picture, and half of what makes them hard.
    """

    name: str
    draw: Draw
    n_items: int
    n_labelled: int
    bounds: tuple[float, float]
    per_group: int = 1


Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]
"""Generator, items, items per group: labels of people and of the judge."""


def latent(rng: np.random.Generator, n: int, per_group: int) -> np.ndarray:
    """Standard normal, correlated 0.5 within a group."""
    shared = np.repeat(rng.standard_normal(-(-n // per_group)), per_group)[:n]
    own = rng.standard_normal(n)
    return own if per_group == 1 else (shared + own) / np.sqrt(2)


def rates(quality: float, bias: float = 0.0, threshold: float = 0.4) -> Draw:
    """Hallucinated or not, as a person and as a judge see it; ``quality`` correlates what both see."""

    def draw(rng: np.random.Generator, n: int, per_group: int) -> tuple[np.ndarray, np.ndarray]:
        seen = latent(rng, n, per_group)
        judged = quality * seen + np.sqrt(1 - quality**2) * rng.standard_normal(n) + bias
        return (seen > threshold).astype(float), (judged > threshold).astype(float)

    return draw


def ratings(quality: float, bias: float = 0.0) -> Draw:
    """Ratings from 0 to 6, the judge's with noise and a bias."""

    def level(values: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(3.2 + 1.8 * values), 0, 6)

    def draw(rng: np.random.Generator, n: int, per_group: int) -> tuple[np.ndarray, np.ndarray]:
        seen = latent(rng, n, per_group)
        judged = quality * seen + np.sqrt(1 - quality**2) * rng.standard_normal(n) + bias
        return level(seen), level(judged)

    return draw


def cases() -> Iterator[Case]:
    unit, scale = (0.0, 1.0), (0.0, 6.0)
    for quality in (0.0, 0.6, 0.9, 0.99):
        for n_items, n_labelled in ((96, 40), (300, 60), (1000, 100)):
            yield Case(f"rate, judge {quality:.2f}", rates(quality), n_items, n_labelled, unit)
            yield Case(f"score, judge {quality:.2f}", ratings(quality), n_items, n_labelled, scale)
    yield Case("rate, judge 0.90, biased", rates(0.9, bias=0.7), 1000, 100, unit)
    yield Case("score, judge 0.90, biased", ratings(0.9, bias=0.7), 1000, 100, scale)
    yield Case("score, judge 0.90, pairs on a picture", ratings(0.9), 400, 120, scale, 2)
    yield Case("rate, judge 0.90, five on a picture", rates(0.9), 1000, 150, unit, 5)


def truth(case: Case) -> float:
    """The population's mean, from two million draws."""
    labels, _ = case.draw(np.random.default_rng(10**6), 2_000_000, case.per_group)
    return float(labels.mean())


def one(case: Case, rng: np.random.Generator) -> Correction:
    """One benchmark, judged and in part labelled."""
    labels, judged = case.draw(rng, case.n_items, case.per_group)
    unseen = rng.permutation(case.n_items)[case.n_labelled :]
    labels[unseen] = np.nan
    groups = np.arange(case.n_items) // case.per_group
    return correct_mean(labels, judged, groups, bounds=case.bounds)


def covers(found: Correction, which: str, true: float) -> bool:
    estimate = getattr(found, which)
    return estimate.low is not None and estimate.low <= true <= estimate.high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        f"{arguments.repetitions} repetitions; coverage of 95 % intervals, and the corrected one's width"
    )
    print(f"{'case':40s}{'items':>6s}{'human':>6s}  {'corrected':>9s}{'human':>8s}{'judge':>8s}{'lambda':>8s}{'width':>8s}")  # fmt: skip
    outside = []
    for number, case in enumerate(cases()):
        rng = np.random.default_rng([arguments.seed, number])
        true = truth(case)
        found = [one(case, rng) for _ in range(arguments.repetitions)]
        share = {
            which: np.mean([covers(each, which, true) for each in found])
            for which in ("corrected", "human", "judge")
        }
        widths = [[each.corrected.width or 0.0, each.human.width or 0.0] for each in found]
        corrected, human = np.mean(widths, axis=0)
        mean_lambda = np.mean([each.lambda_ for each in found])
        print(
            f"{case.name:40s}{case.n_items:6d}{case.n_labelled:6d}  {share['corrected']:9.1%}{share['human']:8.1%}"
            f"{share['judge']:8.1%}{mean_lambda:8.2f}{corrected / human:8.0%}",
            flush=True,
        )
        if not LOW <= share["corrected"] <= HIGH:
            outside.append(f"{case.name}, {case.n_items} items")
    if outside:
        raise SystemExit(f"outside {LOW:.0%} to {HIGH:.0%}: {'; '.join(outside)}")
    print(f"all corrected intervals cover between {LOW:.0%} and {HIGH:.0%}; width is relative to human labels alone")  # fmt: skip


if __name__ == "__main__":
    main()
