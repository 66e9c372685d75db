"""Going on with a begun answer while the picture is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

import torch

from benchmarks.base import Decoding, PlumblineError
from harness.engines.base import EngineStats
from harness.engines.checkpoints import Checkpoint
from harness.engines.decoding import Decoder, Group
from harness.engines.prompts import Prompt, context_length, image_token_ids
from harness.engines.tokens import Chooser, Row, generator
from harness.engines.transformers_engine import TransformersEngine
from trainers.corruptions import corrupt_tensors, hide_picture
from trainers.encoding import Encoder
from trainers.sampling.bdhs import Bdhs, Begun, Ending

FULL_STOP = "."
NOISE = "diffusion"


class _Job(NamedTuple):
    """A begun answer as the model takes it; ``told`` are the answer's tokens at the prompt's end."""

    begun: Begun
    prompt: Prompt
    told: list[int]


class HidingCompleter:
    """A checkpoint that goes on with answers, seeing hardly anything of the picture.

    Answers are tokenized as the trainer does it, positions are those of the whole picture, and rows of like
    length are generated together.

    Args:
        batch_size: rows that are generated together.
    """

    def __init__(self, checkpoint: Checkpoint, settings: Bdhs, batch_size: int = 64) -> None:
        processor, model = checkpoint.processor, checkpoint.model
        self._settings = settings
        self._batch_size = batch_size
        self._tokenizer = getattr(processor, "tokenizer", processor)
        format = TransformersEngine(checkpoint).identity["prompt_format"]
        self._encoder = Encoder(checkpoint, format)
        self._chooser = Chooser(model, self._tokenizer)
        self._decoder = Decoder(model, self._chooser, EngineStats())
        self._picture_ids = image_token_ids(model.config, processor)
        self._context = context_length(model.config)

    def complete(self, begun: Sequence[Begun]) -> list[Ending]:
        """What the model writes behind each of the texts.

        Raises:
            BadRecordError: a conversation cannot be prepared; the text names it.
            PlumblineError: there is no room for an answer, nothing that can be hidden, or not enough memory.
        """
        jobs = [self._job(each) for each in begun]
        order = sorted(range(len(jobs)), key=lambda index: len(jobs[index].prompt))
        found: dict[int, Ending] = {}
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            rows = self._rows([jobs[index].prompt for index in chosen])
            found |= {
                index: self._ending(jobs[index], row)
                for index, row in zip(chosen, rows, strict=True)
            }
        return [found[index] for index in range(len(jobs))]

    def _rows(self, prompts: Sequence[Prompt]) -> list[Row]:
        groups = [Group((prompt,), len(prompt)) for prompt in prompts]
        try:
            return [row for rows in self._decoder.run(groups, self._batch_size) for row in rows]
        except torch.OutOfMemoryError as error:
            raise PlumblineError(
                f"{len(prompts)} answers at a time take too much memory; lower --batch-size"
            ) from error

    def _job(self, begun: Begun) -> _Job:
        # The encoder refuses an empty answer; what stands in for one is taken off again.
        encoded = self._encoder.encode(replace(begun.pair, chosen=begun.text or FULL_STOP))
        told = encoded.chosen[:-1] if begun.text else encoded.chosen[:0]
        prompt = self._hidden(self._behind(encoded.prompt, told, begun), begun)
        return _Job(begun, prompt, told.tolist())

    def _behind(self, prompt: Prompt, told: torch.Tensor, begun: Begun) -> Prompt:
        """The prompt with the begun answer's tokens at its end, ready to be gone on with."""
        positions = prompt.positions
        if positions is not None:
            more = torch.arange(1, len(told) + 1)
            positions = torch.cat([positions, positions[..., -1:] + more], dim=-1)
        ids = torch.cat([prompt.ids, told])
        limit = self._settings.max_new_tokens
        if self._context is not None:
            n_taken = len(ids) if positions is None else int(positions.max()) + 1
            limit = min(limit, self._context - n_taken)
        if limit < 1:
            raise PlumblineError(
                f"{begun.pair.id}: its prompt and true answer fill the checkpoint's context; leave it out"
            )
        per_token = {
            name: torch.cat([value, value[-1:].expand(len(told))])
            for name, value in prompt.per_token.items()
        }
        request = replace(prompt.request, decoding=self._decoding(begun))
        return replace(
            prompt, request=request, ids=ids, per_token=per_token, positions=positions, limit=limit
        )

    def _decoding(self, begun: Begun) -> Decoding:
        settings = self._settings
        return Decoding(
            settings.max_new_tokens,
            settings.temperature,
            seed=Random(f"{settings.seed} {begun.draw} {begun.place}").getrandbits(31),
            stop=(FULL_STOP,) if begun.to_full_stop else (),
        )

    def _hidden(self, prompt: Prompt, begun: Begun) -> Prompt:
        """The prompt with its pictures hidden, in the same way for all answers of one draw."""
        seed, draw, pair = self._settings.seed, begun.draw, begun.pair
        if self._settings.hide == "noise":
            vision = corrupt_tensors(prompt.vision, pair, NOISE, seed=seed, draw=draw)
            return replace(prompt, vision=vision)
        shown = torch.isin(prompt.ids, self._picture_ids)
        if not shown.any():
            raise PlumblineError(
                f"{pair.id}: no picture tokens can be told in the prompt, so that attention to them cannot be "
                "taken away; take --hide noise"
            )
        everything = torch.ones_like(prompt.ids)[None]
        chance = generator(f"bdhs {draw} {pair.id}", seed)
        # One row for the prompt with its pictures alone: the draw is the same whatever stands behind it.
        n_prompt = int(shown.nonzero()[-1]) + 1
        seen = hide_picture(
            everything[:, :n_prompt], shown[None, :n_prompt], chance, self._settings.threshold
        )
        hidden = torch.zeros_like(shown)
        hidden[:n_prompt] = seen.attention_mask[0] == 0
        return replace(prompt, hidden=hidden)

    def _ending(self, job: _Job, row: Row) -> Ending:
        # Decoded with what stands before it: the first word would lose its blank otherwise.
        before = self._tokenizer.decode(job.told, skip_special_tokens=True)
        whole = self._tokenizer.decode([*job.told, *row.new_ids], skip_special_tokens=True)
        text = whole.removeprefix(before)
        if job.begun.to_full_stop:
            head, stop, _ = text.partition(FULL_STOP)
            text = head + stop
        return Ending(text, row.finish_reason == "stop")
