"""Controls: the same questions with the picture taken away, or exchanged.

Score minus control score is the *visual reliance*: how much of a number comes from looking. What mDPO's authors
call the unconditional preference problem (arXiv 2406.11839) becomes a number for any benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Literal

from benchmarks.base import Item, Picture, Request, sha256_of

if TYPE_CHECKING:
    from PIL.Image import Image

Control = Literal["blind", "shuffled", "text_only"]
CONTROLS: tuple[Control, ...] = ("blind", "shuffled", "text_only")
GREY = (127, 127, 127)
SHUFFLE_SEED = "plumbline shuffled control"

Change = Callable[[Item, Request], Request]


@dataclass(frozen=True)
class GreyPicture:
    """A picture's grey stand-in, of the same size, so that it takes as many image tokens."""

    original: Picture

    @property
    def name(self) -> str:
        return f"grey in place of {self.original.name}"

    @cached_property
    def digest(self) -> str:
        return sha256_of(["grey", GREY, self._size])

    @cached_property
    def _size(self) -> tuple[int, int]:
        return self.original.load().size

    def load(self) -> Image:
        from PIL import Image as pil

        return pil.new("RGB", self._size, GREY)


def change_for(control: Control, items: Sequence[Item]) -> Change:
    """How a control changes the requests of these items."""
    if control == "blind":
        grey: dict[Picture, GreyPicture] = {}
        return lambda item, request: _with(request, lambda p: (grey.setdefault(p, GreyPicture(p)),))
    if control == "text_only":
        return lambda item, request: _with(request, lambda p: ())
    exchanged = _exchange(items)
    return lambda item, request: _with(request, lambda p: (exchanged.get(p, p),))


def _with(request: Request, stand_in: Callable[[Picture], tuple[Picture, ...]]) -> Request:
    messages = tuple(
        replace(message, pictures=tuple(new for old in message.pictures for new in stand_in(old)))
        for message in request.messages
    )
    return replace(request, messages=messages)


def _exchange(items: Sequence[Item]) -> dict[Picture, Picture]:
    """Each picture's stand-in: a picture of another group, the same for all questions on it.

    One seeded cycle through the shuffled groups, so that every picture is used and none stands for itself.
    """
    by_group: dict[str, tuple[Picture, ...]] = {}
    for item in items:
        if item.pictures:
            by_group.setdefault(item.group, item.pictures)
    order = sorted(by_group)
    Random(SHUFFLE_SEED).shuffle(order)
    following = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    found: dict[Picture, Picture] = {}
    for item in items:
        if not item.pictures:
            continue
        others = by_group[following[item.group]]
        for index, picture in enumerate(item.pictures):
            found[picture] = others[index % len(others)]
    return found
