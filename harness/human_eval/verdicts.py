"""Annotators' files: read, checked against the key, merged.

A file is a filled-in .xlsx or .csv, or what the page saved (JSON or CSV). It belongs to one sheet and one annotator.
Whatever is wrong in a file is named with its row, all of it at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.base import BadRecordError, PlumblineError
from benchmarks.records import Record, read_one_file
from benchmarks.tables import read_table, sheet_text
from harness.cells import fitted, unguarded
from harness.human_eval.export import TABLE
from harness.human_eval.sheets import (
    ANNOTATOR,
    COMMENT,
    ID,
    QUESTION,
    REFERENCE,
    SHEET,
    VERDICT,
    response_columns,
)
from harness.human_eval.study import Sheet, Study, Task

REQUIRED = (SHEET, ID, VERDICT)
TEXTS = "verdicts"
"""Where the page's JSON has them."""

MOST_TOLD = 20
"""Problems of a file that are listed."""

DELIMITERS = ",;\t"
"""Spreadsheets save CSV with what their country uses."""


@dataclass(frozen=True)
class Verdict:
    """What an annotator said about a task.

    Attributes:
        value: as in the sheet, on its sides.
        place: the file and the row.
    """

    task: Task
    sheet: Sheet
    annotator: str
    value: str
    comment: str
    place: str


@dataclass(frozen=True)
class Returned:
    """All that came back.

    Attributes:
        verdicts: in the order of the files and rows.
        missing: by annotator, the tasks of their sheets without a verdict.
        flags: what was tolerated, for a person to look at.
    """

    verdicts: Sequence[Verdict]
    missing: Mapping[str, Sequence[str]]
    flags: Sequence[str]

    @property
    def annotators(self) -> list[str]:
        return list(self.missing)


@dataclass(frozen=True)
class _File:
    """One file: its rows, whose it is, and its sheet."""

    path: Path
    records: Sequence[Record]
    annotator: str
    sheet: Sheet


def read_verdicts(study: Study, paths: Sequence[Path], names: Sequence[str] = ()) -> Returned:
    """All files, merged.

    Args:
        names: the annotators of the files, in their order; empty to take them from the files.

    Raises:
        BadRecordError: a file is damaged, of another study, or holds what is no verdict; two files say
            something about the same task for the same annotator.
        PlumblineError: the names do not match the files.
    """
    if names and len(names) != len(paths):
        raise PlumblineError(
            f"--annotator is given {len(names)} times for {len(paths)} files; name one for each, in "
            "their order"
        )
    given = [_squeezed(name) for name in names] or [""] * len(paths)
    verdicts: list[Verdict] = []
    flags: list[str] = []
    asked: dict[str, dict[str, None]] = {}
    seen: dict[tuple[str, str], Verdict] = {}
    for path, name in zip(paths, given, strict=True):
        file = _open(study, path, name)
        asked.setdefault(file.annotator, {}).update(dict.fromkeys(file.sheet.order))
        for verdict in _read(study, file, flags):
            first = seen.setdefault((verdict.annotator, verdict.task.id), verdict)
            if first is not verdict:
                raise BadRecordError(
                    f"{verdict.place}: {verdict.annotator} said something about {verdict.task.id} in "
                    f"{first.place} already. Give each annotator's verdicts once, and name different "
                    "annotators with --annotator"
                )
            verdicts.append(verdict)
    missing = {
        annotator: [task for task in tasks if (annotator, task) not in seen]
        for annotator, tasks in asked.items()
    }
    return Returned(verdicts, missing, flags)


def _open(study: Study, path: Path, name: str) -> _File:
    records = list(_records(path))
    if not records:
        raise BadRecordError(f"{path}: there is no verdict in it. Check the path")
    lacking = [column for column in REQUIRED if column not in records[0].fields]
    if lacking:
        raise BadRecordError(
            f"{path}: there is no column {', '.join(lacking)}; give a sheet that export wrote, or a file "
            "that the page saved"
        )
    ids = Counter(_text(record, SHEET) for record in records)
    (sheet_id, _), *others = ids.most_common()
    if others or sheet_id not in study.sheet_of:
        found = ", ".join(sorted(repr(each) for each in ids))
        known = ", ".join(study.sheet_of)
        raise BadRecordError(
            f"{path}: it is of sheet {found}; this key has {known}. Give the key of the same study, and "
            "one sheet in each file"
        )
    sheet = study.sheet_of[sheet_id]
    return _File(path, records, name or _annotator(path, records, sheet), sheet)


