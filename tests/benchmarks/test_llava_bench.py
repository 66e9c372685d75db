"""LLaVA-Bench on made-up questions.

Run: pytest tests/benchmarks/test_llava_bench.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
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
    Metric,
    MissingDataError,
    PlumblineError,
    Response,
    ScoreRow,
    ScoreStatus,
)
from benchmarks.llava_bench import SYSTEM, LLaVABench
from benchmarks.llava_bench_scores import (
    columns_of,
    mean_ratings,
    official_pair,
    relative_score,
    restored,
    stored,
)
from harness import score as score_command
from tests.scripted import ask, by_item, score

Records = list[dict[str, Any]]
CATEGORIES = ("conv", "detail", "complex", "conv")


def questions() -> Records:
    return [
        {"question_id": n, "image": f"{n // 2}.jpg", "text": f"What is {n}?", "category": category}
        for n, category in enumerate(CATEGORIES)
    ]


def answers(text: str = "It is {}.") -> Records:
    return [
        {
            "question_id": n,
            "prompt": f"What is {n}?",
            "text": text.format(n),
            "answer_id": f"a{n}",
            "model_id": "m",
            "metadata": {},
        }
        for n in range(4)
    ]


def reviews(*pairs: Any, **change: Any) -> Records:
    return [
        {
            "id": n + 1,
            "question_id": n,
            "answer1_id": "r",
            "answer2_id": f"a{n}",
            "category": f"llava_bench_{CATEGORIES[n]}",
            "content": "…" if list(pair) == [-1, -1] else f"{pair[0]} {pair[1]}\nSo it is.",
            "tuple": list(pair),
            **change,
        }
        for n, pair in enumerate(pairs)
    ]


def rules() -> dict[str, Any]:
    return {
        f"llava_bench_{category}": {"role": "Assistant", "prompt": f"Rate {category}."}
        for category in set(CATEGORIES)
    } | {"conv": {"role": "Assistant", "prompt": "Rate with boxes."}}


def written(path: Path, content: Any) -> Path:
    """Lists as JSON Lines, texts as they are, other things as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list):
        content = "".join(json.dumps(record) + "\n" for record in content)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=4))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The benchmark's folder of official files."""
    folder = tmp_path / "data" / "llava_bench"
    written(folder / "questions.jsonl", questions())
    captions: Records = [
        {"image": "0.jpg", "caption": "A cup."},
        {"image": "1.jpg", "caption": ["A cat.", "A dog."]},
    ]
    written(folder / "context.jsonl", captions)
    written(folder / "answers_gpt4.jsonl", answers("Reference {}."))
    written(folder / "rule.json", rules())
    return folder


@pytest.fixture
def llava_bench(folder: Path) -> LLaVABench:
    return LLaVABench("official", folder.parent)


def scored(
    benchmark: LLaVABench, *files: Path
) -> tuple[list[ScoreRow], dict[tuple[str, str], Metric]]:
    return score(benchmark, by_item(benchmark.read_judgments(files)))


# The parser


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("8 9", (8.0, 9.0)),
        ("8,9\nBecause.", (8.0, 9.0)),
        ("8.5 7\r\n", (8.5, 7.0)),
        ("11 3", (11.0, 3.0)),
        ("-1 5", (-1.0, 5.0)),
        ("8 9.", (8.0, 9.0)),
        ("inf -inf", (math.inf, -math.inf)),
        ("1e999 1_0", (math.inf, 10.0)),
        ("8\t 9", (8.0, 9.0)),
        ("", None),
        ("8, 9", None),
        ("8  9", None),
        (" 8 9", None),
        ("8 9 ", None),
        ("8\t9", None),
        ("\n8 9", None),
        ("8", None),
        ("8 9 7", None),
        ("8/10 9/10", None),
        ("Score: 8 9", None),
        ("8 and", None),
        ("8 \ud800", None),
    ],
)
def test_pairs(reply: str, expected: tuple[float, float] | None) -> None:
    assert official_pair(reply) == expected


def test_nan_is_read_as_in_the_script() -> None:
    pair = official_pair("nan 9")
    assert pair is not None
    assert math.isnan(pair[0])


