"""Several answers to each prompt, judged by the oracle, a model over HTTP or a function; the best of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.base import Message, PlumblineError, Request, Response
from benchmarks.pocket import preferences as pocket_preferences
from harness.endpoint.server import Reaction, serving
from harness.store import MixedRunError, RunFolder
from tests.harness.judges.servers import ScriptedServer, says
from tests.trainers.sampling_cases import SayingEngine, judge_options, pocket_pairs
from trainers.pairs import Preference
from trainers.preferences import read_preferences
from trainers.sampling.__main__ import main, work_folder
from trainers.sampling.annotators import Annotator, open_annotator
from trainers.sampling.answers import Draws, Sampled, problems_of, reach, reasons_of, sample
from trainers.sampling.choosing import best_answers, rated_answers, scored_pairs
from trainers.sampling.rounds import ranked_two

QUIET = Console(quiet=True)
MODEL = "some-judge"
Serve = Callable[[Callable[[str], str]], str]


def longest(messages: Sequence[Message], answer: str) -> float:
    """A reward: the longer, the better."""
    return len(answer)


def shortest(messages: Sequence[Message], answer: str) -> float:
    return -len(answer)


def moody(messages: Sequence[Message], answer: str) -> float:
    """A reward that fails for some answers."""
    if answer == "bad":
        raise KeyError("no such word")
    return float("nan") if answer == "odd" else 1.0


def offended(messages: Sequence[Message], answer: str) -> float:
    """A reward that always fails."""
    raise ValueError("not that one")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A judge over HTTP that replies by a function of the prompt's text; gives its address."""
    stops = []

    def start(reply: Callable[[str], str]) -> str:
        def script(number: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reaction:
            content = body["messages"][0]["content"]
            text = content if isinstance(content, str) else content[-1]["text"]
            return says(reply(text), MODEL)

        server = ScriptedServer(script)
        stops.append(serving(server))
        return server.url

    yield start
    for stop in stops:
        stop()


def sampled(
    folder: Path, engine: Any, prompts: Sequence[Preference], draws: Draws, name: str, *given: str
) -> list[Sampled]:
    annotator = open_annotator(name, judge_options(*given), prompts, folder, draws.seed)
    reach(annotator)
    with RunFolder(folder) as run:
        return sample(engine, annotator, prompts, draws, run, QUIET)


def prompts(number: int) -> list[Preference]:
    return [
        Preference(f"p{index}", (Message("user", f"Question {index}?"),), "")
        for index in range(number)
    ]


def in_turn(*answers: str | Response) -> SayingEngine:
    """Gives these answers to the draws of each prompt."""

    def say(request: Request) -> Response | str:
        return answers[int(request.id.rpartition("#")[2]) - 1]

    return SayingEngine(say)


REWARD = f"{__name__}:longest"


def test_every_draw_has_its_own_seed_which_depends_on_prompt_and_number_only(
    tmp_path: Path,
) -> None:
    engines = [in_turn("a", "bb", "ccc"), in_turn("a", "bb", "ccc")]
    for number, engine in enumerate(engines):
        asked = prompts(3)[:: -1 if number else 1]
        sampled(tmp_path / str(number), engine, asked, Draws(3), REWARD)
    seeds = [{r.id: r.decoding.seed for r in engine.asked} for engine in engines]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0].values())) == 9
    assert all(0 <= seed < 2**31 for seed in seeds[0].values())


def test_the_best_answer_the_pair_and_all_ratings_become_records(tmp_path: Path) -> None:
    found = sampled(tmp_path, in_turn("a", "bbbbb", "cc", "ddddd"), prompts(2), Draws(4), REWARD)
    best = list(best_answers(found, "rs"))
    assert [(pair.id, pair.chosen, pair.rejected) for pair in best] == [
        ("p0", "bbbbb", None),
        ("p1", "bbbbb", None),
    ]
    assert list(best_answers(found, "rs", min_score=6)) == []
    pairs = [pair for seed in range(20) for pair in scored_pairs(found, "rs", seed=seed)]
    assert Counter(pair.rejected for pair in pairs).keys() == {"a", "cc"}
    assert all(pair.chosen == "bbbbb" and pair.scores["chosen"] == 5 for pair in pairs)
    assert list(scored_pairs(found, "rs", min_gap=5)) == []
    rated = list(rated_answers(found, "rs"))
    assert [(pair.id, pair.chosen) for pair in rated[:2]] == [("p0/0", "a"), ("p0/1", "bbbbb")]


