"""SteerLM (2402.10884): answers are learned with their ratings in the prompt; later, good ratings are asked for.

Two forms of the condition, both at the end of the user's turn, so that the loss is on the answer only and any chat
template and engine can take it:

* ``likert``, mllm-dpo's: an instruction and ``Helpfulness:4,Correctness:4,…``
* ``nemo``: NeMo-Aligner's label ``<extra_id_2>quality:4,toxicity:0,…``. NeMo writes it at the beginning of the
  assistant's turn, which its own template leaves open for it; other templates do not.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from benchmarks.base import Message, PlumblineError
from harness.store import write_atomically
from trainers.conversations import conversation
from trainers.pairs import Dropped, Preference
from trainers.preference_files import Row, read_rows
from trainers.preference_formats import record_id
from trainers.preferences import Preferences, read_preferences
from trainers.scored import (
    LIKERT_ATTRIBUTES,
    STEERLM_ATTRIBUTES,
    STEERLM_PREFIX,
    likert_request,
    steerlm_label,
)

Style = Literal["likert", "nemo"]

SOURCE = "steerlm"
TEMPLATE = "chat_template.jinja"

NEMO_WANTED: Mapping[str, float] = {
    **dict.fromkeys(STEERLM_ATTRIBUTES, 4.0),
    **dict.fromkeys(("toxicity", "humor", "creativity"), 0.0),
}
LIKERT_WANTED: Mapping[str, float] = dict.fromkeys(LIKERT_ATTRIBUTES, 4.0)


def condition(ratings: Mapping[str, float], style: Style) -> str:
    """What is added to the user's turn.

    Args:
        ratings: by name in either spelling, 0 to 4. NeMo's label leaves out what is not there.

    Raises:
        PlumblineError: a rating that the form needs is missing.
    """
    if style == "nemo":
        known = {name.lower(): value for name, value in ratings.items()}
        label = steerlm_label(known)
        if not label:
            raise PlumblineError(f"none of {', '.join(STEERLM_ATTRIBUTES)} is rated")
        return f"\n{STEERLM_PREFIX}{label}"
    if missing := [name for name in LIKERT_ATTRIBUTES if name not in ratings]:
        raise PlumblineError(f"{', '.join(missing)} not rated")
    return likert_request(ratings)


def wanted(style: Style) -> str:
    """The condition that is put to a trained model: the best of everything."""
    return condition(NEMO_WANTED if style == "nemo" else LIKERT_WANTED, style)


def read_rated(
    source: str | Path, image_dir: Path | None = None, split: str = "train"
) -> Preferences:
    """Answers with ratings: what ``rejection --rated`` wrote, or 2402.10884's scored answers.

    Raises:
        BadRecordError: a record cannot be read.
        PlumblineError: there is no such source, or no answer in it.
    """
    rows = read_rows(source, image_dir, split)
    if rows and "Output" in rows[0].fields:
        return Preferences(tuple(_scored(row) for row in rows), (), "gemini_scored")
    return read_preferences(source, image_dir=image_dir, split=split)


def _scored(row: Row) -> Preference:
    ratings = {}
    for name in LIKERT_ATTRIBUTES:
        value = row.fields.get(name)
        if isinstance(value, int | float):
            ratings[name] = float(value)
    messages = conversation(row, row.text("question"))
    return Preference(record_id(row), messages, row.text("Output"), scores=ratings)


def conditioned(rated: Preferences, style: Style) -> Preferences:
    """Records to supervise with: each answer, its own ratings told in the prompt.

    Raises:
        PlumblineError: no answer has the ratings.
    """
    kept: list[Preference] = []
    dropped: list[Dropped] = list(rated.dropped)
    for pair in rated.pairs:
        try:
            suffix = condition(pair.scores, style)
        except PlumblineError as error:
            dropped.append(Dropped(pair.id, str(error)))
            continue
        *before, last = pair.messages
        asked = Message(last.role, last.text + suffix, last.pictures)
        kept.append(replace(pair, messages=(*before, asked), rejected=None, source=SOURCE))
    found = Preferences(tuple(kept), tuple(dropped), SOURCE)
    if not kept:
        raise PlumblineError(
            f"no answer has the ratings that it is to be learned with. {found.report()}"
        )
    return found


def ask_always(checkpoint: Path, out: Path, suffix: str) -> None:
    """A copy of a checkpoint whose chat template adds a suffix to the last question of every conversation.

    Weights are linked where the file system can, not copied. The copy appears when it is whole.

    Raises:
        PlumblineError: the checkpoint has no chat template of its own, or ``out`` is there already.
    """
    template = checkpoint / TEMPLATE
    if not template.is_file():
        raise PlumblineError(
            f"{checkpoint}: there is no {TEMPLATE} that a suffix could be added to"
        )
    if out.exists():
        raise PlumblineError(f"{out} is there already; use another --out")
    half = out.with_name(f"{out.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(checkpoint, half, copy_function=_link)
    write_atomically(half / TEMPLATE, _adding(suffix) + template.read_text(encoding="utf-8"))
    half.rename(out)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _adding(suffix: str) -> str:
    """What stands before a chat template to change the messages that it is given."""
    text = json.dumps(suffix)  # its escapes are Jinja's, too
    return (
        "{%- set asked = namespace(last=-1, messages=[]) -%}"
        "{%- for message in messages -%}{%- if message['role'] == 'user' -%}"
        "{%- set asked.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
        "{%- for message in messages -%}{%- if loop.index0 == asked.last -%}"
        f"{{%- set suffix = {text} -%}}{{%- set content = message['content'] -%}}"
        "{%- set content = content + suffix if content is string "
        "else content + [{'type': 'text', 'text': suffix}] -%}"
        "{%- set asked.messages = asked.messages + [{'role': 'user', 'content': content}] -%}"
        "{%- else -%}{%- set asked.messages = asked.messages + [message] -%}{%- endif -%}"
        "{%- endfor -%}{%- set messages = asked.messages -%}"
    )
