"""Pocket prompts, sheets' options and canned engines for the tests of sampling."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from benchmarks.base import Message, Request, Response
from benchmarks.pocket.preferences import pairs
from benchmarks.pocket.world import ScenePicture
from harness.engines.base import EngineStats
from harness.judges.options import add_judge_options
from trainers.pairs import Preference


def pocket_pairs(number: int, seed: int = 5) -> list[Preference]:
    """The first pairs of a pocket set, their scenes drawn in memory."""
    return [
        Preference(
            f"pocket-{seed}-{index}",
            (Message("user", pair.prompt, (ScenePicture(pair.scene),)),),
            pair.chosen,
            pair.rejected,
        )
        for index, pair in enumerate(islice(pairs(seed), number))
    ]


def judge_options(*given: str) -> Namespace:
    """The options that name a judge, as a command reads them."""
    parser = ArgumentParser()
    add_judge_options(parser)
    return parser.parse_args([*given, "--judge-cache", "none", "--judge-retries", "0"])


class SayingEngine:
    """Answers by a function of the request, through no model."""

    takes_pictures = True
    versions: Mapping[str, str] = {}
    origin: Mapping[str, Any] = {}

    def __init__(self, say: Callable[[Request], Response | str]) -> None:
        self.identity = {"engine": "saying"}
        self.stats = EngineStats()
        self.asked: list[Request] = []
        self._say = say

    def generate(self, requests: Sequence[Request]) -> Iterator[list[Response]]:
        for request in requests:
            self.asked.append(request)
            said = self._say(request)
            yield [Response(request.id, request.key, said) if isinstance(said, str) else said]
