"""Calls to one endpoint, within its limits, until a usable reply comes or patience ends."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from benchmarks.base import PictureError, PlumblineError
from harness.endpoint.config import EndpointConfig
from harness.endpoint.limits import Gate, Pace, pause_s
from harness.endpoint.replies import Fault, Reply
from harness.endpoint.wire import (
    Chat,
    Quirks,
    chat_body,
    fault_of_status,
    learn,
    shortened,
)

if TYPE_CHECKING:
    from httpx2 import Response
    from openai import APIError, AsyncOpenAI

log = logging.getLogger(__name__)

BYTES_PER_TOKEN = 4
"""What the token limit's estimate assumes; every call corrects it."""
GIVE_UP_AFTER = 20
"""So many requests in a row without any reply, or forbidden, mean that the endpoint is gone."""
FORBIDDEN = 403
"""What providers say of one flagged prompt as well as of a key."""

Write = Callable[[Chat, str, Quirks], dict[str, Any]]
"""The body of a call from (request, model, what is known of the model)."""
Read = Callable[[str, str, Quirks], Reply | Fault]
"""What comes of a 200 answer's body, given the model asked and what is known of it."""


class Counter(Protocol):
    """Whatever keeps count of calls."""

    def count(self, outcome: Reply | Fault) -> None:
        """Count one call."""


def read_as_utf8(response: Response) -> None:
    """JSON is UTF-8 (RFC 8259), whatever a server says of it: there are character sets that no text
    can be read in, and a byte order mark is no part of the text."""
    response.encoding = "utf-8-sig"


async def _read_as_utf8(response: Response) -> None:
    read_as_utf8(response)


def client_options(config: EndpointConfig) -> dict[str, Any]:
    """How the openai package is set up: it must not repeat calls by itself.

    The transport's debug log is switched off with it: it shows response headers as they come, and a
    server may repeat the key there.
    """
    for name in ("httpcore", "httpcore2"):
        logging.getLogger(name).setLevel(logging.INFO)
    return {
        "api_key": config.key.reveal() or "none",
        "base_url": config.endpoint,
        "timeout": config.timeout_s,
        "max_retries": 0,
    }


