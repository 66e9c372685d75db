"""A reply is paid for once: over runs, processes and sudden deaths; and never is another's served.

Run: pytest tests/harness/judges/test_cache.py
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.base import Decoding, JudgmentStatus
from harness.endpoint.replies import Reply
from harness.endpoint.server import FaultPlan
from harness.judges.base import ORACLE_MODEL, Question, Trial
from harness.judges.cache import CacheError, ReplyCache
from harness.judges.client import HttpJudge
from tests.harness.conftest import Serve
from tests.harness.judges.servers import always, says
from tests.harness.judges.toy import Sums, ask, expected, hasty, questions, ratings

ROOT = Path(__file__).parents[3]
WORKER = ROOT / "tests" / "harness" / "judges" / "worker.py"


def test_what_was_asked_is_not_asked_again(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    first = ask(HttpJudge(hasty(server.url, cache=tmp_path / "c.sqlite")), Sums())
    n_calls = len(server.bodies)
    judge = HttpJudge(hasty(server.url, cache=tmp_path / "c.sqlite"))
    second = ask(judge, Sums())
    assert len(server.bodies) == n_calls == 46
    assert [j.values for j in second] == [j.values for j in first]
    assert [j.model for j in second] == [ORACLE_MODEL] * 40
    assert all(j.meta["cached"] and j.meta["n_calls"] == 0 for j in second)
    assert not any(j.meta["cached"] for j in first)
    assert second[3].meta["system_fingerprint"] == "fp_plumbline"
    assert (judge.stats.n_cached, judge.stats.n_calls) == (46, 0)


def test_an_unreadable_reply_is_not_served_for_ever(serve: Serve, tmp_path: Path) -> None:
    """The same question at temperature 0: the cache tells its first attempt from its second."""

    class Same(Sums):
        def judge_again(self, request, attempt):  # type: ignore[no-untyped-def]
            return request

    server = serve(lambda n, *_: says("Hm." if n == 0 else "Rating: 4"))
    judge = HttpJudge(hasty(server.url, cache=tmp_path / "c.sqlite"))
    [judgment] = ask(judge, Same(n=1))
    assert [a["raw"] for a in judgment.meta["attempts"]] == ["Hm.", "Rating: 4"]
    [again] = ask(judge, Same(n=1))
    assert again.values == {"rating": 4}
    assert len(server.bodies) == 2


def test_failures_are_not_stored(serve: Serve, tmp_path: Path) -> None:
    kinds = ("error", "empty", "html", "half_json", "wrong_model", "broken")
    config = {"cache": tmp_path / "c.sqlite", "max_retries": 0}
    server = serve(faults=FaultPlan(1.0, kinds=kinds))
    failed = ask(HttpJudge(hasty(server.url, **config)), Sums(n=12))
    assert {j.status for j in failed} == {JudgmentStatus.JUDGE_ERROR}
    with sqlite3.connect(tmp_path / "c.sqlite") as database:
        assert database.execute("SELECT count(*) FROM replies").fetchone() == (0,)
    server.faults = None
    assert ratings({j.item_id: j for j in ask(HttpJudge(hasty(server.url, **config)), Sums(n=12))})


def test_a_strict_run_does_not_take_what_a_lenient_one_stored(serve: Serve, tmp_path: Path) -> None:
    server = serve(always(says("Rating: 1", model="another")))
    cache = tmp_path / "c.sqlite"
    [taken] = ask(HttpJudge(hasty(server.url, cache=cache, any_model=True)), Sums(n=1))
    assert taken.model == "another"
    [refused] = ask(HttpJudge(hasty(server.url, cache=cache, max_retries=0)), Sums(n=1))
    assert refused.status is JudgmentStatus.JUDGE_ERROR


def test_the_key_tells_apart_whatever_may_change_the_reply() -> None:
    [question] = questions(Sums(n=1))
    warm = replace(question.request, decoding=Decoding(16, temperature=0.2))
    longer = replace(question.request, decoding=Decoding(17))
    other = replace(question.request, messages=(replace(question.request.messages[0], text="?"),))
    asked = [question, *(Question(r, question.benchmark) for r in (warm, longer, other))]
    asked.append(replace(question, sample=1))
    keys = [Trial(q, "m", {}).cache_key("u") for q in asked]
    keys += [Trial(question, "n", {}).cache_key("u"), Trial(question, "m", {}).cache_key("v")]
    trial = Trial(question, "m", {})
    trial.take(Reply("unreadable", "m"))
    keys.append(trial.cache_key("u"))
    assert len(set(keys)) == len(keys) == 8
    renamed = replace(question, request=replace(question.request, id="x", item_id="y"))
    assert Trial(renamed, "m", {}).cache_key("u") == keys[0]


def test_two_processes_write_at_once_and_serve_each_other(serve: Serve, tmp_path: Path) -> None:
    server = serve(latency_s=0.01)
    cache = tmp_path / "c.sqlite"
    command = [sys.executable, str(WORKER), server.url, str(cache)]
    workers = [subprocess.Popen([*command, str(tmp_path / str(n))], cwd=ROOT) for n in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    n_calls = len(server.bodies)
    assert subprocess.run([*command, str(tmp_path / "3")], cwd=ROOT, timeout=120).returncode == 0
    assert len(server.bodies) == n_calls
    with sqlite3.connect(cache) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM replies").fetchone() == (46,)
    assert Counter(call.status for call in server.calls) == {200: n_calls}
    assert len({call.body_sha256 for call in server.calls}) == 46


def test_a_new_file_that_another_process_has_locked_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.2, other.execute, ["COMMIT"])
    release.start()
    cache = ReplyCache(path)
    release.join()
    other.close()
    cache.put("k", Reply("text", "m"))
    assert cache.get("k") is not None


def test_of_two_replies_to_one_key_the_first_stays(tmp_path: Path) -> None:
    one, two = ReplyCache(tmp_path / "c.sqlite"), ReplyCache(tmp_path / "c.sqlite")
    one.put("k", Reply("first \ud83d", "m", not_sent=("seed",)))
    two.put("k", Reply("second", "m"))
    found = two.get("k")
    assert found == Reply("first \ud83d", "m", not_sent=("seed",), n_calls=0, cost_usd=0.0)
    assert found is not None
    assert found.cached
    assert one.get("another") is None


def _broken_header(path: Path) -> None:
    path.write_bytes(b"this is not a database at all, only some text" * 100)


def _broken_pages(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


def _broken_row(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE replies SET reply = '{\"text\": 3'")
    database.close()


@pytest.mark.parametrize("damage", [_broken_header, _broken_pages, _broken_row])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "c.sqlite"
    cache = ReplyCache(path)
    for number in range(200):
        cache.put(str(number), Reply("x" * 100, "m"))
    cache.close()
    damage(path)
    with pytest.raises(CacheError, match=r"c\.sqlite: the judge cache is damaged .*Move it away"):
        ReplyCache(path).get("7")


def test_damage_found_on_the_way_stops_the_judge_and_keeps_what_came(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve()
    judge = HttpJudge(hasty(server.url, cache=tmp_path / "c.sqlite", concurrency=1))
    came = judge.ask(questions(Sums()))
    next(came)
    with sqlite3.connect(tmp_path / "c.sqlite") as database:
        database.execute("DROP TABLE replies")
    database.close()
    with pytest.raises(CacheError, match="no such table"):
        list(came)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    ReplyCache(tmp_path / "c.sqlite").close()
    with sqlite3.connect(tmp_path / "c.sqlite") as database:
        database.execute("PRAGMA user_version=9")
    database.close()
    with pytest.raises(CacheError, match="layout 9, this version writes 1"):
        ReplyCache(tmp_path / "c.sqlite")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"cannot be used .*name another file by --judge-cache"):
        ReplyCache(tmp_path / "file" / "c.sqlite")


def test_without_a_cache_everything_is_asked(serve: Serve) -> None:
    server = serve()
    for _ in range(2):
        assert ratings(
            {j.item_id: j for j in ask(HttpJudge(hasty(server.url)), Sums(n=3))}
        ) == expected(3)
    assert len(server.bodies) == 6
