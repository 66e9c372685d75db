"""The run folder's ``judge_batches.json``: what was ordered, so that a resumed run awaits it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.base import BadRecordError
from harness.store import to_json, write_atomically


@dataclass(frozen=True)
class Entry:
    """One batch.

    Attributes:
        input_file: the uploaded file's id. It names the entry: it is known before the batch is
            ordered.
        batch: the batch's id; None between the upload and the provider's reply to the order.
        reserved_usd: what it may cost at most.
        closed: whether its replies are in the judgments.
        top_logprobs: what all its requests ask for, as in a JudgeRequest.
    """

    input_file: str
    endpoint: str
    model: str
    n_requests: int
    reserved_usd: float
    created: str
    batch: str | None = None
    closed: bool = False
    top_logprobs: int = 0


class BatchState:
    """The file. Every change is on disk before the call returns."""

    def __init__(self, path: Path, endpoint: str) -> None:
        self.path = path
        self._endpoint = endpoint
        self._entries = _read(path)

    def open(self) -> Sequence[Entry]:
        """The batches at this endpoint whose replies are not in the judgments yet, oldest first."""
        return [e for e in self._entries.values() if not e.closed and e.endpoint == self._endpoint]

    def put(self, entry: Entry) -> Entry:
        """Add an entry, or replace the one of the same file."""
        self._entries[entry.input_file] = entry
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, to_json([asdict(e) for e in self._entries.values()]))
        return entry

    def close(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.put(replace(self._entries[entry.input_file], closed=True))


def _read(path: Path) -> dict[str, Entry]:
    if not path.exists():
        return {}
    try:
        entries = [Entry(**record) for record in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise BadRecordError(
            f"{path}: not a list of batches ({error}). Without it, batches under way cannot be "
            "found again; mend it, or remove it to order them anew."
        ) from error
    return {entry.input_file: entry for entry in entries}
