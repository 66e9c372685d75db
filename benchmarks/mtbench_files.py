"""MT-Bench's files: questions, prompts, references and judgments in, answers in and out.

All are JSON Lines, as FastChat writes them (``fastchat/llm_judge``)::

    {"question_id": 81, "category": "writing", "turns": ["Compose …", "Rewrite …"]}
    {"name": "single-v1", "system_prompt": "…", "prompt_template": "…{question}…", …}
    {"question_id": 81, "answer_id": "…", "model_id": "…",
     "choices": [{"index": 0, "turns": ["Aloha …", "Across …"]}], "tstamp": 1686286924.8}
    {"question_id": 81, "model": "…", "judge": ["gpt-4", "single-v1"], "user_prompt": "…",
     "judgment": "… Rating: [[8]]", "score": 8, "turn": 1, "tstamp": 1686286925.8}

Reference answers have the form of answers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.base import (
    BadRecordError,
    Item,
    Judgment,
    JudgmentStatus,
    PlumblineError,
    Response,
    ResponseStatus,
    sha256_of,
)
from benchmarks.judge_runs import run_id
from benchmarks.records import Record, read_records

N_QUESTIONS = 80
N_TURNS = 2

NEEDS_REFERENCE = ("math", "reasoning", "coding", "arena-hard-200")
"""FastChat's ``NEED_REF_CATS``: the judge is shown a reference answer."""

PROMPT_FIELDS = {
    "single-v1": ("question", "answer"),
    "single-math-v1": ("question", "ref_answer_1", "answer"),
    "single-v1-multi-turn": ("question_1", "answer_1", "question_2", "answer_2"),
    "single-math-v1-multi-turn": (
        "question_1", "ref_answer_1", "question_2", "ref_answer_2", "answer_1", "answer_2",
    ),
}  # fmt: skip
"""What each judge prompt is filled with."""

MAX_SCORE = 1e300
"""A judge may write any number; sums of greater ones would not be finite."""

JUDGE_FAILED = "$ERROR$"
"""What the official script grades when its judge cannot be reached."""

MODEL_ID = "plumbline"
"""The model's name in written answers; officially it is that of the file."""


def read_questions(path: Path, fix: str) -> list[Item]:
    """The 80 questions in file order; an item's id is the question's, as text.

    Args:
        path: ``question.jsonl``.
        fix: what to do about a damaged file.

    Raises:
        BadRecordError: a field is missing or wrong, an id comes twice, or there are not 80 records.
    """
    records = read_records(path)
    items: dict[str, Item] = {}
    for record in records:
        item = _item(record, fix)
        if item.id in items:
            raise record.error(f"a second question {item.id}", fix)
        items[item.id] = item
    if len(records) != N_QUESTIONS:
        raise BadRecordError(f"{path}: {len(records)} records instead of {N_QUESTIONS}. {fix}")
    return list(items.values())


def _item(record: Record, fix: str) -> Item:
    fields = record.fields
    number, category, turns = (fields.get(n, "") for n in ("question_id", "category", "turns"))
    if not isinstance(number, int) or isinstance(number, bool):
        raise record.error(f"question_id is {number!r}, not a whole number", fix)
    if not isinstance(category, str) or not category:
        raise record.error(f"category is {category!r}, not a text", fix)
    if not _are_texts(turns) or len(turns) != N_TURNS:
        raise record.error(f"turns are no list of {N_TURNS} texts", fix)
    reference: dict[str, Any] = {"question_id": number, "turns": turns}
    if "required_temperature" in fields:
        temperature = fields["required_temperature"]
        if not _is_number(temperature) or temperature < 0:
            raise record.error(f"required_temperature is {temperature!r}, not a number", fix)
        reference["required_temperature"] = float(temperature)
    return Item(str(number), str(number), turns[0], category, reference=reference)


@dataclass(frozen=True)
class JudgePrompt:
    """One of the official judge prompts; ``template`` is for ``str.format``."""

    system: str
    template: str


