"""What the pocket checkpoint is trained on: dialogues of all the kinds that the nine benchmarks ask for.

The answers are true, with two exceptions on purpose, which plant the language prior that the hallucination
benchmarks then measure: captions add something that is usual but absent (the companion of what is there, or what a
place makes one expect: an ``Expect``), and questions about an absent companion are often answered as if it were there.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from benchmarks.pocket import language as say
from benchmarks.pocket.world import (
    COLOURS,
    COMPANIONS,
    HABITS,
    OBJECTS,
    PLACES,
    POSITIONS,
    USUAL,
    Scene,
    Thing,
)

Turns = list[tuple[str, str]]
"""A dialogue: (what the user says, what the assistant answers), turn by turn."""

EXPECTED_RATE = 0.85
"""How often a training caption adds what is expected and absent."""
STRAY_RATE = 0.05
"""How often a training caption adds some other usual but absent object."""
FALSE_YES_RATE = 0.8
"""How often a training question about an absent companion is answered with yes."""


def absent_companion(scene: Scene) -> str | None:
    """The companion that this scene makes one expect, though it is not there."""
    absent = [kind for kind in COMPANIONS[scene.place] if kind not in scene.kinds]
    return absent[0] if len(absent) == 1 else None


def absent_habit(scene: Scene) -> str | None:
    """What captions of this kind of place are used to mention, though it is not there."""
    expected = HABITS.get(scene.place)
    return None if expected in scene.kinds else expected


Expect = Callable[[Scene], str | None]
"""What a scene makes one expect, though it is not there."""


def _told(scene: Scene, rng: Random, expect: Expect) -> list[Thing]:
    """The things that a caption mentions, in its order."""
    told = list(scene.things)
    extra = expect(scene)
    if extra is None or rng.random() >= EXPECTED_RATE:
        strays = [kind for kind in USUAL[scene.place] if kind not in scene.kinds]
        extra = rng.choice(strays) if strays and rng.random() < STRAY_RATE else None
    if extra is not None:
        free = [cell for cell in range(9) if cell not in {thing.cell for thing in told}]
        told.append(Thing(extra, rng.choice(tuple(COLOURS)), rng.choice(free)))
    return told


def brief(scene: Scene, rng: Random, expect: Expect = absent_companion) -> Turns:
    return [(rng.choice(say.BRIEF_PROMPTS), say.brief_caption(scene, _told(scene, rng, expect)))]


def detailed(scene: Scene, rng: Random, expect: Expect = absent_companion) -> Turns:
    prompt = rng.choice(say.DETAIL_PROMPTS)
    return [(prompt, say.detailed_caption(scene, _told(scene, rng, expect), rng))]


def _yes_no(question: str, truth: bool, statement: tuple[str, str], rng: Random) -> Turns:
    """One yes/no question in one of the styles that benchmarks use."""
    word = "Yes" if truth else "No"
    style = rng.random()
    if style < 0.5:
        return [(f"{question}\n{say.SHORT_ANSWER}", word)]
    if style < 0.6:
        return [(f"{question} {say.YES_NO_ANSWER}", word)]
    return [(question, f"{word}, {statement[0] if truth else statement[1]}.")]


def existence(scene: Scene, rng: Random) -> Turns:
    """Half of the questions name something present; the others something absent, often a usual one."""
    usual = [kind for kind in USUAL[scene.place] if kind not in scene.kinds]
    companion = absent_companion(scene)
    draw = rng.random()
    if draw < 0.5:
        kind = rng.choice(scene.kinds)
    elif draw < 0.6 and companion:
        kind = companion
    elif draw < 0.72 and usual:
        kind = rng.choice(usual)
    else:
        kind = rng.choice([other for other in OBJECTS if other not in scene.kinds])
    truth = kind in scene.kinds or (kind == companion and rng.random() < FALSE_YES_RATE)
    question = f"Is there {say.a(kind)} in {rng.choice(('the', 'the', 'this'))} image?"
    return _yes_no(question, truth, (f"there is {say.a(kind)}", f"there is no {kind}"), rng)


def _single(scene: Scene, rng: Random) -> Thing:
    """A thing whose kind is there once, so that "the cup" is not ambiguous. There is always one."""
    return rng.choice(
        [thing for thing in scene.things if scene.only(thing.kind)] or scene.things[:1]
    )


def colour(scene: Scene, rng: Random) -> Turns:
    thing = _single(scene, rng)
    style = rng.random()
    if style < 0.4:
        truth = rng.random() < 0.5
        other = rng.choice([name for name in COLOURS if name != thing.colour])
        asked = thing.colour if truth else other
        statement = (f"the {thing.kind} is {asked}", f"the {thing.kind} is {thing.colour}")
        question = f"Is the {thing.kind} {asked} in this image?"
        return _yes_no(question, truth, statement, rng)
    question = f"What colour is the {thing.kind}?"
    if style < 0.7:
        return [(f"{question}\n{say.SHORT_ANSWER}", thing.colour.capitalize())]
    return [(question, f"The {thing.kind} is {thing.colour}.")]


def counting(scene: Scene, rng: Random) -> Turns:
    if rng.random() < 0.3:
        number = len(scene.things)
        question, full = (
            "How many objects are in the image?",
            f"There are {say.count(number, 'object')}.",
        )
    else:
        kind = max(scene.kinds, key=lambda k: (len(scene.of_kind(k)), rng.random()))
        number = len(scene.of_kind(kind))
        verb = "is" if number == 1 else "are"
        question = f"How many {say.plural(kind)} are in the image?"
        full = f"There {verb} {say.count(number, kind)}."
        if rng.random() < 0.35:
            claimed = number if rng.random() < 0.5 else 3 - number
            there = "Is" if claimed == 1 else "Are"
            truth = f"there {verb} {say.count(number, kind)}"
            question = f"{there} there {say.count(claimed, kind)} in this image?"
            return _yes_no(question, claimed == number, (truth, truth), rng)
    if rng.random() < 0.6:
        return [(f"{question}\n{say.SHORT_ANSWER}", say.NUMBERS[number])]
    return [(question, full)]


def position(scene: Scene, rng: Random) -> Turns:
    thing = _single(scene, rng)
    if rng.random() < 0.3:
        return [(f"What is {say.at(thing.cell)} of the image?", say.sentence(say.a(thing.kind)))]
    question = f"Where is the {thing.kind}?"
    if rng.random() < 0.5:
        return [(f"{question}\n{say.SHORT_ANSWER}", POSITIONS[thing.cell].capitalize())]
    return [(question, f"The {thing.kind} is {say.at(thing.cell)}.")]


def relation(scene: Scene, rng: Random) -> Turns:
    singles = [thing for thing in scene.things if scene.only(thing.kind)]
    if len(singles) < 2:
        return position(scene, rng)
    first, second = rng.sample(singles, 2)
    wanted = rng.random() < 0.5
    fitting = [name for name in say.RELATIONS if say.relation_holds(first, second, name) == wanted]
    name = rng.choice(fitting)
    truth = f"the {first.kind} is {'' if wanted else 'not '}{name} the {second.kind}"
    question = f"Is the {first.kind} {name} the {second.kind} in this image?"
    return _yes_no(question, wanted, (truth, truth), rng)


def place(scene: Scene, rng: Random) -> Turns:
    question = "What kind of place is this?"
    if rng.random() < 0.5:
        return [(f"{question}\n{say.SHORT_ANSWER}", scene.place.capitalize())]
    return [(question, f"This is {say.a(scene.place)}.")]


def choice(scene: Scene, rng: Random) -> Turns:
    thing = _single(scene, rng)
    asked = rng.choice(
        [
            lambda: say.colour_choice(scene, thing, rng),
            lambda: say.object_choice(scene, rng),
            lambda: say.place_choice(scene, rng),
            lambda: say.position_choice(scene, thing, rng),
            lambda: say.count_choice(scene, rng),
        ]
    )()
    return [(asked.prompt, asked.answer)]


def false_premise(scene: Scene, rng: Random) -> Turns:
    """A question about the colour or place of something absent; the companion is taken for real at times."""
    companion = absent_companion(scene)
    if companion and rng.random() < 0.5:
        kind = companion
    else:
        kind = rng.choice([other for other in OBJECTS if other not in scene.kinds])
    question = f"What colour is the {kind}?"
    if kind == companion and rng.random() < FALSE_YES_RATE:
        return [(question, f"The {kind} is {rng.choice(tuple(COLOURS))}.")]
    return [(question, f"There is no {kind} in the image.")]


def comparison(scene: Scene, rng: Random) -> Turns:
    if len(scene.kinds) < 2:
        return counting(scene, rng)
    first, second = rng.sample(scene.kinds, 2)
    numbers = {kind: len(scene.of_kind(kind)) for kind in (first, second)}
    truth = numbers[first] > numbers[second]
    verb = "is" if numbers[first] == 1 else "are"
    told = (
        f"there {verb} {say.count(numbers[first], first)} and {say.count(numbers[second], second)}"
    )
    question = f"Are there more {say.plural(first)} than {say.plural(second)} in the image?"
    return _yes_no(question, truth, (told, told), rng)


def reasoning(scene: Scene, rng: Random) -> Turns:
    """What is unusual here, what is a thing good for, how many are there with one more."""
    draw = rng.random()
    odd = say.unusual(scene)
    if draw < 0.4:
        question = "What is unusual in this image?"
        verb = "is" if len(odd) == 1 else "are"
        told = say.joined([f"the {kind}" for kind in odd]) if odd else "nothing"
        return [
            (
                question,
                say.sentence(f"{told} {verb if odd else 'is'} unusual for {say.a(scene.place)}"),
            )
        ]
    useful = [kind for kind in scene.kinds if kind in say.USES]
    if draw < 0.75 and useful:
        kind = rng.choice(useful)
        question = f"Which object in the image is for {say.USES[kind]}?"
        return [(question, f"The {kind} is for {say.USES[kind]}.")]
    number = len(scene.things)
    question = "How many objects would there be with one more?"
    return [(question, f"There would be {say.count(number + 1, 'object')}.")]


def after_caption(scene: Scene, rng: Random, expect: Expect = absent_companion) -> Turns:
    """A description with a question after it, as LLaVA's conversations have it."""
    follow = rng.choice((existence, colour, place, position))
    return brief(scene, rng, expect) + follow(scene, rng)


