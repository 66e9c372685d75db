"""How much faster judging is side by side than one call after the other.

Run: python -m tests.bench.bench_judge [--latency 0.5] [--items 96] [--concurrency 16]

The judge is a real HTTP server on 127.0.0.1 that takes ``--latency`` seconds for each reply.
Measured is the whole judging stage: calls, parsing, the reply cache and judgments on disk. The
one-at-a-time side is the same code with a concurrency of 1, over fewer items.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from harness.endpoint.server import serving
from harness.judges.client import HttpJudge
from harness.judges.server import OracleServer
from harness.judging import judge
from tests.harness.judges.toy import Sums, hasty, part, rate, silent


def judgments_per_second(url: str, n_items: int, concurrency: int) -> float:
    """One judging stage with nothing in the cache yet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grader = HttpJudge(hasty(url, concurrency=concurrency, cache=folder / "c.sqlite"))
        began = time.perf_counter()
        n_judged = judge([part(Sums(n=n_items, max_attempts=1), folder)], grader, silent)
        took_s = time.perf_counter() - began
        grader.close()
    return n_judged / took_s


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.5, metavar="S")
    parser.add_argument("--items", type=int, default=96, metavar="N")
    parser.add_argument("--concurrency", type=int, default=16, metavar="N")
    arguments = parser.parse_args()
    server = OracleServer(rate, latency_s=arguments.latency)
    stop = serving(server)
    judgments_per_second(server.url, 2, 2)  # loads the client
    alone = judgments_per_second(server.url, 8, 1)
    together = judgments_per_second(server.url, arguments.items, arguments.concurrency)
    stop()
    ideal = arguments.concurrency / arguments.latency
    print(f"one at a time   {alone:8.2f} judgments/s")
    print(f"{arguments.concurrency:2d} at a time    {together:8.2f} judgments/s")
    print(f"ratio           {together / alone:8.2f}  (the latency allows {ideal:.1f} judgments/s)")


if __name__ == "__main__":
    main()
