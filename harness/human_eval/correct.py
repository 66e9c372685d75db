"""Few human ratings and many of a judge: what a run's score would be if people had rated everything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.base import BadRecordError, Direction, Display, Metric, PlumblineError, sha256_of
from harness.compare.sheets import printable
from harness.human_eval.draw import responses_of
from harness.human_eval.results import RATING_SPECS, rating_values
from harness.human_eval.rubrics import HALLUCINATION
from harness.judge_correction import Correction, Estimated, correct_mean
from harness.runs import Part, Run
from harness.show import interval, number, print_rows
from harness.store import VALUE

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = {"mmhal": {"score": "score", "hallucination_rate": "hallucination"}}
"""The judge's numbers that mean the same as people's, by benchmark and metric."""

BOUNDS = {"score": (0.0, 6.0), "hallucination_rate": (0.0, 1.0)}


@dataclass(frozen=True)
class Corrected:
    """A run's metric.

    Attributes:
        column: of the judge's numbers.
        judges: the models that judged.
        n_unjudged: items without a number of the judge; they take its mean, which any prediction may.
    """

    run: str
    title: str
    metric: str
    column: str
    judges: Sequence[str]
    correction: Correction
    n_unjudged: int


def correct(
    human: Path, runs: Sequence[Run], metrics: Sequence[str], column: str | None = None
) -> list[Corrected]:
    """Each metric of each run.

    Args:
        human: human.json of a study with the rubric "hallucination".
        column: the judge's number, where it is not known for the benchmark.

    Raises:
        BadRecordError: the file is no such study.
        PlumblineError: a run was not rated, its answers changed since, or it lacks the column.
    """
    study = _read(human)
    if column is not None and len(metrics) > 1:
        raise PlumblineError("--column is for one metric: name it with --metric")
    found = []
    for run in runs:
        part = run.parts.get(study["benchmark"])
        if part is None:
            raise PlumblineError(f"{run.path} has no scored {study['benchmark']}")
        ratings = _ratings(study, human, run, part)
        for metric in metrics:
            found.append(_corrected(run, part, metric, _column(part, metric, column), ratings))
    return found


def print_corrections(console: Console, found: Sequence[Corrected]) -> None:
    """People alone, the judge alone, and both, side by side."""
    specs = {spec.name.replace(" ", "_"): spec for spec in RATING_SPECS}
    rows, notes = [], []
    for each in found:
        spec, correction = specs[each.metric], each.correction
        n_items = correction.n_labelled + correction.n_unlabelled
        judge = printable(", ".join(each.judges)) or "the judge"
        for label, estimated, n in (
            (f"people ({correction.n_labelled} items)", correction.human, correction.n_labelled),
            (f"{judge} ({n_items} items)", correction.judge, n_items),
            ("corrected", correction.corrected, n_items),
        ):
            metric = _metric(spec.name, spec.direction, spec.display, estimated, n)
            is_first = estimated is correction.human
            title = f"{printable(each.run)}: {each.metric} ({each.title})" if is_first else ""
            rows.append((title, label, "", number(metric.value, metric), interval(metric)))
            if estimated.note:
                notes.append(f"{each.run}, {each.metric}, {label}: {estimated.note}")
        notes.append(_told(each))
    print_rows(console, "corrected by people", ("", "from", "", "value", "95 % interval"), rows)
    for note in notes:
        console.print(f"  {printable(note)}", style="yellow")


def as_json(found: Sequence[Corrected]) -> list[dict[str, Any]]:
    return [asdict(each) for each in found]


def _told(each: Corrected) -> str:
    correction = each.correction
    agreement = (
        "" if correction.correlation is None else f", correlation {correction.correlation:.2f}"
    )
    text = (
        f"{each.run}, {each.metric}: where both rated, the judge is {correction.bias:+.3f} from people"
        f"{agreement}; lambda {correction.lambda_:.2f}"
    )
    widths = correction.human.width, correction.corrected.width
    if widths[0] and widths[1] is not None:
        text += f"; the interval is {widths[1] / widths[0]:.0%} as wide as from people alone"
    if each.n_unjudged:
        text += f"; {each.n_unjudged} items without a number of the judge take its mean"
    return text


def _metric(
    name: str, direction: Direction, display: Display, estimated: Estimated, n: int
) -> Metric:
    ends = (estimated.low, estimated.high)
    return Metric(name, "", estimated.value, *ends, n, n, direction, display)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
        _ = study["benchmark"], study["edition"], study["runs"], study["judged"]
        rubric = study["rubric"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRecordError(
            f"{path}: not what import wrote ({error}). Name its human.json"
        ) from error
    if rubric != HALLUCINATION.name:
        raise PlumblineError(
            f"{path}: people compared responses here; a judge's ratings are corrected by ratings "
            "(export --rubric hallucination)"
        )
    return dict(study)


def _ratings(
    study: Mapping[str, Any], path: Path, run: Run, part: Part
) -> dict[str, dict[str, float]]:
    """People's numbers by item, of the study's run whose responses this run gave."""
    responses = {item_id: sha256_of(text) for item_id, text in responses_of(part).items()}
    try:
        for index in range(len(study["runs"])):
            rated = [
                (entry["item_id"], entry["responses_sha256"][entry["runs"].index(index)], entry["verdicts"])
                for entry in study["judged"]
                if index in entry["runs"]
            ]  # fmt: skip
            if rated and all(responses.get(item_id) == digest for item_id, digest, _ in rated):
                return {
                    item_id: rating_values([int(code) for code in verdicts.values()])
                    for item_id, _, verdicts in rated
                    if verdicts
                }
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BadRecordError(f"{path} is damaged ({error!r}). Import the sheets again") from error
    raise PlumblineError(
        f"{run.path}: people rated other responses than this run's. Name a run of the study, as it was "
        "when the sheets were exported"
    )


def _column(part: Part, metric: str, column: str | None) -> str:
    chosen = column or COLUMNS.get(part.name, {}).get(metric)
    there = [name.removeprefix(VALUE) for name in part.columns if name.startswith(VALUE)]
    if chosen is None or chosen not in there:
        problem = (
            f"has no column {chosen}" if chosen else f"is not known to have a column for {metric}"
        )
        raise PlumblineError(
            f"{part.path}: {part.title} {problem}. Name the judge's number with --metric {metric} "
            f"--column, one of {', '.join(there)}"
        )
    return chosen


def _corrected(
    run: Run, part: Part, metric: str, column: str, ratings: Mapping[str, Mapping[str, float]]
) -> Corrected:
    if not ratings:
        raise PlumblineError(f"{run.path}: nobody rated a response of this run")
    table = part.table(["item_id", "group", f"{VALUE}{column}"])
    answered = responses_of(part)
    table = table[table["item_id"].isin(answered)]
    judged = table[f"{VALUE}{column}"].to_numpy(dtype=np.float64)
    unjudged = np.isnan(judged)
    if unjudged.all():
        raise PlumblineError(f"{part.path}: the judge has no {column} of any item")
    people = [ratings[item][metric] if item in ratings else None for item in table["item_id"]]
    correction = correct_mean(
        people,
        np.where(unjudged, judged[~unjudged].mean(), judged),
        table["group"].tolist(),
        bounds=BOUNDS[metric],
    )
    return Corrected(
        run.name, part.title, metric, column, list(part.judges), correction, int(unjudged.sum())
    )
