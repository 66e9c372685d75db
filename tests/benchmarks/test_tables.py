"""Tables whose cells stay text.

Run: pytest tests/benchmarks/test_tables.py
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.base import BadRecordError, PlumblineError
from benchmarks.tables import Cell, is_table, read_table, tsv_text, xlsx_bytes

CELLS = ["3", "NA", "None", "nan", "0.10", "=B", "1e6", "TRUE", "天坛 🙂", 'a "b"\tc\nd', " x ", ""]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(path: Path) -> list[list[str]]:
    return [list(record.fields.values()) for record in read_table(path)]


def test_what_a_table_is() -> None:
    names = ("a.tsv", "a.XLSX", "a.jsonl", "a.json", "tsv")
    assert [is_table(Path(name)) for name in names] == [True, True, False, False, False]


def test_cells_of_a_tsv_are_text(tmp_path: Path) -> None:
    names = [f"column {n}" for n in range(len(CELLS))]
    path = written(tmp_path / "a.tsv", tsv_text([names, [*CELLS[:-1], 7]]))
    (record,) = read_table(path)
    assert list(record.fields) == names
    assert list(record.fields.values()) == [*CELLS[:-1], "7"]
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    assert list(frame.iloc[0]) == [*CELLS[:-1], "7"]


def test_cells_of_a_sheet_are_text(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl", exc_type=ImportError)
    rows: list[list[Cell]] = [["index", "text", "more"]]
    rows += [[number, cell, ""] for number, cell in enumerate(CELLS)]
    path = written(tmp_path / "a.xlsx", xlsx_bytes(rows))
    assert cells(path) == [[str(number), cell, ""] for number, cell in enumerate(CELLS)]
    frame = pd.read_excel(path, dtype=str, keep_default_na=False)
    assert list(frame["text"]) == CELLS


def test_what_a_sheet_cannot_hold_is_replaced(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl", exc_type=ImportError)
    path = written(tmp_path / "a.xlsx", xlsx_bytes([["a"], ["x\x00y\uffff\ud800"], ["z" * 40_000]]))
    assert cells(path) == [
        ["x\N{REPLACEMENT CHARACTER}y\N{REPLACEMENT CHARACTER}\\ud800"],
        ["z" * 32_767],
    ]


def test_sheets_of_others(tmp_path: Path) -> None:
    """Numbers, missing cells and empty rows, as spreadsheet programs leave them."""
    pytest.importorskip("openpyxl", exc_type=ImportError)
    frame = pd.DataFrame({"index": [1, 2, 3], "prediction": [3, None, "A"], "x": [0.5, 2.0, True]})
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    assert cells(tmp_path / "a.xlsx") == [["1", "3", "0.5"], ["2", "", "2"], ["3", "A", "True"]]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", 'a\tb\n1\t"two\nlines"\n\t\n3\t4\n')
    assert [(record.line, dict(record.fields)) for record in read_table(path)] == [
        (2, {"a": "1", "b": "two\nlines"}),
        (5, {"a": "3", "b": "4"}),
    ]


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    assert cells(written(tmp_path / "a.tsv", "\ta\n0\tx\n1\ty\n")) == [["x"], ["y"]]


def test_long_fields_are_read_and_the_limit_of_others_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    path = written(tmp_path / "a.tsv", f"a\tb\n{'x' * 200_000}\ty\n")
    assert len(read_table(path)[0].fields["a"]) == 200_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.tsv", b"", "there is no table in it"),
        ("a.tsv", b"a\tb\n", "there is no row below the header"),
        ("a.tsv", b"a\ta\n1\t2\n", "two columns have one name"),
        ("a.tsv", b"a\tb\n1\t2\n3\n", r"a\.tsv, line 3: 1 cells under 2 columns"),
        ("a.tsv", b"a\tb\n1\t2\t3\n", "line 2: 3 cells under 2"),
        ("a.tsv", b'a\tb\n1\t2\n3\t"4\n5\t6\n', r"a\.tsv, line 3: a quote is not closed"),
        ("a.tsv", b'a\tb\n1\t"2', "line 2: a quote is not closed"),
        ("a.tsv", b"a\tb\n\xff\t2\n", "cannot be read"),
        ("a.xlsx", b"no zip archive", r"a\.xlsx"),
    ],
)
def test_damaged_tables_are_named(tmp_path: Path, name: str, content: bytes, named: str) -> None:
    if name.endswith("xlsx"):
        pytest.importorskip("openpyxl", exc_type=ImportError)
    with pytest.raises(BadRecordError, match=named):
        read_table(written(tmp_path / name, content))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRecordError, match=r"none\.tsv.*No such file"):
        read_table(tmp_path / "none.tsv")


def test_without_openpyxl_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(PlumblineError, match=r"pip install -e '\.\[human\]'"):
        read_table(written(tmp_path / "a.xlsx", b""))
    with pytest.raises(ImportError):
        xlsx_bytes([["a"]])


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=20)] * 2),
        max_size=8,
    )
)
def test_any_text_comes_back_from_a_tsv(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "a.tsv"
    kept = [list(row) for row in rows if any(row)]
    assume(kept)
    assert cells(written(path, tsv_text([["a", "b"], *kept]))) == kept
