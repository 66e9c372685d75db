"""One number per item and run: what samples are sorted, filtered and compared by.

It says how good one answer is, in the benchmark's own terms. It is no metric: those are functions of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.base import Direction

Columns = Mapping[str, np.ndarray]
Form = Literal["hit", "count", "rating"]
"""Right or wrong; how many are bad; a place on a scale."""


@dataclass(frozen=True)
class ItemScore:
    """How the items of one kind are scored.

    Attributes:
        label: what a person reads behind the number, or behind a sign for right or wrong.
        form: how it is shown.
        columns: those that ``number`` takes, in its order. An item is of this kind if it has them.
        number: the score from those columns.
        top: the highest rating. A difference of ``top`` weighs as much as right against wrong.
        direction: which end is good.
    """

    label: str
    form: Form
    columns: tuple[str, ...]
    number: Callable[..., np.ndarray]
    top: float = 1.0
    direction: Direction = "higher"

    def of(self, columns: Columns) -> np.ndarray | None:
        """The score of each item, NaN where it has none; None where no item is of this kind."""
        if not all(name in columns for name in self.columns):
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            scores: np.ndarray = self.number(*(columns[name] for name in self.columns))
        return np.where(np.isfinite(scores), scores, np.nan)

    def to_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "form": self.form,
            "top": self.top,
            "direction": self.direction,
        }


def _same(column: np.ndarray) -> np.ndarray:
    return column


_MADE_UP = ItemScore("made up", "count", ("hallucinated_mentions",), _same, direction="lower")

ITEM_SCORES: Mapping[str, tuple[ItemScore, ...]] = {
    "pope": (ItemScore("right", "hit", ("tp", "tn"), np.add),),
    "amber": (_MADE_UP, ItemScore("right", "hit", ("correct",), _same)),
    "object_halbench": (_MADE_UP,),
    "chair": (_MADE_UP,),
    "mmhal": (ItemScore("of 6", "rating", ("score",), _same, top=6),),
    "mmvet": (ItemScore("of 1", "rating", ("score",), _same),),
    "llava_bench": (
        ItemScore(
            "% of the reference", "rating", ("candidate", "reference"),
            lambda ours, theirs: 100 * ours / theirs, top=100,
        ),
    ),
    "mmbench": (ItemScore("all passes right", "hit", ("strict_circular/hit",), _same),),
    "mtbench": (
        ItemScore(
            "of 10 on average", "rating",
            ("turn_1_sum", "turn_2_sum", "turn_1_n", "turn_2_n"),
            lambda first, second, n_first, n_second: (first + second) / (n_first + n_second), top=10,
        ),
    ),
    "alpacaeval": (ItemScore("chance to win", "rating", ("preference",), lambda p: p - 1),),
}  # fmt: skip
"""By benchmark. The first kind whose columns an item has is the item's."""


def item_scores(
    benchmark: str, columns: Sequence[str], direction: Direction
) -> tuple[ItemScore, ...]:
    """The kinds of a benchmark's items. One that is not ours is scored by its first column.

    Args:
        columns: the names of its numbers.
        direction: of its first metric.
    """
    known = ITEM_SCORES.get(benchmark)
    if known is not None or not columns:
        return known or ()
    name = columns[0]
    return (ItemScore(name, "rating", (name,), _same, direction=direction),)