@given(st.floats(), st.floats(), st.sampled_from([" ", ","]), st.text())
def test_every_pair_of_numbers_is_read_and_kept(
    first: float, second: float, separator: str, explanation: str
) -> None:
    pair = official_pair(f"{first}{separator}{second}\n{explanation}")
    assert str(pair) == str((first, second))
    assert pair is not None
    assert str(restored(json.loads(json.dumps(stored(pair), allow_nan=False)))) == str(pair)


@given(st.text(st.characters(exclude_categories=())))
def test_any_reply_has_a_pair_or_none(reply: str) -> None:
    pair = official_pair(reply)
    assert pair is None or len(reply.split("\n")[0].replace(",", " ").split(" ")) == len(pair)


# What is asked


def test_items(llava_bench: LLaVABench, folder: Path) -> None:
    items = llava_bench.items()
    assert [(item.id, item.split, item.group) for item in items] == [
        ("0", "conv", "0.jpg"),
        ("1", "detail", "0.jpg"),
        ("2", "complex", "1.jpg"),
        ("3", "conv", "1.jpg"),
    ]
    picture: Any = items[2].pictures[0]
    assert picture.path == folder / "images" / "1.jpg"
    request = llava_bench.request(items[2])
    assert request is not None
    assert request.messages == (Message("user", "What is 2?", items[2].pictures),)
    assert (request.decoding.max_new_tokens, request.decoding.temperature) == (1024, 0.0)
    assert llava_bench.request(items[2], [Response("x", "", "y")]) is None


def test_the_judge_sees_the_reference_first(llava_bench: LLaVABench) -> None:
    item = llava_bench.items()[2]
    (request,) = llava_bench.judge_requests(item, [Response(item.id, "", "[Question]\n{} ")])
    prompt = (
        "[Context]\nA cat.\nA dog.\n\n[Question]\nWhat is 2?\n\n"
        "[Assistant 1]\nReference 2.\n\n[End of Assistant 1]\n\n"
        "[Assistant 2]\n[Question]\n{} \n\n[End of Assistant 2]\n\n"
        "[System]\nRate complex.\n\n"
    )
    assert request.messages == (Message("system", SYSTEM), Message("user", prompt))
    assert (request.decoding.temperature, request.decoding.max_new_tokens) == (0.2, 1024)
    assert llava_bench.judge_requests(item, [Response.failed(item.id, "", "x")]) == ()
    assert (llava_bench.judge.model, llava_bench.judge.max_attempts) == ("gpt-4-0314", 1)


def test_each_run_is_asked_once(llava_bench: LLaVABench, tmp_path: Path) -> None:
    twice = replace(llava_bench, judge_runs=2)
    session = ask(twice, {"0": "It.", "1": "It."}, ["8 7", "?", "9 6", "8 8"], tmp_path)
    assert [j.request_id for j in session.judgments["0"]] == ["0", "0#run2"]
    rows, metrics = score(twice, session.judgments)
    assert [row.status for row in rows[:2]] == [ScoreStatus.UNPARSED, ScoreStatus.SCORED]
    assert rows[0].details["pairs"] == [[8.0, 7.0], [-1.0, -1.0]]
    assert metrics["", "relative_score_run_1"].value == pytest.approx(100 * 13 / 17)
    assert metrics["", "relative_score_run_2"].value == pytest.approx(100)


# What is counted


def test_metrics_by_hand(llava_bench: LLaVABench, tmp_path: Path) -> None:
    path = written(tmp_path / "reviews.jsonl", reviews((8, 10), (9, 6.5), (8, 6), (7, 7)))
    _, metrics = scored(llava_bench, path)
    value = {key: metric.value for key, metric in metrics.items()}
    assert value["", "relative_score"] == 7.375 / 8 * 100
    assert value["", "reference_score"] == 80
    assert value["", "candidate_score"] == 73.75
    assert value["conv", "relative_score"] == 8.5 / 7.5 * 100
    assert value["detail", "relative_score"] == 6.5 / 9 * 100
    assert value["complex", "candidate_score"] == 60
    assert value["", "strict_relative_score"] == pytest.approx(7.375 / 8 * 100)
    assert value["", "unparsed_replies"] == 0
    assert [name for (_, name), metric in metrics.items() if metric.headline] == ["relative_score"]
    own = {name for (_, name), metric in metrics.items() if not metric.official}
    assert own == {"strict_relative_score", "unparsed_replies"}
    assert metrics["conv", "relative_score"].n_asked == 2


