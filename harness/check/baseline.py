"""The file of accepted numbers. One file, plain JSON, made to be committed and to be read as a diff.

A paired test needs the numbers of every item, not only their sums: a run may lack items, rules may ask for
other metrics later, and estimates such as AlpacaEval's regression are computed from rows. Yet most items
share their numbers with many others (a right "no" to a POPE question), so each different set of numbers is
written once, under a name made of its content, and an item is its id and that name::

    "patterns": {"4b1f0a": {"split": "popular", "status": "scored", "values": {"tn": 1.0, …}, "official": {}}, …},
    "items": {"picture 17": {"popular/3": "4b1f0a", "popular/4": "99e2c1"}, …}

A flipped answer is one changed line. There are neither questions nor answers in it, and no path of the
machine where it was made.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.base import (
    BadRecordError,
    Metric,
    PlumblineError,
    ScoreRow,
    ScoreStatus,
    sha256_of,
)
from harness.item_table import ItemTable
from harness.judges.base import now
from harness.runs import Part, Run
from harness.store import write_atomically

FORMAT = 1
"""Version of the file's layout."""

SHORTEST_NAME = 6
"""Hexadecimal digits of a pattern's name, more where two would be the same."""

_ABSOLUTE = re.compile(r"(?<![\w./:])/(?:[^\s/'\"]+/)+")
"""The folders of an absolute path in a text; not those of an address (``https://…``)."""


@dataclass(frozen=True)
class Accepted:
    """One benchmark of a baseline.

    Attributes:
        about: its about.json: edition, protocol, judges.
    """

    about: Mapping[str, Any]
    metrics: Sequence[Metric]
    rows: Sequence[ScoreRow]

    @property
    def title(self) -> str:
        return str(self.about["title"])

    def table(self, item_ids: Sequence[str]) -> ItemTable:
        """The numbers in this order of the items, which are all of them."""
        by_id = {row.item_id: row for row in self.rows}
        return ItemTable.of_rows([by_id[item_id] for item_id in item_ids])


@dataclass(frozen=True)
class Baseline:
    """Accepted numbers.

    Attributes:
        made: when, by which command, from which run, and what it replaced.
        run: what was measured: checkpoint, versions, command.
        benchmarks: by folder name, in the order of the run.
    """

    made: Mapping[str, Any]
    run: Mapping[str, Any]
    benchmarks: Mapping[str, Accepted]

    @property
    def weights(self) -> str:
        """What identifies the weights, shortened for a person."""
        return weights_of(self.run["identity"])


def identity_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree for two parts to be the same measurement, but for the judges; from about.json."""
    return {"edition": about["edition"], **about["protocol"]}


def weights_of(identity: Mapping[str, Any]) -> str:
    """The first digits of the weights' hash; for a hosted model, its name."""
    checkpoint = identity["checkpoint"]
    digest = str(checkpoint.get("weights_sha256") or "")[:12]
    return digest or str(checkpoint.get("model") or "unknown")


def versions_of(run: Run) -> dict[str, Any]:
    """With what the answers were made: versions of the libraries, and the device."""
    made_by = (session.get("versions") for session in reversed(run.info["sessions"]))
    return next((dict(versions) for versions in made_by if versions), {})


def measured(run: Run) -> dict[str, Part]:
    """The benchmarks of a run, without those of its controls."""
    return {folder: part for folder, part in run.parts.items() if not part.about.get("control")}


def write_baseline(run: Run, path: Path, command: str) -> None:
    """Accept a run's numbers. The old file stays as it is until the new one is whole.

    Args:
        command: what the person typed.
    """
    session = run.info["sessions"][-1]
    content = {
        "format": FORMAT,
        "made": {
            "at": now(),
            "command": _portable(command),
            "from_run": run.path.resolve().name,
            "replaces": _replaced(path),
        },
        "run": {
            "checkpoint": _portable(run.checkpoint),
            "identity": run.info["identity"],
            "command": _portable(str(session.get("command", ""))),
            "finished": session.get("finished"),
            "versions": versions_of(run),
        },
        "benchmarks": {folder: _accepted(part) for folder, part in measured(run).items()},
    }
    write_atomically(path, _laid_out(content, depth=4) + "\n")


