"""The plain way, which the fast layouts must agree with: one ``model.generate`` per request."""

from __future__ import annotations

from typing import Any

import torch

from harness.engines.base import EngineStats
from harness.engines.prompts import Prompt
from harness.engines.tokens import Chooser, Row, draw


class SingleDecoder:
    """Answers one prompt at a time with the library's own loop."""

    def __init__(self, model: Any, chooser: Chooser, stats: EngineStats) -> None:
        self._model = model
        self._chooser = chooser
        self._stats = stats

    def run(self, prompt: Prompt) -> Row:
        """Generate for one prompt."""
        row = Row(prompt, prompt.limit)
        self._stats.n_vision_passes += prompt.n_pictures
        self._stats.n_prefill_tokens += len(prompt)
        arguments: dict[str, Any] = {}
        if prompt.request.decoding.temperature > 0:
            arguments["logits_processor"] = [_Sampler(self._chooser.row(prompt))]
        if prompt.request.decoding.stop:
            arguments["stopping_criteria"] = [_Stopper(self._chooser, prompt)]
        output = self.generate(prompt, row.limit, **arguments)
        row.new_ids = self._new_ids(prompt, output.sequences[0])
        self._stats.n_new_tokens += len(row.new_ids)
        row.finish_reason = self._chooser.finish_reason(row)
        return row

    @torch.inference_mode()
    def generate(self, prompt: Prompt, limit: int, **arguments: Any) -> Any:
        """Greedy ``model.generate`` on one unpadded prompt, as a dictionary of outputs."""
        model = self._model
        inputs = {name: value[None] for name, value in prompt.per_token.items()} | prompt.vision
        inputs |= {
            "input_ids": prompt.ids[None],
            "attention_mask": torch.ones_like(prompt.ids)[None],
        }
        return model.generate(
            **{
                name: value.to(model.device, model.dtype if value.is_floating_point() else None)
                for name, value in inputs.items()
            },
            do_sample=False,
            max_new_tokens=limit,
            return_dict_in_generate=True,
            **arguments,
        )

    def _new_ids(self, prompt: Prompt, sequence: torch.Tensor) -> list[int]:
        ids: list[int] = sequence.tolist()
        if self._model.config.is_encoder_decoder:
            return ids[1:]
        return ids[len(prompt) :]


class _Sampler:
    """Lets the greedy loop sample: all but the drawn token become impossible."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        only = torch.full_like(scores, -torch.inf)
        only[0, draw([self._row], scores)[0]] = 0
        return only


class _Stopper:
    """Ends the library's loop at a stop string."""

    def __init__(self, chooser: Chooser, prompt: Prompt) -> None:
        self._chooser = chooser
        self._prompt = prompt

    def __call__(self, ids: torch.Tensor, scores: Any, **arguments: Any) -> torch.Tensor:
        new_ids = ids[0, len(self._prompt) :].tolist()
        row = Row(self._prompt, self._prompt.limit, new_ids=new_ids)
        ended = self._chooser.finish_reason(row) is not None
        return torch.full((len(ids),), ended, device=ids.device)
