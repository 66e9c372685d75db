"""MMBench on a made-up table: what is asked of the model and of the matcher, options and protocol.

Run: pytest tests/benchmarks/test_mmbench.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.base import (
    Decoding,
    JudgmentStatus,
    MissingDataError,
    PlumblineError,
    Request,
    Response,
)
from benchmarks.mmbench import MMBench
from benchmarks.mmbench_files import TEXT_FILE, Pass
from benchmarks.mmbench_prompts import llava_prompt, vlmevalkit_prompt
from benchmarks.registry import open_benchmark
from tests.benchmarks.mmbench_table import Answers, answered, data_folder, item_of, opened

# What is asked

FISH = Pass(1, "What swims?", "", {"A": "a fish", "B": "a cow"}, "A")


def test_llava_prompt() -> None:
    ask = "Answer with the option's letter from the given choices directly."
    assert llava_prompt(FISH, False) == f"What swims?\nA. a fish\nB. a cow\n{ask}"
    hinted = FISH._replace(hint="Look.")
    assert llava_prompt(hinted, True).startswith("Look.\nWhat swims?\n")
    assert llava_prompt(hinted, True).endswith("\nB. a cow\n请直接回答选项字母。")


@pytest.mark.parametrize("absent", ["", "nan", "NaN", "none", "None"])
def test_llava_takes_some_texts_for_absent(absent: str) -> None:
    options = {"A": "a fish", "B": absent, "C": "a cow", "E": "a hen"}
    prompt = llava_prompt(FISH._replace(hint=absent, options=options), False)
    assert prompt.split("\n")[:2] == ["What swims?", "A. a fish"]
    assert len(prompt.split("\n")) == 3


def test_vlmevalkit_prompt() -> None:
    end = "A. a fish\nB. a cow\nPlease select the correct answer from the options above. \n"
    assert vlmevalkit_prompt(FISH, True) == f"Question: What swims?\nOptions:\n{end}"
    hinted = vlmevalkit_prompt(FISH._replace(hint="Look."), False)
    assert hinted == f"Hint: Look.\nQuestion: What swims?\nOptions:\n{end}"


def test_every_pass_is_a_request_of_its_own(tmp_path: Path) -> None:
    mmbench = opened(tmp_path)
    item = item_of(mmbench, "2")
    requests: list[Request] = []
    while (request := mmbench.request(item, [Response("", "", "")] * len(requests))) is not None:
        requests.append(request)
    assert [request.id for request in requests] == ["2", "2#2", "2#3"]
    assert {request.item_id for request in requests} == {"2"}
    assert requests[0].decoding == Decoding(1024)
    assert {request.pictures for request in requests} == {item.pictures}
    texts = [request.messages[0].text.split("\n")[2:5] for request in requests]
    assert texts == [["A. 1", "B. 2", "C. 3"], ["A. 3", "B. 1", "C. 2"], ["A. 2", "B. 3", "C. 1"]]


def test_chinese_tables_are_asked_in_chinese(tmp_path: Path) -> None:
    data_folder(tmp_path, version="MMBench_DEV_CN_V11")
    mmbench = MMBench("official", tmp_path, version="MMBench_DEV_CN_V11")
    request = mmbench.request(mmbench.items()[0])
    assert request is not None
    assert request.messages[0].text.endswith("请直接回答选项字母。")


# The matcher


def asked(mmbench: MMBench, answers: Answers) -> list[str]:
    turns = answered(mmbench, answers)
    return [
        request.id
        for item in mmbench.items()
        for request in mmbench.judge_requests(item, turns[item.id])
    ]


@pytest.mark.parametrize(
    ("answers", "needed", "for_vanilla"),
    [
        ({}, [], []),
        ({"1": "A"}, [], []),
        ({"1": "hm", "1#4": "hm"}, ["1", "1#4"], ["1", "1#4"]),
        ({"1": "hm", "1#4": "B"}, [], ["1"]),  # wrong already
        ({"5#2": "", "2": "hm"}, ["2", "5#2"], ["2", "5#2"]),  # an empty answer too
        ({"1": "Z", "1#2": "hm"}, [], ["1#2"]),
    ],
)
def test_the_matcher_is_asked_only_where_it_decides(
    tmp_path: Path, answers: Answers, needed: list[str], for_vanilla: list[str]
) -> None:
    assert asked(opened(tmp_path), answers) == needed
    assert asked(opened(tmp_path, vanilla_matcher=True), answers) == for_vanilla
    assert asked(opened(tmp_path, matcher="none"), answers) == []


def test_what_the_matcher_is_asked(tmp_path: Path) -> None:
    mmbench = opened(tmp_path)
    turns = answered(mmbench, {"2": "{two} or so", "5": "hm"})
    (english,) = mmbench.judge_requests(item_of(mmbench, "2"), turns["2"])
    (chinese,) = mmbench.judge_requests(item_of(mmbench, "5"), turns["5"])
    assert english.messages[0].text == (
        "EN Q: How many?? O: There are several options: \nA. 1\nB. 2\nC. 3\n A: {two} or so ->"
    )
    assert chinese.messages[0].text.startswith("CN Q: 图中有猫吗? O: ")
    assert english.decoding == Decoding(2048, temperature=0.0)
    assert mmbench.judge is not None
    assert (mmbench.judge.model, mmbench.judge.max_attempts) == ("gpt-3.5-turbo-0125", 3)


def test_a_reply_goes_through_the_same_rules(tmp_path: Path) -> None:
    mmbench = opened(tmp_path)
    turns = answered(mmbench, {"1": "hm"})
    (request,) = mmbench.judge_requests(item_of(mmbench, "1"), turns["1"])
    for reply, letter in (
        ("B", "B"),
        ("Your output: (C)", "C"),
        ("It is the dog.", "B"),
        ("Z", "Z"),
        ("E", None),
        ("", None),
        ("Failed to obtain answer via API. cat", None),
    ):
        assert mmbench.read_reply(request, reply) == ({"letter": letter} if letter else None)


def test_recorded_replies(tmp_path: Path) -> None:
    mmbench = opened(tmp_path)
    path = tmp_path / "replies.jsonl"
    lines = [(1, "?"), (1, "B"), (2, "?"), (2, "?"), (2, "?"), (2, "A"), (1_000_005, "")]
    path.write_text("".join(json.dumps({"index": i, "reply": r}) + "\n" for i, r in lines))
    read = {j.request_id: (j.item_id, j.status, j.raw) for j in mmbench.read_judgments([path])}
    assert read == {
        "1": ("1", JudgmentStatus.OK, "B"),
        "2": ("2", JudgmentStatus.UNPARSED, "?"),  # the fourth attempt is one too many
        "5#2": ("5", JudgmentStatus.UNPARSED, ""),
    }
    with pytest.raises(PlumblineError, match=r"mmbench\.matcher=none uses no replies"):
        opened(tmp_path, matcher="none").read_judgments([path])


# Options, tables and protocol


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"prompt": "lmms"}, "mmbench.prompt is 'lmms'; choose from llava, vlmevalkit"),
        ({"rule": "2024"}, "mmbench.rule is '2024'; choose from current, before_2025_08"),
        ({"matcher": "gpt"}, "mmbench.matcher is 'gpt'; choose from judge, none"),
        ({"missing_passes": "x"}, "mmbench.missing_passes is 'x'"),
        ({"matcher": "none", "random_fallback": "true"}, "need mmbench.matcher=judge"),
        ({"max_new_tokens": "0"}, "mmbench.max_new_tokens is 0"),
        ({"version": "../MMBench"}, "not the name of a table"),
    ],
)
def test_options_that_do_not_exist_are_named(options: Mapping[str, str], named: str) -> None:
    with pytest.raises(PlumblineError, match=named):
        open_benchmark("mmbench", "official", options=options)


def test_versions_exist_in_the_official_edition_only() -> None:
    with pytest.raises(PlumblineError, match="in the official edition only"):
        MMBench("pocket", version="MMBench_TEST_EN")


@pytest.mark.parametrize(
    ("version", "command"),
    [
        ("MMBench_DEV_EN", "python -m harness.fetch mmbench --data-dir"),
        ("mmbench_dev_20230712", "python -m harness.fetch mmbench --data-dir"),
        ("MMBench_TEST_CN_V11", "python -m harness.fetch mmbench_more --data-dir"),
    ],
)
def test_an_absent_table_names_the_command(tmp_path: Path, version: str, command: str) -> None:
    with pytest.raises(MissingDataError, match=f"{version}.tsv") as caught:
        MMBench("official", tmp_path, version=version).items()
    assert caught.value.remedy.startswith(command)


def test_other_tables_lie_beside_the_known_ones(tmp_path: Path) -> None:
    data_folder(tmp_path, version="CCBench")
    assert len(MMBench("official", tmp_path, version="CCBench").items()) == 3
    with pytest.raises(PlumblineError, match=r"MMBench_DEV_EN, MMBench_TEST_EN.*or another"):
        MMBench("official", tmp_path, version="MMBench").items()


def test_a_damaged_matcher_prompt_is_named(tmp_path: Path) -> None:
    mmbench = opened(tmp_path)
    path = tmp_path / "mmbench" / "matcher_prompt_en.txt"
    for damaged in ("Q: {question} O: {options}", "{question} {options} {prediction} {question}"):
        path.write_text(damaged)
        with pytest.raises(PlumblineError, match=r"matcher_prompt_en.*once each.*harness\.fetch"):
            mmbench.judge_prompt(FISH, "x")
    path.unlink()
    with pytest.raises(MissingDataError):
        mmbench.judge_prompt(FISH, "x")


def test_the_stand_in_is_read_only_for_its_table_and_labelled(tmp_path: Path) -> None:
    folder = tmp_path / "mmbench"
    folder.mkdir()
    record = {"index": 3, "question": "?", "hint": None, "A": "a", "B": "b", "answer": "A"}
    (folder / TEXT_FILE).write_text(json.dumps(record))
    mmbench = MMBench("official", tmp_path, version="mmbench_dev_20230712")
    assert len(mmbench.items()) == 1
    assert "not an official file" in mmbench.protocol()["stand_in"]
    with pytest.raises(MissingDataError):
        MMBench("official", tmp_path).items()
    data_folder(tmp_path, version="mmbench_dev_20230712")
    assert len(MMBench("official", tmp_path, version="mmbench_dev_20230712").items()) == 3


def test_what_the_answers_depend_on_and_what_only_scores(tmp_path: Path) -> None:
    kept = opened(tmp_path).protocol()
    prompted = opened(tmp_path, prompt="vlmevalkit").protocol()
    ruled = opened(tmp_path, rule="before_2025_08", matcher="none").protocol()
    differs = {name for name in kept if kept[name] != prompted[name]}
    assert differs == {"prompt"}
    assert {name for name in kept if kept[name] != ruled[name]} == {"scoring"}
    assert MMBench.scoring_settings == {"scoring"}
    assert kept["scoring"]["matcher_prompts_sha256"]["matcher_prompt_en.txt"]


def test_the_upload_file_is_written_without_openpyxl_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mmbench = opened(tmp_path)
    responses = {r.request_id: r for turns in answered(mmbench, {}).values() for r in turns}
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert list(mmbench.official_files(responses)) == ["mmbench_upload.tsv"]
    assert "pip install -e '.[human]'" in caplog.text
