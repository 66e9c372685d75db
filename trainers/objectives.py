"""Objectives: pure functions from log-probabilities to a loss.

Notation, as in the papers: ``d`` is a log-ratio, log-probability under the policy minus under the reference,
summed over response tokens. ``d_w`` is that of the chosen answer, ``d_l`` of the rejected one, ``d_i`` of the
chosen answer beside the rejected picture. An implicit reward is ``beta * d``.

Defaults are the papers' formulas. Where released code computes something else, that is an option here or
a method of its own (``methods``), and the reason stands beside it. The loss of a batch is the mean over pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trainers.logprobs import PairLogProbs, ResponseLogProbs
from trainers.loss import LogRatios, Loss, Term, combine, counts, implicit_rewards, needed

PairLoss = Literal["sigmoid", "robust", "hinge", "ipo", "apo_zero"]
Reduction = Literal["token", "sequence", "sum"]


def sft(
    policy: PairLogProbs, reference: PairLogProbs | None = None, *, reduction: Reduction = "token"
) -> Loss:
    """Negative log-likelihood of the chosen answers.

    Args:
        reference: not used; it is there because every objective takes one.
        reduction: "token" is the mean over all response tokens of the batch (InternVL, TRL, ms-swift),
            "sequence" the mean of each answer's own mean (LLaMA-Factory), "sum" the mean of the
            answers' sums (mllm-dpo, RLAIF-V). The batch is that of one forward pass, as in all of these:
            accumulated gradients and processes average such means, so that with "token" alone the same
            pairs weigh a little differently in other splits.
    """
    return combine({"nll": Term(1.0, lambda: negative_log_likelihood(policy.chosen, reduction))})


def dpo(
    policy: PairLogProbs,
    reference: PairLogProbs,
    *,
    beta: float = 0.1,
    loss: PairLoss = "sigmoid",
    label_smoothing: float = 0.0,
    average: bool = False,
) -> Loss:
    """DPO (arXiv 2305.18290), ``-log sigmoid(z)`` with ``z = beta (d_w - d_l)``, and its siblings.

    Args:
        loss: in place of "sigmoid": "robust" (arXiv 2403.00409), "hinge" (SLiC, 2305.10425),
            "ipo" (2310.12036) or "apo_zero" (2408.06266).
        label_smoothing: the share of pairs taken to be labelled the wrong way round, for "sigmoid" and
            "robust". TRL 1.16 ignores it for "sigmoid".
        average: log-ratios per token in place of sums: with "ipo" what TRL computes since 0.9, with
            "sigmoid" what mllm-dpo computes unless its script switches it off.
    """
    d = LogRatios(policy, reference, "mean" if average else "summed")
    term = Term(1.0, lambda: pair_loss(d, beta, loss, label_smoothing))
    return combine({"dpo": term}, implicit_rewards(policy, reference, beta))


def ddpo(policy: PairLogProbs, reference: PairLogProbs, *, beta: float = 0.5) -> Loss:
    """Dense DPO (RLHF-V, arXiv 2312.00849): DPO on token-weighted log-probabilities.

    The weights come from the log-probabilities' side (``token_weights.segment_weights``): 5 on corrected
    segments, and a mean by the sum of the weights. VL-RLHF's DDPO sums over differing segments alone: token
    weight 1, shared token weight 0, no mean, beta 0.1.
    """
    d = LogRatios(policy, reference, "weighted")
    term = Term(1.0, lambda: pair_loss(d, beta))
    return combine({"dpo": term}, implicit_rewards(policy, reference, beta))


def ld_dpo(policy: PairLogProbs, reference: PairLogProbs, *, beta: float = 0.1) -> Loss:
    """LD-DPO (arXiv 2409.06411): DPO on log-probabilities in which what one answer is longer by counts less.

    The weights come from the log-probabilities' side, too (``token_weights.length_weights``).
    """
    return ddpo(policy, reference, beta=beta)


def mdpo(
    policy: PairLogProbs,
    reference: PairLogProbs,
    *,
    beta: float = 0.1,
    anchor: float = 0.0,
    dpo_weight: float = 1.0,
    conditional_weight: float = 1.0,
    anchor_weight: float = 1.0,
) -> Loss:
    """mDPO (arXiv 2406.11839): DPO, conditional preference and anchored preference.

    ``-log sigmoid(beta (d_w - d_l)) - log sigmoid(beta (d_w - d_i)) - log sigmoid(beta d_w - anchor)``

    Args:
        anchor: the reward that a chosen answer is to exceed (delta in the paper).
        dpo_weight, conditional_weight, anchor_weight: 0 switches a term off; without the conditional
            term no rejected picture is needed.
    """
    d = LogRatios(policy, reference)
    terms = {
        "dpo": Term(dpo_weight, lambda: pair_loss(d, beta)),
        "conditional": Term(conditional_weight, lambda: conditional_loss(d, beta)),
        "anchor": Term(anchor_weight, lambda: -logsigmoid(beta * d.chosen - anchor)),
    }
    return combine(terms, implicit_rewards(policy, reference, beta))


def rdpo(
    policy: PairLogProbs,
    reference: PairLogProbs,
    *,
    beta: float = 0.1,
    conditional_weight: float = 1.0,
) -> Loss:
    """rDPO (Re-Align, arXiv 2502.13146): DPO and conditional preference against a retrieved, similar picture.

    Re-Align's released code feeds the log-probabilities of other tokens: the method ``rdpo_released``.
    """
    d = LogRatios(policy, reference)
    terms = {
        "dpo": Term(1.0, lambda: pair_loss(d, beta)),
        "conditional": Term(conditional_weight, lambda: conditional_loss(d, beta)),
    }
    return combine(terms, implicit_rewards(policy, reference, beta))


def chip(
    policy: PairLogProbs,
    reference: PairLogProbs,
    *,
    beta: float = 0.1,
    segment_weight: float = 1.0,
    kl_weight: float = 0.1,
    conditional_weight: float = 1.0,
) -> Loss:
    """CHiP (arXiv 2501.16629): preferences on whole answers, segments, tokens and pictures.

    DPO, ``segment_weight`` times DPO on segment-weighted log-probabilities, ``kl_weight`` times TDPO's
    ``beta (KL_l - stopgrad(KL_w))``, and conditional preference against a picture with diffusion noise.
    Released code has one sigmoid instead of a sum of losses: ``chip_released``, which is checked against that
    code. This sum and its two coefficients are second-hand: the paper's abstract and public reviews of it
    were read, not its equations.

    Args:
        segment_weight: lambda; reviews quote 1 with Muffin and 3 with LLaVA-1.6.
        kl_weight: gamma; reviews quote 0.5 and 0.1 as constants of the implementation, whose code has 0.1.
    """
    d = LogRatios(policy, reference)
    segments = LogRatios(policy, reference, "weighted")
    terms = {
        "dpo": Term(1.0, lambda: pair_loss(d, beta)),
        "segment": Term(segment_weight, lambda: pair_loss(segments, beta)),
        "kl": Term(kl_weight, lambda: beta * kl_difference(policy)),
        "conditional": Term(conditional_weight, lambda: conditional_loss(d, beta)),
    }
    return combine(terms, implicit_rewards(policy, reference, beta))


def chip_released(
    policy: PairLogProbs,
    reference: PairLogProbs,
    *,
    beta: float = 0.1,
    segments: bool = True,
    kl_weight: float = 0.1,
    conditional: bool = True,
) -> Loss:
    """CHiP as its code computes it (LVUGAI/CHiP ``chip_loss``): all terms inside one sigmoid.

    ``-log sigmoid(beta ((d_w - d_l) + (d_w - d_i) - kl_weight (KL_l - stopgrad(KL_w))))``: the chosen
    answer's log-ratio counts twice. One thing is mended: the code weighs the reference's sum beside the
    noised picture by the tokens' weights once more, which makes it a hundred times too large.

    Args:
        segments: log-probabilities weighted by segment in place of plain sums.
        kl_weight: ``tok_beta`` in the code.
        conditional: whether ``d_w - d_i`` enters.
    """
    d = LogRatios(policy, reference, "weighted" if segments else "summed")

    def in_one_sigmoid() -> Tensor:
        z = d.chosen - d.rejected
        if conditional:
            z = z + d.chosen - d.image_rejected
        if kl_weight:
            z = z - kl_weight * kl_difference(policy)
        return -logsigmoid(beta * z)

    terms = {"chip": Term(1.0, in_one_sigmoid)}
    return combine(terms, implicit_rewards(policy, reference, beta))


def mpo(
    policy: PairLogProbs,
    reference: PairLogProbs,
    *,
    beta: float = 0.1,
    shift: float | Tensor = 0.0,
    dpo_weight: float = 0.8,
    bco_weight: float = 0.2,
    nll_weight: float = 1.0,
) -> Loss:
    """MPO (InternVL, arXiv 2411.10442): DPO, BCO and the likelihood of the chosen answers.

    ``BCO = -log sigmoid(beta d_w - shift) - log sigmoid(-(beta d_l - shift))``; the likelihood is a mean over
    the batch's tokens (``sft``), which with InternVL's one pair at a time is the answer's own mean.

    Args:
        shift: the running mean of rewards, this batch included (``RunningShift``). With 0 this is TRL
            1.x's recipe, which has dropped the shift and is no longer InternVL's loss.
    """
    d = LogRatios(policy, reference)

    def bco() -> Tensor:
        return -logsigmoid(beta * d.chosen - shift) - logsigmoid(shift - beta * d.rejected)

    terms = {
        "dpo": Term(dpo_weight, lambda: pair_loss(d, beta)),
        "bco": Term(bco_weight, bco),
        "nll": Term(nll_weight, lambda: negative_log_likelihood(policy.chosen, "token")),
    }
    return combine(terms, implicit_rewards(policy, reference, beta))


@dataclass
class RunningShift:
    """BCO's shift: the mean over steps of each step's mean reward. Its fields are saved with a checkpoint.

    Every step counts the same, whatever its batch size: TRL 0.10's running moments are fed one mean a step.
    """

    mean: float = 0.0
    n_steps: int = 0

    def update(self, rewards: Tensor) -> float:
        """The shift for this step.

        Args:
            rewards: implicit rewards of chosen and rejected answers together, of all processes.
        """
        self.n_steps += 1
        self.mean += (float(rewards.mean()) - self.mean) / self.n_steps
        return self.mean


def mrpo(
    policy: PairLogProbs,
    reference: PairLogProbs,
    *,
    extra_reference: PairLogProbs,
    beta: float = 0.1,
    eta: float = 0.1,
    alpha: float = -1.0,
) -> Loss:
    """MRPO (arXiv 2405.16388): DPO against the initial policy and an extra model at once.

    Args:
        extra_reference: the extra model's log-probabilities.
        eta, alpha: see ``combined_reference``.
    """
    combined = combined_reference(reference, extra_reference, eta=eta, alpha=alpha)
    return dpo(policy, combined, beta=beta)


def combined_reference(
    initial: PairLogProbs, extra: PairLogProbs, *, eta: float = 0.1, alpha: float = -1.0
) -> PairLogProbs:
    """``p1 p2 / (a p1 + (1 - a) p2)`` on sequence probabilities; p1 is the extra model's, p2 the initial one's.

    Args:
        eta: log p1 is first clipped to within this share of log p2, divided between chosen and rejected in
            proportion to their log-probabilities; a negative one clips both at its amount.
        alpha: ``a``; a negative one takes it from each pair: the extra model's margin between the answers as
            a share of both models' (absolute) margins.
    """
    chosen1, chosen2 = extra.chosen.summed, initial.chosen.summed
    rejected1, rejected2 = extra.rejected.summed, initial.rejected.summed
    mixing = torch.full_like(chosen1, alpha)
    if alpha < 0:
        margin1, margin2 = (chosen1 - rejected1).abs(), (chosen2 - rejected2).abs()
        mixing = margin1 / (margin1 + margin2 + 1e-6)
    eta_chosen = eta_rejected = torch.full_like(chosen1, abs(eta))
    if eta >= 0:
        size_chosen, size_rejected = (chosen1 + chosen2).abs(), (rejected1 + rejected2).abs()
        total = (size_chosen + size_rejected).clamp_min(torch.finfo(chosen1.dtype).tiny)
        eta_chosen, eta_rejected = eta * size_chosen / total, eta * size_rejected / total
    return PairLogProbs(
        ResponseLogProbs(_combined(chosen1, chosen2, mixing, eta_chosen)),
        ResponseLogProbs(_combined(rejected1, rejected2, mixing, eta_rejected)),
    )


def _combined(log_p1: Tensor, log_p2: Tensor, mixing: Tensor, eta: Tensor) -> Tensor:
    log_p1 = torch.minimum(torch.maximum(log_p1, log_p2 * (1 + eta)), log_p2 * (1 - eta))
    mixture = torch.logaddexp(mixing.log() + log_p1, (1 - mixing).log() + log_p2)
    return log_p1 + log_p2 - mixture


def pair_loss(
    d: LogRatios, beta: float, loss: PairLoss = "sigmoid", label_smoothing: float = 0.0
) -> Tensor:
    """A loss (B,) of the chosen against the rejected answer."""
    z = beta * (d.chosen - d.rejected)
    right, flipped = -logsigmoid(z), -logsigmoid(-z)
    if loss == "sigmoid":
        return (1 - label_smoothing) * right + label_smoothing * flipped
    if loss == "robust":
        mixed = (1 - label_smoothing) * right - label_smoothing * flipped
        return mixed / (1 - 2 * label_smoothing)
    if loss == "hinge":
        return torch.relu(1 - z)
    if loss == "ipo":
        return (d.chosen - d.rejected - 1 / (2 * beta)) ** 2
    if loss == "apo_zero":
        return 1 - torch.sigmoid(beta * d.chosen) + torch.sigmoid(beta * d.rejected)
    raise ValueError(f"no pair loss {loss!r} (known: {', '.join(get_args(PairLoss))})")


def conditional_loss(d: LogRatios, beta: float) -> Tensor:
    """``-log sigmoid(beta (d_w - d_i))``, (B,): the same answer, beside the true and the rejected picture."""
    return -logsigmoid(beta * (d.chosen - d.image_rejected))


def kl_difference(policy: PairLogProbs) -> Tensor:
    """``KL_l - stopgrad(KL_w)``, (B,), summed over response positions."""
    what = "sequential KL divergences from the reference"
    return needed(policy.rejected.kl, what) - needed(policy.chosen.kl, what).detach()


def negative_log_likelihood(chosen: ResponseLogProbs, reduction: Reduction) -> Tensor:
    """(B,), so scaled that the mean over the batch is the reduction; see ``sft``."""
    if reduction == "sum":
        return -chosen.summed
    n_tokens = counts(chosen)
    return -chosen.summed / (n_tokens if reduction == "sequence" else n_tokens.mean())
