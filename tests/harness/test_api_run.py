"""``harness.run`` on a model behind an endpoint: resumed, refused, killed, failed, and kept apart.

Run: pytest tests/harness/test_api_run.py
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pocket import CHECKPOINT
from harness import run
from harness.endpoint.server import (
    FaultPlan,
    Reaction,
    completion,
    error_reaction,
    json_reaction,
)
from harness.engines.openai_engine import AHEAD
from tests.harness.conftest import Serve
from tests.harness.engines.servers import MODEL, Parrot, is_check, unless_check
from tests.harness.engines.tiny_models import build_llama
from tests.harness.judges.servers import Script, always, in_turn, says

N_ITEMS = 20
POPE = ("--edition", "pocket", "--suite", "pope", "--limit", str(N_ITEMS))
CANARY = "sk-canary-0123456789"


class Oracle(Parrot):
    """Says yes or no as chance has it, but always the same to the same question."""

    def answer(self, body: Mapping[str, Any]) -> Reaction:
        if unknown := self.unknown(body):
            return unknown
        digest = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
        return json_reaction(completion(MODEL, ("Yes", "No")[digest[0] % 2], 7))


def command(url: str, out: Path, *more: str) -> list[str]:
    return ["--ckpt", f"api:{MODEL}", "--base-url", url, *POPE, "--out", str(out), *more]


def records(out: Path) -> list[dict[str, Any]]:
    log = out / "pope" / "responses.jsonl"
    return [json.loads(line) for line in log.open(encoding="utf-8")] if log.exists() else []


def metrics(out: Path) -> str:
    return (out / "pope" / "metrics.json").read_text(encoding="utf-8")


def statuses(out: Path) -> Counter[str]:
    return Counter(record["status"] for record in records(out))


def info(out: Path) -> Any:
    return json.loads((out / "run.json").read_text(encoding="utf-8"))


def everything(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode("utf-8", errors="replace") for path in files)


@pytest.fixture(autouse=True)
def _patient_but_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses worth mentioning between calls."""
    monkeypatch.setattr("harness.endpoint.calls.pause_s", lambda *_: 0.001)


