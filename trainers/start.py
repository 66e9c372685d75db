"""The check before the first step: while nothing is learned, policy and reference must be one.

Each log-ratio is 0 then, and the loss is what the objective gives for that: ln 2 for DPO, 3 ln 2 for mDPO. Anything
else means that the reference is not this model, or is not computed in the same way, and training would
optimise something else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import torch

from benchmarks.base import PlumblineError
from trainers.collate import Item
from trainers.layouts import to_device
from trainers.logprobs import PairLogProbs, ResponseLogProbs
from trainers.loss import counts
from trainers.objectives import RunningShift
from trainers.pairs import Preference
from trainers.preferences import Lengths

if TYPE_CHECKING:
    from trainers.trainer import LogProbs, PreferenceTrainer


class StartError(PlumblineError):
    """The first loss is not what theory says."""


class Tolerances(NamedTuple):
    """Largest differences that rounding explains.

    Attributes:
        summed: of log-probabilities summed over an answer of 100 tokens.
        loss: relative to the loss, absolute below 1.
    """

    summed: float
    loss: float


EXACT = Tolerances(0.01, 1e-3)
"""Where weights and computation are float32."""

HALF = Tolerances(0.5, 0.05)

_N_DRAWN = 5
"""Random pairs whose reference is checked."""

_CAUSES = (
    "The reference log-probabilities are of other weights or were computed in another way: if they come from "
    "a cache, remove it (its folder is shown above) or take another --cache-dir; else set layout=concat, or dropout=false"
)


def sample_of(
    pairs: Sequence[Preference], lengths: Mapping[str, Lengths], seed: int
) -> list[Preference]:
    """Pairs for the checks: the longest, the shortest, which share rows, and random ones."""
    ordered = sorted(pairs, key=lambda pair: sum(lengths[pair.id]))
    ends = [ordered[-1], *ordered[: min(2, len(ordered) - 1)]]
    between = ordered[2:-1]
    return [*ends, *Random(seed).sample(between, min(_N_DRAWN, len(between)))]


def check_start(
    trainer: PreferenceTrainer, items: Sequence[Item], tolerances: Tolerances = EXACT
) -> float:
    """The mean loss of some pairs before the first step, after it has been compared with theory.

    Raises:
        StartError: it is something else; the text says what, where and what to do.
    """
    size = trainer.args.per_device_train_batch_size
    was_training = trainer.model.training
    trainer.model.eval()
    losses = [
        _checked_loss(trainer, items[start : start + size], tolerances)
        for start in range(0, len(items), size)
    ]
    trainer.model.train(was_training)
    return sum(losses) / len(losses)


def _checked_loss(
    trainer: PreferenceTrainer, items: Sequence[Item], tolerances: Tolerances
) -> float:
    batch = to_device(trainer.collator(items), trainer.args.device)
    with torch.no_grad(), trainer.accelerator.autocast():
        found = trainer.log_probs(trainer.model, batch)
    loss = float(trainer.objective(found, RunningShift()).value)
    if not math.isfinite(loss):
        raise StartError(
            f"the first loss is {loss}; set dtype=float32, or look for damaged weights"
        )
    if found.reference is None:
        return loss
    # Pictures that are drawn anew differ between policy and reference from the start, by intention.
    names = ["chosen", "rejected"]
    same_pictures = "reference_batch" not in batch
    names += ["image_rejected"] if same_pictures and found.policy.image_rejected else []
    for name in names:
        ours, theirs = getattr(found.policy, name), getattr(found.reference, name)
        _check_equal(name, ours, theirs, batch["ids"], tolerances.summed)
    theory = float(trainer.objective(_before_learning(found), RunningShift()).value)
    if same_pictures and not abs(loss - theory) <= tolerances.loss * max(1, abs(theory)):
        raise StartError(
            f"the first loss is {loss:.4f}, and a policy that equals its reference has {theory:.4f}. {_CAUSES}"
        )
    return loss


def _check_equal(
    name: str,
    policy: ResponseLogProbs,
    reference: ResponseLogProbs,
    ids: Sequence[str],
    tolerance: float,
) -> None:
    """Raises StartError if policy and reference differ by more than rounding."""
    ours, theirs = policy.summed, reference.summed
    # Rounding of tokens adds up as a random walk does.
    excess = (ours - theirs).abs() - tolerance * (counts(policy) / 100).sqrt().clamp_min(1)
    worst = int(excess.argmax())
    if not float(excess[worst]) <= 0:
        raise StartError(
            f"before the first step, the policy gives the {name} answer of pair {ids[worst]} a log-probability "
            f"of {float(ours[worst]):.3f} and the reference {float(theirs[worst]):.3f}; they must be the same. "
            f"{_CAUSES}"
        )


def _before_learning(found: LogProbs) -> LogProbs:
    """The same with a policy that equals its reference, whose divergence from it is 0."""

    def same(response: ResponseLogProbs) -> ResponseLogProbs:
        return replace(response, kl=torch.zeros_like(response.summed))

    assert found.reference is not None
    chosen, rejected = same(found.reference.chosen), same(found.reference.rejected)
    image = found.reference.image_rejected
    policy = PairLogProbs(chosen, rejected, None if image is None else same(image))
    return found._replace(policy=policy)
