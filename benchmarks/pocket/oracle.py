"""The pocket edition's judge. It knows prompts by their first line, and nothing but the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.base import Message
from benchmarks.pocket import (
    alpacaeval,
    llava_bench,
    mmbench,
    mmhal,
    mmvet,
    mtbench,
    object_halbench,
    ratings,
)
from benchmarks.pocket.judge_sheet import title_of

ORACLES: dict[str, Callable[[str], str]] = {
    object_halbench.TITLE: object_halbench.oracle_reply,
    mmhal.TITLE: mmhal.oracle_reply,
    mmvet.TITLE: mmvet.oracle_reply,
    llava_bench.TITLE: llava_bench.oracle_reply,
    mmbench.TITLE: mmbench.oracle_reply,
    **dict.fromkeys(mtbench.TITLES, mtbench.oracle_reply),
    alpacaeval.TITLE: alpacaeval.oracle_reply,
    ratings.TITLE: ratings.oracle_reply,
}
"""A reply from a prompt, by the prompt's first line."""


def reply(messages: Sequence[Message]) -> str | None:
    """What the judge replies to a conversation; None when no message is a pocket prompt.

    Raises:
        ValueError: a pocket prompt is damaged.
    """
    for message in messages:
        oracle = ORACLES.get(title_of(message.text))
        if oracle is not None:
            return oracle(message.text)
    return None
