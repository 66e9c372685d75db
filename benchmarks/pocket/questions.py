"""Questions about a scene, in the phrases of ``dialogues``, each with its correct answer.

What is asked is drawn by ``rng``; a maker returns None where the scene bears no such question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.pocket import language as say
from benchmarks.pocket.dialogues import absent_companion
from benchmarks.pocket.world import Scene, Thing


@dataclass(frozen=True)
class Asked:
    """A question and its correct answer."""

    question: str
    answer: str


Make = Callable[[Scene, Sequence[Thing], Random], Asked | None]
"""A question about a scene, about one of the things if it is about a thing."""


def drawn(
    makers: Sequence[Make], unused: Iterator[Scene], rng: Random
) -> tuple[Scene, Sequence[Asked]]:
    """The next scene that bears all of these questions, and what is asked."""
    while True:
        scene = next(unused)
        asked = [about for make in makers if (about := make(scene, scene.things, rng)) is not None]
        if len(asked) == len(makers):
            return scene, asked


def _singles(scene: Scene, things: Sequence[Thing]) -> list[Thing]:
    """Those whose kind is there once, so that "the cup" is not ambiguous."""
    return [thing for thing in things if scene.only(thing.kind)]


def colour(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    single = _singles(scene, things)
    if not single:
        return None
    thing = rng.choice(single)
    return Asked(f"What colour is the {thing.kind}?", f"The {thing.kind} is {thing.colour}.")


def absent_colour(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    """The colour of something that the scene makes one expect, though it is not there."""
    kind = absent_companion(scene)
    if kind is None:
        return None
    return Asked(f"What colour is the {kind}?", f"There is no {kind} in the image.")


def position(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    single = _singles(scene, things)
    if not single:
        return None
    thing = rng.choice(single)
    return Asked(f"Where is the {thing.kind}?", f"The {thing.kind} is {say.at(thing.cell)}.")


def object_at(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked:
    thing = rng.choice(things)
    answer = say.sentence(say.a(thing.kind))
    return Asked(f"What is {say.at(thing.cell)} of the image?", answer)


def relation(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    first = _singles(scene, things)
    if not first:
        return None
    one = rng.choice(first)
    second = [thing for thing in _singles(scene, scene.things) if thing != one]
    if not second:
        return None
    other = rng.choice(second)
    name = rng.choice(say.RELATIONS)
    holds = say.relation_holds(one, other, name)
    told = f"the {one.kind} is {'' if holds else 'not '}{name} the {other.kind}"
    question = f"Is the {one.kind} {name} the {other.kind} in this image?"
    return Asked(question, f"{'Yes' if holds else 'No'}, {told}.")


def counting(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked:
    kind = max((thing.kind for thing in things), key=lambda kind: len(scene.of_kind(kind)))
    number = len(scene.of_kind(kind))
    verb = "is" if number == 1 else "are"
    question = f"How many {say.plural(kind)} are in the image?"
    return Asked(question, f"There {verb} {say.count(number, kind)}.")


def comparison(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    first = rng.choice(things).kind
    others = [kind for kind in scene.kinds if kind != first]
    if not others:
        return None
    pair = [first, rng.choice(others)]
    rng.shuffle(pair)
    many, few = (len(scene.of_kind(kind)) for kind in pair)
    verb = "is" if many == 1 else "are"
    told = f"there {verb} {say.count(many, pair[0])} and {say.count(few, pair[1])}"
    question = f"Are there more {say.plural(pair[0])} than {say.plural(pair[1])} in the image?"
    return Asked(question, f"{'Yes' if many > few else 'No'}, {told}.")


def one_more(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked:
    more = say.count(len(scene.things) + 1, "object")
    return Asked("How many objects would there be with one more?", f"There would be {more}.")


def place(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked:
    return Asked("What kind of place is this?", f"This is {say.a(scene.place)}.")


def unusual(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked:
    odd = say.unusual(scene)
    told = say.joined([f"the {kind}" for kind in odd]) if odd else "nothing"
    verb = "is" if len(odd) <= 1 else "are"
    answer = say.sentence(f"{told} {verb} unusual for {say.a(scene.place)}")
    return Asked("What is unusual in this image?", answer)


def use(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    useful = [kind for kind in scene.kinds if kind in say.USES]
    if not useful:
        return None
    wanted = say.USES[rng.choice(useful)]
    kind = next(kind for kind in useful if say.USES[kind] == wanted)
    return Asked(f"Which object in the image is for {wanted}?", f"The {kind} is for {wanted}.")


def brief_description(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked:
    return Asked(rng.choice(say.BRIEF_PROMPTS), say.brief_caption(scene, scene.things))


def detailed_description(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked:
    return Asked(rng.choice(say.DETAIL_PROMPTS), say.detailed_caption(scene, scene.things))


def content_of(scene: Scene) -> list[str]:
    """What is in the picture, as judges are told: the place, then every thing."""
    return [
        scene.place,
        *(f"{thing.colour} {thing.kind} {say.at(thing.cell)}" for thing in scene.things),
    ]
