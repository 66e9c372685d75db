"""An OpenAI-compatible chat endpoint in this process, with faults on request.

``FaultPlan`` fails some calls, the same ones for the same seed: for seeing how a client behaves when
its server does not.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from benchmarks.base import PlumblineError

FAULTS = (
    "rate_limit",
    "error",
    "empty",
    "html",
    "half_json",
    "wrong_model",
    "broken",
    "hang",
)
"""429 with Retry-After, 500, no choices, a web page, half of a JSON text, a reply by another model,
a connection that closes without a word, and one on which nothing comes."""


@dataclass(frozen=True)
class Reaction:
    """What goes back for one call.

    Attributes:
        fault: which fault it is; "" for a good reply.
        silent_s: how long nothing comes before the connection is closed without a word; None
            replies.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    silent_s: float | None = None


@dataclass(frozen=True)
class Call:
    """One call as the server saw it. Times are those of ``time.monotonic``."""

    path: str
    body_sha256: str
    began: float
    ended: float
    status: int
    fault: str


class FaultPlan:
    """Draws a fault for some calls; which ones depends only on the seed and on the calls
    themselves.

    Args:
        rate: the share of calls that fail.
        retry_after: what a rate-limited call is told.
        hang_s: how long a hanging call hangs.
    """

    def __init__(
        self,
        rate: float,
        seed: int = 0,
        kinds: Sequence[str] = FAULTS,
        retry_after: str = "1",
        hang_s: float = 600.0,
    ) -> None:
        self._rate, self._seed, self._kinds = rate, seed, tuple(kinds)
        self._retry_after, self._hang_s = retry_after, hang_s
        self._n_seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def draw(self, body: bytes) -> str:
        """The fault for a call; "" for none."""
        digest = hashlib.sha256(body).hexdigest()
        with self._lock:
            self._n_seen[digest] += 1
            n_seen = self._n_seen[digest]
        rng = Random(f"{self._seed}/{digest}/{n_seen}")
        return rng.choice(self._kinds) if rng.random() < self._rate else ""

    def reaction(self, fault: str, good: Reaction) -> Reaction:
        """The fault, made from the reply that would have been given."""
        half = good.body[: len(good.body) // 2]
        body = json.loads(good.body)
        made = {
            "rate_limit": lambda: error_reaction(
                429, "too many requests", "rate_limit_exceeded", {"Retry-After": self._retry_after}
            ),
            "error": lambda: error_reaction(500, "the server had an error", "server_error"),
            "empty": lambda: json_reaction({**body, "choices": []}),
            "html": lambda: Reaction(
                body=b"<html><body>Bad gateway</body></html>", headers={"Content-Type": "text/html"}
            ),
            "half_json": lambda: Reaction(body=half, headers={"Content-Type": "application/json"}),
            "wrong_model": lambda: json_reaction({**body, "model": "some-other-model"}),
            "broken": lambda: Reaction(silent_s=0.0),
            "hang": lambda: Reaction(silent_s=self._hang_s),
        }[fault]()
        return Reaction(made.status, made.body, made.headers, fault, made.silent_s)


def json_reaction(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reaction:
    body = json.dumps(value).encode("ascii")
    return Reaction(status, body, {"Content-Type": "application/json", **(headers or {})})


def error_reaction(
    status: int, message: str, code: str, headers: Mapping[str, str] | None = None
) -> Reaction:
    """An error in OpenAI's format."""
    error = {"message": message, "type": code, "code": code, "param": None}
    return json_reaction({"error": error}, status, headers)


def completion(
    model: str,
    text: str | None,
    n_prompt_tokens: int | None,
    *,
    n_new_tokens: int | None = None,
    finish_reason: str = "stop",
    **message: Any,
) -> dict[str, Any]:
    """A chat completion. Unless ``n_new_tokens`` says otherwise, words count as tokens."""
    n_in = n_prompt_tokens or 0
    n_out = len((text or "").split()) if n_new_tokens is None else n_new_tokens
    said = {"role": "assistant", "content": text, **message}
    return {
        "id": "chatcmpl-plumbline",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": "fp_plumbline",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": said}],
        "usage": {
            "prompt_tokens": n_in,
            "completion_tokens": n_out,
            "total_tokens": n_in + n_out,
        },
    }


class ChatServer(ThreadingHTTPServer, ABC):
    """The endpoint. ``serve_forever`` serves; ``url`` is what a client takes as its base URL.

    Args:
        model: the name of what is served.
        latency_s: how long a reply takes.
        faults: which calls fail; None fails none.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        model: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency_s: float = 0.0,
        faults: FaultPlan | None = None,
        handler: type[BaseHTTPRequestHandler] | None = None,
    ) -> None:
        self.model, self.latency_s, self.faults = model, latency_s, faults
        self.calls: list[Call] = []
        self.closing = threading.Event()
        try:
            super().__init__((host, port), handler or ChatHandler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PlumblineError(
                f"cannot listen on {host}:{port} ({reason}); name another --port or --host"
            ) from error

    @abstractmethod
    def answer(self, body: Mapping[str, Any]) -> Reaction:
        """The reply to a chat call without faults."""

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    def shutdown(self) -> None:
        self.closing.set()
        super().shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def react(self, body: Mapping[str, Any], raw: bytes, headers: Mapping[str, str]) -> Reaction:
        """The reaction to a chat call."""
        good = self.answer(body)
        fault = self.faults.draw(raw) if self.faults and good.status == 200 else ""
        return self.faults.reaction(fault, good) if self.faults and fault else good

    def unknown(self, body: Mapping[str, Any]) -> Reaction | None:
        """The refusal of another model than the one that is served."""
        asked = body.get("model")
        if asked == self.model:
            return None
        return error_reaction(404, f"the model {asked} does not exist", "model_not_found")


class ChatHandler(BaseHTTPRequestHandler):
    """``/v1/chat/completions`` and ``/v1/models``."""

    server: ChatServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path.rstrip("/") == "/v1/models":
            model = {
                "id": self.server.model,
                "object": "model",
                "created": 0,
                "owned_by": "plumbline",
            }
            self.send(json_reaction({"object": "list", "data": [model]}))
        else:
            self.send(self.nothing_here())

    def do_POST(self) -> None:
        began = time.monotonic()
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reaction = self._chat(raw) if self.path == "/v1/chat/completions" else self.nothing_here()
        self.server.closing.wait(self.server.latency_s)
        self.send(reaction)
        digest = hashlib.sha256(raw).hexdigest()
        ended = time.monotonic()
        self.server.calls.append(
            Call(self.path, digest, began, ended, reaction.status, reaction.fault)
        )

    def _chat(self, raw: bytes) -> Reaction:
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            return error_reaction(400, "the body is not a JSON object", "invalid_request_error")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return self.server.react(body, raw, headers)

    def nothing_here(self) -> Reaction:
        return error_reaction(404, f"nothing is served at {self.path}", "not_found")

    def send(self, reaction: Reaction) -> None:
        if reaction.silent_s is not None:
            self.server.closing.wait(reaction.silent_s)
            self.close_connection = True
            return
        self.send_response(reaction.status)
        for name, value in {**reaction.headers, "Content-Length": str(len(reaction.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reaction.body)
        self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet: what a client does is the client's to tell."""


def serving(server: ChatServer) -> Callable[[], None]:
    """Serve in the background; returns what stops it."""
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop
