"""How an endpoint is reached, and the key that no file, log line or traceback may show."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from benchmarks.base import PlumblineError

OPENAI_URL = "https://api.openai.com/v1"
"""What is asked unless an endpoint is named."""

SHORTEST_SECRET = 8
"""Shorter keys are the placeholders of local servers ("EMPTY", "token"): they are no secret, and a
model may well use the word."""


class Secret:
    """An API key that shows itself only to who asks for it by name."""

    def __init__(self, value: str) -> None:
        if not value.isascii() or not value.isprintable() or " " in value:
            raise PlumblineError(
                "the API key has a blank, a line break or a letter outside ASCII in it; "
                "copy it again, without quotes and on one line"
            )
        self._value = value
        self._spelled = re.compile("".join(map(_spelled, value)))

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> str:
        return self._value

    def redact(self, text: str) -> str:
        """A text without the key, for servers that repeat it in their errors.

        JSON and URLs may spell each of its letters in another way.
        """
        return text if len(self._value) < SHORTEST_SECRET else self._spelled.sub("[key]", text)


def _spelled(letter: str) -> str:
    """A pattern of a letter of ASCII: as it is, or as URLs and JSON (in JSON, in JSON …) may have it."""
    code = f"{ord(letter):02x}"
    escape = r"\\*" if letter in '"\\/' else ""
    return rf"(?:{escape}{re.escape(letter)}|(?i:%{code}|\\+u00{code}))"


@dataclass(frozen=True)
class EndpointConfig:
    """Where an endpoint is, and how fast and how patiently it is asked.

    Attributes:
        concurrency: calls at a time.
        max_retries: further calls after one that failed in transport.
        max_wait_s: a server that asks for more patience than this fails the call instead.
        backoff_s: upper end of the first random pause; it doubles from pause to pause.
    """

    url_option: ClassVar[str] = "--base-url"
    key_option: ClassVar[str] = "--key-env"

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

    def __post_init__(self) -> None:
        import httpx2

        try:
            url = httpx2.URL(self.base_url)
        except (httpx2.InvalidURL, ValueError):
            url = httpx2.URL("")
        if url.userinfo or url.query or url.fragment:
            raise PlumblineError(
                f"{self.url_option} must hold no name, password, query or fragment: they would end "
                f"up in files. Give the key by {self.key_option}"
            )
        is_address = bool(url.host) and (url.port is None or 0 < url.port < 2**16)
        if url.scheme not in ("http", "https") or not is_address:
            shown = self.base_url.rpartition("@")[2]
            raise PlumblineError(f"{self.url_option} {shown}: write it as http://HOST:PORT/v1")

    @cached_property
    def endpoint(self) -> str:
        """The base URL in one spelling."""
        return self.base_url.rstrip("/")