def read_prompts(path: Path, fix: str) -> dict[str, JudgePrompt]:
    """The judge prompts of single-answer grading, by name.

    Args:
        path: ``judge_prompts.jsonl``.
        fix: what to do about a damaged file.

    Raises:
        BadRecordError: a prompt is missing, or cannot be filled.
    """
    prompts = {}
    for record in read_records(path):
        name = str(record.fields.get("name"))
        if name not in PROMPT_FIELDS:
            continue
        system, template = (record.fields.get(f) for f in ("system_prompt", "prompt_template"))
        if not isinstance(system, str) or not isinstance(template, str):
            raise record.error("system_prompt or prompt_template is no text", fix)
        try:
            template.format(**dict.fromkeys(PROMPT_FIELDS[name], ""))
        except (LookupError, ValueError, AttributeError) as error:
            problem = f"the template of {name} cannot be filled ({error!r})"
            raise record.error(problem, fix) from error
        prompts[name] = JudgePrompt(system, template)
    if absent := PROMPT_FIELDS.keys() - prompts.keys():
        raise BadRecordError(f"{path}: no judge prompt {', '.join(sorted(absent))}. {fix}")
    return prompts


def read_references(path: Path, fix: str) -> dict[int, list[str]]:
    """Reference answers, one for each turn, by question id; the last record of an id counts.

    Raises:
        BadRecordError: a record has no question id, or not an answer for each turn.
    """
    references = {}
    for record in read_records(path):
        turns = _turns(record, fix)
        if len(turns) != N_TURNS:
            raise record.error(f"{len(turns)} reference answers instead of {N_TURNS}", fix)
        references[_question_id(record, fix)] = turns
    return references


def read_answers(paths: Sequence[Path], items: Sequence[Item]) -> list[Response]:
    """Responses from answer files of one model. Of one id's records the last counts, as officially.

    Raises:
        BadRecordError: answers of several models, to a question that is not there, or no texts.
    """
    records = [record for path in paths for record in read_records(path)]
    models = {str(record.fields.get("model_id")) for record in records}
    if len(models) > 1:
        listed = ", ".join(sorted(models))
        raise BadRecordError(
            f"{', '.join(map(str, paths))}: answers of several models ({listed}). Give one model's"
        )
    fix = "Write one record for each question, with choices: [{turns: [first, second answer]}]"
    turns_of = {}
    for record in records:
        item = _item_of(record, items, fix)
        turns = _turns(record, fix)
        if len(turns) > N_TURNS:
            raise record.error(f"{len(turns)} turns; a question has {N_TURNS}", fix)
        turns_of[item.id] = turns
    return [
        Response(turn_id(item_id, number), "", text)
        for item_id, turns in turns_of.items()
        for number, text in enumerate(turns, start=1)
    ]


def written_answers(items: Sequence[Item], responses: Mapping[str, Response]) -> str:
    """The answers to items whose turns are all answered, as an official answer file.

    Officially a failed generation is the answer "ERROR", which is graded. Here it is left out: the
    official judge then names the question that has no answer.
    """
    lines = []
    for item in items:
        turns = [responses.get(turn_id(item.id, n)) for n in range(1, N_TURNS + 1)]
        texts = [r.text.strip() for r in turns if r is not None and r.status is ResponseStatus.OK]
        if len(texts) < N_TURNS:
            continue
        record = {
            "question_id": item.reference["question_id"],
            # Officially random, and the time of writing: here the same answers give the same file.
            "answer_id": sha256_of([item.id, texts])[:22],
            "model_id": MODEL_ID,
            "choices": [{"index": 0, "turns": texts}],
            "tstamp": 0.0,
        }
        # json.dumps writes ASCII: an answer may hold lone surrogates, which UTF-8 does not have.
        lines.append(json.dumps(record) + "\n")
    return "".join(lines)


def turn_id(item_id: str, turn: int) -> str:
    """The id of the request for a turn, counted from 1: ``"81"``, ``"81#2"``."""
    return item_id if turn == 1 else f"{item_id}#{turn}"


def place_of(judgment: Judgment) -> tuple[int, int]:
    """Turn and run of a judgment, from its id: ``"81"``, ``"81#2"``, ``"81#2#run3"``."""
    suffix = judgment.request_id.removeprefix(judgment.item_id)
    match = re.fullmatch(r"(?:#(?P<turn>\d+))?(?:#run(?P<run>\d+))?", suffix)
    if match is None:
        raise PlumblineError(f"{judgment.request_id!r} is no judgment's id; judge the run again")
    return int(match["turn"] or 1), int(match["run"] or 1)


