"""Whatever a judge's server does, a call ends in a status; what may pass is tried again, and
nothing is a score.

Run: pytest tests/harness/judges/test_faults.py
"""

from __future__ import annotations

import email.utils
import logging
import time
from typing import Any

import pytest

from benchmarks.base import Judgment, JudgmentStatus
from harness.endpoint.server import FaultPlan, Reaction, error_reaction, json_reaction
from harness.judges.base import ORACLE_MODEL, JudgeStoppedError
from harness.judges.client import HttpJudge
from tests.harness.conftest import Serve
from tests.harness.judges.servers import TricklingHandler, always, in_turn, says
from tests.harness.judges.toy import Sums, ask, expected, hasty, questions, ratings

ONE = Sums(n=1)

REASONS = {
    "rate_limit": "HTTP 429: too many requests",
    "error": "HTTP 500: the server had an error",
    "empty": "empty reply",
    "html": "sent no JSON: <html><body>Bad gateway",
    "half_json": "sent no JSON: {",
    "wrong_model": "some-other-model replied instead of pocket-oracle",
    "broken": "the connection failed",
    "hang": "no reply within 0.5 s",
}


def _one(url: str, **changes: Any) -> Judgment:
    [judgment] = ask(HttpJudge(hasty(url, **changes)), ONE)
    return judgment


@pytest.mark.parametrize("kind", REASONS)
def test_a_fault_that_passes_is_overcome(serve: Serve, kind: str) -> None:
    plan = FaultPlan(1.0, kinds=(kind,), retry_after="0.01")
    good = json_reaction({"model": ORACLE_MODEL})
    server = serve(in_turn([plan.reaction(kind, good)]))
    judgment = _one(server.url, timeout_s=0.5 if kind == "hang" else 30)
    assert judgment.status is JudgmentStatus.OK
    assert judgment.values == {"rating": 0}
    assert judgment.meta["n_calls"] == 2
    assert len(server.bodies) == 2


@pytest.mark.parametrize("kind", REASONS)
def test_a_fault_that_stays_is_a_status_with_its_reason(serve: Serve, kind: str) -> None:
    plan = FaultPlan(1.0, kinds=(kind,), retry_after="0.01")
    server = serve(faults=plan)
    judgment = _one(server.url, max_retries=2, timeout_s=0.5 if kind == "hang" else 30)
    assert judgment.status is JudgmentStatus.JUDGE_ERROR
    assert REASONS[kind] in (judgment.error or "")
    assert "the last of 3 calls" in (judgment.error or "")
    assert judgment.values == {}
    assert judgment.key
    assert not judgment.meta["cached"]
    assert len(server.bodies) == 3


def test_what_the_server_sent_instead_is_kept(serve: Serve) -> None:
    server = serve(faults=FaultPlan(1.0, kinds=("html",)))
    judgment = _one(server.url, max_retries=0)
    assert judgment.raw == "<html><body>Bad gateway</body></html>"
    assert judgment.meta["attempts"][0]["raw"] == judgment.raw


def test_a_reply_that_trickles_in_is_given_up_in_time(serve: Serve) -> None:
    server = serve(handler=TricklingHandler)
    began = time.monotonic()
    judgment = _one(server.url, max_retries=0, timeout_s=0.4)
    assert "no reply within 0.4 s" in (judgment.error or "")
    assert time.monotonic() - began < 100


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_honoured(serve: Serve, status: int) -> None:
    server = serve(in_turn([error_reaction(status, "wait", "busy", {"Retry-After": "1"})]))
    began = time.monotonic()
    assert _one(server.url).status is JudgmentStatus.OK
    assert 1.0 <= time.monotonic() - began < 100


def test_retry_after_as_a_date_is_honoured(serve: Serve) -> None:
    date = email.utils.formatdate(time.time() + 2, usegmt=True)
    server = serve(in_turn([error_reaction(503, "wait", "busy", {"Retry-After": date})]))
    began = time.monotonic()
    assert _one(server.url).status is JudgmentStatus.OK
    assert 0.9 <= time.monotonic() - began < 100


def test_one_refusal_makes_everyone_wait(serve: Serve) -> None:
    refused = error_reaction(429, "wait", "busy", {"Retry-After": "0.6"})
    server = serve(lambda number, *_: refused if number == 0 else None, latency_s=0.05)
    ask(HttpJudge(hasty(server.url, concurrency=4)), Sums(n=12))
    began = sorted(call.began for call in server.calls)
    told = next(call.ended for call in server.calls if call.status == 429)
    assert not [moment for moment in began if told + 0.05 < moment < told + 0.55]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(serve: Serve) -> None:
    server = serve(always(error_reaction(429, "wait", "busy", {"Retry-After": "3600"})))
    judgment = _one(server.url)
    assert judgment.status is JudgmentStatus.JUDGE_ERROR
    assert "asks to wait 3600 s" in (judgment.error or "")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("reaction", "reason"),
    [
        (says(None, finish_reason="content_filter"), "refuses to reply: content filter"),
        (says("Rati", finish_reason="content_filter"), "refuses to reply: content filter"),
        (says(None, refusal="I will not rate this."), "refuses to reply: I will not rate this."),
        (says("", finish_reason="length"), "used up its token limit"),
        (error_reaction(400, "the prompt is too long", "context_length_exceeded"), "HTTP 400"),
    ],
)
def test_what_asking_again_will_not_change_is_asked_once(
    serve: Serve, reaction: Reaction, reason: str
) -> None:
    server = serve(always(reaction))
    judgment = _one(server.url)
    assert judgment.status is JudgmentStatus.JUDGE_ERROR
    assert reason in (judgment.error or "")
    assert len(server.bodies) == 1


