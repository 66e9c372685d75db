"""MMBench's questions: a table that holds their pictures as well.

A row of the table is one *pass*: a question with its options in one order. Passes of a question
belong together by the column ``g_index``, or by ``index`` modulo 1,000,000 where there is none; the
*base* pass is the one whose index is that number. Columns: ``index``, ``question``, ``hint``, the
options by letter (empty where a question has fewer), ``answer`` (a letter; empty or absent in test
files), ``category``, ``l2-category``, ``split``, and ``image``: a picture as base64, or, in the
newer form, the index of the row that has it. The legacy form repeats the picture in each row. For a
table without that column, pictures lie below ``images/`` by index, as VLMEvalKit unpacks them.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.base import (
    EmbeddedPicture,
    FilePicture,
    Item,
    Picture,
    PictureError,
    PlumblineError,
)
from benchmarks.data_folder import required_file
from benchmarks.records import Record, read_records
from benchmarks.tables import read_table

PASS_OFFSET = 1_000_000
"""Between the indices of a question's passes."""

LETTERS = string.ascii_uppercase

NO_SPLIT = "none"
"""VLMEvalKit's name for the split of a table without that column."""

LONGEST_REFERENCE = 64
"""Characters of an ``image`` that is another row's index; a longer one is a picture."""

VERSIONS = (
    "MMBench_DEV_EN", "MMBench_TEST_EN", "MMBench_DEV_CN", "MMBench_TEST_CN",
    "MMBench_DEV_EN_V11", "MMBench_TEST_EN_V11", "MMBench_DEV_CN_V11", "MMBench_TEST_CN_V11",
    "mmbench_dev_20230712", "mmbench_dev_cn_20231003",
)  # fmt: skip
"""The tables' names. Others may lie beside them: the legacy ones, CCBench."""

FETCHED_FIRST = ("MMBench_DEV_EN", "mmbench_dev_20230712")
"""What ``harness.fetch mmbench`` brings; ``mmbench_more`` brings the others."""

TEXT_FILE = "mmbench_dev_20230712_text.jsonl"
TEXT_FILE_OF = "mmbench_dev_20230712"
"""The stand-in for this table: its first passes, without pictures and categories."""


class Pass(NamedTuple):
    """A question with its options in one order, a row of the table. Absent texts are empty."""

    row_index: int
    question: str
    hint: str
    options: dict[str, str]
    answer: str


def questions_of(folder: Path, version: str, remedy: str) -> list[Item]:
    """The questions of a version.

    Args:
        folder: where the tables are.
        version: the table's name.
        remedy: the command that brings it.

    Raises:
        MissingDataError: the table is not there, nor what stands in for it.
        PlumblineError: no table has that name.
        BadRecordError: it is damaged.
    """
    text, table = stand_in(folder, version), folder / f"{version}.tsv"
    if text is not None:
        return read_text_questions(text, remedy)
    if version not in VERSIONS and not table.is_file():
        raise PlumblineError(
            f"{table}: the file is not there. mmbench.version is the name of a table: "
            f"{', '.join(VERSIONS)}, or another that you put there"
        )
    return read_questions(required_file(table, remedy), remedy)


def stand_in(folder: Path, version: str) -> Path | None:
    """The text file that stands in for an absent table; None if there is none, or no need."""
    path, table = folder / TEXT_FILE, folder / f"{version}.tsv"
    return path if version == TEXT_FILE_OF and path.is_file() and not table.is_file() else None


def read_questions(path: Path, remedy: str) -> list[Item]:
    """The questions of a table in the order of their first rows; an item's id is its group's index.

    ``reference``: "passes", the Passes by index; "g_index", the number in that column, None in a
    table without it; "category" and "l2-category" where there are any.

    Args:
        path: the table.
        remedy: the command that restores it.

    Raises:
        BadRecordError: a column is missing, or a row is no question with options and a picture.
    """
    fix = f"Restore the official file: {remedy}"
    rows: dict[int, Record] = {}
    groups: dict[int, list[int]] = {}
    for record in map(with_official_names, read_table(path)):
        index = whole_number(record, "index", fix)
        if index in rows:
            raise record.error(f"index {index} as in line {rows[index].line}", fix)
        rows[index] = record
        in_column = "g_index" in record.fields
        group = whole_number(record, "g_index", fix) if in_column else index % PASS_OFFSET
        groups.setdefault(group, []).append(index)
    pictures: dict[str, Picture] = {}
    items = []
    for group, indices in groups.items():
        own = {index: rows[index] for index in sorted(indices)}
        passes = tuple(_pass(index, record, fix) for index, record in own.items())
        first = own.get(group) or own[passes[0].row_index]
        encoded = {_encoded(record, rows, fix) for record in own.values()}
        if len(encoded) > 1:
            raise first.error(f"the passes of question {group} show different pictures", fix)
        (text,) = encoded
        picture = pictures.get(text) or _picture(path, group, text)
        if text:
            pictures[text] = picture
        g_index = group if "g_index" in first.fields else None
        items.append(_item(group, first.fields, passes, picture, g_index))
    return items


