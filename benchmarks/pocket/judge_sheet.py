"""The form of a pocket judge's prompt: a title, what to do, and one line for each field.

A field's value stands as JSON in ASCII. It therefore has no line break, and whatever a model under
test answers, it cannot add, end or replace a field: the oracle reads back exactly what was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_FIELDS = "The fields, as JSON:"


def write(title: str, task: str, fields: Mapping[str, str | list[str]]) -> str:
    """A prompt. ``title`` is one line, by which an oracle knows its prompts."""
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items()]
    return "\n".join([title, "", task, "", _FIELDS, *lines])


def title_of(prompt: str) -> str:
    return prompt.split("\n", 1)[0]


def read(prompt: str, *names: str) -> list[Any]:
    """The values of a prompt's fields, which must be these, in this order.

    Raises:
        ValueError: the text is no such prompt.
    """
    _, found, rest = prompt.rpartition(f"\n{_FIELDS}\n")
    pairs = [line.partition(": ") for line in rest.split("\n")]
    if not found or [name for name, *_ in pairs] != list(names):
        raise ValueError("this is not a prompt for the pocket oracle")
    values = [json.loads(value) for *_, value in pairs]
    for value in values:
        if not all(
            isinstance(text, str) for text in (value if isinstance(value, list) else [value])
        ):
            raise ValueError("a field of the prompt is no text")
    return values
