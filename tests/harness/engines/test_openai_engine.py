"""A model behind an endpoint: what it is sent, what comes of its replies, and of its faults.

Run: pytest tests/harness/engines/test_openai_engine.py
"""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.base import FilePicture, Message, PlumblineError, Request, Response, ResponseStatus
from harness.endpoint.config import Secret
from harness.endpoint.server import (
    FAULTS,
    FaultPlan,
    Reaction,
    completion,
    error_reaction,
    json_reaction,
)
from harness.engines.base import Engine
from harness.engines.openai_engine import AHEAD, OpenAIEngine
from tests.harness.conftest import Serve
from tests.harness.engines.asking import (
    SQUARE,
    TALL,
    WIDE,
    BrokenPicture,
    assistant,
    flat,
    request,
    user,
)
from tests.harness.engines.servers import (
    MODEL,
    Parrot,
    asked_in,
    connected,
    hasty,
    is_check,
    unless_check,
)
from tests.harness.judges.servers import CountingHandler, Script, always, in_turn, says

CANARY = 'canary-"4711"/+key'


def asked(n: int) -> list[Request]:
    return [request(f"q{number}", user(f"question {number}")) for number in range(n)]


def answers(engine: OpenAIEngine, requests: list[Request]) -> dict[str, Response]:
    """Responses by request id; every request must have exactly one."""
    found = flat(engine.generate(requests))
    assert sorted(response.request_id for response in found) == sorted(r.id for r in requests)
    return {response.request_id: response for response in found}


def one(serve: Serve, reaction: Reaction, **changes: Any) -> Response:
    """What comes of one request if the server always reacts like that."""
    engine = connected(serve(unless_check(always(reaction)), kind=Parrot).url, **changes)
    return answers(engine, asked(1))["q0"]


# --- what is sent, and what comes of it ---


def test_it_is_an_engine(serve: Serve) -> None:
    engine: Engine = connected(serve(kind=Parrot).url)
    assert isinstance(engine, Engine)
    assert engine.takes_pictures


def test_answers_come_as_the_server_gives_them(serve: Serve) -> None:
    engine = connected(serve(kind=Parrot).url)
    spaced = request("s", user(" a \n"))
    found = answers(engine, [*asked(30), spaced])
    assert found["q7"] == Response(
        "q7", asked(8)[7].key, "7 noitseuq", n_prompt_tokens=10, n_new_tokens=10
    )
    assert found["s"].text == "\n a "
    assert engine.identity == {
        "engine": "openai",
        "model": MODEL,
        "endpoint": engine.config.endpoint,
        "replies_as": MODEL,
    }
    check = len("Reply with the word: ready")
    n_tokens = check + 4 + sum(len(f"question {n}") for n in range(30))
    stats = engine.stats
    assert (stats.n_requests, stats.n_unique, stats.n_calls, stats.n_faults) == (31, 31, 32, 0)
    assert (stats.n_prefill_tokens, stats.n_new_tokens) == (n_tokens, n_tokens)
    assert engine.versions["openai"]


def test_identical_requests_are_asked_once(serve: Serve) -> None:
    server = serve(kind=Parrot)
    first = request("a", user("who?"))
    found = answers(connected(server.url), [first, replace(first, id="b"), replace(first, id="c")])
    assert {response.text for response in found.values()} == {"?ohw"}
    assert len(server.bodies) == 2  # the check, and one


def test_the_decoding_is_sent_and_nothing_else(serve: Serve) -> None:
    server = serve(kind=Parrot)
    greedy = request("g", Message("system", "Be brief."), user("a"), assistant("b"), user("c"))
    sampled = request("s", user("d"), n_new=7, temperature=0.7, top_p=0.9, stop=("\n", "###"))
    seeded = request("t", user("e"), temperature=0.2, seed=3)
    answers(connected(server.url, concurrency=1), [greedy, sampled, seeded])
    _, *bodies = server.bodies
    assert bodies == [
        {
            "model": MODEL,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"},
            ],
            "max_tokens": 10,
            "temperature": 0.0,
        },
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": "d"}],
            "max_tokens": 7,
            "temperature": 0.7,
            "top_p": 0.9,
            "stop": ["\n", "###"],
            "seed": 0,
        },
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": "e"}],
            "max_tokens": 10,
            "temperature": 0.2,
            "seed": 3,
        },
    ]