def _records(path: Path) -> Iterator[Record]:
    kind = path.suffix.lower()
    if kind == ".xlsx":
        yield from read_table(path)
        return
    if kind != ".json":
        for record in read_table(path, _delimiter(path)):
            cells = {name: unguarded(cell) for name, cell in record.fields.items()}
            yield Record(path, record.line, cells)
        return
    for whole in read_one_file([path], "one annotator's verdicts"):
        entries = whole.fields.get(TEXTS)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise whole.error(f"there is no list {TEXTS!r}", "Give a file that the page saved")
        about = {name: whole.fields.get(name) for name in (SHEET, ANNOTATOR)}
        for entry in entries:
            yield Record(path, whole.line, {**about, **entry})


def _delimiter(path: Path) -> str:
    """The one of DELIMITERS that the header has most of."""
    try:
        with path.open("rb") as stream:
            header = stream.readline()
    except OSError as error:
        reason = error.strerror or error
        raise BadRecordError(
            f"{path}: the file cannot be read ({reason}). Check the path"
        ) from error
    return max(DELIMITERS, key=lambda delimiter: header.count(delimiter.encode()))


def _annotator(path: Path, records: Sequence[Record], sheet: Sheet) -> str:
    """The name in the file, else the file's, else the sheet's number."""
    names = {name for record in records if (name := _squeezed(_text(record, ANNOTATOR)))}
    if len(names) > 1:
        listed = ", ".join(sorted(names))
        raise BadRecordError(
            f"{path}: it is by several annotators ({listed}). Write one name, or use --annotator"
        )
    if names:
        return names.pop()
    stem = _squeezed(path.stem)
    is_ours = stem == Path(TABLE).stem or sheet.id in stem
    return f"annotator {sheet.number}" if is_ours else stem


def _read(study: Study, file: _File, flags: list[str]) -> Iterator[Verdict]:
    """The verdicts of a file. Raises BadRecordError that names all that is wrong."""
    problems: list[str] = []
    verdicts: list[Verdict] = []
    rows: dict[str, str] = {}
    for number, record in enumerate(file.records, start=1):
        is_json = file.path.suffix.lower() == ".json"
        row = f"entry {number}" if is_json else f"row {record.line}"
        task_id = _text(record, ID).strip()
        task = study.task_of.get(task_id)
        if task is None:
            problems.append(f"{row}: the sheet has no task {task_id!r}")
            continue
        if task_id in rows:
            problems.append(f"{row}: {task_id} stands in {rows[task_id]} already")
            continue
        rows[task_id] = row
        cell = _text(record, VERDICT)
        value = study.rubric.read(cell)
        if value is None:
            options = ", ".join(option.value for option in study.rubric.options)
            problems.append(f"{row}: {cell[:80]!r} is no verdict; write one of {options}")
        problem, flag = _texts(study, file.sheet, task, record)
        if problem:
            problems.append(f"{row}: {problem}")
        elif flag:
            flags.append(f"{file.path}, {row}: {flag}")
        if value:
            comment = _text(record, COMMENT).strip()
            place = f"{file.path}, {row}"
            verdicts.append(Verdict(task, file.sheet, file.annotator, value, comment, place))
    if problems:
        more = len(problems) - MOST_TOLD
        told = [*problems[:MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]
        listed = "".join(f"\n  {problem}" for problem in told)
        raise BadRecordError(f"{file.path}: mend these rows and import again:{listed}")
    yield from verdicts


def _texts(study: Study, sheet: Sheet, task: Task, record: Record) -> tuple[str, str]:
    """What is wrong with the texts of a row, and what is only to be flagged; "" where nothing is.

    Sorting some columns of a spreadsheet and not the others gives verdicts to the wrong responses; an edited
    text does no harm.
    """
    shown = _shown(study, sheet, task)
    changed = [
        name
        for name, text in shown.items()
        if name in record.fields and not _same(_text(record, name), text)
    ]
    if not changed:
        return "", ""
    responses = response_columns(study.rubric)
    if any(name in changed for name in responses):
        for other in study.tasks:
            texts = _shown(study, sheet, other)
            if all(_same(_text(record, name), texts[name]) for name in responses):
                return f"the texts are those of {other.id}: columns were sorted apart", ""
    return "", f"{', '.join(changed)} was edited"


def _shown(study: Study, sheet: Sheet, task: Task) -> dict[str, str]:
    question = study.question_of[task.item_id]
    names = response_columns(study.rubric)
    responses = dict(zip(names, study.responses(sheet, task), strict=True))
    return {QUESTION: question.text, REFERENCE: question.reference, **responses}


def _same(cell: str, text: str) -> bool:
    """Whether a cell holds a text, as CSV or as an Excel file can hold it."""
    found = _squeezed(cell)
    return found in (_squeezed(sheet_text(text)), _squeezed(sheet_text(fitted(text))))


def _text(record: Record, name: str) -> str:
    value: Any = record.fields.get(name)
    return "" if value is None else str(value)


def _squeezed(text: str) -> str:
    return " ".join(text.split())
