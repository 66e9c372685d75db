"""Does the gate keep its word? Run: python -m tests.bench.simulate_gate [--pairs 2000]

Simulates pairs of runs on the pocket edition's POPE, AMBER and MMHal-Bench: their real metrics, made-up answers.
What makes a picture or a question hard is common to both runs, and each run has weak spots of its own, whole
pictures among them, so answers are correlated between runs and within pictures. It prints

* how often the gate fails a pair that differs by nothing but chance (stated: at most alpha),
* how often a metric fails that is worse by the size that the gate states as seen in at least 80 % of cases,
* how often the test of a metric that is worse by exactly the tolerance has p <= alpha.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np
from scipy.optimize import brentq

from benchmarks.base import MetricSpec
from benchmarks.mmhal import TYPES
from benchmarks.pope import SPLITS
from benchmarks.registry import open_benchmark
from harness.check.gate import detectable
from harness.item_table import ItemTable
from harness.paired import Comparison, Paired, compare, holm
from harness.stats import Treatment

ALPHA = 0.05
N_PICTURES = 200

SHARED_PICTURE, SHARED_QUESTION, OWN_PICTURE, OWN_QUESTION = 0.3, 0.4, 0.1, 0.2
"""Shares of the variance of how well a question is mastered; they add up to 1."""

Columns = dict[str, np.ndarray]


def mastery(
    rng: np.random.Generator, n_pictures: int, per_picture: int, loss: float
) -> tuple[np.ndarray, np.ndarray]:
    """How well each of two runs masters each question, as standard normal numbers; the second is
    worse by ``loss``. Pictures x questions each.
    """

    def part(share: float, n_columns: int) -> np.ndarray:
        return np.sqrt(share) * rng.standard_normal((n_pictures, n_columns))

    shared = part(SHARED_PICTURE, 1) + part(SHARED_QUESTION, per_picture)
    first, second = (
        shared + part(OWN_PICTURE, 1) + part(OWN_QUESTION, per_picture) for _ in range(2)
    )
    return first, second - loss


def below(share: float) -> float:
    """The mastery that this share of all questions does not reach."""
    return NormalDist().inv_cdf(share)


def table(
    splits: Sequence[str], numbers: Mapping[Treatment, Columns], per_picture: int
) -> ItemTable:
    """Items of consecutive pictures."""
    n_items = len(splits)
    groups = [f"{index // per_picture:05}" for index in range(n_items)]
    every: dict[Treatment, Columns] = {"scored": {}, "official": {}, **numbers}
    return ItemTable(
        np.array([str(index) for index in range(n_items)], dtype=object),
        np.array(groups, dtype=object),
        np.array(splits, dtype=object),
        np.ones(n_items, dtype=bool),
        every,
        make_rows=list,
    )


def pope(mastered: np.ndarray) -> ItemTable:
    """Six questions of each split on a picture, every second positive."""
    errors = np.repeat([below(0.005), below(0.03), below(0.15)], 6)
    is_right = (mastered > errors).ravel()
    is_positive = np.arange(len(is_right)) % 2 == 0
    cells = {
        "tp": is_right & is_positive,
        "fn": ~is_right & is_positive,
        "tn": is_right & ~is_positive,
        "fp": ~is_right & ~is_positive,
    }
    numbers = {name: flags.astype(float) for name, flags in cells.items()}
    return table(np.repeat(SPLITS, 6).tolist() * len(mastered), {"scored": numbers}, 18)


def amber(mastered: np.ndarray) -> ItemTable:
    """A caption and seven questions on a picture.

    The caption is asked for by seven columns: four objects that are there, three that are not.
    """
    seen, invented = mastered[:, :4] > below(0.1), mastered[:, 4:7] < below(0.08)
    n_seen, n_invented = seen.sum(axis=1), invented.sum(axis=1)
    caption: Columns = {
        "answered": np.ones(len(mastered)),
        "mentions": (n_seen + n_invented).astype(float),
        "hallucinated_mentions": n_invented.astype(float),
        "truth_covered": n_seen.astype(float),
        "truth_total": np.full(len(mastered), 4.0),
        "hallu_covered": n_invented.astype(float),
        "hallu_total": np.full(len(mastered), 3.0),
        "no_hallucination": (n_invented == 0).astype(float),
    }
    is_right = mastered[:, 7:] > below(0.2)
    is_no = np.broadcast_to(np.array([1, 1, 1, 0, 1, 0, 1], dtype=bool), is_right.shape)
    says_no = is_no == is_right
    questions = {
        "answered": np.ones(is_right.shape),
        "truth_no": is_no,
        "correct": is_right,
        "answered_no": says_no,
        "correct_no": says_no & is_no,
    }
    splits = ["generative", *["existence"] * 3, *["attribute-state"] * 2, "attribute-number"]
    numbers = {
        name: np.column_stack(
            [
                caption.get(name, np.full(len(mastered), np.nan)),
                questions.get(name, np.full(is_right.shape, np.nan)),
            ]
        ).ravel()
        for name in {*caption, *questions}
    }
    return table([*splits, "relation"] * len(mastered), {"scored": numbers}, 8)


def mmhal(mastered: np.ndarray) -> ItemTable:
    """One question on a picture, rated from 0 to 6."""
    cuts = [below(share) for share in (0.06, 0.18, 0.24, 0.45, 0.65, 0.8)]
    rating = np.digitize(mastered, cuts).ravel().astype(float)
    numbers = {"n": np.ones(len(rating)), "score": rating, "hallucination": (rating < 3) * 1.0}
    splits = [TYPES[index % len(TYPES)] for index in range(len(rating))]
    return table(splits, {"official": numbers}, 1)


@dataclass(frozen=True)
class Shape:
    """A benchmark to simulate: pictures, questions on each, and how mastery becomes answers."""

    n_pictures: int
    per_picture: int
    answers: Callable[[np.ndarray], ItemTable]
    specs: Sequence[MetricSpec]

    def pair(self, rng: np.random.Generator, loss: float, times: int = 1) -> list[ItemTable]:
        """Two runs over ``times`` as many pictures."""
        sides = mastery(rng, self.n_pictures * times, self.per_picture, loss)
        return [self.answers(side) for side in sides]


def shapes(n_pictures: int = N_PICTURES) -> dict[str, Shape]:
    """By benchmark name."""

    def headlines(name: str) -> list[MetricSpec]:
        return [s for s in open_benchmark(name, "pocket").metric_specs() if s.headline]

    return {
        "pope": Shape(n_pictures, 18, pope, headlines("pope")),
        "amber": Shape(n_pictures, 14, amber, headlines("amber")),
        "mmhal": Shape(96, 1, mmhal, headlines("mmhal")),
    }


@dataclass(frozen=True)
class Simulated:
    """A gate's tests of one pair of runs, by ``benchmark/metric``."""

    tests: Mapping[str, Paired]
    failed: frozenset[str]

    def seen_at(self, name: str) -> float | None:
        """What the gate states for a metric."""
        return detectable(self.tests[name], 0.0, ALPHA / len(self.tests))


