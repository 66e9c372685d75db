"""Cells: never a formula, and every text comes back."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cells import CELL_LIMIT, CUT, csv_text, fitted, guarded, unguarded

CONTROLS = "".join(map(chr, range(32))) + "\ufffe\uffff"
DANGEROUS = tuple("=+-@\t\r\n＝＋－＠")


@pytest.mark.parametrize("start", [*DANGEROUS, " =", "  +", "'=", "''@"])
def test_what_a_spreadsheet_would_run_is_guarded(start):
    text = f"{start}1+1"
    assert guarded(text) == "'" + text
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["", "a=b", "'quoted'", "1-2", "it's", "5"])
def test_other_texts_stay_as_they_are(text):
    assert guarded(text) == text == unguarded(text)


@given(st.text(alphabet=st.sampled_from([*"'=+-@\t\r\n ab\"", "＝"]), max_size=12))
def test_every_text_comes_back(text):
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(DANGEROUS)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=CONTROLS), max_size=20), min_size=1, max_size=4))  # fmt: skip
def test_a_csv_file_gives_back_what_was_written(cells):
    text = csv_text([cells]).removeprefix("\ufeff")
    (row,) = csv.reader(io.StringIO(text, newline=""))
    assert [unguarded(cell) for cell in row] == cells


def test_a_csv_file_holds_no_control_characters():
    assert csv_text([["a\0b\x07\x1bc\n"]]) == '\ufeff"a\ufffdb\ufffd\ufffdc\n"\r\n'


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
def test_a_long_text_is_cut_to_what_a_cell_holds(letter):
    cut = fitted(letter * 40_000)
    units = len(cut.encode("utf-16-le")) // 2
    assert CELL_LIMIT - 1 <= units <= CELL_LIMIT
    assert cut.endswith(CUT)
    assert fitted("x" * CELL_LIMIT) == "x" * CELL_LIMIT
