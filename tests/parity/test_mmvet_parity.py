"""MM-Vet's numbers against those of the official script, column by column, as its tables print them.

Cases are found by their form, so that another folder of the same form can be given::

    pytest tests/parity/test_mmvet_parity.py --parity-dir DIR [--parity-data-dir DIR]

* ``<model>_expected.json``: for "<n>runs" the two tables' columns; the grades are in
  ``<model>_<judge>-grade-<n>runs.json`` beside it;
* a ``.json`` file of "items" with "calls": what the script asked the judge about each item, what
  the judge replied, what was stored, and the tables.

Grades go the way of a user's: ``read_judgments``, ``score_items``, ``evaluate``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import JudgmentStatus, Metric, ScoreRow
from benchmarks.mmvet import MMVet
from harness.show import number
from tests.scripted import Session, ask, by_item, score

Metrics = Mapping[tuple[str, str], Metric]
Tables = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Case:
    """One table of the script, or one scripted session."""

    name: str
    path: Path
    n_runs: int
    expected: Mapping[str, Any]


def _folder(config: pytest.Config) -> Path | None:
    folder: Path | None = config.getoption("parity_dir")
    return folder / "mmvet" if folder is not None and (folder / "mmvet").is_dir() else folder


def _objects(folder: Path, pattern: str) -> list[tuple[Path, Mapping[str, Any]]]:
    found: list[tuple[Path, Mapping[str, Any]]] = []
    for path in sorted(folder.rglob(pattern)):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if isinstance(content, dict):
            found.append((path, content))
    return found


def _graded(folder: Path) -> list[Case]:
    cases = []
    for path, content in _objects(folder, "*_expected.json"):
        for key, tables in content.items():
            if not isinstance(tables, dict) or "cap_score" not in tables:
                continue
            model = path.name.removesuffix("_expected.json")
            for grades in sorted(path.parent.iterdir()):
                if grades.name.startswith(f"{model}_") and grades.name.endswith(
                    f"-grade-{key}.json"
                ):
                    cases.append(Case(grades.name, grades, int(key.removesuffix("runs")), tables))
    return cases


def _scripted(folder: Path) -> list[Case]:
    return [
        Case(path.name, path, content["num_run"], content)
        for path, content in _objects(folder, "*.json")
        if "num_run" in content and all("calls" in item for item in content.get("items", [{}]))
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = _folder(metafunc.config)
    for name, find in (("graded", _graded), ("scripted", _scripted)):
        if name in metafunc.fixturenames:
            cases = find(folder) if folder else []
            metafunc.parametrize(name, cases, ids=lambda case: case.name)


def _printed(metric: Metric) -> str:
    """As our table prints it, which must be what the script prints."""
    return "nan" if metric.value is None else number(metric.value, metric)


def _check_tables(expected: Mapping[str, Any], metrics: Metrics, n_runs: int) -> None:
    runs = ", ".join(_printed(metrics["", f"total_run_{run}"]) for run in range(1, n_runs + 1))
    both = {name: _printed(metrics["", name]) for name in ("total", "std")} | {"runs": f"[{runs}]"}
    own = {"strict_total", "unparsed_replies", *(f"total_run_{run + 1}" for run in range(n_runs))}
    capabilities = {name for split, name in metrics if not split} - own
    by_capability = {name: _printed(metrics["", name]) for name in capabilities}
    combinations = {split: _printed(metrics[split, "score"]) for split, _ in metrics if split}
    assert {**by_capability, **both} == _table(expected["cap_score"])
    assert {**combinations, **both} == _table(expected["cap_int_score"])


def _table(columns: Mapping[str, str]) -> dict[str, str]:
    """A printed table, in which an empty cell is a number that does not exist."""
    names = {name: "_".join(sorted(name.split("_"))) for name in columns}
    return {names[name]: str(cell) if cell else "nan" for name, cell in columns.items()}


# Recorded grades


@pytest.fixture
def data_dir(parity_data_dir: Path) -> Path:
    return parity_data_dir


def test_tables_are_the_official_ones(data_dir: Path, graded: Case) -> None:
    mmvet = MMVet("official", data_dir, judge_runs=graded.n_runs)
    _, metrics = score(mmvet, by_item(mmvet.read_judgments([graded.path])))
    _check_tables(graded.expected, metrics, graded.n_runs)


def test_every_item_keeps_its_official_scores(data_dir: Path, graded: Case) -> None:
    mmvet = MMVet("official", data_dir, judge_runs=graded.n_runs)
    rows, _ = score(mmvet, by_item(mmvet.read_judgments([graded.path])))
    grades = json.loads(graded.path.read_text(encoding="utf-8"))
    for row in rows:
        counted = [row.official.get(f"run_{run}") for run in range(1, graded.n_runs + 1)]
        wanted = grades[row.item_id]["score"][: graded.n_runs]
        assert counted == [score if math.isfinite(score) else None for score in wanted]


# Scripted judges


@pytest.fixture
def mmvet(scripted: Case, tmp_path: Path) -> MMVet:
    """The benchmark over a case's own items."""
    folder = tmp_path / "data" / "mmvet"
    folder.mkdir(parents=True)
    fields = ("question", "answer", "capability")
    questions = {
        item["id"]: {"imagename": "a.png", **{name: item[name] for name in fields}}
        for item in scripted.expected["items"]
    }
    (folder / "mm-vet.json").write_text(json.dumps(questions), encoding="utf-8")
    (folder / "judge_prompt.txt").write_text("Grade.\n\nQuestion | …\n", encoding="utf-8")
    return MMVet("official", folder.parent, judge_runs=scripted.n_runs)


