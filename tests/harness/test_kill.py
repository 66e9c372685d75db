"""SIGKILL at random points: nothing is asked twice, and the end is that of an unbroken run.

``pytest tests/harness/test_kill.py --kills 20`` is the long trial.
"""

import json
import subprocess
import sys
import time
from random import Random

import pytest

from harness import run

RUN = ["--suite", "pope", "--limit", "120", "--batch-size", "8"]


def n_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def killed_at(out, n_answers):
    """Start the run in a process of its own and kill it once so many answers are on disk."""
    log = out / "pope" / "responses.jsonl"
    command = [sys.executable, "-m", "harness.run", *RUN, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and n_lines(log) < n_answers:
            time.sleep(0.002)
        alive = process.poll() is None
    finally:
        process.kill()
        process.wait()
    return alive


@pytest.mark.slow
def test_a_run_killed_at_random_points_ends_as_an_unbroken_one(tmp_path, pytestconfig):
    assert run.main([*RUN, "--out", str(tmp_path / "whole")]) == 0
    whole = tmp_path / "whole" / "pope"
    total = n_lines(whole / "responses.jsonl")
    n_kills = pytestconfig.getoption("--kills")
    points = sorted(Random(f"kills {n_kills}").sample(range(1, total), n_kills))
    n_hit = sum(killed_at(tmp_path / "broken", point) for point in points)
    assert n_hit >= 1
    assert run.main([*RUN, "--out", str(tmp_path / "broken")]) == 0
    broken = tmp_path / "broken" / "pope"
    records = [json.loads(line) for line in (broken / "responses.jsonl").open()]
    assert len(records) == len({record["request_id"] for record in records}) == total
    assert (broken / "metrics.json").read_text() == (whole / "metrics.json").read_text()
    print(f"\nkilled in flight {n_hit} of {n_kills} times, {total} answers, none asked twice")
