"""AMBER's numbers against those of the official inference.py, to the last digit.

Cases are found by their form, so that another folder of the same form can be given::

    pytest tests/parity/test_amber_parity.py --parity-dir DIR [--parity-data-dir DIR]

A ``.json`` file with one of the keys "discriminative", "generative" and "all" names the response files
that the official script was run on, what it printed (by evaluation type, by threshold) and its counters;
for captions also the nouns, the table that stood in for spaCy, and the counters of each caption.

Answers go the way of a user's: ``Amber.read_responses``, ``Amber.score``, ``stats.evaluate``. The official
script counts a second answer to an id once more; here the answers are then read in two goes.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.amber import Amber
from benchmarks.amber_mentions import extract_nouns
from benchmarks.amber_metrics import START
from benchmarks.base import Item, Metric, MissingDataError, PlumblineError, Response, ScoreRow
from benchmarks.records import read_records
from harness.stats import evaluate

PART_OF_TYPE = {
    "a": "all",
    "g": "generative",
    "d": "discriminative",
    "de": "existence",
    "da": "attribute",
    "dr": "relation",
}
HEADINGS = {
    "Generative Task": "generative",
    "Descriminative Task": "",
    "Exsitence": "existence",
    "Attribute": "attribute",
    "State": "attribute-state",
    "Number": "attribute-number",
    "Action": "attribute-action",
    "Relation": "relation",
}
"""Our splits for the headings of the official output."""

NAMES = {"Accuracy": "accuracy", "Precision": "precision", "Recall": "recall", "F1": "f1"}

SPLITS_OF_COUNTERS = {
    "as_": "attribute-state",
    "an_": "attribute-number",
    "aa_": "attribute-action",
    "asso_": "relation",
    "ha_": "existence",
    "": "",
}
COLUMNS = {
    "qa_correct_score": "correct",
    "qa_correct_num": "answered",
    "qa_no_score": "correct_no",
    "qa_no_num": "truth_no",
    "qa_ans_no_score": "correct_no",
    "qa_ans_no_num": "answered_no",
    "chair_score": "hallucinated_mentions",
    "chair_num": "mentions",
    "safe_cover_score": "truth_covered",
    "safe_cover_num": "truth_total",
    "hallu_cover_score": "hallu_covered",
    "hallu_cover_num": "hallu_total",
    "non_hallu_score": "no_hallucination",
    "non_hallu_num": "answered",
}


@dataclass(frozen=True)
class Case:
    """One run of the official script.

    Attributes:
        options: Amber's.
        responses: the official answer file.
        printed: what the script printed, by heading and figure.
        error: what it stopped with.
        counters: its counters at the end.
        per_caption: counters by caption.
    """

    name: str
    options: Mapping[str, Any]
    responses: Path
    printed: Mapping[str, Mapping[str, float]] | None
    error: str | None = None
    counters: Mapping[str, float] = dataclasses.field(default_factory=dict)
    per_caption: Path | None = None
    nouns: Path | None = None


# Finding cases


def _expectations(config: pytest.Config) -> list[tuple[Path, dict[str, Any]]]:
    """The files that say what the official script gave."""
    folder: Path | None = config.getoption("parity_dir")
    if folder is not None and (folder / "amber").is_dir():
        folder = folder / "amber"
    found = []
    for path in sorted(folder.rglob("*.json")) if folder else []:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        parts = ("discriminative", "generative", "all")
        if isinstance(content, dict) and any(isinstance(content.get(part), dict) for part in parts):
            found.append((path, content))
    return found


def _cases(path: Path, content: Mapping[str, Any]) -> list[Case]:
    cases = _discriminative(path, content.get("discriminative", {}))
    cases += _generative(path, content.get("generative", {}))
    everything = content.get("all", {})
    runs = {"all": everything} if "responses" in everything else everything
    for name, run in runs.items():
        options = {"similarity": str(path.parent / run["similarity_stub"]), "normaliser": "exact"}
        case = _case(path, f"all-{name}", options, path.parent / run["responses"], run)
        cases.append(case)
    return cases


def _case(
    path: Path, name: str, options: Mapping[str, Any], responses: Path, run: Mapping[str, Any]
) -> Case:
    per_caption, nouns = (
        path.parent / run[key] if key in run else None for key in ("per_caption", "nouns")
    )
    return Case(
        f"{path.stem}-{name}",
        options,
        responses,
        run["printed"],
        run.get("error"),
        run.get("counters", {}),
        per_caption,
        nouns,
    )


def _discriminative(path: Path, files: Mapping[str, Any]) -> list[Case]:
    cases = []
    for name, told in files.items():
        responses = path.parent / told["responses"]
        for kind, run in told["by_evaluation_type"].items():
            options = {"part": PART_OF_TYPE[kind], "normaliser": "exact"}
            counters = told.get("counters", {}) if kind == "d" else {}
            run = {**run, "counters": counters}
            cases.append(_case(path, f"{name}-{kind}", options, responses, run))
    return cases


def _generative(path: Path, runs: Mapping[str, Any]) -> list[Case]:
    """Runs on captions; one that names no captions was made with those of the first."""
    cases = []
    first = next((run["captions"] for run in runs.values() if "captions" in run), "")
    for name, run in runs.items():
        captions = path.parent / run.get("captions", first)
        stub = run.get("similarity_stub")
        similarity = str(path.parent / stub) if stub else "en_core_web_md"
        options = {"part": "generative", "similarity": similarity}
        cases.append(_case(path, name, options, captions, run))
        for threshold, printed in run.get("printed_at_other_thresholds", {}).items():
            other = {**options, "threshold": float(threshold)}
            told = {"printed": printed}
            cases.append(_case(path, f"{name}-{threshold}", other, captions, told))
        if "printed_with_no_similar_pairs" in run:
            told = {"printed": run["printed_with_no_similar_pairs"]}
            other = {**options, "similarity": "exact"}
            cases.append(_case(path, f"{name}-exact", other, captions, told))
    return cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = [case for told in _expectations(metafunc.config) for case in _cases(*told)]
    chosen = {
        "case": cases,
        "caption_case": [case for case in cases if case.per_caption],
        "noun_case": [case for case in cases if case.nouns],
    }
    for fixture, found in chosen.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, found, ids=lambda case: case.name)


# Scoring as a user does


def _amber(options: Mapping[str, Any], data_dir: Path) -> Amber:
    if options.get("similarity") == "en_core_web_md":
        pytest.importorskip("spacy")
        if importlib.util.find_spec("en_core_web_md") is None:
            pytest.skip("spaCy's en_core_web_md is not installed")
    return Amber(edition="official", data_dir=data_dir, **options)


def _answers(amber: Amber, path: Path, scratch: Path) -> list[Response]:
    """The answers of a file. Those to an id that was answered before are read in a next go."""
    goes: list[list[Mapping[str, Any]]] = []
    n_seen: defaultdict[Any, int] = defaultdict(int)
    for record in read_records(path):
        item_id = record.fields.get("id")
        if n_seen[item_id] == len(goes):
            goes.append([])
        goes[n_seen[item_id]].append(record.fields)
        n_seen[item_id] += 1
    responses = []
    for number, records in enumerate(goes):
        go = scratch / f"go_{number}.json"
        go.write_text(json.dumps(records), encoding="utf-8")
        responses += amber.read_responses([go])
    return responses


def _rows(amber: Amber, responses: Sequence[Response]) -> list[ScoreRow]:
    """A row per answer, under an id of its own."""
    if amber.part in ("all", "generative"):
        pytest.importorskip("nltk", reason="captions need NLTK")
    items: Mapping[str, Item] = {item.id: item for item in amber.items()}
    rows = []
    for number, response in enumerate(responses):
        try:
            row = amber.score(items[response.request_id], [response])
        except MissingDataError as error:
            pytest.skip(str(error))
        rows.append(dataclasses.replace(row, item_id=f"{row.item_id}, answer {number}"))
    return rows


def _metrics(amber: Amber, rows: Sequence[ScoreRow]) -> dict[tuple[str, str], Metric]:
    found = evaluate(amber.metric_specs(), rows, n_resamples=10)
    return {(metric.split, metric.name): metric for metric in found}


def _printed(metric: Metric) -> float | None:
    """What the official script prints for it: 0.0 for a group without an answer."""
    return 0.0 if metric.n_scored == 0 else metric.value


def _total(rows: Sequence[ScoreRow], split: str, column: str) -> float:
    """A column's sum; without a split, over all yes/no questions."""
    chosen = [
        row for row in rows if row.split == split or (not split and row.split != "generative")
    ]
    return sum(row.values[column] for row in chosen)


