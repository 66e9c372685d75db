"""What a text claims about a pocket scene, as facts that an oracle can compare.

A fact is a tuple of words, its kind first::

    ("object", "cup")              a cup is named
    ("absent", "cup")              there is no cup
    ("colour", "cup", "red")       the cup is red
    ("at", "cup", "top left")      it is at the top left
    ("number", "cup", "2")         there are two cups
    ("use", "cup", "drinking")     the cup is for drinking
    ("unusual", "cup")             the cup is unusual here
    ("place", "farm")              this is a farm
    ("verdict", "yes")             the text begins with yes

Texts are those of the pocket checkpoint, in the phrases of ``dialogues``; of others, what is
phrased like them is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from benchmarks.pocket.language import NUMBERS, USES, mentioned
from benchmarks.pocket.world import COLOURS, PLACES, POSITIONS

Fact = tuple[str, ...]

ANY_OBJECT = "object"
"""Stands for a kind in counts of all objects."""

_DIGIT_OF = {word.lower(): str(number) for number, word in enumerate(NUMBERS)}
_BETWEEN = {"a", "an", "any", "the"}
_DENIALS = {"no", "not", "without"}
_VERDICT = re.compile(r"\W*(yes|no)(?=\W*$|\s*[,.:;!-]|\s+(?:there|it|the)\b)")
"""A yes or no that stands for itself: not "No cup is there"."""


def kinds_in(text: str) -> tuple[str, ...]:
    """The kinds of object that a text names, each once; "object" if only that is named."""
    general = (ANY_OBJECT,) if re.search(r"\bobjects\b", text.lower()) else ()
    return mentioned(text) or general


def facts(text: str, subject: str = "") -> frozenset[Fact]:
    """The facts of a text.

    Args:
        text: any text.
        subject: the kind that a bare colour or number is about ("Red." as an answer about the cup).
    """
    found: set[Fact] = set()
    text = text.lower()
    if verdict := _VERDICT.match(text):
        found.add(("verdict", verdict[1]))
        text = text[verdict.end() :]
    for sentence in re.split(r"[.!?;\n]", text):
        found.update(_of_sentence(sentence, subject))
    return frozenset(found)


def _of_sentence(sentence: str, subject: str) -> set[Fact]:
    tokens = re.findall(r"[a-z]+|[0-9]+", sentence)
    found: set[Fact] = {("place", token) for token in tokens if token in PLACES}
    linked: set[int] = set()
    named = []
    for index, token in enumerate(tokens):
        kind = _kind(token)
        if not kind:
            continue
        before = _words_before(tokens, index)
        linked.update(before)
        if any(tokens[at] in _DENIALS for at in before):
            found.add(("absent", kind))
            continue
        found.update(_described(kind, [tokens[at] for at in before]))
        found.update(_predicated(kind, tokens, index, linked))
        named.append(kind)
    found.update(("object", kind) for kind in named if kind != ANY_OBJECT)
    if "unusual" in tokens:
        found.update(("unusual", kind) for kind in named or ["nothing"])
    uses = [use for use in USES.values() if f"for {use}" in sentence]
    found.update(("use", kind, use) for kind in named for use in uses)
    if subject:
        # "Rating: 6" is a model's word on its answer, not on the picture.
        own = {index + 1 for index, token in enumerate(tokens) if token == "rating"}
        bare = [token for index, token in enumerate(tokens) if index not in linked | own]
        found.update(_described(subject, bare))
    return found


@lru_cache(maxsize=2**12)
def _kind(token: str) -> str:
    """The kind that a word names; empty for other words."""
    if token in (ANY_OBJECT, f"{ANY_OBJECT}s"):
        return ANY_OBJECT
    return next(iter(mentioned(token)), "")


def _words_before(tokens: Sequence[str], index: int) -> list[int]:
    """Where the article, number, colour and denial stand that belong to the noun at ``index``."""
    fitting = _BETWEEN | _DENIALS | _DIGIT_OF.keys() | COLOURS.keys()
    found = []
    at = index - 1
    while at >= 0 and (tokens[at] in fitting or tokens[at].isdecimal()):
        found.append(at)
        at -= 1
    return found


def _described(kind: str, words: Sequence[str]) -> set[Fact]:
    """Colours and numbers among words that are about a kind."""
    colours: set[Fact] = {("colour", kind, word) for word in words if word in COLOURS}
    digits = {_DIGIT_OF.get(word, word) for word in words}
    return colours | {("number", kind, digit) for digit in digits if digit.isdecimal()}


def _predicated(kind: str, tokens: Sequence[str], index: int, linked: set[int]) -> set[Fact]:
    """What follows a noun: "cup is red", "cup at the top left". Adds to ``linked`` what it used."""
    at = index + 1
    if at < len(tokens) and tokens[at] in ("is", "are"):
        at += 1
        if at < len(tokens) and tokens[at] in COLOURS:
            linked.add(at)
            return {("colour", kind, tokens[at])}
    if tokens[at : at + 1] in (["at"], ["in"]) and tokens[at + 1 : at + 2] == ["the"]:
        for length in (2, 1):
            position = " ".join(tokens[at + 2 : at + 2 + length])
            if position in POSITIONS:
                return {("at", kind, position)}
    return set()
