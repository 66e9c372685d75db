"""The first stage: every item's requests through an engine, each answer on disk before the next batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.base import (
    Benchmark,
    Item,
    JudgeRequest,
    PictureError,
    Request,
    Response,
    ResponseStatus,
)
from harness.controls import Change
from harness.engines.base import Engine
from harness.store import Log, MixedRunError

log = logging.getLogger(__name__)

Turns = Mapping[str, Sequence[Response]]
"""Responses by item id, in the order of the turns."""


@dataclass(frozen=True)
class Part:
    """One benchmark's share of a run.

    Attributes:
        change: what a control does to each request; None in the run itself.
    """

    benchmark: Benchmark
    items: Sequence[Item]
    log: Log[Response]
    change: Change | None = None

    def request(self, item: Item, earlier: Sequence[Response]) -> Request | None:
        """The next generation for an item, as the model is asked it."""
        request = self.benchmark.request(item, earlier)
        return request if request is None or self.change is None else self.change(item, request)


def limited(items: Sequence[Item], limit: int | None) -> Sequence[Item]:
    """The first ``limit`` items of each split (all of them when it is None)."""
    if limit is None:
        return items
    taken: dict[str, int] = {}
    kept = []
    for item in items:
        taken[item.split] = taken.get(item.split, 0) + 1
        if taken[item.split] <= limit:
            kept.append(item)
    return kept


def turns_of(part: Part) -> dict[str, list[Response]]:
    """What is on disk for each item; see ``conversation``."""
    independent = part.benchmark.independent_turns
    return {
        item.id: conversation(
            partial(part.request, item), part.log.records, independent=independent
        )
        for item in part.items
    }


def conversation(
    ask: Callable[[Sequence[Response]], Request | None],
    answers: Mapping[str, Response],
    *,
    independent: bool,
) -> list[Response]:
    """An item's answers in the order of its turns, up to the first that is missing or failed.

    Where turns do not depend on each other, all of them: one without an answer stands as a failed
    one, so that those behind it keep their place. Empty if there is no answer at all.

    Args:
        ask: the item's next request after some turns.
        answers: by request id.
        independent: see ``Benchmark.independent_turns``.
    """
    turns: list[Response] = []
    while (request := ask(turns)) is not None:
        response = answers.get(request.id)
        if response is None and not independent:
            break
        turns.append(response or Response.failed(request.id, "", "there is no answer"))
        if turns[-1].status is not ResponseStatus.OK and not independent:
            break
    return turns if any(turn.request_id in answers for turn in turns) else []


def open_requests(part: Part) -> list[Request]:
    """What can be asked now: the next request of each item that is not finished, or all that are left
    where turns do not depend on each other. Failed ones are asked again.

    Raises:
        MixedRunError: an answer on disk belongs to another prompt, picture or decoding.
    """
    found = []
    for item in part.items:
        earlier: list[Response] = []
        while (request := part.request(item, earlier)) is not None:
            response = part.log.records.get(request.id)
            if response is None or response.status is not ResponseStatus.OK:
                found.append(request)
                if not part.benchmark.independent_turns:
                    break
                earlier.append(Response.failed(request.id, "", "not answered yet"))
                continue
            if response.key != key_of(request):
                raise MixedRunError(
                    f"{part.log.path}: the answer to {request.id} was given to another prompt, picture or "
                    "decoding than the one asked now. Use another --out, or bring back the data that it "
                    "was asked with."
                )
            earlier.append(response)
    return found


def key_of(request: Request | JudgeRequest) -> str:
    """The request's key; empty when one of its pictures is absent."""
    try:
        return request.key
    except PictureError:
        return ""


def generate(engine: Engine, parts: Sequence[Part], progress: Callable[[int, int], None]) -> int:
    """Ask what is not answered yet, turn by turn, over all benchmarks together.

    Requests that are equal in content are asked once, also across benchmarks and sessions.

    Args:
        progress: called with (number of answers that came, number asked in this round).

    Returns:
        The number of answers that this call wrote.
    """
    written = 0
    failed: set[str] = set()
    while True:
        wanted = [
            (part, request)
            for part in parts
            for request in open_requests(part)
            if _name(part, request.id) not in failed
        ]
        if not wanted:
            return written
        for answers in _round(engine, parts, wanted, progress):
            for part, response in answers:
                if response.status is not ResponseStatus.OK:
                    failed.add(_name(part, response.request_id))
            written += _write(answers)


def _name(part: Part, request_id: str) -> str:
    return f"{part.log.path}:{request_id}"


def _write(answers: Sequence[tuple[Part, Response]]) -> int:
    by_log: dict[int, tuple[Part, list[Response]]] = {}
    for part, response in answers:
        by_log.setdefault(id(part), (part, []))[1].append(response)
    for part, responses in by_log.values():
        part.log.append(responses)
    return len(answers)


def _round(
    engine: Engine,
    parts: Sequence[Part],
    wanted: Sequence[tuple[Part, Request]],
    progress: Callable[[int, int], None],
) -> Iterable[list[tuple[Part, Response]]]:
    """One turn of every open conversation; yields what each batch answered."""
    known = {
        response.key: response
        for part in parts
        for response in part.log.records.values()
        if response.status is ResponseStatus.OK
    }
    at_once: list[tuple[Part, Response]] = []
    askers: dict[str, list[tuple[Part, Request]]] = {}
    for part, request in wanted:
        try:
            key = request.key
        except PictureError as error:
            at_once.append((part, Response.failed(request.id, "", str(error))))
            continue
        if key in known:
            at_once.append((part, replace(known[key], request_id=request.id)))
        else:
            askers.setdefault(key, []).append((part, request))
    n_asked, n_came = len(wanted), len(at_once)
    if at_once:
        yield at_once
        progress(n_came, n_asked)
    for batch in engine.generate([first for (_, first), *_ in askers.values()]):
        answers = [
            (part, replace(response, request_id=request.id))
            for response in batch
            for part, request in askers[response.key]
        ]
        yield answers
        n_came += len(answers)
        progress(n_came, n_asked)