def test_means_are_rounded_before_they_are_divided(llava_bench: LLaVABench, tmp_path: Path) -> None:
    path = written(tmp_path / "reviews.jsonl", reviews((3, 1), (3, 1), (3, 2)))
    _, metrics = scored(llava_bench, path)
    assert metrics["", "relative_score"].value == 1.333 / 3 * 100
    assert metrics["", "strict_relative_score"].value == pytest.approx(400 / 9)


def test_failed_pairs_count_officially_only(llava_bench: LLaVABench, tmp_path: Path) -> None:
    path = written(tmp_path / "reviews.jsonl", reviews((8, 4), (-1, -1), (8, 4), (8, 4)))
    rows, metrics = scored(llava_bench, path)
    assert (rows[1].status, rows[1].values) == (ScoreStatus.UNPARSED, {})
    assert metrics["", "relative_score"].value == 2.75 / 5.75 * 100
    assert metrics["detail", "relative_score"].value == 100
    assert metrics["", "strict_relative_score"].value == 50
    assert metrics["", "unparsed_replies"].value == 1
    assert (metrics["", "relative_score"].n_scored, metrics["", "relative_score"].n_asked) == (3, 4)


def test_ratings_off_the_scale_count_officially_only(
    llava_bench: LLaVABench, tmp_path: Path
) -> None:
    path = written(tmp_path / "reviews.jsonl", reviews((8, 4), (11, 3), (0, 0), (-1, 5)))
    _, metrics = scored(llava_bench, path)
    assert metrics["", "relative_score"].value == 3 / 4.5 * 100
    assert metrics["", "strict_relative_score"].value == 50
    assert metrics["", "unparsed_replies"].value == 3


@pytest.mark.parametrize(
    ("pair", "relative", "candidate"),
    [
        ((8, math.nan), None, None),
        ((math.nan, 8), None, 50),
        ((8, math.inf), None, None),
        ((math.inf, 8), 0, 50),
        ((math.inf, -math.inf), None, None),
        ((1e308, 8), 0, 50),
        ((-12, 8), None, 50),
    ],
)
def test_what_the_script_does_not_print_as_a_number_is_undefined(
    llava_bench: LLaVABench,
    tmp_path: Path,
    pair: tuple[float, float],
    relative: float | None,
    candidate: float | None,
) -> None:
    """The other three have (4, 4): the last pair makes the references' mean zero."""
    path = written(tmp_path / "reviews.jsonl", reviews((4, 4), pair, (4, 4), (4, 4)))
    _, metrics = scored(llava_bench, path)
    assert metrics["", "relative_score"].value == relative
    assert metrics["", "candidate_score"].value == candidate
    if relative is None:
        assert "no finite number" in (metrics["", "relative_score"].note or "")
    assert metrics["complex", "relative_score"].value == 100
    assert metrics["", "strict_relative_score"].value == 100


def test_runs_are_averaged_and_their_spread_is_told(
    llava_bench: LLaVABench, tmp_path: Path
) -> None:
    thrice = replace(llava_bench, judge_runs=3)
    files = [
        written(tmp_path / f"eval{n}.jsonl", reviews(*[(8, rating)] * 4))
        for n, rating in enumerate((4, 6, 8))
    ]
    _, metrics = scored(thrice, *files)
    assert [metrics["", f"relative_score_run_{n}"].value for n in (1, 2, 3)] == [50, 75, 100]
    assert metrics["", "relative_score"].value == 75
    assert metrics["", "candidate_score"].value == 60
    assert metrics["", "relative_score_std"].value == pytest.approx(25 * math.sqrt(2 / 3))
    assert metrics["", "strict_relative_score"].value == 75


def test_old_reviews_without_a_category_count_in_all_only(
    llava_bench: LLaVABench, tmp_path: Path
) -> None:
    records = reviews((8, 4), (8, 4), (8, 4), (8, 8))
    for record in records[:3]:
        del record["category"]
        record["score"] = record.pop("tuple")
    del records[0]["content"]
    _, metrics = scored(llava_bench, written(tmp_path / "reviews.jsonl", records))
    assert metrics["", "relative_score"].value == 5 / 8 * 100
    assert metrics["conv", "relative_score"].value == 100
    assert metrics["detail", "relative_score"].value is None


