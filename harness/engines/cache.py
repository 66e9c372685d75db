"""Keys and values with room for tokens to come.

The library's growing layer copies everything it holds at each new token. With hundreds of picture
tokens in each of 64 rows, that copy takes as long as the attention itself.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """A growing cache layer whose ``keys`` and ``values`` are the filled part of larger buffers."""

    def __init__(self, layer: DynamicLayer, rows: torch.Tensor, room: int) -> None:
        """Take the given rows of a layer, with room for ``room`` more tokens."""
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self._room = room
        self._fill(layer.keys, layer.values, rows)

    def _fill(self, keys: torch.Tensor, values: torch.Tensor, rows: torch.Tensor) -> None:
        n_filled = keys.shape[-2]
        self._keys, self.keys = _roomy(keys, rows, n_filled + self._room)
        self._values, self.values = _roomy(values, rows, n_filled + self._room)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new tokens behind the others."""
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        self._keys[..., start:end, :] = key_states
        self._values[..., start:end, :] = value_states
        self._room -= end - start
        self.keys = self._keys[..., :end, :]
        self.values = self._values[..., :end, :]
        return self.keys, self.values

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep these rows, in this order."""
        self._fill(self.keys, self.values, beam_idx.to(self.keys.device))


def _roomy(
    states: torch.Tensor, rows: torch.Tensor, size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A buffer of ``size`` tokens that starts with the given rows of ``states``, and that part."""
    _, n_heads, n_filled, width = states.shape
    buffer = states.new_empty(len(rows), n_heads, size, width)
    filled = buffer[..., :n_filled, :]
    filled.copy_(states.index_select(0, rows))
    return buffer, filled


def expanded(cache: Any, rows: torch.Tensor, room: int) -> Any:
    """A new cache that holds the given rows of another, which is left as it is.

    Layers of special kinds (sliding windows, recurrent states) stay what they are.
    """
    new = copy.copy(cache)
    new.layers = []
    for layer in cache.layers:
        if type(layer) is DynamicLayer and layer.is_initialized:
            new.layers.append(RoomyLayer(layer, rows.to(layer.keys.device), room))
        else:
            layer = copy.deepcopy(layer)
            layer.reorder_cache(rows)
            new.layers.append(layer)
    return new
