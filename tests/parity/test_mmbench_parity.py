"""MMBench's numbers against those of VLMEvalKit, value by value.

Cases are found by their form, so that another folder of the same form can be given::

    pytest tests/parity/test_mmbench_parity.py --parity-dir DIR [--parity-data-dir DIR]

* a ``.json`` array of records with "prediction", "choices" and "expected": the rules;
* a ``…_expected.json`` with some of the reports (or "recomputed", which has them) beside the
  ``.jsonl`` of predictions that it is about: scored without a matcher;
* a ``.json`` object of "rows" and expected results without the matcher, or with it and
  "matcher_replies", or both; "matcher_prompts" where they are known.

The rows of a case make a table of questions, since they have the answers and categories; its
predictions then go the way of a user's: ``read_responses``, ``score_items``, ``measure``. The
matcher's replies go through ``judge_requests`` and ``read_reply``.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Item, Judgment, Metric, PlumblineError, Response, ScoreRow
from benchmarks.mmbench import MMBench
from benchmarks.mmbench_files import LETTERS, TEXT_FILE_OF
from benchmarks.mmbench_matching import RULES, Rule, matched_letter
from benchmarks.records import read_records
from benchmarks.tables import Cell, tsv_text
from harness.judges.base import Question, Reply, Trial
from harness.score import by_item
from harness.scoring import measure, score_items

Rows = Sequence[Mapping[str, Any]]

REPORTS = ("circular", "vanilla_first_order", "vanilla_all_orders")
EXPECTED = {"current": "expected", "before_2025_08": "expected_before_2025_08"}
PROMPTS = ("matcher_prompt_en.txt", "matcher_prompt_cn.txt")


@dataclass(frozen=True)
class Case:
    """Rows with predictions, and what VLMEvalKit found.

    Attributes:
        replies: the matcher's, in order, by index; None where it was not used.
    """

    name: str
    rows: Rows
    expected: Mapping[str, Any]
    replies: Mapping[str, Sequence[str]] | None = None


@dataclass(frozen=True)
class Prompt:
    """What the matcher was asked about the row of an index."""

    rows: Rows
    index: str
    text: str


def _folder(config: pytest.Config) -> Path | None:
    folder: Path | None = config.getoption("parity_dir")
    return folder / "mmbench" if folder is not None and (folder / "mmbench").is_dir() else folder


def _contents(folder: Path | None) -> list[tuple[Path, Any]]:
    found = []
    for path in sorted(folder.rglob("*.json")) if folder else ():
        try:
            found.append((path, json.loads(path.read_text(encoding="utf-8-sig"))))
        except ValueError:
            continue
    return found


def _rule_cases(folder: Path | None) -> list[Mapping[str, Any]]:
    fields = {"prediction", "choices", "expected"}
    return [
        record
        for _, content in _contents(folder)
        if isinstance(content, list)
        for record in content
        if isinstance(record, dict) and fields <= record.keys()
    ]


def _with_rows(folder: Path | None) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (path.stem, content)
        for path, content in _contents(folder)
        if isinstance(content, dict) and "rows" in content
    ]


def _cases(folder: Path | None) -> list[Case]:
    cases = []
    for path, content in _contents(folder):
        name = path.name.removesuffix("_expected.json")
        answers = path.with_name(f"{name}.jsonl")
        if name != path.name and answers.is_file() and isinstance(content, dict):
            expected = content.get("recomputed", content)
            if expected.keys() & set(REPORTS):
                rows = [record.fields for record in read_records(answers)]
                cases.append(Case(name, rows, expected))
    for name, content in _with_rows(folder):
        rows = content["rows"]
        if "expected_exact_matching" in content:
            cases.append(Case(f"{name}, rules alone", rows, content["expected_exact_matching"]))
        if "expected_with_matcher" in content:
            expected, replies = content["expected_with_matcher"], content["matcher_replies"]
            cases.append(Case(f"{name}, with the matcher", rows, expected, replies))
    return cases


def _prompts(folder: Path | None) -> list[Prompt]:
    return [
        Prompt(content["rows"], str(index), text)
        for _, content in _with_rows(folder)
        for index, text in content.get("matcher_prompts", {}).items()
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = _folder(metafunc.config)
    if "matching" in metafunc.fixturenames:
        found = _rule_cases(folder)
        metafunc.parametrize("matching", found, ids=lambda record: repr(record["prediction"])[:40])
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", _cases(folder), ids=lambda case: case.name)
    if "prompt" in metafunc.fixturenames:
        metafunc.parametrize("prompt", _prompts(folder), ids=lambda prompt: prompt.index)


def _table(rows: Rows) -> str:
    """The official table of the questions of some rows, without their pictures."""
    names = list(dict.fromkeys(name for row in rows for name in row if name != "prediction"))
    if "question" not in names:
        most = max(row["n_options"] for row in rows)
        names = [*(name for name in names if name != "n_options"), "question", *LETTERS[:most]]
    table: list[list[Cell]] = [list(names)]
    for row in rows:
        texts = {name: _text(row.get(name)) for name in names}
        if "question" not in row:
            texts["question"] = f"question {row['index']}"
            for letter in LETTERS[: row["n_options"]]:
                texts[letter] = f"<{letter}, which no prediction names>"
        table.append([texts[name] for name in names])
    return tsv_text(table)


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


@pytest.fixture
def folder(tmp_path: Path, pytestconfig: pytest.Config) -> Path:
    """A data folder with the official matcher prompts, if they are given."""
    (tmp_path / "mmbench").mkdir()
    given: Path | None = pytestconfig.getoption("parity_data_dir")
    for name in PROMPTS:
        if given is not None and (given / "mmbench" / name).is_file():
            shutil.copy(given / "mmbench" / name, tmp_path / "mmbench")
    return tmp_path


def _opened(folder: Path, rows: Rows, **options: Any) -> MMBench:
    (folder / "mmbench" / "case.tsv").write_text(_table(rows), encoding="utf-8")
    benchmark = MMBench("official", folder, version="case", **options).for_official_answers()
    assert isinstance(benchmark, MMBench)
    return benchmark


def _turns(benchmark: MMBench, folder: Path, rows: Rows) -> dict[str, list[Response]]:
    path = folder / "predictions.jsonl"
    lines = [{"index": row["index"], "prediction": row.get("prediction")} for row in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return by_item(benchmark, benchmark.items(), benchmark.read_responses([path]))


def _index(request_id: str, items: Mapping[str, Item]) -> int:
    """The row that a request is about."""
    item_id, _, turn = request_id.partition("#")
    index: int = items[item_id].reference["passes"][int(turn or 1) - 1].row_index
    return index


def _judged(
    benchmark: MMBench, turns: Mapping[str, list[Response]], replies: Mapping[str, Sequence[str]]
) -> dict[str, list[Judgment]]:
    """A judgment for all that the matcher is asked, by the replies of the case."""
    items = {item.id: item for item in benchmark.items()}
    found: dict[str, list[Judgment]] = {}
    for item in items.values():
        for request in benchmark.judge_requests(item, turns.get(item.id, ())):
            trial = Trial(Question(request, benchmark), "matcher", {})
            for reply in replies[str(_index(request.id, items))]:
                judgment = trial.take(Reply(reply, "matcher"))
                if judgment is not None:
                    found.setdefault(item.id, []).append(judgment)
                    break
    return found


def _scored(folder: Path, case: Case, *, vanilla: bool = True) -> tuple[MMBench, list[ScoreRow]]:
    if case.replies is None:
        benchmark = _opened(folder, case.rows, matcher="none")
    else:
        benchmark = _opened(folder, case.rows, vanilla_matcher=vanilla)
        if not all((folder / "mmbench" / name).is_file() for name in PROMPTS):
            pytest.skip("the official matcher prompts are not here; give --parity-data-dir")
    turns = _turns(benchmark, folder, case.rows)
    judgments = _judged(benchmark, turns, case.replies) if case.replies is not None else {}
    return benchmark, score_items(benchmark, benchmark.items(), turns, judgments)


def _compare(expected: Mapping[str, Any], report: str, metrics: Sequence[Metric]) -> None:
    """Each number of a report is there, and there is no other."""
    wanted = {}
    for record in expected["report"]:
        split = record["split"]
        for name, value in record.items():
            if name != "split":
                whole = report if name == "Overall" else f"{report}_{name}"
                wanted[whole, split] = None if value is None or math.isnan(value) else value
    found = {
        (metric.name, metric.split): metric.value
        for metric in metrics
        if metric.official and (metric.name == report or metric.name.startswith(f"{report}_"))
    }
    assert found == {**dict.fromkeys(found), **wanted}


@pytest.mark.parametrize("rule", RULES)
def test_answers_are_matched_as_officially(matching: Mapping[str, Any], rule: Rule) -> None:
    if EXPECTED[rule] not in matching:
        pytest.skip("the case says nothing about this version of the rules")
    options = {letter: str(text) for letter, text in matching["choices"].items()}
    letter = matched_letter(str(matching["prediction"]), options, rule)
    assert (letter or False) == matching[EXPECTED[rule]]


def test_reports_are_the_official_ones(folder: Path, case: Case) -> None:
    benchmark, rows = _scored(folder, case)
    metrics = measure(benchmark, rows)
    for report in case.expected.keys() & set(REPORTS):
        expected = case.expected[report]
        _compare(expected, report, metrics)
        assert sum(row.official.get(f"{report}/n", 0) for row in rows) == expected["n"]


def test_hits_are_the_official_ones(folder: Path, case: Case) -> None:
    benchmark, rows = _scored(folder, case)
    items = {item.id: item for item in benchmark.items()}
    hits: dict[str, dict[str, float]] = {"circular": {}, "vanilla": {}}
    for row in rows:
        if "circular/hit" in row.official:
            hits["circular"][row.item_id] = row.official["circular/hit"]
        passes = items[row.item_id].reference["passes"]
        for one, letter in zip(passes, row.details["letters"], strict=True):
            hits["vanilla"][str(one.row_index)] = int(letter == one.answer)
    known = {report: case.expected.get(report, {}).get("hits") for report in REPORTS}
    assert known["circular"] in (None, hits["circular"])
    for report in REPORTS[1:]:
        wanted = known[report] or {}
        assert {index: hits["vanilla"][index] for index in wanted} == wanted


def test_the_stand_in_has_the_passes_of_its_table(
    folder: Path, case: Case, parity_data_dir: Path
) -> None:
    """Released predictions of letters give the released numbers on it too."""
    mmbench = MMBench("official", parity_data_dir, version=TEXT_FILE_OF, matcher="none")
    try:
        passes = [one for item in mmbench.items() for one in item.reference["passes"]]
    except PlumblineError as error:
        pytest.skip(f"neither the table nor its stand-in is among the official files ({error})")
    if {(row["index"], row["answer"]) for row in case.rows} != {
        (one.row_index, one.answer) for one in passes
    } or any(row["prediction"] not in tuple("ABCD") for row in case.rows):
        pytest.skip("these are no letters for the questions of that table")
    turns = _turns(mmbench, folder, case.rows)
    metrics = {
        m.name: m.value for m in measure(mmbench, score_items(mmbench, mmbench.items(), turns))
    }
    reports = case.expected.keys() & set(REPORTS)
    wanted = {report: case.expected[report]["report"][0]["Overall"] for report in reports}
    assert {report: metrics[report] for report in reports} == wanted


def test_circular_needs_no_more_of_the_matcher(folder: Path, case: Case) -> None:
    if case.replies is None:
        pytest.skip("no matcher was used")
    every, few = (
        _scored(folder, case, vanilla=True)[1],
        _scored(folder, case, vanilla=False)[1],
    )
    assert [row.values for row in few] == [row.values for row in every]


def test_matcher_prompts_are_the_official_ones(folder: Path, prompt: Prompt) -> None:
    case = Case("", prompt.rows, {}, {})
    benchmark = _opened(folder, case.rows, vanilla_matcher=True)
    if not all((folder / "mmbench" / name).is_file() for name in PROMPTS):
        pytest.skip("the official matcher prompts are not here; give --parity-data-dir")
    items = {item.id: item for item in benchmark.items()}
    turns = _turns(benchmark, folder, case.rows)
    asked = {
        _index(request.id, items): request.messages[0].text
        for item in items.values()
        for request in benchmark.judge_requests(item, turns[item.id])
    }
    assert asked[int(prompt.index)] == prompt.text
