"""Experiments of the laboratory: what is trained on what, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks.base import PlumblineError

DataKind = Literal[
    "pairs", "blind", "imagined", "best", "rated", "scored_pairs", "wrong_answers", "online"
]
"""
* pairs: pocket preferences; supervising takes their chosen answers.
* blind: the same without pictures.
* imagined: the same with rejected pictures in which the made-up thing is there.
* best, rated, scored_pairs: of several answers of the base, by the oracle's ratings.
* wrong_answers: BDHS of the base.
* online: made while training, from many prompts.
"""

Family = Literal["sft", "steerlm", "dpo", "mdpo", "rdpo", "chip", "mpo"]
"""Experiments that share a learning rate, as they do in the papers. The one that a family is named after settles it."""

DEVELOPMENT_SEED = 0
SEEDS = (1, 2, 3)
RATES: dict[Family, tuple[float, ...]] = {
    "sft": (5e-6, 2e-5, 8e-5),
    "steerlm": (2e-5, 8e-5, 3e-4),
    "dpo": (2e-6, 5e-6, 2e-5),
    "mdpo": (2e-6, 5e-6, 2e-5),
    "rdpo": (2e-6, 5e-6, 2e-5),
    "chip": (2e-6, 5e-6, 2e-5),
    "mpo": (2e-6, 5e-6, 2e-5),
}
"""Learning rates that are tried on the development seed."""

BATCH_SIZE = 16
REFRESH_STEPS = 8
PROMPTS_PER_PAIR = 4
PROMPTS_PER_ROUND = 16 * BATCH_SIZE * REFRESH_STEPS
"""Online training has so many times more prompts than the others have pairs, and at least enough for a round in
which one prompt of sixteen brings a pair."""
SAMPLED_ANSWERS = 4
TEMPERATURE = 1.0
"""The pocket checkpoint is surer of itself than a large model: at the papers' 0.7, 8 % of two answers differ."""


@dataclass(frozen=True)
class Experiment:
    """A row of the table.

    Attributes:
        name: short, unique.
        title: for people.
        method: of ``trainers.methods``; "" for the base.
        changes: further settings.
        mix: the share of given pairs in online training.
        asks: evaluated with SteerLM's request for the best ratings in every prompt.
        like: shares the training of another experiment.
        scale: pairs as a multiple of the plan's.
    """

    name: str
    title: str
    method: str = ""
    data: DataKind = "pairs"
    family: Family = "dpo"
    changes: tuple[str, ...] = ()
    mix: float = 0.0
    asks: bool = False
    like: str = ""
    scale: float = 1.0

    @property
    def training(self) -> str:
        """The name under which its training is kept."""
        return self.like or self.name


@dataclass(frozen=True)
class Plan:
    """What is done, and where it is kept.

    Attributes:
        n_pairs: of the experiments without a scale.
        limit: items of each split of each benchmark.
        n_scenes: that captions are developed on.
    """

    work: Path
    n_pairs: int = 640
    epochs: int = 2
    limit: int = 200
    n_scenes: int = 200
    seeds: tuple[int, ...] = SEEDS

    def n_of(self, experiment: Experiment) -> int:
        """Pairs of an experiment, whole batches."""
        return max(1, round(self.n_pairs * experiment.scale / BATCH_SIZE)) * BATCH_SIZE


SCALES = (0.25, 0.5, 2.0)


def _sizes(experiment: Experiment) -> list[Experiment]:
    return [
        replace(
            experiment,
            name=f"{experiment.name}_x{scale:g}",
            title=f"{experiment.title}, {scale:g} times the pairs",
            scale=scale,
        )
        for scale in SCALES
    ]


_DPO = Experiment("dpo", "DPO", "dpo")
_MDPO = Experiment("mdpo", "mDPO", "mdpo", family="mdpo")

EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment("base", "base checkpoint"),
    Experiment("sft", "SFT on true answers", "sft", family="sft"),
    Experiment("rejection", "rejection sampling", "sft", "best", "sft"),
    Experiment("steerlm", "SteerLM, the best asked for", "sft", "rated", "steerlm", asks=True),
    Experiment(
        "steerlm_plain", "SteerLM, nothing asked for", "sft", "rated", "steerlm", like="steerlm"
    ),
    Experiment("dpo_scored", "DPO on its own scored answers", "dpo", "scored_pairs"),
    _DPO,
    Experiment("dpo_blind", "DPO without pictures", "dpo", "blind"),
    _MDPO,
    Experiment(
        "mdpo_no_conditional", "mDPO without the conditional term", "mdpo", family="mdpo",
        changes=("conditional_weight=0",),
    ),
    Experiment(
        "mdpo_no_anchor", "mDPO without the anchor", "mdpo", family="mdpo",
        changes=("anchor_weight=0",),
    ),
    Experiment(
        "mdpo_no_dpo", "mDPO without the DPO term", "mdpo", family="mdpo", changes=("dpo_weight=0",)
    ),
    Experiment("online", "online DPO", "dpo", "online"),
    Experiment("mixed", "mixed DPO", "dpo", "online", mix=0.5),
    Experiment("bdhs", "DPO on BDHS", "dpo", "wrong_answers"),
    Experiment("rdpo", "rDPO", "rdpo", "imagined", "rdpo"),
    Experiment("chip", "CHiP", "chip", family="chip", changes=("corruption=diffusion",)),
    Experiment("mpo", "MPO", "mpo", family="mpo"),
    *_sizes(_DPO),
    *_sizes(_MDPO),
)  # fmt: skip


def sizes_of(name: str) -> list[Experiment]:
    """An experiment and those that only differ from it in the number of pairs."""
    return [e for e in EXPERIMENTS if e.name == name or e.name.startswith(f"{name}_x")]


def named(names: Sequence[str]) -> list[Experiment]:
    """Experiments by name, the base among them, in the order of the table. Raises PlumblineError."""
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    for name in names:
        if name not in known:
            raise PlumblineError(f"--only {name}: no such experiment ({', '.join(known)})")
    return [each for each in EXPERIMENTS if each.name in names or not each.method]


def families(experiments: Sequence[Experiment]) -> list[Family]:
    """Whose learning rates are needed."""
    return list(dict.fromkeys(each.family for each in experiments if each.method))


def cpu_seconds(experiment: Experiment, plan: Plan) -> float:
    """About how long training and evaluation take on one core (measured on a 2020s server core)."""
    n_sequences = plan.n_of(experiment) * plan.epochs
    if experiment.data == "rated":
        n_sequences *= SAMPLED_ANSWERS
    slowness = {"mdpo": 1.3, "rdpo": 1.3, "chip": 2.2, "sft": 0.6}.get(experiment.method, 1.0)
    training = n_sequences * 0.02 * slowness if experiment.method and not experiment.like else 0.0
    sampling = n_sequences * 0.08 * (1 - experiment.mix) if experiment.data == "online" else 0.0
    return training + sampling + 0.15 * plan.limit