def test_failures_are_problems_and_never_scores(tmp_path: Path) -> None:
    broken = Response.failed("", "", "out of memory")
    cut = Response("", "", "half a sen", finish_reason="length")

    def say(request: Request) -> Response | str:
        number = int(request.item_id[1:]), int(request.id.rpartition("#")[2])
        said: dict[tuple[int, int], Response | str] = {
            (0, 1): cut, (0, 2): "whole", (1, 1): " ", (1, 2): "good", (3, 1): "bad", (3, 2): "odd",
        }  # fmt: skip
        answer = said.get(number, "fine")
        if request.item_id == "p2":
            answer = broken
        if isinstance(answer, Response):
            fields = {**answer.to_json(), "request_id": request.id, "key": request.key}
            return Response.from_json(fields)
        return answer

    found = sampled(tmp_path, SayingEngine(say), prompts(5), Draws(2), f"{__name__}:moody")
    assert problems_of(found) == {"cut": 1, "empty": 1, "generation_error": 2, "judge_error": 2}
    reasons = reasons_of(found)
    assert reasons["generation_error"] == "out of memory"
    assert "KeyError: 'no such word'" in reasons["judge_error"]
    assert "empty" not in reasons
    assert [each.scores for each in found] == [{1: 1.0}, {1: 1.0}, {}, {}, {0: 1.0, 1: 1.0}]
    assert [ranked_two(each) for each in found] == [None] * 5
    assert [pair.id for pair in best_answers(found, "rs")] == ["p0", "p1", "p4"]


def test_sampling_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    class Dying(SayingEngine):
        def generate(self, requests: Sequence[Request]) -> Iterator[list[Response]]:
            for number, batch in enumerate(super().generate(requests)):
                if number == 3:
                    raise KeyboardInterrupt
                yield batch

    with pytest.raises(KeyboardInterrupt):
        sampled(tmp_path, Dying(lambda request: request.id), prompts(4), Draws(2), REWARD)
    engine = SayingEngine(lambda request: request.id)
    found = sampled(tmp_path, engine, prompts(4), Draws(2), REWARD)
    assert len(engine.asked) == 5
    whole = sampled(
        tmp_path / "2", SayingEngine(lambda request: request.id), prompts(4), Draws(2), REWARD
    )
    assert found == whole
    with pytest.raises(MixedRunError, match="another prompt, picture or decoding"):
        sampled(tmp_path, engine, prompts(4), Draws(2, temperature=0.9), REWARD)


def test_another_annotator_judges_anew_only_where_that_is_asked_for(tmp_path: Path) -> None:
    engine, other = in_turn("a", "bb"), f"{__name__}:shortest"
    found = sampled(tmp_path, engine, prompts(2), Draws(2), REWARD)
    assert [ranked_two(each) for each in found] == [(1, 0)] * 2
    with pytest.raises(MixedRunError, match="--rejudge"):
        sampled(tmp_path, engine, prompts(2), Draws(2), other)
    found = sampled(tmp_path, engine, prompts(2), Draws(2), other, "--rejudge")
    assert [ranked_two(each) for each in found] == [(0, 1)] * 2
    assert len(engine.asked) == 4


def test_ids_that_look_like_draws_are_kept_apart(tmp_path: Path) -> None:
    asked = [
        Preference(id, (Message("user", f"{id}?"),), "") for id in ("a", "a#2", "a#2#1", "a/0")
    ]
    found = sampled(
        tmp_path, SayingEngine(lambda r: r.messages[0].text + r.id), asked, Draws(2), REWARD
    )
    assert [set(each.answers.values()) for each in found] == [
        {f"{p.id}?{p.id}#1", f"{p.id}?{p.id}#2"} for p in asked
    ]
    assert all(len(each.scores) == 2 for each in found)


def test_equal_answers_are_rated_once(tmp_path: Path) -> None:
    found = sampled(tmp_path, in_turn("same", "same", "other"), prompts(1), Draws(3), REWARD)
    assert [values["score"] for values in found[0].ratings.values()] == [4, 4, 5]
    log = (tmp_path / "answers" / "judgments.jsonl").read_text().splitlines()
    assert len(log) == 2
    assert {json.loads(line)["model"] for line in log} == {REWARD}


def test_a_model_over_http_rates(tmp_path: Path, serve: Serve) -> None:
    def reply(text: str) -> str:
        if "Answer:\nmute" in text:
            return "I'd rather not."
        helpful = 4 if "Answer:\ngood" in text else 1
        return f"Because.\nHelpfulness: {helpful}\nCorrectness: 3\nCoherence: 3\nComplexity: 1\nVerbosity: 1"

    options = ("--judge", MODEL, "--judge-base-url", serve(reply))
    asked = [Preference(p.id, p.messages, "") for p in pocket_pairs(3)]
    engine = in_turn("poor", "good", "mute")
    found = sampled(tmp_path, engine, asked, Draws(3), "rating", *options)
    assert [each.scores for each in found] == [{0: 7.0, 1: 10.0}] * 3
    assert problems_of(found) == {"unparsed": 3}
    assert {pair.chosen for pair in best_answers(found, "rs")} == {"good"}


def test_a_model_over_http_compares_and_its_taste_for_places_evens_out(
    tmp_path: Path, serve: Serve
) -> None:
    options = ("--judge", MODEL, "--judge-base-url", serve(lambda text: "Response 1. Always."))
    found = sampled(tmp_path, in_turn("a", "b"), prompts(40), Draws(2), "verdict", *options)
    ranked = [ranked_two(each) for each in found]
    assert 8 < sum(pair == (0, 1) for pair in ranked) < 32
    assert all(pair in ((0, 1), (1, 0)) for pair in ranked)
    options = (
        *("--judge", MODEL, "--judge-base-url"),
        serve(lambda text: f"Response {1 + (text.find('good') > text.find('poor'))}"),
    )
    found = sampled(
        tmp_path / "2", in_turn("poor", "good"), prompts(10), Draws(2), "verdict", *options
    )
    assert [ranked_two(each) for each in found] == [(1, 0)] * 10


