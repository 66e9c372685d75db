"""The results for the terminal, as Markdown, JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import Metric, sha256_of
from harness.agreement import Agreement
from harness.cells import csv_text
from harness.compare.markdown import escaped
from harness.compare.sheets import printable
from harness.human_eval.results import Disagreement, Outcome, Results, code_of, meaning_of
from harness.human_eval.rubrics import PREFERENCE
from harness.human_eval.study import Task
from harness.paired import Paired
from harness.show import ARROWS, coverage, interval, markdown_table, number, print_rows
from harness.store import to_json, write_atomically

if TYPE_CHECKING:
    from rich.console import Console

MARKDOWN, JSON, MERGED = "report.md", "human.json", "merged.csv"

SHOWN = 8
"""Disagreements and flags that the terminal shows; the report has all."""

SHORT = 110
"""Characters of a question or response in a list."""


@dataclass(frozen=True)
class Block:
    """A table with what to know about it. Its columns are those that ``harness.show`` prints."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def print_report(console: Console, results: Results) -> None:
    """What matters, on a terminal."""
    for block in _blocks(results):
        rows = [[printable(cell) for cell in row] for row in block.rows]
        print_rows(console, printable(block.title), block.header, rows)
        for note in block.notes:
            console.print(f"  {printable(note)}", style="yellow")
    lists = (
        ("annotators disagree most on", [line for line, _ in _disagreements(results)]),
        ("look at", results.returned.flags),
    )
    for heading, lines in lists:
        if lines:
            console.print(f"\n{heading}", style="bold")
            for line in lines[:SHOWN]:
                console.print(f"  {printable(line)}")
            if len(lines) > SHOWN:
                console.print(f"  … and {len(lines) - SHOWN} more in {MARKDOWN}")


def write_report(folder: Path, results: Results) -> None:
    """report.md, human.json and merged.csv. They tell which response is whose."""
    write_atomically(folder / MARKDOWN, _markdown(results))
    write_atomically(folder / JSON, to_json(_json(results)))
    write_atomically(folder / MERGED, _merged(results))


def _blocks(results: Results) -> Iterator[Block]:
    study, returned = results.study, results.returned
    n_verdicts = len(returned.verdicts)
    title = f"{study.title}: {study.rubric.name}, {len(returned.annotators)} annotators, {n_verdicts} verdicts"
    rows = [row for outcome in results.outcomes for row in _outcome_rows(outcome)]
    yield Block(
        title, ("runs", "share", "", "value", "95 % interval", "judged/asked"), rows,
        list(_outcome_notes(results)),
    )  # fmt: skip
    if results.differences:
        by_name = {metric.name: metric for metric in results.outcomes[0].metrics}
        differences = [
            row
            for name, found in results.differences.items()
            for row in _difference_rows(name, found, by_name)
        ]
        header = ("runs", "difference", "", "value", "95 % interval", "p", "judged in both")
        notes = ["first run minus second; p: two-sided permutation of groups, not corrected"]
        yield Block("differences", header, differences, notes)
    if results.agreement:
        coefficients = [_agreement_row(found) for found in results.agreement]
        yield Block(
            "agreement", ("", "coefficient", "", "value", "95 % interval", "tasks"), coefficients,
            list(dict.fromkeys(f"{a.name}: {a.note}" for a in results.agreement if a.note)),
        )  # fmt: skip
    yield _habits(results)


def _habits(results: Results) -> Block:
    """What each annotator does. The columns between are the verdicts as they stand in the sheet."""
    options = [option.value for option in results.study.rubric.options]
    rows = [
        (
            "",
            each.name,
            "",
            f"{each.n}/{each.n + each.n_missing}",
            *(str(each.verdicts[option]) for option in options),
            "–" if each.with_others is None else f"{100 * each.with_others:.0f} %",
            "–" if each.mean_distance is None else f"{each.mean_distance:.2f}",
        )
        for each in results.annotators
    ]
    header = ("", "annotator", "", "judged", *options, "as others", "distance")
    return Block("annotators", header, rows)


def _outcome_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for index, metric in enumerate(outcome.metrics):
        yield (
            outcome.name if index == 0 else "",
            metric.name,
            ARROWS[metric.direction],
            number(metric.value, metric),
            interval(metric),
            coverage(metric),
        )


def _outcome_notes(results: Results) -> Iterator[str]:
    for outcome in results.outcomes:
        counts = ", ".join(
            f"{verdict}: {count}" for verdict, count in outcome.counts.items() if count
        )
        most = "most annotators' verdict" if len(results.annotators) > 1 else "questions"
        yield f"{outcome.name}: {most} {counts or 'none'}; intervals: {outcome.method}"
        if outcome.n_identical:
            yield (
                f"{outcome.name}: {outcome.n_identical} questions have the same response twice; they count "
                "as ties, and nobody was asked"
            )
    if any(not metric.complete for outcome in results.outcomes for metric in outcome.metrics):
        yield "* not every question was judged"
    for reason, count in results.study.left_out.items():
        yield f"{count} questions could not be drawn: {reason}"


