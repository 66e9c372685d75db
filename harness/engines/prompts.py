"""From a Request to what the model is fed: token ids, picture tensors and positions.

The token ids of a request are those of the checkpoint's own processor, called on that request
alone. For further requests on the same pictures only the text behind the last picture is tokenized
anew, where that has been seen to give the processor's own ids: calling a processor costs as much as the
forward pass of a small model.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from benchmarks.base import Message, Picture, PlumblineError, Request
from harness.engines.processors import PictureMemo

if TYPE_CHECKING:
    from PIL.Image import Image

PromptFormat = Literal["chat", "plain"]
Tensors = dict[str, torch.Tensor]

# Returned by some processors, of no use for generation.
_NOT_FED = ("input_ids", "attention_mask", "labels")


@dataclass(frozen=True)
class Prompt:
    """One request, ready for the model.

    Attributes:
        ids: token ids, one dimension, no padding.
        per_token: further integer tensors along the ids (token types).
        vision: picture tensors, as the processor gives them for this request alone.
        positions: position ids with the sequence as the last dimension; None if the model takes
            none.
        limit: most new tokens: what the request asks for, or what the context has room for.
        n_pictures: pictures in the conversation.
        n_vision_prefix: the shortest prefix that holds all picture tokens; 0 without pictures.
        hidden: along the ids, true for tokens that nothing attends to; None hides none.
    """

    request: Request
    ids: torch.Tensor
    per_token: Tensors
    vision: Tensors
    positions: torch.Tensor | None
    limit: int
    n_pictures: int
    n_vision_prefix: int
    hidden: torch.Tensor | None = None

    @property
    def seen(self) -> torch.Tensor:
        """Along the ids, false for hidden tokens."""
        return torch.ones_like(self.ids, dtype=torch.bool) if self.hidden is None else ~self.hidden

    def __len__(self) -> int:
        return len(self.ids)

    def slice(self, start: int, end: int) -> Prompt:
        """The tokens from ``start`` to ``end``; pictures stay with the start of the sequence."""
        return replace(
            self,
            ids=self.ids[start:end],
            per_token={name: value[start:end] for name, value in self.per_token.items()},
            vision=self.vision if start == 0 else {},
            positions=None if self.positions is None else self.positions[..., start:end],
            hidden=None if self.hidden is None else self.hidden[start:end],
            n_pictures=self.n_pictures if start == 0 else 0,
        )


@dataclass(frozen=True)
class _Start:
    """How prompts on the same pictures begin.

    Attributes:
        text: the rendered conversation up to and including the last picture's marker.
        ids: the processor's ids for it.
        first: the prompt that the processor made.
    """

    text: str
    ids: torch.Tensor
    first: Prompt


class Prompter:
    """Builds Prompts with a checkpoint's processor (or the tokenizer of a text model)."""

    def __init__(self, model: Any, processor: Any, *, takes_pictures: bool, format: PromptFormat):
        self._model = model
        self._processor = processor
        self._takes_pictures = takes_pictures
        self._format = format
        self._tokenizer = getattr(processor, "tokenizer", processor)
        self._image_ids = image_token_ids(model.config, processor)
        forward = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in forward and not model.config.is_encoder_decoder
        self._context = context_length(model.config)
        self._loaded: dict[str, Image] = {}
        self._last: Prompt | None = None
        self._start: _Start | None = None
        self._marker: str = getattr(processor, "image_token", None) or ""
        if takes_pictures:
            PictureMemo(processor.image_processor)

    def prompt(self, request: Request) -> Prompt:
        """The request as tensors. Raises PlumblineError, or whatever the template raises."""
        if request.pictures and not self._takes_pictures:
            raise PlumblineError(
                f"{request.id}: the request has pictures, but the checkpoint is a text-only model "
                f"({self._model.config.model_type})"
            )
        if self._format == "plain":
            images = self._load(request.pictures)
            return self._pack(request, self._plain(request.messages, images))
        text = self._rendered(request) if request.pictures and self._marker else ""
        continued = self._continued(request, text)
        if continued is not None:
            return continued
        prompt = self._pack(request, self._chat(request.messages, self._load(request.pictures)))
        self._start = self._start_of(prompt, text)
        return prompt

    def _rendered(self, request: Request) -> str:
        conversation = [
            {
                "role": message.role,
                "content": [
                    *({"type": "image"} for _ in message.pictures),
                    {"type": "text", "text": message.text},
                ],
            }
            for message in request.messages
        ]
        text: str = self._processor.apply_chat_template(conversation, add_generation_prompt=True)
        return text

    def _start_of(self, prompt: Prompt, text: str) -> _Start | None:
        """What later prompts on the same pictures can begin with; None if they can't be continued.

        The ids behind the last picture must be those of the text behind its marker alone, and all of
        one type, so that the same can be said of any other text in its place.
        """
        if not text or self._marker not in text:
            return None
        end = text.rindex(self._marker) + len(self._marker)
        tail = self._tail_ids(text[end:])
        n_start = len(prompt) - len(tail)
        if n_start < prompt.n_vision_prefix or not tail.equal(prompt.ids[n_start:]):
            return None
        if any((value[n_start:] != value[-1]).any() for value in prompt.per_token.values()):
            return None
        # Mllama's picture tensors say which token sees which picture.
        if any(len(prompt) in value.shape for value in prompt.vision.values()):
            return None
        return _Start(text[:end], prompt.ids[:n_start], prompt)

    def _tail_ids(self, text: str) -> torch.Tensor:
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return torch.tensor(ids, dtype=torch.long)

    def _continued(self, request: Request, text: str) -> Prompt | None:
        """The request's prompt, made from the start that it shares with the one before."""
        start = self._start
        if start is None or request.pictures != start.first.request.pictures:
            return None
        tail = text[len(start.text) :]
        if not text.startswith(start.text) or not tail or self._marker in tail:
            return None
        ids = torch.cat([start.ids, self._tail_ids(tail)])
        per_token = {
            name: torch.cat([value[: len(start.ids)], value[-1:].repeat(len(ids) - len(start.ids))])
            for name, value in start.first.per_token.items()
        }
        along = {name: value[None] for name, value in per_token.items()}
        positions = self._positions(ids[None], along, start.first.vision)
        return replace(
            start.first,
            request=request,
            ids=ids,
            per_token=per_token,
            positions=positions,
            limit=self._limit(request, ids, positions),
        )

    def _load(self, pictures: Sequence[Picture]) -> list[Image]:
        """Pictures as objects that stay the same from request to request of one group."""
        wanted = [picture.digest for picture in pictures]
        self._loaded = {digest: self._loaded[digest] for digest in wanted if digest in self._loaded}
        for picture in pictures:
            if picture.digest not in self._loaded:
                self._loaded[picture.digest] = picture.load()
        return [self._loaded[digest] for digest in wanted]

    def _chat(self, messages: Sequence[Message], images: Sequence[Image]) -> dict[str, Any]:
        if not self._takes_pictures:
            turns = [{"role": message.role, "content": message.text} for message in messages]
            return dict(
                self._tokenizer.apply_chat_template(
                    turns, add_generation_prompt=True, return_dict=True, return_tensors="pt"
                )
            )
        remaining = iter(images)
        conversation = []
        for message in messages:
            shown = [{"type": "image", "image": next(remaining)} for _ in message.pictures]
            content = [*shown, {"type": "text", "text": message.text}]
            conversation.append({"role": message.role, "content": content})
        return dict(
            self._processor.apply_chat_template(
                conversation,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        )

    def _plain(self, messages: Sequence[Message], images: Sequence[Image]) -> dict[str, Any]:
        text = "\n".join(message.text for message in messages)
        if not images:
            # Processors such as PaliGemma's refuse a prompt without a picture.
            return dict(self._tokenizer(text, return_tensors="pt"))
        marker = getattr(self._processor, "image_token", "")
        return dict(
            self._processor(
                text=marker * len(images) + text, images=[list(images)], return_tensors="pt"
            )
        )

    def _pack(self, request: Request, inputs: dict[str, Any]) -> Prompt:
        ids = inputs["input_ids"]
        rest = {
            name: value
            for name, value in inputs.items()
            if name not in _NOT_FED and isinstance(value, torch.Tensor)
        }
        per_token = {name: value for name, value in rest.items() if _runs_along(value, ids)}
        vision = {name: value for name, value in rest.items() if name not in per_token}
        n_pictures = len(request.pictures)
        if self._last is not None and request.pictures == self._last.request.pictures:
            vision = _held_once(vision, self._last.vision)
        positions = self._positions(ids, per_token, vision)
        self._last = Prompt(
            request=request,
            ids=ids[0],
            per_token={name: value[0] for name, value in per_token.items()},
            vision=vision,
            positions=positions,
            limit=self._limit(request, ids[0], positions),
            n_pictures=n_pictures,
            n_vision_prefix=self._vision_prefix(ids[0]) if n_pictures else 0,
        )
        return self._last

    def _positions(self, ids: torch.Tensor, per_token: Tensors, vision: Tensors) -> Any:
        """What plain generation would give as position ids: models with 3-D positions compute them
        from the whole unpadded sequence, so they cannot be derived later from a padded batch."""
        if not self._takes_positions:
            return None
        inputs = {"attention_mask": torch.ones_like(ids), **per_token, **vision}
        return self._model._prepare_position_ids_for_generation(ids, inputs).select(-2, 0)

    def _limit(self, request: Request, ids: torch.Tensor, positions: torch.Tensor | None) -> int:
        """How many new tokens there can be. Raises PlumblineError if there is no room for any."""
        wanted = request.decoding.max_new_tokens
        if self._context is None:
            return wanted
        # Where positions are given, a picture may take fewer of them than it has tokens.
        n_taken = len(ids) if positions is None else int(positions.max()) + 1
        if n_taken >= self._context:
            raise PlumblineError(
                f"{request.id}: the prompt takes {n_taken:,} positions, and the checkpoint's context "
                f"has {self._context:,}"
            )
        return min(wanted, self._context - n_taken)

    def _vision_prefix(self, ids: torch.Tensor) -> int:
        found = torch.isin(ids, self._image_ids).nonzero()
        # Where picture tokens cannot be told apart, the prompt is not split at all.
        return int(found[-1]) + 1 if len(found) else len(ids)


def context_length(config: Any) -> int | None:
    """Positions that a decoder can tell apart, or None where there is no such number.

    Scaled rotary embeddings count at their full length. Configurations differ in whether their
    ``max_position_embeddings`` includes the scaling, so the larger reading is taken: a prompt that
    fits is never refused.
    """
    text = config.get_text_config(decoder=True)
    length: int | None = getattr(text, "max_position_embeddings", None)
    if config.is_encoder_decoder or not isinstance(length, int) or length <= 0:
        return None
    rope = getattr(text, "rope_parameters", None) or {}
    kinds = [kind for kind in (rope, *rope.values()) if isinstance(kind, Mapping)]
    scaled = [
        int((kind.get("original_max_position_embeddings") or length) * (kind.get("factor") or 1))
        for kind in kinds
    ]
    return max(length, *scaled)


def _runs_along(value: torch.Tensor, ids: torch.Tensor) -> bool:
    return value.shape == ids.shape and not value.is_floating_point()


def _held_once(new: Tensors, held: Tensors) -> Tensors:
    """The new tensors, replaced by held ones that equal them, so that a picture is in memory once.

    Not everything is equal for all prompts on a picture: Mllama has a mask of which token sees it.
    """
    return {
        name: held[name] if name in held and held[name].equal(value) else value
        for name, value in new.items()
    }


def image_token_ids(config: Any, processor: Any) -> torch.Tensor:
    """Ids that stand for a picture's tokens, sorted; none where they cannot be told."""
    named = [getattr(config, name, None) for name in ("image_token_id", "image_token_index")]
    named.append(getattr(processor, "image_token_id", None))
    return torch.tensor(sorted({token for token in named if isinstance(token, int)}))
