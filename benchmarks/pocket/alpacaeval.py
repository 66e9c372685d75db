"""Pocket AlpacaEval: a hundred tasks without a picture, a baseline's outputs for them, and an oracle
that compares two outputs.

About half of the tasks are such as the embedded checkpoint was trained on, the others go a step
further (``benchmarks.pocket.further_tasks``). The baseline answers right in three cases of four,
drawn by a seed, and begins every other output with a polite phrase. Elsewhere it gives what is
right for another task of the same category.

The oracle weighs "m" against "M" by how much of each output is right
(``benchmarks.pocket.text_tasks``). Like the language models whose part it plays, it favours the
longer output a little; the length-controlled win rate takes that out again. What it learns from is
made here too: the oracle compares the baseline's outputs with their bare answers ("concise") and
with the same outputs between phrases ("verbose").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

import numpy as np

from benchmarks import logprobs
from benchmarks.alpacaeval_annotators import Annotator
from benchmarks.alpacaeval_gamed import Gamed
from benchmarks.alpacaeval_parsers import LogprobParser
from benchmarks.base import Decoding, Item
from benchmarks.pocket import judge_sheet
from benchmarks.pocket.dialogues import WITHOUT_PICTURES
from benchmarks.pocket.further_tasks import FURTHER
from benchmarks.pocket.text_tasks import Case, grade

SEED = "alpacaeval"
N_ITEMS = 100
RIGHT_SHARE = 0.75
BASELINE = "pocket_baseline"

OPENING, CLOSING = "I am happy to help.", "I hope that this answers your question."

TITLE = "Pocket AlpacaEval: say which output is better."
TASK = """\
Two models, m and M, were given the same instruction. Compare both outputs with the correct answer
and reply with the name of the model whose output is better: m or M."""
FIELDS = ("instruction", "correct answer", "output of m", "output of M")

RIGHT_LOGIT = 6.0
"""The log-odds of an output that is all right against one that is all wrong."""
LENGTH_LOGIT = 1.0
LENGTH_SCALE = 40
"""The log-odds of a much longer output, and how many characters are much."""


def items() -> Sequence[Item]:
    """Different instructions; ids are numbers from 0, ``dataset`` is the task's category."""
    rng = Random(SEED)
    tasks: dict[str, tuple[str, str]] = {}
    while len(tasks) < N_ITEMS:
        category = rng.choice(tuple(WITHOUT_PICTURES))
        make = rng.choice((WITHOUT_PICTURES, FURTHER))[category]
        (instruction, correct), _ = make(rng)
        tasks.setdefault(instruction, (category, correct))
    found = []
    for number, (instruction, (category, correct)) in enumerate(tasks.items()):
        answer = correct
        if rng.random() >= RIGHT_SHARE:
            of_category = {right for name, right in tasks.values() if name == category}
            answer = rng.choice(sorted(of_category - {correct}))
        reference = {
            "output": f"{OPENING} {answer}" if number % 2 else answer,
            "generator": BASELINE,
            "dataset": category,
            "answer": answer,
            "correct": correct,
        }
        found.append(Item(str(number), str(number), instruction, reference=reference))
    return found


def judge_prompt(item: Item, output_m: str, output_big_m: str) -> str:
    """The prompt about two outputs, in the order shown."""
    values = (item.question, item.reference["correct"], output_m, output_big_m)
    return judge_sheet.write(TITLE, TASK, dict(zip(FIELDS, values, strict=True)))


ANNOTATOR = Annotator(
    name="weighted_pocket_oracle",
    model="pocket-oracle",
    decoding=Decoding(1, temperature=1.0),
    top_logprobs=5,
    template=judge_sheet.write(TITLE, TASK, dict.fromkeys(FIELDS, "")),
    parser=LogprobParser("m", ("m", "M"), binarize=False),
    source="part of Plumbline",
)


def oracle_reply(prompt: str) -> str:
    """What the oracle replies to ``judge_prompt``, with log-probabilities.

    Raises:
        ValueError: it is no such prompt.
    """
    instruction, correct, *outputs = judge_sheet.read(prompt, *FIELDS)
    if not all(isinstance(text, str) for text in (instruction, correct, *outputs)):
        raise ValueError("a field of the prompt is no text")
    odds = _log_odds(instruction, correct, outputs[0], outputs[1])
    candidates = sorted(
        [("m", -math.log1p(math.exp(-odds))), ("M", -math.log1p(math.exp(odds)))],
        key=lambda candidate: -candidate[1],
    )
    return logprobs.pack(candidates[0][0], candidates)


def _log_odds(instruction: str, correct: str, first: str, second: str) -> float:
    """Of the first output being better."""
    shares = [
        grade(Case(instruction, instruction, correct, output)).share for output in (first, second)
    ]
    length = math.tanh((len(first) - len(second)) / LENGTH_SCALE)
    return RIGHT_LOGIT * (shares[0] - shares[1]) + LENGTH_LOGIT * length


Style = Callable[[Item], str]


def _concise(item: Item) -> str:
    return str(item.reference["answer"])


def _verbose(item: Item) -> str:
    return f"{OPENING} {item.reference['answer']} {CLOSING}"


@cache
def gamed_baseline() -> Gamed:
    """What ``df_gamed.csv`` is officially. An instruction is the more difficult, the longer it is."""
    asked = items()
    lengths = np.array([len(item.question) for item in asked])
    difficulty = (lengths - lengths.mean()) / lengths.std()
    compared = [_compared(asked, style) for style in (_verbose, _concise)]
    return Gamed(
        preference=np.concatenate([preference for preference, _ in compared]),
        index=np.tile(np.arange(len(asked), dtype=float), 2),
        std_delta_len=np.concatenate([delta for _, delta in compared]),
        instruction_difficulty=np.tile(difficulty, 2),
        not_gamed_baseline=np.zeros(2 * len(asked)),
        source="the pocket edition",
    )


def _compared(asked: Sequence[Item], style: Style) -> tuple[np.ndarray, np.ndarray]:
    """The baseline's outputs against their restyled selves: preferences, and differences in length."""
    preferences, differences = [], []
    for item in asked:
        output, other = item.reference["output"], style(item)
        odds = _log_odds(item.question, item.reference["correct"], output, other)
        preferences.append(0.5 if output == other else 1 / (1 + math.exp(odds)))
        differences.append(len(output) - len(other))
    return np.array(preferences), np.array(differences) / np.std(differences, ddof=1)
