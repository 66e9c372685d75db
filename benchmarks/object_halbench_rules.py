"""Object HalBench's rules as pure functions: answer, judge's reply, words, counts, metrics.

They follow ``eval/eval_gpt_obj_halbench.py`` of RLHF-V/RLHF-V at
8daac8a8f30df123818ae9d3a0e3f0018497714c, which is "the script" here; what it computes oddly is
computed just as oddly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.base import Direction, Display, MetricSpec, Sums
from benchmarks.coco_objects import Mention, WordList
from benchmarks.taggers import Tagger, Token

NOUN_TAGS = ("NN", "NNS", "NNP", "NNPS")

Formula = Callable[[Sums], np.ndarray]


def official_answer(text: str) -> str:
    """The answer as the script takes it from an answer file."""
    return text.replace("Assistant:", "").strip()


def is_short(answer: str) -> bool:
    """Whether the answer has so few words that the judge is not asked: it names no object."""
    return len(answer.split(maxsplit=3)) <= 3


def official_objects(reply: str) -> Any:
    """The JSON value in a judge's reply, as the script's ``parse_object_list`` finds it.

    The whole reply is tried, then, if it holds the two characters ``["``, its last line. So neither
    ``()``, which the judge's prompt calls an empty list, nor a fenced list is found, but any other
    JSON value is.

    Raises:
        ValueError: there is none.
    """
    try:
        return json.loads(reply)
    except (ValueError, RecursionError):
        if '["' not in reply:
            raise ValueError("the reply is not JSON") from None
    try:
        return json.loads(reply.strip().split("\n")[-1])
    except (ValueError, RecursionError):
        raise ValueError("neither the reply nor its last line is JSON") from None


def lenient_objects(reply: str) -> list[str]:
    """The list in a judge's reply, whatever stands around it; Plumbline's own rule.

    From the first "[" to the last "]", so also inside a fence; ``()`` alone is the empty list.

    Raises:
        ValueError: there is none, or it holds other things than texts.
    """
    if re.fullmatch(r"[`\s]*\(\s*\)[`\s]*", reply):
        return []
    try:
        found: list[Any] = json.loads(reply[reply.index("[") : reply.rindex("]") + 1])
    except RecursionError:
        raise ValueError("the list is nested too deeply") from None
    if not all(isinstance(name, str) for name in found):
        raise ValueError("the list holds other things than texts")
    return found


def strings_of(value: Any) -> list[str] | None:
    """The strings that the script goes on with after parsing; None where it stops with a TypeError.

    It iterates over whatever JSON value was parsed and writes each element into a text, without
    looking at types: an object gives its keys, a string its characters, and a null inside a list
    the word "None".
    """
    if value is None or isinstance(value, bool | int | float):
        return None
    return [str(element) for element in value]


def object_words(strings: Iterable[str], tagger: Tagger, words: WordList) -> list[str]:
    """Each distinct word, in order: a string's two-word terms, or else its runs of nouns.

    The lemmas of a run stay one word, so that a "tennis player" is no player.
    """
    found: list[str] = []
    for string in strings:
        tokens = tagger(f"a {string}")
        found += words.double_words_in([token.lemma for token in tokens]) or _noun_runs(tokens)
    return list(dict.fromkeys(found))


def _noun_runs(tokens: Sequence[Token]) -> list[str]:
    runs: list[list[str]] = [[]]
    for token in tokens:
        if token.tag in NOUN_TAGS:
            runs[-1].append(token.lemma)
        elif runs[-1]:
            runs.append([])
    return [" ".join(run).strip() for run in runs if run]


class Reading(NamedTuple):
    """What was read off one answer.

    Attributes:
        words: all words that were looked at.
        mentions: those that stand for a category.
        extracted: what the judge listed; None without a judge.
    """

    words: Sequence[str]
    mentions: Sequence[Mention]
    extracted: Sequence[str] | None

    def details(self, truth: Collection[str]) -> dict[str, Any]:
        """What a person wants to see, given the categories in the picture."""
        mentions = [list(mention) for mention in self.mentions]
        return {
            "extracted": self.extracted,
            "words": self.words,
            "mentions": mentions,
            "hallucinated": [mention for mention in mentions if mention[1] not in truth],
            "truth": truth,
        }


def counts(answer: str, mentions: Sequence[Mention], truth: Iterable[str]) -> dict[str, float]:
    """The columns of one answer, given the categories in the picture."""
    present = set(truth)
    hallucinated = sum(mention.category not in present for mention in mentions)
    return {
        "responses": 1,
        "hallucinated_responses": int(hallucinated > 0),
        "responses_with_mention": int(bool(mentions)),
        "mentions": len(mentions),
        "hallucinated_mentions": hallucinated,
        "correct_categories": len({mention.category for mention in mentions} & present),
        "true_categories": len(present),
        # An empty answer has one (empty) word, because the script splits at single blanks.
        "words": len(answer.split(" ")),
    }


def ratio(numerator: str, denominator: str) -> Formula:
    """One column's sum over another's."""
    return lambda sums: sums[f"/{numerator}"] / sums[f"/{denominator}"]


def complement(numerator: str, denominator: str) -> Formula:
    """One minus ``ratio``."""
    return lambda sums: 1 - sums[f"/{numerator}"] / sums[f"/{denominator}"]


def total(column: str) -> Formula:
    """A column's sum."""
    return lambda sums: sums[f"/{column}"]


def metric_specs(*, is_official: bool) -> list[MetricSpec]:
    """By the script's names. The two that papers print are the headlines."""

    def spec(
        name: str,
        formula: Formula,
        direction: Direction = "neither",
        undefined: str = "there is no answer",
        display: Display = "percent",
    ) -> MetricSpec:
        return MetricSpec(
            name,
            formula,
            direction,
            display=display,
            official=is_official,
            headline=name in ("CHAIRs_refine", "CHAIRi"),
            undefined=f"{undefined}; the official script stops here with ZeroDivisionError",
        )

    answers = ("hallucinated_responses", "responses_with_mention")
    mentions = ("hallucinated_mentions", "mentions")
    no_mention = "no answer mentions a COCO category"
    return [
        spec("CHAIRs", ratio("hallucinated_responses", "responses"), "lower"),
        spec("CHAIRs_refine", ratio(*answers), "lower", no_mention),
        spec("CHAIRi", ratio(*mentions), "lower", no_mention),
        spec("correct_rate", complement(*answers), "higher", no_mention),
        spec("object_correct_rate", complement(*mentions), "higher", no_mention),
        spec(
            "obj_rec",
            ratio("correct_categories", "true_categories"),
            "higher",
            "no picture holds an object",
        ),
        spec("avg_word_len", ratio("words", "responses"), display="number"),
        spec("sentence_num", total("responses"), display="number"),
        spec("coco_sentence_num", total("responses_with_mention"), display="number"),
        spec("coco_word_count", total("correct_categories"), display="number"),
        spec("gt_word_count", total("true_categories"), display="number"),
    ]
