"""A checkpoint behind HTTP answers as it does in process; what it cannot do, it says.

Run: pytest tests/harness/engines/test_serve.py
"""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import PlumblineError, Request, Response
from benchmarks.pocket import CHECKPOINT
from benchmarks.registry import open_benchmark
from harness.endpoint.server import serving
from harness.engines.base import EngineStats
from harness.engines.openai_engine import OpenAIEngine
from harness.engines.serve import EngineServer, main
from harness.engines.transformers_engine import TransformersEngine
from harness.judges.client import HttpJudge
from tests.harness.engines.asking import (
    SQUARE,
    TALL,
    WIDE,
    assistant,
    flat,
    request,
    text_requests,
    user,
)
from tests.harness.engines.servers import hasty
from tests.harness.judges.toy import Sums
from tests.harness.judges.toy import hasty as judge_config

ROOT = Path(__file__).parents[3]
NAME = "served"

ServeEngine = Callable[[Any], str]
Checkpoints = Callable[[str], Path]


@pytest.fixture
def serve_engine() -> Iterator[ServeEngine]:
    """Puts an engine behind HTTP; returns its URL."""
    stops = []

    def start(engine: Any) -> str:
        server = EngineServer(engine, NAME)
        stops.append(serving(server))
        return server.url

    yield start
    for stop in stops:
        stop()


def connected(url: str, **changes: Any) -> OpenAIEngine:
    return OpenAIEngine.connect(NAME, hasty(url), **changes)


def answers(engine: Any, requests: Sequence[Request]) -> dict[str, Response]:
    return {response.request_id: response for response in flat(engine.generate(requests))}


def load(folder: Path) -> TransformersEngine:
    return TransformersEngine.load(str(folder), device="cpu")


@pytest.mark.parametrize(("name", "limit"), [("pope", 60), ("mmhal", 40)])
def test_the_pocket_checkpoint_answers_as_in_process(
    serve_engine: ServeEngine, name: str, limit: int
) -> None:
    """Whole Responses are compared: texts, tokens, why they ended."""
    benchmark = open_benchmark(name, "pocket")
    found = [benchmark.request(item) for item in benchmark.items()[:limit]]
    requests = [request for request in found if request is not None]
    engine = load(CHECKPOINT)
    over_http = connected(serve_engine(engine), with_picture=True)
    assert answers(over_http, requests) == answers(load(CHECKPOINT), requests)
    assert over_http.stats.n_faults == 0


def test_text_turns_and_chance_are_those_of_the_process(
    serve_engine: ServeEngine, checkpoint: Checkpoints
) -> None:
    """A sampled answer's chance comes from what is asked and how: it is the same over HTTP."""
    requests = [
        *text_requests(),
        request("turns", user("Who?"), assistant("Me."), user("And now?")),
        *(request(f"s{n}", user("Tell."), temperature=0.9, top_p=0.8, seed=n) for n in range(4)),
        request("stopping", user("Why?"), n_new=30, stop=("e", "a")),
    ]
    engine = load(checkpoint("llama"))
    found = answers(connected(serve_engine(engine)), requests)
    assert found == answers(load(checkpoint("llama")), requests)
    assert len({found[f"s{n}"].text for n in range(4)}) == 4


def test_pictures_reach_the_model(serve_engine: ServeEngine, checkpoint: Checkpoints) -> None:
    requests = [request(p.name, user("What is this?", p)) for p in (TALL, WIDE, SQUARE)]
    engine = load(checkpoint("llava"))
    found = answers(connected(serve_engine(engine)), requests)
    assert found == answers(load(checkpoint("llava")), requests)
    assert len({response.text for response in found.values()}) == 3


