"""What the laboratory found: a table as CSV and JSON, and a page with the papers' claims."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.show import ARROWS
from harness.store import to_json, write_atomically
from trainers.pocket_lab.claims import (
    CLAIMS,
    MEASURES,
    Claim,
    RewardClaim,
    Verdict,
    verdict_of,
    verdict_on_sign,
)
from trainers.pocket_lab.compare import Found, Measure, Rows, difference, mean_of, value_of
from trainers.pocket_lab.plan import DEVELOPMENT_SEED, EXPERIMENTS, Experiment, Plan
from trainers.pocket_lab.work import read_rows

PAGE, TABLE, DATA = "README.md", "table.csv", "table.json"


@dataclass(frozen=True)
class Run:
    """One experiment on one seed."""

    rows: Rows
    last_reward: float | None


@dataclass(frozen=True)
class Cell:
    """One number of the table."""

    experiment: str
    benchmark: str
    metric: str
    split: str
    direction: str
    found: Found
    n_seeds: int


@dataclass(frozen=True)
class Judged:
    """A claim on one measure, with what was seen and the verdict."""

    claim: Claim | RewardClaim
    measure: Measure | None
    found: Found | None
    verdict: Verdict


Runs = Mapping[str, Mapping[int, Run]]
"""By experiment and seed."""


def read_runs(results: Sequence[tuple[Experiment, int, Path]]) -> dict[str, dict[int, Run]]:
    """The runs of result files, by experiment and seed."""
    runs: dict[str, dict[int, Run]] = {}
    for experiment, seed, path in results:
        content = json.loads(path.read_text(encoding="utf-8"))
        run = Run(read_rows(content), content["last_chosen_reward"])
        runs.setdefault(experiment.name, {})[seed] = run
    return runs


def write(out: Path, plan: Plan, runs: Runs, tuning: Mapping[str, Mapping[str, float]]) -> None:
    """Table and page.

    Args:
        tuning: by family and learning rate, the share of faultless captions of the development seed.
    """
    cells = table(runs)
    judged = [each for claim in CLAIMS for each in judge(claim, runs)]
    write_atomically(out / TABLE, _csv(cells))
    told = {
        "plan": {**asdict(plan), "work": None},
        "tuning": tuning,
        "cells": [asdict(cell) for cell in cells],
        "claims": [_told(each) for each in judged],
    }
    write_atomically(out / DATA, to_json(told))
    write_atomically(out / PAGE, page(plan, runs, tuning, cells, judged))


def table(runs: Runs) -> list[Cell]:
    """Every measure of every experiment that was run."""
    cells = []
    for experiment in EXPERIMENTS:
        found = runs.get(experiment.name, {})
        for measure in MEASURES:
            if found:
                rows = {seed: run.rows for seed, run in found.items()}
                # The base is one checkpoint, whatever the seed.
                rows = rows if experiment.method else dict([next(iter(rows.items()))])
                cells.append(
                    Cell(
                        experiment.name,
                        measure.benchmark,
                        measure.metric,
                        measure.split,
                        measure.direction,
                        value_of(measure, rows),
                        len(rows),
                    )
                )
    return cells


def judge(claim: Claim | RewardClaim, runs: Runs) -> list[Judged]:
    """Verdicts on a claim, one for each of its measures."""
    subject = runs.get(claim.subject, {})
    if isinstance(claim, RewardClaim):
        rewards = [run.last_reward for run in subject.values() if run.last_reward is not None]
        if not rewards:
            return [Judged(claim, None, None, "not run")]
        found = mean_of(rewards)
        return [Judged(claim, None, found, verdict_on_sign(found, claim.sign))]
    other = runs.get(claim.other, {})
    if not set(subject) & set(other):
        return [Judged(claim, measure, None, "not run") for measure in claim.measures]
    judged = []
    for measure in claim.measures:
        rows = [{seed: run.rows for seed, run in each.items()} for each in (subject, other)]
        found = difference(measure, *rows)
        judged.append(Judged(claim, measure, found, verdict_of(found, claim.kind, measure.worth)))
    return judged


def page(
    plan: Plan,
    runs: Runs,
    tuning: Mapping[str, Mapping[str, float]],
    cells: Sequence[Cell],
    judged: Sequence[Judged],
) -> str:
    """The page, in Markdown."""
    counts: dict[str, int] = {}
    for each in judged:
        counts[each.verdict] = counts.get(each.verdict, 0) + 1
    summary = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    sections = [
        "# Pocket laboratory",
        "Preference methods on the embedded pocket checkpoint, and what three papers claim about them. Everything on "
        "this page is computed; `python -m trainers.pocket_lab` makes it anew.",
        f"Comparisons: {summary}. A small model in a drawn world is not the papers' setting: a claim that is not "
        "replicated here is not thereby refuted, and one that is replicated is not thereby confirmed for large models.",
        "## Claims",
        *_claims(judged),
        _RULE,
        "## Results",
        *_results(cells, runs),
        "## How it was done",
        *_method(plan, tuning),
    ]
    return "\n\n".join(sections) + "\n"


_RULE = """\
Differences are in favour of the claim where they are positive; their 95 % intervals come from the pictures (bootstrap over
pictures, all seeds together) and from the variance between seeds. A claim that something is better is *replicated* if the
interval lies above 0, and *not replicated* if it lies below the difference that is worth speaking of (last column). "The
same" and "not worse" are *replicated* if the interval lies within that difference, and *not replicated* if it lies beyond it.
Everything else is *inconclusive*."""


def _claims(judged: Sequence[Judged]) -> list[str]:
    parts = []
    for paper in dict.fromkeys(each.claim.paper for each in judged):
        header = ("claim", "compared", "measure", "difference", "95 % interval", "verdict", "worth")
        rows = [_claim_row(each) for each in judged if each.claim.paper == paper]
        parts += [f"### {paper}", _markdown(header, rows)]
    return parts


def _claim_row(judged: Judged) -> tuple[str, ...]:
    claim, found = judged.claim, judged.found
    text = f"{claim.text} [{claim.source}]"
    if isinstance(claim, RewardClaim) or judged.measure is None:
        compared, measure, worth, scale = claim.subject, "reward of chosen answers", "0", 1.0
    else:
        sign = {"better": ">", "same": "=", "not worse": "≥"}[claim.kind]
        compared = f"{claim.subject} {sign} {claim.other}"
        scale = _scale(judged.measure)
        measure, worth = judged.measure.title, f"{judged.measure.worth * scale:g}"
    value = _number(found.value if found else None, scale, "+")
    ends = _interval(found, scale, "+") if found else "–"
    return (text, compared, measure, value, ends, f"**{judged.verdict}**", worth)


def _results(cells: Sequence[Cell], runs: Runs) -> list[str]:
    by_place = {(cell.experiment, cell.benchmark, cell.metric): cell for cell in cells}
    header = ("experiment", "seeds", *(f"{m.title} {ARROWS[m.direction]}" for m in MEASURES))
    rows = []
    for experiment in EXPERIMENTS:
        if experiment.name not in runs:
            continue
        shown = [by_place[experiment.name, m.benchmark, m.metric] for m in MEASURES]
        numbers = [
            f"{_number(cell.found.value, _scale(m))} ({_interval(cell.found, _scale(m))})"
            for cell, m in zip(shown, MEASURES, strict=True)
        ]
        rows.append((experiment.title, str(shown[0].n_seeds), *numbers))
    absent = [each.title for each in EXPERIMENTS if each.name not in runs]
    told = [_markdown(header, rows)]
    return told + ([f"Not run: {', '.join(absent)}."] if absent else [])


def _method(plan: Plan, tuning: Mapping[str, Mapping[str, float]]) -> list[str]:
    rates = [
        (family, *(f"{float(rate):g}: {100 * share:.1f}" for rate, share in found.items()))
        for family, found in tuning.items()
    ]
    width = max((len(row) for row in rates), default=1)
    rows = [(*row, *[""] * (width - len(row))) for row in rates]
    return [
        f"{plan.n_pairs} pocket pairs (those of other sizes have a multiple of them), {plan.epochs} epochs, all weights "
        f"trained; seeds {', '.join(map(str, plan.seeds))}, each with its own data. Benchmarks: the pocket edition, at most "
        f"{plan.limit} items of each split.",
        f"Learning rates were chosen on seed {DEVELOPMENT_SEED}, by the share of captions of {plan.n_scenes} development "
        "scenes that make nothing up and leave nothing out (in %); no benchmark was looked at:",
        _markdown(("family", *[""] * (width - 1)), rows),
    ]


def _told(judged: Judged) -> dict[str, Any]:
    return {
        "paper": judged.claim.paper,
        "claim": judged.claim.text,
        "subject": judged.claim.subject,
        "other": getattr(judged.claim, "other", None),
        "measure": judged.measure.title if judged.measure else "reward of chosen answers",
        "found": asdict(judged.found) if judged.found else None,
        "verdict": judged.verdict,
    }


def _csv(cells: Sequence[Cell]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = ("experiment", "benchmark", "metric", "split", "direction")
    writer.writerow([*names, "value", "low", "high", "n_seeds", "by_seed"])
    for cell in cells:
        found = cell.found
        own = [getattr(cell, name) for name in names]
        by_seed = " ".join(f"{value:.6g}" for value in found.by_seed)
        writer.writerow([*own, found.value, found.low, found.high, cell.n_seeds, by_seed])
    return stream.getvalue()


def _scale(measure: Measure) -> float:
    return 100.0 if measure.spec.display == "percent" else 1.0


def _number(value: float | None, scale: float, sign: str = "") -> str:
    if value is None:
        return "–"
    # Added zero: a rounded loss of nothing would else be written as -0.00.
    shown = round(value * scale, 2) + 0.0
    return f"{shown:{sign}.2f}" if abs(shown) < 10 else f"{shown:{sign}.1f}"


def _interval(found: Found, scale: float, sign: str = "") -> str:
    if found.low is None or found.high is None:
        return "–"
    return f"{_number(found.low, scale, sign)} to {_number(found.high, scale, sign)}"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
