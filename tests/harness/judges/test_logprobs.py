"""Judges that are asked for the log-probabilities of their reply's first token.

Run: pytest tests/harness/judges/test_logprobs.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import logprobs
from benchmarks.base import Decoding, JudgeRequest, Judgment, JudgmentStatus, Message, Response
from benchmarks.base import Item as ItemOfBenchmark
from harness.endpoint.server import Reaction, error_reaction, json_reaction
from harness.judges.batch import BatchJudge
from harness.judges.client import HttpJudge
from harness.judges.oracle import OracleJudge
from tests.harness.conftest import Serve
from tests.harness.judges.batch_server import BatchServer
from tests.harness.judges.servers import ScriptedServer, always, says
from tests.harness.judges.toy import Sums, ask, hasty

CANDIDATES = [("m", -0.25), ("M", -1.5), ("The", -9.0)]


@dataclass(frozen=True)
class WeighedSums(Sums):
    """Has its sums compared instead of rated: by the share of "m"."""

    name: ClassVar[str] = "weighed_sums"
    n: int = 3
    max_attempts: int = 1
    top_logprobs: int = 2

    def judge_requests(
        self, item: ItemOfBenchmark, responses: Sequence[Response]
    ) -> Sequence[JudgeRequest]:
        [request] = super().judge_requests(item, responses)
        decoding = Decoding(1, temperature=1.0)
        return [replace(request, decoding=decoding, top_logprobs=self.top_logprobs)]

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        weighed = logprobs.unpack(reply)
        return {"m": dict(weighed.top_logprobs).get("m") if weighed else None}


def weigh(messages: Sequence[Message]) -> str:
    return logprobs.pack("m", CANDIDATES)


def _one(url: str) -> Judgment:
    [judgment] = ask(HttpJudge(hasty(url)), WeighedSums(n=1))
    return judgment


def _server(serve: Serve, **options: Any) -> ScriptedServer:
    return serve(reply=weigh, **options)


def test_the_candidates_come_with_the_text(serve: Serve) -> None:
    server = _server(serve)
    judgment = _one(server.url)
    assert judgment.status is JudgmentStatus.OK
    assert judgment.values == {"m": -0.25}
    assert json.loads(judgment.raw) == {"text": "m", "top_logprobs": [["m", -0.25], ["M", -1.5]]}
    [body] = server.bodies
    assert (body["logprobs"], body["top_logprobs"], body["max_tokens"]) == (True, 2, 1)


def test_over_http_and_in_process_the_judgments_agree(serve: Serve) -> None:
    http = ask(HttpJudge(hasty(_server(serve).url)), WeighedSums())
    own = ask(OracleJudge(weigh), WeighedSums())
    assert [judgment.values for judgment in http] == [judgment.values for judgment in own]


def test_who_does_not_ask_for_them_gets_the_text(serve: Serve) -> None:
    server = _server(serve)
    [judgment] = ask(HttpJudge(hasty(server.url)), WeighedSums(n=1, top_logprobs=0))
    assert judgment.raw == "m"
    assert "logprobs" not in server.bodies[0]


def test_a_cached_reply_has_them_too(serve: Serve, tmp_path: Path) -> None:
    config = hasty(_server(serve).url, cache=tmp_path / "c.sqlite")
    first, second = (ask(HttpJudge(config), WeighedSums(n=1))[0] for _ in range(2))
    assert second.meta["cached"]
    assert (second.raw, second.values) == (first.raw, first.values)


def test_a_reply_that_was_cut_or_is_empty_counts_by_its_candidates(serve: Serve) -> None:
    def cut(number: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reaction:
        return _choice({"content": _content()}, text="", finish_reason="length")

    judgment = _one(serve(cut).url)
    assert (judgment.status, judgment.values) == (JudgmentStatus.OK, {"m": -0.25})


def _content() -> list[dict[str, Any]]:
    candidates = [{"token": token, "logprob": logprob} for token, logprob in CANDIDATES]
    return [{"token": "m", "logprob": -0.25, "top_logprobs": candidates}]


def _choice(told: Any, text: str = "m", finish_reason: str = "stop") -> Reaction:
    body = json.loads(says(text, finish_reason=finish_reason).body)
    body["choices"][0]["logprobs"] = told
    return json_reaction(body)


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        {"content": [{"token": "m"}]},
        {"content": [{"top_logprobs": [{"token": "m"}]}]},
        {"content": [{"top_logprobs": [{"token": 5, "logprob": -1.0}]}]},
        {"content": [{"top_logprobs": [{"token": "m", "logprob": -(10**400)}]}]},
        {"content": [{"top_logprobs": ["m"]}]},
        ["m"],
    ],
)
def test_a_server_that_leaves_them_out_is_a_judge_error(serve: Serve, told: Any) -> None:
    server = serve(always(_choice(told)))
    judgment = _one(server.url)
    assert judgment.status is JudgmentStatus.JUDGE_ERROR
    assert "without log-probabilities" in (judgment.error or "")
    assert "judge must offer log-probabilities" in (judgment.error or "")
    assert len(server.bodies) == 1, "asking again would bring the same"


def test_a_reply_without_them_is_not_stored(serve: Serve, tmp_path: Path) -> None:
    server = _server(serve, script=None)
    server._script = lambda number, body, headers: says("m") if number == 0 else None
    config = hasty(server.url, cache=tmp_path / "c.sqlite")
    assert ask(HttpJudge(config), WeighedSums(n=1))[0].status is JudgmentStatus.JUDGE_ERROR
    assert ask(HttpJudge(config), WeighedSums(n=1))[0].status is JudgmentStatus.OK


def test_a_server_that_refuses_them_is_a_judge_error(serve: Serve) -> None:
    refusal = error_reaction(400, "logprobs are not supported with this model", "unsupported")
    judgment = _one(serve(always(refusal)).url)
    assert judgment.status is JudgmentStatus.JUDGE_ERROR
    assert "HTTP 400" in (judgment.error or "")
    assert "judge must offer log-probabilities" in (judgment.error or "")


def test_batches_bring_them_beside_other_replies(serve: Serve, tmp_path: Path) -> None:
    server = serve(reply=weigh, kind=BatchServer)
    assert isinstance(server, BatchServer)
    state = tmp_path / "judge_batches.json"

    def judge() -> BatchJudge:
        return BatchJudge(hasty(server.url, cache=tmp_path / "c.sqlite"), state)

    assert [j.values for j in ask(judge(), WeighedSums())] == [{"m": -0.25}] * 3
    assert [entry["top_logprobs"] for entry in json.loads(state.read_text())] == [2]
    plain = ask(judge(), WeighedSums(n=2, top_logprobs=0))
    assert [judgment.raw for judgment in plain] == ["m", "m"]
    server._script = lambda number, body, headers: says("m")
    [judgment] = ask(judge(), WeighedSums(n=4))[3:]
    assert judgment.status is JudgmentStatus.JUDGE_ERROR
    assert "judge must offer log-probabilities" in (judgment.error or "")


def test_the_number_of_candidates_belongs_to_the_key() -> None:
    plain = JudgeRequest("1", "1", (Message("user", "m or M?"),), Decoding(1))
    keys = {plain.key, replace(plain, top_logprobs=2).key, replace(plain, top_logprobs=5).key}
    assert len(keys) == 3


floats = st.floats(allow_nan=False)


@given(st.text(), st.lists(st.tuples(st.text(), floats)))
def test_what_is_packed_comes_out_again(text: str, pairs: list[tuple[str, float]]) -> None:
    assert logprobs.unpack(logprobs.pack(text, pairs)) == (text, pairs)


@given(st.text() | st.recursive(st.none() | floats | st.text(), st.lists).map(json.dumps))
def test_other_texts_do_not_unpack(text: str) -> None:
    assert logprobs.unpack(text) is None


@pytest.mark.parametrize(
    "packed",
    [
        '{"text": "m"}',
        '{"text": "m", "top_logprobs": {"m": 1}}',
        '{"text": 5, "top_logprobs": []}',
        '{"text": "m", "top_logprobs": [["m", true]]}',
        '{"text": "m", "top_logprobs": [["m", 0.5, 1]]}',
        "[" * 100_000,
    ],
)
def test_damaged_packs_do_not_unpack(packed: str) -> None:
    assert logprobs.unpack(packed) is None


def test_whole_numbers_and_infinities_are_log_probabilities() -> None:
    packed = '{"text": "m", "top_logprobs": [["m", 0], ["M", -Infinity]]}'
    assert logprobs.unpack(packed) == ("m", [("m", 0.0), ("M", -math.inf)])
