"""Annotators' files: every form is read, everything wrong is named, nothing is lost."""

import csv
import json

import pytest
from openpyxl import load_workbook

from benchmarks.base import BadRecordError, PlumblineError
from harness.human_eval.export import export
from harness.human_eval.rubrics import HALLUCINATION, PREFERENCE
from harness.human_eval.verdicts import read_verdicts
from tests.harness.human_eval.runs import HOSTILE, make_study

RESPONSES = [(f"=first {n}", f"second {n}\n- with a list") for n in range(6)]


@pytest.fixture
def study(tmp_path):
    study = make_study(RESPONSES)
    export(study, {}, tmp_path / "s")
    return study


def table(tmp_path, number=1):
    path = tmp_path / "s" / f"annotator_{number}" / "sheet.csv"
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def written(path, rows, *, delimiter=",", encoding="utf-8-sig"):
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def filled(rows, verdicts="A"):
    return [row | {"verdict": verdicts} for row in rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_is_read_with_what_the_spreadsheet_separates_by(tmp_path, study, delimiter):
    rows = filled(table(tmp_path))
    rows[0] |= {"comment": "'=1+1", "annotator": "Ann"}
    path = written(tmp_path / "back.csv", rows, delimiter=delimiter)
    returned = read_verdicts(study, [path])
    assert returned.annotators == ["Ann"]
    assert [verdict.task.id for verdict in returned.verdicts] == list(study.sheets[0].order)
    assert returned.verdicts[0].comment == "=1+1"
    assert not returned.flags
    assert returned.missing == {"Ann": []}


def test_a_filled_workbook_is_read(tmp_path, study):
    path = tmp_path / "s" / "annotator_2" / "sheet.xlsx"
    book = load_workbook(path)
    sheet = book.worksheets[0]
    names = [cell.value for cell in sheet[1]]
    for row in sheet.iter_rows(min_row=2):
        row[names.index("verdict")].value = "tie"
    book.save(tmp_path / "bob.xlsx")
    returned = read_verdicts(study, [tmp_path / "bob.xlsx"])
    assert returned.annotators == ["bob"]
    assert {verdict.value for verdict in returned.verdicts} == {"tie"}
    assert not returned.flags


def page_file(study, path, verdicts, sheet=0, **changes):
    entries = [
        {"id": task, "verdict": verdict, "comment": ""}
        for task, verdict in zip(study.sheets[sheet].order, verdicts, strict=False)
    ]
    record = {"sheet": study.sheets[sheet].id, "annotator": "Cleo", "verdicts": entries, **changes}
    path.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return path


def test_what_the_page_saved_is_read(tmp_path, study):
    path = page_file(study, tmp_path / "x.json", ["A", "B", "", "tie"])
    returned = read_verdicts(study, [path])
    assert [verdict.value for verdict in returned.verdicts] == ["A", "B", "tie"]
    order = study.sheets[0].order
    assert returned.missing == {"Cleo": [order[2], *order[4:]]}


@pytest.mark.parametrize(
    ("rubric", "cell", "value"),
    [
        (PREFERENCE, " a ", "A"), (PREFERENCE, "TIE", "tie"), (PREFERENCE, "B is  better", "B"),
        (PREFERENCE, "", ""), (PREFERENCE, "C", None), (PREFERENCE, "A or B", None),
        (HALLUCINATION, "5.0", "5"), (HALLUCINATION, " 0", "0"), (HALLUCINATION, "7", None),
        (HALLUCINATION, "4.5", None), (HALLUCINATION, "-1", None),
    ],
)  # fmt: skip
def test_spellings(rubric, cell, value):
    assert rubric.read(cell) == value


def test_names_come_from_the_command_the_file_its_name_or_the_sheet(tmp_path, study):
    rows = filled(table(tmp_path))
    plain = written(tmp_path / "Dora.csv", rows)
    assert read_verdicts(study, [plain]).annotators == ["Dora"]
    assert read_verdicts(study, [plain], ["Eve"]).annotators == ["Eve"]
    named = written(tmp_path / "f.csv", [row | {"annotator": "Flo"} for row in rows])
    assert read_verdicts(study, [named]).annotators == ["Flo"]
    ours = written(tmp_path / "sheet.csv", rows)
    assert read_verdicts(study, [ours]).annotators == ["annotator 1"]
    with pytest.raises(PlumblineError, match="1 times for 2 files"):
        read_verdicts(study, [plain, named], ["Eve"])


def test_everything_wrong_is_told_at_once_with_its_row(tmp_path, study):
    rows = filled(table(tmp_path))
    rows[0]["verdict"] = "perhaps"
    rows[2]["id"] = "t999"
    rows[4]["id"] = rows[3]["id"]
    with pytest.raises(BadRecordError) as told:
        read_verdicts(study, [written(tmp_path / "back.csv", rows)])
    text = str(told.value)
    assert "row 2: 'perhaps' is no verdict; write one of A, tie, B" in text
    assert "the sheet has no task 't999'" in text
    assert f"{rows[3]['id']} stands in row" in text


def test_another_sheet_or_study_is_refused(tmp_path, study):
    other = make_study([("x", "y")], seed=9)
    export(other, {}, tmp_path / "other")
    path = tmp_path / "other" / "annotator_1" / "sheet.csv"
    with pytest.raises(BadRecordError, match="this key has"):
        read_verdicts(study, [path])
    mixed = [*filled(table(tmp_path, 1))[:3], *filled(table(tmp_path, 2))[3:]]
    with pytest.raises(BadRecordError, match="one sheet in each file"):
        read_verdicts(study, [written(tmp_path / "mixed.csv", mixed)])


def test_the_same_annotator_twice_on_one_task_is_refused(tmp_path, study):
    path = page_file(study, tmp_path / "a.json", ["A", "B"])
    again = page_file(study, tmp_path / "b.json", ["A", "B"])
    with pytest.raises(BadRecordError, match="already"):
        read_verdicts(study, [path, again])
    returned = read_verdicts(study, [path, again], ["one", "two"])
    assert len(returned.verdicts) == 4


def test_two_halves_of_one_annotator_are_one(tmp_path, study):
    first = page_file(study, tmp_path / "a.json", ["A", "B", "", "", "", ""])
    second = page_file(study, tmp_path / "b.json", ["", "", "tie", "tie", "A", "A"])
    assert read_verdicts(study, [first, second]).missing == {"Cleo": []}


def test_an_edited_text_is_flagged_and_a_shuffled_one_refused(tmp_path, study):
    rows = filled(table(tmp_path))
    rows[1]["question"] += " (typo mended)"
    returned = read_verdicts(study, [written(tmp_path / "back.csv", rows)])
    assert len(returned.verdicts) == 6
    (flag,) = returned.flags
    assert "question was edited" in flag
    texts = [row["response A"] for row in rows], [row["response B"] for row in rows]
    for index, row in enumerate(rows):
        row["response A"], row["response B"] = (side[index - 1] for side in texts)
    with pytest.raises(BadRecordError, match="sorted apart"):
        read_verdicts(study, [written(tmp_path / "back.csv", rows)])


@pytest.mark.parametrize(
    "content",
    ["", "\0\0", "a,b\n1,2\n", "sheet,id,verdict\n", '"open', "{}", "[1]", '{"sheet": 1}', '{"verdicts": [1]}'],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["csv", "json", "xlsx"])
def test_other_files_are_refused_without_a_traceback(tmp_path, study, content, suffix):
    path = tmp_path / f"x.{suffix}"
    path.write_text(content)
    with pytest.raises(PlumblineError):
        read_verdicts(study, [path])
    with pytest.raises(PlumblineError):
        read_verdicts(study, [tmp_path / f"absent.{suffix}"])


def test_hostile_texts_come_back_unedited_from_both_forms(tmp_path):
    study = make_study([(text, f"plain {n}") for n, text in enumerate(HOSTILE)])
    export(study, {}, tmp_path / "s")
    rows = filled(table(tmp_path))
    book = load_workbook(tmp_path / "s" / "annotator_2" / "sheet.xlsx")
    names = [cell.value for cell in book.worksheets[0][1]]
    for row in book.worksheets[0].iter_rows(min_row=2):
        row[names.index("verdict")].value = "B"
    book.save(tmp_path / "bob.xlsx")
    paths = [written(tmp_path / "ann.csv", rows), tmp_path / "bob.xlsx"]
    returned = read_verdicts(study, paths)
    assert not returned.flags
    assert returned.missing == {"ann": [], "bob": []}