def test_a_pair_of_minus_one_that_the_judge_wrote_was_read(
    llava_bench: LLaVABench, tmp_path: Path
) -> None:
    path = written(tmp_path / "reviews.jsonl", reviews((-1, -1), (8, 8), content="-1 -1"))
    first, second = llava_bench.read_judgments([path])
    assert (first.status, first.values) == (JudgmentStatus.OK, {"pair": [-1.0, -1.0]})
    assert second.values == {"pair": [8.0, 8.0]}  # mended by hand: the tuple decides


def test_failures_have_no_numbers_at_all(llava_bench: LLaVABench) -> None:
    item = llava_bench.items()[0]
    answer = [Response(item.id, "", "x")]
    failed = Judgment(item.id, item.id, "", JudgmentStatus.JUDGE_ERROR, error="timed out")
    good = Judgment(item.id, item.id, "", JudgmentStatus.OK, values={"pair": [8.0, 8.0]})
    for benchmark, responses, judgments, status in (
        (llava_bench, [], [], ScoreStatus.GENERATION_ERROR),
        (llava_bench, [Response.failed(item.id, "", "gone")], [], ScoreStatus.GENERATION_ERROR),
        (llava_bench, answer, [], ScoreStatus.JUDGE_ERROR),
        (llava_bench, answer, [failed], ScoreStatus.JUDGE_ERROR),
        (replace(llava_bench, judge_runs=2), answer, [good], ScoreStatus.JUDGE_ERROR),
    ):
        row = benchmark.score(item, responses, judgments)
        assert (row.status, row.values, row.official) == (status, {}, {})


RATING = st.sampled_from([-1.0, 0.0, *(n / 10 for n in range(10, 101))])


@given(st.lists(st.tuples(RATING, RATING), min_size=1, max_size=80))
def test_ratings_are_averaged_as_in_the_script(pairs: list[tuple[float, float]]) -> None:
    rows = [
        ScoreRow(str(n), str(n), "", ScoreStatus.SCORED, official=columns_of([pair]))
        for n, pair in enumerate(pairs)
    ]
    found = mean_ratings(rows, np.ones(len(rows)), run=1)
    assert list(found) == [round(mean, 3) for mean in np.asarray(pairs).mean(0).tolist()]
    assert math.isnan(relative_score(found)) == (found[0] == 0)


# Files


def test_written_answers_are_read_back(llava_bench: LLaVABench, tmp_path: Path) -> None:
    texts = ["\ud800", "", "a\nb\u2028", " c "]
    items = llava_bench.items()
    responses = {i.id: Response(i.id, "", text) for i, text in zip(items, texts, strict=True)}
    (text,) = llava_bench.official_files(responses).values()
    path = written(tmp_path / "answers.jsonl", text)
    for pairing in ("id", "position"):
        read = llava_bench.read_responses([path], pairing=pairing)
        assert [response.text for response in read] == texts
    records = [json.loads(line) for line in text.splitlines()]
    assert [list(record) for record in records[:1]] == [
        ["question_id", "prompt", "text", "answer_id", "model_id", "metadata"]
    ]
    assert [record["question_id"] for record in records] == [0, 1, 2, 3]
    assert len({record["answer_id"] for record in records}) == 4
    assert llava_bench.official_files(responses)["llava_bench_answers.jsonl"] == text
    del responses["1"]
    assert llava_bench.official_files(responses) == {}


def test_answers_are_paired_by_id_or_by_position(llava_bench: LLaVABench, tmp_path: Path) -> None:
    records = [answers()[n] for n in (2, 0, 3)]
    path = written(tmp_path / "answers.jsonl", records)
    by_id = {r.request_id: r.text for r in llava_bench.read_responses([path])}
    assert by_id == {"2": "It is 2.", "0": "It is 0.", "3": "It is 3."}
    by_position = llava_bench.read_responses([path], pairing="position")
    assert [(r.request_id, r.text) for r in by_position] == [
        ("0", "It is 2."),
        ("1", "It is 0."),
        ("2", "It is 3."),
    ]