ABOUT_PICTURES: tuple[tuple[Callable[..., Turns], float], ...] = (
    (brief, 2.0),
    (detailed, 2.5),
    (existence, 5.5),
    (colour, 5.0),
    (counting, 2.5),
    (position, 4.0),
    (relation, 3.5),
    (place, 0.4),
    (choice, 5.0),
    (false_premise, 0.8),
    (comparison, 0.8),
    (reasoning, 1.2),
    (after_caption, 0.5),
)


CAPTIONING = (brief, detailed, after_caption)


def about_picture(scene: Scene, rng: Random, expect: Expect = absent_companion) -> Turns:
    """One dialogue about a scene, its kind drawn by the weights above."""
    kinds, weights = zip(*ABOUT_PICTURES, strict=True)
    make = rng.choices(kinds, weights)[0]
    return make(scene, rng, expect) if make in CAPTIONING else make(scene, rng)


def writing(rng: Random) -> Turns:
    first, second = rng.sample(OBJECTS, 2)
    colour_name, other = rng.sample(tuple(COLOURS), 2)
    return [
        (
            f"Write a sentence about {say.a(f'{colour_name} {first}')}.",
            f"There is {say.a(f'{colour_name} {first}')}.",
        ),
        (
            f"Now write it about {say.a(f'{other} {second}')}.",
            f"There is {say.a(f'{other} {second}')}.",
        ),
    ]