@pytest.fixture
def session(mmvet: MMVet, scripted: Case, tmp_path: Path) -> Session:
    items = scripted.expected["items"]
    answers = {item["id"]: item["prediction"] for item in items}
    replies = [call["response"] or "" for item in items for call in item["calls"]]
    return ask(mmvet, answers, replies, tmp_path)


def test_the_judge_is_asked_as_officially(session: Session, scripted: Case) -> None:
    for item in scripted.expected["items"]:
        calls = session.calls[item["id"]]
        told = [
            (
                call.decoding.temperature,
                call.decoding.max_new_tokens,
                call.messages[0].text.rpartition(" | ")[2],
            )
            for call in calls
        ]
        wanted = [
            (call["temperature"], call["max_tokens"], call["prompt_tail"]) for call in item["calls"]
        ]
        assert told == wanted, item["id"]
        assert {len(call.messages) for call in calls} == {1}
        truth = item["answer"].replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
        row = f"\n{item['question']} | {truth} | {item['prediction']} | "
        assert all(row in call.messages[0].text for call in calls)


def test_replies_are_read_as_officially(session: Session, scripted: Case) -> None:
    for item in scripted.expected["items"]:
        expected, judgments = item["expected"], session.judgments[item["id"]]
        words, scores = [], []
        for judgment in judgments:
            is_read = judgment.status is JudgmentStatus.OK
            words.append(judgment.raw.split(" ")[0].strip() if is_read else judgment.raw)
            scores.append(judgment.values["score"] if is_read else 0.0)
        assert words == [content or "" for content in expected["content"]], item["id"]
        wanted = [float(score) for score in expected["score"]]
        assert scores == [score if math.isfinite(score) else None for score in wanted], item["id"]


def test_scripted_sessions_end_in_the_official_tables(
    mmvet: MMVet, session: Session, scripted: Case
) -> None:
    _, metrics = score(mmvet, session.judgments)
    expected = scripted.expected
    tables = {name: expected[f"expected_{name}"] for name in ("cap_score", "cap_int_score")}
    _check_tables(tables, metrics, scripted.n_runs)


def test_stored_grades_end_where_the_session_did(
    mmvet: MMVet, session: Session, scripted: Case, tmp_path: Path
) -> None:
    """The grade file that the script would have written holds the same official numbers."""
    items = scripted.expected["items"]
    grades = {
        item["id"]: {
            "model": ["gpt-4"] * scripted.n_runs,
            "content": item["expected"]["content"],
            "score": [float(score) for score in item["expected"]["score"]],
        }
        for item in items
    }
    path = tmp_path / "grades.json"
    path.write_text(json.dumps(grades), encoding="utf-8")
    asked, _ = score(mmvet, session.judgments)
    read, _ = score(mmvet, by_item(mmvet.read_judgments([path])))
    assert [_runs(row) for row in read] == [_runs(row) for row in asked]


def _runs(row: ScoreRow) -> dict[str, float]:
    return {name: score for name, score in row.official.items() if name.startswith("run_")}


# The official files


def test_the_questions_are_read_whole(data_dir: Path) -> None:
    items = MMVet("official", data_dir).items()
    takes = Counter(name for item in items for name in item.reference["capability"])
    assert takes == {"rec": 150, "ocr": 96, "know": 84, "gen": 80, "spat": 75, "math": 26}
    assert (len(items), len({item.split for item in items})) == (218, 16)
    assert len({item.group for item in items}) == 200


def test_released_answers_are_read(data_dir: Path) -> None:
    mmvet = MMVet("official", data_dir)
    for path in sorted((data_dir / "mmvet").glob("*.answers.json")):
        responses = mmvet.read_responses([path])
        assert [response.request_id for response in responses] == [i.id for i in mmvet.items()]
