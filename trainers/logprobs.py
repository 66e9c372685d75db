"""Log-probabilities of responses: from a model's logits to the numbers that objectives are made of.

Pure functions of tensors. ``scoring`` runs a model so that it has logits at response positions only.

Conventions, the same everywhere in this package:

* ``labels`` are token ids, ``IGNORE`` at prompt, picture and padding positions. The token that ends the
  turn is a response token and is scored. Masks come from labels and never from ``ids != pad``: many
  tokenizers pad with the end token.
* The logits at position t predict token t + 1. ``targets`` are labels already moved to where they are
  predicted, so that ``logits[:, t]`` belongs to ``targets[:, t]``.
* Half-precision logits are turned into float32 first: a sum over 150 tokens in bfloat16 has lost the
  few tenths that a preference is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

IGNORE = -100

_TILE = 2**22
"""Logits that are in float32 at a time (16 MiB)."""


class TokenLogProbs(NamedTuple):
    """Log-probabilities of B responses, token by token.

    Attributes:
        values: (B, T), 0 where no response token is predicted.
        mask: (B, T) bool, where one is.
    """

    values: Tensor
    mask: Tensor


@dataclass(frozen=True)
class ResponseLogProbs:
    """What one model says about B responses; every tensor is (B,).

    Attributes:
        summed: sum of the response tokens' log-probabilities.
        n_tokens: how many tokens that is, the end of turn included.
        weighted: the same sum (or mean) with token weights, for DDPO and CHiP.
        kl: sum over response positions of KL(reference || policy) over the vocabulary, for CHiP.
    """

    summed: Tensor
    n_tokens: Tensor | None = None
    weighted: Tensor | None = None
    kl: Tensor | None = None


@dataclass(frozen=True)
class PairLogProbs:
    """What one model says about B preference pairs.

    Attributes:
        image_rejected: the *chosen* responses beside the rejected pictures.
    """

    chosen: ResponseLogProbs
    rejected: ResponseLogProbs
    image_rejected: ResponseLogProbs | None = None


def shifted(labels: Tensor) -> Tensor:
    """Targets (B, T - 1) of the logits ``[:, :-1]`` from labels (B, T)."""
    return labels[:, 1:]


def log_probs_of(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probabilities (N,) of tokens (N,) under logits (N, V), in float32 or float64.

    Logits are turned into float32 a tile at a time, and no second tensor of their size is kept for the gradient.
    """
    found: Tensor = _LogProbs.apply(logits, tokens)
    return found


def token_log_probs(logits: Tensor, targets: Tensor, tokens: Tensor | None = None) -> TokenLogProbs:
    """Log-probabilities at the response positions; no other position is computed.

    Args:
        logits: (B, T, V).
        targets: (B, T), IGNORE where nothing is asked.
        tokens: (B, T), scored instead of the targets, where the targets are not IGNORE.
    """
    mask = targets != IGNORE
    asked = (targets if tokens is None else tokens)[mask]
    found = log_probs_of(logits[mask], asked)
    values = found.new_zeros(mask.shape)
    values[mask] = found
    return TokenLogProbs(values, mask)


def response_log_probs(
    tokens: TokenLogProbs,
    weights: Tensor | None = None,
    *,
    average: bool = False,
    kl: Tensor | None = None,
) -> ResponseLogProbs:
    """Sums over the response tokens.

    Args:
        tokens: (B, T).
        weights: (B, T), for ``weighted``; see ``token_weights``.
        average: divide ``weighted`` by the sum of the weights, as RLHF-V does.
        kl: (B,), passed on.
    """
    weighted = None
    if weights is not None:
        applied = weights.to(tokens.values.dtype) * tokens.mask
        weighted = (tokens.values * applied).sum(-1)
        if average:
            weighted = weighted / applied.sum(-1).clamp_min(torch.finfo(weighted.dtype).tiny)
    return ResponseLogProbs(tokens.values.sum(-1), tokens.mask.sum(-1), weighted, kl)


def sequence_kl(policy_logits: Tensor, reference_logits: Tensor, targets: Tensor) -> Tensor:
    """Sum over response positions of KL(reference || policy), (B,), for logits (B, T, V).

    CHiP's code drops the last row of the batch (``chip_get_batch_logps``); here every row counts.
    """
    mask = targets != IGNORE
    reference = _precise(reference_logits[mask]).log_softmax(-1)
    policy = _precise(policy_logits[mask]).log_softmax(-1)
    found = (reference.exp() * (reference - policy)).sum(-1)
    by_position = found.new_zeros(mask.shape)
    by_position[mask] = found
    return by_position.sum(-1)


def best_other_tokens(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, T): at each position the token with the highest logit that is not the target.

    Re-Align's released code scores these instead of the rejected answer's own tokens
    (``_get_noisy_batch_logps``), which is not the published objective.
    """
    own = targets.clamp_min(0)[..., None]
    return logits.detach().scatter(-1, own, -torch.inf).argmax(-1)


class _LogProbs(torch.autograd.Function):
    """``log_softmax(logits)[tokens]`` whose backward pass computes the softmax anew, tile by tile."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor) -> Tensor:
        tiles = zip(_tiled(logits), tokens.split(_tile_rows(logits)), strict=True)
        norms, values = [], []
        for tile, asked in tiles:
            norms.append(tile.logsumexp(-1))
            values.append(tile.gather(-1, asked[:, None]).squeeze(-1) - norms[-1])
        norm = torch.cat(norms)
        ctx.save_for_backward(logits, tokens, norm)
        return torch.cat(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, tokens, norm = ctx.saved_tensors
        (gradient,) = gradients
        found = torch.empty_like(logits)
        size = _tile_rows(logits)
        for index, tile in enumerate(_tiled(logits)):
            part = slice(index * size, index * size + len(tile))
            upstream = gradient[part, None]
            own = (tile - norm[part, None]).exp_().mul_(-upstream)
            own.scatter_add_(-1, tokens[part, None], upstream.to(own.dtype))
            found[part] = own
        return found, None


def _tile_rows(logits: Tensor) -> int:
    return max(1, _TILE // logits.shape[-1])


def _tiled(logits: Tensor) -> Iterator[Tensor]:
    return map(_precise, logits.split(_tile_rows(logits)))


def _precise(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
