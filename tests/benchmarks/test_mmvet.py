"""MM-Vet on a made-up set of six questions.

Run: pytest tests/benchmarks/test_mmvet.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import (
    BadRecordError,
    Judgment,
    JudgmentStatus,
    Message,
    MissingDataError,
    PlumblineError,
    Response,
    ScoreRow,
    ScoreStatus,
)
from benchmarks.mmvet import AGAIN, MMVet
from benchmarks.mmvet_scores import as_printed, official_score, run_scores
from harness import score as score_command
from harness.judges.oracle import OracleJudge
from harness.judging import JudgePart, judge, judgments_of
from harness.store import Log
from tests.scripted import ask, by_item, score

PROMPT = "Grade it.\n\nQuestion | Ground truth | Prediction | Correctness\n--- | --- | --- | ---\n"

CAPABILITIES = (["ocr", "math"], ["rec"], ["math", "ocr"], ["rec", "know"], ["ocr"], ["rec"])


def questions() -> dict[str, Any]:
    return {
        f"v1_{n}": {
            "imagename": f"v1_{n // 2}.png",
            "question": f"What is {n}?",
            "answer": f"{n}<AND>{n}<OR> none",
            "capability": capability,
            "imagesource": "elsewhere",
        }
        for n, capability in enumerate(CAPABILITIES)
    }


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=4))
    return path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    written(folder / "mmvet" / "mm-vet.json", questions())
    written(folder / "mmvet" / "judge_prompt.txt", PROMPT)
    written(folder / "mmvet" / "bard_set.json", ["v1_3", "v1_0"])
    return folder


@pytest.fixture
def mmvet(data_dir: Path) -> MMVet:
    return MMVet("official", data_dir)


def grades(*scores: Sequence[float], **change: Any) -> dict[str, Any]:
    """A grade file: for each item its scores in all runs."""
    return {
        f"v1_{n}": {
            "model": ["gpt-4"] * len(of_item),
            "content": [str(value) for value in of_item],
            "score": list(of_item),
        }
        for n, of_item in enumerate(scores)
    } | change


# The parser


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("0.5", 0.5),
        ("1", 1.0),
        (".5", 0.5),
        ("0.25", 0.25),
        ("0.5\n", 0.5),
        ("0.5 because", 0.5),
        ("\t0.5", 0.5),
        ("-0.0", 0.0),
        ("0_1", 1.0),
        ("1e-1", 0.1),
        ("\N{ARABIC-INDIC DIGIT ONE}", 1.0),
        ("0.5\N{NO-BREAK SPACE}", 0.5),
        ("", None),
        (" 0.5", None),
        ("0.5\nfine", None),
        ("0.5.", None),
        ("0,5", None),
        ("**0.5**", None),
        ("0.5/1", None),
        ("1.5", None),
        ("-0.1", None),
        ("inf", None),
        ("Score: 0.5", None),
        ("\ud800", None),
        ("9" * 5000, None),
    ],
)
def test_scores(reply: str, expected: float | None) -> None:
    assert official_score(reply) == expected


def test_nan_passes_as_in_the_script() -> None:
    assert math.isnan(official_score("NaN") or 0)


@given(st.text(st.characters(exclude_categories=())))
def test_any_reply_has_a_score_or_none(reply: str) -> None:
    found = official_score(reply)
    assert found is None or math.isnan(found) or 0 <= found <= 1


# What is asked


def test_items(mmvet: MMVet, data_dir: Path) -> None:
    items = mmvet.items()
    assert [item.id for item in items] == [f"v1_{n}" for n in range(6)]
    splits = ["math_ocr", "rec", "math_ocr", "know_rec", "ocr", "rec"]
    assert [item.split for item in items] == splits
    assert [item.group for item in items[:3]] == ["v1_0.png", "v1_0.png", "v1_1.png"]
    picture: Any = items[2].pictures[0]
    assert picture.path == data_dir / "mmvet" / "images" / "v1_1.png"
    request = mmvet.request(items[2])
    assert request is not None
    assert request.messages == (Message("user", "What is 2?", items[2].pictures),)
    assert (request.decoding.max_new_tokens, request.decoding.temperature) == (1024, 0.0)
    assert mmvet.request(items[2], [Response("x", "", "y")]) is None


def test_the_judge_gets_a_row_of_the_table(mmvet: MMVet) -> None:
    item = mmvet.items()[1]
    (request,) = mmvet.judge_requests(item, [Response(item.id, "", " a | b\n{0} \n")])
    row = "What is 1? | 1 <AND> 1 <OR>  none |  a | b\n{0} \n | "
    assert request.messages == (Message("user", f"{PROMPT}\n{row}"),)
    assert (request.decoding.temperature, request.decoding.max_new_tokens) == (0.0, 3)
    assert mmvet.judge_requests(item, [Response.failed(item.id, "", "x")]) == ()
    assert (mmvet.judge.model, mmvet.judge.max_attempts) == ("gpt-4-0613", 6)


def test_a_judge_is_asked_six_times_and_the_last_reply_is_not_read(
    mmvet: MMVet, tmp_path: Path
) -> None:
    session = ask(mmvet, {"v1_0": "an answer"}, ["x", "", "2", "0,5", " 1", "1.0"], tmp_path)
    calls = session.calls["v1_0"]
    assert [call.decoding.temperature for call in calls] == [0.0, 0.0, 0.5, 1.0, 1.5, 2.0]
    assert {call.decoding.max_new_tokens for call in calls} == {3}
    first = calls[0].messages[0].text
    assert [call.messages[0].text for call in calls[1:]] == [first + AGAIN] * 5
    (judgment,) = session.judgments["v1_0"]
    assert (judgment.status, judgment.raw) == (JudgmentStatus.UNPARSED, "1.0")
    rows, metrics = score(mmvet, session.judgments)
    assert (rows[0].status, rows[0].values) == (ScoreStatus.UNPARSED, {})
    assert rows[0].official == {"unparsed": 1, "run_1": 0.0}
    assert metrics["", "total"].value == 0.0
    assert metrics["", "strict_total"].value is None
    assert metrics["", "unparsed_replies"].value == 1


def test_the_fifth_reply_is_read(mmvet: MMVet, tmp_path: Path) -> None:
    session = ask(mmvet, {"v1_0": "an answer"}, ["x"] * 4 + ["0.7 x"], tmp_path)
    (judgment,) = session.judgments["v1_0"]
    assert (judgment.status, judgment.values) == (JudgmentStatus.OK, {"score": 0.7})


def test_each_run_asks_the_same_under_its_own_id(mmvet: MMVet, tmp_path: Path) -> None:
    thrice = replace(mmvet, judge_runs=3)
    item = thrice.items()[0]
    requests = thrice.judge_requests(item, [Response(item.id, "", "an answer")])
    assert [request.id for request in requests] == ["v1_0", "v1_0#run2", "v1_0#run3"]
    assert len({request.key for request in requests}) == 1
    session = ask(thrice, {item.id: "an answer"}, ["0.1", "?", "0.2", "0.3"], tmp_path)
    assert [j.values["score"] for j in session.judgments[item.id]] == [0.1, 0.2, 0.3]
    assert [call.decoding.temperature for call in session.calls[item.id]] == [0.0] * 4


# What is counted


def read(mmvet: MMVet, path: Path, content: Any) -> Mapping[str, Sequence[Judgment]]:
    return by_item(mmvet.read_judgments([written(path, content)]))


def test_metrics_by_hand(mmvet: MMVet, tmp_path: Path) -> None:
    twice = replace(mmvet, judge_runs=2)
    scores = [(1.0, 0.0), (0.5, 0.5), (0.0, 0.2), (1.0, 1.0), (0.4, 0.4), (0.0, 0.0)]
    _, metrics = score(twice, read(twice, tmp_path / "grades.json", grades(*scores)))
    value = {key: metric.value for key, metric in metrics.items()}
    first, second = 100 * 2.9 / 6, 100 * 2.1 / 6
    assert value["", "total"] == pytest.approx((first + second) / 2)
    assert value["", "std"] == pytest.approx((first - second) / 2)
    assert value["", "total_run_1"] == pytest.approx(first)
    assert value["", "total_run_2"] == pytest.approx(second)
    assert value["", "rec"] == pytest.approx(50)
    assert value["", "ocr"] == pytest.approx(100 * 1.0 / 3)
    assert value["", "math"] == value["math_ocr", "score"] == pytest.approx(30)
    assert value["", "know"] == value["know_rec", "score"] == 100
    assert value["rec", "score"] == 25
    assert value["", "strict_total"] == pytest.approx((first + second) / 2)
    assert [name for (_, name), metric in metrics.items() if metric.headline] == ["total"]
    own = {name for (_, name), metric in metrics.items() if not metric.official}
    assert own == {"strict_total", "unparsed_replies"}
    # by the number of items, as in the script's tables
    assert [name for split, name in metrics if not split][:4] == ["ocr", "rec", "math", "know"]
    assert metrics["", "math"].n_asked == 2


def test_what_was_given_up_counts_officially_only(mmvet: MMVet, tmp_path: Path) -> None:
    content = grades(*[(1.0,)] * 6)
    content["v1_4"] |= {"content": ["0.9"], "score": [0.0]}
    content["v1_5"] |= {"content": [None], "score": [0.0]}
    rows, metrics = score(mmvet, read(mmvet, tmp_path / "grades.json", content))
    assert [row.status for row in rows[4:]] == [ScoreStatus.UNPARSED] * 2
    assert metrics["", "total"].value == 4 / 6 * 100
    assert metrics["", "strict_total"].value == 100
    assert metrics["", "unparsed_replies"].value == 2
    assert (metrics["", "total"].n_scored, metrics["", "total"].n_asked) == (4, 6)


@pytest.mark.parametrize("written_as", ["nan", "NaN"])
def test_nan_poisons_the_official_averages_only(
    mmvet: MMVet, tmp_path: Path, written_as: str
) -> None:
    twice = replace(mmvet, judge_runs=2)
    content = grades(*[(1.0, 0.5)] * 6)
    content["v1_1"] |= {"content": ["1.0", written_as], "score": [1.0, math.nan]}
    rows, metrics = score(twice, read(twice, tmp_path / "grades.json", content))
    assert (rows[1].status, rows[1].official) == (
        ScoreStatus.UNPARSED,
        {"unparsed": 1, "run_1": 1.0},
    )
    for name in ("total", "std", "rec", "total_run_2"):
        assert metrics["", name].value is None
        assert "nan" in (metrics["", name].note or "")
    assert metrics["", "total_run_1"].value == 100
    assert metrics["", "ocr"].value == metrics["", "strict_total"].value == 75


def test_nan_is_not_asked_for_again(mmvet: MMVet, tmp_path: Path) -> None:
    session = ask(mmvet, {"v1_0": "an answer"}, ["nan"], tmp_path)
    (judgment,) = session.judgments["v1_0"]
    assert (judgment.status, judgment.values) == (JudgmentStatus.OK, {"score": None})
    rows, _ = score(mmvet, session.judgments)
    assert (rows[0].status, rows[0].official) == (ScoreStatus.UNPARSED, {"unparsed": 1})


def test_failures_have_no_numbers_at_all(mmvet: MMVet) -> None:
    item = mmvet.items()[0]
    answer = [Response(item.id, "", "x")]
    failed = Judgment(item.id, item.id, "", JudgmentStatus.JUDGE_ERROR, error="timed out")
    good = Judgment(item.id, item.id, "", JudgmentStatus.OK, values={"score": 1.0})
    for benchmark, responses, judgments, status in (
        (mmvet, [], [], ScoreStatus.GENERATION_ERROR),
        (mmvet, [Response.failed(item.id, "", "gone")], [], ScoreStatus.GENERATION_ERROR),
        (mmvet, answer, [], ScoreStatus.JUDGE_ERROR),
        (mmvet, answer, [failed], ScoreStatus.JUDGE_ERROR),
        (replace(mmvet, judge_runs=2), answer, [good], ScoreStatus.JUDGE_ERROR),
    ):
        row = benchmark.score(item, responses, judgments)
        assert (row.status, row.values, row.official) == (status, {}, {})


def test_a_run_can_be_added_to_judged_answers(mmvet: MMVet, tmp_path: Path) -> None:
    """Also after an interruption: an item that was not judged in every run has no score yet."""
    replies = iter(["0.5"] * 6 + ["1.0"] * 4)

    def next_reply(messages: Sequence[Message]) -> str | None:
        return next(replies, None)

    log = Log(tmp_path / "judgments.jsonl", Judgment)
    responses = {item.id: [Response(item.id, "", "x")] for item in mmvet.items()}
    once = JudgePart(mmvet, mmvet.items(), responses, log)
    assert judge([once], OracleJudge(next_reply), lambda came, asked: None) == 6
    _, metrics = score(mmvet, judgments_of(once))
    assert metrics["", "total"].value == 50
    twice = replace(mmvet, judge_runs=2)
    part = JudgePart(twice, twice.items(), responses, log)
    assert judge([part], OracleJudge(next_reply), lambda came, asked: None) == 6
    rows, metrics = score(twice, judgments_of(part))
    assert [row.status for row in rows].count(ScoreStatus.JUDGE_ERROR) == 2
    assert (metrics["", "total"].value, metrics["", "total"].n_scored) == (75, 4)


@given(
    st.integers(1, 3).flatmap(
        lambda n: st.lists(
            st.lists(st.sampled_from([k / 10 for k in range(11)]), min_size=n, max_size=n),
            min_size=1,
            max_size=80,
        )
    )
)
def test_scores_are_added_up_as_in_the_script(scores: list[list[float]]) -> None:
    n_runs = len(scores[0])
    rows = [
        ScoreRow(
            str(n), str(n), "", ScoreStatus.SCORED,
            official={f"run_{run}": value for run, value in enumerate(of_item, start=1)},
        )
        for n, of_item in enumerate(scores)
    ]  # fmt: skip
    added = [0.0] * n_runs
    for of_item in scores:
        for run, value in enumerate(of_item):
            added[run] += value
    wanted = np.array(added) / len(scores) * 100
    assert run_scores(rows, np.ones(len(rows)), n_runs).tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("figure", "printed"),
    [(49.45, "49.4"), (52.349999999999994, "52.4"), (46.25, "46.2"), (36.1, "36.1"), (0.0, "0.0")],
)
def test_figures_are_printed_as_numpy_rounds_them(figure: float, printed: str) -> None:
    found = as_printed(figure)
    assert f"{found:.1f}" == str(float(np.round(found, 1))) == printed
    assert found == pytest.approx(figure, abs=1e-8)
    assert math.isnan(as_printed(math.nan))


@given(st.integers(1, 250), st.integers(1, 5), st.data())
def test_every_mean_of_scores_is_printed_as_numpy_rounds_it(
    n: int, n_runs: int, data: st.DataObject
) -> None:
    tenths = data.draw(st.lists(st.integers(0, 10 * n), min_size=n_runs, max_size=n_runs))
    figure = float(np.mean(np.array(tenths) / 10 / n * 100))
    assert f"{as_printed(figure):.1f}" == str(float(np.round(figure, 1)))


# Files


def test_written_answers_are_read_back(mmvet: MMVet, tmp_path: Path) -> None:
    answers = ["\ud800", "", "x" * 1_000_000, "a\nb", " c ", "<AND>\u2028"]
    items = mmvet.items()
    responses = {i.id: Response(i.id, "", a) for i, a in zip(items, answers, strict=True)}
    (text,) = mmvet.official_files(responses).values()
    assert list(json.loads(text)) == [item.id for item in items]
    read = mmvet.read_responses([written(tmp_path / "answers.json", text)])
    assert [response.text for response in read] == answers
    del responses["v1_3"]
    assert mmvet.official_files(responses) == {}
    assert mmvet.official_files({**responses, "v1_3": Response.failed("v1_3", "", "x")}) == {}


def test_answers_on_one_line_in_any_order(mmvet: MMVet, tmp_path: Path) -> None:
    path = written(tmp_path / "answers.json", json.dumps({"v1_5": "b", "v1_2": "a"}))
    assert [r.request_id for r in mmvet.read_responses([path])] == ["v1_5", "v1_2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"v1_9": "x"}, "line 1: there is no question 'v1_9'. Ids look like 'v1_0'"),
        ({"v1_0": None}, "line 1: the answer to v1_0 is NoneType, not text"),
        ({"v1_0": ["x"]}, "line 1: the answer to v1_0 is list, not text"),
        ({}, "nothing instead of one JSON object of answers by item id"),
        ("", "nothing instead of one JSON object"),
        ('{"v1_0": "x"}\n{"v1_1": "x"}', "2 records instead of one JSON object"),
        ('{\n"v1_0": "x",\n}', "line 3: not valid JSON"),
    ],
)
def test_bad_answers(mmvet: MMVet, tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(BadRecordError, match=message):
        mmvet.read_responses([written(tmp_path / "answers.json", content)])


def test_one_file_without_hints(mmvet: MMVet, tmp_path: Path) -> None:
    path = written(tmp_path / "answers.json", {"v1_0": "x"})
    with pytest.raises(BadRecordError, match="one file of all answers is needed"):
        mmvet.read_responses([path, path])
    with pytest.raises(PlumblineError, match="takes no hints, not split"):
        mmvet.read_responses([path], split="rec")


def test_grades_without_words_and_models(mmvet: MMVet, tmp_path: Path) -> None:
    path = written(tmp_path / "grades.json", {"v1_0": {"score": [1]}, "v1_1": {"score": [0.5, 0]}})
    judgments = mmvet.read_judgments([path])
    assert [j.values for j in judgments] == [{"score": 1.0}, {"score": 0.5}]
    assert {j.status for j in judgments} == {JudgmentStatus.OK}


@pytest.mark.parametrize(
    ("runs", "scores", "message"),
    [
        (1, [[0.0] * 3] * 6, r"3 runs of every item, and mmvet\.judge_runs is 1.*judge_runs=3"),
        (5, [[0.0] * 3] * 6, r"3 runs of every item, and mmvet\.judge_runs is 5.*judge_runs=3"),
        (
            2,
            [[0.0] * 2] * 5 + [[0.0]],
            r"1 run of every item, and mmvet\.judge_runs is 2.*judge_runs=1",
        ),
        (1, [[0.0]] * 5 + [[]], "0 runs of every item.*Finish the grading"),
    ],
)
def test_a_file_with_another_number_of_runs(
    mmvet: MMVet, tmp_path: Path, runs: int, scores: Any, message: str
) -> None:
    path = written(tmp_path / "grades.json", grades(*scores))
    with pytest.raises(PlumblineError, match=message):
        replace(mmvet, judge_runs=runs).read_judgments([path])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v1_9": {"score": [0.0]}}, "there is no question 'v1_9'"),
        ({"v1_0": [0.0]}, "v1_0: score is None, no list of numbers from 0 to 1"),
        ({"v1_0": {"score": 0.0}}, "v1_0: score is 0.0, no list of numbers"),
        ({"v1_0": {"score": [None]}}, "v1_0: score is .None., no list of numbers"),
        ({"v1_0": {"score": [True]}}, "v1_0: score is .True., no list of numbers"),
        ({"v1_0": {"score": ["0.5"]}}, "v1_0: score is .*, no list of numbers"),
        ({"v1_0": {"score": [5]}}, "v1_0: score is .5., no list of numbers"),
        ({"v1_0": {"score": [-0.1]}}, "v1_0: score is .-0.1., no list of numbers"),
        ({"v1_0": {"score": [10**400]}}, "v1_0: score is .1000"),
        ({"v1_0": {"score": [0.0], "content": [0.0]}}, "v1_0: content is no list of 1 texts"),
        ({"v1_0": {"score": [0.0], "content": []}}, "v1_0: content is no list of 1 texts"),
        ({"v1_0": {"score": [0.0], "model": "gpt-4"}}, "v1_0: model is no list of 1 texts"),
    ],
)
def test_bad_grades(mmvet: MMVet, tmp_path: Path, change: Any, message: str) -> None:
    path = written(tmp_path / "grades.json", grades(*[[0.0]] * 6) | change)
    with pytest.raises(BadRecordError, match=message):
        mmvet.read_judgments([path])


def test_the_subset(mmvet: MMVet, tmp_path: Path) -> None:
    """Files of all items are read, and the rest of them is passed over, as officially."""
    subset = replace(mmvet, bard_set=True)
    assert [item.id for item in subset.items()] == ["v1_0", "v1_3"]
    answers = written(tmp_path / "answers.json", {f"v1_{n}": "x" for n in range(6)})
    assert [r.request_id for r in subset.read_responses([answers])] == ["v1_0", "v1_3"]
    scores = [(1.0,), (0.0,), (0.0,), (0.5,), (0.0,), (0.0,)]
    _, metrics = score(subset, read(subset, tmp_path / "grades.json", grades(*scores)))
    assert (metrics["", "total"].value, metrics["", "total"].n_asked) == (75, 2)
    assert ("", "ocr") in metrics
    assert ("ocr", "score") not in metrics


@pytest.mark.parametrize("content", ['{"v1_0": 1}', '["v1_9"]', "[1]", "[", "[\xff"])
def test_a_bad_subset(mmvet: MMVet, data_dir: Path, content: str) -> None:
    (data_dir / "mmvet" / "bard_set.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(BadRecordError, match=r"bard_set\.json.*Restore the official file"):
        replace(mmvet, bard_set=True).items()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capability": []}, "v1_0: capability is .*, not a list of names"),
        ({"capability": "rec"}, "v1_0: capability is 'rec', not a list of names"),
        ({"question": ""}, "v1_0: question is '', not a text"),
        ({"answer": None}, "v1_0: answer is None, not a text"),
        ({"imagename": "../a.png"}, "v1_0: imagename is '../a.png', not a file name"),
    ],
)
def test_bad_questions(data_dir: Path, change: Any, message: str) -> None:
    content = questions()
    content["v1_0"] |= change
    written(data_dir / "mmvet" / "mm-vet.json", content)
    with pytest.raises(BadRecordError, match=message) as caught:
        MMVet("official", data_dir).items()
    assert "python -m harness.fetch mmvet --data-dir" in str(caught.value)


def test_the_stand_in_is_read_where_the_official_file_is_not(data_dir: Path) -> None:
    lines = [json.dumps({"id": name, **fields}) for name, fields in questions().items()]
    written(data_dir / "mmvet" / "mmvet_questions.jsonl", "\n".join(lines))
    official = MMVet("official", data_dir)
    assert official.protocol()["questions"] == "mm-vet.json"
    (data_dir / "mmvet" / "mm-vet.json").unlink()
    stand_in = MMVet("official", data_dir)
    assert "mmvet_questions.jsonl, which stands in" in stand_in.protocol()["questions"]
    assert stand_in.items() == official.items()
    asked = stand_in.protocol().keys() - stand_in.scoring_settings
    assert all(stand_in.protocol()[name] == official.protocol()[name] for name in asked)


def test_absent_files_are_named_with_the_remedy(tmp_path: Path, data_dir: Path) -> None:
    for folder, message in ((None, "--data-dir"), (tmp_path / "x", r"mm-vet.json")):
        with pytest.raises(MissingDataError) as caught:
            MMVet("official", folder).items()
        assert message in str(caught.value)
        assert caught.value.remedy.startswith("python -m harness.fetch mmvet")
    (data_dir / "mmvet" / "judge_prompt.txt").unlink()
    mmvet = MMVet("official", data_dir)
    with pytest.raises(MissingDataError, match=r"judge_prompt\.txt"):
        mmvet.judge_requests(mmvet.items()[0], [Response("v1_0", "", "x")])
    assert mmvet.protocol()["judge_prompt_sha256"].startswith("d1b3e0a5")


def test_a_damaged_prompt_is_named(mmvet: MMVet, data_dir: Path) -> None:
    (data_dir / "mmvet" / "judge_prompt.txt").write_bytes(b"Grade \xff")
    with pytest.raises(BadRecordError, match=r"judge_prompt\.txt: the file cannot be read .*fetch"):
        mmvet.judge_requests(mmvet.items()[0], [Response("v1_0", "", "x")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judge_runs": 0}, r"mmvet\.judge_runs is 0"),
        ({"max_new_tokens": 0}, r"mmvet\.max_new_tokens is 0"),
        ({"bard_set": True}, r"mmvet\.bard_set"),
    ],
)
def test_options_are_checked(options: Any, message: str) -> None:
    with pytest.raises(PlumblineError, match=message):
        MMVet("pocket", **options)


def test_official_files_are_scored_by_command(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = written(tmp_path / "answers.json", {f"v1_{n}": "x" for n in range(6)})
    path = written(tmp_path / "m_gpt-4-grade-2runs.json", grades(*[(0.5, 1.0)] * 6))
    arguments = ["--benchmark", "mmvet", "--responses", str(answers), "--judgments", str(path)]
    arguments += ["--data-dir", str(data_dir), "--json"]
    assert score_command.main(arguments) == 2
    assert "--set mmvet.judge_runs=2" in capsys.readouterr().err
    assert score_command.main([*arguments, "--set", "mmvet.judge_runs=2"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["metrics"]["total"]["value"] == 75
    assert result["metrics"]["std"]["value"] == 25
    assert result["metrics"]["score/math_ocr"]["n_asked"] == 2
