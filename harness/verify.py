"""Whether the official files in a data folder are what they should be. Reads only; brings nothing.

A file is compared with what the list says of it. Where nobody published a checksum, the ledger
(``.fetch/ledger.json`` in the data folder) knows at least what fetch once brought, so that a later
change is noticed; such a file is "unverified", not "ok".
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from benchmarks.base import PlumblineError, sha256_of_file
from harness.assets import Asset, Kind, picture_names

WORK_FOLDER = ".fetch"


class State(StrEnum):
    """What a person reads in the table. ``GOOD`` states need nothing; others mean exit code 1."""

    OK = "ok"
    UNVERIFIED = "unverified"
    OPTIONAL = "optional"
    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    WRONG_HASH = "wrong hash"
    MANUAL = "manual"
    FAILED = "failed"


GOOD = frozenset({State.OK, State.UNVERIFIED, State.OPTIONAL})
WRONG = frozenset({State.WRONG_SIZE, State.WRONG_HASH})


@dataclass(frozen=True)
class Check:
    """The state of one asset.

    Attributes:
        detail: what a person should know beside the state.
        wanting: for pictures, the names that are missing or wrong.
    """

    asset: Asset
    state: State
    detail: str = ""
    wanting: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What fetch found when it brought a file. ``official``: it came out of a verified archive."""

    n_bytes: int
    sha256: str
    official: bool = False


@dataclass
class Ledger:
    """What fetch brought into a data folder, by path below it. Its lock keeps out other writers."""

    path: Path
    files: dict[str, Seen] = field(default_factory=dict)

    @classmethod
    def load(cls, data_dir: Path) -> Ledger:
        """The folder's ledger; empty when there is none or it cannot be read."""
        path = data_dir / WORK_FOLDER / "ledger.json"
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))["files"]
            return cls(path, {name: Seen(**entry) for name, entry in stored.items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # It only adds certainty: without it files are checked against the list alone.
            return cls(path)

    def record(self, files: Mapping[str, Seen]) -> None:
        """Adds files and writes the ledger, all of it or nothing."""
        self.files.update(files)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        entries = {name: vars(seen) for name, seen in sorted(self.files.items())}
        draft = self.path.with_suffix(".tmp")
        draft.write_text(json.dumps({"version": 1, "files": entries}, indent=0), encoding="utf-8")
        os.replace(draft, self.path)

    def below(self, folder: PurePosixPath) -> Iterator[tuple[str, Seen]]:
        """The recorded files below a folder."""
        prefix = f"{folder}/"
        return ((name, seen) for name, seen in self.files.items() if name.startswith(prefix))


def check(asset: Asset, data_dir: Path, ledger: Ledger, *, images: bool = True) -> Check:
    """The state of an asset in a data folder. ``images`` False leaves an archive's pictures out."""
    try:
        return _check(asset, data_dir, ledger, images=images)
    except OSError as error:
        return Check(asset, State.FAILED, f"cannot be read ({error.strerror or error})")


def _check(asset: Asset, data_dir: Path, ledger: Ledger, *, images: bool) -> Check:
    if asset.names:
        return _check_pictures(asset, data_dir, ledger)
    if asset.kind is Kind.ARCHIVE:
        return _check_archive(asset, data_dir, ledger, images=images)
    path = data_dir / asset.target
    if not path.is_file():
        return _absent(asset, "")
    if problem := mismatch(path, asset.n_bytes, asset.sha256, asset.md5):
        return Check(asset, *problem)
    if asset.sha256 or asset.md5:
        return Check(asset, State.OK, "" if asset.sha256 else "by its owner's MD5")
    seen = ledger.files.get(str(asset.target))
    if seen is not None and (problem := mismatch(path, seen.n_bytes, seen.sha256)):
        return Check(asset, State.WRONG_HASH, "changed since it was fetched")
    return Check(asset, State.UNVERIFIED, "no checksum is published for it")


def mismatch(
    path: Path, n_bytes: int | None, sha256: str | None, md5: str | None = None
) -> tuple[State, str] | None:
    """How a file differs from what is known of it, or None."""
    actual = path.stat().st_size
    if n_bytes is not None and actual != n_bytes:
        return State.WRONG_SIZE, f"{actual:,} bytes instead of {n_bytes:,}"
    if sha256 is not None and (digest := sha256_of_file(path)) != sha256:
        return State.WRONG_HASH, f"sha256 {digest[:12]}… instead of {sha256[:12]}…"
    if sha256 is None and md5 is not None and (digest := _md5_of_file(path)) != md5:
        return State.WRONG_HASH, f"MD5 {digest[:12]}… instead of {md5[:12]}…"
    return None


def _md5_of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _absent(asset: Asset, detail: str, wanting: tuple[str, ...] = ()) -> Check:
    if asset.optional:
        return Check(asset, State.OPTIONAL, detail or "not there, and not needed", wanting)
    state = State.MANUAL if asset.kind is Kind.MANUAL else State.MISSING
    return Check(asset, state, detail, wanting)


def _check_pictures(asset: Asset, data_dir: Path, ledger: Ledger) -> Check:
    try:
        names = picture_names(asset, data_dir)
    except PlumblineError as error:
        return _absent(asset, str(error))
    folder = data_dir / asset.target
    absent, changed = [], []
    for name in names:
        path = folder / name
        seen = ledger.files.get(f"{asset.target}/{name}")
        if not path.is_file() or path.stat().st_size == 0:
            absent.append(name)
        elif seen is not None and mismatch(path, seen.n_bytes, seen.sha256):
            changed.append(name)
    wanting = (*absent, *changed)
    if absent:
        return _absent(asset, f"{len(names) - len(wanting)} of {len(names)} pictures", wanting)
    if changed:
        return Check(asset, State.WRONG_HASH, f"{len(changed)} changed since fetched", wanting)
    return Check(asset, State.UNVERIFIED, f"{len(names)} pictures; no checksums are published")


def _check_archive(asset: Asset, data_dir: Path, ledger: Ledger, *, images: bool) -> Check:
    folder = data_dir / asset.target
    absent = [str(name) for name in asset.require if not (folder / name).is_file()]
    if absent:
        return _absent(asset, f"{', '.join(absent[:3])}{' …' if len(absent) > 3 else ''}")
    if images and asset.images:
        found = sum(1 for _ in folder.glob(asset.images))
        if found < asset.n_images:
            return _absent(asset, f"{found} of {asset.n_images} pictures")
    recorded = {name: seen for name, seen in ledger.below(asset.target) if _is_member(asset, name)}
    for name, seen in recorded.items():
        path = data_dir / name
        if not path.is_file() and not (_is_image(asset, name) and not images):
            return _absent(asset, f"{name} is gone")
        if path.is_file() and mismatch(path, seen.n_bytes, seen.sha256):
            return Check(asset, State.WRONG_HASH, f"{name} changed since it was unpacked")
    if recorded and all(seen.official for seen in recorded.values()):
        return Check(asset, State.OK, f"{len(recorded)} files, unpacked from the verified archive")
    return Check(asset, State.UNVERIFIED, "no checksum is known for the unpacked files")


def _is_member(asset: Asset, name: str) -> bool:
    below = name.removeprefix(f"{asset.target}/")
    return any(fnmatchcase(below, pattern) for pattern in asset.members)


def _is_image(asset: Asset, name: str) -> bool:
    return bool(asset.images) and fnmatchcase(name.removeprefix(f"{asset.target}/"), asset.images)
