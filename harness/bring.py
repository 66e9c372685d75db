"""Brings one asset into the data folder, by whatever way its kind asks for."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from benchmarks.base import PlumblineError, sha256_of_file
from harness.assets import Asset, Kind
from harness.derive import RECIPES, constant
from harness.transfer import Expected, StoppedError, Tick, Transfer, TransferError, errors_of_disk
from harness.unpack import unpack
from harness.verify import WORK_FOLDER, WRONG, Check, Ledger, Seen, State, check, mismatch

PARALLEL = 8


@dataclass
class Session:
    """What all assets of one ``fetch`` share.

    Attributes:
        mirrors: address prefixes and what to put in their place; the longest that fits is taken.
        images: False leaves pictures out.
    """

    data_dir: Path
    transfer: Transfer
    ledger: Ledger
    mirrors: Mapping[str, str] = field(default_factory=dict)
    images: bool = True
    _ledger_lock: threading.Lock = field(default_factory=threading.Lock)

    def bring(self, before: Check, tick: Tick) -> Check:
        """Brings an asset that is missing or wrong, and says what it is like then.

        A wrong file is replaced once the right one is there and verified; until then it stays.
        """
        asset = before.asset
        try:
            with errors_of_disk(self.data_dir / asset.target):
                _WAYS[asset.kind](self, before, tick)
        except PlumblineError as error:
            kept = f" (the {before.state} file is still there)" if before.state in WRONG else ""
            return Check(asset, State.FAILED, f"{error}{kept}")
        after = check(asset, self.data_dir, self.ledger, images=self.images)
        if before.state in WRONG:
            return Check(asset, after.state, f"replaced; it had {before.detail}")
        return Check(asset, after.state, after.detail)

    def address(self, url: str) -> str:
        """The address after mirrors."""
        fitting = [prefix for prefix in self.mirrors if url.startswith(prefix)]
        if not fitting:
            return url
        prefix = max(fitting, key=len)
        return self.mirrors[prefix] + url.removeprefix(prefix)

    def record(self, files: Mapping[str, Seen]) -> None:
        with self._ledger_lock:
            self.ledger.record(files)


def _bring_file(session: Session, before: Check, tick: Tick) -> None:
    asset = before.asset
    target = session.data_dir / asset.target
    seen = session.transfer.bring(session.address(asset.url), target, _expected(asset), tick)
    session.record({str(asset.target): seen})


def _bring_archive(session: Session, before: Check, tick: Tick) -> None:
    asset = before.asset
    name = hashlib.sha256(asset.url.encode()).hexdigest()[:8] + "-" + asset.url.rsplit("/", 1)[-1]
    archive = session.data_dir / WORK_FOLDER / "archives" / name
    if not _is_whole(archive, asset):
        session.transfer.bring(session.address(asset.url), archive, _expected(asset), tick)
    patterns = [pattern for pattern in asset.members if session.images or pattern != asset.images]
    found = unpack(
        archive,
        session.data_dir / asset.target,
        patterns,
        last=asset.require,
        is_official=bool(asset.sha256 or asset.md5),
        check_stop=lambda: _heed(session.transfer.stop),
    )
    session.record({f"{asset.target}/{name}": seen for name, seen in found.items()})
    archive.unlink()


def _is_whole(archive: Path, asset: Asset) -> bool:
    """Whether an earlier run that was stopped while unpacking left the archive."""
    return archive.is_file() and not mismatch(archive, asset.n_bytes, asset.sha256, asset.md5)


def _bring_constant(session: Session, before: Check, tick: Tick) -> None:
    asset = before.asset
    # Two constants may come out of one script at the same time: a copy for each.
    name = hashlib.sha256(f"{asset.url} {asset.target}".encode()).hexdigest()[:16] + ".script"
    script = session.data_dir / WORK_FOLDER / "scripts" / name
    session.transfer.bring(session.address(asset.url), script, Expected(), tick)
    try:
        text = constant(script.read_bytes(), asset.constant, asset.fields)
    except PlumblineError as error:
        raise TransferError(f"{asset.url}: {error}") from error
    finally:
        script.unlink()
    _store(session, asset, text.encode("utf-8"), f"{asset.constant} in {asset.url}")


def _bring_derived(session: Session, before: Check, tick: Tick) -> None:
    asset = before.asset
    if asset.source is None:
        raise TransferError(f"{asset.label}: the list of files names no source for it")
    if asset.recipe not in RECIPES:
        raise TransferError(
            f"{asset.label}: there is no recipe {asset.recipe!r} (known: {list(RECIPES)})"
        )
    try:
        content = RECIPES[asset.recipe](session.data_dir / asset.source)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TransferError(
            f"{asset.label} is made of {asset.source}, which fails ({error})"
        ) from error
    tick(len(content), len(content))
    _store(session, asset, content, f"what {asset.recipe} makes of {asset.source}")


def _bring_pictures(session: Session, before: Check, tick: Tick) -> None:
    if not before.wanting:
        raise TransferError(before.detail)
    asset = before.asset
    meter = _Meter(tick)
    found: dict[str, Seen] = {}
    failures: dict[str, str] = {}

    def one(name: str) -> Seen:
        url = session.address(asset.url.replace("{name}", quote(name)))
        return session.transfer.bring(
            url, session.data_dir / asset.target / name, Expected(), meter.of(name)
        )

    with ThreadPoolExecutor(PARALLEL) as pool:
        jobs = {pool.submit(one, name): name for name in before.wanting}
        try:
            for job in as_completed(jobs):
                try:
                    found[f"{asset.target}/{jobs[job]}"] = job.result()
                except PlumblineError as error:
                    failures[jobs[job]] = str(error)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            session.record(found)
    if failures:
        name, reason = min(failures.items())
        raise TransferError(f"{len(failures)} of {len(before.wanting)} pictures; {name}: {reason}")


def _nothing_to_bring(session: Session, before: Check, tick: Tick) -> None:
    raise TransferError(before.asset.how)


_WAYS: dict[Kind, Callable[[Session, Check, Tick], None]] = {
    Kind.FILE: _bring_file,
    Kind.ARCHIVE: _bring_archive,
    Kind.CONSTANT: _bring_constant,
    Kind.DERIVED: _bring_derived,
    Kind.PICTURES: _bring_pictures,
    Kind.MANUAL: _nothing_to_bring,
}


class _Meter:
    """Adds up the bytes of many files for one bar."""

    def __init__(self, tick: Tick) -> None:
        self._tick = tick
        self._lock = threading.Lock()
        self._bytes: dict[str, int] = {}

    def of(self, name: str) -> Tick:
        def tick(n_bytes: int, _total: int | None) -> None:
            with self._lock:
                self._bytes[name] = n_bytes
                self._tick(sum(self._bytes.values()), None)

        return tick


def _store(session: Session, asset: Asset, content: bytes, origin: str) -> None:
    """Writes a small file that was made here, verified first, all of it or nothing."""
    target = session.data_dir / asset.target
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    problem = mismatch(part, asset.n_bytes, asset.sha256, asset.md5)
    if problem is not None:
        part.unlink()
        raise TransferError(f"{origin} is not what was expected: {problem[1]}")
    seen = Seen(len(content), sha256_of_file(part))
    os.replace(part, target)
    session.record({str(asset.target): seen})


def _expected(asset: Asset) -> Expected:
    return Expected(asset.n_bytes, asset.sha256, asset.md5)


def _heed(stop: threading.Event) -> None:
    if stop.is_set():
        raise StoppedError


def batches(assets: Iterable[Asset]) -> list[list[Asset]]:
    """Assets that can be brought together: files, then what is made of them, then pictures.

    Sets of pictures come one by one: two sets may share some, and each has threads of its own.
    """
    kinds = ({Kind.FILE, Kind.ARCHIVE, Kind.CONSTANT}, {Kind.DERIVED})
    listed = list(assets)
    together = [[asset for asset in listed if asset.kind in some] for some in kinds]
    return together + [[asset] for asset in listed if asset.kind is Kind.PICTURES]
