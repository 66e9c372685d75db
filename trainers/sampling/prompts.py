"""Prompts to sample answers for: those of any preference data, or records that hold nothing else."""

from __future__ import annotations

from pathlib import Path

from benchmarks.base import PlumblineError, sha256_of
from trainers.conversations import conversation
from trainers.pairs import Dropped, Preference
from trainers.preference_files import Row, read_rows
from trainers.preference_formats import Choices, record_id
from trainers.preferences import Preferences, format_of, preferences_of

PROMPTS = "prompts"
"""The format of ``{"id", "image", "prompt"}``, beside those of ``preference_formats.FORMATS``."""

PROMPT_FIELDS = ("prompt", "question")


def read_prompts(
    source: str | Path,
    *,
    format: str = "auto",
    image_dir: Path | None = None,
    split: str = "train",
    choices: Choices | None = None,
) -> Preferences:
    """Every different prompt of a source once, with the first of its chosen answers ("" if it has none).

    Args:
        source, image_dir, split, choices: as for ``preferences.read_preferences``.
        format: a name in ``FORMATS``, ``prompts``, or "auto" to go by the fields of the first record.

    Raises:
        BadRecordError: a record is not of the format; the text names file, line and fix.
        PlumblineError: there is no such source or format, or there is no prompt in it.
    """
    rows = read_rows(source, image_dir, split)
    if format == "auto" and rows and format_of(rows[0]) is None and _prompt_field(rows[0]):
        format = PROMPTS
    if format == PROMPTS:
        found = Preferences(tuple(_prompt(row) for row in rows), (), PROMPTS)
    else:
        found = preferences_of(rows, source, format, choices)
    if not found.pairs:
        raise PlumblineError(f"{source}: there is no prompt in it")
    return _distinct(found)


def _prompt_field(row: Row) -> str | None:
    return next((name for name in PROMPT_FIELDS if row.fields.get(name)), None)


def _prompt(row: Row) -> Preference:
    name = _prompt_field(row)
    if name is None:
        raise row.error("there is no prompt", 'Write "prompt": "…"')
    return Preference(record_id(row), conversation(row, row.fields[name]), "", source=PROMPTS)


def _distinct(found: Preferences) -> Preferences:
    kept: dict[str, Preference] = {}
    ids: set[str] = set()
    dropped = list(found.dropped)
    for pair in found.pairs:
        key = _prompt_key(pair)
        if pair.id in ids:
            raise PlumblineError(f"two records have the id {pair.id}; give each prompt its own")
        if key in kept:
            dropped.append(Dropped(pair.id, "the same prompt as another record's"))
        else:
            kept[key] = pair
            ids.add(pair.id)
    return Preferences(tuple(kept.values()), tuple(dropped), found.format)


def _prompt_key(pair: Preference) -> str:
    return sha256_of([message.content() for message in pair.messages])


def key_of(pair: Preference) -> str:
    """SHA-256 over a conversation, pictures by content, and the answers that came with it. Raises PictureError."""
    return sha256_of([_prompt_key(pair), pair.chosen, pair.rejected])
