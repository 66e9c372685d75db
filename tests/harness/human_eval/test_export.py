"""The folder that is handed out: blinded, safe to open, whole or not there."""

import base64
import html.parser
import io
import json
import re

import pytest
from openpyxl import load_workbook
from PIL import Image

from benchmarks.base import EmbeddedPicture, FilePicture, PictureError, PlumblineError
from harness.human_eval import export as exporting
from harness.human_eval.__main__ import main
from harness.human_eval.draw import Plan, draw
from harness.human_eval.export import export
from harness.human_eval.handout import encode
from harness.human_eval.rubrics import PREFERENCE
from harness.human_eval.sheets import ID, PICTURE, SHEET, VERDICT
from harness.runs import open_runs
from tests.harness.human_eval.runs import HOSTILE, NAMES, make_run, make_study, truthful


@pytest.fixture
def hostile():
    return make_study([(text, f"plain {n}") for n, text in enumerate(HOSTILE)])


def books(folder):
    return [load_workbook(path).worksheets[0] for path in sorted(folder.glob("*/sheet.xlsx"))]


def test_nothing_handed_out_names_a_run_or_gives_away_an_order(tmp_path, capsys):
    paths = [
        make_run(tmp_path / "runs" / NAMES[0], truthful),
        make_run(tmp_path / "runs" / NAMES[1], lambda item: f"Nothing, {len(item.question)}."),
    ]
    out = tmp_path / "study"
    arguments = [*map(str, paths), "--benchmark", "mmhal", "--n", "24", "--out", str(out)]
    assert main(["export", *arguments]) == 0
    given = [path for path in out.rglob("*") if path.is_file() and "unblind" not in path.parts]
    assert {path.name for path in given} >= {"annotate.html", "sheet.xlsx", "sheet.csv"}
    for path in given:
        texts = [path.read_bytes()]
        if path.suffix == ".xlsx":
            import zipfile

            texts = [zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()]
        for word in (*NAMES, *(f"{name}_weights" for name in NAMES), str(tmp_path), "run.json"):
            assert not any(word.encode() in text for text in texts), (path, word)
            assert word not in str(path.relative_to(out))
    key = json.loads((out / "unblind" / "key.json").read_text())
    assert [run["name"] for run in key["runs"]] == list(NAMES)
    asked = [question["item_id"] for question in key["questions"]]
    item_of = {task["id"]: task["item_id"] for task in key["tasks"]}
    for sheet in key["sheets"]:
        assert [item_of[task] for task in sheet["order"]] != [i for i in asked if i in item_of]
        assert sheet["order"] != sorted(sheet["order"])
        assert 0 < len(sheet["flipped"]) < len(sheet["order"])
    assert "keep" in capsys.readouterr().out


def test_no_cell_is_a_formula(tmp_path, hostile):
    export(hostile, {}, tmp_path / "s")
    for sheet in books(tmp_path / "s"):
        for row in sheet.iter_rows(min_row=2):
            for cell in row:
                assert cell.data_type in ("s", "n"), cell.coordinate
                assert cell.data_type == "n" or cell.quotePrefix
                assert cell.value is None or len(cell.value) <= 32_767
    for path in (tmp_path / "s").glob("*/sheet.csv"):
        import csv

        with path.open(encoding="utf-8-sig", newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in cells)
        assert any(len(cell) == 50_000 for cell in cells)


def test_the_sheet_can_be_worked_with(tmp_path, hostile):
    export(hostile, {}, tmp_path / "s")
    sheet = books(tmp_path / "s")[0]
    names = [cell.value for cell in sheet[1]]
    assert sheet.freeze_panes == "C2"
    (choice,) = sheet.data_validations.dataValidation
    column = sheet.cell(1, names.index(VERDICT) + 1).column_letter
    assert str(choice.sqref) == f"{column}2:{column}{len(HOSTILE) + 1}"
    assert choice.formula1 == '"A,tie,B"'
    assert {sheet.cell(2, names.index(name) + 1).value for name in (SHEET,)} == {
        hostile.sheets[0].id
    }
    assert [row[names.index(ID)].value for row in sheet.iter_rows(min_row=2)] == list(hostile.sheets[0].order)  # fmt: skip


