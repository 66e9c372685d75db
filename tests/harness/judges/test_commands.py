"""The judge's options, its check before anything is generated, and the oracle as a server.

Run: pytest tests/harness/judges/test_commands.py
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import (
    Judgment,
    JudgmentStatus,
    Message,
    PlumblineError,
    Response,
    ScoreStatus,
)
from benchmarks.registry import open_benchmark
from harness.endpoint.config import OPENAI_URL
from harness.endpoint.server import FaultPlan, error_reaction
from harness.judges.__main__ import main
from harness.judges.base import ORACLE_MODEL, Judge
from harness.judges.batch import BatchJudge
from harness.judges.client import HttpJudge
from harness.judges.options import add_judge_options, make_config, make_judge
from harness.judges.oracle import OracleJudge, pocket_reply
from harness.judges.server import OracleServer
from harness.judging import JudgePart, judge, judgments_of
from harness.scoring import score_items
from harness.store import Log
from tests.harness.conftest import Serve
from tests.harness.judges.servers import always, says
from tests.harness.judges.toy import Sums, hasty, silent

ROOT = Path(__file__).parents[3]


def _arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_judge_options(parser)
    return parser.parse_args(given)


def _make(edition: Any, folder: Path, *given: str) -> Judge:
    cache = () if "--judge-cache" in given else ("--judge-cache", str(folder / "c.sqlite"))
    return make_judge(_arguments(*given, *cache), edition, folder)


def test_the_pocket_edition_is_judged_in_this_process(tmp_path: Path) -> None:
    made = _make("pocket", tmp_path)
    assert isinstance(made, OracleJudge)
    assert made.check([Sums()]) == {ORACLE_MODEL: ORACLE_MODEL}
    with pytest.raises(PlumblineError, match="knows the pocket world only"):
        made.check([Sums(edition="official")])


def test_the_official_edition_asks_each_official_judge(tmp_path: Path) -> None:
    made = _make("official", tmp_path)
    assert isinstance(made, HttpJudge)
    assert made.config.endpoint == OPENAI_URL
    assert made.model_for(Sums(official_judge="gpt-4-0613")) == "gpt-4-0613"
    named = _make("official", tmp_path, "--judge", "gpt-4o")
    assert named.model_for(Sums(official_judge="gpt-4-0613")) == "gpt-4o"


def test_a_pocket_judge_behind_an_endpoint_is_asked_there(tmp_path: Path) -> None:
    made = _make("pocket", tmp_path, "--judge-base-url", "http://127.0.0.1:1/v1/")
    assert isinstance(made, HttpJudge)
    assert made.config.endpoint == "http://127.0.0.1:1/v1"
    assert made.model_for(Sums()) == ORACLE_MODEL
    assert isinstance(_make("official", tmp_path, "--judge-batch"), BatchJudge)


def test_options_that_the_oracle_cannot_heed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlumblineError, match="--judge-batch: the pocket edition is judged in this"):
        _make("pocket", tmp_path, "--judge-batch")


def test_the_options_reach_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k-1\n")
    config = make_config(
        _arguments(
            *("--judge", "m", "--judge-base-url", "http://h:1/v1", "--judge-concurrency", "3"),
            *("--judge-key-file", str(tmp_path / "key"), "--max-cost", "2.5", "--judge-rpm", "60"),
            *("--judge-tpm", "9000", "--judge-timeout", "7", "--judge-retries", "0"),
            *("--judge-cache", "none", "--judge-any-model"),
        )
    )
    assert (config.model, config.endpoint, config.concurrency) == ("m", "http://h:1/v1", 3)
    assert (config.requests_per_minute, config.tokens_per_minute) == (60, 9000)
    assert (config.timeout_s, config.max_retries, config.max_cost_usd) == (7, 0, 2.5)
    assert (config.cache, config.any_model, config.key.reveal()) == (None, True, "k-1")


def test_a_key_for_openai_is_sent_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for-openai")
    assert make_config(_arguments()).key.reveal() == "for-openai"
    assert make_config(_arguments("--judge-base-url", "http://h/v1")).key.reveal() == ""
    monkeypatch.setenv("PLUMBLINE_JUDGE_KEY", "for-the-judge")
    assert make_config(_arguments()).key.reveal() == "for-the-judge"
    assert (
        make_config(_arguments("--judge-base-url", "http://h/v1")).key.reveal() == "for-the-judge"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read: No such file"), (b" \n", "is empty"), (b"\xff", "text")],
)
def test_a_key_file_without_a_key_is_named(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(PlumblineError, match=reason):
        make_config(_arguments("--judge-key-file", str(tmp_path / "key")))


@pytest.mark.parametrize(
    "given",
    [
        ("--judge-concurrency", "0"),
        ("--max-cost", "-1"),
        ("--judge-rpm", "nan"),
        ("--judge-retries", "-1"),
    ],
)
def test_amounts_that_cannot_be_are_refused(given: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        _arguments(*given)


def test_the_check_tells_which_model_replies(serve: Serve) -> None:
    server = serve(always(says("ready", model="gpt-4o-2024-08-06")))
    asked = HttpJudge(hasty(server.url, model="gpt-4o"))
    assert asked.check([Sums(), Sums(n=3)]) == {"gpt-4o": "gpt-4o-2024-08-06"}
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "reaction",
    [
        says("", finish_reason="length"),
        says(None, refusal="no"),
        says(None, finish_reason="content_filter"),
    ],
)
def test_a_judge_that_will_not_chat_is_there_all_the_same(serve: Serve, reaction: Any) -> None:
    server = serve(always(reaction))
    assert HttpJudge(hasty(server.url)).check([Sums()]) == {ORACLE_MODEL: ORACLE_MODEL}


@pytest.mark.parametrize(
    ("reaction", "told"),
    [
        (error_reaction(401, "bad key", "invalid_api_key"), "refuses the key.*--judge-key-file"),
        (
            error_reaction(404, "no model", "model_not_found"),
            r"not there \(served by this test\).*--judge",
        ),
        (error_reaction(429, "pay first", "insufficient_quota"), "does not work.*pay first"),
        (error_reaction(500, "down", "down"), "does not work.*HTTP 500: down"),
        (says("ready", model="gpt-2"), "gpt-2 replied instead.*--judge gpt-2.*--judge-any-model"),
    ],
)
def test_what_is_wrong_with_a_judge_is_told_with_the_remedy(
    serve: Serve, reaction: Any, told: str
) -> None:
    server = serve(always(reaction))
    with pytest.raises(PlumblineError, match=told):
        HttpJudge(hasty(server.url)).check([Sums()])


def test_a_judge_that_is_not_there_is_named(serve: Serve) -> None:
    server = OracleServer(lambda messages: "")
    server.server_close()
    with pytest.raises(PlumblineError, match=r"cannot be reached: the connection failed.*Start it"):
        HttpJudge(hasty(server.url)).check([Sums()])


def test_the_check_command_prints_the_model(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["check", "--judge-base-url", serve().url, "--judge-cache", "none"]
    assert main([*given, "--judge", ORACLE_MODEL]) == 0
    assert capsys.readouterr().out.endswith(f"replies, as {ORACLE_MODEL}\n")
    assert main([*given, "--judge", "gpt-9"]) == 2
    assert "is not there" in capsys.readouterr().err
    assert main(given) == 2


def test_help_does_not_load_the_client() -> None:
    script = (
        "import sys; from harness.judges.__main__ import make_parser; make_parser().format_help();"
        "import harness.judges.client, harness.judges.batch, harness.judging;"
        "sys.exit('openai' in sys.modules or 'numpy.random._examples' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


@pytest.fixture
def served() -> Iterator[str]:
    """``serve-oracle`` in a process of its own."""
    command = [sys.executable, "-m", "harness.judges", "serve-oracle"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        # a shell that runs the tests in the background has them ignore the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130


def test_the_oracle_is_served(served: str) -> None:
    assert HttpJudge(hasty(served)).check([Sums()]) == {ORACLE_MODEL: ORACLE_MODEL}
    with urllib.request.urlopen(f"{served}/models") as reply:
        assert [model["id"] for model in json.load(reply)["data"]] == [ORACLE_MODEL]


def test_the_same_seed_fails_the_same_calls() -> None:
    def drawn(seed: int, bodies: Sequence[bytes]) -> list[str]:
        plan = FaultPlan(0.3, seed)
        return [plan.draw(body) for body in bodies]

    bodies = [str(n).encode() for n in range(400)]
    assert drawn(1, bodies) == drawn(1, bodies) != drawn(2, bodies)
    assert 80 < sum(1 for fault in drawn(1, bodies) if fault) < 160
    assert drawn(1, [b"x"] * 50).count("") not in (0, 50)  # a call that is repeated may succeed


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": "pocket-oracle"}', b'{"model": "x"}'])
def test_the_server_refuses_what_it_cannot_read(serve: Serve, body: bytes) -> None:
    request = urllib.request.Request(f"{serve().url}/chat/completions", data=body)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert error.value.code in (400, 404)
    assert json.load(error.value)["error"]["message"]


def test_two_servers_cannot_share_a_port(serve: Serve) -> None:
    taken = serve().server_address[1]
    with pytest.raises(PlumblineError, match=f"cannot listen on 127.0.0.1:{taken}"):
        OracleServer(lambda messages: "", port=int(taken))


def test_the_oracle_in_process_and_behind_http_say_the_same(serve: Serve) -> None:
    server = serve(reply=lambda messages: f"{len(messages)} turns")
    reaction = server.answer(
        {"model": ORACLE_MODEL, "messages": [{"role": "user", "content": "hi"}]}
    )
    text = json.loads(reaction.body)["choices"][0]["message"]["content"]
    assert text == server.reply([Message("user", "hi")]) == "1 turns"


def _pocket_part(folder: Path) -> JudgePart:
    """Pocket MMHal-Bench, answered by its reference answers and by its questions in turn."""
    benchmark = open_benchmark("mmhal", "pocket")
    answers = {
        item.id: [
            Response(item.id, "", item.question if n % 2 else str(item.reference["gt_answer"]))
        ]
        for n, item in enumerate(benchmark.items())
    }
    log = Log(folder / "judgments.jsonl", Judgment)
    return JudgePart(benchmark, benchmark.items(), answers, log)


def test_a_pocket_benchmark_is_judged_alike_in_process_and_over_a_faulty_network(
    serve: Serve, tmp_path: Path
) -> None:
    near, far = _pocket_part(tmp_path / "near"), _pocket_part(tmp_path / "far")
    oracle = OracleJudge()
    n_items = judge([near], oracle, silent)
    kinds = ("rate_limit", "error", "empty", "html", "half_json", "wrong_model", "broken")
    faults = FaultPlan(0.3, kinds=kinds, retry_after="0.01")
    server = serve(reply=pocket_reply(), faults=faults)
    assert judge([far], HttpJudge(hasty(server.url)), silent) == n_items == len(near.items)
    for name, judgment in near.log.records.items():
        other = far.log.records[name]
        assert judgment.status is JudgmentStatus.OK
        assert (other.status, other.raw, other.values) == (
            judgment.status,
            judgment.raw,
            judgment.values,
        )
    rows = score_items(far.benchmark, far.items, far.responses, judgments_of(far))
    assert {row.status for row in rows} == {ScoreStatus.SCORED}
    assert sum(1 for call in server.calls if call.fault) > 20
