"""MMHal-Bench's numbers against those of the official scripts, value by value.

Cases are found by their form, so that another folder of the same form can be given::

    pytest tests/parity/test_mmhal_parity.py --parity-dir DIR [--parity-data-dir DIR]

* a ``.json`` file of "sets": for each one the name of a file of judge outputs and what the scripts
  found;
* a ``.jsonl`` file of records with "judge_output", "score" and "hallucination";
* a ``.jsonl`` file of records with "index", "model_answer" and "judge_prompt_sha256".

Judge outputs go the way of a user's: ``read_judgments``, ``score_items``, ``measure``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Metric, PlumblineError, Response, ScoreRow
from benchmarks.mmhal import MMHalBench, Rating, official_rating
from benchmarks.mmhal_files import TYPES
from benchmarks.records import read_records
from harness.scoring import measure, score_items


@dataclass(frozen=True)
class Case:
    """One run of the official scripts."""

    name: str
    judge_outputs: Path
    expected: Mapping[str, Any]


def _folder(config: pytest.Config) -> Path | None:
    folder: Path | None = config.getoption("parity_dir")
    return folder / "mmhal" if folder is not None and (folder / "mmhal").is_dir() else folder


def _cases(folder: Path) -> list[Case]:
    cases = []
    for path in sorted(folder.rglob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        sets = content.get("sets") if isinstance(content, dict) else None
        for name, expected in (sets or {}).items():
            if "judge_outputs" in expected and "scores" in expected:
                cases.append(Case(name, path.parent / expected["judge_outputs"], expected))
    return cases


def _records(folder: Path, *fields: str) -> list[Mapping[str, Any]]:
    found = []
    for path in sorted(folder.rglob("*.jsonl")):
        records = [record.fields for record in read_records(path)]
        found += [record for record in records if set(fields) <= set(record)]
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = _folder(metafunc.config)
    if "case" in metafunc.fixturenames:
        cases = _cases(folder) if folder else []
        metafunc.parametrize("case", cases, ids=lambda case: case.name)
    if "parsed" in metafunc.fixturenames:
        fields = ("judge_output", "score", "hallucination")
        found = _records(folder, *fields) if folder else []
        metafunc.parametrize("parsed", found, ids=lambda record: repr(record["judge_output"])[:40])
    if "rendered" in metafunc.fixturenames:
        found = _records(folder, "index", "model_answer", "judge_prompt_sha256") if folder else []
        metafunc.parametrize("rendered", found, ids=lambda record: str(record["index"]))


@pytest.fixture
def mmhal(parity_data_dir: Path) -> MMHalBench:
    return MMHalBench("official", parity_data_dir)


def _rows(mmhal: MMHalBench, case: Case) -> list[ScoreRow]:
    """The answers themselves have no say in a score."""
    items = mmhal.items()
    responses = {item.id: [Response(item.id, "", "an answer")] for item in items}
    judgments = {j.item_id: [j] for j in mmhal.read_judgments([case.judge_outputs])}
    return score_items(mmhal, items, responses, judgments)


def _metrics(mmhal: MMHalBench, case: Case) -> dict[tuple[str, str], Metric]:
    rows = _rows(mmhal, case)
    return {(metric.split, metric.name): metric for metric in measure(mmhal, rows)}


def test_every_score_is_the_official_one(mmhal: MMHalBench, case: Case) -> None:
    rows = _rows(mmhal, case)
    assert [row.official["score"] for row in rows] == case.expected["scores"]
    assert [row.official["hallucination"] for row in rows] == case.expected["hallucination"]


def test_means_are_the_official_ones(mmhal: MMHalBench, case: Case) -> None:
    metrics, expected = _metrics(mmhal, case), case.expected
    assert metrics["", "score"].value == expected["average_score_unrounded"]
    assert metrics["", "hallucination_rate"].value == expected["hallucination_rate_unrounded"]
    by_type = [metrics[name, "score"].value for name in TYPES]
    assert by_type == expected["average_per_type_unrounded"]
    assert metrics["", "unparsed_replies"].value == expected["n_unparsed_warnings"]


def test_the_scripts_print_the_same(mmhal: MMHalBench, case: Case) -> None:
    metrics = _metrics(mmhal, case)
    values = {key: metric.value or 0.0 for key, metric in metrics.items()}
    by_type = ",".join(str(round(values[name, "score"], 2)) for name in TYPES)
    assert case.expected["printed"] == [
        f"Average score: {values['', 'score']:.2f}",
        f"Hallucination rate: {values['', 'hallucination_rate']:.2f}",
        f"Average score for each question type: {by_type}",
    ]
    informativeness = f"Informativeness: {100 * values['', 'informativeness']:.2f}"
    assert case.expected["rlaif_v_summarizer_informativeness_line"] == informativeness


def test_official_means_count_every_reply(mmhal: MMHalBench, case: Case) -> None:
    """Also those that the strict parser does not read."""
    metrics = _metrics(mmhal, case)
    total = sum(case.expected["scores"])
    assert metrics["", "score"].value == total / len(case.expected["scores"])
    strict = [row for row in _rows(mmhal, case) if row.values]
    wanted = sum(row.values["score"] for row in strict) / len(strict)
    assert metrics["", "strict_score"].value == wanted


def test_replies_are_parsed_as_officially(parsed: Mapping[str, Any]) -> None:
    rating = Rating.of(official_rating(parsed["judge_output"]) or 0)
    assert (rating.score, rating.hallucination) == (parsed["score"], parsed["hallucination"])


def test_judge_prompts_are_the_official_ones(
    mmhal: MMHalBench, rendered: Mapping[str, Any]
) -> None:
    item = mmhal.items()[rendered["index"]]
    try:
        prompt = mmhal.judge_prompt(item, rendered["model_answer"])
    except PlumblineError as error:
        pytest.skip(f"the official judge prompt is not among the official files ({error})")
    assert len(prompt) == rendered["judge_prompt_chars"]
    assert hashlib.sha256(prompt.encode("utf-8")).hexdigest() == rendered["judge_prompt_sha256"]


def test_the_official_questions_are_read_whole(mmhal: MMHalBench) -> None:
    items = mmhal.items()
    assert len(items) == len({item.group for item in items}) == 96
    assert [item.split for item in items[:9]] == [*TYPES, TYPES[0]]
    assert all(len([i for i in items if i.split == name]) == 12 for name in TYPES)
    assert items[0].pictures[0].name == "7206072054_c53d53b97d_o.jpg"
