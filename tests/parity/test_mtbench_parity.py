"""MT-Bench's numbers against those of the official scripts, value by value.

Cases are found by their form, so that another folder of the same form can be given::

    pytest tests/parity/test_mtbench_parity.py --parity-dir DIR [--parity-data-dir DIR]

* ``*rating_parse*.json``, ``*verdict_parse*.json``: lists of judgments with what was "expected" of
  them; "raises X" where the official parser stops with an exception;
* ``*judge_requests*.json``: what the official script sends to its judge for some answers;
* ``NAME.jsonl`` with ``NAME_expected.json``: judgments with each model's means, which may lack the
  judge's texts, or games of pairs with each model's win rates.

Judgments go the way of a user's: ``read_judgments``, ``score_items``, ``measure``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Item, Judgment, JudgmentStatus, Response
from benchmarks.mtbench import MTBench, prompt_name
from benchmarks.mtbench_pairs import BASELINE, read_games, read_verdict, win_rates
from benchmarks.mtbench_ratings import read_rating
from benchmarks.records import read_records
from harness.scoring import measure, score_items


@dataclass(frozen=True)
class Case:
    """A file of records and what the official script makes of each model in it."""

    path: Path
    expected: Mapping[str, Mapping[str, Any]]

    @property
    def fields(self) -> frozenset[str]:
        """Those of its first record."""
        return frozenset(read_records(self.path)[0].fields)


@dataclass(frozen=True)
class ModelCase:
    """One model's judgments, and its official means."""

    path: Path
    model: str
    expected: Mapping[str, Any]


def _folder(config: pytest.Config) -> Path | None:
    folder: Path | None = config.getoption("parity_dir")
    return folder / "mtbench" if folder and (folder / "mtbench").is_dir() else folder


def _listed(folder: Path, pattern: str) -> list[dict[str, Any]]:
    files = sorted(folder.rglob(pattern))
    return [record for path in files for record in json.loads(path.read_text(encoding="utf-8"))]


def _cases(folder: Path, *fields: str) -> list[Case]:
    """The files of records that have an expected result and these fields."""
    found = []
    for path in sorted(folder.rglob("*.jsonl")):
        beside = path.with_name(f"{path.stem}_expected.json")
        if beside.is_file():
            content = json.loads(beside.read_text(encoding="utf-8"))
            case = Case(path, content.get("expected", content))
            found += [case] if case.fields.issuperset(fields) else []
    return found


def _model_cases(folder: Path) -> list[ModelCase]:
    return [
        ModelCase(case.path, model, expected)
        for case in _cases(folder, "score", "turn", "model")
        for model, expected in case.expected.items()
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = _folder(metafunc.config)
    of_kind: dict[str, Callable[[], Sequence[Any]]] = {
        "rated": lambda: _listed(folder, "*rating_parse*.json") if folder else [],
        "decided": lambda: _listed(folder, "*verdict_parse*.json") if folder else [],
        "asked": lambda: _listed(folder, "*judge_requests*.json") if folder else [],
        "judged": lambda: _model_cases(folder) if folder else [],
        "told": lambda: _cases(folder, "judgment", "score", "judge") if folder else [],
        "played": lambda: _cases(folder, "model_1", "model_2") if folder else [],
    }
    for name, find in of_kind.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, find(), ids=_name)


def _name(case: Any) -> str:
    if isinstance(case, ModelCase):
        return f"{case.path.stem}-{case.model}"
    if isinstance(case, Case):
        return case.path.stem
    if "question_id" in case:
        return f"{case['question_id']}-{case['turn']}"
    return repr(case["judgment"])[:40]


def test_ratings_are_parsed_as_officially(rated: Mapping[str, Any]) -> None:
    reading, expected = read_rating(rated["judgment"]), rated["expected"]
    if isinstance(expected, str):
        assert reading.rating is None
        raised = re.match(r"raises (\w+)", expected)
        assert raised is not None
        assert f"raises {raised[1]}" in reading.problem
    else:
        assert (-1 if reading.rating is None else reading.rating) == expected
        assert "raises" not in reading.problem


