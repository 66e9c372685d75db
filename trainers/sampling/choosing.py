"""From rated or compared answers to records: the best one, a pair, all with their ratings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from trainers.pairs import Preference
from trainers.sampling.answers import Sampled
from trainers.sampling.sheets import Values
from trainers.scored import MIN_GAP, Ranked, candidates


def best_answers(
    sampled: Sequence[Sampled], source: str, min_score: float | None = None
) -> Iterator[Preference]:
    """Rejection sampling: each prompt with the first of its best answers, to supervise with.

    Args:
        min_score: leave out prompts whose best answer has less.
    """
    for each in sampled:
        if each.scores:
            index = max(each.scores, key=lambda index: (each.scores[index], -index))
            if min_score is None or each.scores[index] >= min_score:
                yield _record(each.prompt, each.answers[index], None, each.ratings[index], source)


def scored_pairs(
    sampled: Sequence[Sampled], source: str, *, min_gap: float = MIN_GAP, seed: int = 0
) -> Iterator[Preference]:
    """A pair of each prompt whose answers' scores lie ``min_gap`` apart; see ``scored.candidates``.

    Args:
        seed: of the draw among equally fitting rejected answers.
    """
    for each in sampled:
        ranked = ranked_by_score(each, min_gap, seed)
        if ranked is not None:
            yield pair_of(each, ranked, source)


def rated_answers(sampled: Sequence[Sampled], source: str) -> Iterator[Preference]:
    """All rated answers with their ratings, as SteerLM learns from them."""
    for each in sampled:
        for index, values in each.ratings.items():
            prompt = replace(each.prompt, id=f"{each.prompt.id}/{index}")
            yield _record(prompt, each.answers[index], None, values, source)


def ranked_by_score(sampled: Sampled, min_gap: float, seed: int) -> Ranked | None:
    """The better and the worse answer by the scores' rule; None where they are too close."""
    indices = list(sampled.scores)
    found = candidates([sampled.scores[index] for index in indices], min_gap)
    if found is None:
        return None
    worse = Random(f"rejected {seed} {sampled.prompt.id}").choice(found.rejected)
    return Ranked(indices[found.chosen], indices[worse])


def ranked_by_verdict(sampled: Sampled) -> Ranked | None:
    """The better and the worse of two answers; None where there is no verdict."""
    if sampled.better is None:
        return None
    worse = next(index for index in sampled.answers if index != sampled.better)
    return Ranked(sampled.better, worse)


def pair_of(sampled: Sampled, ranked: Ranked, source: str) -> Preference:
    """A record with the two answers, and their scores where there are any."""
    scores = {}
    if sampled.ratings:
        scores = {name: sampled.scores[getattr(ranked, name)] for name in ("chosen", "rejected")}
    chosen, rejected = sampled.answers[ranked.chosen], sampled.answers[ranked.rejected]
    return _record(sampled.prompt, chosen, rejected, scores, source)


def _record(
    prompt: Preference, chosen: str, rejected: str | None, scores: Values, source: str
) -> Preference:
    return Preference(prompt.id, prompt.messages, chosen, rejected, scores=scores, source=source)