def with_official_names(record: Record) -> Record:
    """VLMEvalKit takes column names in lower case, but for the letters of options."""
    fields = {
        name if len(name) == 1 and name in LETTERS else name.lower(): value
        for name, value in record.fields.items()
    }
    return Record(record.path, record.line, fields)


def whole_number(record: Record, column: str, fix: str) -> int:
    """A cell such as "17" or, after a round trip through a spreadsheet, "17.0"."""
    value = record.fields.get(column)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,15}(\.0)?", str(value)):
        raise record.error(f"{column} is {value!r}, not a number", fix)
    return int(float(str(value)))


def _encoded(record: Record, rows: Mapping[int, Record], fix: str) -> str:
    """A row's picture as base64; empty in a table without pictures."""
    if "image" not in record.fields:
        return ""
    image: str = record.fields["image"]
    if len(image) <= LONGEST_REFERENCE:
        owner = rows.get(int(image)) if re.fullmatch(r"[0-9]{1,15}", image) else None
        image = owner.fields["image"] if owner else ""
        if len(image) <= LONGEST_REFERENCE:
            raise record.error("image is neither a picture nor the index of a row with one", fix)
    return image


def _picture(path: Path, group: int, encoded: str) -> Picture:
    if encoded:
        return EmbeddedPicture(f"{path.stem}/{group}", encoded)
    return FilePicture(path.parent / "images" / f"{group}.jpg")


def _pass(index: int, record: Record, fix: str) -> Pass:
    fields = record.fields
    options = {letter: fields[letter] for letter in LETTERS if fields.get(letter)}
    answer = fields.get("answer", "").strip()
    if not fields.get("question") or not options:
        raise record.error("there is no question with options", fix)
    if answer and answer not in tuple(LETTERS):
        raise record.error(f"answer is {answer!r}, not an option's letter", fix)
    return Pass(index, fields["question"], fields.get("hint", ""), options, answer)


def _item(
    group: int,
    fields: Mapping[str, Any],
    passes: tuple[Pass, ...],
    picture: Picture,
    g_index: int | None,
) -> Item:
    """A question; ``fields`` are those of its base pass."""
    try:
        cluster = picture.digest[:16]
    except PictureError:
        cluster = str(group)
    return Item(
        id=str(group),
        group=cluster,
        question=fields["question"],
        split=fields.get("split") or NO_SPLIT,
        pictures=(picture,),
        reference={
            "passes": passes,
            "g_index": g_index,
            **{name: fields[name] for name in ("category", "l2-category") if fields.get(name)},
        },
    )


_LAST_STAYS = re.compile(
    r"both A,B, and C|(All|None) of these options are correct\.|All above are not right"
)
_LAST_STAYS_TOO = (34, 51)


def read_text_questions(path: Path, remedy: str) -> list[Item]:
    """The questions of TEXT_FILE, with the passes that the table has.

    The file has each question's first pass, from which the others follow: the options move on by
    one place. Where the last option speaks of the others it stays, which leaves three passes of
    four options; so it does in two more questions.

    Args:
        path: JSON Lines of ``index``, ``question``, ``hint``, ``A`` to ``D``, ``answer``, ``split``.
        remedy: the command that brings the table.

    Raises:
        BadRecordError: a record is no question with options.
    """
    fix = f"Restore the file, or bring the table: {remedy}"
    items = []
    for record in read_records(path):
        index = whole_number(record, "index", fix)
        texts = {name: value for name, value in record.fields.items() if isinstance(value, str)}
        base = _pass(index, Record(path, record.line, texts), fix)
        if base.answer not in base.options:
            raise record.error(f"answer is {base.answer!r}, not one of the options", fix)
        *_, last = base.options.values()
        last_stays = bool(_LAST_STAYS.fullmatch(last)) or index in _LAST_STAYS_TOO
        passes = all_orders(base, last_stays=last_stays)
        items.append(_item(index, texts, passes, _picture(path, index, ""), None))
    return items


def all_orders(base: Pass, *, last_stays: bool = False) -> tuple[Pass, ...]:
    """A question's passes from its first one: the options move on by one place from pass to pass.

    Args:
        last_stays: whether the last option keeps its place.
    """
    letters, texts = list(base.options), list(base.options.values())
    n_moving = len(texts) - last_stays
    passes = []
    for by in range(n_moving):
        order = [(place - by) % n_moving for place in range(n_moving)]
        order += range(n_moving, len(texts))
        options = {letter: texts[place] for letter, place in zip(letters, order, strict=True)}
        answer = letters[order.index(letters.index(base.answer))]
        index = base.row_index + by * PASS_OFFSET
        passes.append(base._replace(row_index=index, options=options, answer=answer))
    return tuple(passes)