def test_pictures_stand_before_the_text_pixel_by_pixel(serve: Serve) -> None:
    server = serve(kind=Parrot)
    answers(connected(server.url), [request("two", user("which?", TALL, WIDE))])
    first, second, text = server.bodies[-1]["messages"][0]["content"]
    for part, picture in ((first, TALL), (second, WIDE)):
        encoded = part["image_url"]["url"].removeprefix("data:image/png;base64,")
        sent = Image.open(io.BytesIO(base64.b64decode(encoded)))
        assert sent.tobytes() == picture.load().tobytes()
    assert text == {"type": "text", "text": "which?"}


@dataclass(frozen=True)
class Watched:
    """A picture that counts how often it is looked at."""

    name: str
    looks: list[str] = field(default_factory=list, compare=False)

    @property
    def digest(self) -> str:
        return self.name

    def load(self) -> Image.Image:
        self.looks.append(self.name)
        return Image.new("RGB", (4, 4))


def test_a_picture_is_encoded_once_for_all_its_questions(serve: Serve) -> None:
    pictures = [Watched(f"p{number}") for number in range(100)]
    requests = [
        request(f"{picture.name}/{n}", user(f"question {n}", picture))
        for n in range(4)
        for picture in pictures
    ]
    answers(connected(serve(kind=Parrot).url), requests)
    assert {len(picture.looks) for picture in pictures} == {1}


def test_pictures_that_are_absent_or_broken_fail_their_requests_only(
    serve: Serve, tmp_path: Path
) -> None:
    found = answers(
        connected(serve(kind=Parrot).url),
        [
            request("absent", user("What?", FilePicture(tmp_path / "absent.png"))),
            request("broken", user("What?", BrokenPicture(9, 8, 8))),
            request("fine", user("What?", SQUARE)),
        ],
    )
    assert found["fine"].status is ResponseStatus.OK
    assert found["absent"].key == ""
    assert "absent.png" in (found["absent"].error or "")
    assert found["broken"].error == "noise-9: the picture cannot be decoded"


def test_calls_run_side_by_side_up_to_the_limit(serve: Serve) -> None:
    server = serve(kind=Parrot, latency_s=0.1, handler=CountingHandler)
    answers(connected(server.url, concurrency=6), asked(30))
    assert server.most_at_a_time == 6


def test_nothing_is_asked_far_ahead_of_the_caller(serve: Serve) -> None:
    server = serve(kind=Parrot)
    taken = 0
    for responses in connected(server.url, concurrency=2).generate(asked(60)):
        time.sleep(0.05)  # the server is given the time to be asked for more than it may
        assert len(server.bodies) <= 1 + taken + AHEAD * 2
        taken += len(responses)
    assert taken == 60


def test_leaving_early_leaves_no_call_behind(serve: Serve) -> None:
    silent = unless_check(lambda number, *_: Reaction(silent_s=60) if number else None)
    answered = connected(serve(silent, kind=Parrot).url).generate(asked(40))
    assert next(answered)
    answered.close()  # type: ignore[attr-defined]
    assert "endpoint" not in {thread.name for thread in threading.enumerate()}


# --- replies of all kinds ---


@pytest.mark.parametrize("content", ["", None])
def test_to_answer_nothing_is_an_answer(serve: Serve, content: str | None) -> None:
    response = one(serve, says(content, model=MODEL))
    assert (response.status, response.text, response.error) == (ResponseStatus.OK, "", None)


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("stop", "stop"), ("length", "length"), ("eos", "stop"), (None, "stop"), (7, "stop")],
)
def test_why_an_answer_ended_is_kept(serve: Serve, reason: Any, kept: str) -> None:
    response = one(serve, says("so it", model=MODEL, finish_reason=reason))
    assert (response.text, response.finish_reason) == ("so it", kept)


