"""AlpacaEval's files: instructions with the baseline's outputs in, outputs in and out, annotations in.

Outputs, a baseline's too, are a JSON array in any order::

    {"dataset": "helpful_base", "instruction": "What are …", "output": "Some …", "generator": "…"}

Annotations are one of what a judge said of two outputs. ``preference`` is from 1 for ``output_1``,
the baseline's, to 2; null where the reply could not be read; 1.5, formerly 0, for equal outputs.
``raw_completion`` is the reply's text, the first choice of the chat completion, or absent::

    {"instruction": "…", "output_1": "…", "generator_1": "gpt4_1106_preview", "dataset": "…",
     "output_2": "…", "generator_2": "alpaca-7b", "annotator": "weighted_alpaca_eval_gpt4_turbo",
     "preference": 1.0000001827, "raw_completion": {"finish_reason": "length", "logprobs": …}}

Official code pairs outputs by instruction and drops what has no partner without a word. Here an
instruction without an output lowers the coverage, and one that is not asked is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import logprobs
from benchmarks.alpacaeval_annotators import Annotator
from benchmarks.base import (
    Item,
    Judgment,
    JudgmentStatus,
    Response,
)
from benchmarks.records import Record, read_records

GENERATOR = "plumbline"
"""The model's name in written outputs."""


def read_items(path: Path, fix: str) -> list[Item]:
    """The instructions with a baseline's outputs, in file order; an item's id is its place from 0.

    Args:
        path: the baseline's outputs, or annotations of another model, which hold them too.
        fix: what to do about a damaged file.

    Raises:
        BadRecordError: a field is missing or no text, an instruction comes twice, or there is none.
    """
    records = read_records(path)
    if not records:
        raise Record(path, 1, {}).error("there is no record in it", fix)
    items = []
    seen: set[str] = set()
    for number, record in enumerate(records):
        suffix = "_1" if "output_1" in record.fields else ""
        instruction, output = (
            _text(record, name, fix) for name in ("instruction", f"output{suffix}")
        )
        if instruction in seen:
            raise record.error(f"a second output for {instruction!r}", fix)
        seen.add(instruction)
        reference = {
            "output": output,
            "generator": str(record.fields.get(f"generator{suffix}", "")),
            "dataset": str(record.fields.get("dataset", "")),
        }
        items.append(Item(str(number), str(number), instruction, reference=reference))
    return items


def _text(record: Record, name: str, fix: str) -> str:
    value = record.fields.get(name)
    if not isinstance(value, str):
        found = f"{value!r}, not a text" if name in record.fields else "missing"
        raise record.error(f"{name} is {found}", fix)
    return value


def _item(record: Record, by_instruction: Mapping[str, Item]) -> Item:
    """The item that a record is about. Raises BadRecordError."""
    instruction = _text(record, "instruction", "Write the instruction that was asked")
    item = by_instruction.get(instruction)
    if item is None:
        raise record.error(
            f"{instruction!r} is none of the {len(by_instruction)} instructions",
            "Restore the official text, to the last space, or remove the record",
        )
    return item


def read_outputs(paths: Sequence[Path], items: Sequence[Item]) -> list[Response]:
    """Responses from a model's outputs, or from the ``output_2`` of its annotations.

    An output that is null is a failed generation. A record that only repeats another counts once, as
    it is annotated once officially.

    Raises:
        BadRecordError: an instruction is not asked or has two outputs, or an output is no text.
    """
    by_instruction = {item.question: item for item in items}
    found: dict[str, Response] = {}
    for record in (record for path in paths for record in read_records(path)):
        item = _item(record, by_instruction)
        name = "output_2" if "output_2" in record.fields else "output"
        if name in record.fields and record.fields[name] is None:
            response = Response.failed(item.id, "", f"{record.path}: the output is null")
        else:
            output = _text(record, name, f'Write what the model answered as "{name}"')
            response = Response(item.id, "", output)
        if found.setdefault(item.id, response) != response:
            raise record.error(f"a second output for {item.question!r}", "Keep one")
    return list(found.values())


