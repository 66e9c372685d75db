"""LLaVA-Bench's numbers against those of the official scripts, value by value.

Cases are found by their form, so that another folder of the same form can be given::

    pytest tests/parity/test_llava_bench_parity.py --parity-dir DIR [--parity-data-dir DIR]

* a ``.json`` list of records with "review" and "expected": a judge's reply and the pair in it;
* ``*_summary_expected.json``: by name of a file of reviews beside it, the three figures of each
  group;
* a ``.json`` object with "expected_requests": questions, contexts, answers and judge replies, and
  what the scripts made of them.

Reviews go the way of a user's: ``read_judgments``, ``score_items``, ``evaluate``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Metric
from benchmarks.llava_bench import LLaVABench
from benchmarks.llava_bench_files import PREFIX
from benchmarks.llava_bench_scores import FAILED, official_pair
from benchmarks.records import read_records
from tests.scripted import Session, ask, by_item, score

FIGURES = {
    "relative_score": "relative_score",
    "gpt4_score_x10": "reference_score",
    "model_score_x10": "candidate_score",
}
"""Our metric by the fixtures' name."""


@dataclass(frozen=True)
class Reviewed:
    """A file of reviews and what the script printed of it."""

    path: Path
    expected: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """A run of both scripts from questions to summary."""

    name: str
    content: Mapping[str, Any]


def _folder(config: pytest.Config) -> Path | None:
    folder: Path | None = config.getoption("parity_dir")
    if folder is not None and (folder / "llava_bench").is_dir():
        return folder / "llava_bench"
    return folder


def _json_files(folder: Path) -> list[tuple[Path, Any]]:
    found = []
    for path in sorted(folder.rglob("*.json")):
        try:
            found.append((path, json.loads(path.read_text(encoding="utf-8"))))
        except ValueError:
            continue
    return found


def _parsed(folder: Path) -> list[Mapping[str, Any]]:
    lists = [content for _, content in _json_files(folder) if isinstance(content, list)]
    records = [r for content in lists for r in content if isinstance(r, dict)]
    return [record for record in records if {"review", "expected"} <= set(record)]


def _reviewed(folder: Path) -> list[Reviewed]:
    return [
        Reviewed(path.parent / name, groups)
        for path, content in _json_files(folder)
        if path.name.endswith("_summary_expected.json")
        for name, groups in content.items()
    ]


def _of_the_same_questions(files: Sequence[Reviewed]) -> list[list[Reviewed]]:
    """Files that are several reviews, each with a score."""
    found: dict[str, list[Reviewed]] = {}
    for file in files:
        if _number(file.expected["all"]["relative_score"]) is not None:
            found.setdefault(json.dumps(_questions(file)), []).append(file)
    return [several for several in found.values() if len(several) > 1]


def _questions(file: Reviewed) -> list[Mapping[str, Any]]:
    """Made from the reviews, so that it does not matter which questions these are."""
    return [
        {
            "question_id": review["question_id"],
            "image": "001.jpg",
            "text": "What?",
            "category": review.get("category", "conv").removeprefix(PREFIX),
        }
        for review in (record.fields for record in read_records(file.path))
    ]