class Elements(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_page_holds_no_markup_from_outside_and_may_fetch_nothing(tmp_path, hostile):
    export(hostile, {}, tmp_path / "s")
    text = (tmp_path / "s" / "annotator_1" / "annotate.html").read_text(encoding="utf-8")
    page = Elements()
    page.feed(text)
    tags = [tag for tag, _ in page.found]
    assert tags.count("script") == 2
    assert tags.count("img") == 1
    assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
    assert not any({"src", "href", "action"} & set(attributes) for _, attributes in page.found)
    (policy,) = [a["content"] for _, a in page.found if a.get("http-equiv")]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:", policy)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]
    shown = {response for task in json.loads(data)["tasks"] for response in task["responses"]}
    assert set(HOSTILE) <= shown


def picture(name, size, mode="RGB", **settings):
    stream = io.BytesIO()
    Image.new(mode, size, 90).save(stream, "PNG", **settings)
    return EmbeddedPicture(name, base64.b64encode(stream.getvalue()).decode())


@pytest.mark.parametrize(
    ("size", "shown", "suffix"),
    [((72, 72), (288, 288), "png"), ((3000, 1500), (1024, 512), "jpeg"), ((600, 300), (600, 300), "jpeg"), ((1, 300), (1, 300), "jpeg")],
)  # fmt: skip
def test_pictures_fit_a_page_and_keep_their_form(size, shown, suffix):
    (encoded,) = encode({"a": [picture("zebra_dpo.png", size)]}).values()
    assert (encoded.width, encoded.height) == shown == Image.open(io.BytesIO(encoded.content)).size
    assert encoded.suffix == suffix
    assert b"zebra" not in encoded.content


def test_a_missing_picture_is_named_or_left_out(tmp_path):
    study = make_study([("a", "b"), ("c", "d")])
    gone = {"split/1": [FilePicture(tmp_path / "gone.jpg")]}
    with pytest.raises(PictureError, match=r"split/1: .*gone\.jpg.*--without-pictures"):
        export(study, gone, tmp_path / "s")
    assert list(tmp_path.iterdir()) == []
    export(study, gone, tmp_path / "s", with_pictures=False)
    assert "gone.jpg" in (tmp_path / "s" / "annotator_1" / "sheet.csv").read_text("utf-8-sig")


def test_pictures_stand_in_their_cells_and_beside_the_table(tmp_path):
    runs = open_runs(
        [
            make_run(tmp_path / "a", truthful, n_items=8),
            make_run(tmp_path / "b", lambda item: "No.", n_items=8),
        ]
    )
    study, pictures = draw(Plan("mmhal", PREFERENCE, 8, 0, 1), runs, None)
    export(study, pictures, tmp_path / "s")
    folder = tmp_path / "s" / "annotator_1"
    sheet = load_workbook(folder / "sheet.xlsx").worksheets[0]
    column = [cell.value for cell in sheet[1]].index(PICTURE)
    anchors = [(image.anchor._from.row, image.anchor._from.col) for image in sheet._images]
    assert anchors == [(row, column) for row in range(1, len(study.tasks) + 1)]
    names = {path.relative_to(folder).as_posix() for path in (folder / "pictures").iterdir()}
    assert all(name in (folder / "sheet.csv").read_text("utf-8-sig") for name in names)
    assert len(names) == len(study.tasks)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_an_interrupted_export_leaves_nothing(tmp_path, monkeypatch, error):
    def fail(_):
        raise error

    monkeypatch.setattr(exporting, "sheet_csv", fail)
    with pytest.raises(error):
        export(make_study([("a", "b")]), {}, tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_never_written_into(tmp_path):
    study = make_study([("a", "b")])
    export(study, {}, tmp_path / "s")
    sheet = tmp_path / "s" / "annotator_1" / "sheet.csv"
    sheet.write_text("annotated")
    with pytest.raises(PlumblineError, match="is there already"):
        export(study, {}, tmp_path / "s")
    assert sheet.read_text() == "annotated"
    (tmp_path / "empty").mkdir()
    export(study, {}, tmp_path / "empty")


def test_the_command_refuses_what_cannot_be_compared(tmp_path, capsys):
    run = str(make_run(tmp_path / "a", truthful))
    rest = ["--benchmark", "mmhal", "--out", str(tmp_path / "s")]
    assert main(["export", run, *rest]) == 2
    assert "two or more" in capsys.readouterr().err
    assert main(["export", run, run, *rest]) == 2
    assert "named twice" in capsys.readouterr().err
    assert main(["export", str(tmp_path), run, *rest]) == 2
    assert "holds no run" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
