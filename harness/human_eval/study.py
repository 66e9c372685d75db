"""A study: the questions drawn, what is judged about them, and who sees it on which side.

It is the key to the annotators' files (``key.json``): with it a verdict on "A" becomes a verdict on a run. It must not
reach an annotator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.base import BadRecordError, Edition
from harness.human_eval.rubrics import RUBRICS, Rubric

FORMAT = 1
"""Version of key.json's layout."""

Pair = tuple[int, int]
"""Two runs by their number: a win is the first one's."""


@dataclass(frozen=True)
class Judged:
    """A run of the study: its name, where it lay and what it ran."""

    name: str
    path: str
    checkpoint: str


@dataclass(frozen=True)
class Question:
    """A question of the benchmark with what the runs answered.

    Attributes:
        text: as the models were asked; several turns are joined, each with its number.
        reference: a right answer to show, or "".
        responses: one for each run; several turns are joined likewise.
    """

    item_id: str
    group: str
    split: str
    text: str
    reference: str
    responses: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """What is judged once.

    Attributes:
        id: means nothing, so that it gives nothing away.
        runs: the pair whose responses are compared, or all runs that gave the rated response.
    """

    id: str
    item_id: str
    runs: tuple[int, ...]


@dataclass(frozen=True)
class Sheet:
    """An annotator's order and sides.

    Attributes:
        order: all tasks.
        flipped: those that show the second run of the pair on side A.
    """

    id: str
    number: int
    order: tuple[str, ...]
    flipped: frozenset[str]


@dataclass(frozen=True)
class Study:
    """Everything about a study.

    Attributes:
        pairs: the runs to compare.
        identical: pairs of runs by question whose responses are the same: ties without an annotator.
        left_out: reasons why questions could not be drawn, with their number.
        n_eligible: questions that could be drawn.
    """

    rubric_name: str
    benchmark: str
    title: str
    edition: Edition
    seed: int
    runs: tuple[Judged, ...]
    pairs: tuple[Pair, ...]
    questions: tuple[Question, ...]
    tasks: tuple[Task, ...]
    identical: tuple[tuple[str, Pair], ...]
    left_out: Mapping[str, int]
    n_eligible: int
    sheets: tuple[Sheet, ...] = ()

    @property
    def rubric(self) -> Rubric:
        return RUBRICS[self.rubric_name]

    @cached_property
    def question_of(self) -> Mapping[str, Question]:
        return {question.item_id: question for question in self.questions}

    @cached_property
    def task_of(self) -> Mapping[str, Task]:
        return {task.id: task for task in self.tasks}

    @cached_property
    def sheet_of(self) -> Mapping[str, Sheet]:
        return {sheet.id: sheet for sheet in self.sheets}

    def sides(self, sheet: Sheet, task: Task) -> tuple[int, ...]:
        """The run shown on each side of the sheet."""
        if self.rubric.sides == ("",):
            return task.runs[:1]
        return task.runs[::-1] if task.id in sheet.flipped else task.runs

    def responses(self, sheet: Sheet, task: Task) -> list[str]:
        """What stands on each side of the sheet."""
        question = self.question_of[task.item_id]
        return [question.responses[run] for run in self.sides(sheet, task)]

    def to_json(self) -> dict[str, Any]:
        sheets = [{**asdict(sheet), "flipped": sorted(sheet.flipped)} for sheet in self.sheets]
        return {"format": FORMAT, **asdict(self), "sheets": sheets}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Study:
        """Raises KeyError, TypeError or ValueError for what ``to_json`` does not write."""
        fields = dict(record)
        if fields.pop("format") != FORMAT:
            raise ValueError(f"layout {record['format']}; this version reads {FORMAT}")
        fields["runs"] = tuple(Judged(**run) for run in fields["runs"])
        fields["pairs"] = tuple(_pair(pair) for pair in fields["pairs"])
        fields["questions"] = tuple(
            Question(**{**question, "responses": tuple(question["responses"])})
            for question in fields["questions"]
        )
        fields["tasks"] = tuple(
            Task(task["id"], task["item_id"], tuple(task["runs"])) for task in fields["tasks"]
        )
        fields["identical"] = tuple((item_id, _pair(pair)) for item_id, pair in fields["identical"])
        fields["sheets"] = tuple(
            Sheet(sheet["id"], sheet["number"], tuple(sheet["order"]), frozenset(sheet["flipped"]))
            for sheet in fields["sheets"]
        )
        study = cls(**fields)
        study._check()
        return study

    def _check(self) -> None:
        """Raises KeyError, TypeError or ValueError for parts that do not fit together."""
        n_runs, task_ids = len(self.runs), set(self.task_of)
        named = [*(task.runs for task in self.tasks), *self.pairs, *(p for _, p in self.identical)]
        if not all(0 <= run < n_runs for runs in named for run in runs):
            raise ValueError("a run that is not listed")
        if any(len(question.responses) != n_runs for question in self.questions):
            raise ValueError("a question without a response of each run")
        if any(set(sheet.order) != task_ids for sheet in self.sheets):
            raise ValueError("a sheet with other tasks than the study")
        _ = self.rubric, [self.question_of[item_id] for item_id, _ in self.identical]
        _ = [self.question_of[task.item_id] for task in self.tasks]


def pairs_of(n_runs: int, baseline: int | None) -> tuple[Pair, ...]:
    """All pairs of runs in the order given, or each of the others against the baseline."""
    if baseline is None:
        return tuple(combinations(range(n_runs), 2))
    return tuple((run, baseline) for run in range(n_runs) if run != baseline)


def read_key(path: Path) -> Study:
    """The study in a key.json. Raises BadRecordError."""
    try:
        return Study.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        reason = error.strerror or error
        raise BadRecordError(
            f"{path}: the key cannot be read ({reason}). Name the key.json that export wrote"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRecordError(
            f"{path}: no key of a study ({error}). Name the key.json that export wrote"
        ) from error


def _pair(runs: Sequence[int]) -> Pair:
    first, second = runs
    return first, second