def test_annotators_that_cannot_judge_are_refused(tmp_path: Path) -> None:
    def open_(name: str, *given: str, asked: Sequence[Preference] = ()) -> Annotator:
        return open_annotator(name, judge_options(*given), asked or prompts(1), tmp_path, 0)

    for name, given, message in [
        ("pocket", (), "has no chosen one"),
        ("rating", (), "name it by --judge"),
        ("verdict", (), "name it by --judge"),
        ("words", (), "module:function"),
        ("no_such_module:f", (), "cannot be imported"),
        ("math:no_such", (), "cannot be imported"),
        ("math:pi", (), "no function"),
        (REWARD, ("--judge", "m"), "asks none"),
    ]:
        with pytest.raises(PlumblineError, match=message):
            open_(name, *given)
    with pytest.raises(PlumblineError, match="no pair of the pocket world"):
        open_("pocket", asked=[Preference("p0", prompts(1)[0].messages, "True.")])
    with pytest.raises(PlumblineError, match="all draws are the same"):
        sampled(tmp_path / "w", in_turn("a"), prompts(1), Draws(2, temperature=0), REWARD)


@pytest.fixture(scope="module")
def pocket_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pocket_preferences.write(tmp_path_factory.mktemp("pocket"), 24, seed=5)


def test_rejection_sampling_from_the_command_line(
    tmp_path: Path, pocket_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, pairs, rated = (tmp_path / f"{name}.jsonl" for name in ("best", "pairs", "rated"))
    command = ["rejection", "--data", str(pocket_data), "--out", str(out), "--n", "3"]
    command += ["--temperature", "1.2", "--pairs", str(pairs), "--rated", str(rated)]
    assert main(command) == 0
    best = {pair.id: pair for pair in read_preferences(out).pairs}
    assert len(best) == 24
    everything = read_preferences(rated).pairs
    assert len(everything) == 72
    for id, pair in best.items():
        own = [each.scores["score"] for each in everything if each.id.startswith(f"{id}/")]
        assert pair.scores["score"] == max(own)
    for pair in read_preferences(pairs).pairs:
        assert pair.scores["chosen"] - pair.scores["rejected"] >= 2
        assert pair.chosen == best[pair.id].chosen
    report = json.loads((work_folder(out) / "report.json").read_text())
    assert report["answers"] == 72
    assert report["annotator"]["model"] == "pocket-oracle"
    written = [path.read_bytes() for path in (out, pairs, rated)]
    assert main(command) == 0
    assert [path.read_bytes() for path in (out, pairs, rated)] == written
    told = " ".join(capsys.readouterr().err.split())
    assert f"24 best answers, for --method sft: {out}" in told
    assert f"72 rated answers, for steerlm --data: {rated}" in told
    assert main([*command, "--seed", "1"]) == 2
    assert "holds another run" in capsys.readouterr().err


def test_a_failing_annotator_is_told_with_its_reason(
    tmp_path: Path, pocket_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.jsonl"
    command = ["online", "--data", str(pocket_data), "--out", str(out), "--limit", "2"]
    assert main([*command, "--annotator", f"{__name__}:offended"]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "judge_error (the first: " in told
    assert "ValueError: not that one)" in told
    assert "asks again for what failed" in told
    assert out.read_text() == ""


def test_online_pairs_from_the_command_line(tmp_path: Path, pocket_data: Path) -> None:
    out = tmp_path / "online.jsonl"
    assert main(["online", "--data", str(pocket_data), "--out", str(out), "--mix", "0.5"]) == 0
    report = json.loads((work_folder(out) / "report.json").read_text())
    found = read_preferences(out).pairs
    assert 5 <= report["given"] <= 19
    assert report["given"] + report["online"] == len(found)
    assert report["given"] + report["online"] + report["no_difference"] == 24
    for pair in found:
        assert pair.source == "pocket" or pair.scores["chosen"] > pair.scores["rejected"]


def test_what_cannot_be_sampled_is_said_without_a_trace(
    tmp_path: Path, pocket_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"prompt": "Why?"}\n')
    data, out = str(pocket_data), str(tmp_path / "o.jsonl")
    for command, message in [
        (["rejection", "--data", str(bare), "--out", out], "has no chosen one"),
        (["online", "--data", str(bare), "--out", out, "--mix", "1"], "has no given pair"),
        (["bdhs", "--data", str(bare), "--out", out], "no chosen answer to begin with"),
        (["rejection", "--data", "nothing.jsonl", "--out", out], "no such file"),
        (["bdhs", "--data", data, "--out", out, "--ckpt", "nothing"], "no such folder"),
        (["steerlm", "--data", data, "--out", out], "no answer has the ratings"),
    ]:
        assert main(command) == 2
        assert message in " ".join(capsys.readouterr().err.split())
