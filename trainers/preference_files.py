"""Where preference data lie: JSON and JSON Lines, Parquet, and data sets on the Hugging Face hub.

All of them become rows that know their place, so that an error can name it. Pictures inside Parquet files and hub
data sets stay on disk, memory-mapped by ``datasets``, until they are shown to a model.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import (
    BadRecordError,
    FilePicture,
    Picture,
    PictureError,
    PlumblineError,
    decoded,
)
from benchmarks.records import MAX_PROBLEM, read_records

if TYPE_CHECKING:
    from PIL.Image import Image

JSON_SUFFIXES = (".json", ".jsonl")
PARQUET = ".parquet"
_HUB_ID = re.compile(r"(?P<id>[\w.\-]+/[\w.\-]+)(@(?P<revision>[\w.\-/]+))?")


@dataclass(frozen=True)
class StoredPicture:
    """A picture inside a row of a data set: ``{"bytes": …, "path": …}``, or a list of such.

    Attributes:
        place: data set, row and column, in words; two pictures of one place are the same.
        position: in the list; None where the column holds one picture.
    """

    place: str
    dataset: Any = field(compare=False, repr=False)
    column: str = field(compare=False)
    row: int = field(compare=False)
    position: int | None = None

    @property
    def name(self) -> str:
        return self.place if self.position is None else f"{self.place} [{self.position}]"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self._content()).hexdigest()

    def load(self) -> Image:
        return decoded(io.BytesIO(self._content()), self.name)

    def _content(self) -> bytes:
        stored = self.dataset[self.row][self.column]
        if self.position is not None:
            stored = stored[self.position]
        content = stored.get("bytes") if isinstance(stored, Mapping) else None
        if not isinstance(content, bytes):
            raise PictureError(f"{self.name}: the data set holds no picture there")
        return content


@dataclass(frozen=True)
class Row:
    """One record of a file or data set.

    Attributes:
        place: which file and line or row, in words.
        number: its line or row, from 1, for records without an id.
        fields: its values; pictures that lie in the data set itself are ``StoredPicture``s.
        image_dir: what relative picture paths start from.
    """

    place: str
    number: int
    fields: Mapping[str, Any]
    image_dir: Path

    def error(self, problem: str, fix: str) -> BadRecordError:
        """An error that names the file and the record."""
        if len(problem) > MAX_PROBLEM:
            problem = f"{problem[:MAX_PROBLEM]}…"
        return BadRecordError(f"{self.place}: {problem}. {fix}")

    def text(self, name: str) -> str:
        """A field that must be text. Raises BadRecordError."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self.error(f"{name} is {_kind(value)}, not text", f'Write "{name}": "…"')
        return value

    def pictures(self, *names: str) -> tuple[Picture, ...]:
        """The pictures of the first of these fields that is there: one, a list, or none.

        Raises:
            BadRecordError: a picture is not where it is said to be, or is no picture.
        """
        name = next((name for name in names if self.fields.get(name)), None)
        if name is None:
            return ()
        value = self.fields[name]
        return tuple(
            self._picture(each, name) for each in (value if isinstance(value, list) else [value])
        )

    def _picture(self, value: Any, name: str) -> Picture:
        if isinstance(value, StoredPicture):
            return value
        if isinstance(value, Mapping) and isinstance(value.get("path"), str):
            value = value["path"]
        if not isinstance(value, str):
            raise self.error(f"{name} is {_kind(value)}, not a path", "Write the picture's path")
        path = self.image_dir / value
        if not path.is_file():
            raise self.error(
                f"the picture {value} is not in {self.image_dir}",
                "Put it there, or give the folder that paths start from with --image-dir",
            )
        return FilePicture(path)


def read_rows(source: str | Path, image_dir: Path | None = None, split: str = "train") -> list[Row]:
    """All rows of a file, a folder of Parquet or JSON files, or a hub data set (``owner/name@revision``).

    Args:
        image_dir: what relative picture paths start from; the file's own folder by default.
        split: of a hub data set.

    Raises:
        BadRecordError: a file cannot be read.
        PlumblineError: there is no such source, or the data set cannot be had.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return [row for file in _files_in(path) for row in _file_rows(file, image_dir)]
    if path.is_file():
        return _file_rows(path, image_dir)
    if hub := _HUB_ID.fullmatch(str(source)):
        return _hub_rows(hub["id"], hub["revision"], split, image_dir or Path())
    raise PlumblineError(
        f"{source}: no such file or folder, and no hub data set's name (owner/name or "
        "owner/name@revision)"
    )


def _files_in(folder: Path) -> list[Path]:
    """A folder's data files, Parquet shards before anything else."""
    for suffixes in ((PARQUET,), JSON_SUFFIXES):
        files = sorted(path for path in folder.rglob("*") if path.suffix in suffixes)
        if files:
            return files
    raise PlumblineError(f"{folder}: there is no .parquet, .json or .jsonl file in it")


