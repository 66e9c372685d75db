"""Preference pairs about pictures of noise, and what encodes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from benchmarks.base import Message
from harness.engines.checkpoints import Checkpoint
from harness.engines.transformers_engine import TransformersEngine
from trainers.encoding import Encoder, Rejecting
from trainers.methods import LengthWeights, TokenWeights
from trainers.pairs import Preference


@dataclass(frozen=True)
class Noise:
    """A picture of noise."""

    seed: int
    width: int = 40
    height: int = 30

    @property
    def name(self) -> str:
        return f"noise {self.seed}"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.load().tobytes()).hexdigest()

    def load(self) -> Image.Image:
        rng = np.random.default_rng(self.seed)
        return Image.fromarray(rng.integers(0, 255, (self.height, self.width, 3), dtype=np.uint8))


def pair(number: int, pictures: bool = True, **changes: object) -> Preference:
    """A pair whose lengths depend on its number."""
    shown = (Noise(number, 40 + 30 * (number % 2)),) if pictures else ()
    question = "What is " + "so " * (number % 3) + "red?"
    fields: dict[str, object] = {
        "id": f"pair-{number}",
        "messages": (Message("user", question, shown),),
        "chosen": f"The {number} cats" + "!" * (number % 4),
        "rejected": "No cat" + " at all" * (number % 2),
    }
    return Preference(**{**fields, **changes})  # type: ignore[arg-type]


def encoder(
    checkpoint: Checkpoint,
    corruption: str | None = None,
    weights: TokenWeights | LengthWeights | None = None,
) -> Encoder:
    """An encoder for a checkpoint."""
    rejecting = Rejecting(corruption) if corruption else None
    format = TransformersEngine(checkpoint).identity["prompt_format"]
    return Encoder(checkpoint, format, weights, rejecting)
