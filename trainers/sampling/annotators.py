"""Who says which answer is better: a model behind an endpoint, the pocket oracle, or a function of your own."""

from __future__ import annotations

import argparse
import importlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.base import Message, PlumblineError
from benchmarks.pocket.ratings import scenes_of
from harness.judges.base import Judge
from harness.judges.options import make_judge
from harness.judges.oracle import OracleJudge
from trainers.pairs import Preference
from trainers.sampling.sheets import PocketSheet, RatingSheet, RewardSheet, Sheet, VerdictSheet

POCKET, RATING, VERDICT = "pocket", "rating", "verdict"

Reward = Callable[[Sequence[Message], str], float]
"""Takes a conversation that ends with the user, and an answer; a larger number is better."""


class Annotator(NamedTuple):
    """What is asked, and who answers.

    Attributes:
        remote: whether the judge has to be reached first.
        rejudge: whether judgments of another judge give way to this one's.
    """

    sheet: Sheet
    judge: Judge
    remote: bool = False
    rejudge: bool = False


def open_annotator(
    name: str, options: argparse.Namespace, prompts: Sequence[Preference], folder: Path, seed: int
) -> Annotator:
    """The annotator of a name: ``pocket``, ``rating``, ``verdict`` or ``module:function``.

    Args:
        options: as ``judges.options.add_judge_options`` reads them.
        prompts: whose answers will be judged.
        folder: where a judge keeps its state.
        seed: of the order in which a pair is shown.

    Raises:
        PlumblineError: there is no such annotator, or it cannot judge these prompts.
    """
    named = bool(options.judge or options.judge_base_url)
    if name == POCKET:
        if untold := next((prompt.id for prompt in prompts if not prompt.chosen), None):
            raise PlumblineError(
                f"--annotator pocket compares with the true answer, and prompt {untold} has no chosen one"
            )
        scenes = PocketSheet(scenes_of(prompt.id for prompt in prompts))
        return Annotator(scenes, make_judge(options, "pocket", folder), named, options.rejudge)
    if name in (RATING, VERDICT):
        if not options.judge:
            raise PlumblineError(
                f"--annotator {name} asks a model: name it by --judge MODEL, with --judge-base-url URL unless it "
                "is OpenAI's"
            )
        sheet = RatingSheet() if name == RATING else VerdictSheet(seed)
        judge = make_judge(options, "official", folder)
        return Annotator(sheet, judge, remote=True, rejudge=options.rejudge)
    if named:
        raise PlumblineError(
            f"--judge names a model, and --annotator {name} asks none: take --annotator rating or verdict"
        )
    judge = OracleJudge(_reply(open_reward(name)), name)
    return Annotator(RewardSheet(), judge, rejudge=options.rejudge)


def open_reward(name: str) -> Reward:
    """A function by ``module:function``. Raises PlumblineError."""
    module, colon, function = name.partition(":")
    if not colon:
        raise PlumblineError(
            f"--annotator {name}: write {POCKET}, {RATING}, {VERDICT}, or a function as module:function"
        )
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise PlumblineError(f"--annotator {name} cannot be imported: {error}") from error
    if not callable(found):
        raise PlumblineError(f"--annotator {name}: that is no function")
    reward: Reward = found
    return reward


def _reply(reward: Reward) -> Callable[[Sequence[Message]], str]:
    """A reward function as a judge; its failures become those of single judgments."""

    def reply(messages: Sequence[Message]) -> str:
        *conversation, answer = messages
        try:
            value = float(reward(conversation, answer.text))
        except Exception as error:
            # Whatever a person's function raises about one answer must not end the sampling.
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if not math.isfinite(value):
            raise ValueError(f"the reward is {value}")
        return repr(value)

    return reply
