"""AlpacaEval's leaderboards: the official rows with a run's row among them, and stored regressions.

A leaderboard is ``leaderboards/<annotator>_leaderboard.csv``, a row for each model. The weights of
the models' length-controlled regressions stand in
``leaderboards/length_controlled_v1_weights_baseline_<baseline>.csv``: they predict the win rate of
any of these models against any other (``metrics/glm_winrate.py``, see ``benchmarks.alpacaeval``).

Published tables hold errors: AlpacaEval 1's row of falcon-7b-instruct repeats that of
falcon-40b-instruct.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.alpacaeval_length_control import DESIGN
from benchmarks.alpacaeval_tables import FIX, number, read_csv
from benchmarks.base import Metric, PlumblineError

SHOWN = {
    "length_controlled_winrate": "LC win rate",
    "win_rate": "win rate",
    "standard_error": "standard error",
    "n_total": "n",
    "avg_length": "average length",
}
"""The columns of a leaderboard that are shown, and their headings."""
WHOLE = ("n_total", "avg_length")


class OfficialRow(NamedTuple):
    """A model's row; ``values`` by column, without the empty ones."""

    model: str
    values: Mapping[str, float]


def read_rows(path: Path, columns: Sequence[str]) -> list[OfficialRow]:
    """A table of numbers whose first column names the models, in file order.

    Args:
        columns: those to be read; a field may be empty.

    Raises:
        BadRecordError: the file cannot be read, a column is absent, or a field is no number.
    """
    rows = []
    for record in read_csv(path, ("", *columns)):
        cells = {column: number(record, column) for column in columns}
        values = {column: value for column, value in cells.items() if value is not None}
        rows.append(OfficialRow(record.fields[""], values))
    return rows


def among_official_rows(
    rows: Sequence[OfficialRow],
    metrics: Sequence[Metric],
    rates: Sequence[str],
    remarks: Sequence[str],
) -> str:
    """A leaderboard in Markdown, with a run's row in bold at its place.

    Args:
        metrics: the run's.
        rates: the first of these columns that the run has decides on the places, the highest first;
            models without it stand last.
        remarks: said above the table: how far the run's row may be compared.
    """
    own = {metric.name: metric for metric in metrics if metric.value is not None}
    ours = {name: float(metric.value or 0.0) for name, metric in own.items()}
    sort_by = next((name for name in rates if name in ours), rates[0])
    entries = [(row.values.get(sort_by), _cells(row.model, row.values)) for row in rows]
    cells = _cells("this run", ours)
    for position, name in enumerate(SHOWN, start=1):
        metric = own.get(name)
        if metric and name not in WHOLE and metric.low is not None and metric.high is not None:
            cells[position] += f" ({metric.low:.2f} – {metric.high:.2f})"
    entries.append((ours.get(sort_by), [f"**{cell}**" if cell else "" for cell in cells]))
    entries.sort(key=lambda entry: math.inf if entry[0] is None else -entry[0])
    heading = ["model", *SHOWN.values()]
    lines = [heading, ["---", *["---:"] * len(SHOWN)], *(cells for _, cells in entries)]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*(f"{remark}\n" for remark in remarks), *table]) + "\n"


def _cells(model: str, values: Mapping[str, float]) -> list[str]:
    """A row of the table; what is unknown is empty."""
    return [
        model.replace("|", "\\|"),
        *(
            "" if name not in values else f"{values[name]:.{0 if name in WHOLE else 2}f}"
            for name in SHOWN
        ),
    ]


def read_weights(path: Path, model: str) -> Mapping[str, float]:
    """A leaderboard model's stored weights, by the names of ``DESIGN``.

    Raises:
        BadRecordError: the file is damaged.
        PlumblineError: there is no such model in it.
    """
    rows = {row.model: row.values for row in read_rows(path, DESIGN)}
    if model not in rows or len(rows[model]) < len(DESIGN):
        known = ", ".join(sorted(rows)[:5])
        raise PlumblineError(
            f"alpacaeval.against={model}: {path} has no such model (but {known}, …)"
        )
    return rows[model]


def read_difficulties(path: Path) -> np.ndarray:
    """``instruction_difficulty.csv``: one number for each instruction, in the last column.

    Raises:
        BadRecordError: the file is damaged.
    """
    found = []
    for record in read_csv(path, ()):
        difficulty = number(record, list(record.fields)[-1])
        if difficulty is None:
            raise record.error("the instruction has no difficulty", FIX)
        found.append(difficulty)
    return np.array(found)
