"""What accepting a run would change in the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.base import Metric
from harness.check.baseline import Accepted, identity_of, measured, read_baseline
from harness.check.sentences import signed
from harness.runs import Part, Run
from harness.show import ARROWS, headlines, label, number
from harness.store import differing, shortened


@dataclass(frozen=True)
class Changes:
    """Rows of headline metrics that are other numbers now (title, metric, arrow, accepted, new, change), and
    what else is to be known.
    """

    rows: list[tuple[str, ...]]
    remarks: list[str]


def changes(run: Run, path: Path) -> Changes:
    """Raises BadRecordError when the old baseline is damaged."""
    old = read_baseline(path).benchmarks if path.exists() else {}
    rows: list[tuple[str, ...]] = []
    remarks: list[str] = []
    parts = measured(run)
    for folder, part in parts.items():
        if folder in old:
            rows += _moved(old[folder], part)
            remarks += _redefined(old[folder], part)
        for metric in headlines(part.metrics):
            if not metric.complete:
                n_lost = metric.n_asked - metric.n_scored
                remarks.append(f"{part.title} {label(metric)}: {n_lost:,} items have no score")
    new = [part.title for folder, part in parts.items() if folder not in old]
    gone = [accepted.title for folder, accepted in old.items() if folder not in parts]
    for what, titles in (("new in the baseline", new), ("no longer in the baseline", gone)):
        remarks += [f"{what}: {', '.join(titles)}"] if titles else []
    if not rows and not remarks:
        remarks.append("the headline numbers are the same as before")
    return Changes(rows, remarks)


def _moved(old: Accepted, part: Part) -> list[tuple[str, ...]]:
    before = {(metric.name, metric.split): metric.value for metric in old.metrics}
    found: list[tuple[str, ...]] = []
    for metric in headlines(part.metrics):
        was = before.get((metric.name, metric.split))
        if was != metric.value:
            title = "" if found else part.title
            found.append((title, *_cells(metric, was)))
    return found


def _cells(metric: Metric, was: float | None) -> tuple[str, ...]:
    change = None if was is None or metric.value is None else metric.value - was
    return (
        label(metric),
        ARROWS[metric.direction],
        number(was, metric),
        number(metric.value, metric),
        signed(change, metric),
    )


def _redefined(old: Accepted, part: Part) -> list[str]:
    found = [
        f"{part.title}: {where} was {shortened(before)}, is {shortened(now)}"
        for where, before, now in differing(identity_of(old.about), identity_of(part.about))
    ]
    judges = [", ".join(judges) for judges in (old.about["judges"], part.judges)]
    if judges[0] != judges[1]:
        found.append(
            f"{part.title}: judged by {judges[0] or 'nobody'} before, {judges[1] or 'nobody'} now"
        )
    return found
