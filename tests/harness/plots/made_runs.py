"""Run folders with the metrics that a test wants: figures look no further, but for paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.base import Direction, Display, Metric
from harness.store import ABOUT, METRICS, RUN_INFO, to_json, write_atomically

TITLES = {"pope": "POPE", "mmhal": "MMHal-Bench", "mmvet": "MM-Vet", "mtbench": "MT-Bench"}


@dataclass(frozen=True)
class Made:
    """A benchmark of a run.

    Attributes:
        reliance: reliance.json of the blind control.
    """

    metrics: Sequence[Metric]
    protocol: Mapping[str, Any] = field(default_factory=dict)
    judges: Sequence[str] = ()
    reliance: Sequence[Mapping[str, Any]] | None = None


def metric(
    name: str,
    value: float | None,
    split: str = "",
    *,
    direction: Direction = "higher",
    display: Display = "percent",
    half: float = 0.05,
    n_scored: int = 20,
    official: bool = True,
) -> Metric:
    low, high = (None, None) if value is None else (value - half, value + half)
    return Metric(
        name, split, value, low, high, n_scored, 20, direction, display, official, headline=not split,
        note=None if value is not None else "undefined for these answers",
    )  # fmt: skip


def origin(
    method: str, n_pairs: int, seed: int = 0, *, base: str = "b" * 64, **settings: Any
) -> dict[str, Any]:
    """What a run keeps of its checkpoint."""
    recipe = {"method": method, "seed": seed, **settings}
    training = {
        "n_pairs": n_pairs,
        "n_steps": n_pairs // 8,
        "base_sha256": base,
        "recipe": recipe,
    }
    return {"n_parameters": 1_611_264, "training": training}


def make_run(
    path: Path,
    parts: Mapping[str, Made],
    *,
    origin: Mapping[str, Any] | None = None,
    weights: str = "w" * 64,
    edition: str = "official",
) -> Path:
    session = {"ckpt": "gone/checkpoint", **({"origin": origin} if origin else {})}
    folders = {name: (name, part) for name, part in parts.items()}
    folders |= {
        f"control_blind/{name}": (name, part)
        for name, part in parts.items()
        if part.reliance is not None
    }
    info = {
        "sessions": [session],
        "identity": {"edition": edition, "checkpoint": {"weights_sha256": weights}},
        "benchmarks": {folder: {} for folder in folders},
    }
    write_atomically(path / RUN_INFO, to_json(info))
    for folder, (name, part) in folders.items():
        about = {
            "benchmark": name,
            "title": TITLES[name],
            "edition": edition,
            "control": "blind" if "/" in folder else None,
            "options": {},
            "protocol": part.protocol,
            "judges": list(part.judges),
            "official_judge": None,
        }
        write_atomically(path / folder / ABOUT, to_json(about))
        metrics = [each.to_json() for each in part.metrics]
        write_atomically(path / folder / METRICS, to_json(metrics))
        if "/" in folder:
            write_atomically(path / folder / "reliance.json", to_json(part.reliance))
    return path
