"""What every engine is: something that takes Requests and yields Responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

from benchmarks.base import PictureError, Request, Response


@dataclass
class EngineStats:
    """What an engine has done so far. It only grows, over all calls of ``generate``.

    Attributes:
        n_requests: requests received.
        n_unique: requests left once identical ones are asked only once.
        n_vision_passes: pictures that went through the vision encoder to answer requests.
        n_prefill_tokens: prompt tokens that went through the language model, padding not counted.
        n_new_tokens: tokens generated.
        n_self_check_pictures: pictures encoded on top, to verify the fast layouts.
        batch_size: rows per batch at present; it shrinks when memory runs out.
        modes: the layout in use by kind of request ("pictures", "text").
        fallbacks: why a faster layout is not in use, by kind of request.
    """

    n_requests: int = 0
    n_unique: int = 0
    n_vision_passes: int = 0
    n_prefill_tokens: int = 0
    n_new_tokens: int = 0
    n_self_check_pictures: int = 0
    batch_size: int = 0
    modes: dict[str, str] = field(default_factory=dict)
    fallbacks: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@runtime_checkable
class Engine(Protocol):
    """Generates answers. It never decides about scoring."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What must agree before the responses of two sessions may stand in one run."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Library versions and the device; recorded, but free to differ on resume."""

    @property
    def origin(self) -> Mapping[str, Any]:
        """What is known of the checkpoint itself (size, training); recorded only."""

    @property
    def stats(self) -> EngineStats:
        """Counters."""

    @property
    def takes_pictures(self) -> bool:
        """Whether requests may show pictures."""

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Response]]:
        """Yield the Responses of each finished batch, in any order, one per request.

        The caller may write a batch to disk before it asks for the next; nothing is generated ahead
        of what is asked for. A request that cannot be answered yields a failed Response.
        """


class Distinct(NamedTuple):
    """Requests, identical ones together.

    Attributes:
        asked: by key, those that share one answer.
        failed: Responses to those that cannot be asked, because a picture is absent.
    """

    asked: dict[str, list[Request]]
    failed: list[Response]

    def first(self) -> list[Request]:
        """One request of each key."""
        return [twins[0] for twins in self.asked.values()]

    def for_all(self, responses: Iterable[Response]) -> list[Response]:
        """Answers to first ones as answers to everyone who asked the same."""
        return [
            replace(response, request_id=twin.id)
            for response in responses
            for twin in self.asked[response.key]
        ]


def distinct(requests: Iterable[Request], stats: EngineStats) -> Distinct:
    """Put identical requests together, and count them."""
    asked: dict[str, list[Request]] = {}
    failed: list[Response] = []
    for request in requests:
        stats.n_requests += 1
        try:
            asked.setdefault(request.key, []).append(request)
        except PictureError as error:
            failed.append(Response.failed(request.id, "", str(error)))
    stats.n_unique += len(asked)
    return Distinct(asked, failed)
