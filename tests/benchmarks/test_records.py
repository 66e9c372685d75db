"""Reading JSON Lines and JSON arrays, and naming the place of what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import BadRecordError
from benchmarks.records import read_records


def _file(folder: Path, content: str | bytes) -> Path:
    path = folder / "file.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("", []),
        (" \n\n", []),
        ("[]", []),
        ("\n[ \n]\n", []),
        ('{"a": 1}\n{"a": 2}', [1, 2]),
        ('\n{"a": 1}\r\n  \r\n{"a": 2}\r\n', [2, 4]),
        ('\ufeff{"a": 1}\n{"a": 2}\n', [1, 2]),
        ('[{"a": 1}, {"a": 2}]', [1, 1]),
        ('[\n  {\n    "a": 1\n  },\n  {\n    "a": 2\n  }\n]\n', [2, 5]),
        ('\n{ \r\n  "a": 1,\r\n  "b": {\r\n  }\r\n}\r\n', [2]),
    ],
)
def test_records_know_their_lines(tmp_path: Path, content: str, lines: list[int]) -> None:
    records = read_records(_file(tmp_path, content))
    assert [record.line for record in records] == lines
    assert [record.fields["a"] for record in records] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \xff}', "line 2: not UTF-8"),
        ('{"a": 1}\n{"a": }', "line 2: not valid JSON .* column 7"),
        ('{"a": 1} {"a": 2}', "line 1: not valid JSON"),
        ('{"a": 1}\n7', "line 2: a JSON object is expected, not int"),
        ('{"a": 1}\n"text"', "line 2: a JSON object is expected, not str"),
        ('[\n{"a": 1},\n{"a": }\n]', "line 3: not valid JSON"),
        ('[\n{"a": 1},\n]', "line 3: not valid JSON"),
        ('[\n{"a": 1}\n{"a": 2}\n]', "line 2: no ',' or ']' after this record"),
        ('[\n{"a": 1},\n{"a": 2}', "line 3: no ',' or ']' after this record"),
        ('[{"a": 1}]\n{"a": 2}', "line 1: text after the end"),
        ('{\n"a": 1,\n}', r"line 3: not valid JSON .*Mend the JSON object"),
        ('{\n"a": 1}\n{"a": 2}', "line 3: not valid JSON"),
        ("[[1]]", "line 1: a JSON object is expected, not list"),
        ('{"a": ' + "[" * 100_000, "line 1: JSON that cannot be read"),
        ('{"a": ' + "9" * 5_000 + "}", "line 1: JSON that cannot be read"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(BadRecordError, match=rf"file\.json, {message}"):
        read_records(_file(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRecordError, match=r"absent\.jsonl: the file cannot be read \(No such"):
        read_records(tmp_path / "absent.jsonl")


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3)))
def test_both_forms_hold_the_same_records(
    tmp_path_factory: pytest.TempPathFactory, objects: list[dict[str, object]]
) -> None:
    """Characters such as U+2028, which end a line elsewhere, stand unescaped in JSON strings."""
    folder = tmp_path_factory.mktemp("records")
    lines = "\n".join(json.dumps(fields, ensure_ascii=False) for fields in objects)
    for content in (lines, json.dumps(objects, indent=1), json.dumps(objects)):
        path = folder / "file.json"
        path.write_text(content, encoding="utf-8", newline="")
        assert [record.fields for record in read_records(path)] == objects
