"""A made-up MT-Bench folder: 80 questions of the official form, judge prompts, references."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Records = list[dict[str, Any]]

CATEGORIES = (
    "writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities",
)  # fmt: skip

PROMPTS: Records = [
    {"name": "pair-v2", "system_prompt": "Compare.", "prompt_template": "{answer_a} {answer_b}"},
    {"name": "single-v1", "system_prompt": "Help.", "prompt_template": "Q {question} A {answer}"},
    {
        "name": "single-math-v1",
        "system_prompt": "Help.",
        "prompt_template": "Q {question} R {ref_answer_1} A {answer}",
    },
    {
        "name": "single-v1-multi-turn",
        "system_prompt": "Rate.\n\n",
        "prompt_template": "{question_1} | {answer_1} | {question_2} | {answer_2}",
    },
    {
        "name": "single-math-v1-multi-turn",
        "system_prompt": "Rate maths.\n\n",
        "prompt_template": "{question_1} {ref_answer_1} {question_2} {ref_answer_2} | "
        "{question_1} {answer_1} {question_2} {answer_2}",
    },
]


def questions() -> Records:
    return [
        {
            "question_id": 81 + n,
            "category": CATEGORIES[n // 10],
            "turns": [f"First {81 + n}?", f"And {{then}} {81 + n}?"],
        }
        for n in range(80)
    ]


def answer(question_id: Any, *turns: Any, **more: Any) -> dict[str, Any]:
    """A record of an official answer file."""
    choices = [{"index": 0, "turns": list(turns)}]
    return {"question_id": question_id, "model_id": "m", "choices": choices, **more}


def judged(question_id: Any, turn: Any, judgment: Any, **more: Any) -> dict[str, Any]:
    """A record of an official judgment file, without a score unless it is given."""
    record = {"question_id": question_id, "model": "m", "judge": ["gpt-4", "single-v1"]}
    return {**record, "judgment": judgment, "turn": turn, **more}


def written(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def make_folder(data_dir: Path) -> Path:
    """DATA_DIR with the files of MT-Bench in it."""
    folder = data_dir / "mtbench"
    written(folder / "question.jsonl", questions())
    written(folder / "judge_prompts.jsonl", PROMPTS)
    references = [answer(n, f"Ref {n}.", f"Ref2 {n}.") for n in range(101, 131)]
    written(folder / "reference_answer_gpt-4.jsonl", references)
    return data_dir
