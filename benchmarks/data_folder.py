"""The folder of the official files, and what to say when something in it is absent."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from benchmarks.base import BadRecordError, MissingDataError


def fetch_command(name: str, data_dir: Path | None) -> str:
    """The command that brings the official files of a benchmark."""
    command = ["python", "-m", "harness.fetch", name]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    return shlex.join(command)


def required_folder(title: str, name: str, data_dir: Path | None) -> Path:
    """The data folder. Raises MissingDataError when none is given."""
    if data_dir is None:
        message = f"{title} needs the folder of the official files; give --data-dir"
        raise MissingDataError(message, fetch_command(name, None))
    return data_dir


def required_file(path: Path, remedy: str) -> Path:
    """The path. Raises MissingDataError when there is no file."""
    if not path.is_file():
        raise MissingDataError(f"{path}: the file is not there", remedy)
    return path


def official_or_stand_in(path: Path, stand_in: str, remedy: str) -> Path:
    """An official file, or the file of another name beside it while only that is there.

    Raises MissingDataError when neither is.
    """
    other = path.with_name(stand_in)
    return other if other.is_file() and not path.is_file() else required_file(path, remedy)


def origin(path: Path, official: str) -> str:
    """A file's name for ``protocol()``; of a stand-in, that it is one."""
    if path.name == official:
        return official
    return f"{path.name}, which stands in for the official {official}"


def required_text(path: Path, remedy: str) -> str:
    """The text of an official file. Raises MissingDataError or BadRecordError."""
    try:
        return required_file(path, remedy).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecordError(
            f"{path}: the file cannot be read ({error}). Restore the official file: {remedy}"
        ) from error


def required_json(path: Path, remedy: str) -> Any:
    """The content of an official JSON file. Raises MissingDataError or BadRecordError."""
    try:
        return json.loads(required_text(path, remedy))
    except (ValueError, RecursionError) as error:
        raise BadRecordError(
            f"{path}: not JSON ({error}). Restore the official file: {remedy}"
        ) from error
