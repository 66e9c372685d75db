"""MT-Bench: 80 questions of two turns in eight categories, each turn rated by a language model from
1 to 10.

Paper: Zheng et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", NeurIPS 2023, arXiv
2306.05685. Official code: lm-sys/FastChat at 0e6d3e4beaab66f4d3f93db72541a4abab8af28d,
``fastchat/llm_judge``: "the script" below.

Data: ``question.jsonl``, ``judge_prompts.jsonl`` and GPT-4's reference answers; see
``benchmarks.mtbench_files``.

Prompt: the question's two turns as one conversation, in which the model's own first answer,
stripped, stands before the second question. The engine puts the model's own chat template around
it; the script has templates of its own, and a generic one for models that it does not know.
Decoding: at most 1,024 new tokens per turn, the temperature by category (``TEMPERATURES``). So
answers to writing and roleplay vary from seed to seed, which is part of the protocol.

Judge: one call for each turn, with a reference answer for math, reasoning and coding. The script
wants the references under the judge's own name; here GPT-4's are shown to any judge.

Scoring: the first number in double brackets, else the first in single ones, which may be 0 or 11 as
well (``mtbench_ratings.read_rating``). Judgments without one are dropped. "turn_1" and "turn_2" are
means over the judgments of a turn; "average", which papers report, is the mean over all judgments
that are left, not the mean of the two. All three keep the rated turn of a question whose other turn
has no rating; the coverage counts such a question as not scored.

Pairwise comparison, the paper's other mode, is scored by ``benchmarks.mtbench_pairs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.base import (
    BadRecordError,
    Benchmark,
    Decoding,
    Item,
    JudgeRequest,
    JudgeSpec,
    Judgment,
    JudgmentStatus,
    Message,
    MetricSpec,
    PlumblineError,
    Request,
    Response,
    ResponseStatus,
    ScoreRow,
    ScoreStatus,
    failed_row,
    sha256_of,
    sha256_of_file,
)
from benchmarks.data_folder import fetch_command, required_file, required_folder
from benchmarks.formulas import total
from benchmarks.judge_runs import repeated
from benchmarks.mtbench_files import (
    MODEL_ID,
    N_TURNS,
    NEEDS_REFERENCE,
    PROMPT_FIELDS,
    JudgePrompt,
    read_answers,
    read_judgments,
    read_prompts,
    read_questions,
    read_references,
    turn_id,
    written_answers,
)
from benchmarks.mtbench_ratings import (
    RUN_STATISTICS,
    TURNS,
    Tally,
    counted_rating,
    disagrees,
    mean,
    over,
    read_rating,
)
from benchmarks.pocket import mtbench as pocket

SCRIPT = "lm-sys/FastChat fastchat/llm_judge @ 0e6d3e4beaab66f4d3f93db72541a4abab8af28d"
QUESTION_FILE = "question.jsonl"
PROMPT_FILE = "judge_prompts.jsonl"
REFERENCE_FILE = "reference_answer_gpt-4.jsonl"
OFFICIAL_SHA256 = {
    PROMPT_FILE: "fd283293406d024f44c174b094ef48031d0687a4682fd3a56b29b138f80281b6",
    REFERENCE_FILE: "f957a5bc977badb66885ec970e6cd08527845780313f0995764260e5777b9b3f",
}

TEMPERATURES = {
    "writing": 0.7, "roleplay": 0.7, "extraction": 0.0, "math": 0.0, "coding": 0.0,
    "reasoning": 0.0, "stem": 0.1, "humanities": 0.1,
}  # fmt: skip
OTHER_TEMPERATURE = 0.7
GREEDY_BELOW = 1e-4
ANSWERS = ("generated", "recorded")

JUDGE_DECODING = Decoding(max_new_tokens=2048, temperature=0.0)

FAILED_ANSWER = "ERROR"
"""What the script stores, and has judged, for a generation that failed."""

_WORST_FIRST = (ScoreStatus.GENERATION_ERROR, ScoreStatus.JUDGE_ERROR, ScoreStatus.UNPARSED)


def prompt_name(category: str, turn: int) -> str:
    """Which judge prompt rates a turn, counted from 1, of a question."""
    name = "single-math-v1" if category in NEEDS_REFERENCE else "single-v1"
    return name if turn == 1 else f"{name}-multi-turn"


@dataclass(frozen=True)
class MTBench(Benchmark):
    """MT-Bench with its protocol's choices.

    Attributes:
        max_new_tokens: of each turn; 1,024 as in the script.
        seed: of sampling. The script's choice number i has seed i, and choice 0 is the one judged.
        answers: "generated": stripped before the second turn and the judge see them, as the script
            does before it stores them; "recorded": as an answer file of the script has them.
        judge_runs: how often each turn is judged. Of several runs all judgments enter the official
            means; median and spread of the runs' averages stand beside them.
        model: whose judgments count, where ``harness.score`` reads a file with those of several.
    """

    name: ClassVar[str] = "mtbench"
    title: ClassVar[str] = "MT-Bench"
    paper: ClassVar[str] = "Zheng et al., NeurIPS 2023, arXiv 2306.05685"
    scoring_settings: ClassVar[frozenset[str]] = frozenset(
        {"scorer", "judge_runs", "judged_model", "judge_prompts_sha256", "references_sha256"}
    )

    max_new_tokens: int = 1024
    seed: int = 0
    answers: str = "generated"
    judge_runs: int = 1
    model: str = ""

    def __post_init__(self) -> None:
        for option, least in (("max_new_tokens", 1), ("judge_runs", 1), ("seed", 0)):
            if (value := getattr(self, option)) < least:
                raise PlumblineError(f"mtbench.{option} is {value}; give at least {least}")
        if self.answers not in ANSWERS:
            choices = " or ".join(ANSWERS)
            raise PlumblineError(f"mtbench.answers is {self.answers!r}; choose {choices}")

    def items(self) -> Sequence[Item]:
        """The questions in the official order, one category after the other."""
        return self._items

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        """The next turn, with the turns before it and the model's own answers to them."""
        if len(earlier) == N_TURNS:
            return None
        messages = []
        for question, response in zip(item.reference["turns"], earlier, strict=False):
            messages += [Message("user", question), Message("assistant", self._answer(response))]
        messages.append(Message("user", item.reference["turns"][len(earlier)]))
        decoding = Decoding(self.max_new_tokens, _temperature(item), seed=self.seed)
        request_id = turn_id(item.id, len(earlier) + 1)
        return Request(request_id, item.id, tuple(messages), decoding)

    def _answer(self, response: Response) -> str:
        return response.text.strip() if self.answers == "generated" else response.text

    @property
    def judge(self) -> JudgeSpec:
        if self.edition == "pocket":
            return JudgeSpec("pocket-oracle", "part of Plumbline")
        state = "the name's meaning moves: numbers of 2023 are by gpt-4-0613 or older"
        return JudgeSpec("gpt-4", state)

    def judge_requests(self, item: Item, responses: Sequence[Response]) -> Sequence[JudgeRequest]:
        """Both turns' prompts, ``judge_runs`` times each; nothing for a failed conversation."""
        if len(responses) < N_TURNS or any(r.status is not ResponseStatus.OK for r in responses):
            return ()
        answers = [self._answer(response) for response in responses]
        of_turns = [
            JudgeRequest(
                turn_id(item.id, turn),
                item.id,
                self.judge_messages(item, turn, answers),
                JUDGE_DECODING,
                prompt_name(item.split, turn),
            )
            for turn in range(1, N_TURNS + 1)
        ]
        return [again for request in of_turns for again in repeated(request, self.judge_runs)]

    def judge_messages(self, item: Item, turn: int, answers: Sequence[str]) -> tuple[Message, ...]:
        """What the judge of a turn is told. Templates are filled once: braces in answers stay."""
        name, questions = prompt_name(item.split, turn), item.reference["turns"]
        fields = {"question": questions[0], "answer": answers[0]}
        for number in range(1, N_TURNS + 1):
            fields[f"question_{number}"] = questions[number - 1]
            fields[f"answer_{number}"] = answers[number - 1]
        if item.split in NEEDS_REFERENCE:
            first, second = self._reference(item)
            fields |= {"ref_answer_1": first, "ref_answer_2": second}
        wanted = {field: fields[field] for field in PROMPT_FIELDS[name]}
        if self.edition == "pocket":
            return (Message("user", pocket.judge_prompt(name, wanted)),)
        prompt = self._prompts[name]
        user = Message("user", prompt.template.format(**wanted))
        return (Message("system", prompt.system), user)

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        rating = read_rating(reply).rating
        return None if rating is None else {"rating": rating}

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """All ratings of a question, added up by turn and by run.

        ``official`` has what the script counts: also the rating of one turn where the other one's
        judgment failed, and those of "ERROR" in an official answer file.
        """
        failed = [response for response in responses if response.status is not ResponseStatus.OK]
        if failed or len(responses) < N_TURNS:
            reason = failed[0].error if failed else "there is no answer to both turns"
            return failed_row(item, ScoreStatus.GENERATION_ERROR, reason)
        tally = Tally.of(judgments, self.judge_runs)
        problems = dict(tally.problems)
        details: dict[str, Any] = {**tally.ratings}
        if self.answers == "recorded" and FAILED_ANSWER in (r.text for r in responses):
            problems[ScoreStatus.GENERATION_ERROR] = "the official script could not generate it"
        status = next((failure for failure in _WORST_FIRST if failure in problems), None)
        if status:
            details["reason"] = problems[status]
        if any(disagrees(judgment) for judgment in judgments):
            details["flag"] = "a score on file is not what its judgment says"
        return ScoreRow(
            item.id,
            item.group,
            item.split,
            status or ScoreStatus.SCORED,
            values={} if status else tally.columns,
            official=tally.columns,
            details=details,
        )

    def metric_specs(self) -> Sequence[MetricSpec]:
        """As the script prints them, then those of categories, repeated judging and failures."""
        number = MetricSpec(
            "average",
            mean(TURNS, self._categories),
            "higher",
            display="number",
            treatment="official",
            undefined="no judgment has a rating",
        )
        turns = [replace(number, name=t, formula=mean((t,), self._categories)) for t in TURNS]
        own = replace(number, official=False)
        specs = [replace(spec, headline=True) for spec in (*turns, number)]
        specs += [replace(own, formula=mean(TURNS, (c,)), split=c) for c in self._categories]
        if self.judge_runs > 1:
            averages = [mean((f"run_{n + 1}",), self._categories) for n in range(self.judge_runs)]
            specs += [
                replace(own, name=f"{name}_of_runs", formula=over(averages, statistic), direction=d)
                for name, statistic, d in RUN_STATISTICS
            ]
        unparsed = total("unparsed", self._categories)
        return [*specs, replace(own, name="unparsed_replies", formula=unparsed, direction="lower")]

    def protocol(self) -> Mapping[str, Any]:
        """Prompt, decoding, judge and scorer, and SHA-256 of what they are made of."""
        asked = [(i.id, i.reference["turns"], _temperature(i)) for i in self.items()]
        decoding = asdict(Decoding(self.max_new_tokens, seed=self.seed))
        return {
            "decoding": {**decoding, "temperature": TEMPERATURES},
            "answers": self.answers,
            "items_sha256": sha256_of(asked),
            "scorer": SCRIPT,
            "judge_runs": self.judge_runs,
            "judged_model": self.model,
            "judge_prompts_sha256": self._sha256(PROMPT_FILE),
            "references_sha256": self._sha256(REFERENCE_FILE),
        }

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from official answer files of one model; see ``benchmarks.mtbench_files``."""
        if hints:
            raise PlumblineError(f"MT-Bench takes no hints, not {', '.join(sorted(hints))}")
        return read_answers(paths, self.items())

    def for_official_answers(self) -> MTBench:
        """With the answers exactly as the file has them, and "ERROR" for those that failed."""
        return replace(self, answers="recorded")

    def read_judgments(self, paths: Sequence[Path]) -> Sequence[Judgment]:
        """One model's judgments from official files; see ``benchmarks.mtbench_files``."""
        judgments = read_judgments(paths, self.items(), self.model)
        return [_parsed(judgment) for judgment in judgments]

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str]:
        """An answer file with every question that has both answers."""
        text = written_answers(self.items(), responses)
        return {f"{MODEL_ID}.jsonl": text} if text else {}

    @cached_property
    def _items(self) -> Sequence[Item]:
        if self.edition == "pocket":
            return pocket.items()
        return read_questions(required_file(self._path(QUESTION_FILE), self._remedy), self._fix)

    @cached_property
    def _categories(self) -> Sequence[str]:
        return tuple(dict.fromkeys(item.split for item in self.items()))

    @cached_property
    def _prompts(self) -> Mapping[str, JudgePrompt]:
        path = required_file(self._path(PROMPT_FILE), self._remedy)
        return read_prompts(path, self._fix)

    @cached_property
    def _references(self) -> Mapping[int, Sequence[str]]:
        path = required_file(self._path(REFERENCE_FILE), self._remedy)
        return read_references(path, self._fix)

    def _reference(self, item: Item) -> Sequence[str]:
        """The reference answers to both turns."""
        if self.edition == "pocket":
            answers: Sequence[str] = item.reference["reference"]
            return answers
        number = item.reference["question_id"]
        if number not in self._references:
            problem = f"{self._path(REFERENCE_FILE)}: no reference answer to question {number}"
            raise BadRecordError(f"{problem}. {self._fix}")
        return self._references[number]

    def _sha256(self, name: str) -> str:
        """Of the file that is used, or else of the official one.

        Before the file is fetched no judge can be asked, and fetching it later must not make
        another measurement of answers that are there.
        """
        if self.edition == "pocket":
            return pocket.JUDGE_SHA256
        path = self._path(name)
        return sha256_of_file(path) if path.is_file() else OFFICIAL_SHA256[name]

    def _path(self, name: str) -> Path:
        return required_folder(self.title, self.name, self.data_dir) / self.name / name

    @property
    def _remedy(self) -> str:
        return fetch_command(self.name, self.data_dir)

    @property
    def _fix(self) -> str:
        return f"Restore the official file: {self._remedy}"


def _temperature(item: Item) -> float:
    """A question's own, as the script has it for models behind an API, else its category's.

    No official question has one of its own.
    """
    temperature = TEMPERATURES.get(item.split, OTHER_TEMPERATURE)
    temperature = item.reference.get("required_temperature", temperature)
    return 0.0 if temperature < GREEDY_BELOW else temperature


def _parsed(judgment: Judgment) -> Judgment:
    """A recorded judgment with what it counts."""
    if judgment.status is not JudgmentStatus.OK:
        return judgment
    rating, problem = counted_rating(judgment)
    if rating is None:
        return replace(judgment, status=JudgmentStatus.UNPARSED, error=problem)
    return replace(judgment, values={"rating": rating})