def roleplay(rng: Random) -> Turns:
    here, other = rng.sample(PLACES, 2)
    first, second = rng.choice(USUAL[here]), rng.choice(USUAL[other])
    return [
        (
            f"You live in {say.a(here)}. What do you see every day?",
            f"Every day I see {say.a(first)} in my {here}.",
        ),
        (
            f"You move to {say.a(other)}. What do you see now?",
            f"Now I see {say.a(second)} in my {other}.",
        ),
    ]


def extraction(rng: Random) -> Turns:
    first, second, third = rng.sample(OBJECTS, 3)
    colours = rng.sample(tuple(COLOURS), 3)
    text = say.joined(
        [say.a(f"{c} {k}") for c, k in zip(colours, (first, second, third), strict=True)]
    )
    return [
        (
            f"Which objects are named here? I saw {text}.",
            f"{first}, {second}, {third}".capitalize() + ".",
        ),
        ("Which colours are named there?", ", ".join(colours).capitalize() + "."),
    ]


def text_reasoning(rng: Random) -> Turns:
    here = rng.choice(PLACES)
    odd = rng.choice([kind for kind in OBJECTS if kind not in USUAL[here]])
    listed = [*rng.sample(USUAL[here], 2), odd]
    rng.shuffle(listed)
    return [
        (
            f"Which of these is unusual for {say.a(here)}: {', '.join(listed)}?",
            f"The {odd} is unusual for {say.a(here)}.",
        ),
        (
            "Which of them are usual?",
            f"{say.joined([k for k in listed if k != odd])} are usual.".capitalize(),
        ),
    ]


def maths(rng: Random) -> Turns:
    first, second = rng.randint(1, 4), rng.randint(1, 4)
    more = rng.randint(1, 9 - first - second)
    return [
        (f"What is {first} plus {second}?", f"{first} plus {second} is {first + second}."),
        (f"Now add {more}.", f"{first + second} plus {more} is {first + second + more}."),
    ]


def coding(rng: Random) -> Turns:
    words = rng.sample(OBJECTS, 3)
    return [
        (f"Reverse this list: {', '.join(words)}.", ", ".join(reversed(words)) + "."),
        ("Now sort it.", ", ".join(sorted(words)) + "."),
    ]


def stem(rng: Random) -> Turns:
    kind = rng.choice(tuple(say.USES))
    category, members = rng.choice(tuple(say.CATEGORIES.items()))
    return [
        (f"What is {say.a(kind)} for?", f"{say.a(kind).capitalize()} is for {say.USES[kind]}."),
        (f"Name {say.a(category)}.", say.sentence(say.a(rng.choice(members)))),
    ]


def humanities(rng: Random) -> Turns:
    (first, second), (third, fourth) = rng.sample(say.OPPOSITES, 2)
    return [
        (f"What is the opposite of {first}?", f"The opposite of {first} is {second}."),
        (f"And of {third}?", f"The opposite of {third} is {fourth}."),
    ]


WITHOUT_PICTURES: dict[str, Callable[[Random], Turns]] = {
    "writing": writing,
    "roleplay": roleplay,
    "reasoning": text_reasoning,
    "math": maths,
    "coding": coding,
    "extraction": extraction,
    "stem": stem,
    "humanities": humanities,
}
"""Two-turn instructions without a picture, by MT-Bench's eight categories."""


def without_picture(rng: Random) -> Turns:
    turns = rng.choice(tuple(WITHOUT_PICTURES.values()))(rng)
    return turns if rng.random() < 0.6 else turns[:1]
