"""The reference policy: whose log-probabilities the policy's are compared with, and where they come from."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.base import PlumblineError
from trainers.collate import Collator, PairData
from trainers.encoding import Role
from trainers.layouts import to_device
from trainers.methods import Method
from trainers.pairs import Preference
from trainers.parts import adapter_owns_all
from trainers.reference_cache import ReferenceCache
from trainers.scoring import Batch, answer_log_probs, answer_logits

Source = Literal["cache", "adapter", "copy"]

FLUSH_EVERY_S = 30.0
"""What a killed process loses of a cache that it was filling."""


def choose_source(wanted: str, method: Method, model: Any, changing: bool) -> Source:
    """Where the reference's log-probabilities come from.

    Args:
        wanted: ``Settings.reference``.
        changing: pairs or their rejected pictures differ from epoch to epoch, so that nothing can be cached.

    Raises:
        PlumblineError: what is wanted would not be the reference, or cannot be had.
    """
    cacheable = not changing and "kl" not in method.needs
    owned = adapter_owns_all(model)
    if wanted == "auto":
        return "cache" if cacheable else "adapter" if owned else "copy"
    if wanted == "cache" and not cacheable:
        why = "whole distributions" if "kl" in method.needs else "pictures that are drawn anew"
        raise PlumblineError(
            f"reference=cache: the method needs the reference for {why}; take auto"
        )
    if wanted == "adapter" and not owned:
        raise PlumblineError(
            "reference=adapter: parameters outside the adapter learn too, so the model with its adapter switched "
            "off is not the reference; take cache or copy"
        )
    return wanted  # type: ignore[return-value]


class LiveReference:
    """A reference policy that is asked in each step.

    Args:
        source: ``adapter`` switches the policy's off; ``copy`` keeps the model as it is now.
    """

    def __init__(self, source: Source, model: Any) -> None:
        self._copy = None
        if source == "copy":
            self._copy = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def logits(self, model: Any, batch: Batch) -> Tensor:
        """As ``scoring.answer_logits``, under the reference."""
        if self._copy is not None:
            return answer_logits(self._copy, batch)
        was_training = model.training
        model.eval()  # a reference has no dropout, even where the policy keeps it
        try:
            with without_adapter(model):
                return answer_logits(model, batch)
        finally:
            model.train(was_training)


def without_adapter(model: Any) -> AbstractContextManager[Any]:
    """The model with its adapter switched off, if it has one."""
    from accelerate.utils import extract_model_from_parallel
    from peft import PeftModel

    inner = extract_model_from_parallel(model, keep_torch_compile=False)
    return inner.disable_adapter() if isinstance(inner, PeftModel) else nullcontext()


def fill_cache(
    cache: ReferenceCache,
    model: Any,
    data: PairData,
    collator: Collator,
    *,
    batch_size: int,
    state: Any,
    autocast: Callable[[], AbstractContextManager[Any]],
    tell: Callable[[int, int], None],
) -> int:
    """Compute what a cache lacks with a model that nothing has been learned in yet.

    Each process computes its share of the pairs.

    Args:
        state: accelerate's ``PartialState``.
        tell: is told how many of this process's pairs are done, and how many there are.

    Returns:
        How many answers there were to compute in this process.

    Raises:
        PlumblineError: the processes do not see one another's files.
    """
    with cache.filling() if state.is_main_process else nullcontext():
        state.wait_for_everyone()
        cache.refresh()
        wanted = _missing(cache, data, collator.roles)[state.process_index :: state.num_processes]
        device = next(model.parameters()).device
        found: dict[str, np.ndarray] = {}
        n_found, written = 0, time.monotonic()
        was_training = model.training
        model.eval()
        for start in range(0, len(wanted), batch_size):
            chunk = [
                (data.item(pair).encoded, roles)
                for pair, roles in wanted[start : start + batch_size]
            ]
            answers = [(pair, role) for pair, roles in chunk for role in roles]
            batch = to_device(collator.answers(answers), device)
            with torch.no_grad(), autocast(), without_adapter(model):
                values = answer_log_probs(answer_logits(model, batch), batch)
            parts = values.float().cpu().split(batch["lengths"])
            found |= {
                pair.keys[role]: part.numpy()
                for (pair, role), part in zip(answers, parts, strict=True)
            }
            n_found += len(answers)
            tell(min(start + batch_size, len(wanted)), len(wanted))
            if time.monotonic() - written > FLUSH_EVERY_S:
                cache.add(found)
                found, written = {}, time.monotonic()
        cache.add(found)
        model.train(was_training)
        state.wait_for_everyone()
    cache.refresh()
    if _missing(cache, data, collator.roles):
        raise PlumblineError(
            f"{cache.folder} lacks what other processes computed: give all machines one folder that they share "
            "with --cache-dir"
        )
    return n_found


def _missing(
    cache: ReferenceCache, data: PairData, roles: Sequence[Role]
) -> list[tuple[Preference, list[Role]]]:
    """Pairs with answers that a cache has no values for."""
    listed = []
    for pair in data.pairs:
        keys = data.keys(pair)
        absent: list[Role] = [role for role in roles if keys[role] not in cache]
        if absent:
            listed.append((pair, absent))
    return listed