def test_a_run_says_who_answered_and_resumes_without_a_question(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(kind=Oracle)
    assert run.main(command(server.url, tmp_path, "--engine", "openai")) == 0
    assert "api:parrot" in capsys.readouterr().out
    assert info(tmp_path)["identity"]["checkpoint"] == {
        "engine": "openai",
        "model": MODEL,
        "endpoint": server.url,
        "replies_as": MODEL,
    }
    first = info(tmp_path)["sessions"][0]
    assert first["engine"]["n_calls"] == len(server.bodies)
    assert first["engine"]["n_new_tokens"] > 0
    assert statuses(tmp_path) == {"ok": 3 * N_ITEMS}
    n_asked = len(server.bodies)
    assert run.main(command(server.url, tmp_path)) == 0
    assert len(server.bodies) == n_asked + 1  # only the check
    assert "nothing was asked" in capsys.readouterr().err


def test_later_stages_name_the_model_that_answered(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(command(serve(kind=Oracle).url, tmp_path, "--stages", "generate")) == 0
    for named in ((), ("--ckpt", "somewhere/else")):
        arguments = (*named, *POPE, "--out", str(tmp_path), "--stages", "score")
        assert run.main(arguments) == 0
        assert capsys.readouterr().out.startswith("api:parrot ")
        assert info(tmp_path)["sessions"][-1]["ckpt"] == "api:parrot"


def test_names_from_outside_are_shown_as_they_are(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(kind=Oracle)
    server.model = "parrot[/b]\ufffd"
    renamed = says("Yes", model="parrot[/b]")
    server.react = lambda *_: renamed  # type: ignore[method-assign]
    out = tmp_path / "run[/i]"
    ckpt = ("--ckpt", "api:parrot[/b]\udcff")
    assert run.main([*command(server.url, out), *ckpt]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("api:parrot[/b]?")
    assert str(out) in shown


def test_faults_that_pass_leave_no_trace_in_the_answers(serve: Serve, tmp_path: Path) -> None:
    kinds = ("rate_limit", "error", "empty", "html", "half_json", "broken")
    faults = FaultPlan(0.3, kinds=kinds, retry_after="0.01")
    assert run.main(command(serve(kind=Oracle).url, tmp_path / "calm")) == 0
    server = serve(kind=Oracle, faults=faults)
    assert run.main(command(server.url, tmp_path / "storm")) == 0
    assert sum(1 for call in server.calls if call.fault) > 10
    assert metrics(tmp_path / "storm") == metrics(tmp_path / "calm")
    assert info(tmp_path / "storm")["sessions"][0]["engine"]["n_faults"] > 10


BROKEN = [
    ("refused", says(None, MODEL, refusal="I would rather not."), "I would rather not."),
    ("filtered", says("No", MODEL, "content_filter"), "content filter"),
    ("too long", error_reaction(400, "the context is full", "context_length"), "context is full"),
    ("down", error_reaction(500, "down", "down"), "HTTP 500: down"),
    ("half", Reaction(body=b'{"choices": [{"mess'), "no JSON"),
    ("no choices", json_reaction({"model": MODEL, "choices": []}), "empty reply"),
    ("another model", says("Yes", "parrot-mini"), "parrot-mini replied instead of parrot"),
]


@pytest.mark.parametrize(
    ("reaction", "reason"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_what_fails_is_no_answer_and_is_asked_again(
    serve: Serve,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    reaction: Reaction,
    reason: str,
) -> None:
    server = serve(unless_check(in_turn([None, None, reaction])), kind=Oracle)
    hasty = ("--retries", "0", "--concurrency", "1")
    assert run.main(command(server.url, tmp_path / "run", *hasty)) == 1
    told = capsys.readouterr()
    assert "generation_error); the same command asks the failed ones again" in told.out
    failed = [record for record in records(tmp_path / "run") if record["status"] != "ok"]
    assert failed
    assert all(reason in record["error"] and record["text"] == "" for record in failed)
    n_asked = len(server.bodies)
    assert run.main(command(server.url, tmp_path / "run", *hasty)) == 0
    assert len(server.bodies) == n_asked + 2  # the check, and the one that failed
    assert run.main(command(serve(kind=Oracle).url, tmp_path / "calm")) == 0
    assert metrics(tmp_path / "run") == metrics(tmp_path / "calm")


@pytest.mark.parametrize(
    "text",
    ["", " \n", "\ud83d", "\x00\x1b[31mYes", '"}\n{"request_id": "x"}', "yes " * 50_000, "[red]No"],
)
def test_hostile_answers_are_kept_and_scored(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    server = serve(unless_check(always(says(text, model=MODEL))), kind=Oracle)
    assert run.main(command(server.url, tmp_path)) == 0
    assert {record["text"] for record in records(tmp_path)} == {text}
    assert f"{3 * N_ITEMS}/{3 * N_ITEMS}" in capsys.readouterr().out


def test_a_server_that_changed_is_refused_on_resume(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed = always(says("Yes", model="parrot-2026-01-01"))
    first = serve(kind=Oracle)
    assert run.main(command(first.url, tmp_path)) == 0
    first.react = lambda body, raw, headers: renamed(0, body, headers)  # type: ignore[method-assign, assignment, return-value]
    before = records(tmp_path)
    assert run.main(command(first.url, tmp_path)) == 2
    assert '"parrot" in the folder, "parrot-2026-01-01" now' in capsys.readouterr().err
    assert run.main(command(serve(kind=Oracle).url, tmp_path)) == 2
    assert "endpoint: " in capsys.readouterr().err
    assert records(tmp_path) == before


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (always(error_reaction(401, "wrong key", "invalid_api_key")), "--key-env"),
        (always(error_reaction(404, "no such model", "model_not_found")), "api:MODEL"),
        (always(Reaction(body=b"<html>Hello</html>")), "no JSON: <html>Hello"),
        (
            lambda number, body, headers: (
                None
                if isinstance(body["messages"][0]["content"], str)
                else error_reaction(400, "this model has no eyes", "invalid_request_error")
            ),
            "this model has no eyes. If it reads text only",
        ),
    ],
)
def test_an_endpoint_that_will_not_do_ends_the_run_at_once(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str], script: Script, told: str
) -> None:
    server = serve(script, kind=Oracle)
    assert run.main(command(server.url, tmp_path)) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert len(server.bodies) <= 3
    assert records(tmp_path) == []


def test_a_key_that_expires_stops_the_run_and_the_next_session_goes_on(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expired = error_reaction(401, "the key has expired", "invalid_api_key")
    server = serve(lambda number, *_: expired if 10 <= number < 14 else None, kind=Oracle)
    one_by_one = ("--concurrency", "1")
    assert run.main(command(server.url, tmp_path, *one_by_one)) == 2
    assert "cannot go on: HTTP 401: the key has expired" in capsys.readouterr().err
    n_kept = len(records(tmp_path))
    assert n_kept >= 9
    server.bodies.clear()
    server.bodies += [{}] * 14
    assert run.main(command(server.url, tmp_path, *one_by_one)) == 0
    assert statuses(tmp_path) == {"ok": 3 * N_ITEMS}
    assert len(records(tmp_path)) == 3 * N_ITEMS


def test_nobody_there_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closed = Oracle()
    closed.server_close()
    assert run.main(command(closed.url, tmp_path)) == 2
    assert f"parrot at {closed.url} cannot be reached" in capsys.readouterr().err


def test_the_key_goes_to_the_server_and_nowhere_else(
    serve: Serve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys: list[str] = []

    def script(number: int, body: Any, headers: Mapping[str, str]) -> Reaction | None:
        keys.append(headers["authorization"])
        return None if is_check(body) else says(f"Yes, {keys[-1]}", model=MODEL)

    server = serve(script, kind=Oracle)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai-only")
    monkeypatch.setenv("MY_KEY", CANARY)
    assert run.main(command(server.url, tmp_path / "a", "--key-env", "MY_KEY")) == 0
    assert set(keys) == {f"Bearer {CANARY}"}
    keys.clear()
    assert run.main(command(server.url, tmp_path / "b")) == 0
    assert not any("sk-" in key for key in keys)
    printed = capsys.readouterr()
    assert CANARY not in printed.out + printed.err + everything(tmp_path)
    assert "[key]" in everything(tmp_path / "a")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--ckpt", "api:"], "names no model"),
        (["--ckpt", "api:m", "--engine", "transformers"], "leave --engine transformers out"),
        (["--engine", "openai"], "--ckpt api:MODEL"),
        (["--ckpt", str(CHECKPOINT), "--engine", "openai"], "--ckpt api:MODEL"),
        (["--base-url", "http://127.0.0.1:1/v1"], "--base-url is for a model"),
        (["--ckpt", str(CHECKPOINT), "--rpm", "5"], "--rpm is for a model"),
        (["--ckpt", "api:m", "--dtype", "bfloat16"], "--dtype says how"),
        (["--ckpt", "api:m", "--batch-size", "8"], "--batch-size says how"),
        (["--ckpt", "api:m", "--trust-remote-code"], "--trust-remote-code says how"),
        (["--ckpt", "api:m", "--base-url", "127.0.0.1:8000"], "http://HOST:PORT/v1"),
        (["--ckpt", "api:m", "--base-url", "http://[::1"], "http://HOST:PORT/v1"),
        (["--ckpt", "api:m", "--base-url", "http://h:99999/v1"], "http://HOST:PORT/v1"),
        (["--ckpt", "api:m", "--base-url", "http://h:port/v1"], "http://HOST:PORT/v1"),
        (["--ckpt", "api:m", "--base-url", "http://h/v1\n"], "http://HOST:PORT/v1"),
        (["--ckpt", "api:m", "--base-url", "http://\u2025/v1"], "http://HOST:PORT/v1"),
        (["--ckpt", "api:m", "--base-url", "http://me:secret@h:port/v1"], "http://HOST:PORT/v1"),
        (["--ckpt", "api:m", "--base-url", "http://me:secret@h/v1"], "no name, password"),
        (["--ckpt", "api:m", "--base-url", "http://h/v1#secret"], "no name, password"),
        (["--ckpt", "api:m", "--key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
    ],
)
def test_wrong_combinations_end_with_2_and_name_the_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: Sequence[str], told: str
) -> None:
    assert run.main([*given, *POPE, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "secret" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "given", [("--concurrency", "0"), ("--rpm", "-1"), ("--timeout", "nan"), ("--retries", "-1")]
)
def test_amounts_that_cannot_be_are_refused(given: Sequence[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--ckpt", "api:m", *given])


def test_a_dry_run_asks_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(command("http://127.0.0.1:1/v1", tmp_path / "run", "--dry-run")) == 0
    assert f"{3 * N_ITEMS}" in capsys.readouterr().out


def test_a_text_model_is_not_asked_about_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "text-model"
    folder.mkdir()
    build_llama(folder)
    assert run.main(["--ckpt", str(folder), *POPE, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "text-model reads text only, and there are pictures in POPE (pocket)" in error
    assert "--suite language" in error
    assert not (tmp_path / "run" / "run.json").exists()


def killed_at(arguments: Sequence[str], out: Path, n_answers: int) -> bool:
    """Run in a process of its own, and kill it once so many answers are on disk."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.run", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and len(records_so_far(out)) < n_answers:
            time.sleep(0.005)
        return process.poll() is None
    finally:
        process.kill()
        process.wait()


def records_so_far(out: Path) -> Sequence[bytes]:
    log = out / "pope" / "responses.jsonl"
    return log.read_bytes().splitlines() if log.exists() else ()


def test_a_killed_run_asks_again_only_what_was_under_way(serve: Serve, tmp_path: Path) -> None:
    server = serve(kind=Oracle, latency_s=0.05)
    concurrency = 4
    more = ("--limit", "60", "--concurrency", str(concurrency))
    arguments = command(server.url, tmp_path / "run", *more)
    n_kills = sum(killed_at(arguments, tmp_path / "run", at) for at in (20, 70))
    assert n_kills >= 1
    assert run.main(arguments) == 0
    asked = Counter(
        json.dumps(body, sort_keys=True) for body in server.bodies if not is_check(body)
    )
    found = records(tmp_path / "run")
    assert len(found) == len({record["request_id"] for record in found}) == 3 * 60
    assert sum(asked.values()) <= len(asked) + n_kills * (1 + AHEAD) * concurrency
    assert run.main(command(serve(kind=Oracle).url, tmp_path / "calm", *more)) == 0
    assert metrics(tmp_path / "run") == metrics(tmp_path / "calm")
