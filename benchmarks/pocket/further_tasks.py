"""Tasks without a picture that the embedded checkpoint was not trained on.

They ask for the skills of ``dialogues.WITHOUT_PICTURES``, category by category, in words that it
knows, and go a step further: lists of other lengths, larger numbers, two objects in a sentence,
opposites asked from the other side. On the tasks of its training the checkpoint is right
throughout, so that all that later training could show there is a loss. Of what these call for it
gets about half, which leaves room for a gain.

``text_tasks`` grades both. A checkpoint that is trained on these shows nothing by them.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from benchmarks.pocket import language as say
from benchmarks.pocket.dialogues import Turns
from benchmarks.pocket.world import COLOURS, OBJECTS, PLACES, USUAL

TRAINED_ADDEND = 4
TRAINED_SUM = 9
"""In training, the first two numbers and the last sum are never greater."""


def _coloured(kinds: list[str], rng: Random) -> list[str]:
    """ "a red cup" for each kind, all of different colours."""
    colours = rng.sample(tuple(COLOURS), len(kinds))
    return [say.a(f"{colour} {kind}") for colour, kind in zip(colours, kinds, strict=True)]


def writing(rng: Random) -> Turns:
    """Two objects in a sentence; then one of them alone."""
    kinds = rng.sample(OBJECTS, 2)
    things = _coloured(kinds, rng)
    kind, thing = rng.choice(list(zip(kinds, things, strict=True)))
    return [
        (f"Write a sentence about {say.joined(things)}.", f"There is {say.joined(things)}."),
        (f"Now write it about the {kind}.", f"There is {thing}."),
    ]


def roleplay(rng: Random) -> Turns:
    """Two places in a question, of which the second is where one is."""
    first, second, third = rng.sample(PLACES, 3)
    before, now = rng.choice(USUAL[second]), rng.choice(USUAL[third])
    return [
        (
            f"You move from {say.a(first)} to {say.a(second)}. What do you see every day?",
            f"Every day I see {say.a(before)} in my {second}.",
        ),
        (
            f"You move from the {second} to {say.a(third)}. What do you see now?",
            f"Now I see {say.a(now)} in my {third}.",
        ),
    ]


def reasoning(rng: Random) -> Turns:
    """Four objects, one or two of them unusual."""
    here = rng.choice(PLACES)
    n_odd = rng.randint(1, 2)
    odd = rng.sample([kind for kind in OBJECTS if kind not in USUAL[here]], n_odd)
    listed = [*odd, *rng.sample(USUAL[here], 4 - n_odd)]
    rng.shuffle(listed)
    verb = "is" if n_odd == 1 else "are"
    told = say.joined([f"the {kind}" for kind in listed if kind in odd])
    usual = say.joined([kind for kind in listed if kind not in odd])
    return [
        (
            f"Which of these {verb} unusual for {say.a(here)}: {', '.join(listed)}?",
            say.sentence(f"{told} {verb} unusual for {say.a(here)}"),
        ),
        ("Which of them are usual?", say.sentence(f"{usual} are usual")),
    ]


def maths(rng: Random) -> Turns:
    """One number is greater than in training; the second sum may have two digits."""
    larger = rng.randint(TRAINED_ADDEND + 1, TRAINED_SUM - 1)
    numbers = [larger, rng.randint(1, TRAINED_SUM - larger)]
    rng.shuffle(numbers)
    first, second = numbers
    more, total = rng.randint(1, TRAINED_SUM), first + second
    return [
        (f"What is {first} plus {second}?", f"{first} plus {second} is {total}."),
        (f"Now add {more}.", f"{total} plus {more} is {total + more}."),
    ]


def coding(rng: Random) -> Turns:
    """Lists of two, four and five words; in training all have three."""
    words = rng.sample(OBJECTS, rng.choice((2, 4, 5)))
    return [
        (f"Reverse this list: {', '.join(words)}.", ", ".join(reversed(words)) + "."),
        ("Now sort it.", ", ".join(sorted(words)) + "."),
    ]


def extraction(rng: Random) -> Turns:
    """Texts that name two, four or five objects; in training all name three."""
    kinds = rng.sample(OBJECTS, rng.choice((2, 4, 5)))
    things = _coloured(kinds, rng)
    colours = [thing.split()[1] for thing in things]
    return [
        (
            f"Which objects are named here? I saw {say.joined(things)}.",
            say.sentence(", ".join(kinds)),
        ),
        ("Which colours are named there?", say.sentence(", ".join(colours))),
    ]


def stem(rng: Random) -> Turns:
    """From the use to the object; members of two categories instead of one."""
    kind = rng.choice(tuple(say.USES))
    categories = rng.sample(tuple(say.CATEGORIES), 2)
    members = [rng.choice(say.CATEGORIES[category]) for category in categories]
    return [
        (f"Which object is for {say.USES[kind]}?", f"The {kind} is for {say.USES[kind]}."),
        (
            f"Name {say.joined([say.a(category) for category in categories])}.",
            say.sentence(say.joined([say.a(member) for member in members])),
        ),
    ]


def humanities(rng: Random) -> Turns:
    """Opposites of those words that are only answers in training."""
    (first, second), (third, fourth) = rng.sample(say.OPPOSITES, 2)
    return [
        (f"What is the opposite of {second}?", f"The opposite of {second} is {first}."),
        (f"And of {fourth}?", f"The opposite of {fourth} is {third}."),
    ]


FURTHER: dict[str, Callable[[Random], Turns]] = {
    "writing": writing,
    "roleplay": roleplay,
    "reasoning": reasoning,
    "math": maths,
    "coding": coding,
    "extraction": extraction,
    "stem": stem,
    "humanities": humanities,
}
"""Two-turn tasks by MT-Bench's eight categories, as ``dialogues.WITHOUT_PICTURES`` has them."""
