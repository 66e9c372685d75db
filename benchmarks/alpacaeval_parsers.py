"""AlpacaEval's parsers: a judge's reply to a preference over the outputs in the order shown.

Official code: ``completion_parsers.py`` (see ``benchmarks.alpacaeval``). 1 prefers the output that
is shown first, 2 the other one; None is a reply that cannot be read.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks import logprobs
from benchmarks.logprobs import TopLogprobs


class Parser(Protocol):
    """Reads a judge's reply."""

    def preference(self, reply: str) -> float | None:
        """A number from 1 to 2; None if the reply cannot be read."""


@dataclass(frozen=True)
class RankingParser:
    """``ranking_parser``: the reply is a Python list of models with their ranks.

    The first entry of that model counts, and its rank must equal 1 or 2, as True and 2.0 do.

    Attributes:
        model: what the output shown first is called.
    """

    model: str = "model_1"

    def preference(self, reply: str) -> float | None:
        try:
            entries = ast.literal_eval(reply)
            own = [entry for entry in entries if entry["model"] == self.model]
            return {1: 1.0, 2: 2.0}.get(own[0]["rank"])
        # A text may fail to be a literal in all these ways, and the literal to be such a list.
        except (ValueError, SyntaxError, TypeError, LookupError, RecursionError, MemoryError):
            return None


@dataclass(frozen=True)
class LogprobParser:
    """``logprob_parser``: the share of one label among the labels' probabilities for the first token.

    Tokens are compared as they are: " m" is not "m". A label that is not among the candidates has
    probability 0.

    Attributes:
        first: the label of the output shown first.
        labels: those whose probabilities are added up.
        binarize: whether the likeliest label decides; the second output wins a tie then.
    """

    first: str
    labels: Sequence[str]
    binarize: bool = True

    def preference(self, reply: str) -> float | None:
        weighed = logprobs.unpack(reply)
        return None if weighed is None else self.of(weighed.top_logprobs)

    def of(self, top_logprobs: TopLogprobs) -> float | None:
        """The preference by the candidates for the first token."""
        known = {
            token: logprob
            for token, logprob in top_logprobs
            if token == self.first or token in self.labels
        }
        if not known:
            return None
        first = known.get(self.first, -math.inf)
        found = [known.get(label, -math.inf) for label in self.labels]
        if self.binarize:
            others = [
                logprob
                for label, logprob in zip(self.labels, found, strict=True)
                if label != self.first
            ]
            return 1.0 if all(first > logprob for logprob in others) else 2.0
        highest = max(found)
        if not math.isfinite(highest):
            return None
        total = highest + math.log(sum(math.exp(logprob - highest) for logprob in found))
        preference = 2 - math.exp(first - total)
        return None if math.isnan(preference) else preference
