"""What a preference pair is, whatever file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.base import Message, Picture
from trainers.token_weights import Span


class Spans(NamedTuple):
    """Marked characters of the two answers: what a person corrected, or what is made up."""

    chosen: tuple[Span, ...] = ()
    rejected: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Preference:
    """A prompt with a better and a worse answer.

    Attributes:
        id: unique in its set; corruptions are seeded by it and reports name it.
        messages: the conversation up to the answer; it ends with the user. Pictures stand before a text.
        rejected: None in sets that only supervise.
        rejected_pictures: in place of the pictures, for conditional preference; empty where a corruption
            is to make them.
        spans: None where nothing is marked.
        scores: numbers that came with the pair, by name.
        source: the format or data set that it was read from.
        meta: what else is worth keeping.
    """

    id: str
    messages: tuple[Message, ...]
    chosen: str
    rejected: str | None = None
    rejected_pictures: tuple[Picture, ...] = ()
    spans: Spans | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures of the prompt, in order."""
        return tuple(picture for message in self.messages for picture in message.pictures)


@dataclass(frozen=True)
class Dropped:
    """A record that is well formed and yet no pair to train on, and why."""

    id: str
    reason: str
