"""Bias-driven hallucination sampling (BDHS, arXiv 2407.02477, section 3.4): wrong answers that a model is tempted to give.

Each sentence of a true answer is cut somewhere, and the model goes on from there with hardly any of the picture
visible, so that it says what it expects. What stands before a sentence is always the true text, never what the model
made before. The parts are joined; if they are too like the true answer, picture tokens and cuts are drawn anew. In the last
iteration the model answers freely.

How often a sentence is accepted depends on how much is hidden: look at the acceptance that is reported.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from random import Random
from typing import Any, Literal, Protocol

from harness.store import Log, MixedRunError
from trainers.corruptions import BDHS_THRESHOLD
from trainers.pairs import Preference
from trainers.sampling.prompts import key_of
from trainers.sampling.similarity import NGRAMS, Similarity, Texts

Hide = Literal["attention", "noise"]

SOURCE = "bdhs"
CHUNK = 64
"""Records that go through their iterations together: what a killed run loses."""

_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])(?=\s+\S)")
# The paper's expression lacks the \b, and would make "Yesbody" of "Nobody".
_VERDICT = re.compile(r"\s*(Yes|yes|No|no)\b")
_OTHER = {"Yes": "No", "No": "Yes", "yes": "no", "no": "yes"}
SWAP_SHARE = 0.5


@dataclass(frozen=True)
class Bdhs:
    """How wrong answers are made; the paper's values by default, but for the similarity.

    Attributes:
        hide: attention to picture tokens, or the picture by diffusion noise (500 steps).
        threshold: a picture token stays visible if a uniform draw is at least this.
        max_similarity: an answer as like the true one as this is made again.
        iterations: tries, the last of which is free if there is more than one.
        similarity: a name that ``open_similarity`` knows.
        temperature: 0 takes the likeliest tokens; the paper tells none.
    """

    hide: Hide = "attention"
    threshold: float = BDHS_THRESHOLD
    max_similarity: float = 0.97
    iterations: int = 5
    similarity: str = NGRAMS
    temperature: float = 0.0
    max_new_tokens: int = 512
    seed: int = 0


def bdhs_settings(options: argparse.Namespace, seed: int) -> Bdhs:
    """The command line's options as ``Bdhs``."""
    own = {each.name for each in fields(Bdhs)} - {"seed"}
    return Bdhs(**{name: getattr(options, name) for name in own}, seed=seed)


@dataclass(frozen=True)
class Begun:
    """An answer that a model is to go on with.

    Attributes:
        pair: whose conversation it belongs to.
        text: what is there already.
        draw: names the draw of what is hidden, with the pair's id.
        place: of several answers with the same draw.
        to_full_stop: stop behind the first full stop.
    """

    pair: Preference
    text: str
    draw: int
    place: int
    to_full_stop: bool


@dataclass(frozen=True)
class Ending:
    """What a model wrote; ``whole`` is false if it was cut at the most tokens."""

    text: str
    whole: bool


class Completer(Protocol):
    """Goes on with answers; see ``completing.HidingCompleter``."""

    def complete(self, begun: Sequence[Begun]) -> list[Ending]: ...


@dataclass(frozen=True)
class Hallucinated:
    """What came of one true answer.

    Attributes:
        request_id: the pair's id.
        key: the pair's content; see ``prompts.key_of``.
        text: the wrong answer.
        iteration: from 1, in which it was made.
        similarity: to the true answer.
        accepted: whether it is less than the limit; a free answer is kept in any case.
        problem: why there is no wrong answer; "" if there is one.
    """

    request_id: str
    key: str
    text: str
    iteration: int
    similarity: float
    accepted: bool
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Hallucinated:
        """Raises KeyError or TypeError for what ``to_json`` does not write."""
        return cls(**record)


def sentences_of(text: str) -> list[str]:
    """A text's sentences, each with the white space before it; joined they are the text."""
    return [part for part in _BETWEEN_SENTENCES.split(text) if part]


def begin(sentence: str, rng: Random) -> str:
    """How a wrong sentence begins: a part of the true one, its yes or no turned round at times.

    The cut lies before a word that is drawn uniformly, so at least the last word is made anew. A word that
    was turned round stays: it would have no effect otherwise.
    """
    least = ""
    verdict = _VERDICT.match(sentence)
    if verdict is not None and rng.random() < SWAP_SHARE:
        start, end = verdict.span(1)
        least = sentence[:start] + _OTHER[verdict[1]]
        sentence = least + sentence[end:]
    ends = [word.end() for word in re.finditer(r"\S+", sentence)]
    n_kept = rng.randrange(len(ends)) if ends else 0
    return sentence[: ends[n_kept - 1]] if n_kept else least


