"""A chat call's body comes in as the Request that it was made from, or is refused with a reason.

Run: pytest tests/harness/endpoint/test_incoming.py
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.base import Decoding, Message, Request
from harness.endpoint.incoming import USUAL_MAX_TOKENS, read_chat
from harness.endpoint.wire import Quirks, chat_body
from tests.harness.engines.asking import TALL, WIDE

HI: dict[str, Any] = {"role": "user", "content": "hi"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
SETTINGS = ("messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed")


def body(*messages: Any, **settings: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages) or [HI], **settings}


# A text without pictures: their digest is that of the file, which is PNG once it is sent.
@given(
    texts=st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text()), min_size=1
    ),
    temperature=st.floats(0, 2),
    top_p=st.floats(0, 1),
    seed=st.integers(1, 2**40),
    stop=st.lists(st.text(min_size=1, max_size=4), max_size=3),
)
def test_what_our_client_sends_is_read_as_the_same_request(
    texts: Any, temperature: float, top_p: float, seed: int, stop: list[str]
) -> None:
    decoding = Decoding(17, temperature, top_p, seed, tuple(stop))
    asked = Request("a", "a", tuple(Message(role, text) for role, text in texts), decoding)
    sent = json.loads(json.dumps(chat_body(asked, "m", Quirks())))
    assert read_chat(sent, "b").key == asked.key


def test_pictures_are_read_pixel_by_pixel() -> None:
    messages = (Message("user", "first", (TALL, WIDE)), Message("user", "then", (WIDE,)))
    sent = chat_body(Request("a", "a", messages, Decoding(3)), "m", Quirks())
    read = read_chat(json.loads(json.dumps(sent)), "b")
    assert [message.text for message in read.messages] == ["first", "then"]
    assert [len(message.pictures) for message in read.messages] == [2, 1]
    for picture, original in zip(read.pictures, (TALL, WIDE, WIDE), strict=True):
        assert isinstance(picture.load(), Image.Image)
        assert picture.load().tobytes() == original.load().tobytes()


def test_a_call_that_does_not_say_gets_the_apis_own_settings() -> None:
    assert read_chat(body(), "a").decoding == Decoding(USUAL_MAX_TOKENS, temperature=1.0)
    assert read_chat(body(max_completion_tokens=5), "a").decoding.max_new_tokens == 5
    assert read_chat(body(stop="x"), "a").decoding.stop == ("x",)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"model": "m"}, "messages must be a list"),
        ({"messages": []}, "messages must be a list"),
        (body("hi"), "a message's role"),
        (body({"role": "judge", "content": "hi"}), "a message's role"),
        (body({"role": "user", "content": 3}), "a message's content"),
        (body({"role": "user", "content": ["hi"]}), "a message's content"),
        (body({"role": "user", "content": [{"type": "audio"}]}), "a message's parts"),
        (body({"role": "user", "content": [{"type": "text", "text": 3}]}), "a message's parts"),
        (
            body(
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "a"}, {"type": "image_url"}],
                }
            ),
            "pictures .* and then text",
        ),
        (
            body(
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}],
                }
            ),
            "fetches nothing",
        ),
        (body(max_tokens=0.5), "max_tokens"),
        (body(max_tokens=-1), "max_tokens"),
        (body(temperature=-1), "temperature"),
        (body(temperature=float("inf")), "temperature"),
        (body(temperature=float("nan")), "temperature"),
        (body(temperature="hot"), "temperature"),
        (body(top_p=1.5), "top_p"),
        (body(seed="x"), "seed"),
        (body(stop=[""]), "stop"),
        (body(stop={"a": 1}), "stop"),
        (body(n=2), "n must be 1"),
        (body(stream=True), "stream is not supported"),
        (body(logprobs=True), "logprobs is not supported"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(sent: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_chat(sent, "a")


@given(st.dictionaries(st.sampled_from(SETTINGS), JSON), st.lists(JSON, max_size=3))
def test_any_json_is_read_or_refused(settings: dict[str, Any], messages: list[Any]) -> None:
    for sent in (settings, body(*messages), body(**settings)):
        with contextlib.suppress(ValueError):
            assert read_chat(sent, "a").messages
