"""What finished experiments say: their values, the verdicts on the claims, and both as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainers.output import RECORD
from trainers.pocket_lab.claims import (
    CLAIMS,
    MEASURES,
    Claim,
    RewardClaim,
    Verdict,
    verdict_of,
    verdict_on_sign,
)
from trainers.pocket_lab.compare import (
    Found,
    Measure,
    Rows,
    difference,
    mean_of,
    room_above,
    value_of,
)
from trainers.pocket_lab.plan import BATCH_SIZE, EXPERIMENTS, Experiment, Family
from trainers.pocket_lab.work import CHECKPOINT_NAME, read_rows


@dataclass(frozen=True)
class Run:
    """One experiment on one seed.

    Attributes:
        last_reward: of chosen answers, at the end of the training.
        n_records: that were trained on; more than pairs or fewer, as sampling brought them.
        cpu_seconds: of training and evaluation.
    """

    rows: Rows
    last_reward: float | None = None
    n_records: int = 0
    n_steps: int = 0
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Cell:
    """One number of the table."""

    experiment: str
    measure: Measure
    found: Found
    n_seeds: int


@dataclass(frozen=True)
class Judged:
    """A claim on one measure, with what was seen and the verdict.

    Attributes:
        measure: None for rewards.
        found: the difference in the claim's favour, or the reward; None if the experiments were not run.
    """

    claim: Claim | RewardClaim
    measure: Measure | None
    found: Found | None
    verdict: Verdict


Runs = Mapping[str, Mapping[int, Run]]
"""By experiment and seed."""

Tuning = Mapping[Family, Mapping[str, float]]
"""By family and learning rate, the share of faultless captions of the development seed."""


def read_runs(results: Sequence[tuple[Experiment, int, Path]]) -> dict[str, dict[int, Run]]:
    """The runs of result files, by experiment and seed."""
    runs: dict[str, dict[int, Run]] = {}
    for experiment, seed, path in results:
        runs.setdefault(experiment.name, {})[seed] = _read(experiment, path)
    return runs


def _read(experiment: Experiment, path: Path) -> Run:
    content = json.loads(path.read_text(encoding="utf-8"))
    rows, reward, seconds = (
        read_rows(content),
        content["last_chosen_reward"],
        content["cpu_seconds"],
    )
    if not experiment.method:
        return Run(rows, cpu_seconds=seconds)
    record = json.loads((path.parent / CHECKPOINT_NAME / RECORD).read_text(encoding="utf-8"))
    n_steps = record["sessions"][-1]["steps"][1]
    is_online = experiment.data == "online"
    n_records = n_steps * BATCH_SIZE if is_online else record["data"]["n_pairs"]
    return Run(rows, reward, n_records, n_steps, seconds)


def table(runs: Runs) -> list[Cell]:
    """Every measure of every experiment that was run."""
    cells = []
    for experiment in EXPERIMENTS:
        rows = {seed: run.rows for seed, run in runs.get(experiment.name, {}).items()}
        if not experiment.method:
            # The base is one checkpoint, whatever the seed.
            rows = dict(list(rows.items())[:1])
        if rows:
            cells += [
                Cell(experiment.name, measure, value_of(measure, rows), len(rows))
                for measure in MEASURES
            ]
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
    ours, theirs = ({seed: run.rows for seed, run in each.items()} for each in (subject, other))
    judged = []
    for measure in claim.measures:
        found = difference(measure, ours, theirs)
        verdict = verdict_of(found, claim.kind, measure.worth, room_above(measure, theirs))
        judged.append(Judged(claim, measure, found, verdict))
    return judged


def verdicts(runs: Runs) -> list[Judged]:
    """On all claims."""
    return [each for claim in CLAIMS for each in judge(claim, runs)]


def as_csv(cells: Sequence[Cell]) -> str:
    """The table, a line for each number."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["experiment", *_NAMES, "value", "low", "high", "n_seeds", "by_seed"])
    for cell in cells:
        found = cell.found
        own = [getattr(cell.measure, name) for name in _NAMES]
        by_seed = " ".join(f"{value:.6g}" for value in found.by_seed)
        ends = (found.value, found.low, found.high)
        writer.writerow([cell.experiment, *own, *ends, cell.n_seeds, by_seed])
    return stream.getvalue()


_NAMES = ("benchmark", "metric", "split", "direction")


def as_json(
    settings: Mapping[str, Any], tuning: Tuning, cells: Sequence[Cell], judged: Sequence[Judged]
) -> dict[str, Any]:
    """Everything, in full precision."""
    return {
        "plan": settings,
        "tuning": tuning,
        "cells": [
            {
                "experiment": cell.experiment,
                **{name: getattr(cell.measure, name) for name in _NAMES},
                "found": asdict(cell.found),
                "n_seeds": cell.n_seeds,
            }
            for cell in cells
        ],
        "claims": [
            {
                "paper": f"arXiv {each.claim.paper.arxiv}",
                "claim": each.claim.text,
                "source": each.claim.source,
                "subject": each.claim.subject,
                "other": getattr(each.claim, "other", None),
                "measure": each.measure.title if each.measure else "reward of chosen answers",
                "found": asdict(each.found) if each.found else None,
                "verdict": each.verdict,
            }
            for each in judged
        ],
    }
