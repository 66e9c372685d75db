"""What objectives are composed of: log-ratios, weighted terms, and the loss with what is logged about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from benchmarks.base import PlumblineError
from trainers.logprobs import PairLogProbs, ResponseLogProbs

Measure = Literal["summed", "mean", "weighted"]
"""Which log-probability of a response enters: the sum over its tokens, the mean, or the token-weighted one."""


def measured(response: ResponseLogProbs, measure: Measure) -> Tensor:
    """(B,). Raises PlumblineError if it was not computed."""
    if measure == "weighted":
        return needed(response.weighted, "token-weighted log-probabilities")
    return response.summed / counts(response) if measure == "mean" else response.summed


def counts(response: ResponseLogProbs) -> Tensor:
    """Numbers of response tokens, (B,), at least 1. Raises PlumblineError if they were not computed."""
    n_tokens = needed(response.n_tokens, "the numbers of response tokens")
    return n_tokens.to(response.summed.dtype).clamp_min(1)


def needed(value: Tensor | None, what: str) -> Tensor:
    """The value. Raises PlumblineError if it is None."""
    if value is None:
        raise PlumblineError(f"the objective needs {what}, which were not computed")
    return value


@dataclass(frozen=True)
class LogRatios:
    """Log-probabilities under the policy minus those under the reference, each (B,)."""

    policy: PairLogProbs
    reference: PairLogProbs
    measure: Measure = "summed"

    @property
    def chosen(self) -> Tensor:
        return self._difference(self.policy.chosen, self.reference.chosen)

    @property
    def rejected(self) -> Tensor:
        return self._difference(self.policy.rejected, self.reference.rejected)

    @property
    def image_rejected(self) -> Tensor:
        """Of the chosen answers beside the rejected pictures. Raises PlumblineError if there are none."""
        policy, reference = self.policy.image_rejected, self.reference.image_rejected
        if policy is None or reference is None:
            raise PlumblineError(
                "the conditional term compares with a rejected picture: choose a corruption, or give the "
                "term the weight 0"
            )
        return self._difference(policy, reference)

    def _difference(self, policy: ResponseLogProbs, reference: ResponseLogProbs) -> Tensor:
        return measured(policy, self.measure) - measured(reference, self.measure)


class Term(NamedTuple):
    """A term of a loss, (B,). It is computed only if its weight is not 0: its inputs may not exist."""

    weight: float
    value: Callable[[], Tensor]


@dataclass(frozen=True)
class Loss:
    """An objective's value on one batch of B pairs.

    Attributes:
        per_pair: (B,), with gradient; the loss is their mean.
        terms: each term before its weight, (B,), detached.
        rewards: implicit rewards ``beta * d`` on sums, whatever the objective's measure, (B,), detached: of
            "chosen", "rejected" and, where there is one, "image_rejected".
    """

    per_pair: Tensor
    terms: Mapping[str, Tensor]
    rewards: Mapping[str, Tensor]

    @property
    def value(self) -> Tensor:
        """The loss, a scalar with gradient."""
        return self.per_pair.mean()

    def logged(self) -> dict[str, float]:
        """Means over the batch; margins and accuracies compare the chosen answer's reward."""
        tensors = {f"terms/{name}": term for name, term in self.terms.items()}
        tensors |= {f"rewards/{name}": reward for name, reward in self.rewards.items()}
        for other, prefix in (("rejected", ""), ("image_rejected", "image_")):
            if other in self.rewards:
                margin = self.rewards["chosen"] - self.rewards[other]
                tensors[f"rewards/{prefix}margin"] = margin
                tensors[f"rewards/{prefix}accuracy"] = (margin > 0).to(margin.dtype)
        means = {name: float(tensor.mean()) for name, tensor in tensors.items()}
        return {"loss": float(self.value.detach()), **means}


def combine(terms: Mapping[str, Term], rewards: Mapping[str, Tensor] | None = None) -> Loss:
    """The weighted sum of terms. Raises PlumblineError if all are switched off."""
    values = {name: term.value() for name, term in terms.items() if term.weight != 0}
    if not values:
        raise PlumblineError(f"every term is switched off; give {' or '.join(terms)} a weight")
    weighted = torch.stack([terms[name].weight * value for name, value in values.items()])
    return Loss(
        per_pair=weighted.sum(0),
        terms={name: value.detach() for name, value in values.items()},
        rewards=rewards or {},
    )


def implicit_rewards(
    policy: PairLogProbs, reference: PairLogProbs, beta: float
) -> dict[str, Tensor]:
    """``beta * d`` of each kind of response, (B,), detached."""
    ratios = LogRatios(policy, reference)
    found = {"chosen": ratios.chosen, "rejected": ratios.rejected}
    if policy.image_rejected is not None and reference.image_rejected is not None:
        found["image_rejected"] = ratios.image_rejected
    return {name: beta * ratio.detach() for name, ratio in found.items()}
