"""From a preference to token ids and picture tensors, exactly as the harness asks and a model answers.

A prompt's ids are those that ``harness.run`` would feed for the same conversation: pictures are expanded by
the checkpoint's own processor, so the number of tokens is exact and nothing is aligned afterwards. An
answer's ids are what follows them when both are tokenized as one text, and end with the token that ends a
turn at generation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from benchmarks.base import (
    BadRecordError,
    Decoding,
    Message,
    Picture,
    PlumblineError,
    Request,
    sha256_of,
)
from harness.engines.checkpoints import Checkpoint
from harness.engines.prompts import Prompt, Prompter, PromptFormat
from trainers.corruptions import corrupt_tensors, rejected_pictures
from trainers.methods import LengthWeights, TokenWeights
from trainers.pairs import Preference
from trainers.token_weights import (
    PairWeights,
    Span,
    length_weights,
    segment_weights,
    span_weights,
)

Role = Literal["chosen", "rejected", "image_rejected"]

_UNUSED = Decoding(max_new_tokens=1)


@dataclass(frozen=True)
class Encoded:
    """A preference as a model takes it.

    Attributes:
        chosen, rejected: the answers' token ids, one dimension; rejected is None if there is no such answer.
        image_prompt: the prompt with the rejected pictures, None if they are not wanted.
        keys: what each answer's log-probabilities depend on beside the model and its processor, hashed.
        weights: of the answers' tokens, if they are wanted.
    """

    id: str
    prompt: Prompt
    chosen: Tensor
    rejected: Tensor | None
    image_prompt: Prompt | None
    keys: Mapping[Role, str]
    weights: PairWeights | None

    @property
    def n_prompt(self) -> int:
        """Tokens of the longer prompt."""
        return max(len(self.prompt), 0 if self.image_prompt is None else len(self.image_prompt))

    def weights_of(self, role: Role) -> list[float] | None:
        """Of the tokens of the answer in that role, if they are wanted."""
        if self.weights is None:
            return None
        return self.weights.rejected if role == "rejected" else self.weights.chosen

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        prompts = [prompt for prompt in (self.prompt, self.image_prompt) if prompt is not None]
        tensors = [value for prompt in prompts for value in (prompt.ids, *prompt.vision.values())]
        return sum(tensor.nbytes for tensor in tensors)


@dataclass(frozen=True)
class Rejecting:
    """How pairs get rejected pictures where their data set has none.

    Attributes:
        corruption: a name in ``corruptions.CORRUPTIONS``.
        others: pictures to take another one from.
    """

    corruption: str
    seed: int = 0
    others: tuple[Picture, ...] = ()

    def messages(self, pair: Preference, draw: int = 0) -> tuple[Message, ...]:
        """The pair's conversation with rejected pictures, one for one. Raises PlumblineError."""
        pictures = list(
            rejected_pictures(pair, self.corruption, seed=self.seed, draw=draw, others=self.others)
        )
        if len(pictures) != len(pair.pictures) or not pictures:
            raise PlumblineError(
                f"{len(pair.pictures)} pictures, but {len(pictures)} rejected ones to take their place"
            )
        return tuple(
            replace(message, pictures=tuple(pictures.pop(0) for _ in message.pictures))
            for message in pair.messages
        )

    def tensors(self, prompt: Prompt, pair: Preference, draw: int = 0) -> Prompt:
        """A prompt with rejected pictures, as tensors show them."""
        vision = corrupt_tensors(prompt.vision, pair, self.corruption, seed=self.seed, draw=draw)
        return replace(prompt, vision=vision)


class _Answer(NamedTuple):
    """Token ids and the characters of the answer that each covers (an empty range: none)."""

    ids: list[int]
    offsets: list[Span]