@pytest.mark.parametrize(
    ("reaction", "reason"),
    [
        (says(None, MODEL, "content_filter"), "refuses to reply: content filter"),
        (says("How to", MODEL, "content_filter"), "refuses to reply: content filter"),
        (says(None, MODEL, refusal="I will not."), "refuses to reply: I will not."),
        (error_reaction(400, "the prompt is too long", "context_length_exceeded"), "too long"),
        (error_reaction(422, "unprocessable", "x"), "HTTP 422"),
        (Reaction(400, b"[" * 100_000), "HTTP 400: [[["),
    ],
)
def test_a_refusal_is_a_failure_with_its_reason_and_is_not_asked_again(
    serve: Serve, reaction: Reaction, reason: str
) -> None:
    server = serve(unless_check(always(reaction)), kind=Parrot)
    response = answers(connected(server.url), asked(1))["q0"]
    assert response.status is ResponseStatus.GENERATION_ERROR
    assert response.text == ""
    assert reason in (response.error or "")
    assert len(server.bodies) == 2


def _shaped(**changes: Any) -> Reaction:
    return json_reaction({**completion(MODEL, "hi", 1), **changes})


@pytest.mark.parametrize(
    "reaction",
    [
        json_reaction([]),
        json_reaction(None),
        json_reaction({}),
        _shaped(choices=[]),
        _shaped(choices={}),
        _shaped(choices=None),
        _shaped(choices=[None]),
        _shaped(choices=[{"message": None}]),
        _shaped(choices=[{"message": "hi"}]),
        _shaped(choices=[{"message": {"content": 3}}]),
        _shaped(choices=[{"message": {"content": [{"type": "text", "text": "hi"}]}}]),
        _shaped(choices=[{"message": {"content": "half a"}, "finish_reason": "error"}]),
        _shaped(choices=[{"message": {"content": "half a"}, "error": {"code": 502}}]),
        _shaped(error={"message": "provider is down"}),
        Reaction(body=b"\xff\xfe{}"),
        Reaction(body=b'{"choices": [' + b"[" * 100_000),
        Reaction(body=b""),
    ],
)
def test_what_is_no_reply_is_a_failure(serve: Serve, reaction: Reaction) -> None:
    response = one(serve, reaction, max_retries=1)
    assert response.status is ResponseStatus.GENERATION_ERROR
    assert "the last of 2 calls" in (response.error or "")


@pytest.mark.parametrize("charset", ["hex", "idna", "undefined", "utf-16", "latin-1", "nonsense"])
def test_a_reply_is_utf_8_whatever_the_server_calls_it(serve: Serve, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    body = json.dumps(completion(MODEL, "Größe", 1), ensure_ascii=False).encode("utf-8-sig")
    assert one(serve, Reaction(200, body, headers)).text == "Größe"
    assert one(serve, Reaction(400, body, headers)).error


@pytest.mark.parametrize(
    "text",
    [
        "\ud83d alone",
        "nul \x00 and bell \x07",
        '"}]}\n{"request_id": "q1"}\n',
        "\u202ebackwards",
        "</s><|im_end|>",
        "long " * 200_000,
    ],
)
def test_hostile_text_is_kept_as_it_is(serve: Serve, text: str) -> None:
    response = one(serve, says(text, model=MODEL))
    assert (response.status, response.text) == (ResponseStatus.OK, text)
    assert Response.from_json(json.loads(json.dumps(response.to_json()))) == response


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": -1}, {"prompt_tokens": "9"}, 3])
def test_tokens_that_cannot_be_are_not_counted(serve: Serve, usage: Any) -> None:
    response = one(serve, _shaped(usage=usage))
    assert response.text == "hi"
    assert (response.n_prompt_tokens, response.n_new_tokens) == (None, None)


# --- faults ---


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind != "wrong_model"])
def test_a_fault_that_passes_is_overcome(serve: Serve, kind: str) -> None:
    plan = FaultPlan(1.0, kinds=(kind,), retry_after="0.01", hang_s=5.0)
    fault = plan.reaction(kind, _shaped())
    server = serve(unless_check(in_turn([fault, fault])), kind=Parrot)
    engine = connected(server.url, timeout_s=0.5 if kind == "hang" else 30, concurrency=1)
    assert answers(engine, asked(2))["q0"].text == "0 noitseuq"
    assert engine.stats.n_faults == 2


