"""Pocket MMHal-Bench: 8 types of question x 12 topics about scenes, and an oracle that rates the
answers.

As in the official set, there is one question for each type and topic, the types take turns, and the
judge is told what is in the picture. Topics are the seven kinds of place and five groups of
objects.

The oracle reads facts off both answers (see ``grading``). It calls a fact that the scene does not
bear out a hallucination, and an answer as informative as its share of the facts that were asked
for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from random import Random

from benchmarks.base import Item
from benchmarks.mmhal_files import TYPES
from benchmarks.pocket import judge_sheet, questions
from benchmarks.pocket import language as say
from benchmarks.pocket.grading import grade
from benchmarks.pocket.questions import Asked
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


def _other(scene: Scene, things: Sequence[Thing], rng: Random) -> Asked | None:
    """What is unusual, what is for a use, how many there were with one more."""
    draw = rng.random()
    if draw < 0.4:
        return questions.unusual(scene, things, rng)
    asked = questions.use(scene, things, rng) if draw < 0.7 else None
    return asked or questions.one_more(scene, things, rng)


_MAKE: dict[str, questions.Make] = {
    "attribute": questions.colour,
    "adversarial": questions.absent_colour,
    "comparison": questions.comparison,
    "counting": questions.counting,
    "relation": questions.relation,
    "environment": questions.place,
    "holistic": questions.detailed_description,
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
            "image_content": questions.content_of(scene),
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
    found = grade(content, question, correct, answer)
    level = 2 if found.right == found.wanted else int(bool(found.right))
    rating = level if found.wrong else level + 3 + int(level == 2 and bool(found.more))
    return f"{found.told}\nRating: {rating}, {OPTIONS[rating]}"
