"""A judge's reply together with the log-probabilities of its first token, as one text.

Where a ``JudgeRequest`` asks for ``top_logprobs``, the text that ``read_reply`` gets, that the
cache keeps and that ``Judgment.raw`` shows is JSON::

    {"text": "m", "top_logprobs": [["m", -0.02], ["M", -4.1]]}
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

TopLogprobs = Sequence[tuple[str, float]]
"""Candidates for a token with their natural log-probabilities, the likeliest first."""


class WeighedReply(NamedTuple):
    """What a judge wrote, and what else its first token might have been."""

    text: str
    top_logprobs: TopLogprobs


def pack(text: str, top_logprobs: TopLogprobs) -> str:
    """One text of a reply and its log-probabilities."""
    return json.dumps({"text": text, "top_logprobs": [list(pair) for pair in top_logprobs]})


def unpack(packed: str) -> WeighedReply | None:
    """The reply and its log-probabilities; None if the text is not what ``pack`` writes."""
    try:
        record = json.loads(packed)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        return None
    pairs = record.get("top_logprobs")
    if not isinstance(pairs, list):
        return None
    found = [pair for pair in map(_pair, pairs) if pair is not None]
    return WeighedReply(record["text"], found) if len(found) == len(pairs) else None


def of_choice(choice: Mapping[str, Any]) -> TopLogprobs | None:
    """The log-probabilities of the first token of a chat completion's choice; None if it has none."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    first = content[0] if isinstance(content, list) and content else None
    candidates = first.get("top_logprobs") if isinstance(first, Mapping) else None
    if not isinstance(candidates, list):
        return None
    found = [
        _pair([candidate.get("token"), candidate.get("logprob")])
        for candidate in candidates
        if isinstance(candidate, Mapping)
    ]
    usable = [pair for pair in found if pair is not None]
    return usable if len(usable) == len(candidates) else None


def _pair(value: Any) -> tuple[str, float] | None:
    match value:
        case [str() as token, int() | float() as logprob] if not isinstance(logprob, bool):
            with contextlib.suppress(OverflowError):  # JSON's whole numbers have no end
                return token, float(logprob)
    return None
