"""Pocket MMBench: choices among four objects, colours, places and numbers, and a matcher.

The questions are in the form that the pocket checkpoint was trained on; two of each kind have only
three options, which it was not. As in the official tables, a question comes in as many orders as it
has options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from benchmarks.base import Item
from benchmarks.mmbench_files import Pass, all_orders
from benchmarks.mmbench_matching import NONE_OF_THEM
from benchmarks.pocket import judge_sheet
from benchmarks.pocket import language as say
from benchmarks.pocket.world import (
    COLOURS,
    OBJECTS,
    PLACES,
    POSITIONS,
    Scene,
    ScenePicture,
    Thing,
    scenes,
)

SEED = "mmbench"
N_PER_KIND = 15
N_WITH_THREE = 2
SPLIT = "dev"

TITLE = "Pocket MMBench: which option does the answer mean?"
TASK = f"""\
A model was asked a question with several options. Below are the question, the options and the
model's answer. Reply with the letter of the option that the answer means, and with
{NONE_OF_THEM} if it means none of them, or several."""
FIELDS = ("question", "options", "answer")

Make = Callable[[Scene, Random], say.Choice | None]
"""A question about a scene; None if the scene bears none."""


def _single(scene: Scene, rng: Random) -> Thing | None:
    """A thing whose kind is there once, so that "the cup" is not ambiguous."""
    single = [thing for thing in scene.things if scene.only(thing.kind)]
    return rng.choice(single) if single else None


def _colour(scene: Scene, rng: Random) -> say.Choice | None:
    thing = _single(scene, rng)
    return say.colour_choice(scene, thing, rng) if thing else None


def _position(scene: Scene, rng: Random) -> say.Choice | None:
    thing = _single(scene, rng)
    return say.position_choice(scene, thing, rng) if thing else None


def _who_is_there(scene: Scene, rng: Random) -> say.Choice | None:
    """What stands at a place; other things of the scene are among the options."""
    thing = _single(scene, rng)
    if thing is None:
        return None
    others = [kind for kind in scene.kinds if kind != thing.kind]
    absent = rng.sample([kind for kind in OBJECTS if kind not in scene.kinds], 3)
    question = f"What is {say.at(thing.cell)} of the image?"
    return say.choose(rng, question, thing.kind, [*others, *absent][:3])


def _use(scene: Scene, rng: Random) -> say.Choice | None:
    useful = [kind for kind in scene.kinds if kind in say.USES]
    if not useful:
        return None
    kind = rng.choice(useful)
    absent = [other for other in OBJECTS if other not in scene.kinds]
    return say.choose(rng, f"Which object in the image is for {say.USES[kind]}?", kind, absent)


KINDS: tuple[tuple[str, str, Make], ...] = (
    ("coarse_perception", "image_scene", say.place_choice),
    ("coarse_perception", "image_topic", say.object_choice),
    ("finegrained_perception (instance-level)", "attribute_recognition", _colour),
    ("finegrained_perception (instance-level)", "object_localization", _position),
    ("finegrained_perception (instance-level)", "object_localization", say.count_choice),
    ("finegrained_perception (cross-instance)", "spatial_relationship", _who_is_there),
    ("attribute_reasoning", "function_reasoning", _use),
)
"""L-2 ability, L-3 category (both as in the official tables) and question."""


def items() -> Sequence[Item]:
    """105 questions about as many scenes; the kinds take turns, and an item's id is its number."""
    stream = scenes("evaluation", SEED)
    rng = Random(SEED)
    found: list[Item] = []
    for turn in range(N_PER_KIND):
        for ability, category, make in KINDS:
            scene, choice = _next_fitting(stream, make, rng)
            if turn >= N_PER_KIND - N_WITH_THREE:
                choice = _without_one_wrong(choice, rng)
            number = len(found)
            options = dict(zip(say.LETTERS, choice.options, strict=False))
            found.append(
                Item(
                    id=str(number),
                    group=scene.name,
                    question=choice.question,
                    split=SPLIT,
                    pictures=(ScenePicture(scene),),
                    reference={
                        "passes": all_orders(
                            Pass(number, choice.question, "", options, choice.answer)
                        ),
                        "g_index": number,
                        "category": category,
                        "l2-category": ability,
                    },
                )
            )
    return found


def _next_fitting(stream: Iterator[Scene], make: Make, rng: Random) -> tuple[Scene, say.Choice]:
    for scene in stream:
        choice = make(scene, rng)
        if choice is not None:
            return scene, choice
    raise AssertionError("the stream of scenes has no end")


def _without_one_wrong(choice: say.Choice, rng: Random) -> say.Choice:
    right = choice.options[choice.right]
    dropped = rng.choice([option for option in choice.options if option != right])
    kept = tuple(option for option in choice.options if option != dropped)
    return say.Choice(choice.question, kept, kept.index(right))


def judge_prompt(question: str, options: Mapping[str, str], answer: str) -> str:
    listed = [f"{letter}. {text}" for letter, text in options.items()]
    return judge_sheet.write(
        TITLE, TASK, dict(zip(FIELDS, (question, listed, answer), strict=True))
    )


def oracle_reply(prompt: str) -> str:
    """What a faultless matcher replies to ``judge_prompt``. Raises ValueError for any other text."""
    _, options, answer = judge_sheet.read(prompt, *FIELDS)
    said = _meanings(answer)
    meant = []
    for option in options:
        letter, _, text = option.partition(". ")
        if _meanings(text) <= said:
            meant.append(letter)
    return meant[0] if len(meant) == 1 and not _DENIAL.search(answer.lower()) else NONE_OF_THEM


_DENIAL = re.compile(r"\b(?:no|not|without)\b")
_DIGITS = {word.lower(): str(number) for number, word in enumerate(say.NUMBERS)}
_NAMES = (*sorted(POSITIONS, key=len, reverse=True), *COLOURS, *PLACES, *_DIGITS, *_DIGITS.values())
_NAME = re.compile(rf"\b(?:{'|'.join(_NAMES)})\b")


def _meanings(text: str) -> set[str]:
    """The kinds of object, positions, colours, places and numbers (as digits) that a text names."""
    names = _NAME.findall(text.lower())
    return {*say.mentioned(text), *(_DIGITS.get(name, name) for name in names)}
