"""The body of a chat call that a client sent, as a Request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast, get_args

from benchmarks.base import Decoding, EmbeddedPicture, Message, Picture, Request, Role

USUAL_MAX_TOKENS = 1024
UNKNOWN_SETTINGS = ("stream", "tools", "functions", "logprobs", "response_format")
BASE64 = ";base64,"


def read_chat(body: Mapping[str, Any], id: str) -> Request:
    """The body of a chat call as a Request.

    A call that does not say gets the API's own temperature and nucleus (1), 1024 new tokens, and the
    seed 0: the same call has the same answer.

    Raises:
        ValueError: something in it is wrong, or cannot be done here; the text names it.
    """
    for name in UNKNOWN_SETTINGS:
        if body.get(name):
            raise ValueError(f"{name} is not supported by this server")
    if body.get("n") not in (None, 1):
        raise ValueError("n must be 1")
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise ValueError("messages must be a list with at least one message")
    longest = body.get("max_completion_tokens") or body.get("max_tokens") or USUAL_MAX_TOKENS
    if not isinstance(longest, int) or longest < 1:
        raise ValueError("max_tokens must be a whole number above 0")
    seed = body.get("seed") or 0
    if not isinstance(seed, int):
        raise ValueError("seed must be a whole number")
    decoding = Decoding(
        max_new_tokens=longest,
        temperature=_number(body, "temperature", 0.0, math.inf),
        top_p=_number(body, "top_p", 0.0, 1.0),
        seed=seed,
        stop=_stops(body.get("stop")),
    )
    return Request(id, id, tuple(_message(message) for message in given), decoding)


def _number(body: Mapping[str, Any], name: str, low: float, high: float) -> float:
    """A setting between two bounds; 1, the API's default, where it is not given."""
    value = body.get(name)
    if value is None:
        return 1.0
    if not isinstance(value, int | float) or not (low <= value <= high and value < math.inf):
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}")
    return float(value)


def _stops(given: Any) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, list) or not all(stop and isinstance(stop, str) for stop in stops):
        raise ValueError("stop must be a text or a list of texts, none of them empty")
    return tuple(stops)


def _message(given: Any) -> Message:
    role = given.get("role") if isinstance(given, Mapping) else None
    if role not in get_args(Role):
        raise ValueError(f"a message's role must be one of {', '.join(get_args(Role))}")
    content = given.get("content") or ""
    if isinstance(content, str):
        return Message(cast(Role, role), content)
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        raise ValueError("a message's content must be a text or a list of parts")
    pictures: list[Picture] = []
    texts: list[str] = []
    for part in content:
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif part.get("type") == "image_url" and not texts:
            pictures.append(_picture(part.get("image_url"), f"picture {len(pictures) + 1}"))
        else:
            raise ValueError("a message's parts must be pictures (image_url) and then text")
    return Message(cast(Role, role), "".join(texts), tuple(pictures))


def _picture(given: Any, name: str) -> Picture:
    url = given.get("url") if isinstance(given, Mapping) else None
    if not isinstance(url, str) or not url.startswith("data:image/") or BASE64 not in url:
        raise ValueError("a picture must be a data URL in base64; this server fetches nothing")
    return EmbeddedPicture(name, url.partition(BASE64)[2])
