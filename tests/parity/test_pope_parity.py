"""POPE's numbers against those of the official evaluate.py, to the last digit.

Cases are found by their form, so that another folder of the same form can be given::

    pytest tests/parity/test_pope_parity.py --parity-dir DIR [--parity-data-dir DIR]

* a ``.json`` file with "categories": for each one the names of a responses file and a labels file
  and what the official script printed; "extreme": the same for made-up answers to the first
  questions;
* a ``.jsonl`` file of records with "answer" and "prediction".

Answers go the way of a user's: answer file, ``Pope.read_responses``, ``score_items``, ``measure``.
Labels are laid out in a temporary data folder as those of a variant, whatever their file is called.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import BadRecordError, Item, Metric, PlumblineError, Response, ScoreRow
from benchmarks.pope import SPLITS, VARIANTS, Pope, official_answer
from benchmarks.records import Record, read_records
from harness.scoring import measure, score_items

FIGURES = ("accuracy", "precision", "recall", "f1", "yes_ratio")


@dataclass(frozen=True)
class Case:
    """One run of the official script."""

    name: str
    folder: Path
    split: str
    labels: str
    expected: Mapping[str, Any]
    responses: str = ""
    rule: str = ""
    first_n: int | None = None

    @property
    def is_readable(self) -> bool:
        """Whether the official script came as far as dividing."""
        error = self.expected.get("error") or "ZeroDivisionError"
        return bool(error.startswith("ZeroDivisionError"))


# Finding cases


def _outputs(paths: Iterable[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """The files with categories."""
    found = []
    for path in sorted(paths):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        categories = content.get("categories") if isinstance(content, dict) else None
        needed = {"responses", "labels", "expected"}
        if isinstance(categories, dict) and all(needed <= set(c) for c in categories.values()):
            found.append((path, content))
    return found


def _pope_dir(config: pytest.Config) -> Path | None:
    """The folder of POPE's cases: below the one given, or itself if it holds any."""
    folder: Path | None = config.getoption("parity_dir")
    if folder is not None and (folder / "pope").is_dir():
        return folder / "pope"
    return folder if folder is not None and _outputs(folder.glob("*.json")) else None


def _split_of(*names: str) -> str:
    """The split that a category or file is named after; labels of others are taken as the first."""
    named = (split for name in names for split in SPLITS if split in name.lower())
    return next(named, SPLITS[0])


def _cases(path: Path, content: Mapping[str, Any]) -> list[Case]:
    categories = content["categories"]
    extreme = {
        name: {"labels": categories[record["category"]]["labels"], **record}
        for name, record in content.get("extreme", {}).items()
    }
    return [
        Case(
            name=f"{path.stem}-{name}",
            folder=path.parent,
            split=_split_of(record.get("category", name), record["labels"]),
            labels=record["labels"],
            expected=record["expected"],
            responses=record.get("responses", ""),
            rule=record.get("answer_for_every_question", ""),
            first_n=record.get("first_n_questions"),
        )
        for name, record in (categories | extreme).items()
    ]


def _parse_cases(folder: Path) -> dict[str, tuple[str, str]]:
    """Answers and official predictions, by file and line."""
    found = {}
    for path in sorted(folder.rglob("*.jsonl")):
        try:
            records = read_records(path)
        except PlumblineError:
            continue
        for record in records:
            if {"answer", "prediction"} <= set(record.fields):
                name = f"{path.stem}-{record.line}"
                found[name] = record.fields["answer"], record.fields["prediction"]
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = _pope_dir(metafunc.config)
    outputs = _outputs(folder.rglob("*.json")) if folder else []
    cases = [case for output in outputs for case in _cases(*output)]
    if "case" in metafunc.fixturenames:
        wanted = [case for case in cases if case.is_readable]
        metafunc.parametrize("case", wanted, ids=lambda case: case.name)
    if "unreadable" in metafunc.fixturenames:
        wanted = [case for case in cases if not case.is_readable]
        metafunc.parametrize("unreadable", wanted, ids=lambda case: case.name)
    if "output" in metafunc.fixturenames:
        wanted_outputs = [output for output in outputs if "mean_f1_over_categories" in output[1]]
        metafunc.parametrize("output", wanted_outputs, ids=lambda output: output[0].stem)
    if "parsed" in metafunc.fixturenames:
        parsed = _parse_cases(folder) if folder else {}
        metafunc.parametrize("parsed", parsed.values(), ids=parsed.keys())