def api_fault(error: APIError, config: EndpointConfig) -> Fault:
    """What an error of the openai package means. ``raw`` is the server's text, without the key."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(error, APIStatusError):
        text = config.key.redact(error.response.text)
        return fault_of_status(error.status_code, text, error.response.headers)
    if isinstance(error, APITimeoutError):
        return timeout_fault(config)
    cause = error.__cause__ if isinstance(error, APIConnectionError) else error
    text = shortened(config.key.redact(str(cause or error)))
    # Unless it never connected, the server may have worked (and charged) for the call. By name,
    # since the HTTP package below openai changed between its versions.
    connected = type(cause).__name__ not in ("ConnectError", "ConnectTimeout")
    return Fault(f"the connection failed: {text}", unsure=connected)


def timeout_fault(config: EndpointConfig) -> Fault:
    return Fault(f"no reply within {config.timeout_s:g} s", unsure=True)


class Caller:
    """One endpoint in one event loop. Use as a context manager.

    Args:
        stats: is told of every call.
        quirks: what is known of each model; added to.
        read: decides which replies are usable.
        write: forms the body; run in a thread, since pictures take a while.
    """

    def __init__(
        self,
        config: EndpointConfig,
        stats: Counter,
        quirks: dict[str, Quirks],
        *,
        read: Read,
        write: Write = chat_body,
    ) -> None:
        self._config = config
        self._stats = stats
        self._quirks = quirks
        self._read = read
        self._write = write
        self._n_silent = 0
        self._gate = Gate()
        self._starts = Pace(config.requests_per_minute)
        self._tokens = Pace(config.tokens_per_minute)
        self._client: AsyncOpenAI

    async def __aenter__(self) -> Self:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        try:
            http = DefaultAsyncHttpxClient(event_hooks={"response": [_read_as_utf8]})
        except ImportError as error:
            raise PlumblineError(
                f"the proxy that the environment names (ALL_PROXY, HTTPS_PROXY): {error}"
            ) from error
        self._client = AsyncOpenAI(**client_options(self._config), http_client=http)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def reply(self, model: str, request: Chat) -> Reply | Fault:
        """A usable reply, or why there is none."""
        n_calls, n_failed, cost_usd = 0, 0, None
        while True:
            outcome = await self._once(model, request)
            self._stats.count(outcome)
            n_calls += 1
            if outcome.cost_usd is not None:
                cost_usd = (cost_usd or 0.0) + outcome.cost_usd
            if isinstance(outcome, Reply):
                self._n_silent = 0
                return replace(outcome, n_calls=n_calls, cost_usd=cost_usd)
            log.info("%s, %s, call %d: %s", model, request.id, n_calls, outcome.reason)
            if outcome.adapted:
                continue
            n_failed += 1
            if final := self._final(outcome, n_failed):
                is_silent = final.retry or final.status == FORBIDDEN
                self._n_silent = self._n_silent + 1 if is_silent else 0
                return replace(final, n_calls=n_calls, cost_usd=cost_usd)
            await self._pause(n_failed, outcome)

    def is_gone(self, fault: Fault) -> bool:
        """Whether asking for more is in vain: refused for good, or nothing but silence of late."""
        return fault.stops or self._n_silent >= GIVE_UP_AFTER

    async def models(self) -> list[str]:
        """The names of what is served; none where the server does not say."""
        import openai

        try:
            async with asyncio.timeout(self._config.timeout_s):
                return [str(model.id) async for model in self._client.models.list()]
        except (openai.APIError, TimeoutError, AttributeError, TypeError, ValueError):
            return []

    def _final(self, fault: Fault, n_failed: int) -> Fault | None:
        """The fault to report, if there is to be no further call."""
        if not fault.retry:
            return fault
        if fault.wait_s is not None and fault.wait_s > self._config.max_wait_s:
            reason = f"{fault.reason} (the server asks to wait {fault.wait_s:.0f} s: too long)"
            return replace(fault, reason=reason)
        if n_failed > self._config.max_retries:
            return replace(fault, reason=f"{fault.reason} (the last of {n_failed} calls)")
        return None

    async def _pause(self, n_failed: int, fault: Fault) -> None:
        """Wait as the server asks (everyone waits then), or for a random time that grows."""
        if fault.wait_s is None:
            delay = pause_s(n_failed, self._config.backoff_s, self._config.backoff_cap_s)
        else:
            self._gate.close(fault.wait_s)
            delay = fault.wait_s + random.uniform(0, self._config.backoff_s)
        await asyncio.sleep(delay)

    async def _once(self, model: str, request: Chat) -> Reply | Fault:
        """One call, when it is its turn."""
        n_bytes = sum(len(message.text.encode("utf-8", "replace")) for message in request.messages)
        estimate = n_bytes / BYTES_PER_TOKEN + request.decoding.max_new_tokens
        await self._tokens.take(estimate)
        await self._starts.take()
        await self._gate.passed()
        outcome = await self._call(model, request)
        reply = outcome.reply if isinstance(outcome, Fault) else outcome
        if reply and reply.n_prompt_tokens is not None:
            self._tokens.correct(estimate, reply.n_prompt_tokens + (reply.n_new_tokens or 0))
        return outcome

    async def _call(self, model: str, request: Chat) -> Reply | Fault:
        import openai

        quirks = self._quirks.setdefault(model, Quirks())
        config = self._config
        try:
            body = await asyncio.to_thread(self._write, request, model, quirks)
            async with asyncio.timeout(config.timeout_s):
                answer = await self._client.chat.completions.with_raw_response.create(**body)
                text = config.key.redact(answer.text)
        except PictureError as error:
            return Fault(str(error), retry=False)
        except TimeoutError:
            return timeout_fault(config)
        except openai.APIError as error:
            return self._adapted(model, quirks, api_fault(error, config))
        return self._read(text, model, quirks)

    def _adapted(self, model: str, used: Quirks, fault: Fault) -> Fault:
        """A fault about a setting is no failure: the next call does without the setting."""
        learned = learn(used, fault)
        if learned is None:
            return fault
        if self._quirks[model] == used:
            self._quirks[model] = learned
            log.warning("%s does not take a setting as it is: %s", model, fault.reason)
        return replace(fault, adapted=True)