def _cases(folder: Path) -> list[Case]:
    return [
        Case(path.name, content)
        for path, content in _json_files(folder)
        if isinstance(content, dict) and "expected_requests" in content
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = _folder(metafunc.config)
    if "parsed" in metafunc.fixturenames:
        found = _parsed(folder) if folder else []
        metafunc.parametrize("parsed", found, ids=lambda record: repr(record["review"])[:40])
    if "reviewed" in metafunc.fixturenames:
        files = _reviewed(folder) if folder else []
        metafunc.parametrize("reviewed", files, ids=lambda case: case.path.name)
    if "several" in metafunc.fixturenames:
        groups = _of_the_same_questions(_reviewed(folder)) if folder else []
        metafunc.parametrize("several", groups, ids=lambda files: files[0].path.name)
    if "case" in metafunc.fixturenames:
        cases = _cases(folder) if folder else []
        metafunc.parametrize("case", cases, ids=lambda case: case.name)


def _same(found: Sequence[float], expected: Sequence[Any]) -> bool:
    """Whether two pairs are the same, "nan" among them."""
    wanted = [float(number) for number in expected]
    return [str(number) for number in found] == [str(number) for number in wanted]


def _data(folder: Path, questions: Sequence[Mapping[str, Any]], **files: Sequence[Any]) -> Path:
    """A data folder with these questions, and other JSON Lines files by name."""
    (folder / "data" / "llava_bench").mkdir(parents=True)
    for name, records in {"questions": questions, **files}.items():
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / "data" / "llava_bench" / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder / "data"


def _check_summary(
    metrics: Mapping[tuple[str, str], Metric], expected: Mapping[str, Mapping[str, Any]]
) -> None:
    """Every printed figure; one that is no number, or at which the script stops, is undefined."""
    for group, figures in expected.items():
        split = "" if group == "all" else group.removeprefix(PREFIX)
        for name, figure in figures.items():
            value = metrics[split, FIGURES[name]].value
            printed = None if value is None else round(value, 1)
            assert printed == _number(figure), (group, name)
    told = {group.removeprefix(PREFIX) for group in expected} - {"all"}
    found = {split for split, name in metrics if split and metrics[split, name].value is not None}
    assert found <= told


def _number(figure: Any) -> float | None:
    try:
        number = float(figure)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


# Replies


def test_replies_are_read_as_officially(parsed: Mapping[str, Any]) -> None:
    assert _same(official_pair(parsed["review"] or "") or FAILED, parsed["expected"])


# Recorded reviews


def test_summaries_are_the_official_ones(reviewed: Reviewed, tmp_path: Path) -> None:
    benchmark = LLaVABench("official", _data(tmp_path, _questions(reviewed)))
    rows, metrics = score(benchmark, by_item(benchmark.read_judgments([reviewed.path])))
    _check_summary(metrics, reviewed.expected)
    for row, record in zip(rows, read_records(reviewed.path), strict=True):
        (pair,) = row.details["pairs"]
        assert _same(
            [float(x) for x in pair], record.fields.get("tuple", record.fields.get("score"))
        )


def test_several_reviews_have_the_mean_of_their_scores(
    several: Sequence[Reviewed], tmp_path: Path
) -> None:
    data_dir = _data(tmp_path, _questions(several[0]))
    benchmark = LLaVABench("official", data_dir, judge_runs=len(several))
    paths = [file.path for file in several]
    _, metrics = score(benchmark, by_item(benchmark.read_judgments(paths)))
    found = [metrics["", f"relative_score_run_{n}"].value or 0 for n in range(1, len(paths) + 1)]
    expected = [file.expected["all"]["relative_score"] for file in several]
    assert [round(value, 1) for value in found] == expected
    assert metrics["", "relative_score"].value == pytest.approx(sum(found) / len(found))


# From questions to summary


@pytest.fixture
def benchmark(case: Case, parity_data_dir: Path, tmp_path: Path) -> LLaVABench:
    """The benchmark over a case's own questions."""
    content = case.content
    data_dir = _data(
        tmp_path,
        content["questions"],
        context=content["context"],
        answers_gpt4=content["reference_answers"],
        candidate=content["candidate_answers"],
    )
    rule = parity_data_dir / "llava_bench" / "rule.json"
    if not rule.is_file():
        pytest.skip("rule.json is not among the official files")
    (data_dir / "llava_bench" / "rule.json").write_bytes(rule.read_bytes())
    return LLaVABench("official", data_dir)


@pytest.fixture
def session(case: Case, benchmark: LLaVABench, tmp_path: Path) -> Session:
    """Answers are paired by position, as the script does."""
    path = tmp_path / "data" / "llava_bench" / "candidate.jsonl"
    responses = benchmark.read_responses([path], pairing="position")
    answers = {response.request_id: response.text for response in responses}
    replies = [reply or "" for reply in case.content["judge_replies"]]
    return ask(benchmark, answers, replies, tmp_path)


def test_the_judge_is_asked_as_officially(
    case: Case, benchmark: LLaVABench, session: Session
) -> None:
    told = [
        {
            "model": benchmark.judge.model,
            "temperature": call.decoding.temperature,
            "max_tokens": call.decoding.max_new_tokens,
            "messages": [{"role": m.role, "content": m.text} for m in call.messages],
        }
        for calls in session.calls.values()
        for call in calls
    ]
    assert told == case.content["expected_requests"]


def test_reviews_are_the_official_ones(case: Case, benchmark: LLaVABench, session: Session) -> None:
    rows, _ = score(benchmark, session.judgments)
    row_of = {row.item_id: row for row in rows}
    for review in case.content["expected_reviews"]:
        row = row_of[str(review["question_id"])]
        (judgment,) = session.judgments[row.item_id]
        assert (judgment.raw, f"{PREFIX}{row.split}") == (
            review["content"] or "",
            review["category"],
        )
        (pair,) = row.details["pairs"]
        assert _same([float(x) for x in pair], review["tuple"])


def test_sessions_end_in_the_official_summary(
    case: Case, benchmark: LLaVABench, session: Session
) -> None:
    _, metrics = score(benchmark, session.judgments)
    _check_summary(metrics, case.content["expected_summary"])


# The official files


def test_the_questions_are_read_whole(parity_data_dir: Path) -> None:
    items = LLaVABench("official", parity_data_dir).items()
    splits = [item.split for item in items]
    counts = {name: splits.count(name) for name in ("conv", "detail", "complex")}
    assert counts == {"conv": 17, "detail": 15, "complex": 28}
    assert [item.id for item in items] == [str(number) for number in range(60)]


def test_released_answers_are_read(parity_data_dir: Path) -> None:
    benchmark = LLaVABench("official", parity_data_dir)
    for path in sorted((parity_data_dir / "llava_bench").glob("*.answers.jsonl")):
        by_id = benchmark.read_responses([path])
        assert [response.request_id for response in by_id] == [i.id for i in benchmark.items()]
        assert by_id == benchmark.read_responses([path], pairing="position")