def _difference_rows(
    name: str, found: Sequence[Paired], metrics: Mapping[str, Metric]
) -> Iterator[tuple[str, ...]]:
    for index, paired in enumerate(found):
        metric = metrics[paired.name]
        ends = replace(metric, low=paired.low, high=paired.high)
        yield (
            name if index == 0 else "",
            paired.name,
            ARROWS[paired.direction],
            number(paired.difference, metric),
            interval(ends),
            "–" if paired.p is None else f"{paired.p:.3f}",
            str(paired.n_paired),
        )


def _agreement_row(found: Agreement) -> tuple[str, ...]:
    ends = "–" if found.low is None else f"{found.low:.3f} – {found.high:.3f}"
    value = "–" if found.value is None else f"{found.value:.3f}"
    return "", found.name, "", value, ends, str(found.n_units)


def _runs(results: Results, task: Task) -> str:
    """The runs that a task is about."""
    names = [results.study.runs[run].name for run in task.runs]
    return (" against " if results.study.rubric is PREFERENCE else ", ").join(names)


def _disagreements(results: Results) -> list[tuple[str, Disagreement]]:
    """A line each, and what it is about."""
    lines = []
    for found in results.disagreements:
        question = results.study.question_of[found.task.item_id]
        told = ", ".join(f"{name}: {verdict}" for name, verdict in found.verdicts.items())
        line = f"{question.item_id} ({_runs(results, found.task)}): {told}. {_short(question.text)}"
        lines.append((line, found))
    return lines


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 1]}…"


def _markdown(results: Results) -> str:
    study = results.study
    lines = [f"# {escaped(study.title)}: human evaluation, {study.rubric.name}", ""]
    for block in _blocks(results):
        rows = [[escaped(printable(cell)) for cell in row] for row in block.rows]
        lines += [f"## {escaped(printable(block.title))}", ""]
        lines += markdown_table(block.header, rows)
        lines += ["", *(f"- {escaped(printable(note))}" for note in block.notes), ""]
    if results.disagreements:
        lines += ["## Who disagrees on what", ""]
        for line, found in _disagreements(results):
            lines.append(f"- {escaped(printable(line))}")
            question = study.question_of[found.task.item_id]
            shown = found.task.runs if study.rubric is PREFERENCE else found.task.runs[:1]
            lines += [
                f"  - {escaped(printable(study.runs[run].name))}: "
                f"{escaped(printable(_short(question.responses[run])))}"
                for run in shown
            ]
            lines += [
                f"  - comment of {escaped(printable(name))}: {escaped(printable(comment))}"
                for name, comment in found.comments.items()
            ]
        lines.append("")
    if results.returned.flags:
        lines += ["## To look at", ""]
        lines += [f"- {escaped(printable(flag))}" for flag in results.returned.flags]
    return "\n".join(lines).rstrip() + "\n"


def _json(results: Results) -> dict[str, Any]:
    study = results.study
    return {
        "format": 1,
        "rubric": study.rubric.name,
        "benchmark": study.benchmark,
        "title": study.title,
        "edition": study.edition,
        "runs": [asdict(run) for run in study.runs],
        "left_out": dict(study.left_out),
        "outcomes": [
            {**asdict(outcome), "metrics": [metric.to_json() for metric in outcome.metrics]}
            for outcome in results.outcomes
        ],
        "differences": {
            name: [{**asdict(paired), "difference": paired.difference} for paired in found]
            for name, found in results.differences.items()
        },
        "agreement": [asdict(found) for found in results.agreement],
        "annotators": [asdict(each) for each in results.annotators],
        "missing": {name: list(tasks) for name, tasks in results.returned.missing.items()},
        "flags": list(results.returned.flags),
        "disagreements": [asdict(found) for found in results.disagreements],
        "judged": list(_judged(results)),
    }


def _judged(results: Results) -> Iterator[dict[str, Any]]:
    """Every verdict by question and runs, and which responses it is about."""
    study = results.study
    for task in study.tasks:
        question = study.question_of[task.item_id]
        yield {
            "item_id": task.item_id,
            "runs": list(task.runs),
            "responses_sha256": [sha256_of(question.responses[run]) for run in task.runs],
            "verdicts": dict(results.codes.get(task.id, {})),
        }


def _merged(results: Results) -> str:
    """A row for each verdict, with the names of the runs."""
    study = results.study
    header = ("item_id", "split", "group", "runs", "annotator", "verdict", "as_in_sheet", "comment", "sheet", "id")  # fmt: skip
    rows = []
    for verdict in results.returned.verdicts:
        question = study.question_of[verdict.task.item_id]
        about = (question.item_id, question.split, question.group, _runs(results, verdict.task))
        meaning = meaning_of(study, code_of(study, verdict))
        said = (verdict.annotator, meaning, verdict.value, verdict.comment)
        rows.append((*about, *said, verdict.sheet.id, verdict.task.id))
    return csv_text([header, *rows])
