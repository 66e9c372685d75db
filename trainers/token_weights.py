"""Weights of response tokens inside a log-probability: where two answers differ, or beyond the shorter one.

A weight of 1 everywhere gives the plain sum. Weights are made from data, not from a model, so they are the
same for policy and reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

Span = tuple[int, int]
"""Start and end; the end is not part of it."""


class PairWeights(NamedTuple):
    """One weight for each token of the two answers."""

    chosen: list[float]
    rejected: list[float]


def segment_weights(
    chosen: Sequence[int],
    rejected: Sequence[int],
    weight: float,
    *,
    shared_weight: float = 1.0,
    min_match: int = 3,
) -> PairWeights:
    """Weights by whether a token stands in a segment that differs between the two answers.

    Segments are what lies between common runs of at least ``min_match`` tokens, as difflib finds them. A
    segment that is empty on one side (a pure insertion or deletion) gets no extra weight: official, in
    RLHF-V, CHiP and VL-RLHF alike (``diff_lib.get_diff_ids``).

    Args:
        chosen, rejected: token ids.
        weight: of tokens in differing segments: 5 in the RLHF-V paper, 3 in its code, 4 (LLaVA) or 2
            (Muffin) in CHiP.
        shared_weight: of all others; VL-RLHF's DDPO leaves them out (0).
        min_match: shorter common runs count as different.
    """
    # The first argument decides ties between runs of equal length; officially it is the rejected answer.
    matcher = SequenceMatcher(None, rejected, chosen)
    runs = [run for run in matcher.get_matching_blocks() if run.size >= min_match or run.size == 0]
    weights = PairWeights([shared_weight] * len(chosen), [shared_weight] * len(rejected))
    in_chosen = in_rejected = 0
    for run in runs:
        if in_chosen < run.b and in_rejected < run.a:
            weights.chosen[in_chosen : run.b] = [weight] * (run.b - in_chosen)
            weights.rejected[in_rejected : run.a] = [weight] * (run.a - in_rejected)
        in_chosen, in_rejected = run.b + run.size, run.a + run.size
    return weights


def span_weights(
    offsets: Sequence[Span], spans: Sequence[Span], weight: float, *, shared_weight: float = 1.0
) -> list[float]:
    """Weights by whether a token overlaps a marked span of the answer's text.

    Args:
        offsets: for each token the characters that it covers; an empty range for special tokens.
        spans: marked characters.
        weight: of tokens that overlap one.
        shared_weight: of all others.
    """
    return [
        weight if any(start < to and begin < end for begin, to in spans) else shared_weight
        for start, end in offsets
    ]


def length_weights(n_chosen: int, n_rejected: int, alpha: float) -> PairWeights:
    """LD-DPO (arXiv 2409.06411): tokens beyond the length of the shorter answer weigh ``alpha``.

    Args:
        n_chosen, n_rejected: response tokens, the end of turn included, as LLaMA-Factory and TRL count them.
    """
    shared = min(n_chosen, n_rejected)
    return PairWeights(*([1.0] * shared + [alpha] * (n - shared) for n in (n_chosen, n_rejected)))
