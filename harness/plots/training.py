"""How the runs' checkpoints were trained: what scores are drawn against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.base import BadRecordError, PlumblineError
from benchmarks.records import Record
from benchmarks.tables import read_table
from harness.runs import Run
from harness.training_record import kept_of

Axis = Literal["pairs", "steps", "parameters"]
AXES: dict[Axis, str] = {
    "pairs": "preference pairs",
    "steps": "training steps",
    "parameters": "parameters",
}
COLUMNS = ("run", "method", "pairs", "steps", "parameters", "seed")


@dataclass(frozen=True)
class Trained:
    """What is known of a run's checkpoint.

    Attributes:
        sizes: what is known of pairs, steps and parameters.
        recipe: the settings that change what is learned, method and seed among them; empty for a
            checkpoint without a record.
        base_sha256: the weights that the training began with.
    """

    sizes: Mapping[str, float]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    base_sha256: str = ""

    @property
    def seed(self) -> str:
        return str(self.recipe.get("seed", ""))

    def line(self, fields: Sequence[str]) -> str:
        """The line it stands on, by settings of the recipe: ``"dpo"``, ``"dpo, beta 0.1"``."""
        told = [
            str(self.recipe[name]) if name == "method" else f"{name} {self.recipe[name]}"
            for name in fields
            if name in self.recipe
        ]
        return ", ".join(told)


def trained_of(run: Run) -> Trained:
    """From run.json; for a run that lacks it, from the checkpoint's folder if that is still there."""
    origins = [session["origin"] for session in run.info["sessions"] if session.get("origin")]
    origin: Mapping[str, Any] = (
        origins[-1] if origins else {"training": kept_of(Path(run.checkpoint))}
    )
    kept: Mapping[str, Any] = origin.get("training") or {}
    found = {
        "pairs": kept.get("n_pairs"),
        "steps": kept.get("n_steps"),
        "parameters": origin.get("n_parameters"),
    }
    sizes = {name: float(size) for name, size in found.items() if size}
    return Trained(sizes, kept.get("recipe", {}), kept.get("base_sha256", ""))


def with_table(
    trained: Mapping[str, Trained], path: Path, runs: Sequence[Run]
) -> dict[str, Trained]:
    """What is known of runs, by the run's name, with what a table says over it.

    The table is CSV with the column ``run`` (the run's name or folder) and any of ``method``, ``pairs``,
    ``steps``, ``parameters``, ``seed``; every other column is a setting like those of a recipe.

    Raises:
        BadRecordError: it cannot be read, has other columns, or numbers that are none.
    """
    found: dict[str, Trained] = {}
    for record in read_table(path, delimiter=","):
        if "run" not in record.fields:
            raise record.error("there is no column run", f"Write the columns {','.join(COLUMNS)}")
        named = str(record.fields["run"])
        for run in runs:
            if named in (run.name, str(run.path), str(run.path.resolve())):
                found[run.name] = _over(trained[run.name], record)
    if not found:
        names = ", ".join(run.name for run in runs)
        raise BadRecordError(f"{path}: none of its rows is about a run that is drawn ({names})")
    return {**trained, **found}


def _over(known: Trained, record: Record) -> Trained:
    """What is known of a checkpoint, with a row of the table over it."""
    sizes = dict(known.sizes)
    for name in AXES:
        text = str(record.fields.get(name, "")).strip()
        if text:
            sizes[name] = _positive(record, name, text)
    settings = {
        name: str(value).strip()
        for name, value in record.fields.items()
        if name not in (*AXES, "run") and str(value).strip()
    }
    return Trained(sizes, {**known.recipe, **settings}, known.base_sha256)


def _positive(record: Record, name: str, text: str) -> float:
    try:
        size = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise record.error(f"{name} is {text!r}, not a number above 0", "Write it in digits")
    return size


def lacking(run: Run, axis: Axis) -> PlumblineError:
    """The error about a run of which a size is not known."""
    return PlumblineError(
        f"{run.path}: nothing says its {AXES[axis]}: neither run.json nor {run.checkpoint} has the record of a "
        f"training. Give it in a table: --table FILE, CSV with the columns run,method,{axis},seed and a row "
        f"{run.name},…; or name it as the base checkpoint: --base {run.path}"
    )
