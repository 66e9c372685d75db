"""MM-Vet: 218 questions on integrated capabilities, open answers graded by a language model.

Paper: Yu et al., "MM-Vet: Evaluating Large Multimodal Models for Integrated Capabilities", ICML
2024, arXiv 2308.02490. Official code: yuweihao/MM-Vet at acde843e02dae30047bb456ee4a8ab28dee7e0ae,
``mm-vet_evaluator.py``: "the script" below.

Data: ``mm-vet.json`` (see ``benchmarks.mmvet_files``) and 200 pictures. Each question takes one or
more of six capabilities: recognition (rec), OCR, knowledge (know), language generation (gen),
spatial awareness (spat) and math.

Prompt: the bare question. The paper fixes no decoding; the default is LLaVA-1.5's, greedy, at most
1,024 new tokens.

Judge: one user message, a table of seven graded examples that ends in question, ground truth and
the model's answer as it is; the picture is not sent. Its reply is three tokens long at most.

Reading a reply (``mmvet_scores.official_score``): the text before the first blank must be a number
from 0 to 1. Otherwise the judge is asked again with a line added, up to five times, first at
temperature 0 and then 0.5 hotter each time. The fifth of these replies is never read: the score is
0 then. A call that fails or brings no text is no such reply: it is repeated as it was, and at last
a status instead of a score. (The script counts its attempts anew after a rate limit.)

Scoring: 100 times the mean score, over all items ("total"), over the items that take a capability
("rec", …) and over those that take exactly the same ones ("score" of a split such as "ocr_spat").
The judge's replies vary, so the paper grades five times (``judge_runs``): figures are means over
the runs, "std" is the standard deviation of their totals.

The script's numbers count replies that were given up as 0, and its averages are undefined once a
judge replies "nan", which it accepts. "strict_total" leaves out items with such replies, and
"unparsed_replies" counts these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.base import (
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
from benchmarks.data_folder import (
    fetch_command,
    official_or_stand_in,
    origin,
    required_folder,
    required_text,
)
from benchmarks.judge_runs import of_each_run, repeated, run_id
from benchmarks.mmvet_files import (
    Grade,
    read_answers,
    read_grades,
    read_questions,
    read_subset,
    written_answers,
)
from benchmarks.mmvet_scores import (
    GIVEN_UP,
    JUDGE_DECODING,
    MAX_ATTEMPTS,
    attempt_decoding,
    metric_specs,
    official_columns,
    official_score,
    stored,
)
from benchmarks.pocket import mmvet as pocket

SCRIPT = "yuweihao/MM-Vet mm-vet_evaluator.py @ acde843e02dae30047bb456ee4a8ab28dee7e0ae"
QUESTION_FILE = "mm-vet.json"
STAND_IN_FILE = "mmvet_questions.jsonl"
"""The questions put together from released sources, for work without the official file."""
SUBSET_FILE = "bard_set.json"
JUDGE_PROMPT_FILE = "judge_prompt.txt"
JUDGE_PROMPT_SHA256 = "d1b3e0a5b4e72c888b77164489d705bba4dd149934fff564dfba6443d81afe3f"
"""Of the official prompt, as ``harness.fetch`` takes it out of the script."""

AGAIN = "\nPredict the correctness of the answer (digit): "


@dataclass(frozen=True)
class MMVet(Benchmark):
    """MM-Vet with its protocol's choices.

    Attributes:
        judge_runs: how often every answer is graded; 1 as in the script, 5 in the paper.
        bard_set: only the subset of the official comparison with Bard.
        max_new_tokens: 1,024 as in LLaVA-1.5's evaluation.
    """

    name: ClassVar[str] = "mmvet"
    title: ClassVar[str] = "MM-Vet"
    paper: ClassVar[str] = "Yu et al., ICML 2024, arXiv 2308.02490"
    scoring_settings: ClassVar[frozenset[str]] = frozenset(
        {"scorer", "judge_runs", "questions", "judge_prompt_sha256"}
    )

    judge_runs: int = 1
    bard_set: bool = False
    max_new_tokens: int = 1024

    def __post_init__(self) -> None:
        for option in ("judge_runs", "max_new_tokens"):
            if (value := getattr(self, option)) < 1:
                raise PlumblineError(f"mmvet.{option} is {value}; give at least 1")
        if self.bard_set and self.edition == "pocket":
            raise PlumblineError("mmvet.bard_set is a part of the official edition")

    def items(self) -> Sequence[Item]:
        """The questions in file order."""
        return self._items

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        if earlier:
            return None
        messages = (Message("user", item.question, item.pictures),)
        return Request(item.id, item.id, messages, Decoding(self.max_new_tokens))

    @property
    def judge(self) -> JudgeSpec:
        if self.edition == "pocket":
            return JudgeSpec("pocket-oracle", "part of Plumbline", MAX_ATTEMPTS)
        state = "announced to be shut down on 2026-10-23; other judges' scores are not comparable"
        return JudgeSpec("gpt-4-0613", state, MAX_ATTEMPTS)

    def judge_requests(self, item: Item, responses: Sequence[Response]) -> Sequence[JudgeRequest]:
        """The prompt with its last row, once for each run; the answer goes in as it is."""
        if not responses or responses[0].status is not ResponseStatus.OK:
            return ()
        messages = (Message("user", self.judge_prompt(item, responses[0].text)),)
        request = JudgeRequest(item.id, item.id, messages, JUDGE_DECODING, prompt_name="grade")
        return repeated(request, self.judge_runs)

    def judge_prompt(self, item: Item, answer: str) -> str:
        """The judge's prompt: a row of question, ground truth, answer, and nothing."""
        truth = item.reference["answer"]
        truth = truth.replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
        if self.edition == "pocket":
            return pocket.judge_prompt(item.reference["picture"], item.question, truth, answer)
        return self._judge_table + "\n" + " | ".join([item.question, truth, answer, ""])

    def judge_again(self, request: JudgeRequest, attempt: int) -> JudgeRequest:
        (message,) = request.messages
        again = replace(message, text=message.text + AGAIN)
        return replace(request, messages=(again,), decoding=attempt_decoding(attempt))

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        """The score, None for "nan"; no reading at all at the last attempt, as in the script."""
        if request.decoding == attempt_decoding(MAX_ATTEMPTS):
            return None
        score = official_score(reply)
        return None if score is None else {"score": stored(score)}

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """An answer's scores in all runs.

        ``official`` has a column for each run, but for one with a "nan"; ``values`` has the mean
        over the runs, if all could be read.
        """
        if not responses or responses[0].status is not ResponseStatus.OK:
            reason = responses[0].error if responses else "there is no answer"
            return failed_row(item, ScoreStatus.GENERATION_ERROR, reason)
        judged = of_each_run(item.id, judgments, self.judge_runs)
        failed = next((j for j in judged if j.status is JudgmentStatus.JUDGE_ERROR), None)
        if failed:
            return failed_row(item, ScoreStatus.JUDGE_ERROR, failed.error)
        counted = [judgment.values.get("score", GIVEN_UP) for judgment in judged]
        readable = [
            score
            for judgment, score in zip(judged, counted, strict=True)
            if judgment.status is JudgmentStatus.OK and score is not None
        ]
        n_unparsed = self.judge_runs - len(readable)
        details: dict[str, Any] = {"scores": counted}
        if n_unparsed:
            details["reason"] = "the judge's reply is no score from 0 to 1"
        return ScoreRow(
            item.id,
            item.group,
            item.split,
            ScoreStatus.UNPARSED if n_unparsed else ScoreStatus.SCORED,
            values={} if n_unparsed else {"n": 1, "score": math.fsum(readable) / self.judge_runs},
            official={"unparsed": n_unparsed, **official_columns(counted)},
            details=details,
        )

    def metric_specs(self) -> Sequence[MetricSpec]:
        return metric_specs(self.items(), self.judge_runs)

    def protocol(self) -> Mapping[str, Any]:
        """Prompt, decoding, judge and scorer, and SHA-256 of what they are made of."""
        asked = [(item.id, item.question, dict(item.reference)) for item in self.items()]
        described: dict[str, Any] = {
            "decoding": asdict(Decoding(self.max_new_tokens)),
            "scorer": SCRIPT,
            "judge_runs": self.judge_runs,
            "items_sha256": sha256_of(asked),
            "judge_prompt_sha256": self._judge_prompt_sha256(),
        }
        if self.edition == "official":
            described["questions"] = origin(self._question_file(), QUESTION_FILE)
        return described

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from an official answer file; see ``benchmarks.mmvet_files``."""
        if hints:
            raise PlumblineError(f"MM-Vet takes no hints, not {', '.join(sorted(hints))}")
        return read_answers(paths, self.items(), self._known)

    def read_judgments(self, paths: Sequence[Path]) -> Sequence[Judgment]:
        """Judgments from a file of the script's grades, with ``judge_runs`` runs.

        Where the script gave up, word and score do not say the same, unless the word is a zero.
        """
        grades = read_grades(paths, self.items(), self._known, self.judge_runs)
        return [_judgment(grade) for grade in grades]

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str]:
        """The answer file; nothing unless every question has an answer."""
        text = written_answers(self.items(), responses)
        return {"mm-vet_answers.json": text} if text else {}

    @cached_property
    def _items(self) -> Sequence[Item]:
        if not self.bard_set:
            return self._all_items
        path = self._data_dir() / self.name / SUBSET_FILE
        wanted = read_subset(path, self._known, self._remedy())
        return [item for item in self._all_items if item.id in wanted]

    @cached_property
    def _all_items(self) -> Sequence[Item]:
        if self.edition == "pocket":
            return pocket.items()
        pictures = self._data_dir() / self.name / "images"
        return read_questions(self._question_file(), pictures, self._remedy())

    @cached_property
    def _known(self) -> Mapping[str, Item]:
        return {item.id: item for item in self._all_items}

    @cached_property
    def _judge_table(self) -> str:
        path = self._data_dir() / self.name / JUDGE_PROMPT_FILE
        return required_text(path, self._remedy())

    def _judge_prompt_sha256(self) -> str:
        """Of the prompt that is used, or else of the official one.

        Before the file is fetched no judge can be asked, and fetching it later must not make
        another measurement of answers that are there.
        """
        if self.edition == "pocket":
            return sha256_of(pocket.judge_prompt([], "", "", ""))
        path = self._data_dir() / self.name / JUDGE_PROMPT_FILE
        return sha256_of_file(path) if path.is_file() else JUDGE_PROMPT_SHA256

    def _question_file(self) -> Path:
        path = self._data_dir() / self.name / QUESTION_FILE
        return official_or_stand_in(path, STAND_IN_FILE, self._remedy())

    def _data_dir(self) -> Path:
        return required_folder(self.title, self.name, self.data_dir)

    def _remedy(self) -> str:
        return fetch_command(self.name, self.data_dir)


def _judgment(grade: Grade) -> Judgment:
    read = None if grade.content is None else official_score(grade.content)
    is_read = read is not None and stored(read) == stored(grade.score)
    return Judgment(
        request_id=run_id(grade.item_id, grade.run),
        item_id=grade.item_id,
        key="",
        status=JudgmentStatus.OK if is_read else JudgmentStatus.UNPARSED,
        raw=grade.content or "",
        values={"score": stored(grade.score)},
        model=grade.model,
    )
