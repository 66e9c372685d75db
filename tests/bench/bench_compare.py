"""How long a comparison of many runs takes. Run: python -m tests.bench.bench_compare

Writes 50 runs of 20,000 made-up POPE answers each into a temporary folder and times ``python -m harness.compare``
over them, as a process: once with ten questions on each picture, once as if every question had a picture of its own,
which is the most that there can be to resample. Must take less than 60 s of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.pope import SPLITS, Pope
from harness.store import ABOUT, METRICS, RUN_INFO, SCORES, to_json, write_atomically

LIMIT_S = 60.0


def write_run(path: Path, n_items: int, n_groups: int, seed: int) -> None:
    """A run whose answers are right in about five cases of six."""
    rng = np.random.default_rng(seed)
    is_yes = np.arange(n_items) % 2 == 0
    right = rng.random(n_items) < 5 / 6 + seed / 1000
    said_yes = is_yes == right
    table = {
        "item_id": [f"item {number}" for number in range(n_items)],
        "group": [f"picture {number % n_groups}" for number in range(n_items)],
        "split": [SPLITS[number % 3] for number in range(n_items)],
        "status": ["scored"] * n_items,
        "question": ["Is there a dog in the image?"] * n_items,
        "details": ["{}"] * n_items,
    }
    numbers = {
        "tp": is_yes & said_yes, "fp": ~is_yes & said_yes, "tn": ~is_yes & ~said_yes, "fn": is_yes & ~said_yes,
        "unparsed": np.zeros(n_items),
    }  # fmt: skip
    for prefix in ("", "lenient_"):
        for name, values in numbers.items():
            table[f"value.{prefix}{name}"] = values.astype(np.float64)
    metrics = [
        {
            "name": spec.name, "split": spec.split, "value": float(right.mean()), "low": 0.0, "high": 1.0,
            "n_scored": n_items, "n_asked": n_items, "direction": spec.direction, "headline": spec.headline,
        }
        for spec in Pope().metric_specs()
    ]  # fmt: skip
    about = {
        "benchmark": "pope", "title": "POPE", "edition": "official", "control": None, "options": {},
        "protocol": {}, "judges": [], "official_judge": None,
    }  # fmt: skip
    info = {
        "sessions": [{"ckpt": path.name}],
        "identity": {"edition": "official"},
        "benchmarks": {"pope": {}},
    }
    write_atomically(path / RUN_INFO, to_json(info))
    write_atomically(path / "pope" / ABOUT, json.dumps(about))
    write_atomically(path / "pope" / METRICS, json.dumps(metrics))
    write_atomically(path / "pope" / SCORES, pd.DataFrame(table).to_parquet(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("options", nargs="*", help="further options of harness.compare, behind --")
    given = parser.parse_args()
    slowest = 0.0
    for n_groups in (given.items // 10, given.items):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"run {number}" for number in range(given.runs)]
            for number, path in enumerate(paths):
                write_run(path, given.items, n_groups, number)
            command = [sys.executable, "-m", "harness.compare", *map(str, paths), *given.options]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            elapsed = time.perf_counter() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        told = f"{given.runs} runs, {given.items:,} items, {n_groups:,} groups"
        print(f"{told}: {seconds:.1f} s of one core ({elapsed:.1f} s by the clock)")
        slowest = max(slowest, seconds)
    if slowest > LIMIT_S:
        raise SystemExit(f"slower than {LIMIT_S} s")


if __name__ == "__main__":
    main()
