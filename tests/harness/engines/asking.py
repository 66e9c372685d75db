"""Requests, pictures and plain answers for the engine's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import AutoConfig, AutoTokenizer

from benchmarks.base import Decoding, Message, PictureError, Request, Response
from harness.engines.processors import load_processor
from harness.engines.transformers_engine import TransformersEngine

QUESTIONS = (
    "What is this?",
    "Is there a dog in it?",
    "How many people can you see there? Answer briefly.",
    "Why?",
)


@dataclass(frozen=True)
class NoisePicture:
    """Random pixels of a given size."""

    seed: int
    width: int
    height: int

    @property
    def name(self) -> str:
        return f"noise-{self.seed}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.load().tobytes()).hexdigest()

    def load(self) -> Image.Image:
        shape = (self.height, self.width, 3)
        return Image.fromarray(np.random.default_rng(self.seed).integers(0, 255, shape, np.uint8))


@dataclass(frozen=True)
class BrokenPicture(NoisePicture):
    """A picture whose file can be hashed but not decoded."""

    def load(self) -> Image.Image:
        raise PictureError(f"{self.name}: the picture cannot be decoded")

    @property
    def digest(self) -> str:
        return hashlib.sha256(b"broken").hexdigest()


TALL, WIDE, SQUARE, NARROW = (
    NoisePicture(1, 40, 60),
    NoisePicture(2, 90, 50),
    NoisePicture(3, 64, 64),
    NoisePicture(4, 30, 90),
)


def user(text: str, *pictures: Any) -> Message:
    return Message("user", text, pictures)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def request(id: str, *messages: Message, n_new: int = 10, **decoding: Any) -> Request:
    return Request(id, id, messages, Decoding(max_new_tokens=n_new, **decoding))


def picture_requests() -> list[Request]:
    """Several sizes of pictures, questions per picture, turns, and pictures per conversation."""
    asked = [
        request(f"{picture.name}/{number}", user(question, picture))
        for picture in (TALL, WIDE, SQUARE)
        for number, question in enumerate(QUESTIONS)
    ]
    return [
        *asked,
        request("lone", user(QUESTIONS[0], NARROW)),
        request("turns", user(QUESTIONS[0], TALL), assistant("Yes."), user("And now?")),
        request("two/0", user(QUESTIONS[0], TALL, WIDE)),
        request("two/1", user(QUESTIONS[1], TALL, WIDE)),
        request("later", user(QUESTIONS[1], TALL), assistant("No."), user("And here?", WIDE)),
    ]


def text_requests() -> list[Request]:
    return [request(f"text/{number}", user(text)) for number, text in enumerate(QUESTIONS)]


def answers(engine: TransformersEngine, requests: Sequence[Request]) -> dict[str, Response]:
    """Responses by request id; every request must have exactly one."""
    found = flat(engine.generate(requests))
    assert sorted(response.request_id for response in found) == sorted(r.id for r in requests)
    return {response.request_id: response for response in found}


def texts(engine: TransformersEngine, requests: Sequence[Request]) -> dict[str, str]:
    """Answers by request id; every request must have been answered."""
    found = answers(engine, requests)
    assert all(response.status == "ok" for response in found.values()), found
    return {id: response.text for id, response in found.items()}


def flat(batches: Iterable[Sequence[Response]]) -> list[Response]:
    return [response for batch in batches for response in batch]


class PlainGeneration:
    """What a user would write: the processor on one conversation, then ``model.generate``."""

    def __init__(self, folder: Path, model: Any) -> None:
        self.model = model
        config = AutoConfig.from_pretrained(folder)
        self.takes_pictures = hasattr(config, "vision_config")
        self.processor: Any = (
            load_processor(folder, config, trust_remote_code=False)
            if self.takes_pictures
            else AutoTokenizer.from_pretrained(folder)
        )

    def text(self, request: Request) -> str:
        inputs = self._inputs(request)
        n_new = request.decoding.max_new_tokens
        out = self.model.generate(**inputs, do_sample=False, max_new_tokens=n_new)
        new_ids = out[0, inputs["input_ids"].shape[1] :]
        tokenizer = getattr(self.processor, "tokenizer", self.processor)
        text: str = tokenizer.decode(new_ids, skip_special_tokens=True)
        return text

    def _inputs(self, request: Request) -> Any:
        if not self.processor.chat_template:
            return self._plain_inputs(request)
        conversation: list[dict[str, Any]] = []
        for message in request.messages:
            shown = [{"type": "image", "image": picture.load()} for picture in message.pictures]
            content: Any = [*shown, {"type": "text", "text": message.text}]
            if not self.takes_pictures:
                content = message.text
            conversation.append({"role": message.role, "content": content})
        return self.processor.apply_chat_template(
            conversation,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )

    def _plain_inputs(self, request: Request) -> Any:
        text = "\n".join(message.text for message in request.messages)
        pictures = [picture.load() for picture in request.pictures]
        if not pictures:
            return self.processor.tokenizer(text, return_tensors="pt")
        prompt = "<image>" * len(pictures) + text
        return self.processor(text=prompt, images=[pictures], return_tensors="pt")
