"""The list of official files (``benchmarks/assets.toml``): read, checked for sense, and selected.

Every place that a file may be written to passes through ``safe_relative``, whether it comes from
the list, from a question file that names pictures, or from inside an archive.
"""

from __future__ import annotations

import json
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

import benchmarks
from benchmarks.base import PlumblineError
from benchmarks.suites import BENCHMARKS, SUITES, expand, unknown_name

ASSETS_FILE = Path(str(benchmarks.__file__)).with_name("assets.toml")


class Kind(StrEnum):
    """How an official file comes to the user."""

    FILE = "file"
    ARCHIVE = "archive"
    CONSTANT = "constant"
    DERIVED = "derived"
    PICTURES = "pictures"
    MANUAL = "manual"


@dataclass(frozen=True)
class NameList:
    """Where the names of a set of pictures stand: a field of the records of a data file."""

    file: PurePosixPath
    field: str


@dataclass(frozen=True)
class Asset:
    """One official file, or one set of files that comes in one piece.

    Attributes:
        kind: how it is obtained.
        groups: the benchmarks (or extras, see ``extras``) that need it.
        target: the file below the data folder; for an archive or pictures, the folder.
        url: where it is; for pictures with ``{name}``, and empty for what fetch cannot bring.
        n_bytes, sha256, md5: what is known of the file at ``target``, or of the archive itself;
            None where nothing is.
        constant, fields: for a constant, see ``harness.derive.constant``.
        recipe, source: for a derived file, the function and the file that it is made of.
        members: for an archive, patterns for the ends of the members' paths that are unpacked.
        require: files below ``target`` that must be there after unpacking.
        images, n_images: which of ``members`` are pictures, and how many there are.
        names: for pictures, where their names stand.
        how: for manual data, where it is and where to put it.
        optional: whether its absence is no problem.
    """

    kind: Kind
    groups: tuple[str, ...]
    target: PurePosixPath
    url: str = ""
    revision: str = ""
    licence: str = ""
    n_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    constant: str = ""
    fields: tuple[str, ...] = ()
    recipe: str = ""
    source: PurePosixPath | None = None
    members: tuple[str, ...] = ()
    require: tuple[PurePosixPath, ...] = ()
    images: str = ""
    n_images: int = 0
    names: tuple[NameList, ...] = ()
    how: str = ""
    optional: bool = False

    @property
    def label(self) -> str:
        """What it is called in tables: the target, with a slash when that is a folder."""
        return f"{self.target}/" if self.is_set else str(self.target)

    @property
    def is_set(self) -> bool:
        """Whether ``target`` is a folder with several files."""
        return self.kind is Kind.ARCHIVE or bool(self.names)

    @property
    def is_pictures(self) -> bool:
        """Whether it holds nothing but pictures, so that ``--no-images`` leaves it out."""
        return bool(self.names) or (self.kind is Kind.ARCHIVE and self.members == (self.images,))


def safe_relative(text: str) -> PurePosixPath:
    """A path that stays inside the folder that it is joined to, on any system.

    Raises:
        PlumblineError: the text is absolute, climbs (``..``), or holds characters that some system
            reads as a drive, a separator or a control code.
    """
    parts = text.split("/")
    bad = any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)
    if bad or "\\" in text or ":" in text or any(part in {"", ".", ".."} for part in parts):
        raise PlumblineError(
            f"the path {text!r} does not stay inside its folder, or is no plain path"
        )
    if any(len(part.encode("utf-8")) > 255 for part in parts):
        raise PlumblineError(f"the path {text[:60]!r}… has a name of more than 255 bytes")
    return PurePosixPath(*parts)


def load_assets(path: Path = ASSETS_FILE) -> tuple[Asset, ...]:
    """All assets of a list.

    Raises:
        PlumblineError: the list cannot be read; the text names the entry.
    """
    document = _read_toml(path)
    assets: dict[tuple[str, ...], Asset] = {}
    for number, source in enumerate(document.get("source", []), start=1):
        try:
            for asset in _assets_of(source):
                # Several sets may fill one folder (COCO's pictures); a file has one origin.
                key = (
                    (asset.label, asset.url, repr(asset.names)) if asset.is_set else (asset.label,)
                )
                if key in assets:
                    raise PlumblineError(f"{asset.label} is listed twice")
                assets[key] = asset
        except (PlumblineError, TypeError, KeyError, ValueError) as error:
            raise PlumblineError(f"{path}: [[source]] number {number}: {_reason(error)}") from error
    return tuple(assets.values())


def _reason(error: Exception) -> str:
    return f"the key {error} is missing" if isinstance(error, KeyError) else str(error)


def load_notes(path: Path = ASSETS_FILE) -> dict[str, str]:
    """What a person should know about a group beside its files. Raises PlumblineError."""
    return {group: str(text).strip() for group, text in _read_toml(path).get("notes", {}).items()}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlumblineError(f"{path}: the list of files cannot be read ({error})") from error


_COMMON_KEYS = {"for", "kind", "licence", "how", "optional"}
_SOURCE_KEYS = {*_COMMON_KEYS, "url", "revision", "to", "names", "files"}
_FILE_KEYS = {
    *_COMMON_KEYS,
    *("path", "name", "bytes", "sha256", "md5", "constant", "fields", "recipe", "source"),
    *("members", "require", "images", "n_images"),
}


