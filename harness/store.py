"""The run folder: append-only, resumable, verifiable.

::

    RUN/run.json                       what ran; the part named "identity" must agree on resume
    RUN/<benchmark>/responses.jsonl    one line per request, flushed before the next batch starts
    RUN/<benchmark>/scores.parquet     one row per item
    RUN/<benchmark>/metrics.json       value, interval, coverage, direction
    RUN/<benchmark>/about.json         what was measured: options, protocol, judges
    RUN/summary.json, RUN/summary.md   the table that the terminal shows

Whole files are replaced atomically; logs are only ever appended to, and a line that a killed process left half
written is cut off when the log is next opened.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from benchmarks.base import (
    BadRecordError,
    Item,
    Judgment,
    Metric,
    PlumblineError,
    Response,
    ScoreRow,
)

if TYPE_CHECKING:
    import pandas as pd

RESPONSES = "responses.jsonl"
JUDGMENTS = "judgments.jsonl"
SCORES = "scores.parquet"
METRICS = "metrics.json"
ABOUT = "about.json"
RUN_INFO = "run.json"
VALUE, OFFICIAL = "value.", "official."
"""How the columns of scores.parquet begin that hold a row's numbers; see ``ScoreRow``."""

FORMAT = 1
"""Version of the run folder's layout."""