def hallucinate(
    completer: Completer, similarity: Similarity, pairs: Sequence[Preference], settings: Bdhs
) -> Iterator[list[Hallucinated]]:
    """Wrong answers to all pairs, as many as are finished together."""
    for start in range(0, len(pairs), CHUNK):
        yield _chunk(completer, similarity, pairs[start : start + CHUNK], settings)


def _chunk(
    completer: Completer, similarity: Similarity, pairs: Sequence[Preference], settings: Bdhs
) -> list[Hallucinated]:
    done = {
        pair.id: Hallucinated(pair.id, key_of(pair), "", 0, 1.0, False, "no picture")
        for pair in pairs
        if not pair.pictures
    }
    for iteration in range(1, settings.iterations + 1):
        waiting = [pair for pair in pairs if pair.id not in done]
        last = iteration == settings.iterations
        free = last and iteration > 1
        begun = [each for pair in waiting for each in _begun(pair, iteration, free, settings.seed)]
        parts: dict[str, list[tuple[Begun, Ending]]] = {pair.id: [] for pair in waiting}
        for each, ending in zip(begun, completer.complete(begun), strict=True):
            parts[each.pair.id].append((each, ending))
        texts = [_joined(parts[pair.id], free) for pair in waiting]
        alike = similarity(
            [Texts(pair.chosen, text) for pair, text in zip(waiting, texts, strict=True)]
        )
        for pair, text, value in zip(waiting, texts, alike, strict=True):
            whole = all(ending.whole for _, ending in parts[pair.id])
            accepted = whole and bool(text.strip()) and value < settings.max_similarity
            problem = "" if accepted else _problem(pair, text, whole, free)
            if accepted or last:
                done[pair.id] = Hallucinated(
                    pair.id, key_of(pair), text, iteration, value, accepted, problem
                )
    return [done[pair.id] for pair in pairs]


def _begun(pair: Preference, iteration: int, free: bool, seed: int) -> list[Begun]:
    if free:
        return [Begun(pair, "", iteration, 0, False)]
    rng = Random(f"bdhs {seed} {iteration} {pair.id}")
    sentences = sentences_of(pair.chosen)
    return [
        Begun(pair, "".join(sentences[:place]) + begin(sentence, rng), iteration, place, True)
        for place, sentence in enumerate(sentences)
    ]


def _joined(parts: Sequence[tuple[Begun, Ending]], free: bool) -> str:
    """The made answer: of each part what lies behind the true sentences before it."""
    if free:
        return parts[0][1].text
    sentences = sentences_of(parts[0][0].pair.chosen)
    told = []
    for begun, ending in parts:
        n_true = sum(len(sentence) for sentence in sentences[: begun.place])
        told.append(begun.text[n_true:] + ending.text)
    return "".join(told)


def _problem(pair: Preference, text: str, whole: bool, free: bool) -> str:
    if not whole:
        return "cut"
    if not text.strip():
        return "empty"
    if text == pair.chosen:
        return "the same as the true answer"
    return "" if free else "too like the true answer"


def not_made(pairs: Sequence[Preference], log: Log[Hallucinated]) -> list[Preference]:
    """Those of which a log holds nothing yet. Raises MixedRunError if it holds something of another pair."""
    for pair in pairs:
        made = log.records.get(pair.id)
        if made is not None and made.key != key_of(pair):
            raise MixedRunError(
                f"{log.path}: what was made for {pair.id} belongs to another picture, question or answer. Use another "
                "--out, or bring back the data that it was made of."
            )
    return [pair for pair in pairs if pair.id not in log.records]


def pairs_of(
    pairs: Sequence[Preference], found: Mapping[str, Hallucinated], settings: Bdhs
) -> Iterator[Preference]:
    """True answers with the wrong ones that were made of them."""
    for pair in pairs:
        made = found.get(pair.id)
        if made is not None and not made.problem:
            told = {"iteration": made.iteration, "similarity": round(made.similarity, 4)}
            yield replace(
                pair,
                rejected=made.text,
                rejected_pictures=(),
                spans=None,
                scores={},
                source=SOURCE,
                meta={SOURCE: {**told, "settings": asdict(settings)}},
            )


def acceptance(found: Iterable[Hallucinated], iterations: int) -> dict[str, Any]:
    """How many true answers have a wrong one, by iteration, and why others have none."""
    found = list(found)
    accepted = Counter(made.iteration for made in found if made.accepted)
    shares, so_far = [], 0
    for iteration in range(1, iterations + 1):
        so_far += accepted[iteration]
        shares.append(round(so_far / len(found), 4) if found else 0.0)
    return {
        "n": len(found),
        "accepted_by_iteration": [accepted[number] for number in range(1, iterations + 1)],
        "share_accepted_up_to_iteration": shares,
        "kept_though_alike": sum(not made.accepted and not made.problem for made in found),
        "problems": dict(Counter(made.problem for made in found if made.problem)),
    }