def read_annotations(
    paths: Sequence[Path], items: Sequence[Item], annotator: Annotator
) -> list[Judgment]:
    """Judgments from official annotations.

    The stored preference counts, and the reply is only kept beside it: official files round the
    log-probabilities more than the preference. ``meta`` has the output that was judged, and "place":
    where the annotation stands among the others, by the numbers of the instructions in the file.

    Raises:
        BadRecordError: a record is no annotation of these outputs by this annotator.
    """
    by_instruction = {item.question: item for item in items}
    found: dict[str, Judgment] = {}
    for record in (record for path in paths for record in read_records(path)):
        item = _item(record, by_instruction)
        if item.id in found:
            raise record.error(f"a second annotation of {item.question!r}", "Keep one")
        _check(record, item, annotator)
        found[item.id] = _judgment(record, item, annotator)
    places = sorted(map(int, found))
    return [
        replace(judgment, meta={**judgment.meta, "place": place})
        for judgment, place in zip(found.values(), places, strict=True)
    ]


def _check(record: Record, item: Item, annotator: Annotator) -> None:
    """Raises BadRecordError where an annotation is another annotator's, or of other outputs."""
    by = record.fields.get("annotator", annotator.name)
    if by != annotator.name:
        fix = f"Name that one: --set alpacaeval.annotator={by}"
        raise record.error(f"annotated by {by!r}, not by {annotator.name}", fix)
    if record.fields.get("output_1", item.reference["output"]) != item.reference["output"]:
        baseline = item.reference["generator"]
        fix = (
            "Name the version of AlpacaEval whose baseline it is: --set alpacaeval.version=1, or 2"
        )
        raise record.error(f"output_1 is not what {baseline} answered", fix)
    if record.fields.get("output_2") is not None:
        _text(record, "output_2", "Write the output that was judged")


def _judgment(record: Record, item: Item, annotator: Annotator) -> Judgment:
    preference, text = _preference(record), _reply_text(record.fields.get("raw_completion"))
    status, values, error = JudgmentStatus.OK, {}, None
    if preference is not None:
        values = {"preference": preference}
    elif text:
        status, error = JudgmentStatus.UNPARSED, "the reply could not be read"
    else:
        status, error = JudgmentStatus.JUDGE_ERROR, "there is neither a preference nor a reply"
    return Judgment(
        item.id,
        item.id,
        key="",
        status=status,
        raw=text,
        values=values,
        model=annotator.model,
        error=error,
        meta={"output": record.fields.get("output_2")},
    )


def _preference(record: Record) -> float | None:
    """None for null and for NaN. Raises BadRecordError for what is no number."""
    if "preference" not in record.fields:
        raise record.error("there is no preference", "Give annotations, not outputs, or write null")
    preference = record.fields["preference"]
    try:
        if preference is None or math.isnan(preference):
            return None
        if not isinstance(preference, bool):
            return float(preference)
    except (TypeError, OverflowError):
        pass
    raise record.error(f"preference is {preference!r}", "Write a number from 1 to 2, or null")


def _reply_text(raw: Any) -> str:
    """A stored reply as ``Judgment.raw`` has it; empty where there is none."""
    if isinstance(raw, Mapping):
        message = raw.get("message")
        text = message.get("content") if isinstance(message, Mapping) else ""
        found = logprobs.of_choice(raw)
        return logprobs.pack(text or "", found) if found is not None else text or ""
    return raw if isinstance(raw, str) else ""


def written_outputs(items: Sequence[Item], outputs: Mapping[str, str]) -> str:
    """A model's outputs, by item id, as an official file; items without one are left out."""
    records: list[dict[str, Any]] = [
        {
            "dataset": item.reference["dataset"],
            "instruction": item.question,
            "output": outputs[item.id],
            "generator": GENERATOR,
        }
        for item in items
        if item.id in outputs
    ]
    # json.dumps writes ASCII: an output may hold lone surrogates, which UTF-8 does not have.
    return json.dumps(records, indent=2) + "\n"