def test_what_a_checkpoint_cannot_answer_fails_with_its_reason(
    serve_engine: ServeEngine, checkpoint: Checkpoints
) -> None:
    engine = load(checkpoint("llama"))
    url = serve_engine(engine)
    long = request("long", user("very long " * 200))
    found = answers(connected(url), [long, *text_requests()])
    assert "the checkpoint's context has 1,024" in (found.pop("long").error or "")
    assert {response.status for response in found.values()} == {"ok"}
    with pytest.raises(PlumblineError, match=r"HTTP 400: .*text-only model \(llama\)"):
        connected(url, with_picture=True)


@dataclass
class Slow:
    """An engine that answers a batch only when it is told to."""

    identity: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    stats: EngineStats = field(default_factory=EngineStats)
    takes_pictures: bool = False
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    may_end: threading.Event = field(default_factory=threading.Event)
    sizes: list[int] = field(default_factory=list)

    def generate(self, requests: Sequence[Request]) -> Iterator[list[Response]]:
        self.sizes.append(len(requests))
        self.began.release()
        self.may_end.wait(60)
        for asked in requests:
            if "die" in asked.messages[0].text:
                raise RuntimeError("the device is gone")
            yield [Response(asked.id, asked.key, "ready")]


def test_calls_that_wait_are_answered_in_one_batch(serve_engine: ServeEngine) -> None:
    engine = Slow()
    url = serve_engine(engine)
    engine.may_end.set()
    over_http = connected(url)
    engine.may_end.clear()
    found: list[Response] = []

    def ask() -> None:
        found.extend(flat(over_http.generate([request(f"{n}", user(f"{n}")) for n in range(12)])))

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(2):  # the check, and the first batch
        assert engine.began.acquire(timeout=60)
    engine.may_end.set()
    asking.join()
    assert len(found) == 12
    assert sum(engine.sizes) == 13
    assert len(engine.sizes) < 13


def test_an_engine_that_ends_is_told_to_each_client_and_the_server_stays(
    serve_engine: ServeEngine,
) -> None:
    engine = Slow()
    engine.may_end.set()
    over_http = OpenAIEngine.connect(NAME, hasty(serve_engine(engine), max_retries=0))
    found = answers(over_http, [request("a", user("die"))])
    assert "HTTP 500: RuntimeError: the device is gone" in (found["a"].error or "")
    assert answers(over_http, [request("b", user("live"))])["b"].text == "ready"


def test_a_served_model_can_be_the_judge(serve_engine: ServeEngine) -> None:
    engine = Slow()
    engine.may_end.set()
    judge = HttpJudge(judge_config(serve_engine(engine), model=NAME))
    assert judge.check([Sums()]) == {NAME: NAME}


def post(url: str, body: bytes) -> int:
    call = urllib.request.Request(f"{url}/chat/completions", data=body)
    try:
        with urllib.request.urlopen(call) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_server_refuses_what_it_cannot_read(serve_engine: ServeEngine) -> None:
    engine = Slow()
    engine.may_end.set()
    url = serve_engine(engine)
    asked = b'"messages": [{"role": "user", "content": "hi"}]'
    assert post(url, b'{"model": "served", ' + asked + b"}") == 200
    assert post(url, b'{"model": "another", ' + asked + b"}") == 404
    assert post(url, b'{"model": "served", "stream": true, ' + asked + b"}") == 400
    assert post(url, b'{"model": "served"}') == 400
    assert post(url, b"{") == 400


@pytest.mark.slow
def test_the_command_prints_where_it_serves_what() -> None:
    command = [sys.executable, "-m", "harness.engines.serve", "--name", "pocket"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        url, ckpt = process.stdout.readline().strip(), process.stdout.readline().strip()
        assert ckpt == "api:pocket"
        engine = OpenAIEngine.connect("pocket", hasty(url))
        assert engine.identity["replies_as"] == "pocket"
    finally:
        process.kill()
        process.wait()


def test_a_checkpoint_that_is_not_there_ends_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--ckpt", "no/such/folder"]) == 2
    assert "no/such/folder" in capsys.readouterr().err
