"""Judges on 127.0.0.1 that do as a test tells them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.endpoint.server import ChatHandler, Reaction, completion, json_reaction
from harness.judges.base import ORACLE_MODEL
from harness.judges.server import OracleServer
from tests.harness.judges.toy import rate

Script = Callable[[int, Mapping[str, Any], Mapping[str, str]], Reaction | None]
"""What to do with call 0, 1, … of that body and these headers; None: as the oracle does."""


class ScriptedServer(OracleServer):
    """Rates sums, unless its script says something else. Counts how many calls it has at a time."""

    def __init__(self, script: Script | None = None, **options: Any) -> None:
        super().__init__(options.pop("reply", rate), **options)
        self.bodies: list[Mapping[str, Any]] = []
        self.most_at_a_time = 0
        self._script = script
        self._n_now = 0
        self._lock = threading.Lock()

    def react(self, body: Mapping[str, Any], raw: bytes, headers: Mapping[str, str]) -> Reaction:
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
        reaction = self._script(number, body, headers) if self._script else None
        return reaction or super().react(body, raw, headers)

    def enter(self) -> None:
        with self._lock:
            self._n_now += 1
            self.most_at_a_time = max(self.most_at_a_time, self._n_now)

    def leave(self) -> None:
        with self._lock:
            self._n_now -= 1


class CountingHandler(ChatHandler):
    server: ScriptedServer

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        self.server.enter()
        try:
            super().do_POST()
        finally:
            self.server.leave()


class TricklingHandler(ChatHandler):
    """Sends its reply so slowly that no single wait is long, but all together are."""

    def send(self, reaction: Reaction) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while not self.server.closing.wait(0.05):
            try:
                self.wfile.write(b" ")
                self.wfile.flush()
            except OSError:
                break
        self.close_connection = True


def always(reaction: Reaction) -> Script:
    return lambda number, body, headers: reaction


def in_turn(reactions: Sequence[Reaction | None]) -> Script:
    """The first calls get these reactions, later ones a good reply."""
    return lambda number, body, headers: reactions[number] if number < len(reactions) else None


def says(
    text: str | None, model: str = ORACLE_MODEL, finish_reason: str = "stop", **message: Any
) -> Reaction:
    """A well-formed reply."""
    body = completion(model, text, 10, **message)
    body["choices"][0]["finish_reason"] = finish_reason
    return json_reaction(body)
