"""From answers with scores to what is trained on: pairs, and labels that a model is conditioned on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

SCORED_FOR = ("Helpfulness", "Correctness", "Coherence")
"""The attributes whose sum (0 to 12) is an answer's score in 2402.10884; complexity and verbosity aren't in it."""

MIN_GAP = 2

LIKERT_ATTRIBUTES = ("Helpfulness", "Correctness", "Coherence", "Complexity", "Verbosity")

STEERLM_ATTRIBUTES = (
    "quality", "toxicity", "humor", "creativity", "helpfulness", "correctness", "coherence",
    "complexity", "verbosity",
)  # fmt: skip
"""NeMo's attributes in the order of its label."""

STEERLM_PREFIX = "<extra_id_2>"
"""What stands before the label; the answer follows on the next line."""

Pairing = Literal["all", "widest"]


class Candidates(NamedTuple):
    """Indices of the better answer and of those that may be its worse one."""

    chosen: int
    rejected: tuple[int, ...]


class Ranked(NamedTuple):
    """Indices of a better and a worse answer."""

    chosen: int
    rejected: int


def candidates(scores: Sequence[float], min_gap: float = MIN_GAP) -> Candidates | None:
    """The pair rule of 2402.10884 (mllm-dpo's notebooks); None where the scores are too close.

    The first of the best is chosen; the rejected one is to be drawn uniformly from the rest.

    Args:
        scores: of all answers to one prompt.
        min_gap: how far below the best a rejected answer lies at least.
    """
    if not scores or max(scores) - min(scores) < min_gap:
        return None
    best = max(scores)
    rejected = tuple(index for index, score in enumerate(scores) if score <= best - min_gap)
    return Candidates(scores.index(best), rejected)


def ranked_pairs(scores: Mapping[int, float], pairing: Pairing = "all") -> list[Ranked]:
    """Every two answers with different scores, the better one first.

    Args:
        scores: by the answer's index; an answer without a score is not there.
        pairing: "all" of them, as Silkie trains on; "widest" those with the largest difference, as
            VL-RLHF does by default.
    """
    found = [
        Ranked(first, second) if scores[first] > scores[second] else Ranked(second, first)
        for first, second in combinations(sorted(scores), 2)
        if scores[first] != scores[second]
    ]
    if pairing == "all" or not found:
        return found
    gaps = [scores[pair.chosen] - scores[pair.rejected] for pair in found]
    return [pair for pair, gap in zip(found, gaps, strict=True) if gap == max(gaps)]


def steerlm_label(values: Mapping[str, float], order: Iterable[str] = STEERLM_ATTRIBUTES) -> str:
    """NeMo-Aligner's attribute string, ``quality:4,toxicity:0,…``: clamped to 0–4, then rounded half to even.

    Attributes without a value are left out.
    """
    return ",".join(f"{name}:{_on_scale(values[name])}" for name in order if name in values)


def likert_request(values: Mapping[str, float]) -> str:
    """mllm-dpo's condition, a suffix of the user's turn: ``Helpfulness:4,Correctness:4,…`` behind its instruction."""
    told = ",".join(f"{name}:{_on_scale(values[name])}" for name in LIKERT_ATTRIBUTES)
    return (
        "\nPlease answer the question such that your response is in the following attributes in "
        f"5-point Likert scale:\n{told}"
    )


def _on_scale(value: float) -> int:
    return round(min(4.0, max(0.0, value)))
