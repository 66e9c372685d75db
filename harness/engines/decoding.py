"""Batched generation with one prefix per group of requests.

The layout of a batch, per row (a hole is masked, and has no position)::

    [hole | prefix | hole | suffix | new tokens]

The prefix of a group holds all its pictures and whatever text its requests share after them. It
goes through the model once per group; its keys and values are then repeated for the group's
requests. In a *solo* group the prefix is the whole prompt of one request and there is no suffix:
that is plain left-padded batching. Rows leave the batch as they finish.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from harness.engines.base import EngineStats
from harness.engines.cache import expanded
from harness.engines.prompts import Prompt, Tensors
from harness.engines.tokens import Chooser, Row

# What a self-check sees: the rows of a step and their logits, before any of them is changed.
Observer = Callable[[Sequence[Row], torch.Tensor], None]

# Rows that have ended stay in the batch until they are one in this many: to take them out is to
# copy the cache.
_DENSITY = 8


@dataclass(frozen=True)
class Group:
    """Prompts that start with the same ``n_shared`` tokens and the same pictures."""

    prompts: tuple[Prompt, ...]
    n_shared: int

    @property
    def prefix(self) -> Prompt:
        return self.prompts[0].slice(0, self.n_shared)

    @property
    def solo(self) -> bool:
        """Whether the prefix is the whole of the only prompt."""
        return self.n_shared == len(self.prompts[0])

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(len(prompt) for prompt in self.prompts)


@dataclass
class _State:
    """Rows in flight with their cache. ``mask`` has one column per cached token, False in holes."""

    cache: Any
    mask: torch.Tensor
    logits: torch.Tensor


class Decoder:
    """Runs groups through a model with explicit masks, positions and cache."""

    def __init__(self, model: Any, chooser: Chooser, stats: EngineStats) -> None:
        self._model = model
        self._chooser = chooser
        self._stats = stats
        self._takes_logits_to_keep = "logits_to_keep" in inspect.signature(model.forward).parameters

    @torch.inference_mode()
    def run(
        self,
        groups: Sequence[Group],
        batch_size: int,
        *,
        limit: int | None = None,
        extra_hole: int = 0,
        observer: Observer | None = None,
    ) -> Iterator[list[Row]]:
        """Generate for all prompts of the groups; yields finished rows, ``batch_size`` at a time.

        Args:
            groups: either all solo or none.
            batch_size: most rows that are decoded together.
            limit: new tokens per row, instead of what the requests ask for.
            extra_hole: additional columns in every hole, for self-checks.
            observer: is shown each step's logits.
        """
        prefix = self._prefill(groups, extra_hole)
        rows = [
            (index, self._chooser.row(prompt, limit))
            for index, group in enumerate(groups)
            for prompt in group.prompts
        ]
        for start in range(0, len(rows), batch_size):
            chunk = rows[start : start + batch_size]
            owners = [index for index, _ in chunk]
            state = self._expanded(prefix, owners, [row for _, row in chunk], extra_hole)
            if not groups[0].solo:
                suffixes = [
                    row.prompt.slice(groups[index].n_shared, len(row.prompt))
                    for index, row in chunk
                ]
                state = self._append(state, suffixes, extra_hole)
            yield self._decode(state, [row for _, row in chunk], observer)

    def _expanded(
        self, prefix: _State, owners: Sequence[int], rows: Sequence[Row], extra_hole: int
    ) -> _State:
        """Each prefix repeated for the rows that it owns, with room for the rest of them."""
        taken = torch.tensor(owners)
        longest = max(len(row.prompt) + row.limit for row in rows)
        cache = expanded(prefix.cache, taken.to(self._model.device), longest + extra_hole)
        return _State(cache, prefix.mask[taken], prefix.logits[taken.to(prefix.logits.device)])

    def _prefill(self, groups: Sequence[Group], extra_hole: int) -> _State:
        """Run the groups' prefixes, pictures included, through an empty cache."""
        from transformers import DynamicCache

        prefixes = [group.prefix for group in groups]
        self._stats.n_vision_passes += sum(prefix.n_pictures for prefix in prefixes)
        cache = DynamicCache(config=self._model.config.get_text_config(decoder=True))
        mask = left_padded([prefix.seen for prefix in prefixes], extra_hole)
        inputs = {
            name: left_padded([prefix.per_token[name] for prefix in prefixes], extra_hole)
            for name in prefixes[0].per_token
        }
        vision = merged([prefix.vision for prefix in prefixes])
        logits = self._forward(prefixes, extra_hole, cache, mask, first=True, **inputs, **vision)
        return _State(cache, mask, logits)

    def _append(self, state: _State, suffixes: Sequence[Prompt], extra_hole: int) -> _State:
        """Run the rows' suffixes on top of their prefixes."""
        own = left_padded([suffix.seen for suffix in suffixes], extra_hole)
        mask = torch.cat([state.mask, own], dim=1)
        logits = self._forward(suffixes, extra_hole, state.cache, mask)
        return _State(state.cache, mask, logits)

    def _forward(
        self,
        prompts: Sequence[Prompt],
        extra_hole: int,
        cache: Any,
        mask: torch.Tensor,
        first: bool = False,
        **inputs: torch.Tensor,
    ) -> torch.Tensor:
        """One left-padded pass over several tokens per row; the logits after each row's last."""
        self._stats.n_prefill_tokens += sum(len(prompt) for prompt in prompts)
        ids = left_padded([prompt.ids for prompt in prompts], extra_hole)
        if prompts[0].positions is not None:
            positions = [prompt.positions for prompt in prompts if prompt.positions is not None]
            inputs["position_ids"] = left_padded(positions, extra_hole)
        return self._call(ids, cache, mask, first, inputs)

    def _call(
        self, ids: torch.Tensor, cache: Any, mask: torch.Tensor, first: bool, inputs: Tensors
    ) -> torch.Tensor:
        model = self._model
        arguments: dict[str, Any] = {
            name: value.to(model.device, model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        if not mask.all():
            # Without holes the model may choose a faster kernel if it isn't given a mask.
            arguments["attention_mask"] = mask.to(model.device, torch.long)
        if self._takes_logits_to_keep:
            arguments["logits_to_keep"] = 1
        prepared = model.prepare_inputs_for_generation(
            ids.to(model.device),
            past_key_values=cache,
            use_cache=True,
            is_first_iteration=first,
            **arguments,
        )
        logits: torch.Tensor = model(**prepared, return_dict=True).logits
        return logits[:, -1]

    def _decode(self, state: _State, rows: list[Row], observer: Observer | None) -> list[Row]:
        """Token by token until all rows have ended."""
        slots = rows
        positions = _last_positions(rows)
        going = list(range(len(slots)))
        while True:
            running, logits = [slots[index] for index in going], state.logits[going]
            if observer is not None:
                observer(running, logits)
            self._chooser.extend(running, logits)
            self._stats.n_new_tokens += len(running)
            going = [index for index, row in enumerate(slots) if row.finish_reason is None]
            if not going:
                return rows
            if len(slots) - len(going) >= max(1, len(slots) // _DENSITY):
                state.cache.reorder_cache(torch.tensor(going, device=self._model.device))
                state.mask = state.mask[going]
                positions = None if positions is None else positions[..., going, :]
                slots = [slots[index] for index in going]
                going = list(range(len(slots)))
            positions = None if positions is None else positions + 1
            ids = torch.tensor([[row.new_ids[-1]] for row in slots])
            state.mask = torch.cat([state.mask, state.mask.new_ones(len(slots), 1)], dim=1)
            inputs = {} if positions is None else {"position_ids": positions}
            state.logits = self._call(ids, state.cache, state.mask, False, inputs)


def _last_positions(rows: Sequence[Row]) -> torch.Tensor | None:
    """The position of each row's last prompt token: (..., rows, 1)."""
    found = [row.prompt.positions for row in rows if row.prompt.positions is not None]
    return torch.stack([positions[..., -1:] for positions in found], dim=-2) if found else None


def left_padded(parts: Sequence[torch.Tensor], extra: int = 0) -> torch.Tensor:
    """Stack (..., length) tensors to (..., parts, longest + extra), zeros on the left."""
    width = max(part.shape[-1] for part in parts) + extra
    out = parts[0].new_zeros(*parts[0].shape[:-1], len(parts), width)
    for index, part in enumerate(parts):
        out[..., index, width - part.shape[-1] :] = part
    return out


def merged(visions: Sequence[Tensors]) -> Tensors:
    """Picture tensors of several requests behind one another, trailing sizes zero-padded.

    Processors pad in the same way when they are given several requests at once (LLaVA-NeXT's
    patches, Idefics3's pictures), and their models skip what is only padding.
    """
    return {name: _concatenated([vision[name] for vision in visions]) for name in visions[0]}


def _concatenated(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    sizes = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    if all(list(part.shape[1:]) == sizes for part in parts):
        return torch.cat(list(parts))
    out = parts[0].new_zeros(sum(len(part) for part in parts), *sizes)
    start = 0
    for part in parts:
        inside = tuple(slice(size) for size in part.shape[1:])
        out[(slice(start, start + len(part)), *inside)] = part
        start += len(part)
    return out