class Encoder:
    """Encodes preferences for one checkpoint.

    Args:
        format: how conversations become text; ``TransformersEngine.identity`` knows.
        weights: how answers' tokens are weighed, for methods that need it.
        rejecting: how rejected pictures are made, for methods that need them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        format: PromptFormat,
        weights: TokenWeights | LengthWeights | None = None,
        rejecting: Rejecting | None = None,
    ) -> None:
        self._processor = checkpoint.processor
        self._tokenizer = getattr(checkpoint.processor, "tokenizer", checkpoint.processor)
        self._takes_pictures = checkpoint.takes_pictures
        self._format = format
        self._weights = weights
        self._rejecting = rejecting
        self._prompter = Prompter(
            checkpoint.model,
            checkpoint.processor,
            takes_pictures=self._takes_pictures,
            format=format,
        )
        self._ends = _end_tokens(checkpoint.model, self._tokenizer)
        holders = (checkpoint.processor, checkpoint.model.config)
        self._picture_tokens = {getattr(holder, "image_token_id", None) for holder in holders}

    def encode(self, pair: Preference, draw: int = 0) -> Encoded:
        """A preference as tensors.

        Args:
            draw: of rejected pictures.

        Raises:
            BadRecordError: it cannot be prepared; the text names it.
        """
        try:
            prompt = self._prompt(pair.id, pair.messages)
            image_prompt = None
            if self._rejecting is not None:
                image_prompt = self._prompt(pair.id, self._rejecting.messages(pair, draw))
                image_prompt = self._rejecting.tensors(image_prompt, pair, draw)
            before = self._text(pair.messages)
            chosen = self._answer(pair.messages, before, pair.chosen)
            rejected = None
            if pair.rejected is not None:
                rejected = self._answer(pair.messages, before, pair.rejected)
        except Exception as error:
            # Templates, processors and image decoders raise whatever they like about one record.
            kind = "" if isinstance(error, PlumblineError) else f"{type(error).__name__}: "
            raise BadRecordError(
                f"pair {pair.id}: {kind}{' '.join(str(error).split())[:300]}. Mend or remove the pair, or leave "
                "out all such pairs with --set skip_unreadable=true"
            ) from error
        return Encoded(
            pair.id,
            prompt,
            torch.tensor(chosen.ids),
            None if rejected is None else torch.tensor(rejected.ids),
            image_prompt,
            self.keys(pair),
            self._token_weights(pair, chosen, rejected),
        )

    def keys(self, pair: Preference) -> dict[Role, str]:
        """``Encoded.keys``."""
        conversation = [message.content() for message in pair.messages]
        told: dict[Role, Any] = {
            "chosen": [conversation, pair.chosen],
            "rejected": [conversation, pair.rejected],
        }
        if self._rejecting is not None:
            beside = [message.content() for message in self._rejecting.messages(pair)]
            # A corruption of tensors leaves the pictures as they are.
            how = [self._rejecting.corruption, self._rejecting.seed, pair.id]
            told["image_rejected"] = [beside, pair.chosen, [] if pair.rejected_pictures else how]
        return {role: sha256_of(value) for role, value in told.items()}

    def _prompt(self, name: str, messages: tuple[Message, ...]) -> Prompt:
        return self._prompter.prompt(Request(name, name, messages, _UNUSED))

    def _text(self, messages: Sequence[Message], answer: str | None = None) -> str:
        """The conversation as text, open for an answer or with one."""
        if self._format == "plain":
            return "" if answer is None else answer
        turns: list[dict[str, Any]] = []
        for message in messages:
            shown = [{"type": "image"} for _ in message.pictures]
            parts = [*shown, {"type": "text", "text": message.text}]
            content = parts if self._takes_pictures else message.text
            turns.append({"role": message.role, "content": content})
        if answer is not None:
            parts = [{"type": "text", "text": answer}]
            turns.append(
                {"role": "assistant", "content": parts if self._takes_pictures else answer}
            )
        renderer = self._processor if self._takes_pictures else self._tokenizer
        text: str = renderer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=answer is None
        )
        return text

    def _answer(self, messages: Sequence[Message], before: str, answer: str) -> _Answer:
        """What the model would have to generate to give this answer."""
        if not answer.strip():
            raise PlumblineError("an answer is empty")
        whole = self._text(messages, answer)
        # A template may open the turn in another way than it writes a finished one (an empty thought).
        turn = whole[len(before) :] if whole.startswith(before) else answer
        told = answer if answer in turn else answer.strip()
        lead, _, closing = turn.rpartition(told)
        ids, offsets = self._tokens_behind(before, lead + told)
        if self._picture_tokens.intersection(ids):
            raise PlumblineError("an answer contains the token that stands for a picture")
        ending = next((i for i in self._ids(closing) if i in self._ends), self._ends[0])
        shown = [(max(0, start - len(lead)), max(0, end - len(lead))) for start, end in offsets]
        return _Answer([*ids, ending], [*shown, (0, 0)])

    def _tokens_behind(self, before: str, text: str) -> tuple[list[int], list[Span]]:
        """Ids of a text behind another, with the characters of it that they cover."""
        opened = self._ids(before)
        joined = self._tokenizer(
            before + text,
            add_special_tokens=False,
            return_offsets_mapping=self._tokenizer.is_fast,
        )
        ids, start = joined["input_ids"], len(before)
        if ids[: len(opened)] != opened:
            # The two would melt into one token, which can't be generated behind the prompt.
            opened, start = [], 0
            joined = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=self._tokenizer.is_fast
            )
            ids = joined["input_ids"]
        offsets = joined.get("offset_mapping") or [(0, 0)] * len(ids)
        own = [(a - start, b - start) for a, b in offsets[len(opened) :]]
        return ids[len(opened) :], own

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _token_weights(
        self, pair: Preference, chosen: _Answer, rejected: _Answer | None
    ) -> PairWeights | None:
        if self._weights is None or rejected is None:
            return None
        if isinstance(self._weights, LengthWeights):
            return length_weights(len(chosen.ids), len(rejected.ids), self._weights.ld_alpha)
        weight, shared = self._weights.token_weight, self._weights.shared_token_weight
        if pair.spans is None or not self._tokenizer.is_fast:
            return segment_weights(chosen.ids, rejected.ids, weight, shared_weight=shared)
        marked = zip((chosen, rejected), pair.spans, strict=True)
        return PairWeights(
            *(
                span_weights(each.offsets, spans, weight, shared_weight=shared)
                for each, spans in marked
            )
        )


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end a turn at generation, the tokenizer's own first. Raises PlumblineError."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ends = [configured] if isinstance(configured, int) else list(configured or ())
    own = tokenizer.eos_token_id
    if own is not None and (own in ends or not ends):
        ends = [own, *(end for end in ends if end != own)]
    if not ends:
        raise PlumblineError(
            "neither generation_config.json nor the tokenizer names a token that ends an answer; set eos_token_id"
        )
    return ends
