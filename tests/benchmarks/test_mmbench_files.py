"""MMBench's table of questions, prediction files and upload file.

Run: pytest tests/benchmarks/test_mmbench_files.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import BadRecordError, Item, PictureError, Response
from benchmarks.mmbench_answers import read_predictions, read_replies, upload_rows
from benchmarks.mmbench_files import Pass, all_orders, read_questions, read_text_questions
from benchmarks.tables import Cell, tsv_text, xlsx_bytes
from tests.benchmarks.mmbench_table import COLUMNS, Row, data_folder, picture, rows


def questions(path: Path, content: list[Row], columns: tuple[str, ...] = COLUMNS) -> list[Item]:
    folder = data_folder(path, content, columns=columns)
    return read_questions(folder / "mmbench" / "MMBench_DEV_EN.tsv", "fetch it")


def letters(item: Item) -> str:
    return "".join(one.answer for one in item.reference["passes"])


# Questions


def test_passes_belong_to_their_question(tmp_path: Path) -> None:
    cat, count, chinese = questions(tmp_path, rows())
    assert [item.id for item in (cat, count, chinese)] == ["1", "2", "5"]
    assert [letters(item) for item in (cat, count, chinese)] == ["BCDA", "ABC", "BA"]
    first, second, *_ = cat.reference["passes"]
    options = {"A": "cat", "B": "dog", "C": "cow", "D": "hen"}
    assert first == Pass(1, "What is it?", "", options, "B")
    assert second.row_index == 1_000_001
    assert second.options == {"A": "hen", "B": "cat", "C": "dog", "D": "cow"}
    assert count.reference["passes"][0].hint == "Count them."
    assert count.reference["l2-category"] == "finegrained_perception (instance-level)"
    assert (cat.split, cat.reference["g_index"]) == ("dev", None)


def test_pictures_are_encoded_once_and_told_by_their_content(tmp_path: Path) -> None:
    """The legacy form repeats the picture; both forms show the same."""
    newer = questions(tmp_path, rows())
    legacy = rows()
    for row in legacy:
        row["image"] = picture(({1: 0, 2: 1, 5: 2}[row["index"] % 1_000_000], 0, 0))
    older = questions(tmp_path, legacy)
    assert [i.pictures[0].digest for i in older] == [i.pictures[0].digest for i in newer]
    assert len({item.group for item in newer}) == 3
    assert newer[1].pictures[0].load().getpixel((0, 0)) == (1, 0, 0)


def test_questions_on_one_picture_are_one_group(tmp_path: Path) -> None:
    content = rows()
    for row in content:
        row["image"] = picture((9, 9, 9)) if row["index"] == 1 else 1
    items = questions(tmp_path, content)
    assert len({item.group for item in items}) == 1
    assert len({id(item.pictures[0]) for item in items}) == 1


def test_g_index_decides_where_it_is(tmp_path: Path) -> None:
    content = [
        {**row, "index": n, "g_index": {1: 0, 2: 4, 5: 7}[row["index"] % 1_000_000]}
        for n, row in enumerate(sorted(rows(), key=lambda row: row["index"] % 1_000_000))
    ]
    for row in content:
        row["image"] = picture((1, 2, 3))
    items = questions(tmp_path, content, (*COLUMNS, "g_index"))
    assert [(item.id, letters(item)) for item in items] == [
        ("0", "BCDA"),
        ("4", "ABC"),
        ("7", "BA"),
    ]
    assert [item.reference["g_index"] for item in items] == [0, 4, 7]


def test_a_table_may_lack_columns_and_base_passes(tmp_path: Path) -> None:
    columns = tuple(
        c for c in COLUMNS if c not in ("split", "category", "l2-category", "image", "hint")
    )
    items = questions(tmp_path, [row for row in rows() if row["index"] != 2], columns)
    assert [item.split for item in items] == ["none"] * 3
    count = next(item for item in items if item.id == "2")
    assert (letters(count), count.question) == ("BC", "How many?")
    assert "category" not in count.reference
    with pytest.raises(PictureError, match=r"images.2\.jpg"):
        _ = count.pictures[0].digest
    assert count.group == "2"


def test_texts_that_look_like_missing_values_are_options(tmp_path: Path) -> None:
    content = rows()
    content[0] |= {"A": "NA", "B": "None", "C": "3", "D": "nan"}
    (first, *_) = questions(tmp_path, content)[0].reference["passes"]
    assert first.options == {"A": "NA", "B": "None", "C": "3", "D": "nan"}


def test_more_than_four_options(tmp_path: Path) -> None:
    content = [{**row, "E": "fish" if row["index"] % 1_000_000 == 1 else ""} for row in rows()]
    cat, *_ = questions(tmp_path, content, (*COLUMNS, "E"))
    assert list(cat.reference["passes"][0].options) == [*"ABCDE"]


def test_test_tables_have_no_answers(tmp_path: Path) -> None:
    columns = tuple(c for c in COLUMNS if c != "answer")
    assert {letters(item) for item in questions(tmp_path, rows(), columns)} == {""}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"index": "one"}, "line 2: index is 'one', not a number"),
        ({"index": 2}, "line 3: index 2 as in line 2"),
        ({"question": ""}, "line 2: there is no question with options"),
        (dict.fromkeys("ABCD", ""), "line 2: there is no question with options"),
        ({"answer": "AB"}, "line 2: answer is 'AB'"),
        ({"image": ""}, "line 2: image is neither a picture nor the index of a row with one"),
        ({"image": "1000001"}, "image is neither"),
    ],
)
def test_damaged_tables_are_named(tmp_path: Path, change: Row, named: str) -> None:
    content = rows()
    content[0] |= change
    with pytest.raises(BadRecordError, match=f"{named}.*Restore the official file: fetch it"):
        questions(tmp_path, content)


def test_the_passes_of_a_question_show_one_picture(tmp_path: Path) -> None:
    content = rows()
    content[-1]["image"] = picture((8, 8, 8))
    with pytest.raises(BadRecordError, match="question 1 show different pictures"):
        questions(tmp_path, content)


def test_options_move_on_by_one_place() -> None:
    base = Pass(7, "?", "", {"A": "a", "B": "b", "C": "all"}, "C")
    moved = [("".join(o.options.values()), o.answer, o.row_index) for o in all_orders(base)]
    assert moved == [("aball", "C", 7), ("allab", "A", 1_000_007), ("balla", "B", 2_000_007)]
    stays = all_orders(base, last_stays=True)
    assert [(*one.options.values(), one.answer) for one in stays] == [
        ("a", "b", "all", "C"),
        ("b", "a", "all", "C"),
    ]


def test_the_text_file_stands_in_with_passes_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    fields = {"hint": None, "A": "a", "B": "b", "C": "c", "split": "dev", "question": "Which?"}
    records: list[Row] = [
        {**fields, "index": 3, "D": "d", "answer": "D"},
        {**fields, "index": 4, "D": "both A,B, and C", "answer": "D"},
        {**fields, "index": 34, "D": "d", "answer": "A"},
        {**fields, "index": 9, "D": None, "answer": "B"},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    items = read_text_questions(path, "fetch it")
    assert [letters(item) for item in items] == ["DABC", "DDD", "ABC", "BCA"]
    path.write_text(json.dumps({**fields, "index": 3, "answer": "D"}))
    with pytest.raises(BadRecordError, match=r"line 1: answer is 'D', not one of the options"):
        read_text_questions(path, "fetch it")


# Predictions


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return questions(tmp_path, rows())


def read(path: Path, items: list[Item], content: str | bytes) -> dict[str, str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {r.request_id: r.text for r in read_predictions([path], items)}


def lines(*records: Mapping[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


SOME = {"1": "B. dog", "1#2": "3", "2#3": "NA", "5": "None"}
INDICES = {"1": 1, "1#2": 1_000_001, "2#3": 2_000_002, "5": 5}


@pytest.mark.parametrize("form", ["tsv", "xlsx", "jsonl", "json", "llava"])
def test_predictions_are_read_in_every_form(tmp_path: Path, items: list[Item], form: str) -> None:
    pairs = [(INDICES[name], text) for name, text in SOME.items()]
    path = tmp_path / f"predictions.{'jsonl' if form == 'llava' else form}"
    table: list[list[Cell]] = [["index", "Prediction"]]
    table += [[index, text] for index, text in reversed(pairs)]
    if form == "xlsx":
        pytest.importorskip("openpyxl", exc_type=ImportError)
        content: str | bytes = xlsx_bytes(table)
    elif form == "tsv":
        content = tsv_text(table)
    elif form == "json":
        content = json.dumps([{"index": i, "prediction": text} for i, text in pairs])
    elif form == "jsonl":
        content = lines(*({"index": float(i), "prediction": text} for i, text in pairs))
    else:
        content = lines(*({"question_id": i, "round_id": 0, "text": text} for i, text in pairs))
    assert read(path, items, content) == SOME


def test_missing_predictions_become_the_official_texts(tmp_path: Path, items: list[Item]) -> None:
    empty = tsv_text([["index", "prediction", "x"], [1, "", "y"]])
    assert read(tmp_path / "a.tsv", items, empty) == {"1": "nan"}
    given = '{"index": 1, "prediction": null}\n{"index": 2, "prediction": NaN}\n'
    given += '{"index": 5, "prediction": ""}\n{"index": 1000001, "prediction": 3}\n'
    found = read(tmp_path / "a.jsonl", items, given)
    assert found == {"1": "None", "2": "nan", "5": "", "1#2": "3"}


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({"index": 9, "prediction": "A"}, "index 9 is not asked.*mmbench.version"),
        ({"index": 3_000_002, "prediction": "A"}, "index 3000002 is not asked"),
        ({"index": "x", "prediction": "A"}, "index is 'x', not a number"),
        ({"index": True, "prediction": "A"}, "index is True, not a number"),
        ({"index": 1}, "there is no prediction"),
        ({"prediction": "A"}, "there is no prediction"),
        ({"index": 1, "prediction": ["A"]}, "the prediction is list"),
        ({"index": 1, "prediction": "A", "answer": "C"}, "the answer to index 1 is C, and B in"),
        ({"question_id": 1, "round_id": 1, "text": "A"}, "--all-rounds"),
        ({"index": 2, "prediction": "B"}, "a second prediction for index 2, after .*line 1"),
    ],
)
def test_what_is_no_prediction_is_named(
    tmp_path: Path, items: list[Item], record: Row, named: str
) -> None:
    first = {"index": 2, "prediction": "A", "answer": "A"}
    with pytest.raises(BadRecordError, match=rf"a\.jsonl, line 2: .*{named}"):
        read(tmp_path / "a.jsonl", items, lines(first, record))


def test_replies_are_read_in_their_order(tmp_path: Path, items: list[Item]) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(lines(*({"index": 1, "reply": text} for text in ("hm", "B"))))
    assert read_replies([path], items) == {"1": ["hm", "B"]}
    for record, named in (
        ({"index": 9, "reply": "A"}, "index 9 is not asked"),
        ({"index": 1, "reply": None}, "reply is NoneType, not text"),
        ({"reply": "A"}, "index is None, not a number"),
    ):
        path.write_text(lines(record))
        with pytest.raises(BadRecordError, match=f"line 1: {named}"):
            read_replies([path], items)


# The upload file


def answered(
    items: list[Item], text: Callable[[str], str] = lambda name: name
) -> dict[str, Response]:
    names = [
        item.id if number == 0 else f"{item.id}#{number + 1}"
        for item in items
        for number in range(len(item.reference["passes"]))
    ]
    return {name: Response(name, "", text(name)) for name in names}


def test_the_upload_file_has_the_official_columns(items: list[Item]) -> None:
    header, *body = upload_rows(items, answered(items))
    assert header == ["index", "question", "A", "B", "C", "D", "prediction", "answer", "split"]
    assert len(body) == 9
    assert body[0] == [1, "What is it?", "cat", "dog", "cow", "hen", "1", "B", "dev"]
    assert body[3] == [1_000_001, "What is it?", "hen", "cat", "dog", "cow", "1#2", "C", "dev"]


def test_questions_with_an_unanswered_pass_are_left_out(items: list[Item]) -> None:
    responses = answered(items)
    responses["1#2"] = Response.failed("1#2", "", "no memory")
    del responses["5"]
    assert {row[0] for row in upload_rows(items, responses)[1:]} == {2, 1_000_002, 2_000_002}
    assert upload_rows(items, {}) == []


def test_the_upload_file_of_a_test_table(tmp_path: Path) -> None:
    columns = (*(c for c in COLUMNS if c not in ("answer", "split")), "E")
    items = questions(tmp_path, [{**row, "E": "other"} for row in rows()], columns)
    header = upload_rows(items, answered(items))[0]
    assert header == ["index", "question", "A", "B", "C", "D", "prediction", "E"]


def test_the_upload_file_is_read_back(tmp_path: Path, items: list[Item]) -> None:
    """Whatever was answered."""
    nasty = ["3", "NA", "None", "=B", "a\tb", 'the "B"\r\nof it', " ", "天坛", "nan"]
    texts = dict(zip(answered(items), nasty, strict=True))
    written = tsv_text(upload_rows(items, answered(items, texts.__getitem__)))
    assert read(tmp_path / "upload.tsv", items, written) == texts