def test_a_fault_that_stays_fails_its_request_only(serve: Serve) -> None:
    def script(number: int, body: Mapping[str, Any], headers: Any) -> Reaction | None:
        down = error_reaction(500, "the server had an error", "server_error")
        return down if asked_in(body).endswith("3") else None

    found = answers(connected(serve(script, kind=Parrot).url, max_retries=2), asked(10))
    assert [id for id, response in found.items() if response.status != "ok"] == ["q3"]
    assert found["q3"].error == ("HTTP 500: the server had an error (the last of 3 calls)")
    assert found["q3"].key == asked(4)[3].key


def test_settings_that_a_model_does_not_take_are_left_out_and_named(serve: Serve) -> None:
    def script(number: int, body: Any, headers: Any) -> Reaction | None:
        for name, code in (("max_tokens", "parameter"), ("seed", "parameter"), ("top_p", "value")):
            if name in body:
                error = {"message": f"no {name}", "code": f"unsupported_{code}", "param": name}
                return json_reaction({"error": error}, 400)
        return None

    server = serve(script, kind=Parrot)
    engine = connected(server.url, max_retries=0)  # to learn is no failure
    wanted = [request(f"{n}", user(f"{n}?"), temperature=0.5, top_p=0.5, seed=n) for n in range(20)]
    assert {response.status for response in answers(engine, wanted).values()} == {"ok"}
    assert server.bodies[-1].keys() == {"model", "messages", "max_completion_tokens", "temperature"}
    assert engine.stats.not_sent == ["seed", "top_p"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "invalid_api_key"), (429, "insufficient_quota"), (404, "model_not_found")],
)
def test_what_no_other_call_can_overcome_stops_it_and_keeps_what_came(
    serve: Serve, status: int, code: str
) -> None:
    refused = error_reaction(status, "no more", code)
    server = serve(lambda number, *_: refused if number > 5 else None, kind=Parrot)
    came: list[Response] = []

    def collect() -> None:
        for responses in connected(server.url, concurrency=2).generate(asked(30)):
            came.extend(responses)

    with pytest.raises(PlumblineError, match=rf"cannot go on: HTTP {status}: no more.*goes on"):
        collect()
    assert len(came) == 5
    assert {response.status for response in came} == {"ok"}
    assert len(server.bodies) <= 8


def test_an_endpoint_that_is_gone_is_given_up(serve: Serve) -> None:
    down = unless_check(always(error_reaction(500, "down", "down")))
    server = serve(down, kind=Parrot)
    with pytest.raises(PlumblineError, match="cannot go on: HTTP 500: down"):
        flat(connected(server.url, max_retries=0, concurrency=4).generate(asked(200)))
    assert len(server.bodies) < 30


def test_what_is_forbidden_fails_its_request_only_unless_everything_is(serve: Serve) -> None:
    flagged = error_reaction(403, "the prompt was flagged", "moderation")
    server = serve(unless_check(lambda n, *_: flagged if n % 2 else None), kind=Parrot)
    found = answers(connected(server.url, concurrency=1), asked(60))
    assert [response.status for response in found.values()].count(ResponseStatus.OK) == 30
    assert found["q1"].error == "HTTP 403: the prompt was flagged"
    server = serve(unless_check(always(flagged)), kind=Parrot)
    with pytest.raises(PlumblineError, match="cannot go on: HTTP 403: the prompt was flagged"):
        flat(connected(server.url, concurrency=1).generate(asked(60)))


def test_a_model_that_replies_in_anothers_place_is_named(serve: Serve) -> None:
    other = says("boo", model="parrot-mini")
    server = serve(unless_check(lambda n, *_: other if n == 1 else None), kind=Parrot)
    found = answers(connected(server.url, concurrency=1), asked(4))
    assert found["q1"].error == "parrot-mini replied instead of parrot"
    assert [response.status for response in found.values()].count(ResponseStatus.OK) == 3


