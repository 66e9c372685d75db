"""Pocket AMBER: captions and yes/no questions about 200 scenes, in the shape of the official data.

As in the official construction, a picture has a list of what is in it and a list of what a model might
imagine there (here: what is usual for the place, but absent), it is described once, and every imagined
object is asked for ("existence", always absent). Attribute questions are half yes, half no; relation
questions have the official share of yes.

Official AMBER also asks for actions. Nothing in the pocket world acts, so that part is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import islice
from random import Random

from benchmarks.base import Item
from benchmarks.pocket import language as say
from benchmarks.pocket.dialogues import absent_companion
from benchmarks.pocket.world import COLOURS, OBJECTS, USUAL, Scene, ScenePicture, Thing, scenes

N_SCENES = 200
N_IMAGINED = 3
SEED = "amber"
CAPTION_PROMPT = "Describe this image."
YES_SHARE = 975 / (975 + 689)
"""Share of yes among the official relation questions."""

ASSOCIATION: dict[str, tuple[str, ...]] = {
    kind: (say.SYNONYMS[kind],) if kind in say.SYNONYMS else () for kind in OBJECTS
}
"""What ``relation.json`` is to the official edition: other words for a kind of object."""

_VOCABULARY = (*OBJECTS, *say.SYNONYMS.values())
_SINGULAR = {form: word for word in _VOCABULARY for form in (word, say.plural(word))}


def nouns(text: str) -> list[str]:
    """The words of the pocket vocabulary in a text, in the singular, repetitions kept."""
    words = re.findall(r"[a-z]+", text.lower())
    return [_SINGULAR[word] for word in words if word in _SINGULAR]


def items() -> list[Item]:
    """All items in the official order of the parts, numbered from 1."""
    found: list[Item] = []

    def add(scene: Scene, split: str, question: str, **reference: object) -> None:
        number, picture = str(len(found) + 1), ScenePicture(scene)
        found.append(Item(number, scene.name, question, split, (picture,), reference))

    for scene in _scenes():
        add(scene, "generative", CAPTION_PROMPT, truth=scene.kinds, hallu=_imagined(scene))
    for index, scene in enumerate(_scenes()):
        rng = Random(f"{SEED} attribute {scene.name}")
        for label, question in _colours(scene, rng):
            add(scene, "attribute-state", question, label=label)
        label = "yes" if index % 2 else "no"
        add(scene, "attribute-number", _number(scene, rng, label == "yes"), label=label)
    for scene in _scenes():
        for kind in _imagined(scene):
            add(scene, "existence", f"Is there {say.a(kind)} in this image?", label="no")
    pairs = [(scene, singles) for scene in _scenes() if len(singles := _singles(scene)) > 1]
    for index, (scene, singles) in enumerate(pairs):
        rng = Random(f"{SEED} relation {scene.name}")
        # Spread evenly, so that any stretch of questions has the share.
        wanted = int((index + 1) * YES_SHARE) > int(index * YES_SHARE)
        question = _relation(singles, rng, wanted)
        add(scene, "relation", question, label="yes" if wanted else "no")
    return found


@cache
def _scenes() -> Sequence[Scene]:
    """Scenes of two kinds or more, so that each has a kind that is there once."""
    return tuple(islice((s for s in scenes("evaluation", SEED) if len(s.kinds) > 1), N_SCENES))


@cache
def _imagined(scene: Scene) -> tuple[str, ...]:
    """Absent kinds that are usual for the place; the one that the scene makes one expect comes first."""
    usual = [kind for kind in USUAL[scene.place] if kind not in scene.kinds]
    Random(f"{SEED} imagined {scene.name}").shuffle(usual)
    usual.sort(key=lambda kind: kind != absent_companion(scene))
    return tuple(usual[:N_IMAGINED])


def _singles(scene: Scene) -> list[Thing]:
    """The things whose kind is there once, so that "the cup" is not ambiguous."""
    return [thing for thing in scene.things if scene.only(thing.kind)]


def _colours(scene: Scene, rng: Random) -> list[tuple[str, str]]:
    """A true and a false question on the colour of one thing, with their labels."""
    thing = rng.choice(_singles(scene))
    other = rng.choice([name for name in COLOURS if name != thing.colour])
    return [
        (label, f"Is the {thing.kind} {colour} in this image?")
        for label, colour in (("yes", thing.colour), ("no", other))
    ]


def _number(scene: Scene, rng: Random, truth: bool) -> str:
    """Whether there is one thing, or are two, of the most frequent kind; no kind is there more often."""
    kind = max(scene.kinds, key=lambda k: (len(scene.of_kind(k)), rng.random()))
    number = len(scene.of_kind(kind))
    claimed = number if truth else 3 - number
    return f"{'Is' if claimed == 1 else 'Are'} there {say.count(claimed, kind)} in this image?"


def _relation(singles: Sequence[Thing], rng: Random, truth: bool) -> str:
    first, second = rng.sample(singles, 2)
    fitting = [r for r in say.RELATIONS if say.relation_holds(first, second, r) == truth]
    return f"Is the {first.kind} {rng.choice(fitting)} the {second.kind} in this image?"
