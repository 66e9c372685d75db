"""``serve-oracle``: the pocket oracle as an OpenAI-compatible endpoint.

For trying any client against a judge that costs nothing, and for seeing how it behaves when the
judge does not: ``--fault-rate 0.3`` answers three calls of ten with a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks import logprobs
from benchmarks.base import Message
from harness.endpoint.server import (
    ChatServer,
    Reaction,
    completion,
    error_reaction,
    json_reaction,
)
from harness.judges.base import ORACLE_MODEL
from harness.judges.oracle import NOT_A_POCKET_PROMPT, ReplyTo


class OracleServer(ChatServer):
    """The endpoint.

    Args:
        reply: what it judges by.
    """

    def __init__(self, reply: ReplyTo, **options: Any) -> None:
        super().__init__(ORACLE_MODEL, **options)
        self.reply = reply

    def answer(self, body: Mapping[str, Any]) -> Reaction:
        if unknown := self.unknown(body):
            return unknown
        try:
            messages = [Message(m["role"], m["content"]) for m in body["messages"]]
            n_words = sum(len(message.text.split()) for message in messages)
        except (KeyError, TypeError, AttributeError):
            return error_reaction(
                400, "messages must be a list of role and text", "invalid_request_error"
            )
        try:
            text = self.reply(messages)
        except ValueError as error:
            return error_reaction(400, f"the prompt is damaged: {error}", "invalid_request_error")
        if text is None:
            refused = completion(ORACLE_MODEL, None, n_words, refusal=NOT_A_POCKET_PROMPT)
            return json_reaction(refused)
        weighed = logprobs.unpack(text)
        if weighed is None:
            return json_reaction(completion(ORACLE_MODEL, text, n_words))
        reply = completion(ORACLE_MODEL, weighed.text, n_words)
        if body.get("logprobs") is True:
            wanted = body.get("top_logprobs")
            told = weighed.top_logprobs[:wanted] if isinstance(wanted, int) else []
            reply["choices"][0]["logprobs"] = _told_logprobs(weighed.text, told)
        return json_reaction(reply)


def _told_logprobs(token: str, top_logprobs: logprobs.TopLogprobs) -> dict[str, Any]:
    """The ``logprobs`` of a completion of one token."""
    candidates = [
        {"token": candidate, "logprob": logprob, "bytes": list(candidate.encode())}
        for candidate, logprob in top_logprobs
    ]
    own = {"token": token, "logprob": dict(top_logprobs).get(token), "bytes": list(token.encode())}
    return {"content": [{**own, "top_logprobs": candidates}], "refusal": None}
