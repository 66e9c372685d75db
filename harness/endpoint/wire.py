"""Between Plumbline's vocabulary and chat completions: bodies out, replies and faults in."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import logprobs
from benchmarks.base import JudgeRequest, Message, Picture, Request
from harness.endpoint.limits import read_retry_after
from harness.endpoint.replies import Fault, Reply

SHOWN = 300
"""Characters of a server's text that an error message repeats."""

Chat = Request | JudgeRequest
"""Anything that is asked in messages, with a decoding."""
Show = Callable[[Picture], str]
"""How a picture becomes a URL."""


@dataclass(frozen=True)
class Quirks:
    """What a server was found to want for a model, instead of the plain format.

    Attributes:
        length_name: newer models know ``max_tokens`` only as ``max_completion_tokens``.
        refused: settings that the model does not take (a fixed temperature, no seed). They are left
            out, and the record says so.
    """

    length_name: str = "max_tokens"
    refused: frozenset[str] = frozenset()


def data_url(picture: Picture) -> str:
    """A picture as PNG in a URL. Raises PictureError."""
    stream = io.BytesIO()
    picture.load().save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def chat_body(request: Chat, model: str, quirks: Quirks, show: Show = data_url) -> dict[str, Any]:
    """The body of a call. Settings at the API's own default are not sent, as in the official
    scripts.

    A ``max_new_tokens`` of 0 sets no limit, and a seed of 0 is not sent. Raises PictureError.
    """
    decoding = request.decoding
    top_logprobs = request.top_logprobs if isinstance(request, JudgeRequest) else 0
    settings = {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p if decoding.top_p != 1.0 else None,
        quirks.length_name: decoding.max_new_tokens or None,
        "seed": decoding.seed or None,
        "stop": list(decoding.stop) or None,
        "logprobs": top_logprobs > 0 or None,
        "top_logprobs": top_logprobs or None,
    }
    sent = {
        name: value
        for name, value in settings.items()
        if value is not None and name not in quirks.refused
    }
    messages = [_chat_message(message, show) for message in request.messages]
    return {"model": _sendable(model), "messages": messages, **sent}


def _chat_message(message: Message, show: Show) -> dict[str, Any]:
    text = _sendable(message.text)
    if not message.pictures:
        return {"role": message.role, "content": text}
    shown = [
        {"type": "image_url", "image_url": {"url": show(picture)}} for picture in message.pictures
    ]
    return {"role": message.role, "content": [*shown, {"type": "text", "text": text}]}


def _sendable(text: str) -> str:
    """Lone surrogates, which UTF-8 cannot carry, as replacement characters."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def learn(quirks: Quirks, fault: Fault) -> Quirks | None:
    """Quirks that the refusal of a setting teaches; None when it is a refusal of something else."""
    if fault.status != 400:
        return None
    error = _error_of(fault.raw)
    if error.get("code") not in ("unsupported_parameter", "unsupported_value"):
        return None
    setting = error.get("param")
    if setting == "max_tokens" and quirks.length_name == "max_tokens":
        return replace(quirks, length_name="max_completion_tokens")
    if setting in ("temperature", "top_p", "seed", "stop") and setting not in quirks.refused:
        return replace(quirks, refused=quirks.refused | {setting})
    return None


def read_completion(text: str, quirks: Quirks) -> Reply | Fault:
    """A 200 answer's body as a Reply, or what is wrong with it. A Reply's text may be empty."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return Fault(f"the server sent no JSON: {shortened(text)}", raw=text, unsure=True)
    if not isinstance(body, Mapping) or body.get("error"):
        return Fault(f"the server reports: {_message_of(text)}", raw=text, unsure=True)
    reply, choice = _reply(body, quirks), _first_choice(body)
    if choice.get("error") or reply.finish_reason == "error":
        reason = f"the server broke off: {shortened(json.dumps(choice.get('error')))}"
        return Fault(reason, reply=reply, raw=text)
    message = choice.get("message")
    if not isinstance(message, Mapping):
        return Fault("the server sent an empty reply", reply=reply, raw=text)
    refusal = message.get("refusal")
    if reply.finish_reason == "content_filter" or refusal:
        reason = f"the model refuses to reply: {shortened(str(refusal or 'content filter'))}"
        return Fault(reason, retry=False, reply=reply, raw=reply.text or text)
    if not isinstance(message.get("content"), str | None):
        return Fault("the server sent a reply that is no text", reply=reply, raw=text)
    return reply


def _reply(body: Mapping[str, Any], quirks: Quirks) -> Reply:
    choice = _first_choice(body)
    message = choice.get("message")
    content = message.get("content") if isinstance(message, Mapping) else None
    usage = body.get("usage")
    counts = usage if isinstance(usage, Mapping) else {}
    return Reply(
        text=content if isinstance(content, str) else "",
        model=_text(body.get("model")),
        finish_reason=_text(choice.get("finish_reason")) or "stop",
        fingerprint=_text(body.get("system_fingerprint")) or None,
        n_prompt_tokens=_count(counts.get("prompt_tokens")),
        n_new_tokens=_count(counts.get("completion_tokens")),
        not_sent=tuple(sorted(quirks.refused)),
        top_logprobs=logprobs.of_choice(choice),
    )


def _first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    """A number of tokens, if it can be one."""
    counts = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if counts else None


def same_model(asked: str, returned: str) -> bool:
    """Whether a returned name is the asked one, or what that alias stands for.

    ``gpt-4o`` may reply as ``gpt-4o-2024-08-06``. A provider's prefix (``openai/gpt-4o``) makes no
    difference.
    """
    asked, returned = (name.rpartition("/")[2].lower() for name in (asked, returned))
    if asked == returned:
        return True
    dated = r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{3,4})"
    alias = asked.removesuffix("-latest")
    return re.fullmatch(re.escape(alias) + dated, returned) is not None


def fault_of_status(status: int, text: str, headers: Mapping[str, str]) -> Fault:
    """What an HTTP error means for the call and for those after it."""
    reason = f"HTTP {status}: {_message_of(text)}"
    error = _error_of(text)
    if error.get("code") == "insufficient_quota" or status in (401, 402, 404):
        return Fault(reason, retry=False, stops=True, status=status, raw=text)
    if status in (408, 409, 425, 429) or status >= 500:
        return Fault(reason, wait_s=read_retry_after(headers), status=status, raw=text)
    return Fault(reason, retry=False, status=status, raw=text)


def _error_of(text: str) -> Mapping[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    error = body.get("error") if isinstance(body, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def _message_of(text: str) -> str:
    message = _error_of(text).get("message")
    return shortened(message if isinstance(message, str) and message else text)


def shortened(text: str) -> str:
    """A server's text on one line, for an error message."""
    line = " ".join(text.split()) or "(nothing)"
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