@pytest.mark.parametrize(
    ("records", "pairing", "message"),
    [
        ([{"text": "x"}], "id", "line 1: question_id is None, no id.*--pairing position"),
        ([{"question_id": 9, "text": "x"}], "id", "line 1: there is no question with question_id 9"),
        (answers()[:1] * 2, "id", "line 2: question_id 0 as in line 1"),
        ([{"question_id": 0}], "id", "line 1: text is NoneType, not text"),
        ([{"question_id": 0, "text": 3}], "position", "line 1: text is int, not text"),
        (answers() + answers()[:1], "position", "line 5: there are 5 answers to 4 questions"),
    ],
)  # fmt: skip
def test_bad_answers(
    llava_bench: LLaVABench, tmp_path: Path, records: Records, pairing: str, message: str
) -> None:
    path = written(tmp_path / "answers.jsonl", records)
    with pytest.raises(BadRecordError, match=message):
        llava_bench.read_responses([path], pairing=pairing)


def test_hints(llava_bench: LLaVABench, tmp_path: Path) -> None:
    path = written(tmp_path / "answers.jsonl", answers())
    with pytest.raises(PlumblineError, match="takes the hint pairing, not split"):
        llava_bench.read_responses([path], split="conv")
    with pytest.raises(PlumblineError, match="choose from id, position"):
        llava_bench.read_responses([path], pairing="order")
    with pytest.raises(BadRecordError, match="one file of all answers is needed"):
        llava_bench.read_responses([path, path])


@pytest.mark.parametrize("given_id", ["0", 0])
def test_ids_may_stand_in_quotes(llava_bench: LLaVABench, tmp_path: Path, given_id: Any) -> None:
    path = written(tmp_path / "answers.jsonl", [{"question_id": given_id, "text": "x"}])
    assert [r.request_id for r in llava_bench.read_responses([path])] == ["0"]


@pytest.mark.parametrize("runs", [1, 3])
def test_there_is_a_file_of_reviews_for_each_run(
    llava_bench: LLaVABench, tmp_path: Path, runs: int
) -> None:
    path = written(tmp_path / "reviews.jsonl", reviews((8, 8)))
    with pytest.raises(PlumblineError, match=r"2 files .* add --set llava_bench\.judge_runs=2"):
        replace(llava_bench, judge_runs=runs).read_judgments([path, path])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_id": 9}, "there is no question with question_id 9"),
        ({"question_id": True}, "question_id is True, no id"),
        ({"category": "llava_bench_detail"}, "category is 'llava_bench_detail', but question 0"),
        ({"tuple": None}, "tuple is None, no pair of numbers"),
        ({"tuple": [8.0]}, "tuple is .8.0., no pair of numbers"),
        ({"tuple": [8.0, "9"]}, "no pair of numbers"),
        ({"tuple": [True, 9]}, "no pair of numbers"),
        ({"tuple": [10**400, 9]}, "a number of tuple is too large"),
        ({"content": 8}, "content is no text"),
    ],
)
def test_bad_reviews(llava_bench: LLaVABench, tmp_path: Path, change: Any, message: str) -> None:
    records = reviews((8, 8))
    records[0] |= change
    with pytest.raises(BadRecordError, match=f"line 1: .*{message}"):
        llava_bench.read_judgments([written(tmp_path / "reviews.jsonl", records)])


def test_a_file_without_reviews_is_refused(llava_bench: LLaVABench, tmp_path: Path) -> None:
    with pytest.raises(BadRecordError, match=r"reviews\.jsonl: there is no review in it"):
        llava_bench.read_judgments([written(tmp_path / "reviews.jsonl", [])])