# The tests


def test_figures_and_counters_are_the_official_ones(
    case: Case, parity_data_dir: Path, tmp_path: Path
) -> None:
    amber = _amber(case.options, parity_data_dir)
    if case.error:
        with pytest.raises(PlumblineError):
            _rows(amber, _answers(amber, case.responses, tmp_path))
        return
    rows = _rows(amber, _answers(amber, case.responses, tmp_path))
    metrics = _metrics(amber, rows)
    assert case.printed
    for heading, figures in case.printed.items():
        for name, value in figures.items():
            metric = metrics[HEADINGS[heading], NAMES.get(name, name)]
            assert _printed(metric) == value, (heading, name)
    for counter, value in case.counters.items():
        prefix = next((p for p in SPLITS_OF_COUNTERS if p and counter.startswith(p)), "")
        column = COLUMNS[counter.removeprefix(prefix)]
        split = SPLITS_OF_COUNTERS[prefix] if "qa_" in counter else "generative"
        start = START if counter.endswith("_num") else 0
        assert _total(rows, split, column) == round(value - start, 6), counter


def _nouns(text: str, data_dir: Path) -> list[str]:
    pytest.importorskip("nltk", reason="nouns need NLTK")
    try:
        return extract_nouns(text, data_dir)
    except MissingDataError as error:
        pytest.skip(str(error))


