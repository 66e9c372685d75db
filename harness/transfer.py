"""Bringing one file over HTTP(S) or from the hub: resumed, retried, verified, then renamed.

While a file is on its way it is called ``NAME.part``, with what the server said of it in
``NAME.part.json``. Nothing gets the final name before its size and checksum have been compared.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

from benchmarks.base import PlumblineError, sha256_of_file
from harness.verify import Seen, mismatch

if TYPE_CHECKING:
    import httpx2

Tick = Callable[[int, int | None], None]
"""Told how many bytes of a file are there, and how many there will be if that is known."""

PROGRESS_BYTES = 1 << 20
"""An attempt that brought this much was no failure: a large file may be interrupted often."""
MAX_REDIRECTS = 10
LONGEST_WAIT_S = 600.0
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class TransferError(PlumblineError):
    """A file could not be brought; the text says why and what to do."""


class StoppedError(Exception):
    """The person who started fetch has interrupted it."""


class TransientError(Exception):
    """A failure that may be gone at the next attempt.

    Attributes:
        after_s: the wait that the server asks for.
        unreachable: no connection came about; other files of that host need not try as long.
    """

    def __init__(
        self, reason: str, after_s: float | None = None, *, unreachable: bool = False
    ) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.unreachable = unreachable


@dataclass(frozen=True)
class Expected:
    """What is known of a file beforehand."""

    n_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Policy:
    """How often and how patiently a transfer is tried. Waits double from ``first_wait_s``."""

    retries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    timeout_s: float = 30.0


@dataclass(frozen=True)
class _Beginning:
    """What an earlier attempt left, and the version of the file that it is of."""

    n_bytes: int = 0
    validator: str = ""
    total: int | None = None


class Transfer:
    """A session of downloads; may be used by several threads. To be used as a context."""

    def __init__(self, policy: Policy, stop: threading.Event, connections: int = 8) -> None:
        import httpx2

        self.policy = policy
        self.stop = stop
        self._unreachable: dict[str, str] = {}
        self._client = httpx2.Client(
            timeout=policy.timeout_s,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=connections),
            headers={"User-Agent": "plumbline-fetch", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def bring(self, url: str, target: Path, expected: Expected, tick: Tick) -> Seen:
        """Puts the file at ``url`` under the name ``target``, replacing what is there.

        Raises:
            TransferError: it could not be brought, or is not what was expected.
            StoppedError: the stop event was set; what has come so far is kept for the next time.
        """
        part = target.with_name(f"{target.name}.part")
        with errors_of_disk(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            resumed = self._persist(url, part, expected, tick)
            problem = mismatch(part, expected.n_bytes, expected.sha256, expected.md5)
            if problem is not None and resumed:
                # The beginning may be of another version of the file: once more, from the start.
                _discard(part)
                self._persist(url, part, expected, tick)
                problem = mismatch(part, expected.n_bytes, expected.sha256, expected.md5)
            if problem is not None:
                _discard(part)
                raise TransferError(f"what {url} gives is not the official file: {problem[1]}")
            seen = Seen(part.stat().st_size, expected.sha256 or sha256_of_file(part))
            _flush_to_disk(part)
            os.replace(part, target)
            _sidecar(part).unlink(missing_ok=True)
        return seen

    def _persist(self, url: str, part: Path, expected: Expected, tick: Tick) -> bool:
        """Attempts until the file has come; whether it came in more than one piece."""
        failures, resumed = 0, False
        while True:
            self._heed(_host(url))
            before = _size(part)
            try:
                return self._attempt(url, part, expected, tick) or resumed
            except TransientError as error:
                resumed = True
                grown = _size(part) - before
                failures = 1 if grown >= PROGRESS_BYTES else failures + 1
                self._wait(url, error, failures)

    def _heed(self, host: str) -> None:
        if self.stop.is_set():
            raise StoppedError
        if reason := self._unreachable.get(host):
            raise TransferError(f"{host} could not be reached before ({reason}); not tried again")

    def _wait(self, url: str, error: TransientError, failures: int) -> None:
        """Sleeps before the next attempt, or gives up."""
        policy = self.policy
        if failures > policy.retries:
            if error.unreachable:
                self._unreachable[_host(url)] = str(error)
            raise TransferError(
                f"{url}: {error}; given up after {failures} attempts, "
                "the same command goes on from there"
            ) from error
        if error.after_s is not None and error.after_s > LONGEST_WAIT_S:
            raise TransferError(
                f"{url}: {error}; the server asks to come back in {error.after_s:.0f} s"
            ) from error
        growing = min(policy.longest_wait_s, policy.first_wait_s * 2 ** (failures - 1))
        jittered = growing * random.uniform(0.5, 1.0)
        if self.stop.wait(jittered if error.after_s is None else error.after_s):
            raise StoppedError

    def _attempt(self, url: str, part: Path, expected: Expected, tick: Tick) -> bool:
        """One request; whether it went on from an earlier one. Raises TransientError."""
        if urlsplit(url).scheme == "hf":
            from harness.hub import download

            download(url, part)
            tick(_size(part), _size(part))
            return False
        import httpx2

        beginning = _beginning(part, url, expected)
        if beginning.total is not None and beginning.n_bytes == beginning.total:
            return True
        try:
            with self._open(url, _range_headers(beginning)) as response:
                return self._receive(response, url, part, beginning, expected, tick)
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise TransferError(f"{url}: {error}") from error
        except httpx2.RequestError as error:
            reason = str(error) or type(error).__name__
            no_connection = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
            raise TransientError(reason, unreachable=no_connection) from error

    @contextmanager
    def _open(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """The answer to a request, after the redirects that are allowed."""
        check_scheme(url)
        for _ in range(MAX_REDIRECTS + 1):
            with self._client.stream("GET", url, headers=headers) as response:
                if not response.has_redirect_location:
                    yield response
                    return
                onward = urljoin(url, response.headers["location"])
                check_scheme(onward, came_from=url)
                url = onward
        raise TransferError(f"{url}: more than {MAX_REDIRECTS} redirects")

    def _receive(
        self,
        response: httpx2.Response,
        url: str,
        part: Path,
        beginning: _Beginning,
        expected: Expected,
        tick: Tick,
    ) -> bool:
        """Writes the body behind what is there already, or anew; whether it was behind."""
        offset = _offset(response, part, beginning)
        total = _total(response, offset)
        if None not in (total, expected.n_bytes) and total != expected.n_bytes:
            _discard(part)
            raise TransferError(
                f"what {url} gives is not the official file: the server has {total:,} bytes, "
                f"the official file has {expected.n_bytes:,}"
            )
        if total is not None and (free := shutil.disk_usage(part.parent).free) < total - offset:
            raise TransferError(
                f"{url} needs {total - offset:,} bytes and the disk has {free:,} free"
            )
        size, whole = offset, total if total is not None else expected.n_bytes
        with part.open("ab" if offset else "wb") as stream:
            # Only now: the note must never speak of a newer version than the bytes are of.
            note = {"url": url, "validator": _validator(response), "total": total}
            _sidecar(part).write_text(json.dumps(note), encoding="utf-8")
            # Chunks as they come: with a size of our own, the bytes before a break would be lost.
            for chunk in response.iter_bytes():
                if self.stop.is_set():
                    raise StoppedError
                stream.write(chunk)
                stream.flush()
                size += len(chunk)
                tick(size, total)
                if whole is not None and size > whole:
                    break
        if whole is not None and size < whole:
            raise TransientError(f"the transfer broke at {size:,} of {whole:,} bytes")
        return offset > 0


def check_scheme(url: str, came_from: str = "") -> None:
    """Refuses what is neither HTTP nor HTTPS, and a redirect that gives up encryption.

    Raises:
        TransferError: the address, or the step from ``came_from`` to it, is refused.
    """
    scheme = urlsplit(url).scheme.lower()
    via = f" (redirected from {came_from})" if came_from else ""
    if scheme not in {"http", "https"}:
        raise TransferError(f"{url}{via}: only http and https addresses are fetched")
    if scheme == "http" and urlsplit(came_from).scheme.lower() == "https":
        raise TransferError(f"{url}{via}: a redirect from https to http is refused")


def _offset(response: httpx2.Response, part: Path, beginning: _Beginning) -> int:
    """Where the body belongs in the file. Raises TransientError or TransferError if nowhere."""
    status = response.status_code
    if status == 200:
        return 0
    if status == 206 and beginning.n_bytes and not _is_encoded(response):
        start = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
        same = _validator(response) in {beginning.validator, ""}
        if same and start is not None and int(start[1]) == beginning.n_bytes:
            return beginning.n_bytes
    if status in {206, 416}:
        _discard(part)
        raise TransientError("the server could not continue the earlier transfer", after_s=0.0)
    reason = f"the server answers {status} {response.reason_phrase}".rstrip()
    if status in RETRIED_STATUS:
        raise TransientError(reason, after_s=retry_after(response.headers.get("retry-after", "")))
    raise TransferError(f"{response.url}: {reason}")


def _total(response: httpx2.Response, offset: int) -> int | None:
    """The length of the whole file, if the server says it of the very bytes that are stored."""
    length = response.headers.get("content-length", "")
    if not length.isdecimal() or _is_encoded(response):
        return None
    return offset + int(length)


def retry_after(value: str) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or a date; None if neither."""
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _is_encoded(response: httpx2.Response) -> bool:
    """Whether the server compresses although it is asked not to."""
    return bool(response.headers.get("content-encoding", "identity") != "identity")


