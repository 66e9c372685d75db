"""What stands at the top of a report: what ran, the comparison with the first run, and what the plots are drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.base import Metric
from harness.compare.columns import Column
from harness.compare.model import Cell, Table
from harness.report.samples import Samples
from harness.runs import Run
from harness.show import ARROWS, coverage, headlines, interval, number


def run_facts(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Of each run, what ran: value by label, in the order shown."""
    found = []
    for run in runs:
        session, identity = run.info["sessions"][-1], run.info["identity"].get("checkpoint", {})
        judges = dict.fromkeys(judge for part in run.parts.values() for judge in part.judges)
        facts = {
            "checkpoint": run.checkpoint,
            "model": identity.get("architecture") or identity.get("model"),
            "weights": str(identity.get("weights_sha256") or "")[:12],
            "revision": identity.get("revision"),
            "engine": identity.get("engine"),
            "precision": identity.get("dtype"),
            "versions": ", ".join(f"{k} {v}" for k, v in session.get("versions", {}).items()),
            "judges": ", ".join(judges),
            "limit": session.get("limit"),
            "finished": str(session.get("finished") or "")[:16].replace("T", " "),
            "command": session.get("command"),
        }
        found.append({label: str(value) for label, value in facts.items() if value})
    return found


def sections(table: Table, benchmarks: Sequence[Samples]) -> list[dict[str, Any]]:
    """The comparison, a section per benchmark: a row for each metric, a cell for each run."""
    folders = {samples.title: samples.folder for samples in benchmarks}
    found: dict[str, list[dict[str, Any]]] = {}
    for place, column in enumerate(table.columns):
        cells = [row.cells[place] for row in table.rows]
        detectable = table.detectable[place]
        found.setdefault(column.heading, []).append(
            {
                "label": column.label,
                "arrow": ARROWS[column.direction].strip(),
                "direction": column.direction,
                "unit": "points" if column.decimals == 1 else "number",
                "scale": column.scale,
                "detectable": _text(column, detectable) if detectable else "",
                "cells": [_cell(cell, column, table.alpha) for cell in cells],
            }
        )
    return [
        {"title": title, "key": folders.get(title, ""), "rows": rows}
        for title, rows in found.items()
    ]


def verdicts(sections: Sequence[Mapping[str, Any]], n_runs: int) -> list[dict[str, int]]:
    """How many metrics of each run are clearly better, clearly worse, and neither, than the first run's."""
    found = [{"better": 0, "worse": 0, "unclear": 0} for _ in range(n_runs)]
    for cells in (row["cells"] for section in sections for row in section["rows"]):
        for run, cell in enumerate(cells):
            if cell and cell["difference"]:
                found[run][cell["difference"]["verdict"]] += 1
    return found


def _cell(cell: Cell, column: Column, alpha: float) -> dict[str, Any] | None:
    metric = cell.metric
    if metric is None:
        return None
    return {
        "text": _text(column, metric.value),
        "interval": _span(column, metric.low, metric.high),
        "coverage": "" if metric.complete else coverage(metric),
        "best": cell.is_best,
        "marks": cell.marks,
        "difference": _difference(cell, column, alpha),
    }


def _difference(cell: Cell, column: Column, alpha: float) -> dict[str, Any] | None:
    paired = cell.against
    if paired is None or paired.difference is None:
        return None
    is_clear = cell.p is not None and cell.p <= alpha and column.direction != "neither"
    is_better = (paired.difference > 0) == (column.direction == "higher")
    return {
        "value": _finite(paired.difference),
        "low": _finite(paired.low),
        "high": _finite(paired.high),
        "text": _text(column, paired.difference, signed=True),
        "interval": _span(column, paired.low, paired.high, signed=True),
        "p": "" if cell.p is None else "p < 0.001" if cell.p < 0.001 else f"p = {cell.p:.3f}",
        "verdict": ("better" if is_better else "worse") if is_clear else "unclear",
        "marks": cell.difference_marks,
    }


def _span(column: Column, low: float | None, high: float | None, *, signed: bool = False) -> str:
    if low is None or high is None:
        return ""
    return f"{_text(column, low, signed=signed)} to {_text(column, high, signed=signed)}"


def _text(column: Column, value: float | None, *, signed: bool = False) -> str:
    """As the tables print it, with a minus sign that is as wide as the plus."""
    return column.text(value, signed=signed).replace("-", "−")


def categories(benchmarks: Sequence[Samples], n_runs: int) -> list[dict[str, Any]]:
    """For each benchmark that has them, one metric over its parts with the intervals of every run."""
    found = []
    for samples in benchmarks:
        if samples.is_control:
            continue
        by_key: dict[Key, list[Metric | None]] = {}
        for run, part in samples.parts.items():
            for metric in part.metrics:
                by_key.setdefault((metric.name, metric.split), [None] * n_runs)[run] = metric
        first = {key: next(m for m in metrics if m is not None) for key, metrics in by_key.items()}
        heads = [metric.name for metric in headlines([*first.values()])]
        chosen = _over_splits(first, heads) or _over_suffixes(first, heads)
        if chosen is not None:
            name, keys = chosen
            metric = first[next(iter(keys.values()))]
            rows = [
                {"label": label, "cells": [m and _plain(m) for m in by_key[key]]}
                for label, key in keys.items()
            ]
            arrow = ARROWS[metric.direction].strip()
            found.append({"title": samples.title, "name": name, "arrow": arrow, "rows": rows})
    return found


def _plain(metric: Metric) -> dict[str, Any]:
    scale = 100 if metric.display == "percent" else 1
    ends = {"value": metric.value, "low": metric.low, "high": metric.high}
    scaled = {name: _finite(end, scale) for name, end in ends.items()}
    return {**scaled, "text": number(metric.value, metric), "interval": interval(metric)}


def _finite(value: float | None, scale: float = 1.0) -> float | None:
    """A number that JSON has."""
    return None if value is None or not math.isfinite(value) else scale * value


Key = tuple[str, str]
"""A metric's name and split."""


def _over_splits(
    metrics: Mapping[Key, Metric], heads: Sequence[str]
) -> tuple[str, dict[str, Key]] | None:
    """A metric that the benchmark gives for several splits, a headline one if possible."""
    of_name: dict[str, dict[str, Key]] = {}
    for name, split in metrics:
        if split:
            of_name.setdefault(name, {})[split] = (name, split)
    several = [name for name, keys in of_name.items() if len(keys) > 1]
    several.sort(key=lambda name: name not in heads)
    return (several[0], of_name[several[0]]) if several else None


def _over_suffixes(
    metrics: Mapping[Key, Metric], heads: Sequence[str]
) -> tuple[str, dict[str, Key]] | None:
    """A headline metric whose parts have names of their own: circular_CP, circular_AR, …"""
    for head in heads:
        keys = {
            name.removeprefix(f"{head}_").replace("_", " "): (name, split)
            for name, split in metrics
            if name.startswith(f"{head}_")
        }
        if len(keys) > 1:
            return head, keys
    return None


def letter(number: int) -> str:
    """A run's badge: A, B, … Z, AA, AB, …"""
    before = letter(number // 26 - 1) if number >= 26 else ""
    return before + chr(ord("A") + number % 26)
