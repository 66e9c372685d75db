"""Choosing the next token of each row, and knowing when a row has ended.

Greedy choices are those of ``generate(do_sample=False)``: the checkpoint's generation config is
honoured (end-of-sequence ids, repetition penalty, suppressed tokens...), applied to a row's own ids
without padding. Sampling draws one uniform number per token from a generator that belongs to the
request alone, so that an answer does not depend on what else is in the batch.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from benchmarks.base import Decoding, Response
from harness.engines.prompts import Prompt


@dataclass
class Row:
    """One request in flight.

    Attributes:
        processors: the generation config's changes to the logits, made for this prompt's length.
        uniform: the source of chance for sampling; None for greedy rows.
    """

    prompt: Prompt
    limit: int
    processors: Sequence[Any] = ()
    uniform: torch.Generator | None = None
    new_ids: list[int] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None

    @property
    def decoding(self) -> Decoding:
        return self.prompt.request.decoding


class Chooser:
    """Makes rows, extends them token by token and turns finished ones into Responses."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._configs: dict[int, Any] = {}
        ends = self.config(1)._eos_token_tensor
        self._ends = frozenset() if ends is None else frozenset(ends.tolist())

    def config(self, max_new_tokens: int) -> Any:
        """The checkpoint's generation config, as greedy ``generate`` would resolve it."""
        if max_new_tokens not in self._configs:
            config, _ = self._model._prepare_generation_config(
                None, do_sample=False, max_new_tokens=max_new_tokens
            )
            self._model._prepare_special_tokens(config, True, device=self._model.device)
            self._configs[max_new_tokens] = config
        return self._configs[max_new_tokens]

    def row(self, prompt: Prompt, limit: int | None = None) -> Row:
        """A row that has not generated yet."""
        decoding = prompt.request.decoding
        limit = prompt.limit if limit is None else min(limit, prompt.limit)
        uniform = generator(prompt.request.key, decoding.seed) if decoding.temperature > 0 else None
        return Row(prompt, limit, self._processors(prompt, limit), uniform)

    def _processors(self, prompt: Prompt, limit: int) -> Sequence[Any]:
        config = copy.copy(self.config(limit))
        config.max_length = len(prompt) + limit
        return list(
            self._model._get_logits_processor(
                generation_config=config,
                input_ids_seq_length=len(prompt),
                encoder_input_ids=prompt.ids[None].to(self._model.device),
                device=self._model.device,
                model_kwargs={},
            )
        )

    def extend(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        """Give each row its next token; ``logits`` has one line per row."""
        scores = logits.to(dtype=torch.float32, copy=True)
        for index, row in enumerate(rows):
            if row.processors:
                scores[index] = self._processed(row, scores[index : index + 1])[0]
        tokens = scores.argmax(dim=-1).tolist()
        sampled = [index for index, row in enumerate(rows) if row.uniform is not None]
        if sampled:
            drawn = draw([rows[index] for index in sampled], scores[sampled])
            tokens = [
                drawn.pop(0) if index in sampled else token for index, token in enumerate(tokens)
            ]
        for row, token in zip(rows, tokens, strict=True):
            row.new_ids.append(token)
            row.finish_reason = self.finish_reason(row)

    def _processed(self, row: Row, scores: torch.Tensor) -> torch.Tensor:
        ids = torch.cat([row.prompt.ids, torch.tensor(row.new_ids, dtype=torch.long)])
        ids = ids[None].to(scores.device)
        for processor in row.processors:
            scores = processor(ids, scores)
        return scores

    def finish_reason(self, row: Row) -> Literal["stop", "length"] | None:
        """Why a row ends with its last token, or None while it goes on."""
        if row.new_ids and row.new_ids[-1] in self._ends:
            return "stop"
        if row.decoding.stop and self._stopped(row):
            return "stop"
        return "length" if len(row.new_ids) >= row.limit else None

    def _stopped(self, row: Row) -> bool:
        text = self._tokenizer.decode(row.new_ids, skip_special_tokens=True)
        return any(stop in text for stop in row.decoding.stop)

    def response(self, row: Row) -> Response:
        """A finished row as a Response to its request."""
        text = self._tokenizer.decode(row.new_ids, skip_special_tokens=True)
        return Response(
            request_id=row.prompt.request.id,
            key=row.prompt.request.key,
            text=cut(text, row.decoding.stop),
            finish_reason=row.finish_reason or "length",
            n_prompt_tokens=len(row.prompt),
            n_new_tokens=len(row.new_ids),
        )


def generator(key: str, seed: int) -> torch.Generator:
    """A source of chance that depends on the request and its seed, and on nothing else."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def draw(rows: Sequence[Row], scores: torch.Tensor) -> list[int]:
    """One token per row by temperature and nucleus sampling (Holtzman et al. 2020, section 3.1).

    The checkpoint's own ``top_k`` and the like are not applied: a request says all about its
    sampling, and gets the same distribution from every engine. The cumulated probabilities run in
    the order of the vocabulary, so that noise in the last bits can't exchange two tokens of nearly
    the same probability.
    """
    # Apple's GPUs have no float64.
    precise = scores.to(torch.float32 if scores.device.type == "mps" else torch.float64)

    def column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=precise.dtype, device=precise.device)[:, None]

    temperature = column([row.decoding.temperature for row in rows])
    top_p = column([row.decoding.top_p for row in rows])
    probabilities = (precise / temperature).softmax(dim=-1)
    if bool((top_p < 1).any()):
        ordered, order = probabilities.sort(descending=True, stable=True)
        outside = ((ordered.cumsum(dim=-1) - ordered) >= top_p) & (top_p < 1)
        outside = torch.zeros_like(outside).scatter(-1, order, outside)
        probabilities = probabilities.masked_fill(outside, 0)
    cumulated = probabilities.cumsum(dim=-1)
    uniform = column([torch.rand((), generator=row.uniform).item() for row in rows])
    chosen = torch.searchsorted(cumulated, uniform * cumulated[:, -1:], right=True)
    tokens: list[int] = chosen.clamp(max=scores.shape[-1] - 1)[:, 0].tolist()
    return tokens


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string."""
    ends = [text.find(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text
