"""Pocket MT-Bench: ten two-turn tasks without a picture in each of MT-Bench's eight categories, and
an oracle that rates the answers from 1 to 10.

The judge's prompts have the official names and fields: with a reference answer for reasoning,
math and coding, and with the whole conversation for the second turn. The oracle counts the points
that an answer gets right (``benchmarks.pocket.text_tasks``).

As the official set does for big models, this one shows whether training on pictures costs a model
its language. The first five tasks of a category are such as the embedded checkpoint was trained on,
and it answers them; the other five go a step further (``benchmarks.pocket.further_tasks``), so that
what is gained can be seen as well as what is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from benchmarks.base import Item, sha256_of
from benchmarks.mtbench_files import NEEDS_REFERENCE, PROMPT_FIELDS
from benchmarks.pocket import judge_sheet
from benchmarks.pocket.dialogues import WITHOUT_PICTURES, Turns
from benchmarks.pocket.further_tasks import FURTHER
from benchmarks.pocket.text_tasks import Case, grade

SEED = "mtbench"
N_TRAINED = N_FURTHER = 5

TASK = """\
A model was given a task. Rate its answer to the last question from 1 (nothing of what was asked
for) to 10 (all that was asked for, and nothing wrong). Where there is a reference answer, compare
with it. Explain the rating first, then write it in double brackets, such as "Rating: [[5]]"."""


def items() -> Sequence[Item]:
    """80 questions, category by category; ids are ``"<category>/<number>"``."""
    found: list[Item] = []
    for category in WITHOUT_PICTURES:
        for number, turns in enumerate(tasks(category), start=1):
            found.append(_item(f"{category}/{number}", category, len(found) + 1, turns))
    return found


def tasks(category: str) -> list[Turns]:
    """A category's tasks with right answers: ten different ones, the further tasks last."""
    trained = _drawn(WITHOUT_PICTURES[category], N_TRAINED, f"{SEED} {category}")
    return trained + _drawn(FURTHER[category], N_FURTHER, f"{SEED} further {category}")


def _drawn(make: Callable[[Random], Turns], n: int, seed: str) -> list[Turns]:
    rng = Random(seed)
    found: dict[tuple[str, ...], Turns] = {}
    while len(found) < n:
        turns = make(rng)
        found.setdefault(tuple(question for question, _ in turns), turns)
    return list(found.values())


def _item(item_id: str, category: str, question_id: int, turns: Turns) -> Item:
    questions, answers = [question for question, _ in turns], [answer for _, answer in turns]
    reference = {"question_id": question_id, "turns": questions}
    if category in NEEDS_REFERENCE:
        reference["reference"] = answers
    return Item(item_id, item_id, questions[0], category, reference=reference)


TITLES = {f"Pocket MT-Bench, {name}": name for name in PROMPT_FIELDS}
"""The official names of the prompts, by their first line."""


def judge_prompt(name: str, fields: Mapping[str, str]) -> str:
    """The prompt of an official name, with the fields that it has (``PROMPT_FIELDS``)."""
    return judge_sheet.write(f"Pocket MT-Bench, {name}", TASK, fields)


JUDGE_SHA256 = sha256_of(
    [judge_prompt(name, dict.fromkeys(fields, "")) for name, fields in PROMPT_FIELDS.items()]
)


def oracle_reply(prompt: str) -> str:
    """What a faultless judge replies to ``judge_prompt``. Raises ValueError for any other text."""
    graded = grade(_case(prompt))
    wanted, said = graded
    told = f"The answer gives {len(wanted & said)} of {len(wanted)} points."
    for label, points in (("Missing", wanted - said), ("Wrong", said - wanted)):
        if points:
            told += f" {label}: {', '.join(sorted(points))}."
    return f"{told} Rating: [[{1 + int(9 * graded.share + 0.5)}]]"


def _case(prompt: str) -> Case:
    name = TITLES.get(judge_sheet.title_of(prompt))
    if name is None:
        raise ValueError("this is not a prompt for the pocket oracle")
    values = judge_sheet.read(prompt, *PROMPT_FIELDS[name])
    if not all(isinstance(value, str) for value in values):
        raise ValueError("a field of the prompt is no text")
    fields: dict[str, str] = dict(zip(PROMPT_FIELDS[name], values, strict=True))
    if "question" in fields:
        question = fields["question"]
        return Case(question, question, fields.get("ref_answer_1", ""), fields["answer"])
    reference = fields.get("ref_answer_2", "")
    return Case(fields["question_2"], fields["question_1"], reference, fields["answer_2"])