def _validator(response: httpx2.Response) -> str:
    """What identifies this version of the file byte for byte: a strong ETag, else its date."""
    if _is_encoded(response):
        return ""  # it is of other bytes than those that are stored
    etag: str = response.headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return str(response.headers.get("last-modified", ""))


def _beginning(part: Path, url: str, expected: Expected) -> _Beginning:
    """What can be gone on from; nothing if a mixture of two versions might stay unnoticed."""
    try:
        note = json.loads(_sidecar(part).read_text(encoding="utf-8"))
        beginning = _Beginning(part.stat().st_size, str(note["validator"]), note["total"])
        is_same_place = note["url"] == url
    except (OSError, ValueError, KeyError, TypeError):
        return _Beginning()
    is_noticed = bool(beginning.validator or expected.sha256 or expected.md5)
    return beginning if is_same_place and is_noticed else _Beginning()


def _range_headers(beginning: _Beginning) -> dict[str, str]:
    if not beginning.n_bytes:
        return {}
    headers = {"Range": f"bytes={beginning.n_bytes}-"}
    if beginning.validator:
        headers["If-Range"] = beginning.validator
    return headers


def _host(url: str) -> str:
    parts = urlsplit(url)
    return "the hub" if parts.scheme == "hf" else parts.netloc


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _sidecar(part).unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    """So that a power cut cannot leave an empty file under the final name."""
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


@contextmanager
def errors_of_disk(target: Path) -> Iterator[None]:
    """Says what a person can do when writing fails."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise TransferError(
                f"{target}: no room is left on the disk ({error.strerror}); free some space and "
                "run the same command again, what has come so far is kept"
            ) from error
        raise TransferError(f"{target}: cannot be written ({error.strerror or error})") from error
