"""Several answers to each prompt and what an annotator says of them, through the harness's own stages.

Prompts are the items of a benchmark whose turns are draws of the same request with other seeds. So answers are
generated, stored, judged and resumed as those of any run, and a failure is a status.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

from rich.console import Console

from benchmarks.base import (
    Benchmark,
    Decoding,
    Item,
    JudgeRequest,
    JudgeSpec,
    Judgment,
    JudgmentStatus,
    MetricSpec,
    PlumblineError,
    Request,
    Response,
    ResponseStatus,
    ScoreRow,
)
from harness.engines.base import Engine
from harness.generate import Part, generate, turns_of
from harness.judging import JudgePart, judge
from harness.show import Progress
from harness.store import Log, RunFolder
from trainers.pairs import Preference
from trainers.sampling.annotators import Annotator
from trainers.sampling.sheets import Sheet, Values

NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Draws:
    """How answers are drawn; the temperature and number of 2402.10884 by default."""

    n: int = 4
    temperature: float = 0.7
    top_p: float = 1.0
    max_new_tokens: int = 512
    seed: int = 0

    def decoding(self, id: str, index: int) -> Decoding:
        """Of the draw with that index for a prompt: the same in whatever order prompts come."""
        digest = hashlib.sha256(f"{self.seed}/{index}/{id}".encode("utf-8", "surrogatepass"))
        # Servers take seeds of 32 bits with a sign.
        seed = int.from_bytes(digest.digest()[:4], "big") >> 1
        return Decoding(self.max_new_tokens, self.temperature, self.top_p, seed)


@dataclass(frozen=True, kw_only=True)
class SampledAnswers(Benchmark):
    """Prompts as items, draws as turns, an annotator's sheet as the judge's prompt."""

    name: ClassVar[str] = "answers"
    title: ClassVar[str] = "Sampled answers"
    paper: ClassVar[str] = ""
    independent_turns: ClassVar[bool] = True

    prompts: Mapping[str, Preference]
    draws: Draws
    sheet: Sheet

    def items(self) -> Sequence[Item]:
        return [
            Item(id, id, prompt.messages[-1].text, pictures=prompt.pictures)
            for id, prompt in self.prompts.items()
        ]

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        index = len(earlier)
        if index == self.draws.n:
            return None
        # Also the first has a number: there may be a prompt whose own id looks like a second draw.
        id = f"{item.id}#{index + 1}"
        messages = self.prompts[item.id].messages
        return Request(id, item.id, messages, self.draws.decoding(item.id, index))

    @property
    def judge(self) -> JudgeSpec | None:
        return JudgeSpec("", "")

    def judge_requests(self, item: Item, responses: Sequence[Response]) -> Sequence[JudgeRequest]:
        """Equal answers are asked about once."""
        answers: dict[int, str] = {}
        for index, text in usable(responses).items():
            if text not in answers.values():
                answers[index] = text
        return self.sheet.requests(self.prompts[item.id], answers)

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        return self.sheet.read(request, reply)

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        raise PlumblineError(f"{self.title} are compared with one another, not scored")

    def metric_specs(self) -> Sequence[MetricSpec]:
        return ()

    def protocol(self) -> Mapping[str, Any]:
        return asdict(self.draws)


def usable(responses: Sequence[Response]) -> dict[int, str]:
    """Answers by index that can be learned from: whole (not cut at the most tokens) and not empty."""
    return {
        index: response.text for index, response in enumerate(responses) if not _problem(response)
    }


class Problem(NamedTuple):
    """Why an answer or a judgment is missing: in a word, and what was said of this one."""

    kind: str
    reason: str = ""


def _problem(response: Response) -> Problem | None:
    if response.status is not ResponseStatus.OK:
        return Problem(str(response.status), response.error or "")
    if response.finish_reason == "length":
        return Problem("cut", "longer than --max-new-tokens")
    return None if response.text.strip() else Problem("empty")


@dataclass(frozen=True)
class Sampled:
    """A prompt with what came of it.

    Attributes:
        answers: usable ones by index.
        ratings: what a sheet that rates says of them; an answer without a rating is not there.
        better: the index of the answer that a sheet that compares prefers.
        problems: one for each answer or judgment that is missing.
    """

    prompt: Preference
    answers: Mapping[int, str]
    ratings: Mapping[int, Values]
    better: int | None
    problems: tuple[Problem, ...]

    @property
    def scores(self) -> dict[int, float]:
        return {index: values["score"] for index, values in self.ratings.items()}


def reach(annotator: Annotator) -> None:
    """One tiny call to a remote annotator, before anything is generated. Raises PlumblineError."""
    if annotator.remote:
        annotator.judge.check([SampledAnswers(prompts={}, draws=Draws(), sheet=annotator.sheet)])


def sample(
    engine: Engine,
    annotator: Annotator,
    prompts: Sequence[Preference],
    draws: Draws,
    folder: RunFolder,
    console: Console,
) -> list[Sampled]:
    """Answers to prompts and their judgments; what is on disk is not asked again.

    Raises:
        PlumblineError: the folder holds other answers, or all draws would be the same.
        JudgeStoppedError: the annotator cannot go on; what came is on disk.
    """
    if draws.n > 1 and draws.temperature == 0:
        raise PlumblineError("at temperature 0 all draws are the same; take a higher --temperature")
    benchmark = SampledAnswers(
        prompts={prompt.id: prompt for prompt in prompts}, draws=draws, sheet=annotator.sheet
    )
    items = benchmark.items()
    part = Part(benchmark, items, folder.responses(benchmark.name))
    with Progress(console, "answers") as progress:
        generate(engine, [part], progress)
    turns = turns_of(part)
    judged = JudgePart(benchmark, items, turns, folder.judgments(benchmark.name))
    with Progress(console, "judgments") as progress:
        judge([judged], annotator.judge, progress, rejudge=annotator.rejudge)
    return [_sampled(benchmark, item, turns[item.id], judged.log) for item in items]


def _sampled(
    benchmark: SampledAnswers, item: Item, responses: Sequence[Response], log: Log[Judgment]
) -> Sampled:
    answers = usable(responses)
    problems = [problem for problem in map(_problem, responses) if problem]
    by_text: dict[str, Values] = {}
    better = None
    for request in benchmark.judge_requests(item, responses):
        judgment = log.records.get(request.id)
        if judgment is None or judgment.status is not JudgmentStatus.OK:
            told = Problem(str(judgment.status), judgment.error or "") if judgment else None
            problems.append(told or Problem(NOT_JUDGED))
        elif "better" in judgment.values:
            better = int(judgment.values["better"])
        else:
            by_text[answers[_index(request)]] = judgment.values
    ratings = {index: by_text[text] for index, text in answers.items() if text in by_text}
    return Sampled(benchmark.prompts[item.id], answers, ratings, better, tuple(problems))


def _index(request: JudgeRequest) -> int:
    """Which answer a rating is about."""
    return int(request.id.rpartition("/")[2])


def problems_of(sampled: Sequence[Sampled]) -> dict[str, int]:
    """How many answers and judgments are missing, by kind of problem."""
    return dict(Counter(problem.kind for each in sampled for problem in each.problems))


def reasons_of(sampled: Sequence[Sampled]) -> dict[str, str]:
    """What was said of the first answer or judgment that is missing, by kind of problem."""
    reasons: dict[str, str] = {}
    for problem in (problem for each in sampled for problem in each.problems):
        reasons.setdefault(problem.kind, problem.reason)
    return {kind: reason for kind, reason in reasons.items() if reason}
