"""Turns that do not depend on each other: asked in one round, resumed one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchmarks.base import (
    Benchmark,
    Decoding,
    Item,
    Judgment,
    Message,
    MetricSpec,
    Request,
    Response,
    ResponseStatus,
    ScoreRow,
    ScoreStatus,
)
from harness import run
from harness.engines.base import EngineStats
from harness.generate import Part, conversation, generate, open_requests, turns_of
from harness.store import Log, MixedRunError

N_TURNS = 3


@dataclass(frozen=True)
class Dependent(Benchmark):
    """Two items of three turns."""

    name: ClassVar[str] = "turns"
    title: ClassVar[str] = "Turns"
    paper: ClassVar[str] = ""

    def items(self) -> Sequence[Item]:
        return [Item(name, name, name) for name in ("a", "b")]

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        number = len(earlier) + 1
        if number > N_TURNS:
            return None
        name = item.id if number == 1 else f"{item.id}#{number}"
        return Request(name, item.id, (Message("user", name),), Decoding(8))

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        return ScoreRow(item.id, item.group, item.split, ScoreStatus.SCORED)

    def metric_specs(self) -> Sequence[MetricSpec]:
        return ()


@dataclass(frozen=True)
class Independent(Dependent):
    independent_turns: ClassVar[bool] = True


class Recorder:
    """An engine that answers with the prompt, and fails on some prompts.

    Attributes:
        rounds: the request ids of each call.
    """

    identity: Mapping[str, Any] = {"model": "recorder"}
    versions: Mapping[str, str] = {}
    takes_pictures = True

    def __init__(self, failing: Sequence[str] = (), dies_at: str = "") -> None:
        self.stats = EngineStats()
        self.rounds: list[list[str]] = []
        self._failing, self._dies_at = failing, dies_at

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Response]]:
        self.rounds.append([request.id for request in requests])
        for request in requests:
            if request.id == self._dies_at:
                raise KeyboardInterrupt
            if request.id in self._failing:
                yield [Response.failed(request.id, request.key, "no memory")]
            else:
                yield [Response(request.id, request.key, request.messages[0].text)]


Open = Callable[[Benchmark], Part]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """A part whose answers are in one file; opening it again is a new session."""

    def part(benchmark: Benchmark) -> Part:
        log = Log(tmp_path / "responses.jsonl", Response)
        return Part(benchmark, benchmark.items(), log)

    return part


def told(done: int, total: int) -> None:
    """Nobody looks at the progress."""


def test_independent_turns_are_asked_in_one_round(opened: Open) -> None:
    engine, part = Recorder(), opened(Independent())
    assert generate(engine, [part], told) == 6
    assert engine.rounds == [["a", "a#2", "a#3", "b", "b#2", "b#3"]]
    assert [turn.text for turn in turns_of(part)["b"]] == ["b", "b#2", "b#3"]


def test_dependent_turns_are_asked_one_after_the_other(opened: Open) -> None:
    engine, part = Recorder(), opened(Dependent())
    assert generate(engine, [part], told) == 6
    assert engine.rounds == [["a", "b"], ["a#2", "b#2"], ["a#3", "b#3"]]


def test_a_failed_turn_is_asked_again_alone(opened: Open) -> None:
    first = opened(Independent())
    assert generate(Recorder(failing=["a#2"]), [first], told) == 6
    turns = turns_of(first)["a"]
    assert [turn.status for turn in turns] == [
        ResponseStatus.OK,
        ResponseStatus.GENERATION_ERROR,
        ResponseStatus.OK,
    ]
    assert turns[1].error == "no memory"
    engine, second = Recorder(), opened(Independent())
    assert generate(engine, [second], told) == 1
    assert engine.rounds == [["a#2"]]
    assert open_requests(second) == []


def test_a_killed_run_asks_only_what_is_missing(opened: Open) -> None:
    with pytest.raises(KeyboardInterrupt):
        generate(Recorder(dies_at="a#3"), [opened(Independent())], told)
    engine, part = Recorder(), opened(Independent())
    assert generate(engine, [part], told) == 4
    assert engine.rounds == [["a#3", "b", "b#2", "b#3"]]


def test_an_answer_to_another_prompt_is_refused_in_any_turn(opened: Open) -> None:
    part = opened(Independent())
    part.log.append([Response("a#2", "another key", "x")])
    with pytest.raises(MixedRunError, match="the answer to a#2 was given to another prompt"):
        open_requests(part)


@pytest.mark.parametrize(
    ("benchmark", "answered", "texts"),
    [
        (Dependent(), ["a", "a#3"], ["a"]),
        (Dependent(), ["a#2"], []),
        (Independent(), ["a", "a#3"], ["a", "", "a#3"]),
        (Independent(), ["a#2"], ["", "a#2", ""]),
        (Independent(), [], []),
    ],
)
def test_turns_keep_their_places(
    benchmark: Benchmark, answered: list[str], texts: list[str]
) -> None:
    item = benchmark.items()[0]
    turns = conversation(
        lambda earlier: benchmark.request(item, earlier),
        {name: Response(name, "", name) for name in answered},
        independent=benchmark.independent_turns,
    )
    assert [turn.text for turn in turns] == texts
    assert [turn.status is ResponseStatus.OK for turn in turns] == [bool(text) for text in texts]


def test_all_passes_of_a_question_share_one_vision_pass(tmp_path: Path) -> None:
    """On the embedded checkpoint, and again after a kill in the middle of a question."""
    command = ["--suite", "mmbench", "--limit", "10", "--out", str(tmp_path / "run")]
    assert run.main(command) == 0
    folder = tmp_path / "run" / "mmbench"
    stats = _last_session(tmp_path / "run")["engine"]
    assert (stats["n_unique"], stats["n_vision_passes"]) == (40, 10)
    metrics = (folder / "metrics.json").read_text()
    lines = (folder / "responses.jsonl").read_text().splitlines(keepends=True)
    (folder / "responses.jsonl").write_text("".join(lines[:18]) + lines[18][:20])
    assert run.main(command) == 0
    stats = _last_session(tmp_path / "run")["engine"]
    assert stats["n_requests"] == 22
    assert (folder / "metrics.json").read_text() == metrics
    records = [json.loads(line) for line in (folder / "responses.jsonl").open()]
    assert len({record["request_id"] for record in records}) == len(records) == 40


def _last_session(out: Path) -> Mapping[str, Any]:
    session: Mapping[str, Any] = json.loads((out / "run.json").read_text())["sessions"][-1]
    return session
