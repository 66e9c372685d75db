"""Taking files out of zip and tar archives that come from the network, and so are not trusted.

One bad member refuses the whole archive: whoever made it did not mean well, or it is broken. Files
are unpacked into a temporary folder beside their place and moved there when all of them are whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from benchmarks.base import PlumblineError
from harness.assets import safe_relative
from harness.verify import Seen

CHUNK = 1 << 20
MAX_RATIO = 100
"""Text shrinks to a tenth, pictures hardly at all; a hundredfold growth is an attack."""
FREE_BYTES = 1 << 20
"""Growth that is harmless whatever the ratio."""


class ArchiveError(PlumblineError):
    """An archive cannot be unpacked; the text names the member."""


@dataclass(frozen=True)
class _Member:
    """A regular file in an archive."""

    name: str
    n_bytes: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def unpack(
    archive: Path,
    folder: Path,
    patterns: Sequence[str],
    *,
    last: Sequence[PurePosixPath] = (),
    is_official: bool = False,
    check_stop: Callable[[], None] = lambda: None,
) -> dict[PurePosixPath, Seen]:
    """Moves the wanted members of an archive into a folder; their names there, and contents.

    Args:
        archive: a zip or (compressed) tar file.
        folder: where the files go; existing ones of the same names are replaced.
        patterns: a member is wanted if the end of its path matches one of these, part by part:
            ``images/*`` takes ``images/1.jpg`` out of ``mm-vet/images/1.jpg``.
        last: files to be moved after all others, so that their presence means that all are there.
        is_official: noted in the result: the archive's own checksum was right.
        check_stop: called now and then; raises in order to stop.

    Raises:
        ArchiveError: a member would be written outside, is a link or a device, grows absurdly or is
            damaged; the archive cannot be read; or nothing in it is wanted. Nothing was moved then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f".unpack-{archive.name}-"
    for left_by_a_killed_run in folder.glob(f"{prefix}*"):
        shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    try:
        found: dict[PurePosixPath, Seen] = {}
        with _members(archive) as members:
            budget = MAX_RATIO * archive.stat().st_size + FREE_BYTES
            for member in members:
                check_stop()
                name = _wanted(member.name, patterns)
                if name is None:
                    continue
                if name in found:
                    raise ArchiveError(f"{archive.name}: two members would be written as {name}")
                found[name] = _write(member, draft / name, archive, budget, is_official)
                budget -= found[name].n_bytes
        if not found:
            raise ArchiveError(f"{archive.name}: none of its members matches {', '.join(patterns)}")
        for name in sorted(found, key=lambda name: (name in last, name)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(draft / name, folder / name)
        return found
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _wanted(name: str, patterns: Sequence[str]) -> PurePosixPath | None:
    """The end of a member's path that matches a pattern; None for others and macOS's companions."""
    parts = PurePosixPath(name).parts
    if "__MACOSX" in parts or parts[-1].startswith("._"):
        return None
    for pattern in patterns:
        wanted = pattern.split("/")
        tail = parts[-len(wanted) :]
        if len(tail) == len(wanted) and all(map(fnmatchcase, tail, wanted)):
            return PurePosixPath(*tail)
    return None


def _write(member: _Member, path: Path, archive: Path, budget: int, is_official: bool) -> Seen:
    if member.n_bytes > budget:
        raise _absurd(archive, member.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with member.open() as source, path.open("xb") as target:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > budget:  # the size in the directory may be a lie
                raise _absurd(archive, member.name)
            digest.update(chunk)
            target.write(chunk)
    if size != member.n_bytes:
        raise ArchiveError(
            f"{archive.name}: {member.name} has {size:,} of {member.n_bytes:,} bytes"
        )
    return Seen(size, digest.hexdigest(), is_official)


def _absurd(archive: Path, name: str) -> ArchiveError:
    return ArchiveError(
        f"{archive.name}: {name} would grow the archive more than {MAX_RATIO}-fold; refused"
    )


_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
)


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    """The regular files of an archive, each checked. All names are checked, wanted or not."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                yield _zip_members(opened, archive)
        else:
            with tarfile.open(archive) as opened_tar:
                yield _tar_members(opened_tar, archive)
    except _BROKEN as error:
        raise ArchiveError(f"{archive.name}: the archive cannot be read ({error})") from error
    except OSError as error:
        if error.errno is not None:
            raise
        # gzip and lzma say "not a gzipped file" and the like without an errno.
        raise ArchiveError(f"{archive.name}: the archive cannot be read ({error})") from error


def _zip_members(archive: zipfile.ZipFile, path: Path) -> Iterator[_Member]:
    entries = archive.infolist()
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        _check_name(path, entry.orig_filename)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise ArchiveError(f"{path.name}: {entry.filename} is a link or a device; refused")
    for entry in entries:
        if not entry.is_dir():
            yield _Member(entry.filename, entry.file_size, _opener(archive, entry))


def _opener(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo
) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    return lambda: archive.open(entry)


def _tar_members(archive: tarfile.TarFile, path: Path) -> Iterator[_Member]:
    for entry in archive:
        _check_name(path, entry.name)
        if not (entry.isfile() or entry.isdir()):
            raise ArchiveError(f"{path.name}: {entry.name} is a link or a device; refused")
        source = archive.extractfile(entry) if entry.isfile() else None
        if source is not None:
            with source as stream:
                yield _Member(entry.name, entry.size, _opened(stream))


def _opened(stream: IO[bytes]) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    return lambda: stream


def _check_name(path: Path, name: str) -> None:
    if name in {".", "./"}:
        return
    try:
        safe_relative(name.removesuffix("/").removeprefix("./"))
    except PlumblineError as error:
        raise ArchiveError(
            f"{path.name}: the member {name!r} would be written outside its folder; refused"
        ) from error
