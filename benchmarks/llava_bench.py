"""LLaVA-Bench (In-the-Wild): 60 questions on 24 pictures, answers rated beside GPT-4's.

Paper: Liu et al., "Visual Instruction Tuning", NeurIPS 2023, arXiv 2304.08485. Official code:
haotian-liu/LLaVA at c121f0432da27facab705978f83c4ada465e46fd, ``llava/eval``:
``eval_gpt_review_bench.py`` and ``summarize_gpt_review.py``, "the script" below.

Data: questions on conversation (17), detailed description (15) and complex reasoning (28), captions
of the pictures, and reference answers that text-only GPT-4 wrote from the captions; see
``benchmarks.llava_bench_files``.

Prompt: the bare question. Decoding: LLaVA-1.5's, greedy, at most 1,024 new tokens.

Judge: it is told the caption, the question, the reference answer and then the model's, always in
this order, and rates both from 1 to 10. Its first line must be the two ratings
(``llava_bench_scores.official_pair``).

Scoring: the mean rating of the model in percent of that of the reference ("relative_score"), over
all questions, which papers report, and by category; each mean is rounded to three decimals before.
"reference_score" and "candidate_score" are the means times ten. Replies vary at the judge's
temperature of 0.2: LLaVA-1.5 published the mean of three reviews (``judge_runs``).

A reply that the script cannot read becomes a pair of -1, which lowers both means and draws the
score towards 100. "strict_relative_score" is over the questions whose replies have two ratings on
the scale; "unparsed_replies" counts the other replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from benchmarks.data_folder import (
    fetch_command,
    official_or_stand_in,
    origin,
    required_file,
    required_folder,
)
from benchmarks.judge_runs import of_each_run, repeated, run_id
from benchmarks.llava_bench_files import (
    Review,
    Rule,
    read_answers,
    read_captions,
    read_questions,
    read_references,
    read_reviews,
    read_rules,
    written_answers,
)
from benchmarks.llava_bench_scores import (
    FAILED,
    UNGROUPED,
    columns_of,
    is_on_scale,
    metric_specs,
    official_pair,
    restored,
    stored,
    sums_of,
)
from benchmarks.pocket import llava_bench as pocket

SCRIPT = "haotian-liu/LLaVA llava/eval/*_gpt_review*.py @ c121f0432da27facab705978f83c4ada465e46fd"
QUESTION_FILE = "questions.jsonl"
STAND_IN_FILE = "questions_reconstructed.jsonl"
"""The questions rebuilt from released answers: enough to score with, not to ask with."""
JUDGE_FILES = ("context.jsonl", "answers_gpt4.jsonl", "rule.json")

SYSTEM = "You are a helpful and precise assistant for checking the quality of the answer."
JUDGE_DECODING = Decoding(max_new_tokens=1024, temperature=0.2)


@dataclass(frozen=True)
class LLaVABench(Benchmark):
    """LLaVA-Bench (In-the-Wild) with its protocol's choices.

    Attributes:
        judge_runs: how often every answer is reviewed; 3 for LLaVA-1.5's published numbers.
        max_new_tokens: 1,024 as in LLaVA-1.5's evaluation.
    """

    name: ClassVar[str] = "llava_bench"
    title: ClassVar[str] = "LLaVA-Bench"
    paper: ClassVar[str] = "Liu et al., NeurIPS 2023, arXiv 2304.08485"
    scoring_settings: ClassVar[frozenset[str]] = frozenset(
        {"scorer", "judge_runs", "questions", "judge_sha256"}
    )

    judge_runs: int = 1
    max_new_tokens: int = 1024

    def __post_init__(self) -> None:
        for option in ("judge_runs", "max_new_tokens"):
            if (value := getattr(self, option)) < 1:
                raise PlumblineError(f"llava_bench.{option} is {value}; give at least 1")

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
            return JudgeSpec("pocket-oracle", "part of Plumbline")
        state = "retired: it cannot be called any more, and other judges' scores are not comparable"
        return JudgeSpec("gpt-4-0314", state)

    def judge_requests(self, item: Item, responses: Sequence[Response]) -> Sequence[JudgeRequest]:
        """System message and prompt, once for each run; the answer goes in as it is."""
        if not responses or responses[0].status is not ResponseStatus.OK:
            return ()
        prompt = self.judge_prompt(item, responses[0].text)
        messages = (Message("system", SYSTEM), Message("user", prompt))
        request = JudgeRequest(item.id, item.id, messages, JUDGE_DECODING, prompt_name="review")
        return repeated(request, self.judge_runs)

    def judge_prompt(self, item: Item, answer: str) -> str:
        """The judge's prompt: caption, question, reference answer, answer, and the rule."""
        if self.edition == "pocket":
            context, reference = item.reference["context"], item.reference["answer"]
            return pocket.judge_prompt(context, item.question, reference, answer)
        rule = self._rules[item.split]
        blocks = (
            ("Context", self._caption(item)),
            ("Question", item.question),
            (f"{rule.role} 1", f"{self._references[item.id]}\n\n[End of {rule.role} 1]"),
            (f"{rule.role} 2", f"{answer}\n\n[End of {rule.role} 2]"),
            ("System", rule.prompt),
        )
        return "".join(f"[{name}]\n{text}\n\n" for name, text in blocks)

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        pair = official_pair(reply)
        return None if pair is None else {"pair": stored(pair)}

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """An answer's ratings in all runs.

        ``official`` has them as the script counts them; ``values`` if all are on the scale.
        """
        if not responses or responses[0].status is not ResponseStatus.OK:
            reason = responses[0].error if responses else "there is no answer"
            return failed_row(item, ScoreStatus.GENERATION_ERROR, reason)
        judged = of_each_run(item.id, judgments, self.judge_runs)
        failed = next((j for j in judged if j.status is JudgmentStatus.JUDGE_ERROR), None)
        if failed:
            return failed_row(item, ScoreStatus.JUDGE_ERROR, failed.error)
        pairs = [restored(judgment.values.get("pair", FAILED)) for judgment in judged]
        n_unparsed = sum(not is_on_scale(pair) for pair in pairs)
        details: dict[str, Any] = {"pairs": [stored(pair) for pair in pairs]}
        if n_unparsed:
            details["reason"] = "the judge's reply does not begin with two ratings from 1 to 10"
        return ScoreRow(
            item.id,
            item.group,
            item.split,
            ScoreStatus.UNPARSED if n_unparsed else ScoreStatus.SCORED,
            values={} if n_unparsed else sums_of(pairs),
            official={**columns_of(pairs), **_ungrouped(judged), "unparsed": n_unparsed},
            details=details,
        )

    def metric_specs(self) -> Sequence[MetricSpec]:
        return metric_specs(self.judge_runs)

    def protocol(self) -> Mapping[str, Any]:
        """Prompt, decoding, judge and scorer, and SHA-256 of what they are made of."""
        asked = [(item.id, item.question, item.split, item.group) for item in self.items()]
        described: dict[str, Any] = {
            "decoding": asdict(Decoding(self.max_new_tokens)),
            "scorer": SCRIPT,
            "judge_runs": self.judge_runs,
            "items_sha256": sha256_of(asked),
        }
        if self.edition == "pocket":
            return {**described, "judge_sha256": sha256_of(pocket.judge_prompt([], "", "", ""))}
        paths = [self._folder() / file for file in JUDGE_FILES]
        return {
            **described,
            "questions": origin(self._question_file(), QUESTION_FILE),
            "judge_sha256": {p.name: sha256_of_file(p) if p.is_file() else None for p in paths},
        }

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from an official answer file; see ``benchmarks.llava_bench_files``.

        Args:
            paths: the file.
            **hints: ``pairing``: "id" (the default) or "position".
        """
        if unknown := sorted(hints.keys() - {"pairing"}):
            raise PlumblineError(f"LLaVA-Bench takes the hint pairing, not {', '.join(unknown)}")
        return read_answers(paths, self.items(), hints.get("pairing", "id"))

    def read_judgments(self, paths: Sequence[Path]) -> Sequence[Judgment]:
        """Judgments from the script's reviews, a file for each of the ``judge_runs``."""
        if (n_files := len(paths)) != self.judge_runs:
            files = "1 file" if n_files == 1 else f"{n_files} files"
            raise PlumblineError(
                f"{files} of reviews for llava_bench.judge_runs={self.judge_runs}. Give a file for "
                f"each run, or add --set llava_bench.judge_runs={n_files}"
            )
        return [
            _judgment(review, run)
            for run, path in enumerate(paths, start=1)
            for review in read_reviews(path, self.items())
        ]

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str]:
        """The answer file; nothing unless every question has an answer."""
        text = written_answers(self.items(), responses)
        return {"llava_bench_answers.jsonl": text} if text else {}

    @cached_property
    def _items(self) -> Sequence[Item]:
        if self.edition == "pocket":
            return pocket.items()
        return read_questions(self._question_file(), self._folder() / "images", self._remedy())

    @cached_property
    def _captions(self) -> Mapping[str, str]:
        return read_captions(self._file("context.jsonl"), self._remedy())

    @cached_property
    def _references(self) -> Mapping[str, str]:
        return read_references(self._file("answers_gpt4.jsonl"), self.items(), self._remedy())

    @cached_property
    def _rules(self) -> Mapping[str, Rule]:
        return read_rules(self._file("rule.json"), self._remedy())

    def _caption(self, item: Item) -> str:
        """The caption of an item's picture, which only the official questions name."""
        self._file(QUESTION_FILE)
        image = item.reference["image"]
        if image not in self._captions:
            path = self._folder() / "context.jsonl"
            raise BadRecordError(
                f"{path}: no caption of {image}. Restore the official file: {self._remedy()}"
            )
        return self._captions[image]

    def _question_file(self) -> Path:
        return official_or_stand_in(self._folder() / QUESTION_FILE, STAND_IN_FILE, self._remedy())

    def _file(self, name: str) -> Path:
        return required_file(self._folder() / name, self._remedy())

    def _folder(self) -> Path:
        return required_folder(self.title, self.name, self.data_dir) / self.name

    def _remedy(self) -> str:
        return fetch_command(self.name, self.data_dir)


def _ungrouped(judged: Sequence[Judgment]) -> dict[str, float]:
    """Marks the runs whose review names no category."""
    return {
        f"{UNGROUPED}{run}": 1
        for run, judgment in enumerate(judged, start=1)
        if not judgment.meta.get("has_category", True)
    }


def _judgment(review: Review, run: int) -> Judgment:
    """A review as a judgment. A pair of -1 is a failed one, unless its reply says so itself."""
    has_failed = review.pair == FAILED and official_pair(review.content or "") is None
    return Judgment(
        request_id=run_id(review.item_id, run),
        item_id=review.item_id,
        key="",
        status=JudgmentStatus.UNPARSED if has_failed else JudgmentStatus.OK,
        raw=review.content or "",
        values={} if has_failed else {"pair": stored(review.pair)},
        meta={"has_category": review.has_category},
    )