# Scoring as a user does


def _labels_file(case: Case, data_dir: Path) -> Path:
    """The labels, beside the case or among the official files."""
    for folder in (case.folder, data_dir / "pope"):
        if (folder / case.labels).is_file():
            return folder / case.labels
        found = sorted(folder.rglob(Path(case.labels).name))
        if found:
            return found[0]
    pytest.fail(f"{case.labels} is neither below {case.folder} nor below {data_dir / 'pope'}")


def _variant_of(labels: str) -> str:
    """The variant whose files are called like this; "coco" for names of other kinds."""
    for name, variant in VARIANTS.items():
        if Path(labels).name in [Path(variant.questions.format(split=s)).name for s in SPLITS]:
            return name
    return "coco"


def _benchmark(case: Case, data_dir: Path, scratch: Path) -> Pope:
    """POPE over the case's labels. The other splits have the same questions and no answers."""
    labels = _labels_file(case, data_dir)
    variant = _variant_of(case.labels)
    for split in SPLITS:
        path = scratch / "pope" / VARIANTS[variant].questions.format(split=split)
        path.parent.mkdir(parents=True, exist_ok=True)
        if case.first_n is None:
            shutil.copyfile(labels, path)
        else:
            records = [record.fields for record in read_records(labels)[: case.first_n]]
            path.write_text("".join(json.dumps(fields) + "\n" for fields in records))
    return Pope(edition="official", data_dir=scratch, variant=variant)