def test_an_error_inside_a_good_status_is_a_fault(serve: Serve) -> None:
    server = serve(always(json_reaction({"error": {"message": "provider is down"}})))
    judgment = _one(server.url, max_retries=1)
    assert judgment.status is JudgmentStatus.JUDGE_ERROR
    assert "provider is down" in (judgment.error or "")


@pytest.mark.parametrize(
    "body",
    [[], None, {"choices": [None]}, {"choices": [{"message": {"content": 3}}]}, {"choices": {}}],
)
def test_json_of_another_shape_is_a_fault(serve: Serve, body: Any) -> None:
    server = serve(always(json_reaction(body)))
    assert _one(server.url, max_retries=0).status is JudgmentStatus.JUDGE_ERROR


def test_a_cut_reply_counts_if_it_can_be_read(serve: Serve) -> None:
    """MM-Vet's protocol allows three tokens: a good "0.5" ends by length."""
    server = serve(always(says("Rating: 5", finish_reason="length")))
    judgment = _one(server.url)
    assert (judgment.status, judgment.values) == (JudgmentStatus.OK, {"rating": 5})
    assert judgment.meta["finish_reason"] == "length"


def test_a_cut_reply_that_cannot_be_read_says_so(serve: Serve) -> None:
    server = serve(always(says("The answer is quite", finish_reason="length")))
    judgment = _one(server.url)
    assert judgment.status is JudgmentStatus.UNPARSED
    assert judgment.error == "the reply cannot be read (attempt 2 of 2); it was cut at 16 tokens"
    assert len(server.bodies) == 2


def test_an_unreadable_reply_is_asked_again_as_the_protocol_says(serve: Serve) -> None:
    server = serve()
    judgments = ask(HttpJudge(hasty(server.url)), Sums())
    assert ratings({j.item_id: j for j in judgments}) == expected(40)
    chatty = judgments[3]
    assert [a["raw"] for a in chatty.meta["attempts"]] == ["What a fine answer!", "Rating: 3"]
    assert [a["temperature"] for a in chatty.meta["attempts"]] == [0.0, 0.5]
    assert chatty.raw == "Rating: 3"
    assert chatty.meta["decoding"]["temperature"] == 0.5
    assert len(server.bodies) == 46  # 40 items, and six of them (3, 10, … 38) twice


def test_an_alias_may_reply_by_its_dated_name(serve: Serve) -> None:
    server = serve(always(says("Rating: 1", model="gpt-4o-2024-08-06")))
    judgment = _one(server.url, model="gpt-4o")
    assert judgment.status is JudgmentStatus.OK
    assert judgment.model == "gpt-4o-2024-08-06"
    assert judgment.meta["judge"] == "gpt-4o"


def test_another_model_is_taken_only_on_request_and_named(serve: Serve) -> None:
    server = serve(always(says("Rating: 1", model="gpt-4o-mini")))
    assert _one(server.url, model="gpt-4o", max_retries=0).status is JudgmentStatus.JUDGE_ERROR
    judgment = _one(server.url, model="gpt-4o", any_model=True)
    assert (judgment.status, judgment.model) == (JudgmentStatus.OK, "gpt-4o-mini")


@pytest.mark.parametrize(
    ("status", "code"), [(401, "invalid_api_key"), (429, "insufficient_quota"), (404, "not_found")]
)
def test_what_no_other_call_can_overcome_stops_the_judge_and_keeps_what_came(
    serve: Serve, status: int, code: str
) -> None:
    refused = error_reaction(status, "no more", code)
    server = serve(lambda number, *_: refused if number >= 5 else None)
    judge = HttpJudge(hasty(server.url, concurrency=2))
    came: list[Judgment] = []

    def collect() -> None:
        for batch in judge.ask(questions(Sums(n=20))):
            came.extend(judgment for _, judgment in batch)

    with pytest.raises(JudgeStoppedError, match=f"HTTP {status}: no more") as stopped:
        collect()
    assert "the same command goes on." in str(stopped.value)
    assert [j.status for j in came].count(JudgmentStatus.OK) >= 3
    assert len(server.bodies) <= 7


def test_a_judge_that_is_gone_is_given_up(serve: Serve) -> None:
    server = serve(always(error_reaction(500, "down", "down")))
    judge = HttpJudge(hasty(server.url, max_retries=0, concurrency=4))
    with pytest.raises(JudgeStoppedError, match="cannot go on: HTTP 500: down"):
        ask(judge, Sums(n=200))
    assert len(server.bodies) < 30


def test_settings_that_a_model_does_not_take_are_left_out_and_named(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def script(number: int, body: Any, headers: Any) -> Reaction | None:
        for name, code in (("max_tokens", "parameter"), ("temperature", "value")):
            if name in body:
                error = {"message": f"no {name}", "code": f"unsupported_{code}", "param": name}
                return json_reaction({"error": error}, 400)
        return None

    server = serve(script)
    with caplog.at_level(logging.WARNING):
        judgments = ask(HttpJudge(hasty(server.url)), Sums(n=20))
    assert all(j.status is JudgmentStatus.OK for j in judgments)
    assert server.bodies[-1]["max_completion_tokens"] == 16
    assert judgments[0].meta["not_sent"] == ["temperature"]
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1