def _replaced(path: Path) -> dict[str, Any] | None:
    """The provenance of the file that is about to be replaced."""
    if not path.exists():
        return None
    old = read_baseline(path)
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "at": old.made.get("at"),
        "from_run": old.made.get("from_run"),
        "checkpoint": old.run.get("checkpoint"),
        "weights": old.weights,
    }


def _accepted(part: Part) -> dict[str, Any]:
    rows = part.rows()
    patterns = [_pattern(row) for row in rows]
    names = [sha256_of(pattern) for pattern in patterns]
    by_name = dict(zip(names, patterns, strict=True))
    n_digits = SHORTEST_NAME
    while len({name[:n_digits] for name in by_name}) < len(by_name):
        n_digits += 1
    items: dict[str, dict[str, str]] = {}
    for row, name in zip(rows, names, strict=True):
        items.setdefault(row.group, {})[row.item_id] = name[:n_digits]
    return {
        "about": dict(part.about),
        "metrics": [metric.to_json() for metric in part.metrics],
        "patterns": {name[:n_digits]: by_name[name] for name in sorted(by_name)},
        "items": items,
    }


def _pattern(row: ScoreRow) -> dict[str, Any]:
    return {
        "split": row.split,
        "status": str(row.status),
        "values": dict(row.values),
        "official": dict(row.official),
    }


def read_baseline(path: Path) -> Baseline:
    """Read what ``write_baseline`` wrote.

    Raises:
        PlumblineError: there is no such file.
        BadRecordError: it is no baseline, or damaged.
    """
    if not path.is_file():
        raise PlumblineError(
            f"{path}: there is no baseline yet. Accept this run's numbers as the first: "
            "the same command with --update"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"layout {content['format']}, this version reads {FORMAT}")
        benchmarks = {name: _read(found) for name, found in content["benchmarks"].items()}
        baseline = Baseline(dict(content["made"]), dict(content["run"]), benchmarks)
        _ = baseline.weights
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRecordError(
            f"{path} is no baseline, or damaged ({type(error).__name__}: {error}). Bring it back from "
            "version control, or remove it and write it anew with --update"
        ) from error
    return baseline


def _read(found: Mapping[str, Any]) -> Accepted:
    patterns = found["patterns"]
    rows = [
        _row(item_id, group, patterns[name])
        for group, items in found["items"].items()
        for item_id, name in items.items()
    ]
    metrics = [Metric.from_json(record) for record in found["metrics"]]
    accepted = Accepted(found["about"], metrics, rows)
    _ = accepted.title, identity_of(accepted.about), accepted.about["judges"]
    return accepted


def _row(item_id: str, group: str, pattern: Mapping[str, Any]) -> ScoreRow:
    numbers = ({**pattern["values"]}, {**pattern["official"]})
    return ScoreRow(item_id, group, pattern["split"], ScoreStatus(pattern["status"]), *numbers)


def _portable(text: str) -> str:
    """Text without the folders of absolute paths: where a run lay on one machine is of no use on another."""
    return _ABSOLUTE.sub("", text)


def _laid_out(value: Any, depth: int) -> str:
    """JSON with a line for each member down to a depth, and the rest of it on that line."""
    if depth == 0 or not value or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=True, separators=(", ", ": "))
    if isinstance(value, list):
        return "[\n" + ",\n".join(_laid_out(each, depth - 1) for each in value) + "\n]"
    members = (f"{json.dumps(key)}: {_laid_out(each, depth - 1)}" for key, each in value.items())
    return "{\n" + ",\n".join(members) + "\n}"
