"""Every item of every run, aligned over the runs: read as columns, handed on as columns.

A benchmark's items are those of all runs, in the order in which the runs have them. What all runs share (question,
reference, pictures) is taken from the first run that has the item; what is a run's own (answer, status, score, what the
scorer saw, what the judge wrote) is kept per run.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.base import BadRecordError, Judgment, Response, ScoreStatus
from harness.item_table import ItemTable
from harness.report.item_scores import ItemScore, item_scores
from harness.runs import Part, Run
from harness.store import JUDGMENTS, RESPONSES, Record

STATUSES = tuple(ScoreStatus)
ABSENT = -1
"""The status, and the row, of an item that a run does not have."""

CUT = b'"finish_reason": "length"'
"""How ``harness.store`` writes that an answer reached its limit of tokens."""

Texts = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Samples:
    """One benchmark, or one control of it, in all runs that have it.

    Attributes:
        folder: where it lies in each run.
        parts: by the run's number.
        tables: the numbers of each part.
    """

    folder: str
    parts: Mapping[int, Part]
    tables: Mapping[int, ItemTable]

    @property
    def part(self) -> Part:
        """The first run's, for what all share."""
        return next(iter(self.parts.values()))

    @property
    def is_control(self) -> bool:
        return bool(self.part.about.get("control"))

    @property
    def title(self) -> str:
        control = f", {self.part.about['control']} control" if self.is_control else ""
        return f"{self.part.title}{control}"

    @cached_property
    def ids(self) -> list[str]:
        """Of all items, of whatever run."""
        return list(dict.fromkeys(i for table in self.tables.values() for i in table.item_ids))

    @cached_property
    def rows(self) -> dict[int, np.ndarray]:
        """For each run, the row of every item in its table; ABSENT where it has none."""
        return {
            run: np.array([table.index.get(item, ABSENT) for item in self.ids], dtype=np.intp)
            for run, table in self.tables.items()
        }

    @cached_property
    def owners(self) -> list[int]:
        """For every item, the first run that has it."""
        owners = np.full(len(self.ids), ABSENT)
        for run, rows in self.rows.items():
            owners = np.where((owners == ABSENT) & (rows >= 0), run, owners)
        found: list[int] = owners.tolist()
        return found

    @cached_property
    def kinds(self) -> tuple[ItemScore, ...]:
        columns = list(next(iter(self.tables.values())).numbers["scored"])
        metrics = self.part.metrics
        return item_scores(self.part.name, columns, metrics[0].direction if metrics else "higher")

    @cached_property
    def scored(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """By run, the score of every item, NaN where it has none, and the number of its kind, else ABSENT."""
        return {run: self._scored(run) for run in self.parts}

    def _scored(self, run: int) -> tuple[np.ndarray, np.ndarray]:
        table = self.tables[run]
        scores = np.full(len(table.item_ids), np.nan)
        kinds = np.full(len(table.item_ids), ABSENT)
        for number, kind in enumerate(self.kinds):
            found = kind.of(table.numbers["scored"])
            if found is not None:
                new = (kinds == ABSENT) & table.is_scored & ~np.isnan(found)
                scores[new], kinds[new] = found[new], number
        return self._placed(run, scores, np.nan), self._placed(run, kinds, ABSENT)

    def _placed(self, run: int, values: np.ndarray, absent: float) -> np.ndarray:
        rows = self.rows[run]
        return np.where(rows >= 0, values[rows], absent)

    def item_kinds(self) -> np.ndarray:
        """The number of every item's kind, as the first run that scored it tells; ABSENT if none did."""
        kinds = np.full(len(self.ids), ABSENT)
        for run in self.parts:
            kinds = np.where(kinds == ABSENT, self.scored[run][1], kinds)
        return kinds

    def spread(self) -> np.ndarray:
        """By how much the runs' scores of every item differ; 0 where fewer than two have one."""
        scores = np.stack([scores for scores, _ in self.scored.values()])
        lowest = np.fmin.reduce(scores, axis=0)
        return np.nan_to_num(np.fmax.reduce(scores, axis=0) - lowest)

    @cached_property
    def shared(self) -> Texts:
        """Question, split, reference and names of the pictures of every item."""
        names = ("question", "split", "reference", "pictures")
        columns = {run: self.parts[run].lists(names) for run in sorted(set(self.owners))}
        places = [(run, self.rows[run][i]) for i, run in enumerate(self.owners)]
        return {name: [columns[run][name][row] for run, row in places] for name in names}

    def own(self, run: int) -> Texts:
        """Answers (one per turn or pass), what the scorer saw, status, and which answers were cut, of every item."""
        columns = self.parts[run].lists(("responses", "details", "status"))
        numbers = {status: number for number, status in enumerate(STATUSES)}
        answers, details, status = (self._taken(run, column) for column in columns.values())
        return {
            "answers": answers,
            "details": details,
            "status": [numbers.get(name, ABSENT) for name in status],
            "cut": self._cut(run, answers),
        }

    def _taken(self, run: int, column: Sequence[Any]) -> list[Any]:
        return [column[row] if row >= 0 else None for row in self.rows[run].tolist()]

    def _cut(self, run: int, answers: Sequence[Sequence[str] | None]) -> list[list[int]]:
        """For every item, which of its answers (from 0) ended at the limit of tokens."""
        path = self.parts[run].path / RESPONSES
        cut = {record.request_id for record in _records(path, Response, CUT)}
        if not cut:
            return [[]] * len(self.ids)
        return [
            [n for n in range(len(turns or ())) if (f"{item}#{n + 1}" if n else item) in cut]
            for item, turns in zip(self.ids, answers, strict=True)
        ]

    def judged(self, run: int) -> list[list[dict[str, str]]]:
        """What the judge replied about every item; the newest reply to a request counts."""
        found: dict[str, dict[str, dict[str, str]]] = {}
        for record in _records(self.parts[run].path / JUDGMENTS, Judgment):
            found.setdefault(record.item_id, {})[record.request_id] = {
                "request": record.request_id,
                "prompt": str(record.meta.get("prompt_name", "")),
                "model": record.model,
                "status": str(record.status),
                "raw": record.raw,
                "error": record.error or "",
            }
        return [list(found.get(item, {}).values()) for item in self.ids]


def all_samples(runs: Sequence[Run], names: Collection[str]) -> Iterator[Samples]:
    """The benchmarks of these names in the order of the first run, then their controls, each with the runs that have it."""
    folders = dict.fromkeys(folder for run in runs for folder in run.parts)
    for folder in sorted(folders, key=lambda folder: "/" in folder):
        parts = {n: run.parts[folder] for n, run in enumerate(runs) if folder in run.parts}
        if next(iter(parts.values())).name in names:
            tables = {number: ItemTable.of_part(part) for number, part in parts.items()}
            yield Samples(folder, parts, tables)


def _records(path: Path, kind: type[Record], containing: bytes = b"") -> Iterator[Record]:
    """The records of a log, of those lines only that contain some text. A line left half written is none."""
    if not path.is_file():
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if containing in line and line.endswith(b"\n"):
                try:
                    yield kind.from_json(json.loads(line))
                except (ValueError, TypeError, KeyError) as error:
                    raise BadRecordError(
                        f"{path}, line {number}: not a record of this log ({error}). Remove the line."
                    ) from error
