"""The folder of the official files, and what to say when something in it is absent."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks.base import MissingDataError


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
