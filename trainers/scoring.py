"""Running a model on a batch of answers, with logits at the places where answer tokens are predicted only.

Those logits are the largest tensor of a step of a small model, or of one with a large vocabulary. With
the pictures' hundreds of tokens and the prompts left out they are a fraction of the sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainers.logprobs import (
    PairLogProbs,
    ResponseLogProbs,
    best_other_tokens,
    log_probs_of,
    response_log_probs,
)

Batch = dict[str, Any]
"""What ``layouts.lay_out`` makes, with what ``collate.Collator`` adds."""


def inner_model(model: Any) -> Any:
    """The transformers model inside PEFT's and accelerate's wrappers."""
    from accelerate.utils import extract_model_from_parallel
    from peft import PeftModel

    inner = extract_model_from_parallel(model, keep_torch_compile=False)
    return inner.get_base_model() if isinstance(inner, PeftModel) else inner


def answer_logits(model: Any, batch: Batch) -> Tensor:
    """The model's own logits at the batch's N places: (N, vocabulary).

    What goes into the LM head is cut down to those places; whatever the model does to logits afterwards (a scale,
    a soft cap) still happens, and so does what parallel wrappers do around its forward pass.
    """
    rows, columns = batch["rows"], batch["columns"]

    def only_answers(_: Any, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (arguments[0][rows, columns][None], *arguments[1:])

    handle = inner_model(model).get_output_embeddings().register_forward_pre_hook(only_answers)
    try:
        logits: Tensor = model(**batch["inputs"], use_cache=False).logits
    finally:
        handle.remove()
    return logits[0]


def answer_log_probs(logits: Tensor, batch: Batch) -> Tensor:
    """Log-probabilities of the batch's tokens: (N,) float32, one answer behind the other."""
    tokens = batch["targets"]
    if "substituted" in batch:
        others = best_other_tokens(logits, tokens)
        tokens = torch.where(batch["substituted"], others, tokens)
    return log_probs_of(logits, tokens)


def pair_log_probs(
    values: Tensor,
    batch: Batch,
    n_pairs: int,
    *,
    token_mean: bool = False,
    kl: Tensor | None = None,
) -> PairLogProbs:
    """What an objective is given, from token log-probabilities.

    Args:
        values: (N,), of all pairs' chosen answers, then of all rejected ones, then of those beside rejected
            pictures, as far as the batch has them.
        token_mean: see ``methods.TokenWeights``.
        kl: (answers,), the policy's ``logprobs.sequence_kl``.
    """
    found = response_log_probs(
        values, batch["lengths"], batch.get("weights"), average=token_mean, kl=kl
    )
    parts = _parts(found, n_pairs)
    # A method that only looks at chosen answers is given them in place of rejected ones.
    return PairLogProbs(parts[0], parts[min(1, len(parts) - 1)], *parts[2:])


def _parts(found: ResponseLogProbs, n_pairs: int) -> Sequence[ResponseLogProbs]:
    fields = [found.summed, found.n_tokens, found.weighted, found.kl]
    n_parts = len(found.summed) // n_pairs
    split = [[None] * n_parts if each is None else each.split(n_pairs) for each in fields]
    return [ResponseLogProbs(*part) for part in zip(*split, strict=True)]
