"""MT-Bench's files: questions, answers in and out, judgments in; also by ``harness.score``.

Run: pytest tests/benchmarks/test_mtbench_files.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import BadRecordError, JudgmentStatus, PlumblineError, Response
from benchmarks.mtbench import MTBench
from harness import score
from tests.benchmarks.mtbench_folder import answer, judged, make_folder, questions, written


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def mtbench(data_dir: Path) -> MTBench:
    return MTBench("official", data_dir)


def changed(position: int, **change: Any) -> list[dict[str, Any]]:
    records = questions()
    records[position].update(change)
    return records


# Questions


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (questions()[:79], "79 records instead of 80. Restore the official file: python -m"),
        ([*questions(), *questions()[:1]], "line 81: a second question 81"),
        (changed(2, question_id="83"), "line 3: question_id is '83', not a whole number"),
        (changed(2, question_id=True), "question_id is True"),
        (changed(2, category=None), "category is None"),
        (changed(2, turns=["one"]), "line 3: turns are no list of 2 texts"),
        (changed(2, turns=["one", None]), "turns are no list"),
        (changed(2, required_temperature="0.7"), "required_temperature is '0.7'"),
        (changed(2, required_temperature=float("nan")), "required_temperature is nan"),
        (changed(2, required_temperature=-1), "required_temperature is -1"),
    ],
)
def test_bad_questions(tmp_path: Path, records: list[dict[str, Any]], message: str) -> None:
    written(tmp_path / "mtbench" / "question.jsonl", records)
    with pytest.raises(BadRecordError, match=message):
        MTBench("official", tmp_path).items()


# Answers


def test_written_answers_are_read_back(mtbench: MTBench, tmp_path: Path) -> None:
    told = {"81": " \ud800\n", "81#2": "", "82": "x" * 1_000_000, "82#2": "Déjà vu"}
    responses = {name: Response(name, "", text) for name, text in told.items()}
    files = mtbench.official_files(responses)
    assert files == mtbench.official_files(responses)
    ((name, text),) = files.items()
    assert name == "plumbline.jsonl"
    path = tmp_path / name
    path.write_text(text)
    read = {response.request_id: response.text for response in mtbench.read_responses([path])}
    assert read == {request_id: text.strip() for request_id, text in told.items()}
    record = json.loads(text.splitlines()[0])
    assert list(record) == ["question_id", "answer_id", "model_id", "choices", "tstamp"]
    assert (record["question_id"], len(record["answer_id"])) == (81, 22)


def test_an_unfinished_conversation_is_not_written(mtbench: MTBench) -> None:
    first = Response("81", "", "One.")
    assert mtbench.official_files({"81": first}) == {}
    assert mtbench.official_files({"81": first, "81#2": Response.failed("81#2", "", "x")}) == {}


def test_of_several_answers_to_a_question_the_last_counts(mtbench: MTBench, tmp_path: Path) -> None:
    records = [answer(81, "a", "b"), answer(82, "c", "d"), answer("81", "e", "f", more=1)]
    read = mtbench.read_responses([written(tmp_path / "m.jsonl", records)])
    assert [(r.request_id, r.text) for r in read] == [
        ("81", "e"), ("81#2", "f"), ("82", "c"), ("82#2", "d"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (answer(80, "a", "b"), "line 2: question_id is 80, and there is no such question"),
        (answer("81 ", "a", "b"), "question_id is '81 ', not a whole number"),
        (answer("9" * 5000, "a", "b"), "question_id is '999"),
        (answer(82, "a", "b", choices=[]), r"there is no choices\[0\].turns"),
        (answer(82, "a", "b", choices=None), r"there is no choices\[0\].turns"),
        (answer(82, "a", None), r"choices\[0\].turns is no list of texts"),
        (answer(82, "a", "b", "c"), "3 turns; a question has 2"),
        (answer(82, "a", "b", model_id="n"), r"answers of several models \(m, n\)"),
    ],
)
def test_bad_answers(
    mtbench: MTBench, tmp_path: Path, record: dict[str, Any], message: str
) -> None:
    path = written(tmp_path / "m.jsonl", [answer(81, "a", "b"), record])
    with pytest.raises(BadRecordError, match=message):
        mtbench.read_responses([path])


def test_hints_are_refused(mtbench: MTBench, tmp_path: Path) -> None:
    with pytest.raises(PlumblineError, match="takes no hints, not split"):
        mtbench.read_responses([tmp_path], split="math")


# Judgments


def test_recorded_judgments(mtbench: MTBench, tmp_path: Path) -> None:
    records = [
        judged(81, 1, "Rating: [[7]]", score=7),
        judged(81, 2, "Rating: 7", score=-1),
        judged(82, 1, "$ERROR$", score=-1),
        judged(82, 2, "Rating: [[3]]"),
        judged(83, 1, "Rating: [[3]]", score=None),
        judged(83, 2, "", score=4.5, judge="gpt-4o"),
    ]
    read = mtbench.read_judgments([written(tmp_path / "gpt-4_single.jsonl", records)])
    assert [judgment.request_id for judgment in read] == ["81", "81#2", "82", "82#2", "83", "83#2"]
    ok, unparsed = JudgmentStatus.OK, JudgmentStatus.UNPARSED
    statuses = [ok, unparsed, JudgmentStatus.JUDGE_ERROR, ok, unparsed, ok]
    assert [judgment.status for judgment in read] == statuses
    assert [judgment.values.get("rating") for judgment in read] == [7, None, None, 3, None, 4.5]
    assert read[1].error == "the judge's reply has no number in brackets"
    assert [judgment.model for judgment in read] == [*["gpt-4"] * 5, "gpt-4o"]


def test_the_score_on_file_counts_and_a_contradiction_is_told(
    mtbench: MTBench, tmp_path: Path
) -> None:
    records = [judged(81, 1, "[[3]]", score=9), judged(81, 2, "[[3]]", score=3)]
    read = mtbench.read_judgments([written(tmp_path / "j.jsonl", records)])
    item = mtbench.items()[0]
    row = mtbench.score(item, [Response("81", "", "x"), Response("81#2", "", "y")], read)
    assert (row.official["turn_1_sum"], row.official["turn_2_sum"]) == (9, 3)
    assert row.details["flag"] == "a score on file is not what its judgment says"


def test_a_judgment_that_comes_twice_counts_twice(mtbench: MTBench, tmp_path: Path) -> None:
    records = [judged(81, 1, f"[[{n}]]") for n in (1, 4)] + [judged(81, 2, "[[7]]")]
    read = mtbench.read_judgments([written(tmp_path / "j.jsonl", records)])
    assert [judgment.request_id for judgment in read] == ["81", "81#run2", "81#2"]
    item = mtbench.items()[0]
    row = mtbench.score(item, [Response("81", "", "x"), Response("81#2", "", "y")], read)
    assert (row.values["turn_1_n"], row.values["turn_1_sum"]) == (2, 5)


def test_a_file_without_judgments_is_refused(mtbench: MTBench, tmp_path: Path) -> None:
    with pytest.raises(BadRecordError, match=r"j\.jsonl: there is no judgment in it"):
        mtbench.read_judgments([written(tmp_path / "j.jsonl", [])])


def test_one_model_of_several_is_chosen(data_dir: Path, tmp_path: Path) -> None:
    records = [judged(81, 1, "[[1]]", model="a"), judged(81, 1, "[[2]]", model="b")]
    path = written(tmp_path / "j.jsonl", records)
    with pytest.raises(BadRecordError, match=r"several models.*--set mtbench.model=NAME: a, b"):
        MTBench("official", data_dir).read_judgments([path])
    with pytest.raises(BadRecordError, match=r"no judgments of 'c'\. Models there: a, b"):
        MTBench("official", data_dir, model="c").read_judgments([path])
    (judgment,) = MTBench("official", data_dir, model="b").read_judgments([path])
    assert (judgment.values["rating"], judgment.request_id) == (2, "81")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (judged(81, 3, "[[1]]"), "line 1: turn is 3"),
        (judged(81, [1], "[[1]]"), r"turn is \[1\]"),
        (judged(7, 1, "[[1]]"), "question_id is 7, and there is no such question"),
        (judged(81, 1, None), "judgment is no text"),
        (judged(81, 1, "[[1]]", model=None), "model is None, not a name"),
        (judged(81, 1, "[[1]]", score="7"), "score is '7', not a number"),
        (judged(81, 1, "[[1]]", score=float("nan")), "score is nan"),
        (judged(81, 1, "[[1]]", score=10**400), "score is 1000"),
        (judged(81, 1, "[[1]]", score=True), "score is True"),
        (judged(81, 1, ""), "neither judgment nor score is there"),
    ],
)
def test_bad_judgments(
    mtbench: MTBench, tmp_path: Path, record: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadRecordError, match=message):
        mtbench.read_judgments([written(tmp_path / "j.jsonl", [record])])


# harness.score


def scored(
    capsys: pytest.CaptureFixture[str], data_dir: Path, responses: Path, *more: str
) -> dict[str, Any]:
    options = ["--benchmark", "mtbench", "--data-dir", str(data_dir), "--json"]
    assert score.main([*options, "--responses", str(responses), *more]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize("form", ["official", "own"])
def test_answers_and_judgments_from_elsewhere(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    official = [answer(81, "a", "b"), answer(82, "c", "ERROR")]
    own = [
        {"id": name, "response": text}
        for name, text in (("81#2", "b"), ("81", "a"), ("82", "c"), ("82#2", "ERROR"))
    ]
    responses = written(tmp_path / "answers.jsonl", official if form == "official" else own)
    judgments = [
        judged(number, turn, f"Rating: [[{rating}]]", model=model, score=rating)
        for model, more in (("m", 0), ("n", 1))
        for number, turn, rating in ((81, 1, 8 + more), (81, 2, 6 + more), (82, 1, 5), (82, 2, 1))
    ]
    path = written(tmp_path / "gpt-4_single.jsonl", judgments)
    more = ["--judgments", str(path), "--set", "mtbench.model=m"]
    result = scored(capsys, data_dir, responses, *more)
    metrics = result["metrics"]
    assert metrics["average"]["value"] == 5
    assert (metrics["turn_1"]["value"], metrics["turn_2"]["value"]) == (6.5, 3.5)
    # Officially a generation that failed is the answer "ERROR", and counts.
    n_scored = 1 if form == "official" else 2
    assert (metrics["average"]["n_scored"], metrics["average"]["n_asked"]) == (n_scored, 80)
    assert (result["n_answered"], result["n_items"]) == (2, 80)


def test_an_ambiguous_file_is_refused(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    responses = written(tmp_path / "answers.jsonl", [answer(81, "a", "b")])
    records = [judged(81, 1, "[[1]]", model=model) for model in ("a", "b")]
    judgments = written(tmp_path / "gpt-4_single.jsonl", records)
    arguments = ["--benchmark", "mtbench", "--data-dir", str(data_dir)]
    arguments += ["--responses", str(responses), "--judgments", str(judgments)]
    assert score.main(arguments) == 2
    assert "--set mtbench.model=NAME: a, b" in " ".join(capsys.readouterr().err.split())
