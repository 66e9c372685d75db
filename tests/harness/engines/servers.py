"""A model on 127.0.0.1 that says backwards what it is asked, unless a test tells it otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.endpoint.config import EndpointConfig
from harness.endpoint.server import Reaction, completion, json_reaction
from harness.engines.openai_engine import OpenAIEngine
from tests.harness.judges.servers import Script, ScriptedServer

MODEL = "parrot"


class Parrot(ScriptedServer):
    """Counts characters as tokens."""

    def __init__(self, script: Script | None = None, **options: Any) -> None:
        super().__init__(script, **options)
        self.model = MODEL

    def answer(self, body: Mapping[str, Any]) -> Reaction:
        if unknown := self.unknown(body):
            return unknown
        asked = asked_in(body)
        text = asked[::-1]
        return json_reaction(completion(MODEL, text, len(asked), n_new_tokens=len(text)))


def asked_in(body: Mapping[str, Any]) -> str:
    """The text of a call's last message."""
    content = body["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


def is_check(body: Mapping[str, Any]) -> bool:
    """Whether this is the tiny call by which an engine reaches its model."""
    return "ready" in asked_in(body)


def unless_check(script: Script) -> Script:
    """A script that lets the check pass, and does not count it."""
    n_checks = 0

    def run(number: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reaction | None:
        nonlocal n_checks
        n_checks += is_check(body)
        return None if is_check(body) else script(number - n_checks, body, headers)

    return run


def hasty(url: str, **changes: Any) -> EndpointConfig:
    """A configuration that loses no time in a test."""
    usual = {"base_url": url, "timeout_s": 30.0, "backoff_s": 0.01, "backoff_cap_s": 0.02}
    return EndpointConfig(**{**usual, **changes})


def connected(url: str, **changes: Any) -> OpenAIEngine:
    return OpenAIEngine.connect(MODEL, hasty(url, **changes))
