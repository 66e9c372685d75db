"""How the pocket world is spoken about: names, prompts and phrases.

The prompts of the official benchmarks are used where they fit (POPE's "Is there a … in the image?" with LLaVA's
suffixes), so that the pocket checkpoint is asked what a big one is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.pocket.world import COLOURS, OBJECTS, PLACES, POSITIONS, USUAL, Scene, Thing

SHORT_ANSWER = "Answer the question using a single word or phrase."
LETTER_ANSWER = "Answer with the option's letter from the given choices directly."
YES_NO_ANSWER = "Please answer yes or no."
LETTERS = "ABCD"

BRIEF_PROMPTS = (
    "Describe this image.",
    "What is in this image?",
    "Write a short caption for this image.",
)
DETAIL_PROMPTS = (
    "Describe this image in detail.",
    "Provide a thorough description of the given image.",
    "What are the key elements in this picture?",
    "Can you explain what is happening in the image?",
    "Please tell me what you see and where it is.",
)

SYNONYMS: dict[str, str] = {
    "cat": "kitten",
    "cup": "mug",
    "horse": "pony",
    "plane": "airplane",
    "telephone": "phone",
    "vase": "urn",
}
"""Second names that detailed captions use now and then."""

NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")

CATEGORIES: dict[str, tuple[str, ...]] = {
    "animal": ("cat", "cow", "horse", "mouse"),
    "plant": ("clover", "flower"),
    "tool": ("hammer", "gear", "flask", "pencil", "wheel"),
    "thing in the sky": ("sun", "moon", "star", "cloud", "snowflake", "plane", "bolt"),
    "building": ("house", "tower"),
}

USES: dict[str, str] = {
    "anchor": "holding a ship",
    "cup": "drinking",
    "envelope": "sending letters",
    "flask": "chemistry",
    "hammer": "driving nails",
    "keyboard": "typing",
    "pencil": "writing",
    "plane": "flying",
    "sword": "fighting",
    "telephone": "calling",
    "umbrella": "keeping dry",
    "vase": "holding water",
}

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("hot", "cold"),
    ("big", "small"),
    ("day", "night"),
    ("left", "right"),
    ("top", "bottom"),
    ("black", "white"),
    ("old", "new"),
    ("fast", "slow"),
)


def a(noun: str) -> str:
    """A noun with its indefinite article."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def plural(noun: str) -> str:
    return "mice" if noun == "mouse" else f"{noun}s"


def count(number: int, noun: str) -> str:
    """ "one cup", "two cups"."""
    return f"{NUMBERS[number].lower()} {noun if number == 1 else plural(noun)}"


def joined(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def at(cell: int) -> str:
    """Where a cell is, as an adverbial."""
    name = POSITIONS[cell]
    return f"in the {name}" if name == "middle" else f"at the {name}"


def sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def brief_caption(scene: Scene, things: Sequence[Thing]) -> str:
    """A caption that names place, colours and kinds of ``things`` (not all of which need be present)."""
    listed = joined([a(f"{thing.colour} {thing.kind}") for thing in things])
    return f"This is {a(scene.place)} with {listed}."


def detailed_caption(scene: Scene, things: Sequence[Thing], rng: Random | None = None) -> str:
    """A caption that also says where each thing is. With ``rng`` it uses second names now and then."""
    named = [
        SYNONYMS[thing.kind]
        if rng and thing.kind in SYNONYMS and rng.random() < 0.4
        else thing.kind
        for thing in things
    ]
    told = [
        sentence(f"there is {a(f'{thing.colour} {name}')} {at(thing.cell)}")
        for thing, name in zip(things, named, strict=True)
    ]
    return f"The image shows {a(scene.place)}. {' '.join(told)}"


@dataclass(frozen=True)
class Choice:
    """A multiple-choice question: options in order, and the index of the right one."""

    question: str
    options: tuple[str, ...]
    right: int

    @property
    def prompt(self) -> str:
        listed = "\n".join(
            f"{letter}. {option}" for letter, option in zip(LETTERS, self.options, strict=False)
        )
        return f"{self.question}\n{listed}\n{LETTER_ANSWER}"

    @property
    def answer(self) -> str:
        return LETTERS[self.right]


def choose(
    rng: Random, question: str, right: str, wrong: Sequence[str], n_options: int = 4
) -> Choice:
    """A Choice with shuffled options; ``wrong`` are candidates, none of them equal to ``right``."""
    options = [right, *rng.sample(sorted(set(wrong) - {right}), n_options - 1)]
    rng.shuffle(options)
    return Choice(question, tuple(options), options.index(right))


def colour_choice(scene: Scene, thing: Thing, rng: Random) -> Choice:
    return choose(rng, f"What colour is the {thing.kind}?", thing.colour, tuple(COLOURS))


def object_choice(scene: Scene, rng: Random) -> Choice:
    absent = [kind for kind in OBJECTS if kind not in scene.kinds]
    return choose(rng, "Which object is in the image?", rng.choice(scene.kinds), absent)


def place_choice(scene: Scene, rng: Random) -> Choice:
    return choose(rng, "What kind of place is this?", scene.place, PLACES)


def position_choice(scene: Scene, thing: Thing, rng: Random) -> Choice:
    return choose(rng, f"Where is the {thing.kind}?", POSITIONS[thing.cell], POSITIONS)


def count_choice(scene: Scene, rng: Random) -> Choice:
    question = "How many objects are in the image?"
    return choose(rng, question, str(len(scene.things)), ("1", "2", "3", "4", "5"))


def unusual(scene: Scene) -> tuple[str, ...]:
    """The kinds that are present but not usual for the place."""
    return tuple(kind for kind in scene.kinds if kind not in USUAL[scene.place])


def relation_holds(first: Thing, second: Thing, relation: str) -> bool:
    """Whether ``first`` is "left of", "right of", "above" or "below" ``second``."""
    return {
        "left of": first.column < second.column,
        "right of": first.column > second.column,
        "above": first.row < second.row,
        "below": first.row > second.row,
    }[relation]


RELATIONS = ("left of", "right of", "above", "below")

_KIND_OF_WORD = {
    **{kind: kind for kind in OBJECTS},
    **{plural(kind): kind for kind in OBJECTS},
    **{word: kind for kind, word in SYNONYMS.items()},
    **{plural(word): kind for kind, word in SYNONYMS.items()},
}


def mentioned(text: str) -> tuple[str, ...]:
    """The kinds of object that a text names (second names and plurals too), each once, in order."""
    words = re.findall(r"[a-z]+", text.lower())
    return tuple(dict.fromkeys(_KIND_OF_WORD[word] for word in words if word in _KIND_OF_WORD))
