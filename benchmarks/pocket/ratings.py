"""Ratings of sampled answers about pocket scenes, for those who make preference data.

The oracle knows the scene. It counts the facts that an answer makes up and the facts of the true answer that it
leaves out (see ``grading``), and turns the counts into the five ratings of 2402.10884, from 0 to 4:

* helpfulness: 4 less one for each fact left out; correctness: 4 less one for each fact made up;
* coherence: 4 less one for each sentence said again;
* complexity and verbosity: how many facts and words there are, whether true or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from benchmarks.base import PlumblineError
from benchmarks.pocket import judge_sheet
from benchmarks.pocket.facts import facts
from benchmarks.pocket.grading import grade
from benchmarks.pocket.preferences import pairs
from benchmarks.pocket.world import Scene

TITLE = "Pocket ratings: rate the answer."
TASK = """\
A model was shown a picture and asked a question about it. Below are what is in the picture, the question, a
correct answer, and the model's answer. Count the facts that the model's answer makes up, and those of the correct
answer that it leaves out. Then rate it from 0 to 4. Write one line each, a name and a whole number, in this order:
Made up, Left out, Helpfulness, Correctness, Coherence, Complexity, Verbosity."""

FIELDS = ("picture", "question", "correct answer", "model's answer")

BEST = 4
FACTS_A_STEP = 3
WORDS_A_STEP = 8
"""So many facts and words make one step of complexity and verbosity: the longest captions reach the last one."""

_PAIR_ID = re.compile(r"pocket-(?P<seed>\d+)-(?P<number>\d+)(?![\w-])")


def judge_prompt(content: Sequence[str], question: str, correct: str, answer: str) -> str:
    values = (list(content), question, correct, answer)
    return judge_sheet.write(TITLE, TASK, dict(zip(FIELDS, values, strict=True)))


def oracle_reply(prompt: str) -> str:
    """What a faultless judge replies to ``judge_prompt``. Raises ValueError for any other text."""
    content, question, correct, answer = judge_sheet.read(prompt, *FIELDS)
    found = grade(content, question, correct, answer)
    made_up, left_out = len(found.wrong), len(found.wanted - found.right)
    sentences = [part.strip() for part in re.split(r"[.!?]", answer) if part.strip()]
    ratings = {
        "Made up": made_up,
        "Left out": left_out,
        "Helpfulness": max(0, BEST - left_out),
        "Correctness": max(0, BEST - made_up),
        "Coherence": max(0, BEST - (len(sentences) - len(set(sentences)))),
        "Complexity": min(BEST, len(facts(answer)) // FACTS_A_STEP),
        "Verbosity": min(BEST, len(answer.split()) // WORDS_A_STEP),
    }
    return "\n".join(f"{name}: {value}" for name, value in ratings.items())


def scenes_of(ids: Iterable[str]) -> dict[str, Scene]:
    """The scenes that pocket preference pairs are about, by the pairs' ids (``pocket-<seed>-<number>``).

    Raises:
        PlumblineError: an id is none of a pocket pair; the text names it.
    """
    wanted: dict[int, dict[int, list[str]]] = {}
    for id in ids:
        match = _PAIR_ID.match(id)
        if match is None:
            raise PlumblineError(
                f"{id} is no pair of the pocket world, so the oracle does not know its scene. Make prompts with "
                "python -m benchmarks.pocket.preferences and keep their ids, or take another annotator"
            )
        by_number = wanted.setdefault(int(match["seed"]), {})
        by_number.setdefault(int(match["number"]), []).append(id)
    found = {}
    for seed, by_number in wanted.items():
        for number, pair in zip(range(max(by_number) + 1), pairs(seed), strict=False):
            found.update(dict.fromkeys(by_number.get(number, ()), pair.scene))
    return found