def _assets_of(source: Mapping[str, Any]) -> Iterable[Asset]:
    _refuse_unknown(source, _SOURCE_KEYS)
    common = {key: value for key, value in source.items() if key in _COMMON_KEYS}
    folder = safe_relative(source["to"]) if "to" in source else PurePosixPath()
    revision = source.get("revision", "")
    url = source.get("url", "").replace("{revision}", revision)
    if "names" in source:
        lists = tuple(
            NameList(safe_relative(entry["file"]), entry["field"]) for entry in source["names"]
        )
        yield _sensible(replace(_asset(common, folder), url=url, revision=revision, names=lists))
    for entry in source.get("files", ()):
        _refuse_unknown(entry, _FILE_KEYS)
        address = url.replace("{path}", entry.get("path", ""))
        yield _sensible(
            replace(_asset({**common, **entry}, folder), url=address, revision=revision)
        )


def _asset(entry: Mapping[str, Any], folder: PurePosixPath) -> Asset:
    """An entry of ``files``, completed by what its source says for all of them."""
    kind = Kind(entry.get("kind", "file"))
    path = entry.get("path", "")
    # An archive is no file of the data folder; what is in it goes to ``to``, or a folder below.
    name = entry.get("name") or ("" if kind is Kind.ARCHIVE else path.rsplit("/", 1)[-1])
    return Asset(
        kind=kind,
        groups=tuple(entry["for"]),
        target=folder / safe_relative(name) if name else folder,
        licence=entry.get("licence", ""),
        n_bytes=entry.get("bytes"),
        sha256=entry.get("sha256"),
        md5=entry.get("md5"),
        constant=entry.get("constant", ""),
        fields=tuple(entry.get("fields", ())),
        recipe=entry.get("recipe", ""),
        source=safe_relative(entry["source"]) if "source" in entry else None,
        members=tuple(entry.get("members", ())),
        require=tuple(safe_relative(text) for text in entry.get("require", ())),
        images=entry.get("images", ""),
        n_images=entry.get("n_images", 0),
        how=entry.get("how", "").strip(),
        optional=entry.get("optional", False),
    )


def _refuse_unknown(table: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(table) - known):
        raise PlumblineError(
            f"unknown key {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )


_NEEDS: dict[Kind, Callable[[Asset], bool]] = {
    Kind.FILE: lambda asset: bool(asset.url),
    Kind.ARCHIVE: lambda asset: (
        bool(asset.url and asset.members) and (not asset.images or asset.images in asset.members)
    ),
    Kind.CONSTANT: lambda asset: bool(asset.url and asset.constant),
    Kind.DERIVED: lambda asset: bool(asset.recipe and asset.source),
    Kind.PICTURES: lambda asset: "{name}" in asset.url and bool(asset.names),
    Kind.MANUAL: lambda asset: bool(asset.how),
}


def _sensible(asset: Asset) -> Asset:
    if not _NEEDS[asset.kind](asset):
        raise PlumblineError(
            f"{asset.label} lacks what kind {asset.kind} needs (see the file's head)"
        )
    for value, length in ((asset.sha256, 64), (asset.md5, 32)):
        if value is not None and (len(value) != length or set(value) - set("0123456789abcdef")):
            raise PlumblineError(f"{asset.label}: {value!r} is no checksum of {length} hex digits")
    return asset


def extras(assets: Iterable[Asset]) -> list[str]:
    """Groups that are no benchmark: data that only some people want, asked for by name."""
    groups = dict.fromkeys(group for asset in assets for group in asset.groups)
    return [group for group in groups if group not in BENCHMARKS]


def groups_of(assets: Sequence[Asset], names: Sequence[str]) -> set[str]:
    """The benchmarks and extras that some names (suites among them) stand for.

    Raises:
        PlumblineError: a name is unknown.
    """
    known_extras = extras(assets)
    asked = [name.strip() for text in names for name in text.split(",") if name.strip()]
    for name in asked:
        if name not in SUITES and name not in BENCHMARKS and name not in known_extras:
            raise unknown_name(name, (*SUITES, *BENCHMARKS, *known_extras))
    of_benchmarks = [name for name in asked if name not in known_extras]
    wanted = {name for name in asked if name in known_extras}
    wanted.update(expand(of_benchmarks) if of_benchmarks else ())
    return wanted


def picture_names(asset: Asset, data_dir: Path) -> list[str]:
    """The names of a set of pictures, each once, in the order of the files that list them.

    A field may hold a name or an address; the last part counts.

    Raises:
        PlumblineError: a listing file is absent or unreadable, or a name is no plain file name.
    """
    names: dict[str, None] = {}
    for listing in asset.names:
        path = data_dir / listing.file
        try:
            values = [
                record[listing.field] for record in _records(path.read_text(encoding="utf-8"))
            ]
        except FileNotFoundError:
            raise PlumblineError(f"the names stand in {listing.file}, which is missing") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PlumblineError(
                f"{listing.file}: no names in field {listing.field} ({error})"
            ) from error
        names.update((str(safe_relative(str(value).rsplit("/", 1)[-1])), None) for value in values)
    return list(names)


def _records(text: str) -> Iterable[Mapping[str, Any]]:
    """Records of a JSON array, a JSON object's values, or JSON lines, whatever the suffix says."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    if not isinstance(document, dict):
        return list(document)
    by_id = all(isinstance(value, dict) for value in document.values())
    return list(document.values()) if by_id else [document]
