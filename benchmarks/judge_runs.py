"""Judging an item several times with the same request, to see how much the judge varies.

The first run's request has the id that the benchmark gave it, the second the same with ``#run2``
behind it, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.base import JudgeRequest, Judgment, JudgmentStatus


def run_id(request_id: str, run: int) -> str:
    """The id of a request in a run, counted from 1."""
    return request_id if run == 1 else f"{request_id}#run{run}"


def repeated(request: JudgeRequest, n_runs: int) -> list[JudgeRequest]:
    """A request once for each run."""
    return [replace(request, id=run_id(request.id, run)) for run in range(1, n_runs + 1)]


def of_each_run(item_id: str, judgments: Sequence[Judgment], n_runs: int) -> list[Judgment]:
    """An item's judgment in each run; where there is none, a failed one."""
    by_id = {judgment.request_id: judgment for judgment in judgments}
    found = []
    for run in range(1, n_runs + 1):
        name = run_id(item_id, run)
        reason = "there is no judgment" if n_runs == 1 else f"there is no judgment of run {run}"
        absent = Judgment(name, item_id, "", JudgmentStatus.JUDGE_ERROR, error=reason)
        found.append(by_id.get(name, absent))
    return found
