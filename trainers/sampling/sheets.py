"""What annotators are asked about sampled answers, and how their replies are read.

A sheet either rates each answer by itself, so that ``values["score"]`` orders them, or compares two of them, so that
``values["better"]`` is the index of the better one. A reply that it cannot read is no verdict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Protocol

from benchmarks.base import Decoding, JudgeRequest, Message
from benchmarks.pocket import ratings as pocket
from benchmarks.pocket.questions import content_of
from benchmarks.pocket.world import Scene
from trainers.pairs import Preference
from trainers.scored import LIKERT_ATTRIBUTES, SCORED_FOR

Values = Mapping[str, float]

DECODING = Decoding(max_new_tokens=512)

RATING_TASK = """\
You are shown {shown}a question and an answer to it. Rate the answer from 0 (worst) to 4 (best) in five ways:
Helpfulness: does it do what was asked?
Correctness: is all of it true{of_picture}, with nothing made up and nothing needed left out?
Coherence: is it consistent and well expressed?
Complexity: does it take an expert to write it, or only simple words?
Verbosity: how much detail does it give for what was asked?

Question:
{question}

Answer:
{answer}

Say in a sentence or two why. Then write five lines, each a name, a colon and a number, such as "Helpfulness: 3"."""

VERDICT_TASK = """\
You are shown {shown}a question and two responses to it. Which response is better? The better one makes up less{of_picture}
and is more helpful. Length and order must not matter.

Question:
{question}

Response 1:
{first}

Response 2:
{second}

Begin with "Response 1" or "Response 2", whichever is better, and then give your reason."""


class Sheet(Protocol):
    """One way to ask an annotator.

    Attributes:
        name: what it is called in records.
        compares: whether it compares two answers; it rates each by itself otherwise.
    """

    name: ClassVar[str]
    compares: ClassVar[bool]

    def requests(self, prompt: Preference, answers: Mapping[int, str]) -> list[JudgeRequest]:
        """What is asked about the answers to a prompt, which are given by their index."""

    def read(self, request: JudgeRequest, reply: str) -> Values | None:
        """What a reply says; None when it cannot be read."""


@dataclass(frozen=True)
class RatingSheet:
    """Five ratings of 0 to 4 (2402.10884); the score is the sum of helpfulness, correctness and coherence."""

    name: ClassVar[str] = "rating"
    compares: ClassVar[bool] = False

    def requests(self, prompt: Preference, answers: Mapping[int, str]) -> list[JudgeRequest]:
        return [
            _request(f"{prompt.id}/{index}", prompt, self.name, RATING_TASK, answer=answer)
            for index, answer in answers.items()
        ]

    def read(self, request: JudgeRequest, reply: str) -> Values | None:
        values = read_ratings(reply)
        return values and {**values, "score": sum(values[name] for name in SCORED_FOR)}


@dataclass(frozen=True)
class VerdictSheet:
    """Which of two responses is better (2407.02477). Which one stands first is drawn by seed and prompt."""

    name: ClassVar[str] = "verdict"
    compares: ClassVar[bool] = True

    seed: int = 0

    def requests(self, prompt: Preference, answers: Mapping[int, str]) -> list[JudgeRequest]:
        if len(answers) != 2 or len(set(answers.values())) < 2:
            return []
        order = self._order(prompt.id, sorted(answers))
        first, second = (answers[index] for index in order)
        name = f"{self.name} {order[0]} {order[1]}"
        return [_request(prompt.id, prompt, name, VERDICT_TASK, first=first, second=second)]

    def read(self, request: JudgeRequest, reply: str) -> Values | None:
        verdict = read_verdict(reply)
        if verdict is None:
            return None
        order = request.prompt_name.split()[1:]
        return {"better": float(order[verdict - 1]), "shown_first": float(order[0])}

    def _order(self, id: str, indices: Sequence[int]) -> list[int]:
        swapped = Random(f"position {self.seed} {id}").random() < 0.5
        return list(reversed(indices)) if swapped else list(indices)


@dataclass(frozen=True)
class PocketSheet:
    """The pocket oracle's ratings. The score is 12 less one for each fact made up, left out or said again."""

    name: ClassVar[str] = "pocket"
    compares: ClassVar[bool] = False

    scenes: Mapping[str, Scene]

    def requests(self, prompt: Preference, answers: Mapping[int, str]) -> list[JudgeRequest]:
        content, question = content_of(self.scenes[prompt.id]), prompt.messages[-1].text
        texts = {
            index: pocket.judge_prompt(content, question, prompt.chosen, answer)
            for index, answer in answers.items()
        }
        return [
            JudgeRequest(
                f"{prompt.id}/{index}", prompt.id, (Message("user", text),), DECODING, self.name
            )
            for index, text in texts.items()
        ]

    def read(self, request: JudgeRequest, reply: str) -> Values | None:
        values = read_ratings(reply)
        counts = [_number(reply, name) for name in ("Made up", "Left out")]
        if values is None or None in counts:
            return None
        made_up, left_out = (count for count in counts if count is not None)
        lost = made_up + left_out + pocket.BEST - values["Coherence"]
        return {**values, "made_up": made_up, "left_out": left_out, "score": 12 - lost}


