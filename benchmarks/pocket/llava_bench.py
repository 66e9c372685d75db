"""Pocket LLaVA-Bench: 30 scenes with three questions each (conversation, detailed description,
reasoning), and an oracle that rates two answers.

As in the official set, the judge is told what is in the picture and compares the model's answer
with a reference answer, which here is the truth. An answer's rating is 1 plus nine times the share
of facts on which it agrees with the reference (``grading.Grade.share``).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from benchmarks.base import Item
from benchmarks.pocket import judge_sheet, questions
from benchmarks.pocket.grading import Grade, grade
from benchmarks.pocket.questions import Asked, Make
from benchmarks.pocket.world import Scene, ScenePicture, scenes

N_SCENES = 30
SEED = "llava_bench"

MAKERS: dict[str, tuple[Make, ...]] = {
    "conv": (
        questions.colour,
        questions.position,
        questions.counting,
        questions.absent_colour,
        questions.object_at,
        questions.place,
    ),
    "detail": (questions.detailed_description,),
    "complex": (
        questions.unusual,
        questions.use,
        questions.comparison,
        questions.one_more,
        questions.relation,
    ),
}
"""What is asked in each category, in turn."""

TITLE = "Pocket LLaVA-Bench: rate two answers."
TASK = """\
Two assistants were shown a picture and asked a question about it. Below are what is in the picture,
the question and both answers. Rate the helpfulness, relevance, accuracy and level of detail of each
answer on a scale of 1 to 10. First write one line with nothing but the two ratings, for Assistant 1
and 2, separated by a space. Then explain them."""

FIELDS = ("context", "question", "assistant 1", "assistant 2")


def items() -> Sequence[Item]:
    """90 questions; ids count from 0, as officially."""
    unused, rng = scenes("evaluation", SEED), Random(SEED)
    found: list[Item] = []
    for n in range(N_SCENES):
        makers = [of_category[n % len(of_category)] for of_category in MAKERS.values()]
        scene, asked = questions.drawn(makers, unused, rng)
        for category, about in zip(MAKERS, asked, strict=True):
            found.append(_item(len(found), category, scene, about))
    return found


def _item(number: int, category: str, scene: Scene, asked: Asked) -> Item:
    return Item(
        id=str(number),
        group=scene.name,
        question=asked.question,
        split=category,
        pictures=(ScenePicture(scene),),
        reference={
            "question_id": number,
            "context": questions.content_of(scene),
            "answer": asked.answer,
        },
    )


def judge_prompt(context: Sequence[str], question: str, reference: str, candidate: str) -> str:
    values = (list(context), question, reference, candidate)
    return judge_sheet.write(TITLE, TASK, dict(zip(FIELDS, values, strict=True)))


def oracle_reply(prompt: str) -> str:
    """What a faultless judge replies to ``judge_prompt``. Raises ValueError for any other text."""
    context, question, reference, candidate = judge_sheet.read(prompt, *FIELDS)
    first, second = (
        grade(context, question, reference, answer) for answer in (reference, candidate)
    )
    told = f"Assistant 1: {first.told} Assistant 2: {second.told}"
    return f"{_rating(first)} {_rating(second)}\n{told}"


def _rating(found: Grade) -> int:
    return 1 + round(9 * found.share)
