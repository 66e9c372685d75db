"""Fields of preference records that are more than text: scores, marked characters, ratings, dictionaries in strings."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

from trainers.pairs import Spans
from trainers.preference_files import Row
from trainers.token_weights import Span


def dictionary_of(value: Any) -> Any:
    """A dictionary that may stand as its Python text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return value


def completions_of(row: Row) -> list[Mapping[str, Any]]:
    """VLFeedback's answers: a list of objects, or, from the hub's first version, an object of lists.

    Raises BadRecordError.
    """
    value = row.fields["completions"]
    if isinstance(value, Mapping) and all(isinstance(part, list) for part in value.values()):
        names = list(value)
        value = [
            dict(zip(names, parts, strict=False)) for parts in zip(*value.values(), strict=False)
        ]
    if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
        raise row.error("completions is no list of answers", "Restore the data set's file")
    return value


def mean_rating(annotations: Any) -> float | None:
    """The mean of an answer's ratings, which are texts; None if one of them is no number."""
    if not isinstance(annotations, Mapping):
        return None
    ratings = [
        number_of(aspect.get("Rating")) if isinstance(aspect, Mapping) else None
        for aspect in annotations.values()
    ]
    told = [rating for rating in ratings if rating is not None]
    return sum(told) / len(told) if told and len(told) == len(ratings) else None


def number_of(value: Any) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def scores_of(row: Row) -> dict[str, float]:
    """``scores`` by name, empty where there are none. Raises BadRecordError."""
    given = row.fields.get("scores") or {}
    fix = 'Write {"chosen": 4, "rejected": 1}'
    if not isinstance(given, Mapping):
        raise row.error("scores is no object", fix)
    found = {}
    for name, value in given.items():
        if value is None:  # Parquet's way to say that this row has no such score
            continue
        number = number_of(value)
        if number is None:
            raise row.error(f"scores.{name} is {value!r}, not a number", fix)
        found[name] = number
    return found


def spans_of(row: Row) -> Spans | None:
    """``spans``, marked characters of the two answers. Raises BadRecordError."""
    given = row.fields.get("spans")
    if not given:
        return None
    fix = 'Write {"chosen": [[start, end], …], "rejected": […]}, counted in characters'
    if not isinstance(given, Mapping):
        raise row.error("spans is no object", fix)
    found: dict[str, tuple[Span, ...]] = {}
    for name in ("chosen", "rejected"):
        length = len(row.fields[name]) if isinstance(row.fields.get(name), str) else 0
        spans = given.get(name) or []
        for span in spans:
            if not (
                isinstance(span, list)
                and len(span) == 2
                and all(isinstance(at, int) for at in span)
                and 0 <= span[0] < span[1] <= length
            ):
                raise row.error(f"spans.{name} has {span!r}, which is not in the text", fix)
        found[name] = tuple((start, end) for start, end in spans)
    return Spans(found["chosen"], found["rejected"])
