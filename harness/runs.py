"""Runs that are there: reading back what ``harness.run`` left, to compare, check, draw or show it.

A run may have been made elsewhere: what is written in its folder suffices for values, intervals and rows. Only what has to
be computed anew (a paired test, a difference) needs the benchmark's formulas (``Part.open``), and a few of these need
the benchmark's data files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import (
    BadRecordError,
    Benchmark,
    Edition,
    Metric,
    PlumblineError,
    ScoreRow,
    ScoreStatus,
)
from benchmarks.registry import BENCHMARKS, open_benchmark
from harness.store import ABOUT, METRICS, OFFICIAL, RUN_INFO, SCORES, VALUE

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Part:
    """One benchmark of a run, as it was last scored.

    Attributes:
        path: its folder.
        folder: the folder's name in the run, e.g. ``"pope"`` or ``"control_blind/pope"``.
        about: about.json: the benchmark's name, title, edition, options, protocol, and who judged.
    """

    path: Path
    folder: str
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.about["benchmark"])

    @property
    def title(self) -> str:
        return str(self.about["title"])

    @property
    def edition(self) -> Edition:
        edition: Edition = self.about["edition"]
        return edition

    @property
    def protocol(self) -> Mapping[str, Any]:
        protocol: Mapping[str, Any] = self.about["protocol"]
        return protocol

    @property
    def judges(self) -> Sequence[str]:
        """The models that judged, as their servers named them."""
        judges: Sequence[str] = self.about["judges"]
        return judges

    @cached_property
    def metrics(self) -> list[Metric]:
        path = self.path / METRICS
        try:
            return [Metric.from_json(record) for record in _read_json(path)]
        except (TypeError, AttributeError) as error:
            raise _damaged(path, error) from error

    @cached_property
    def columns(self) -> list[str]:
        """The names of scores.parquet's columns."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path / SCORES
        try:
            names: list[str] = pq.read_schema(path).names
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, error) from error
        return names

    def table(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """scores.parquet, one row per item in the order of the items; ``columns`` reads no others."""
        import pandas as pd
        from pyarrow import ArrowException

        path = self.path / SCORES
        try:
            return pd.read_parquet(path, columns=None if columns is None else list(columns))
        except (OSError, ArrowException) as error:
            raise _damaged(path, error) from error

    def lists(self, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Columns of scores.parquet as plain lists, in the order of the items."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path / SCORES
        try:
            found = pq.read_table(path, columns=list(columns)).to_pydict()
            return {name: found[name] for name in columns}
        except (OSError, KeyError, pa.ArrowException) as error:
            raise _damaged(path, error) from error

    def rows(self) -> list[ScoreRow]:
        """The rows of numbers, in the order of the items."""
        table = self.table()
        numbers = {
            prefix: {name.removeprefix(prefix): table[name].to_numpy() for name in table if name.startswith(prefix)}
            for prefix in (VALUE, OFFICIAL)
        }  # fmt: skip

        def of(index: int, prefix: str) -> dict[str, float]:
            found = ((name, float(column[index])) for name, column in numbers[prefix].items())
            return {name: value for name, value in found if value == value}

        fixed = (
            table[name].tolist() for name in ("item_id", "group", "split", "status", "details")
        )
        return [
            ScoreRow(item, group, split, ScoreStatus(status), of(i, VALUE), of(i, OFFICIAL), json.loads(details))
            for i, (item, group, split, status, details) in enumerate(zip(*fixed, strict=True))
        ]  # fmt: skip

    def open(self, data_dir: Path | None = None) -> Benchmark:
        """The benchmark with the options that it was scored with, for its formulas and pictures.

        Raises:
            MissingDataError: when it is used, if it needs files that are not in ``data_dir``.
            PlumblineError: it is one of lmms-eval's tasks, whose formulas are not kept with a run.
        """
        if self.about["options"] is None:
            raise PlumblineError(
                f"{self.title}: its formulas are lmms-eval's; score the run to see them"
            )
        return open_benchmark(self.name, self.edition, data_dir, self.about["options"])


def judged_alike(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether the same models judged. A run in which nothing had to be judged goes with any other."""
    return not a or not b or set(a) == set(b)


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        name: of a row in a table: the folder's name, with as much of its parents as tells runs apart.
        info: run.json.
        parts: by folder, in the order in which the benchmarks are usually listed.
    """

    path: Path
    name: str
    info: Mapping[str, Any]
    parts: Mapping[str, Part]

    @property
    def checkpoint(self) -> str:
        """The checkpoint as the person who ran it named it."""
        return str(self.info["sessions"][-1]["ckpt"])

    @property
    def edition(self) -> str:
        return str(self.info["identity"]["edition"])


def open_runs(paths: Sequence[Path]) -> list[Run]:
    """Runs with names that tell them apart.

    Raises:
        PlumblineError: there is no run, or nothing of it was scored; a path is given twice.
        BadRecordError: a file of it is damaged.
    """
    resolved = [path.resolve() for path in paths]
    twice = [path for path in paths if resolved.count(path.resolve()) > 1]
    if twice:
        raise PlumblineError(f"{twice[0]} is named twice; name each run once")
    return [_open_run(path, name) for path, name in zip(paths, _names(resolved), strict=True)]


def _open_run(path: Path, name: str) -> Run:
    if not (path / RUN_INFO).is_file():
        raise PlumblineError(
            f"{path} holds no run ({RUN_INFO} is missing): name a folder that harness.run made"
        )
    info = _read_json(path / RUN_INFO)
    try:
        parts = {folder: _open_part(path, folder) for folder in _scored(path, info["benchmarks"])}
        run = Run(path, name, info, parts)
        _ = run.checkpoint, run.edition
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise _damaged(path / RUN_INFO, error) from error
    if not parts:
        raise PlumblineError(
            f"{path}: nothing of this run is scored yet: run it again with --stages score"
        )
    return run


def _scored(path: Path, folders: Mapping[str, Any]) -> Iterator[str]:
    listed = [*BENCHMARKS]

    def place(folder: str) -> tuple[bool, int]:
        name = folder.rpartition("/")[2]
        return "/" in folder, listed.index(name) if name in listed else len(listed)

    yield from (
        folder for folder in sorted(folders, key=place) if (path / folder / ABOUT).is_file()
    )


def _open_part(path: Path, folder: str) -> Part:
    about = _read_json(path / folder / ABOUT)
    part = Part(path / folder, folder, about)
    try:
        _ = part.name, part.title, part.edition, part.protocol, part.judges, about["options"]
    except (KeyError, TypeError) as error:
        raise _damaged(path / folder / ABOUT, error) from error
    return part


def _names(paths: Sequence[Path]) -> list[str]:
    """The last parts of paths, as many as tell them all apart."""
    longest = max((len(path.parts) for path in paths), default=1)
    for n_parts in range(1, longest + 1):
        names = ["/".join(path.parts[-n_parts:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BadRecordError:
    return BadRecordError(
        f"{path} is missing or damaged ({error}). Score the run again (the same command with --stages score)."
    )
