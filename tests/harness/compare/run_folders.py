"""Run folders written by hand: answers to POPE that are right or wrong as a test wants them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.base import Item, MetricSpec, Response, ScoreRow, ScoreStatus, failed_row
from benchmarks.pope import SPLITS, Pope
from harness.stats import evaluate
from harness.store import ABOUT, METRICS, RUN_INFO, SCORES, score_table, to_json, write_atomically

PROTOCOL = {"variant": "coco", "prompt": "short_answer", "max_new_tokens": 64, "temperature": 0.0}


@dataclass(frozen=True)
class PartOf:
    """A benchmark of a run.

    Attributes:
        about: what is other in about.json than for official POPE, asked by the protocol.
    """

    items: Sequence[Item]
    rows: Sequence[ScoreRow]
    specs: Sequence[MetricSpec]
    about: Mapping[str, Any] = field(default_factory=dict)


def write_run(path: Path, edition: str = "official", **parts: PartOf) -> Path:
    """A run folder with these parts, by their folders' names ("__" stands for "/")."""
    folders = {name.replace("__", "/"): part for name, part in parts.items()}
    info = {
        "format": 1,
        "sessions": [{"ckpt": f"some/{path.name}"}],
        "identity": {"edition": edition, "checkpoint": {}},
        "benchmarks": {name: {} for name in folders},
    }
    write_atomically(path / RUN_INFO, to_json(info))
    for name, part in folders.items():
        about = {
            "benchmark": "pope",
            "title": "POPE",
            "edition": edition,
            "control": None,
            "options": {},
            "protocol": PROTOCOL,
            "judges": [],
            "official_judge": None,
            **part.about,
        }
        metrics = evaluate(part.specs, part.rows, n_resamples=200)
        write_atomically(path / name / ABOUT, json.dumps(about))
        write_atomically(path / name / METRICS, to_json([metric.to_json() for metric in metrics]))
        table = score_table(part.items, part.rows, {})
        write_atomically(path / name / SCORES, table.to_parquet(index=False))
    return path


def pope(
    is_wrong: Callable[[int], bool],
    *,
    n_items: int = 120,
    failed: Sequence[int] = (),
    **about: Any,
) -> PartOf:
    """POPE with answers that are wrong where ``is_wrong(number)``; three questions on each picture.

    Args:
        failed: numbers of the items without an answer.
        about: what is other in about.json.
    """
    benchmark = Pope(edition="official")
    items, rows = [], []
    for number in range(n_items):
        split = SPLITS[number % 3]
        label = ("yes", "no")[number // 3 % 2]
        item = Item(
            id=f"{split}/{number}",
            group=f"picture {number // 3}",
            question="Is there a dog?",
            split=split,
            reference={"label": label},
        )
        answer = {"yes": "no", "no": "yes"}[label] if is_wrong(number) else label
        items.append(item)
        if number in failed:
            rows.append(failed_row(item, ScoreStatus.GENERATION_ERROR, "no answer"))
        else:
            rows.append(benchmark.score(item, [Response(item.id, "", answer)]))
    return PartOf(items, rows, benchmark.metric_specs(), about)
