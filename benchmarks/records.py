"""JSON Lines, JSON arrays and a single JSON object, read with the line of every record, so that an
error can name it.

Official files of the field come in all these forms, often with the wrong suffix, so the content
decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.base import BadRecordError

_ARRAY_START = re.compile(r"[ \t\r\n]*\[[ \t\r\n]*")
_OBJECT_START = re.compile(r"\s*\{[ \t]*[\r\n]")
"""Of an object that goes over several lines, as no record of JSON Lines does."""
_EMPTY_ARRAY = re.compile(r"\s*\[\s*\]\s*")
_SEPARATOR = re.compile(r"[ \t\r\n]*([,\]])[ \t\r\n]*")
_LINE_END = re.compile(r"\r\n|\r|\n")
_DECODER = json.JSONDecoder()

MAX_PROBLEM = 500
"""Characters of an error about one record."""


@dataclass(frozen=True)
class Record:
    """One JSON object of a file and the line on which it begins, counted from 1."""

    path: Path
    line: int
    fields: Mapping[str, Any]

    def error(self, problem: str, fix: str) -> BadRecordError:
        """An error that names the file and the line."""
        return _error(self.path, self.line, problem, fix)


def read_records(path: Path) -> list[Record]:
    """All objects of a JSON Lines file, whose blank lines are skipped, or of one JSON array.

    One object that goes over several lines is one record.

    Raises:
        BadRecordError: the file cannot be read, is not UTF-8 or JSON, or a record is not an object.
    """
    text = _read_text(path)
    if array := _ARRAY_START.match(text):
        values = _array_values(path, text, array.end())
    elif _OBJECT_START.match(text):
        values = _object_value(path, text)
    else:
        values = _line_values(path, text)
    records = []
    for line, value in values:
        if not isinstance(value, dict):
            found = type(value).__name__
            raise _error(path, line, f"a JSON object is expected, not {found}", "Write {…}")
        records.append(Record(path, line, value))
    return records


def read_one_file(paths: Sequence[Path], what: str) -> list[Record]:
    """The records of the only file. Raises BadRecordError, also where there is not just one."""
    if len(paths) != 1:
        listed = ", ".join(str(path) for path in paths) or "none"
        raise BadRecordError(f"one file of all {what} is needed; given: {listed}")
    return read_records(paths[0])


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadRecordError(
            f"{path}: the file cannot be read ({reason}). Check the path"
        ) from error
    if b"\0" in content:  # no JSON holds it; UTF-16 and UTF-32 do, next to every ASCII letter
        raise _error(path, 1, "not UTF-8 (there are zero bytes)", "Save the file as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _error(path, line, f"not UTF-8 ({error.reason})", "Save the file as UTF-8") from error


def _line_values(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Line numbers and values of JSON Lines.

    Only the line ends of Python's text files count: ``str.splitlines`` would also cut at U+2028 and
    other characters that may stand inside a JSON string.
    """
    for line, content in enumerate(_LINE_END.split(text), start=1):
        if content.strip():
            try:
                yield line, json.loads(content)
            except (ValueError, RecursionError) as error:
                fix = "Write one JSON object per line, or one JSON array of objects"
                raise _error(path, line, _json_problem(error), fix) from error


def _object_value(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Line number and value of the one object of a file."""
    try:
        yield text.count("\n", 0, text.index("{")) + 1, json.loads(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise _error(path, line, _json_problem(error), "Mend the JSON object") from error


def _array_values(path: Path, text: str, position: int) -> Iterator[tuple[int, Any]]:
    """Line numbers and values of a JSON array's elements; ``position`` is that of the first."""
    if _EMPTY_ARRAY.fullmatch(text):
        return
    line, counted = 1, 0
    while True:
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise _error(path, line, _json_problem(error), "Mend the JSON array") from error
        yield line, value
        separator = _SEPARATOR.match(text, position)
        if separator is None:
            raise _error(path, line, "no ',' or ']' after this record", "Mend the JSON array")
        position = separator.end()
        if separator[1] == "]":
            break
    if position != len(text):
        raise _error(path, line, "text after the end of the JSON array", "Remove it")


def _json_problem(error: ValueError | RecursionError) -> str:
    """What is wrong, without the decoder's line number, which may count from the record's start."""
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON ({error.msg} at column {error.colno})"
    return f"JSON that cannot be read ({error})"


def _error(path: Path, line: int, problem: str, fix: str) -> BadRecordError:
    if len(problem) > MAX_PROBLEM:  # a field that it repeats may hold megabytes
        problem = f"{problem[:MAX_PROBLEM]}…"
    return BadRecordError(f"{path}, line {line}: {problem}. {fix}")
