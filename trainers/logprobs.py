"""Log-probabilities of responses: from a model's logits to the numbers that objectives are made of.

Pure functions of tensors. ``scoring`` runs a model so that it has logits at response positions only.

Conventions, the same everywhere in this package:

* The responses of a batch lie one behind another: tokens (N,), the ``lengths`` of the responses, and logits (N, V),
  each row from the position before its token, which predicts it.
* The token that ends the turn is a response token and is scored. What a response is comes from where it was
  encoded and never from ``ids != pad``: many tokenizers pad with the end token.
* Half-precision logits are turned into float32 first: a sum over 150 tokens in bfloat16 has lost the
  few tenths that a preference is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

_TILE = 2**22
"""Logits that are in float32 at a time (16 MiB)."""


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


def log_probs_of(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probabilities (N,) of tokens (N,) under logits (N, V), in float32 or float64.

    Logits are turned into float32 a tile at a time, and no second tensor of their size is kept for the gradient.
    """
    found: Tensor = _LogProbs.apply(logits, tokens)
    return found


def response_log_probs(
    values: Tensor,
    lengths: Sequence[int],
    weights: Tensor | None = None,
    *,
    average: bool = False,
    kl: Tensor | None = None,
) -> ResponseLogProbs:
    """Sums over each response's tokens.

    Args:
        values: log-probabilities of tokens, (N,).
        lengths: of the B responses that they belong to.
        weights: (N,), for ``weighted``; see ``token_weights``.
        average: divide ``weighted`` by the sum of the weights, as RLHF-V does.
        kl: (B,), passed on.
    """
    by_response = _by_response(values, lengths)
    weighted = None
    if weights is not None:
        applied = _by_response(weights.to(values.dtype), lengths)
        weighted = (by_response * applied).sum(-1)
        if average:
            weighted = weighted / applied.sum(-1).clamp_min(torch.finfo(weighted.dtype).tiny)
    n_tokens = torch.tensor(lengths, device=values.device)
    return ResponseLogProbs(by_response.sum(-1), n_tokens, weighted, kl)


def _by_response(values: Tensor, lengths: Sequence[int]) -> Tensor:
    """(B, longest), with zeros behind shorter responses."""
    return pad_sequence(values.split(list(lengths)), batch_first=True)


def sequence_kl(policy_logits: Tensor, reference_logits: Tensor, lengths: Sequence[int]) -> Tensor:
    """Sum over each response's positions of KL(reference || policy), (B,), for logits (N, V).

    CHiP's code drops the last response of the batch (``chip_get_batch_logps``); here every one counts.
    """
    found = []
    # One by one: both distributions of a whole batch would take four times the logits' memory.
    parts = (logits.split(list(lengths)) for logits in (policy_logits, reference_logits))
    for policy, reference in zip(*parts, strict=True):
        told = _precise(reference).log_softmax(-1)
        apart = told - _precise(policy).log_softmax(-1)
        found.append((told.exp() * apart).sum(-1).sum())
    return torch.stack(found)


def best_other_tokens(logits: Tensor, tokens: Tensor) -> Tensor:
    """For each of N tokens the one with the highest logit (N, V) that is not this token.

    Re-Align's released code scores these instead of the rejected answer's own tokens
    (``_get_noisy_batch_logps``), which is not the published objective.
    """
    return logits.detach().scatter(-1, tokens[:, None], -torch.inf).argmax(-1)


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