def test_nouns_are_the_official_ones(noun_case: Case, parity_data_dir: Path) -> None:
    captions = {
        record.fields["id"]: record.fields["response"]
        for record in read_records(noun_case.responses)
    }
    assert noun_case.nouns
    for record in read_records(noun_case.nouns):
        found = _nouns(captions[record.fields["id"]], parity_data_dir)
        assert found == record.fields["nouns"], record.fields["id"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_nouns(parity_data_dir: Path, text: str) -> None:
    """NLTK takes whatever a model may write, lone surrogates too."""
    assert all(isinstance(noun, str) for noun in _nouns(text, parity_data_dir))


def test_counters_of_each_caption_are_the_official_ones(
    caption_case: Case, parity_data_dir: Path, tmp_path: Path
) -> None:
    amber = _amber(caption_case.options, parity_data_dir)
    rows = _rows(amber, _answers(amber, caption_case.responses, tmp_path))
    assert caption_case.per_caption
    expected = [record.fields for record in read_records(caption_case.per_caption)]
    _assert_counters(rows, expected)


def test_matching_is_the_official_one_without_nltk(
    caption_case: Case, request: pytest.FixtureRequest, parity_data_dir: Path
) -> None:
    """From the official nouns, so that it runs where NLTK is not installed."""
    noun_cases = [c for told in _expectations(request.config) for c in _cases(*told) if c.nouns]
    same = [c for c in noun_cases if c.responses == caption_case.responses]
    if not same or not same[0].nouns or not caption_case.per_caption:
        pytest.skip("no nouns are given for these captions")
    amber = _amber(caption_case.options, parity_data_dir)
    items = {item.id: item for item in amber.items()}
    rows = [
        amber.score_nouns(items[str(record.fields["id"])], record.fields["nouns"])
        for record in read_records(same[0].nouns)
    ]
    _assert_counters(rows, [record.fields for record in read_records(caption_case.per_caption)])


def _assert_counters(rows: Sequence[ScoreRow], expected: Sequence[Mapping[str, Any]]) -> None:
    """Row by row, in the order of the ids; several answers to one id keep their order."""
    by_id = sorted(rows, key=lambda row: int(row.item_id.split(",")[0]))
    for row, told in zip(by_id, sorted(expected, key=lambda told: told["id"]), strict=True):
        assert row.item_id.split(",")[0] == str(told["id"])
        for name, value in told.items():
            assert name == "id" or row.values[name] == value, (row.item_id, name)


def test_the_official_files_are_read_whole(parity_data_dir: Path) -> None:
    amber = Amber(edition="official", data_dir=parity_data_dir)
    items = amber.items()
    labels: defaultdict[str, list[str]] = defaultdict(list)
    for item in items:
        labels[item.split].append(item.reference.get("label", ""))
    sizes = {split: (found.count("yes"), found.count("no")) for split, found in labels.items()}
    assert sizes == {
        "generative": (0, 0),
        "attribute-state": (2382, 2382),
        "attribute-number": (1036, 1036),
        "attribute-action": (396, 396),
        "existence": (0, 4924),
        "relation": (975, 689),
    }
    assert [item.id for item in items] == [str(number) for number in range(1, 15_221)]
    assert len({item.group for item in items}) == len(labels["generative"]) == 1004
    assert {item.question for item in items[:1004]} == {"Describe this image."}


def test_the_official_query_file_of_a_part_asks_the_same(parity_data_dir: Path) -> None:
    for part in ("generative", "discriminative", "existence", "attribute", "relation"):
        suffix = part if "tive" in part else f"discriminative-{part}"
        path = parity_data_dir / "amber" / "query" / f"query_{suffix}.json"
        records = [record.fields for record in read_records(path)]
        items = Amber(edition="official", data_dir=parity_data_dir, part=part).items()
        asked = [(int(item.id), item.group, item.question) for item in items]
        assert asked == [(r["id"], r["image"], r["query"]) for r in records]