def test_a_model_that_was_replaced_for_good_stops_it(serve: Serve) -> None:
    other = says("boo", model="parrot-mini")
    server = serve(unless_check(lambda n, *_: other if n > 4 else None), kind=Parrot)
    with pytest.raises(PlumblineError, match="cannot go on: parrot-mini replied instead of parrot"):
        flat(connected(server.url, concurrency=1).generate(asked(90)))
    assert len(server.bodies) < 40


# --- the first call ---


def test_the_name_that_the_server_returns_is_part_of_the_identity(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(always(says("ready", model="gpt-4o-2024-08-06")), kind=Parrot)
    engine = OpenAIEngine.connect("gpt-4o", hasty(server.url))
    assert engine.identity["model"] == "gpt-4o"
    assert engine.identity["replies_as"] == "gpt-4o-2024-08-06"
    assert not caplog.records
    OpenAIEngine.connect("some-alias", hasty(server.url))
    assert "some-alias at http" in caplog.text
    assert "replies as gpt-4o-2024-08-06" in caplog.text


@pytest.mark.parametrize(
    "reaction",
    [
        says("", model=MODEL, finish_reason="length"),
        says(None, model=MODEL, refusal="no"),
        says(None, model=MODEL, finish_reason="content_filter"),
    ],
)
def test_a_model_that_will_not_chat_is_there_all_the_same(serve: Serve, reaction: Reaction) -> None:
    assert connected(serve(always(reaction), kind=Parrot).url).replies_as == MODEL


def _blind(number: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reaction | None:
    if isinstance(body["messages"][0]["content"], list):
        return error_reaction(400, "this model reads text only", "invalid_request_error")
    return None


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (always(error_reaction(401, "bad key", "invalid")), "refuses the key.*--key-env"),
        (
            always(error_reaction(404, "gone", "x")),
            r"not there.*served there \(parrot\).*--base-url",
        ),
        (always(error_reaction(429, "pay first", "insufficient_quota")), "not work.*pay first"),
        (always(error_reaction(500, "down", "down")), "does not work: HTTP 500: down"),
        (always(json_reaction({})), "cannot be reached: the server sent an empty reply"),
        (always(Reaction(body=b"<html>")), "sent no JSON: <html>.*--base-url"),
        (_blind, "question about a picture: HTTP 400: this model reads.*--suite language"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_told_with_the_remedy(
    serve: Serve, script: Script, told: str
) -> None:
    server = serve(script, kind=Parrot)
    with pytest.raises(PlumblineError, match=told):
        OpenAIEngine.connect(MODEL, hasty(server.url), with_picture=True)


def test_a_model_without_eyes_may_be_asked_without_pictures(serve: Serve) -> None:
    engine = connected(serve(_blind, kind=Parrot).url)
    assert answers(engine, asked(1))["q0"].text == "0 noitseuq"


def test_a_server_that_is_not_there_is_named() -> None:
    server = Parrot()
    server.server_close()
    with pytest.raises(PlumblineError, match=r"cannot be reached: the connection failed.*Start it"):
        connected(server.url)


# --- the key ---


@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
def test_a_server_that_repeats_the_key_does_not_bring_it_out(
    serve: Serve, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    def script(number: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reaction | None:
        key = headers["authorization"]
        assert CANARY in key
        if is_check(body) and status == 200:
            return says("ready", model=MODEL)
        if status == 200:
            return says(f"your key is {key}", model=MODEL)
        return error_reaction(status, f"bad: {key}", "bad", {"X-Echo": key, "Retry-After": "0"})

    told = ""
    with caplog.at_level(logging.DEBUG):
        try:
            engine = connected(serve(script, kind=Parrot).url, key=Secret(CANARY), max_retries=1)
            told += repr(engine.config) + repr(engine.identity)
            told += json.dumps([r.to_json() for r in flat(engine.generate(asked(1)))])
        except PlumblineError:
            told += traceback.format_exc()
    told += caplog.text
    assert "[key]" in told
    for shape in (CANARY, json.dumps(CANARY)[1:-1], json.dumps(json.dumps(CANARY)[1:-1])[1:-1]):
        assert shape not in told
