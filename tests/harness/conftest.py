"""Starts servers on 127.0.0.1 and ends them with the test; keeps keys out of tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.endpoint.server import serving
from tests.harness.judges.servers import Script, ScriptedServer

Serve = Callable[..., ScriptedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    stops = []

    def start(script: Script | None = None, **options: Any) -> ScriptedServer:
        kind = options.pop("kind", ScriptedServer)
        server = kind(script, **options)
        stops.append(serving(server))
        return server

    yield start
    for stop in stops:
        stop()


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sends a person's key anywhere."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("PLUMBLINE_JUDGE_KEY", raising=False)
