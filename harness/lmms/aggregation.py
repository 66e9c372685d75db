"""A task's aggregation as a MetricSpec: its own code over the results of the items."""

from __future__ import annotations

import contextlib
import copy
import inspect
import logging
import tempfile
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from benchmarks.base import Direction, Estimate, MetricSpec, ScoreRow, Sums
from harness.lmms.calls import asks_judge, calling, restoring

logger = logging.getLogger(__name__)

RESULTS = "results"
"""Where a row's details hold what the task made of the answer, by label."""
PARTED = (dict, list, set)


@dataclass(frozen=True)
class Aggregation:
    """How the results of one metric become its value.

    Attributes:
        task: the task's name.
        label: lmms-eval's name for it, ``"metric"`` or ``"metric,filter"``.
        function: takes the list of results, in the order of the documents.
        direction: as the task declares it.
    """

    task: str
    label: str
    function: Callable[..., Any]
    direction: Direction

    @property
    def is_mean(self) -> bool:
        """Whether it is lmms-eval's plain mean, which column sums determine."""
        from lmms_eval.api.metrics import mean

        return self.function is mean

    @property
    def takes_args(self) -> bool:
        """Whether it wants the command line, as those do that write files."""
        return "args" in inspect.signature(self.function).parameters

    def columns(self, result: Any) -> dict[str, float]:
        """An item's share of a plain mean. Raises TypeError for what cannot be averaged."""
        if not isinstance(result, Real) or not np.isfinite(float(result)):
            raise TypeError(f"{self.label} is {result!r}, of which there is no mean")
        return {self.label: float(result), self._count: 1.0}

    def spec(self) -> MetricSpec:
        """The metric, with an interval unless computing it again would do more than compute."""
        return MetricSpec(
            name=self.label,
            formula=self._mean if self.is_mean else Estimate(self._estimate()),
            direction=self.direction,
            display="number",
            official=False,
            headline=True,
            undefined="the task gave no item a result for it, or its aggregation failed on them",
        )

    @property
    def _count(self) -> str:
        return f"{self.label} items"

    def _mean(self, sums: Sums) -> np.ndarray:
        return np.asarray(sums[f"/{self.label}"] / sums[f"/{self._count}"])

    def _estimate(self) -> Callable[[Sequence[ScoreRow], np.ndarray], float]:
        repeatable = not self.takes_args and not asks_judge(self.function)

        def estimate(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
            is_value = bool((counts == 1).all())
            if not is_value and not repeatable:
                return float("nan")
            results = [
                _own(row.details[RESULTS][self.label])  # some aggregations write into them
                for row, count in zip(rows, counts, strict=True)
                if self.label in row.details[RESULTS]
                for _ in range(int(count))
            ]
            try:
                value = self._called(results) if results else None
                return float(value) if isinstance(value, Real) else float("nan")
            except Exception as error:
                # The task's own code: on resamples, whose repetitions it may not expect, in silence.
                if is_value:
                    logger.warning(
                        "lmms:%s: aggregating %s failed: %r", self.task, self.label, error
                    )
                return float("nan")

        return estimate

    def _called(self, results: list[Any]) -> Any:
        """The aggregation, in a folder of its own for whatever it writes."""
        with (
            calling(self.label),
            restoring(self.function),
            tempfile.TemporaryDirectory() as folder,
            contextlib.chdir(folder),
        ):
            if self.takes_args:
                return self.function(results, args=Namespace(output_path=folder, model=""))
            return self.function(results)


def _own(result: Any) -> Any:
    """A copy to write into; deep only where it must be, since that takes six times as long."""
    parts = result.values() if isinstance(result, dict) else result
    is_nested = isinstance(parts, Collection) and any(isinstance(p, PARTED) for p in parts)
    return copy.deepcopy(result) if is_nested else copy.copy(result)
