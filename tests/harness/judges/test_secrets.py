"""The API key is in no file, log line or traceback, whatever the server does with it.

Run: pytest tests/harness/judges/test_secrets.py
"""

from __future__ import annotations

import dataclasses
import json
import logging
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import PlumblineError
from harness.endpoint.config import Secret
from harness.endpoint.server import FAULTS, FaultPlan, Reaction, error_reaction
from harness.judges.client import HttpJudge
from harness.judges.config import JudgeConfig
from harness.judging import judge
from tests.harness.conftest import Serve
from tests.harness.judges.servers import always, says
from tests.harness.judges.toy import Sums, ask, hasty, part, silent

CANARY = 'canary-"4711"/+key'


def _echo(status: int) -> Any:
    """A server that repeats the key wherever it can."""

    def script(number: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reaction:
        key = headers["authorization"]
        assert CANARY in key
        if status == 200:
            return says(f"Rating: 1 ({key})", model=key)
        return error_reaction(status, f"bad: {key}", "bad", {"X-Echo": key, "Retry-After": "0"})

    return script


def _everything(folder: Path) -> str:
    return "\n".join(
        path.read_bytes().decode("utf-8", errors="replace")
        for path in folder.rglob("*")
        if path.is_file()
    )


def _shapes(key: str) -> list[str]:
    return [key, json.dumps(key)[1:-1], json.dumps(json.dumps(key)[1:-1])[1:-1]]


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_a_server_that_repeats_the_key_does_not_get_it_written(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    server = serve(_echo(status))
    changes = {"key": Secret(CANARY), "cache": tmp_path / "c.sqlite", "any_model": True}
    config = hasty(server.url, max_retries=1, **changes)
    told = repr(config) + json.dumps(dataclasses.asdict(config), default=str)
    with caplog.at_level(logging.DEBUG):
        for action in ("judge", "check"):
            try:
                asked = HttpJudge(config)
                if action == "check":
                    asked.check([Sums()])
                else:
                    judge([part(Sums(n=3), tmp_path)], asked, silent)
            except PlumblineError:
                told += traceback.format_exc()
    told += caplog.text + _everything(tmp_path)
    assert "[key]" in told
    assert not [shape for shape in _shapes(CANARY) if shape in told]


@pytest.mark.parametrize("kind", FAULTS)
def test_no_fault_brings_the_key_out(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    server = serve(faults=FaultPlan(1.0, kinds=(kind,), retry_after="0"))
    config = hasty(server.url, key=Secret(CANARY), max_retries=1, timeout_s=0.2)
    told = ""
    with caplog.at_level(logging.DEBUG):
        judge([part(Sums(n=1), tmp_path)], HttpJudge(config), silent)
        try:
            HttpJudge(config).check([Sums()])
        except PlumblineError:
            told = traceback.format_exc()
    told += caplog.text + _everything(tmp_path)
    assert list(tmp_path.rglob("judgments.jsonl"))
    assert told
    assert not [shape for shape in _shapes(CANARY) if shape in told]


def test_an_unexpected_error_in_a_benchmark_shows_no_key(serve: Serve, tmp_path: Path) -> None:
    class Broken(Sums):
        def read_reply(self, request: Any, reply: str) -> Any:
            raise RuntimeError("a fault in the parser")

    server = serve()
    with pytest.raises(RuntimeError, match="a fault in the parser") as error:
        judge(
            [part(Broken(n=3), tmp_path)], HttpJudge(hasty(server.url, key=Secret(CANARY))), silent
        )
    assert CANARY not in "".join(traceback.format_exception(error.value))


SPELLINGS = (
    lambda letter: letter,
    lambda letter: f"%{ord(letter):02x}",
    lambda letter: f"%{ord(letter):02X}",
    lambda letter: f"\\u{ord(letter):04x}",
    lambda letter: f"\\u{ord(letter):04X}",
    lambda letter: "\\" * (letter in '"/') + letter,
)


@given(st.lists(st.sampled_from(SPELLINGS), min_size=len(CANARY), max_size=len(CANARY)))
def test_a_key_is_found_however_it_is_spelled(spellings: list[Callable[[str], str]]) -> None:
    spelled = "".join(spell(letter) for spell, letter in zip(spellings, CANARY, strict=True))
    assert Secret(CANARY).redact(f"the key {spelled} is wrong") == "the key [key] is wrong"


def test_a_reply_that_escapes_the_key_does_not_get_it_written(serve: Serve, tmp_path: Path) -> None:
    key = "sk-canary/4711"
    escaped = says(f"Rating: 1 ({key})").body.replace(b"/", rb"\/").replace(b"s", rb"\u0073")
    server = serve(always(Reaction(body=escaped)))
    judge([part(Sums(n=1), tmp_path)], HttpJudge(hasty(server.url, key=Secret(key))), silent)
    assert "Rating: 1 ([key])" in _everything(tmp_path)


@pytest.mark.parametrize("key", ["", "EMPTY", "token"])
def test_a_placeholder_is_no_secret_and_is_left_in_a_reply(serve: Serve, key: str) -> None:
    server = serve(lambda *_: says("Rating: 1, EMPTY token"))
    config = hasty(server.url, key=Secret(key))
    [judgment] = ask(HttpJudge(config), Sums(n=1, pattern=r"Rating: (\d), .*"))
    assert judgment.raw == "Rating: 1, EMPTY token"


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(PlumblineError, match="API key") as error:
        Secret(key)
    assert key not in str(error.value)


@pytest.mark.parametrize("url", [f"http://me:{CANARY[:6]}@host/v1", "http://host/v1?key=canary"])
def test_an_address_that_holds_a_secret_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(PlumblineError, match="--judge-base-url must hold no name") as error:
        JudgeConfig(base_url=url)
    assert "canary" not in str(error.value)