def test_an_item_is_reviewed_once(llava_bench: LLaVABench, tmp_path: Path) -> None:
    records = reviews((8, 8)) * 2
    with pytest.raises(BadRecordError, match="line 2: question_id 0 as in line 1"):
        llava_bench.read_judgments([written(tmp_path / "reviews.jsonl", records)])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("questions.jsonl", questions()[:1] * 2, "a second question with question_id 0"),
        ("questions.jsonl", [{**questions()[0], "category": "x"}], "category is 'x', none of"),
        ("questions.jsonl", [{**questions()[0], "text": ""}], "text is '', not a question"),
        ("questions.jsonl", [{**questions()[0], "image": "../1.jpg"}], "not a file name"),
        ("questions.jsonl", [], "there is no question in it"),
        ("context.jsonl", [{"image": "0.jpg"}], "image or caption is no text"),
        ("context.jsonl", [{"image": "1.jpg", "caption": ""}], r"no caption of 0\.jpg"),
        ("answers_gpt4.jsonl", answers()[:3], "3 answers to 4 questions"),
        ("answers_gpt4.jsonl", answers()[::-1], "question_id is 3 where 0 belongs"),
        ("rule.json", {"conv": {}}, "no rule llava_bench_complex with role and prompt"),
    ],
)
def test_bad_official_files(folder: Path, name: str, content: Any, message: str) -> None:
    written(folder / name, content)
    benchmark = LLaVABench("official", folder.parent)
    with pytest.raises(BadRecordError, match=message) as caught:
        benchmark.judge_requests(benchmark.items()[0], [Response("0", "", "x")])
    assert name in str(caught.value)
    assert "python -m harness.fetch llava_bench --data-dir" in str(caught.value)


def test_absent_files_are_named_with_the_remedy(tmp_path: Path, folder: Path) -> None:
    for data_dir, message in ((None, "--data-dir"), (tmp_path / "x", "questions.jsonl")):
        with pytest.raises(MissingDataError) as caught:
            LLaVABench("official", data_dir).items()
        assert message in str(caught.value)
        assert caught.value.remedy.startswith("python -m harness.fetch llava_bench")
    for name in ("context.jsonl", "answers_gpt4.jsonl", "rule.json"):
        content = (folder / name).read_text()
        (folder / name).unlink()
        benchmark = LLaVABench("official", folder.parent)
        with pytest.raises(MissingDataError, match=name):
            benchmark.judge_requests(benchmark.items()[0], [Response("0", "", "x")])
        assert benchmark.protocol()["judge_sha256"][name] is None
        written(folder / name, content)


def test_the_stand_in_is_enough_to_score_with(folder: Path, tmp_path: Path) -> None:
    official = LLaVABench("official", folder.parent)
    assert official.protocol()["questions"] == "questions.jsonl"
    records = [{k: v for k, v in record.items() if k != "image"} for record in questions()]
    written(folder / "questions_reconstructed.jsonl", records)
    (folder / "questions.jsonl").unlink()
    stand_in = LLaVABench("official", folder.parent)
    assert "questions_reconstructed.jsonl, which stands in" in stand_in.protocol()["questions"]
    path = written(tmp_path / "reviews.jsonl", reviews(*[(8, 4)] * 4))
    _, metrics = scored(stand_in, path)
    assert metrics["", "relative_score"].value == 50
    item = stand_in.items()[0]
    assert [picture.path.exists() for picture in item.pictures] == [False]  # type: ignore[attr-defined]
    with pytest.raises(MissingDataError, match=r"questions\.jsonl"):
        stand_in.judge_requests(item, [Response(item.id, "", "x")])


@pytest.mark.parametrize("option", ["judge_runs", "max_new_tokens"])
def test_options_are_checked(option: str) -> None:
    options: Any = {option: 0}
    with pytest.raises(PlumblineError, match=rf"llava_bench\.{option} is 0"):
        LLaVABench("pocket", **options)


def test_official_files_are_scored_by_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given: Sequence[str] = [
        str(written(tmp_path / f"eval{n}.jsonl", reviews(*[(8, 4 + n)] * 4))) for n in (0, 4)
    ]
    path = written(tmp_path / "answers.jsonl", answers())
    arguments = ["--benchmark", "llava_bench", "--responses", str(path), "--pairing", "position"]
    arguments += ["--data-dir", str(folder.parent), "--json", "--judgments", *given]
    assert score_command.main(arguments) == 2
    assert "--set llava_bench.judge_runs=2" in capsys.readouterr().err
    assert score_command.main([*arguments, "--set", "llava_bench.judge_runs=2"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["relative_score"]["value"] == 75
    assert metrics["relative_score_std"]["value"] == 25
    assert metrics["candidate_score/detail"]["value"] == 60
