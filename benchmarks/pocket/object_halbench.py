"""Pocket Object HalBench: descriptions of scenes, and an oracle that extracts the objects they
name.

200 scenes, the five detailed prompts in turn. Truth is exact: the kinds of object that are in the
scene. The oracle does what the official judge is asked for, with the pocket world's vocabulary
(second names and plurals too).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import islice

from benchmarks.base import Item
from benchmarks.coco_objects import Mention
from benchmarks.pocket import judge_sheet
from benchmarks.pocket.language import DETAIL_PROMPTS, mentioned
from benchmarks.pocket.world import ScenePicture, scenes

N_SCENES = 200
SEED = "object_halbench"

TITLE = "Pocket Object HalBench: list the objects."
TASK = """\
A model was shown a picture, asked a question about it, and gave an answer. Trust the answer, and
list every object that it says is in the picture, in its words and order, without colours or other
properties. Reply with a JSON list of texts and nothing else, such as
["first object", "second object"]; [] if it names none."""


def items() -> Sequence[Item]:
    """One question about each scene."""
    return [
        Item(
            id=str(number),
            group=scene.name,
            question=DETAIL_PROMPTS[(number - 1) % len(DETAIL_PROMPTS)],
            pictures=(ScenePicture(scene),),
            reference={"image_id": number, "objects": sorted(scene.kinds)},
        )
        for number, scene in enumerate(islice(scenes("evaluation", SEED), N_SCENES), start=1)
    ]


def judge_prompt(question: str, answer: str) -> str:
    return judge_sheet.write(TITLE, TASK, {"question": question, "answer": answer})


def oracle_reply(prompt: str) -> str:
    """What a faultless judge replies to ``judge_prompt``. Raises ValueError for any other text."""
    _, answer = judge_sheet.read(prompt, "question", "answer")
    return json.dumps([mention.word for mention in mentions(answer)])


def mentions(text: str) -> list[Mention]:
    """The words of a text that name a kind of object, in order, each time that they occur."""
    words = re.findall(r"[a-z]+", text.lower())
    return [Mention(word, kind) for word in words for kind in mentioned(word)]