def gate(
    all_shapes: Mapping[str, Shape],
    rng: np.random.Generator,
    n_resamples: int,
    losses: Mapping[str, float] | None = None,
) -> Simulated:
    """One simulated pair through the gate's tests.

    Args:
        losses: of mastery in the second run, by benchmark; none if absent.
    """
    tests = {}
    for name, shape in all_shapes.items():
        comparison = Comparison(
            shape.specs,
            shape.pair(rng, (losses or {}).get(name, 0.0)),
            n_resamples=n_resamples,
            seed=int(rng.integers(2**32)),
        )
        tests.update({f"{name}/{found.name}": found for found in comparison.paired(0, 1)})
    adjusted = holm([test.p_worse for test in tests.values()])
    failed = (name for name, p in zip(tests, adjusted, strict=True) if p is not None and p <= ALPHA)
    return Simulated(tests, frozenset(failed))


def loss_for(shape: Shape, spec: MetricSpec, worsening: float) -> float:
    """The loss of mastery that worsens a metric by so much, in thirty times as many pictures."""

    def second(loss: float) -> ItemTable:
        """The same run each time, but for its loss."""
        return shape.pair(np.random.default_rng(1), loss, times=30)[1]

    before = second(0.0)

    def excess(loss: float) -> float:
        (found,) = compare([spec], before, second(loss), n_resamples=2)
        assert found.difference is not None
        return (-1 if spec.direction == "higher" else 1) * found.difference - worsening

    return float(brentq(excess, 0, 1, xtol=1e-3))


def is_worse(
    shape: Shape,
    spec: MetricSpec,
    rng: np.random.Generator,
    n_resamples: int,
    loss: float,
    tolerance: float,
) -> bool:
    """Whether the test of a single metric finds it worse by more than the tolerance."""
    pair = shape.pair(rng, loss)
    comparison = Comparison([spec], pair, n_resamples=n_resamples, allowed=[tolerance])
    p = comparison.paired(0, 1)[0].p_worse
    return p is not None and p <= ALPHA


def share(n: int, n_all: int) -> str:
    error = np.sqrt(n / n_all * (1 - n / n_all) / n_all)
    return f"{100 * n / n_all:.1f} % (± {196 * error:.1f}) of {n_all:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=2000, help="without a change")
    parser.add_argument("--changed-pairs", type=int, default=400, help="for each worsening")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    every = shapes()
    null = [gate(every, rng, arguments.resamples) for _ in range(arguments.pairs)]
    n_alarms = sum(bool(found.failed) for found in null)
    print(f"{len(null[0].tests)} tests, alpha {100 * ALPHA:g} %, nothing changed", flush=True)
    print(f"  the gate fails: {share(n_alarms, len(null))}", flush=True)
    n = arguments.changed_pairs
    for name in ("pope/mean_f1", "amber/Hal", "amber/f1", "mmhal/score"):
        benchmark, _, metric = name.partition("/")
        shape = every[benchmark]
        (spec,) = (spec for spec in shape.specs if spec.name == metric)
        size = fmean(seen for found in null if (seen := found.seen_at(name)) is not None)
        loss = loss_for(shape, spec, size)
        settings = rng, arguments.resamples
        n_seen = sum(name in gate(every, *settings, {benchmark: loss}).failed for _ in range(n))
        n_over = sum(is_worse(shape, spec, *settings, loss, size) for _ in range(n))
        print(f"{name}, worse by {size:.4g}, which is stated as seen in at least 80 %")
        print(f"  fails: {share(n_seen, n)}")
        print(f"  p <= {100 * ALPHA:g} % with that tolerance: {share(n_over, n)}", flush=True)


if __name__ == "__main__":
    main()
