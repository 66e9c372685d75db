"""Replies that were paid for once: one SQLite file, shared by every run and safe with several
writers.

Only usable replies are stored, never failures, and each is committed before anyone sees it, so a
killed run pays for no reply twice.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.base import PlumblineError
from harness.endpoint.replies import Reply

LAYOUT = 1
WAIT_MS = 60_000
"""How long a writer waits for another one."""
RETRY_S = 0.01

_STORED = (
    "text",
    "model",
    "finish_reason",
    "fingerprint",
    "n_prompt_tokens",
    "n_new_tokens",
    "not_sent",
)


class CacheError(PlumblineError):
    """The cache file cannot be used; the text names it and the remedy."""


class ReplyCache:
    """Stored replies by key. Used by one thread at a time.

    Args:
        path: the file; None stores nothing and finds nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        if path is None:
            return
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._open(path)

    def _open(self, path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(
            path, timeout=WAIT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        _use_write_ahead_log(database)
        database.execute("PRAGMA synchronous=NORMAL")
        layout = database.execute("PRAGMA user_version").fetchone()[0]
        if layout not in (0, LAYOUT):
            database.close()
            raise CacheError(
                f"{path}: the judge cache has layout {layout}, this version writes {LAYOUT}. "
                "Name another file by --judge-cache."
            )
        database.execute(
            "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL) "
            "WITHOUT ROWID"
        )
        database.execute(f"PRAGMA user_version={LAYOUT}")
        return database

    def get(self, key: str) -> Reply | None:
        """The stored reply, as one that cost no call."""
        if self._database is None:
            return None
        with self._explained():
            row = self._database.execute(
                "SELECT reply FROM replies WHERE key = ?", (key,)
            ).fetchone()
            return None if row is None else _reply(row[0])

    def put(self, key: str, reply: Reply) -> None:
        """Store a reply for good. Of two replies to one key the first stays."""
        if self._database is None:
            return
        fields = asdict(reply)
        text = json.dumps({name: fields[name] for name in _STORED}, ensure_ascii=True)
        with self._explained():
            self._database.execute("INSERT OR IGNORE INTO replies VALUES (?, ?)", (key, text))

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns trouble with the file into a CacheError that says what to do."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise CacheError(
                f"{self.path}: the judge cache cannot be used ({error}). See that the folder can "
                "be written and has room, or name another file by --judge-cache (none: no cache)."
            ) from error
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise CacheError(
                f"{self.path}: the judge cache is damaged ({error}). Move it away and run again: "
                "run folders keep their judgments, other replies are asked anew."
            ) from error


def _use_write_ahead_log(database: sqlite3.Connection) -> None:
    """Readers do not wait for writers in this mode, and a commit outlives the process.

    SQLite does not apply its own waiting to the change of mode, so two processes that open a new
    file at once would otherwise fail with "database is locked".
    """
    deadline = time.monotonic() + WAIT_MS / 1000
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(RETRY_S)


def _reply(text: str) -> Reply:
    fields = json.loads(text)
    return Reply(**{**fields, "not_sent": tuple(fields["not_sent"])}, n_calls=0, cost_usd=0.0)
