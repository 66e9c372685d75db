"""A run's numbers on one benchmark as columns: what is compared between runs, in a form that adds up quickly.

``ScoreRow`` is the same thing a row at a time. A comparison of fifty runs with twenty thousand rows each needs only
sums per group, so the rows are made only where an ``Estimate`` asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.base import BadRecordError, PlumblineError, ScoreRow, ScoreStatus
from harness.stats import Treatment
from harness.store import OFFICIAL, VALUE

if TYPE_CHECKING:
    from harness.runs import Part

PREFIXES: dict[Treatment, str] = {"scored": VALUE, "official": OFFICIAL}


@dataclass(frozen=True, eq=False)
class ItemTable:
    """One row per item, N of them, in the order of the items.

    Attributes:
        item_ids: N unique names; ``groups`` and ``splits`` likewise, not unique.
        is_scored: N flags: status SCORED.
        numbers: by treatment and column name, N numbers, NaN where a row has no such number.
        make_rows: gives the same as ScoreRows.
    """

    item_ids: np.ndarray
    groups: np.ndarray
    splits: np.ndarray
    is_scored: np.ndarray
    numbers: Mapping[Treatment, Mapping[str, np.ndarray]]
    make_rows: Callable[[], Sequence[ScoreRow]] = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.index) < len(self.item_ids):
            ids, counts = np.unique(self.item_ids.astype(str), return_counts=True)
            twice = ids[counts > 1][0]
            raise PlumblineError(f"{twice}: two rows for one item; score the run again")

    @classmethod
    def of_part(cls, part: Part) -> ItemTable:
        """From scores.parquet. Raises BadRecordError."""
        table = part.table(["item_id", "group", "split", "status", *_numbers(part)])
        numbers: dict[Treatment, dict[str, np.ndarray]] = {
            treatment: {
                name.removeprefix(prefix): table[name].to_numpy(dtype=np.float64)
                for name in table
                if name.startswith(prefix)
            }
            for treatment, prefix in PREFIXES.items()
        }
        ids, groups, splits, status = (
            table[name].to_numpy(dtype=object) for name in ("item_id", "group", "split", "status")
        )
        try:
            return cls(ids, groups, splits, status == ScoreStatus.SCORED, numbers, part.rows)
        except PlumblineError as error:
            raise BadRecordError(f"{part.path}: {error}") from error

    @classmethod
    def of_rows(cls, rows: Sequence[ScoreRow]) -> ItemTable:
        def columns(found: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
            names = dict.fromkeys(name for numbers in found for name in numbers)
            return {n: np.array([float(each.get(n, math.nan)) for each in found]) for n in names}

        return cls(
            np.array([row.item_id for row in rows], dtype=object),
            np.array([row.group for row in rows], dtype=object),
            np.array([row.split for row in rows], dtype=object),
            np.array([row.status is ScoreStatus.SCORED for row in rows], dtype=bool),
            {
                "scored": columns([row.values for row in rows]),
                "official": columns([row.official for row in rows]),
            },
            lambda: rows,
        )

    @cached_property
    def index(self) -> dict[str, int]:
        """Where an item is."""
        return {item_id: index for index, item_id in enumerate(self.item_ids)}

    @cached_property
    def rows(self) -> Sequence[ScoreRow]:
        return self.make_rows()

    def entering(self, treatment: Treatment) -> np.ndarray:
        """N flags: the rows that a metric of this treatment sums."""
        if treatment == "scored":
            return self.is_scored
        present = np.zeros(len(self.item_ids), dtype=bool)
        for column in self.numbers["official"].values():
            present |= ~np.isnan(column)
        return present

    def sums(self, treatment: Treatment, taken: np.ndarray) -> GroupSums:
        """The rows ``taken`` (indices), added up per group."""
        groups, group_of = np.unique(self.groups[taken].astype(str), return_inverse=True)
        splits, split_of = np.unique(self.splits[taken].astype(str), return_inverse=True)
        cell_of = group_of * len(splits) + split_of
        names, columns, totals = [], [], []
        for name, numbers in sorted(self.numbers[treatment].items()):
            values = numbers[taken]
            present = ~np.isnan(values)
            by_cell = np.bincount(
                cell_of[present], values[present], minlength=len(groups) * len(splits)
            ).reshape(len(groups), len(splits))
            is_whole = bool(np.all(values[present] == np.rint(values[present])))
            for index in np.unique(split_of[present]):
                names.append(f"{splits[index]}/{name}")
                columns.append(by_cell[:, index])
                # Correctly rounded, as in harness.stats: the value must not depend on the order of the rows.
                here = values[present & (split_of == index)]
                totals.append(float(by_cell[:, index].sum()) if is_whole else math.fsum(here))
        by_group = np.stack(columns, axis=1) if columns else np.zeros((len(groups), 0))
        return GroupSums(tuple(names), by_group, np.array(totals))


def differing(a: ItemTable, b: ItemTable, taken: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Flags of the items whose numbers differ by more than rounding.

    Args:
        taken: the indices of the same items in both tables.
    """
    flags = a.is_scored[taken[0]] != b.is_scored[taken[1]]
    for treatment in PREFIXES:
        sides = a.numbers[treatment], b.numbers[treatment]
        for name in {*sides[0], *sides[1]}:
            first, second = (
                side[name][rows] if name in side else np.full(len(rows), np.nan)
                for side, rows in zip(sides, taken, strict=True)
            )
            flags |= ~np.isclose(first, second, rtol=1e-9, atol=0, equal_nan=True)
    return flags


def _numbers(part: Part) -> list[str]:
    prefixes = tuple(PREFIXES.values())
    return [name for name in part.columns if name.startswith(prefixes)]


@dataclass(frozen=True, eq=False)
class GroupSums:
    """Rows, added up.

    Attributes:
        names: the C columns, ``"split/column"``.
        by_group: sums per group, G x C, groups sorted by name.
        totals: sums over all rows, C.
    """

    names: tuple[str, ...]
    by_group: np.ndarray
    totals: np.ndarray

    def only(self, names: Collection[str]) -> GroupSums:
        """Without the other columns."""
        kept = [index for index, name in enumerate(self.names) if name in names]
        left = tuple(self.names[index] for index in kept)
        return GroupSums(left, self.by_group[:, kept], self.totals[kept])
