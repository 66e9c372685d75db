"""What answers to the tasks without a picture get right: those of ``dialogues.WITHOUT_PICTURES``
and of ``further_tasks``.

Points are read off an answer (objects, colours, their order, a number, words) and compared with the
points that the question calls for; where several answers are right, one of them will do. A second
answer is held to what its question calls for, whatever the first answer was: who adds up wrongly
and then goes on from there is wrong twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from typing import NamedTuple

from benchmarks.pocket import language as say
from benchmarks.pocket.facts import facts
from benchmarks.pocket.world import COLOURS, PLACES, USUAL

Points = frozenset[str]


class Case(NamedTuple):
    """An answer to be graded.

    Attributes:
        question: the one that is answered, of the first or the second turn.
        first_question: that of the first turn.
        reference: the correct answer to it; empty where the question alone decides.
    """

    question: str
    first_question: str
    reference: str
    answer: str


class Graded(NamedTuple):
    """The points that a question calls for, of which there is at least one, and the answer's."""

    wanted: Points
    said: Points

    @property
    def share(self) -> float:
        """How much of both agrees, from 0 to 1."""
        return len(self.wanted & self.said) / len(self.wanted | self.said)


def grade(case: Case) -> Graded:
    """Compare an answer with what its question calls for. Raises ValueError for another question."""
    for pattern, rule in _RULES:
        if match := re.fullmatch(pattern, case.question):
            wanted, said = rule(case, match.groupdict().get("about", ""))
            if wanted:
                return Graded(wanted, said)
    raise ValueError("this is no task without a picture, or its reference answer is missing")


# What is read off a text


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|[0-9]+", text.lower())


def _kinds(text: str) -> Points:
    return frozenset(say.mentioned(text))


def _ordered_kinds(text: str) -> Points:
    """Every mention of an object with its place in the order."""
    kinds = [kind for word in _words(text) for kind in say.mentioned(word)]
    return frozenset(f"{kind} as number {n}" for n, kind in enumerate(kinds, start=1))


def _colours(text: str) -> Points:
    return frozenset(_words(text)) & COLOURS.keys()


def _described(text: str) -> Points:
    """Objects and their colours; also those that are denied."""
    about = ("object", "colour", "absent")
    return frozenset(" ".join(fact) for fact in facts(text) if fact[0] in about)


def _result(text: str) -> Points:
    """The last number, in digits or in words."""
    digits = {word.lower(): str(number) for number, word in enumerate(say.NUMBERS)}
    numbers = [digits.get(word, word) for word in _words(text)]
    return frozenset([number for number in numbers if number.isdecimal()][-1:])


def _uses(text: str) -> Points:
    return frozenset(use for use in say.USES.values() if re.search(rf"\b{use}\b", text.lower()))


# What questions call for: rules take a case and what its question is about

Rule = Callable[[Case, str], tuple[Points, Points]]
Reader = Callable[[str], Points]

_OPPOSITE_OF = {word: other for pair in say.OPPOSITES for word, other in (pair, pair[::-1])}


def _like_reference(read: Reader) -> Rule:
    return lambda case, about: (read(case.reference), read(case.answer))


def _as_asked(read: Reader) -> Rule:
    return lambda case, about: (read(about), read(case.answer))


def _one_of_each(groups: Mapping[str, Collection[str]], said: Points) -> tuple[Points, Points]:
    """All right points that the answer gives; for a group without any, its name is missing."""
    missing = {name for name, right in groups.items() if said.isdisjoint(right)}
    return said.intersection(chain(*groups.values())) | missing, said


def _described_before(case: Case, kind: str) -> tuple[Points, Points]:
    """What the first question says of one of its objects."""
    described = _described(case.first_question)
    wanted = frozenset(point for point in described if kind in point.split())
    return wanted, _described(case.answer)


def _colours_named_before(case: Case, about: str) -> tuple[Points, Points]:
    return _colours(case.first_question), _colours(case.answer)


def _usual(case: Case, place: str) -> tuple[Points, Points]:
    """Something usual for a place; nothing that is not, and no other place."""
    elsewhere = frozenset(_words(case.answer)) & set(PLACES) - {place}
    said = _kinds(case.answer) | elsewhere
    return _one_of_each({f"something usual for the {place}": USUAL.get(place, ())}, said)


def _use(case: Case, kind: str) -> tuple[Points, Points]:
    wanted = frozenset({say.USES[kind]} if kind in say.USES else ())
    return wanted, (_kinds(case.answer) - {kind}) | _uses(case.answer)


def _of_use(case: Case, use: str) -> tuple[Points, Points]:
    wanted = frozenset(kind for kind, its_use in say.USES.items() if its_use == use)
    return wanted, _kinds(case.answer) | (_uses(case.answer) - {use})


def _members(case: Case, categories: str) -> tuple[Points, Points]:
    """Something of every category that is named."""
    named = re.split(" and an? ", categories)
    groups = {say.a(category): say.CATEGORIES.get(category, ()) for category in named}
    return _one_of_each(groups, _kinds(case.answer))


def _opposite(case: Case, word: str) -> tuple[Points, Points]:
    wanted = frozenset({_OPPOSITE_OF[word]} if word in _OPPOSITE_OF else ())
    return wanted, frozenset(_words(case.answer)) & _OPPOSITE_OF.keys() - {word}


_RULES: tuple[tuple[str, Rule], ...] = (
    (r"Now write it about the (?P<about>\w+)\.", _described_before),
    (r"(?:Write a sentence|Now write it) about (?P<about>.+)\.", _as_asked(_described)),
    (
        r"You (?:live in|move(?: from \w+ \w+)? to) an? (?P<about>\w+)\. What do you see .+",
        _usual,
    ),
    (
        r"Which of these (?:is|are) unusual for .+|Which of them are usual\?",
        _like_reference(_kinds),
    ),
    (r"What is \d+ plus \d+\?|Now add \d+\.", _like_reference(_result)),
    (r"Reverse this list: .+|Now sort it\.", _like_reference(_ordered_kinds)),
    (r"Which objects are named here\? I saw (?P<about>.+)\.", _as_asked(_kinds)),
    (r"Which colours are named there\?", _colours_named_before),
    (r"What is an? (?P<about>\w+) for\?", _use),
    (r"Which object is for (?P<about>.+)\?", _of_use),
    (r"Name an? (?P<about>.+)\.", _members),
    (r"(?:What is the opposite|And) of (?P<about>\w+)\?", _opposite),
)