def read_judgments(paths: Sequence[Path], items: Sequence[Item], model: str) -> list[Judgment]:
    """One model's judgments from ``gpt-4_single.jsonl`` files, not parsed yet.

    Judging again appends to the file, and all of it counts: further judgments of a turn are further
    runs. The score on file is kept in ``meta["score_on_file"]``, and calls that officially failed
    are judge errors.

    Args:
        model: whose judgments; may be empty where there is only one model.

    Raises:
        BadRecordError: no judgments, or none of this model; those of several models and none is
            chosen; a record is damaged or about a question that is not there.
    """
    records = [record for path in paths for record in read_records(path)]
    n_runs: Counter[str] = Counter()
    judgments = []
    for record in _of_model(paths, records, model):
        item = _item_of(record, items, "Give judgments of MT-Bench's own questions")
        turn = record.fields.get("turn")
        if turn not in (1, 2):
            raise record.error(f"turn is {turn!r}", "Write 1 or 2")
        asked = turn_id(item.id, int(turn))
        n_runs[asked] += 1
        judgments.append(_judgment(record, item, run_id(asked, n_runs[asked])))
    return judgments


def _of_model(paths: Sequence[Path], records: Sequence[Record], model: str) -> Iterator[Record]:
    found = {_model(record) for record in records}
    listed, files = ", ".join(sorted(found)), ", ".join(map(str, paths))
    if not found:
        raise BadRecordError(f"{files}: there is no judgment in it. Check the path")
    if model and model not in found:
        raise BadRecordError(f"{files}: no judgments of {model!r}. Models there: {listed}")
    if not model and len(found) > 1:
        raise BadRecordError(
            f"{files}: judgments of several models. Choose by --set mtbench.model=NAME: {listed}"
        )
    return (record for record in records if not model or _model(record) == model)


def _model(record: Record) -> str:
    model = record.fields.get("model")
    if not isinstance(model, str):
        raise record.error(f"model is {model!r}, not a name", "Write whose answer was judged")
    return model


def _judgment(record: Record, item: Item, request_id: str) -> Judgment:
    fields = record.fields
    raw, score, judge = fields.get("judgment", ""), fields.get("score"), fields.get("judge")
    if not isinstance(raw, str):
        raise record.error("judgment is no text", "Write the judge's reply")
    if score is not None and not _is_number(score):
        raise record.error(f"score is {score!r}, not a number", "Write the rating, or -1")
    if "score" not in fields and not raw:
        raise record.error("neither judgment nor score is there", "Write the judge's reply")
    failed = raw == JUDGE_FAILED and score in (None, -1)
    names = [judge] if isinstance(judge, str) else judge if _are_texts(judge) else []
    return Judgment(
        request_id=request_id,
        item_id=item.id,
        key="",
        status=JudgmentStatus.JUDGE_ERROR if failed else JudgmentStatus.OK,
        raw=raw,
        model=names[0] if names else "",
        error="the official script could not reach its judge" if failed else None,
        meta={"score_on_file": score} if "score" in fields else {},
    )


def _item_of(record: Record, items: Sequence[Item], fix: str) -> Item:
    number = _question_id(record, fix)
    item = next((item for item in items if item.reference["question_id"] == number), None)
    if item is None:
        raise record.error(f"question_id is {number}, and there is no such question", fix)
    return item


def _question_id(record: Record, fix: str) -> int:
    """Officially a whole number; also one in a string, as a table's export may have it."""
    number = record.fields.get("question_id")
    if isinstance(number, str) and re.fullmatch("[0-9]{1,9}", number):
        return int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        raise record.error(f"question_id is {number!r}, not a whole number", fix)
    return number


def _turns(record: Record, fix: str) -> list[str]:
    """The texts of the first choice, the only one that is judged."""
    try:
        turns = record.fields["choices"][0]["turns"]
    except (LookupError, TypeError) as error:
        raise record.error("there is no choices[0].turns", fix) from error
    if not _are_texts(turns):
        raise record.error("choices[0].turns is no list of texts", fix)
    texts: list[str] = turns
    return texts


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= MAX_SCORE  # False for NaN; exact for integers of any length