def _answer_file(case: Case, benchmark: Pope, scratch: Path) -> Path:
    """The case's own answer file, or one made by the rule of an extreme case."""
    if case.responses:
        return case.folder / case.responses
    items = _questions(benchmark, case.split)
    half = re.fullmatch(r"(.*), given only for the first half of the questions", case.rule)
    if half:
        items = items[: len(items) // 2]
    is_opposite = case.rule == "Yes where the label is no, No where the label is yes"
    opposite = {"yes": "No", "no": "Yes"}
    path = scratch / "answers.jsonl"
    with path.open("w") as stream:
        for item in items:
            text = half[1] if half else case.rule
            answer = opposite[item.reference["label"]] if is_opposite else text
            record = {"question_id": int(item.id.split("/")[1]), "answer": answer}
            stream.write(json.dumps(record) + "\n")
    return path


def _questions(pope: Pope, split: str) -> list[Item]:
    return [item for item in pope.items() if item.split == split]


def _is_in_question_order(records: list[Record], items: list[Item]) -> bool:
    """Whether ids, and questions where given, are those of the questions in the same places."""
    return len(records) <= len(items) and all(
        str(record.fields.get("question_id")) == item.id.removeprefix(f"{item.split}/")
        and item.question in record.fields.get("question", item.question)
        for record, item in zip(records, items, strict=False)
    )


def _rows(benchmark: Pope, responses: Sequence[Response]) -> list[ScoreRow]:
    by_item = {response.request_id: [response] for response in responses}
    return score_items(benchmark, benchmark.items(), by_item)


def _metrics(benchmark: Pope, rows: list[ScoreRow]) -> dict[tuple[str, str], Metric]:
    return {(metric.split, metric.name): metric for metric in measure(benchmark, rows)}


def _total(rows: list[ScoreRow], column: str) -> float:
    return sum(row.values.get(column, 0.0) for row in rows)


# The tests


def test_figures_are_the_official_ones(case: Case, parity_data_dir: Path, tmp_path: Path) -> None:
    """Paired by position, as the official script does."""
    pope = _benchmark(case, parity_data_dir, tmp_path)
    path = _answer_file(case, pope, tmp_path)
    if len(read_records(path)) > len(_questions(pope, case.split)):
        with pytest.raises(PlumblineError, match="answers to"):
            pope.read_responses([path], split=case.split, pairing="position")
        return
    rows = _rows(pope, pope.read_responses([path], split=case.split, pairing="position"))
    metrics = _metrics(pope, rows)
    for cell in ("TP", "FP", "TN", "FN"):
        if case.expected.get(cell) is not None:
            assert _total(rows, cell.lower()) == case.expected[cell]
    for name in FIGURES:
        if case.expected.get(name) is not None:
            assert metrics[case.split, name].value == case.expected[name]
    if case.expected.get("error"):
        assert metrics[case.split, "f1"].value is None


def test_pairing_by_id_agrees_where_the_answers_are_in_order(
    case: Case, parity_data_dir: Path, tmp_path: Path
) -> None:
    pope = _benchmark(case, parity_data_dir, tmp_path)
    path = _answer_file(case, pope, tmp_path)
    if not _is_in_question_order(read_records(path), _questions(pope, case.split)):
        pytest.skip("the answers are not in question order")
    by_position = pope.read_responses([path], split=case.split, pairing="position")
    assert pope.read_responses([path], split=case.split) == by_position


def test_what_stops_the_official_script_gives_a_reason_or_is_read(
    unreadable: Case, parity_data_dir: Path, tmp_path: Path
) -> None:
    """Some of it is harmless (a byte order mark); nothing may end in another kind of exception."""
    pope = _benchmark(unreadable, parity_data_dir, tmp_path)
    path = _answer_file(unreadable, pope, tmp_path)
    with suppress(BadRecordError):
        pope.read_responses([path], split=unreadable.split)


def test_aggregates_are_the_plain_means(
    output: tuple[Path, dict[str, Any]], parity_data_dir: Path, tmp_path: Path
) -> None:
    content = {key: value for key, value in output[1].items() if key != "extreme"}
    cases = _cases(output[0], content)
    if sorted(case.split for case in cases) != sorted(SPLITS):
        pytest.skip("the means are not over the three splits")
    for case in cases:
        pope = _benchmark(case, parity_data_dir, tmp_path / case.split)
        source = pope.question_file(case.split)
        target = tmp_path / source.relative_to(tmp_path / case.split)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    pope = replace(pope, data_dir=tmp_path)
    responses: list[Response] = []
    for case in cases:
        path = case.folder / case.responses
        responses += pope.read_responses([path], split=case.split, pairing="position")
    metrics = _metrics(pope, _rows(pope, responses))
    assert metrics["", "mean_f1"].value == content["mean_f1_over_categories"]
    assert metrics["", "mean_accuracy"].value == content["mean_accuracy_over_categories"]


def test_answers_are_parsed_as_the_official_script_does(parsed: tuple[str, str]) -> None:
    answer, prediction = parsed
    assert official_answer(answer) == prediction


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_official_files_are_read_whole(parity_data_dir: Path, variant: str) -> None:
    items = Pope(edition="official", data_dir=parity_data_dir, variant=variant).items()
    n_random = 2_910 if variant == "coco_older" else 3_000
    sizes = [sum(item.split == split for item in items) for split in SPLITS]
    assert sizes == [n_random, 3_000, 3_000]
    assert len({item.group for item in items}) == 500
    assert sum(item.reference["label"] == "yes" for item in items) == 4_500


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("split", SPLITS)
def test_official_questions_tell_their_split(
    parity_data_dir: Path, tmp_path: Path, variant: str, split: str
) -> None:
    """An answer file under a name that says nothing."""
    pope = Pope(edition="official", data_dir=parity_data_dir, variant=variant)
    responses = {item.id: Response(item.id, "", "Yes") for item in _questions(pope, split)}
    path = tmp_path / "answers.jsonl"
    path.write_text(pope.official_files(responses)[f"pope_{split}.jsonl"])
    assert {r.request_id: r for r in pope.read_responses([path])} == responses