def _file_rows(path: Path, image_dir: Path | None) -> list[Row]:
    folder = image_dir or path.parent
    if path.suffix == PARQUET:
        return _table_rows(_parquet(path), str(path), folder)
    if path.suffix not in JSON_SUFFIXES:
        raise PlumblineError(f"{path}: .json, .jsonl or .parquet is expected")
    return [
        Row(f"{path}, line {record.line}", record.line, record.fields, folder)
        for record in read_records(path)
    ]


def _parquet(path: Path) -> Any:
    """A Parquet file as a data set. Raises BadRecordError."""
    import datasets
    import pyarrow as pa
    from pyarrow import parquet

    try:
        parquet.read_metadata(path)
        return datasets.Dataset.from_parquet(str(path))
    except (pa.ArrowException, OSError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:MAX_PROBLEM]
        raise BadRecordError(
            f"{path}: not a Parquet file that can be read ({reason}). Fetch it again"
        ) from error


def _hub_rows(name: str, revision: str | None, split: str, image_dir: Path) -> list[Row]:
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    try:
        dataset = datasets.load_dataset(name, revision=revision, split=split)
    except (HfHubHTTPError, datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:MAX_PROBLEM]
        raise PlumblineError(
            f"{name}: the data set's split {split!r} cannot be had ({reason}). Check name, revision and "
            "split, or download its files and give their folder"
        ) from error
    return _table_rows(dataset, name, image_dir)


def _table_rows(dataset: Any, where: str, image_dir: Path) -> list[Row]:
    """Rows of a ``datasets.Dataset``; picture columns are not read, only counted."""
    counts = {name: _picture_counts(dataset, name) for name in _picture_columns(dataset)}
    for name in counts:
        dataset = _undecoded(dataset, name)
    rows = []
    for index, told in enumerate(dataset.remove_columns(list(counts))):
        place = f"{where}, row {index + 1}"
        fields = dict(told)
        for column, number in counts.items():
            fields[column] = _stored(dataset, f"{place}, {column}", column, index, number[index])
        rows.append(Row(place, index + 1, fields, image_dir))
    return rows


def _stored(dataset: Any, place: str, column: str, index: int, number: int | None) -> Any:
    """One picture (``number`` -1), that many, or None."""
    if number is None:
        return None
    if number < 0:
        return StoredPicture(place, dataset, column, index)
    return [StoredPicture(place, dataset, column, index, position) for position in range(number)]


def _picture_columns(dataset: Any) -> list[str]:
    """Columns of encoded pictures: ``Image`` features, structs of bytes and path, and lists of them."""
    import datasets

    def is_picture(feature: Any) -> bool:
        if isinstance(feature, datasets.List | datasets.LargeList):
            return is_picture(feature.feature)
        if isinstance(feature, list):
            return is_picture(feature[0])
        return isinstance(feature, datasets.Image) or (
            isinstance(feature, dict) and "bytes" in feature
        )

    return [name for name, feature in dataset.features.items() if is_picture(feature)]


def _picture_counts(dataset: Any, column: str) -> list[int | None]:
    """How many pictures each row's list holds; -1 for one that is not in a list, None for none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = dataset.data.column(column)
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        counted: list[int | None] = pc.list_value_length(values).to_pylist()
        return counted
    return [-1 if there else None for there in pc.is_valid(values).to_pylist()]


def _undecoded(dataset: Any, column: str) -> Any:
    """The data set with a column's pictures as they are stored."""
    import datasets

    feature = dataset.features[column]
    if isinstance(feature, datasets.Image):
        return dataset.cast_column(column, datasets.Image(decode=False))
    inner = getattr(feature, "feature", None)
    if isinstance(inner, datasets.Image):
        return dataset.cast_column(column, datasets.List(datasets.Image(decode=False)))
    return dataset


def _kind(value: Any) -> str:
    return "missing" if value is None else type(value).__name__
