"""A small MMBench table (4, 3 and 2 options, three pictures, in the newer form), and its answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from benchmarks.base import Item, Judgment, JudgmentStatus, Response
from benchmarks.mmbench import MMBench
from benchmarks.tables import Cell, tsv_text

Row = dict[str, Any]

COLUMNS = (
    "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source",
    "l2-category", "comment", "split",
)  # fmt: skip
"""In the order of the official tables."""

QUESTIONS: Sequence[Row] = (
    {
        "index": 1,
        "question": "What is it?",
        "options": ["cat", "dog", "cow", "hen"],
        "answer": "B",
        "category": "identity_reasoning",
        "l2-category": "attribute_reasoning",
    },
    {
        "index": 2,
        "question": "How many?",
        "hint": "Count them.",
        "options": ["1", "2", "3"],
        "answer": "A",
        "category": "object_localization",
        "l2-category": "finegrained_perception (instance-level)",
    },
    {
        "index": 5,
        "question": "图中有猫吗",
        "options": ["yes", "no"],
        "answer": "B",
        "category": "ocr",
        "l2-category": "finegrained_perception (instance-level)",
    },
)


def picture(colour: tuple[int, int, int]) -> str:
    """A small picture as base64."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def rows(questions: Sequence[Row] = QUESTIONS) -> list[Row]:
    """First all base passes, then the others, which refer to the picture of their base."""
    found = []
    for place, question in enumerate(questions):
        options, right = question["options"], "ABCD".index(question["answer"])
        for by in range(len(options)):
            index = question["index"]
            moved = options[-by:] + options[:-by] if by else options
            found.append(
                {
                    **{name: question.get(name, "") for name in COLUMNS},
                    **dict(zip("ABCD", moved, strict=False)),
                    "index": index + by * 1_000_000,
                    "answer": "ABCD"[(right + by) % len(options)],
                    "image": index if by else picture((place, 0, 0)),
                    "split": question.get("split", "dev"),
                }
            )
    return sorted(found, key=lambda row: row["index"])


def table(content: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    lines: list[list[Cell]] = [[*columns], *([row.get(c, "") for c in columns] for row in content)]
    return tsv_text(lines)


def data_folder(
    path: Path,
    content: Sequence[Mapping[str, Any]] | None = None,
    *,
    version: str = "MMBench_DEV_EN",
    columns: Sequence[str] = COLUMNS,
) -> Path:
    """A data folder with a table and two matcher prompts."""
    folder = path / "mmbench"
    folder.mkdir(exist_ok=True)
    text = table(rows() if content is None else content, columns)
    (folder / f"{version}.tsv").write_text(text, encoding="utf-8")
    for name, language in (("matcher_prompt_en.txt", "EN"), ("matcher_prompt_cn.txt", "CN")):
        prompt = f"{language} Q: {{question}}? O: {{options}} A: {{prediction}} ->"
        (folder / name).write_text(prompt, encoding="utf-8")
    return path


Answers = Mapping[str, str]
"""Texts by request id; requests that are not there are answered rightly."""

NOTHING: Answers = MappingProxyType({})


def opened(path: Path, content: Sequence[Row] | None = None, **options: Any) -> MMBench:
    return MMBench("official", data_folder(path, content), **options)


def item_of(mmbench: MMBench, item_id: str) -> Item:
    return next(item for item in mmbench.items() if item.id == item_id)


def answered(mmbench: MMBench, answers: Answers) -> dict[str, list[Response]]:
    found = {}
    for item in mmbench.items():
        turns: list[Response] = []
        while (request := mmbench.request(item, turns)) is not None:
            right = item.reference["passes"][len(turns)].answer
            turns.append(Response(request.id, "", answers.get(request.id, right)))
        found[item.id] = turns
    return found


def judged(
    mmbench: MMBench, turns: Mapping[str, Sequence[Response]], replies: Answers
) -> dict[str, list[Judgment]]:
    """Judgments by item, of all that the matcher is asked and that ``replies`` has by request id."""
    found: dict[str, list[Judgment]] = {}
    for item in mmbench.items():
        for request in mmbench.judge_requests(item, turns[item.id]):
            if request.id in replies:
                raw = replies[request.id]
                read = mmbench.read_reply(request, raw) is not None
                status = JudgmentStatus.OK if read else JudgmentStatus.UNPARSED
                judgment = Judgment(request.id, item.id, "", status, raw=raw)
                found.setdefault(item.id, []).append(judgment)
    return found
