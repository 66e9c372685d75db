"""Preference data in one schema: read from what people have, and cut to what can be trained on.

``read_preferences`` takes a JSON, JSON Lines or Parquet file, a folder of such, or a hub data set, in the formats of
``preference_formats.FORMATS``. Nothing is lost silently: what is no pair, and what is too long, is listed with its
id and the reason.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.base import PlumblineError
from trainers.conversations import UnusableError
from trainers.pairs import Dropped, Preference
from trainers.preference_files import Row, read_rows
from trainers.preference_formats import FORMATS, Choices, Converted, Format, record_id


class Lengths(NamedTuple):
    """Numbers of tokens as the model is fed them: the prompt with its picture tokens, and the two answers."""

    prompt: int
    chosen: int
    rejected: int = 0


@dataclass(frozen=True)
class Preferences:
    """A data set, ready for training.

    Attributes:
        pairs: in the order of the source.
        dropped: what was left out, and why.
        format: the name in ``FORMATS``.
    """

    pairs: tuple[Preference, ...]
    dropped: tuple[Dropped, ...]
    format: str

    def report(self, n_ids: int = 5) -> str:
        """What was read and left out, with the first few ids of each reason."""
        lines = [f"{len(self.pairs):,} pairs ({self.format}), {len(self.dropped):,} left out"]
        for reason, number in Counter(item.reason for item in self.dropped).most_common():
            ids = [item.id for item in self.dropped if item.reason == reason][:n_ids]
            more = ", …" if number > n_ids else ""
            lines.append(f"  {number:,}: {reason} ({', '.join(ids)}{more})")
        return "\n".join(lines)


def read_preferences(
    source: str | Path,
    *,
    format: str = "auto",
    image_dir: Path | None = None,
    split: str = "train",
    choices: Choices | None = None,
) -> Preferences:
    """All pairs of a source.

    Args:
        source: a file, a folder, or a hub data set as ``owner/name@revision``.
        format: a name in ``FORMATS``; "auto" goes by the fields of the first record.
        image_dir: what relative picture paths start from; the file's own folder by default.
        split: of a hub data set.
        choices: what some formats leave open.

    Raises:
        BadRecordError: a record is not of the format; the text names file, line and fix.
        PlumblineError: there is no such source or format, or there is no pair in it.
    """
    return preferences_of(read_rows(source, image_dir, split), source, format, choices)


def preferences_of(
    rows: Sequence[Row], source: str | Path, format: str = "auto", choices: Choices | None = None
) -> Preferences:
    """``read_preferences`` of records that were read already."""
    if not rows:
        raise PlumblineError(f"{source}: there is no record in it")
    name = _detected(rows[0]) if format == "auto" else _known(format)
    pairs: dict[str, Preference] = {}
    repeats: Counter[str] = Counter()
    dropped = []
    for item in _converted(FORMATS[name], rows, choices or Choices()):
        if isinstance(item, Dropped):
            dropped.append(item)
        else:
            id = _unused(item.id, pairs, repeats)
            pairs[id] = replace(item, id=id, source=item.source or name)
    found = Preferences(tuple(pairs.values()), tuple(dropped), name)
    if not pairs:
        raise PlumblineError(f"{source}: there is no pair in it. {found.report()}")
    return found


def without_long(
    preferences: Preferences, lengths: Callable[[Preference], Lengths], max_length: int
) -> Preferences:
    """The data set without the pairs of which either answer makes the sequence too long.

    A pair is kept or left out whole. Cutting would take away picture tokens, and the model then fails
    or reads the picture wrongly, or the end of an answer, which is what it is to learn.

    Args:
        lengths: counts a pair's tokens with the checkpoint's own processor.
        max_length: tokens of prompt and answer together.

    Raises:
        PlumblineError: no pair is short enough.
    """
    kept, dropped, longest = [], [], 0
    for pair in preferences.pairs:
        told = lengths(pair)
        total = told.prompt + max(told.chosen, told.rejected)
        longest = max(longest, total)
        if total <= max_length:
            kept.append(pair)
        else:
            dropped.append(Dropped(pair.id, f"longer than {max_length} tokens"))
    if not kept:
        raise PlumblineError(
            f"every pair is longer than {max_length} tokens, pictures included (the longest has {longest}). "
            "Allow more"
        )
    return replace(preferences, pairs=tuple(kept), dropped=(*preferences.dropped, *dropped))


def format_of(row: Row) -> str | None:
    """The first format that a record fits, by its fields."""
    for name, format in FORMATS.items():
        if all(field in row.fields for field in format.fields) and format.also(row.fields):
            return name
    return None


def _detected(row: Row) -> str:
    name = format_of(row)
    if name is not None:
        return name
    listed = "; ".join(f"{name}: {', '.join(format.fields)}" for name, format in FORMATS.items())
    raise row.error(
        f"no known format has the fields {', '.join(map(str, row.fields))}",
        f"Write image, prompt, chosen and rejected, or one of these: {listed}",
    )


def _known(name: str) -> str:
    if name in FORMATS:
        return name
    close = difflib.get_close_matches(name, FORMATS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise PlumblineError(f"no format {name!r}{hint} (known: auto, {', '.join(FORMATS)})")


def _converted(format: Format, rows: Sequence[Row], choices: Choices) -> Converted:
    for row in rows:
        for field in format.fields:
            if field not in row.fields:
                raise row.error(
                    f"{field} is missing", f"Give every record {', '.join(format.fields)}"
                )
    if format.grouped:
        yield from format.convert(rows, choices)
        return
    for row in rows:
        yield from _usable(row, format.convert(row, choices))


def _usable(row: Row, converted: Converted) -> Iterator[Preference | Dropped]:
    try:
        yield from converted
    except UnusableError as error:
        yield Dropped(record_id(row), str(error))


def _unused(id: str, taken: Container[str], repeats: Counter[str]) -> str:
    """The id, with a number behind it if it is not the first of its name: many sets repeat theirs."""
    while True:
        repeats[id] += 1
        found = id if repeats[id] == 1 else f"{id}~{repeats[id]}"
        if found not in taken:
            return found