def test_verdicts_are_parsed_as_officially(decided: Mapping[str, Any]) -> None:
    assert read_verdict(decided["judgment"]) == decided["expected"]


def test_judge_requests_are_the_official_ones(
    parity_data_dir: Path, asked: Mapping[str, Any]
) -> None:
    mtbench = MTBench("official", parity_data_dir).for_official_answers()
    item = next(i for i in mtbench.items() if i.reference["question_id"] == asked["question_id"])
    requests = mtbench.judge_requests(item, _answers(item, asked["answer_turns"]))
    assert len(requests) == 2
    request = requests[asked["turn"] - 1]
    messages = [{"role": m.role, "content": m.text} for m in request.messages]
    assert messages == asked["messages"]
    assert (item.split, request.prompt_name) == (asked["category"], asked["judge_prompt"])
    assert mtbench.judge.model == asked["model"]
    assert request.decoding.temperature == asked["temperature"]
    assert request.decoding.max_new_tokens == asked["max_tokens"]


def _answers(item: Item, texts: Sequence[str]) -> list[Response]:
    return [Response(item.id if not n else f"{item.id}#2", "", t) for n, t in enumerate(texts)]


def _judgments(mtbench: MTBench, case: ModelCase) -> dict[str, list[Judgment]]:
    found: dict[str, list[Judgment]] = {}
    for judgment in mtbench.read_judgments([case.path]):
        found.setdefault(judgment.item_id, []).append(judgment)
    return found


def test_means_are_the_official_ones(parity_data_dir: Path, judged: ModelCase) -> None:
    mtbench = MTBench("official", parity_data_dir, model=judged.model)
    judgments = _judgments(mtbench, judged)
    responses = {item.id: _answers(item, ["an", "answer"]) for item in mtbench.items()}
    rows = score_items(mtbench, mtbench.items(), responses, judgments)
    metrics = {m.name: m.value for m in measure(mtbench, rows) if not m.split}
    for name, official in (("turn_1", "turn1"), ("turn_2", "turn2"), ("average", "average")):
        wanted = judged.expected.get(official)
        if wanted is None or math.isnan(float(wanted)):
            assert metrics[name] is None
        else:
            assert metrics[name] == pytest.approx(wanted, rel=1e-14, abs=0)
    if "n_dropped" in judged.expected:
        all_of_them = [judgment for several in judgments.values() for judgment in several]
        n_dropped = sum(judgment.status is not JudgmentStatus.OK for judgment in all_of_them)
        assert n_dropped == judged.expected["n_dropped"]


def test_every_judgment_is_parsed_to_the_score_on_file(told: Case) -> None:
    for record in read_records(told.path):
        fields = record.fields
        rating = read_rating(fields["judgment"]).rating
        assert (-1 if rating is None else rating) == fields["score"], f"line {record.line}"


def test_judgments_are_by_the_prompts_that_we_use(parity_data_dir: Path, told: Case) -> None:
    mtbench = MTBench("official", parity_data_dir)
    category_of = {item.reference["question_id"]: item.split for item in mtbench.items()}
    for record in read_records(told.path):
        name = prompt_name(category_of[record.fields["question_id"]], record.fields["turn"])
        assert record.fields["judge"][1] == name


def test_win_rates_are_the_official_ones(played: Case) -> None:
    baseline = BASELINE if "baseline" in played.path.stem else None
    table = {
        model: {name: getattr(standing, name) for name in played.expected[model]}
        for model, standing in win_rates(read_games([played.path]), baseline).items()
    }
    assert table == played.expected


def test_the_official_questions_are_read_whole(parity_data_dir: Path) -> None:
    mtbench = MTBench("official", parity_data_dir)
    items = mtbench.items()
    assert [item.id for item in items] == [str(n) for n in range(81, 161)]
    assert [item.split for item in items[::10]] == [
        "writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities",
    ]  # fmt: skip
    for item in items:
        assert len(mtbench.judge_requests(item, _answers(item, ["an", "answer"]))) == 2