class Storable(Protocol):
    """What a Log keeps: a record with an id, and its way to JSON and back."""

    @property
    def request_id(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError for what ``to_json`` does not write."""


Record = TypeVar("Record", bound=Storable)


class MixedRunError(PlumblineError):
    """The folder holds a run with other settings; the text names each difference."""


class RunInUseError(PlumblineError):
    """Another process writes into the folder."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file, or leave the old one as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    if isinstance(content, str):
        content = content.encode("utf-8", errors="backslashreplace")
    with half.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(half, path)


def to_json(value: Any) -> str:
    """Readable JSON. Lone surrogates stay, as escapes."""
    return json.dumps(value, indent=1, ensure_ascii=True, default=str) + "\n"


def differences(stored: Any, wanted: Any, path: str = "") -> list[str]:
    """Where two JSON values differ, one line for each leaf: ``path: stored in the folder, wanted now``."""
    return [
        f"{where}: {shortened(before)} in the folder, {shortened(now)} now"
        for where, before, now in differing(stored, wanted, path)
    ]


def differing(first: Any, second: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ: the path and both values of each leaf."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted({*first, *second}):
            below = f"{path}.{key}" if path else key
            yield from differing(first.get(key), second.get(key), below)
    elif first != second:
        yield path, first, second


def shortened(value: Any) -> str:
    """JSON on one line, cut where it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 90 else f"{text[:87]}..."


def _is_info(value: Any) -> bool:
    """Whether a JSON value has the parts of a run.json."""
    if not isinstance(value, Mapping):
        return False
    kinds = {"identity": Mapping, "benchmarks": Mapping, "sessions": list}
    return all(isinstance(value.get(name), kind) for name, kind in kinds.items())


class Log(Generic[Record]):
    """An append-only JSONL file of records; the newest line of an id counts."""

    def __init__(self, path: Path, kind: type[Record]) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._read(kind)
        self._stream = path.open("ab")

    def _read(self, kind: type[Record]) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self.path.open("r+b") as stream:
                stream.truncate(whole)
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                record = kind.from_json(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                raise BadRecordError(
                    f"{self.path}, line {number}: not a record of this log ({error}). "
                    "Remove the line (its item is then asked again) or use another --out."
                ) from error
            self.records[record.request_id] = record

    def append(self, records: Sequence[Record]) -> None:
        """Write and flush records to the disk, in one piece."""
        lines = "".join(
            json.dumps(record.to_json(), ensure_ascii=True) + "\n" for record in records
        )
        self._stream.write(lines.encode("ascii"))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        for record in records:
            self.records[record.request_id] = record

    def close(self) -> None:
        self._stream.close()


class RunFolder:
    """One run on disk. Use as a context manager: it is locked against a second writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: Any = None
        self._logs: dict[Path, Log[Any]] = {}

    def __enter__(self) -> RunFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / ".lock").open("a+")
        except OSError as error:
            raise PlumblineError(
                f"{self.path} cannot be a run folder ({error.strerror}). Use another --out."
            ) from error
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._lock.close()
                raise RunInUseError(
                    f"{self.path} is being written by another process. Wait for it, or use another --out."
                ) from error
        return self

    def __exit__(self, *_: object) -> None:
        for log in self._logs.values():
            log.close()
        self._lock.close()

    @property
    def info(self) -> dict[str, Any]:
        """run.json as it is on disk; empty for a new folder."""
        path = self.path / RUN_INFO
        if not path.exists():
            return {}
        try:
            info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            problem = "" if _is_info(info) else "parts of it are missing"
        except ValueError as error:
            problem = f"not JSON: {error}"
        if problem:
            raise BadRecordError(
                f"{path} is damaged ({problem}), so it is not known which checkpoint answered here. "
                "Bring the file back from a copy, or use another --out. The answers beside it can "
                "still be scored (python -m harness.score --responses)."
            )
        return info

    def claim(
        self, identity: Mapping[str, Any], protocols: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Make the folder this run's own, or check that it already is. Raises MixedRunError.

        Args:
            identity: what must agree for the whole run (checkpoint with its weights, edition).
            protocols: what must agree for each benchmark; benchmarks may be added to a run.
        """
        info = self.info
        self._refuse_strangers(set(protocols) - set(info.get("benchmarks", ())))
        wanted = json.loads(to_json({"identity": identity, "benchmarks": protocols}))
        if info:
            if info.get("format") != FORMAT:
                raise MixedRunError(
                    f"{self.path} has layout {info.get('format')}, this version writes {FORMAT}. "
                    "Use another --out."
                )
            found = differences(info["identity"], wanted["identity"])
            for name, protocol in wanted["benchmarks"].items():
                if name in info["benchmarks"]:
                    found += differences(info["benchmarks"][name], protocol, name)
            if found:
                listed = "\n".join(f"  {line}" for line in found)
                raise MixedRunError(
                    f"{self.path} holds another run; going on would mix the two:\n{listed}\n"
                    "Use another --out, or the settings of the run that is there."
                )
            wanted["benchmarks"] = {**info["benchmarks"], **wanted["benchmarks"]}
        self._write_info({"format": FORMAT, "sessions": [], **info, **wanted})

    def _refuse_strangers(self, benchmarks: Iterable[str]) -> None:
        """Answers that run.json does not know may be another checkpoint's. Raises MixedRunError."""
        for name in sorted(benchmarks):
            path = self.path / name / RESPONSES
            if path.is_file() and path.stat().st_size:
                raise MixedRunError(
                    f"{path} holds answers, and {self.path / 'run.json'} does not say whose. Bring "
                    "back the run.json that belongs to them, or use another --out."
                )

    def note_session(self, session: Mapping[str, Any]) -> None:
        """Add or replace this session's record (by its "started" time) in run.json."""
        info = self.info
        others = [s for s in info["sessions"] if s["started"] != session["started"]]
        self._write_info({**info, "sessions": [*others, dict(session)]})

    def _write_info(self, info: Mapping[str, Any]) -> None:
        write_atomically(self.path / RUN_INFO, to_json(info))

    def responses(self, benchmark: str) -> Log[Response]:
        """The benchmark's answers so far, ready to be added to."""
        return self._open(benchmark, RESPONSES, Response)

    def judgments(self, benchmark: str) -> Log[Judgment]:
        """The benchmark's judgments so far, ready to be added to."""
        return self._open(benchmark, JUDGMENTS, Judgment)

    def _open(self, benchmark: str, name: str, kind: type[Record]) -> Log[Record]:
        """The log, read once however often it is asked for: a run's stages share it."""
        path = self.path / benchmark / name
        if path not in self._logs:
            self._logs[path] = Log(path, kind)
        return self._logs[path]

    def write_scores(
        self,
        benchmark: str,
        items: Sequence[Item],
        rows: Sequence[ScoreRow],
        responses: Mapping[str, Sequence[Response]],
    ) -> None:
        """scores.parquet: a row per item, with what is needed to read it without the data folder."""
        table = score_table(items, rows, responses)
        write_atomically(self.path / benchmark / SCORES, table.to_parquet(index=False))

    def write_metrics(self, benchmark: str, metrics: Sequence[Metric]) -> None:
        path = self.path / benchmark / METRICS
        write_atomically(path, to_json([metric.to_json() for metric in metrics]))

    def write_about(self, benchmark: str, about: Mapping[str, Any]) -> None:
        write_atomically(self.path / benchmark / ABOUT, to_json(about))

    def metrics(self, benchmark: str) -> list[Metric]:
        """The metrics that were last written. Raises PlumblineError when there are none."""
        path = self.path / benchmark / METRICS
        if not path.exists():
            raise PlumblineError(f"{path} is missing: score the run first (--stages score)")
        return [Metric.from_json(record) for record in json.loads(path.read_text(encoding="utf-8"))]


def score_table(
    items: Sequence[Item], rows: Sequence[ScoreRow], responses: Mapping[str, Sequence[Response]]
) -> pd.DataFrame:
    """One row per item: what was asked, what was answered, and its numbers: ``value.<column>``, ``official.<column>``."""
    import pandas as pd

    def records() -> Iterator[dict[str, Any]]:
        for item, row in zip(items, rows, strict=True):
            yield {
                "item_id": row.item_id,
                "group": row.group,
                "split": row.split,
                "status": str(row.status),
                "question": _storable(item.question),
                "pictures": [picture.name for picture in item.pictures],
                "responses": [_storable(response.text) for response in responses.get(item.id, ())],
                "reference": json.dumps(item.reference, default=str),
                "details": json.dumps(row.details, default=str),
                **{f"{VALUE}{name}": float(value) for name, value in row.values.items()},
                **{f"{OFFICIAL}{name}": float(value) for name, value in row.official.items()},
            }

    return pd.DataFrame.from_records(list(records()))


def _storable(text: str) -> str:
    """Parquet holds UTF-8 only: lone surrogates are written as escapes."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")