@dataclass(frozen=True)
class RewardSheet:
    """The number that a reward function gives to a conversation that ends with the answer."""

    name: ClassVar[str] = "reward"
    compares: ClassVar[bool] = False

    def requests(self, prompt: Preference, answers: Mapping[int, str]) -> list[JudgeRequest]:
        return [
            JudgeRequest(
                f"{prompt.id}/{index}",
                prompt.id,
                (*prompt.messages, Message("assistant", answer)),
                DECODING,
                self.name,
            )
            for index, answer in answers.items()
        ]

    def read(self, request: JudgeRequest, reply: str) -> Values | None:
        return {"score": float(reply)}


def read_ratings(reply: str) -> dict[str, float] | None:
    """The five ratings by name; None unless each is told, from 0 to 4."""
    found = {name: _number(reply, name) for name in LIKERT_ATTRIBUTES}
    told = {name: value for name, value in found.items() if value is not None and 0 <= value <= 4}
    return told if len(told) == len(LIKERT_ATTRIBUTES) else None


def _number(reply: str, name: str) -> float | None:
    """The number in the last line that begins with a name: "Helpfulness: 3", "**Helpfulness**: 3/4"."""
    # Out of another number than 4 ("3/5") is another scale.
    told = re.findall(
        rf"^\W*{name}\W*?[:=][\s*_]*((?>-?\d+(?:\.\d+)?))(?!\s*/\s*(?!4\b))",
        reply,
        flags=re.MULTILINE | re.IGNORECASE,
    )
    value = float(told[-1]) if told else math.inf
    return value if math.isfinite(value) else None


def read_verdict(reply: str) -> int | None:
    """1 or 2: what the reply begins with, or the only response that it names; None where it cannot be told."""
    flags = re.IGNORECASE
    begins = re.match(
        r"(?:\W|verdict\b)*response\W{0,3}([12])\b(?!\W+(?:and|or)\b)", reply, flags=flags
    )
    if begins is not None:
        return int(begins[1])
    named = set(re.findall(r"\bresponse\W{0,3}([12])\b", reply, flags=flags))
    return int(named.pop()) if len(named) == 1 else None


def _request(id: str, prompt: Preference, name: str, task: str, **texts: str) -> JudgeRequest:
    """A request that shows the prompt's pictures."""
    pictures = prompt.pictures
    text = task.format(
        shown="a picture, " if len(pictures) == 1 else "pictures, " if pictures else "",
        of_picture=" about what is shown" if pictures else "",
        question=_told(prompt.messages),
        **texts,
    )
    return JudgeRequest(id, prompt.id, (Message("user", text, pictures),), DECODING, name)


def _told(messages: Sequence[Message]) -> str:
    """A conversation as text: a single question by itself, turns with who says them."""
    if len(messages) == 1:
        return messages[0].text
    return "\n".join(f"{message.role.capitalize()}: {message.text}" for message in messages)
