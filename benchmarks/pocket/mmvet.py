"""Pocket MM-Vet: 200 questions about scenes, each on one or more capabilities, and an oracle that
grades the answers from 0.0 to 1.0.

The capabilities are MM-Vet's but for ``ocr``: nothing is written in the pocket world. ``rec`` is to
recognise kinds, colours and places; ``spat`` to say where things are; ``math`` to count, compare
and add; ``know`` to know uses and what is usual in a place; ``gen`` to describe a picture.

Ground truths have MM-Vet's mark ``<AND>`` between parts that are all wanted. The oracle also knows
what is in the picture, so that a true remark beyond the ground truth costs nothing. Its grade is
the share of facts on which answer and ground truth agree (``grading.Grade.share``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from benchmarks.base import Item
from benchmarks.pocket import judge_sheet, questions
from benchmarks.pocket.grading import grade
from benchmarks.pocket.questions import Asked, Make
from benchmarks.pocket.world import Scene, ScenePicture, scenes

SEED = "mmvet"

TITLE = "Pocket MM-Vet: grade the prediction."
TASK = """\
A model was shown a picture and asked a question about it. Below are what is in the picture, the
question, the ground truth and the model's prediction. <AND> in the ground truth means that it is
totally right only when all elements are present in the prediction. Reply with a correctness score
and nothing else: 0.0 (totally wrong), 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, or 1.0 (totally
right)."""

FIELDS = ("picture", "question", "ground truth", "prediction")


class Kind(NamedTuple):
    """A kind of question: how it is made, what it takes to answer it, and how many there are."""

    make: Make
    capability: tuple[str, ...]
    n: int


KINDS: Mapping[str, Kind] = {
    "colour": Kind(questions.colour, ("rec",), 20),
    "absent": Kind(questions.absent_colour, ("rec",), 16),
    "place": Kind(questions.place, ("rec",), 8),
    "position": Kind(questions.position, ("rec", "spat"), 18),
    "object_at": Kind(questions.object_at, ("rec", "spat"), 18),
    "relation": Kind(questions.relation, ("rec", "spat"), 18),
    "counting": Kind(questions.counting, ("rec", "math"), 18),
    "comparison": Kind(questions.comparison, ("rec", "math"), 14),
    "one_more": Kind(questions.one_more, ("rec", "math"), 14),
    "use": Kind(questions.use, ("rec", "know"), 16),
    "unusual": Kind(questions.unusual, ("rec", "know"), 18),
    "brief": Kind(questions.brief_description, ("rec", "gen"), 12),
    "detailed": Kind(questions.detailed_description, ("rec", "gen", "spat"), 10),
}


def items() -> Sequence[Item]:
    """200 questions about as many scenes, the kinds in turn; ids are ``"<kind>/<number>"``."""
    unused, rng = scenes("evaluation", SEED), Random(SEED)
    found = []
    for number in range(1, max(kind.n for kind in KINDS.values()) + 1):
        for name, kind in KINDS.items():
            if number <= kind.n:
                scene, (asked,) = questions.drawn((kind.make,), unused, rng)
                found.append(_item(f"{name}/{number}", kind.capability, scene, asked))
    return found


def _item(item_id: str, capability: Sequence[str], scene: Scene, asked: Asked) -> Item:
    return Item(
        id=item_id,
        group=scene.name,
        question=asked.question,
        split="_".join(sorted(capability)),
        pictures=(ScenePicture(scene),),
        reference={
            "answer": _ground_truth(asked.answer),
            "capability": list(capability),
            "picture": questions.content_of(scene),
        },
    )


def _ground_truth(answer: str) -> str:
    """A correct answer in MM-Vet's notation: of yes or no this word, of several sentences each."""
    verdict = answer.split(", ")[0]
    return verdict if verdict in ("Yes", "No") else answer.replace(". ", ".<AND>")


def judge_prompt(picture: Sequence[str], question: str, truth: str, prediction: str) -> str:
    values = (list(picture), question, truth, prediction)
    return judge_sheet.write(TITLE, TASK, dict(zip(FIELDS, values, strict=True)))


def oracle_reply(prompt: str) -> str:
    """What a faultless judge replies to ``judge_prompt``. Raises ValueError for any other text."""
    picture, question, truth, prediction = judge_sheet.read(prompt, *FIELDS)
    # The parts are whole sentences, so that they can be read on end.
    correct = truth.replace("<AND>", "")
    return f"{grade(picture, question, correct, prediction).share:.1f}"
