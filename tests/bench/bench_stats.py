"""How long intervals take. Run: python -m tests.bench.bench_stats

Times ``harness.stats.evaluate`` with 10,000 resamples and all metrics of POPE on 9,000 made-up
answers: once as POPE has them (18 questions on each of 500 pictures; must take less than 2 s), once
as if every question had a picture of its own.
"""

from __future__ import annotations

import random
import time

from benchmarks.base import Item, Response, ScoreRow
from benchmarks.pope import SPLITS, Pope
from harness.stats import evaluate

N_ITEMS = 9_000
LIMIT_S = 2.0


def made_up_rows(benchmark: Pope, n_groups: int) -> list[ScoreRow]:
    """Scored rows of answers that are right in five cases of six."""
    rng = random.Random(0)
    rows = []
    for number in range(N_ITEMS):
        split, label = SPLITS[number % 3], rng.choice(["yes", "no"])
        answer = label if rng.random() < 5 / 6 else rng.choice(["Yes", "No.", ""])
        item = Item(
            id=f"{split}/{number}",
            group=f"picture {number % n_groups}",
            question="Is there a dog in the image?",
            split=split,
            reference={"label": label},
        )
        rows.append(benchmark.score(item, [Response(item.id, "", answer)]))
    return rows


def main() -> None:
    benchmark = Pope()
    specs = benchmark.metric_specs()
    for n_groups in (500, N_ITEMS):
        rows = made_up_rows(benchmark, n_groups)
        start = time.perf_counter()
        evaluate(specs, rows, n_resamples=10_000)
        seconds = time.perf_counter() - start
        print(f"{len(specs)} metrics, {N_ITEMS} rows, {n_groups} groups: {seconds:.2f} s")
        if n_groups == 500 and seconds > LIMIT_S:
            raise SystemExit(f"slower than {LIMIT_S} s")


if __name__ == "__main__":
    main()
