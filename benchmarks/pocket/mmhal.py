"""Pocket MMHal-Bench: 8 types of question x 12 topics about scenes, and an oracle that rates the
answers.

As in the official set, there is one question for each type and topic, the types take turns, and the
judge is told what is in the picture. Topics are the seven kinds of place and five groups of
objects.

The oracle reads facts off both answers (see ``facts``). It calls a fact that the scene does not
bear out a hallucination, and an answer as informative as its share of the facts that were asked
for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from benchmarks.base import Item
from benchmarks.mmhal_files import TYPES
from benchmarks.pocket import judge_sheet
from benchmarks.pocket import language as say
from benchmarks.pocket.dialogues import absent_companion
from benchmarks.pocket.facts import ANY_OBJECT, Fact, facts, kinds_in
from benchmarks.pocket.world import PLACES, Scene, ScenePicture, Thing, scenes

SEED = "mmhal"
N_CANDIDATES = 600

GROUPS = {
    "animals": say.CATEGORIES["animal"],
    "plants": say.CATEGORIES["plant"],
    "tools": say.CATEGORIES["tool"],
    "sky": say.CATEGORIES["thing in the sky"],
    "buildings": say.CATEGORIES["building"],
}
TOPICS = (*PLACES, *GROUPS)

TITLE = "Pocket MMHal-Bench: rate the answer."
TASK = """\
A model was shown a picture and asked a question about it. Below are what is in the picture, the
question, a correct answer, and the model's answer. Say in a sentence or two what of the model's
answer is right and what is made up. Then write one last line that begins with "Rating: " and a
whole number:
6 all that was asked for and more, nothing made up
5 all that was asked for, nothing made up
4 a part of it, nothing made up
3 nothing of it, nothing made up
2 all of it, something made up
1 a part of it, something made up
0 nothing of it, something made up"""

FIELDS = ("picture", "question", "correct answer", "model's answer")

OPTIONS = (
    "not informative, with hallucination",
    "somewhat informative, with hallucination",
    "very informative, with hallucination",
    "not informative, no hallucination",
    "somewhat informative, no hallucination",
    "very informative, no hallucination",
    "very informative with good analysis, no hallucination",
)
"""What a judge writes behind each rating."""

MAX_TOLD = 5
"""So many made-up facts a reply names."""


@dataclass(frozen=True)
class Asked:
    """A question and its correct answer."""

    question: str
    answer: str


Make = Callable[[Scene, Sequence[Thing], Random], Asked | None]
"""A question about a scene, about one of the things if it is about a thing; None if the scene bears
none.
"""


def _attribute(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    single = [thing for thing in things if scene.only(thing.kind)]
    if not single:
        return None
    thing = rng.choice(single)
    return Asked(f"What colour is the {thing.kind}?", f"The {thing.kind} is {thing.colour}.")


def _adversarial(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    kind = absent_companion(scene)
    if kind is None:
        return None
    return Asked(f"What colour is the {kind}?", f"There is no {kind} in the image.")


def _comparison(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
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


def _counting(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    kind = max((thing.kind for thing in things), key=lambda kind: len(scene.of_kind(kind)))
    number = len(scene.of_kind(kind))
    verb = "is" if number == 1 else "are"
    question = f"How many {say.plural(kind)} are in the image?"
    return Asked(question, f"There {verb} {say.count(number, kind)}.")


def _relation(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    first = [thing for thing in things if scene.only(thing.kind)]
    if not first:
        return None
    one = rng.choice(first)
    second = [thing for thing in scene.things if thing != one and scene.only(thing.kind)]
    if not second:
        return None
    other = rng.choice(second)
    name = rng.choice(say.RELATIONS)
    holds = say.relation_holds(one, other, name)
    told = f"the {one.kind} is {'' if holds else 'not '}{name} the {other.kind}"
    question = f"Is the {one.kind} {name} the {other.kind} in this image?"
    return Asked(question, f"{'Yes' if holds else 'No'}, {told}.")


def _environment(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    return Asked("What kind of place is this?", f"This is {say.a(scene.place)}.")


def _holistic(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    return Asked(rng.choice(say.DETAIL_PROMPTS), say.detailed_caption(scene, scene.things))


def _other(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    """What is unusual, what is for a use, how many there were with one more."""
    draw = rng.random()
    if draw < 0.4:
        odd = say.unusual(scene)
        told = say.joined([f"the {kind}" for kind in odd]) if odd else "nothing"
        verb = "is" if len(odd) <= 1 else "are"
        answer = say.sentence(f"{told} {verb} unusual for {say.a(scene.place)}")
        return Asked("What is unusual in this image?", answer)
    useful = [kind for kind in scene.kinds if kind in say.USES]
    if draw < 0.7 and useful:
        use = say.USES[rng.choice(useful)]
        kind = next(kind for kind in useful if say.USES[kind] == use)
        return Asked(f"Which object in the image is for {use}?", f"The {kind} is for {use}.")
    more = say.count(len(scene.things) + 1, "object")
    return Asked("How many objects would there be with one more?", f"There would be {more}.")


_MAKE: dict[str, Make] = {
    "attribute": _attribute,
    "adversarial": _adversarial,
    "comparison": _comparison,
    "counting": _counting,
    "relation": _relation,
    "environment": _environment,
    "holistic": _holistic,
    "other": _other,
}


def items() -> Sequence[Item]:
    """96 questions about as many scenes; ids are ``"<type>/<topic>"``."""
    unused = list(islice(scenes("evaluation", SEED), N_CANDIDATES))
    found = []
    for topic in TOPICS:
        for kind_of_question in TYPES:
            scene, asked = _first_fitting(unused, kind_of_question, topic)
            unused.remove(scene)
            found.append(_item(scene, asked, kind_of_question, topic))
    return found


def _first_fitting(
    unused: Sequence[Scene], kind_of_question: str, topic: str
) -> tuple[Scene, Asked]:
    rng = Random(f"{SEED} {kind_of_question} {topic}")
    for scene in unused:
        kinds = GROUPS.get(topic)
        of_topic = [thing for thing in scene.things if kinds is None or thing.kind in kinds]
        if of_topic and (kinds is not None or scene.place == topic):
            asked = _MAKE[kind_of_question](scene, of_topic, rng)
            if asked is not None:
                return scene, asked
    raise AssertionError(
        f"none of the scenes bears a question of type {kind_of_question} on {topic}"
    )


def _item(scene: Scene, asked: Asked, kind_of_question: str, topic: str) -> Item:
    content = [f"{thing.colour} {thing.kind} {say.at(thing.cell)}" for thing in scene.things]
    return Item(
        id=f"{kind_of_question}/{topic}",
        group=scene.name,
        question=asked.question,
        split=kind_of_question,
        pictures=(ScenePicture(scene),),
        reference={
            "question_type": kind_of_question,
            "question_topic": topic,
            "image_id": scene.name,
            "image_src": f"pocket/{scene.name}",
            "image_content": [scene.place, *content],
            "question": asked.question,
            "gt_answer": asked.answer,
        },
    )


def judge_prompt(content: Sequence[str], question: str, correct: str, answer: str) -> str:
    values = (list(content), question, correct, answer)
    return judge_sheet.write(TITLE, TASK, dict(zip(FIELDS, values, strict=True)))


def oracle_reply(prompt: str) -> str:
    """What a faultless judge replies to ``judge_prompt``. Raises ValueError for any other text."""
    content, question, correct, answer = judge_sheet.read(prompt, *FIELDS)
    kinds = kinds_in(question)
    subject = kinds[0] if len(kinds) == 1 else ""
    wanted = facts(correct, subject) - {("object", kind) for kind in kinds}
    said = facts(answer, subject)
    picture = Known.of(content, question, wanted)
    wrong = sorted(fact for fact in said if not picture.bears_out(fact))
    right = wanted & said
    known = {("object", kind) for kind in kinds_in(f"{question} {correct}")}
    more = {fact for fact in said - wanted - known if fact[0] != "verdict"}
    level = 2 if right == wanted else int(bool(right))
    rating = level if wrong else level + 3 + int(level == 2 and bool(more))
    told = f"Of {len(wanted)} facts asked for, the answer gives {len(right)}."
    if wrong:
        told += f" Made up: {', '.join(' '.join(fact) for fact in wrong[:MAX_TOLD])}."
    return f"{told}\nRating: {rating}, {OPTIONS[rating]}"


@dataclass(frozen=True)
class Known:
    """What a judge knows of a picture.

    Attributes:
        n_of: how many there are of each kind.
        described: the facts of each entry of the picture's content.
        named: kinds that the question names. To name them claims nothing; what is said of them
            does.
        settled: the facts that the correct answer gives.
    """

    n_of: Mapping[str, int]
    described: frozenset[Fact]
    named: tuple[str, ...]
    settled: frozenset[Fact]

    @classmethod
    def of(cls, content: Sequence[str], question: str, wanted: frozenset[Fact]) -> Known:
        described = frozenset(fact for entry in content for fact in facts(entry))
        n_of = Counter(kind for entry in content for kind in kinds_in(entry))
        n_of[ANY_OBJECT] = n_of.total()
        return cls(n_of, described, kinds_in(question), wanted)

    def bears_out(self, fact: Fact) -> bool:
        """Whether a claim is true. Where the correct answer says how it is, that decides."""
        name, kind, value = fact[0], fact[1], fact[-1]
        rivals = {other for other in self.settled if other[:-1] == fact[:-1]}
        if name in ("number", "verdict", "unusual") and rivals:
            return fact in rivals
        if name == "object":
            return kind in self.n_of or kind in self.named
        if name == "absent":
            return kind not in self.n_of
        if name == "number":
            return value == str(self.n_of.get(kind, 0))
        if name == "use":
            return say.USES.get(kind) == value
        # A verdict or something unusual that was not asked for cannot be checked.
        return name in ("verdict", "unusual") or fact in self.described
