"""Log-probabilities under the reference policy, computed once and kept on disk.

The reference does not change while the policy is trained, so what it says about an answer is computed once,
for all epochs, restarts and sweeps over learning rates or objectives. A cache is a folder for one reference::

    CACHE/<hash of what the values depend on>/<time>.parquet    rows of (key of an answer, log-probabilities)

What they depend on (weights, processor and template, layout, dtype) also stands in each file's metadata.
Files are only ever added, each in one step, so a killed process loses what it had not yet written and two
processes cannot spoil one another's rows. Values are kept token by token: objectives that weigh tokens read
the same cache.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.base import BadRecordError, sha256_of

log = logging.getLogger(__name__)

FORMAT = 1
"""Changes when the same answers would be scored otherwise: other tokens, another end of a turn."""

DEFAULT_FOLDER = Path("~/.cache/plumbline/reference")


class ReferenceCache:
    """Token log-probabilities (float32) by the key of their answer.

    Args:
        root: where caches lie.
        identity: what the values depend on beside the answer and its prompt.
    """

    def __init__(self, root: Path, identity: Mapping[str, Any]) -> None:
        identity = {**identity, "format": FORMAT}
        self.folder = root.expanduser() / sha256_of(identity)[:24]
        self._identity = json.dumps(identity)
        self._values: dict[str, np.ndarray] = {}
        self._read: set[str] = set()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def __getitem__(self, key: str) -> np.ndarray:
        return self._values[key]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def refresh(self) -> None:
        """Read what has been added since, by other processes too. Raises BadRecordError."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for path in sorted(self.folder.glob("*.parquet")):
            if path.name in self._read:
                continue
            try:
                table = pq.read_table(path)
                keys = table["key"].to_pylist()
                values = table["values"].to_numpy()
            except (pa.ArrowException, KeyError, OSError) as error:
                raise BadRecordError(
                    f"{path} cannot be read ({' '.join(str(error).split())[:200]}). Remove it: what it held is "
                    "computed again"
                ) from error
            self._values.update(zip(keys, values, strict=True))
            self._read.add(path.name)

    def add(self, values: Mapping[str, np.ndarray]) -> None:
        """Write values to the disk in one step."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not values:
            return
        table = pa.table(
            {
                "key": pa.array(values.keys(), pa.string()),
                "values": pa.array(list(values.values()), pa.list_(pa.float32())),
            },
            metadata={"identity": self._identity},
        )
        name = f"{time.time_ns()}-{os.getpid()}.parquet"
        half = self.folder / f"{name}.part"
        pq.write_table(table, half)
        os.replace(half, self.folder / name)
        self._values.update(values)
        self._read.add(name)

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Held while values are computed, so that a second process waits instead of computing them too."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("another process is filling %s; waiting for it", self.folder)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
