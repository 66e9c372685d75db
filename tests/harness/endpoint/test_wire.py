"""Bodies out, replies in: what a request becomes, and when two model names mean the same.

Run: pytest tests/harness/endpoint/test_wire.py
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import pytest
from PIL import Image

from benchmarks.base import Decoding, JudgeRequest, Message
from harness.endpoint.wire import Quirks, chat_body, same_model


@pytest.mark.parametrize(
    ("asked", "returned", "same"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("gpt-4", "gpt-4-0613", True),
        ("openai/gpt-4o", "gpt-4o-2024-08-06", True),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
        ("gemini-1.5-pro", "gemini-1.5-pro-002", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4", "gpt-4-1106-preview", False),
        ("gpt-4-0613", "gpt-4", False),
        ("gpt-4o", "", False),
    ],
)
def test_an_alias_stands_for_its_dated_names_only(asked: str, returned: str, same: bool) -> None:
    assert same_model(asked, returned) is same


def test_lone_surrogates_reach_the_server_as_replacement_characters() -> None:
    request = JudgeRequest("1", "1", (Message("user", "a \ud83d b"),), Decoding(0))
    assert chat_body(request, "m\udcff", Quirks()) == {
        "model": "m\ufffd",
        "messages": [{"role": "user", "content": "a \ufffd b"}],
        "temperature": 0.0,
    }


@dataclass(frozen=True)
class RedDot:
    """A picture of one red pixel."""

    name: str = "dot"
    digest: str = "dot"

    def load(self) -> Image.Image:
        return Image.new("RGB", (1, 1), "red")


def test_a_picture_stands_before_its_text() -> None:
    message = Message("user", "What is this?", (RedDot(),))
    body = chat_body(JudgeRequest("1", "1", (message,), Decoding(1)), "m", Quirks())
    picture, text = body["messages"][0]["content"]
    png = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(png)).getpixel((0, 0)) == (255, 0, 0)
    assert text == {"type": "text", "text": "What is this?"}
