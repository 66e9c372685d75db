"""How a judge is reached, and the key that no file, log line or traceback may show."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlsplit

from benchmarks.base import Benchmark, PlumblineError

OPENAI_URL = "https://api.openai.com/v1"
"""Where judges are asked unless an endpoint is named; official judges were served there."""


SHORTEST_SECRET = 8
"""Shorter keys are the placeholders of local servers ("EMPTY", "token"): they are no secret, and a
judge may well use the word."""


class Secret:
    """An API key that shows itself only to who asks for it by name."""

    def __init__(self, value: str) -> None:
        if not value.isascii() or not value.isprintable() or " " in value:
            raise PlumblineError(
                "the judge's API key has a blank, a line break or a letter outside ASCII in it; "
                "copy it again, without quotes and on one line"
            )
        self._value = value

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> str:
        return self._value

    def redact(self, text: str) -> str:
        """A text without the key, for servers that repeat it in their errors."""
        if len(self._value) < SHORTEST_SECRET:
            return text
        for shape in {self._value, quote(self._value, safe=""), json.dumps(self._value)[1:-1]}:
            text = text.replace(shape, "[key]")
        return text


@dataclass(frozen=True)
class JudgeConfig:
    """Where and how a judge is asked. Temperature and length come with each request, from the
    protocol.

    Attributes:
        model: asked for every benchmark; None asks each benchmark's official judge.
        max_retries: further calls after one that failed in transport.
        max_wait_s: a server that asks for more patience than this fails the call instead.
        backoff_s: upper end of the first random pause; it doubles from pause to pause.
        max_cost_usd: for the whole run, earlier sessions included; None sets no limit.
        prices: the user's own price table, on top of ``prices.toml``.
        cache: the file of stored replies; None stores none.
        any_model: take replies of models other than the one asked (they are named and labelled).
        poll_s: pause between two looks at a batch.
    """

    model: str | None = None
    base_url: str = OPENAI_URL
    key: Secret = field(default_factory=lambda: Secret(""))
    concurrency: int = 16
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout_s: float = 120.0
    max_retries: int = 8
    max_wait_s: float = 120.0
    backoff_s: float = 0.5
    backoff_cap_s: float = 60.0
    max_cost_usd: float | None = None
    prices: Path | None = None
    cache: Path | None = None
    any_model: bool = False
    poll_s: float = 30.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if "@" in parts.netloc or parts.query:
            raise PlumblineError(
                "--judge-base-url must hold no name, password or query: they would end up in "
                "files. Give the key by --judge-key-file"
            )
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise PlumblineError(
                f"--judge-base-url {self.base_url}: write it as http://HOST:PORT/v1"
            )

    @cached_property
    def endpoint(self) -> str:
        """The base URL in one spelling."""
        return self.base_url.rstrip("/")

    def model_for(self, benchmark: Benchmark) -> str:
        """The judge's model for a benchmark: the one place where the default is chosen."""
        if self.model is not None:
            return self.model
        if benchmark.judge is None:
            raise PlumblineError(f"{benchmark.title} has no judge")
        return benchmark.judge.model
