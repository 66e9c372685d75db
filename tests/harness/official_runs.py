"""Small runs of the official edition, written by hand: nothing of the official data is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.base import Metric
from benchmarks.registry import open_benchmark, options_of
from harness.runs import Run, open_runs
from harness.store import ABOUT, METRICS, RUN_INFO, to_json, write_atomically

GREEDY = {"max_new_tokens": 1024, "temperature": 0.0, "top_p": 1.0, "seed": 0, "stop": []}

PROTOCOLS: dict[str, dict[str, Any]] = {
    "pope": {"variant": "coco", "prompt": "short_answer", "max_new_tokens": 64, "temperature": 0.0},
    "alpacaeval": {"version": 2, "annotator": "weighted_alpaca_eval_gpt4_turbo"},
    "mmbench": {"table": "MMBench_DEV_EN", "prompt": "llava", "decoding": GREEDY},
}

JUDGES = {
    "mmhal": "gpt-4-0314", "object_halbench": "gpt-3.5-turbo-0613", "mmvet": "gpt-4-0613",
    "llava_bench": "gpt-4-0314", "mtbench": "gpt-4", "mmbench": "gpt-3.5-turbo-0125",
    "alpacaeval": "gpt-4-1106-preview",
}  # fmt: skip


@dataclass(frozen=True)
class OfficialPart:
    """What is different from a run that kept to the protocol.

    Attributes:
        metrics: value, low, high and number of items by ``"name"`` or ``"name/split"``, in the metric's own unit.
        judges: the official judge by default.
    """

    metrics: Mapping[str, tuple[float, float, float, int]]
    judges: Sequence[str] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    official: bool = True
    n_unscored: int = 0


def write_official_run(path: Path, parts: Mapping[str, OfficialPart]) -> Run:
    """A run folder with these parts, read back."""
    identity = {"edition": "official", "checkpoint": {}}
    info = {
        "sessions": [{"ckpt": "some/checkpoint"}],
        "identity": identity,
        "benchmarks": {name: {} for name in parts},
    }
    write_atomically(path / RUN_INFO, to_json(info))
    for name, part in parts.items():
        benchmark = open_benchmark(name, "official", options=part.options)
        official = JUDGES.get(name)
        about = {
            "benchmark": name,
            "title": benchmark.full_title,
            "edition": "official",
            "control": None,
            "options": options_of(benchmark),
            "protocol": {**PROTOCOLS.get(name, {"decoding": GREEDY}), **part.protocol},
            "judges": [official] * bool(official) if part.judges is None else [*part.judges],
            "official_judge": official,
        }
        write_atomically(path / name / ABOUT, to_json(about))
        metrics = [
            _metric(name, spelled, numbers, part) for spelled, numbers in part.metrics.items()
        ]
        write_atomically(path / name / METRICS, to_json([metric.to_json() for metric in metrics]))
    (run,) = open_runs([path])
    return run


def _metric(
    benchmark: str, spelled: str, numbers: tuple[float, float, float, int], part: OfficialPart
) -> Metric:
    name, _, split = spelled.partition("/")
    value, low, high, n_items = numbers
    points = benchmark in ("amber", "mmvet", "llava_bench", "alpacaeval")
    number = benchmark in ("mmhal", "mtbench")
    return Metric(
        name=name,
        split=split,
        value=value,
        low=low,
        high=high,
        n_scored=n_items - part.n_unscored,
        n_asked=n_items,
        direction="higher",
        display="points" if points else "number" if number else "percent",
        official=part.official,
        headline=True,
    )
