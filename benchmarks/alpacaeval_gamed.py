"""``df_gamed.csv``: how the judge of AlpacaEval 2 compares the baseline's model with itself when it is
prompted to be verbose or concise::

    model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline
    gpt4_1106_preview_verbose,0.9736,0,-1.0693,-0.6005,False

The length-controlled win rate (``benchmarks.alpacaeval_length_control``) learns from it what length
alone does, and takes the instructions' difficulties from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.alpacaeval_tables import FIX, number, read_csv
from benchmarks.base import BadRecordError
from benchmarks.records import Record


@dataclass(frozen=True, eq=False)
class Gamed:
    """The columns of the file, arrays of equal length.

    Attributes:
        preference: from 0 (for the baseline) to 1; NaN where there is none.
        index: of the instruction.
        not_gamed_baseline: 1 for a model's own rows, 0 for gamed ones.
        source: the file, for an error.
    """

    preference: np.ndarray
    index: np.ndarray
    std_delta_len: np.ndarray
    instruction_difficulty: np.ndarray
    not_gamed_baseline: np.ndarray
    source: str

    def difficulties(self, n: int) -> np.ndarray:
        """What stands at the first n lines, each of which must be an instruction's first.

        Raises:
            BadRecordError: one of the lines is absent, or a later one of its instruction.
        """
        try:
            return np.array([self._difficulty_at[line] for line in range(n)])
        except KeyError as error:
            problem = f"record {error} (counted from 0) is absent or not its instruction's first"
            raise BadRecordError(
                f"{self.source}: {problem}; the difficulties of {n} annotations stand in the first "
                f"{n} records. {FIX}"
            ) from None

    @cached_property
    def _difficulty_at(self) -> Mapping[int, float]:
        first: dict[float, int] = {}
        for line, instruction in enumerate(self.index.tolist()):
            first.setdefault(instruction, line)
        return {line: float(self.instruction_difficulty[line]) for line in first.values()}

    @cached_property
    def sha256(self) -> str:
        """Of all numbers."""
        columns = [getattr(self, name) for name in COLUMNS]
        return hashlib.sha256(np.array(columns, dtype="<f8").tobytes()).hexdigest()


COLUMNS = ("preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline")


def read_gamed(path: Path) -> Gamed:
    """``df_gamed.csv``. Raises BadRecordError, naming the line."""
    rows = [[_cell(record, name) for name in COLUMNS] for record in read_csv(path, COLUMNS)]
    columns = dict(zip(COLUMNS, np.array(rows).T, strict=True))
    return Gamed(**columns, source=str(path))


def _cell(record: Record, name: str) -> float:
    text = record.fields[name].strip().lower()
    if name == "not_gamed_baseline" and text in ("true", "false"):
        return float(text == "true")
    if name == "preference" and text in ("", "nan"):
        return float("nan")
    value = number(record, name)
    if value is None or not np.isfinite(value):
        raise record.error(f"{name} is {text!r}, not a number", FIX)
    return value
