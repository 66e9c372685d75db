"""MMBench: multiple-choice questions, asked once for each place that the right option can take.

Paper: Liu et al., "MMBench: Is Your Multi-modal Model an All-around Player?", ECCV 2024, arXiv
2307.06281. Official code: open-compass/VLMEvalKit at e8e78f05f3080fe28154f2130321f17951c3be94,
``vlmeval/dataset/image_mcq.py`` and ``vlmeval/dataset/utils/multiple_choice.py``. LLaVA:
haotian-liu/LLaVA at c121f0432da27facab705978f83c4ada465e46fd, ``llava/eval/model_vqa_mmbench.py``.

Data: one table per version (see ``benchmarks.mmbench_files``). The versions differ in their
questions, so that numbers on two of them are never comparable: LLaVA-1.5 and most papers on
preference alignment print "mmbench_dev_20230712" (1,176 questions), leaderboards "MMBench_TEST_EN"
and the "_V11" tables; "MMBench_DEV_EN" (1,164) is today's dev table. The answers of test tables are
not public: nothing is scored there, and the upload file for MMBench's own server is written.

Prompt: "llava", LLaVA-1.5's, which papers that start from LLaVA use, or "vlmevalkit". Decoding:
greedy, at most 1,024 new tokens.

Scoring: an item is a question and its turns are the passes, which do not depend on each other. The
letter of each pass comes from rules (``benchmarks.mmbench_matching``); where they are silent, a
language model is asked which option the answer means (matcher "judge"), and its reply goes through
the same rules, up to three times. It is not asked where the rules settle the question already.

* "circular" (CircularEval, what papers call MMB): the share of questions with every pass right.
* "vanilla_first_order", "vanilla_all_orders": the share of right passes, of the first ones or of
  all. VLMEvalKit asks the matcher anew for these (PRINT_VANILLA=1); here only with
  ``vanilla_matcher``, else the rules decide alone and the numbers are marked as not official.

Each comes by split, over all questions, by L-2 ability (CP, FP-S, FP-C, LR, RR, AR) and by L-3
category: plain means of hits, as ``report_acc`` has them.

Where the matcher gives no letter in three replies, VLMEvalKit draws one at random without a seed,
so that no official number exists. Here such a pass is wrong, as it is without a matcher
("exact matching"): one of the values that the draw can take. ``failed_extractions`` counts these
passes, "strict_circular" leaves their questions out, and ``random_fallback`` adds the draw, with
a seed of its own, as "circular_random_2680".

VLMEvalKit counts the passes that a prediction file holds: where one is missing, the others decide,
which makes the test easier. Files that were made elsewhere are scored so, with the coverage beside
it; in a run such a question has no number (``missing_passes``).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
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
)
from benchmarks.data_folder import fetch_command, required_folder
from benchmarks.mmbench_answers import read_predictions, read_replies, request_id, upload_rows
from benchmarks.mmbench_files import (
    FETCHED_FIRST,
    TEXT_FILE,
    VERSIONS,
    Pass,
    questions_of,
    stand_in,
)
from benchmarks.mmbench_matching import API_FAILURE, NONE_OF_THEM, RULES, Rule, matched_letter
from benchmarks.mmbench_prompts import PROMPTS, matcher_prompt, matcher_prompts_sha256
from benchmarks.mmbench_scores import (
    ALL_ORDERS,
    CIRCULAR,
    FIRST_ORDER,
    RANDOM,
    Letters,
    Matched,
    circular_hit,
    is_withheld,
    official_columns,
    own_columns,
    own_specs,
    report_specs,
)
from benchmarks.pocket import mmbench as pocket
from benchmarks.tables import NEEDS_OPENPYXL, tsv_text, xlsx_bytes

log = logging.getLogger(__name__)

SCRIPT = "open-compass/VLMEvalKit @ e8e78f05f3080fe28154f2130321f17951c3be94"

CHOICES: Mapping[str, Collection[str]] = {
    "prompt": PROMPTS,
    "rule": RULES,
    "matcher": ("judge", "none"),
    "missing_passes": ("fail", "ignore"),
}
"""What some of the options may be."""
SCORING_OPTIONS = ("rule", "matcher", "vanilla_matcher", "random_fallback", "missing_passes")

MATCHER_ATTEMPTS = 3
# VLMEvalKit's client for OpenAI's models: temperature 0, max_tokens 2,048.
MATCHER_DECODING = Decoding(max_new_tokens=2048, temperature=0.0)


@dataclass(frozen=True)
class MMBench(Benchmark):
    """MMBench with its protocol's choices.

    Attributes:
        version: the table's file name without ``.tsv``: one of VERSIONS, or another beside them.
        prompt: what the model is asked, see ``mmbench_prompts``.
        rule: which version of the rules reads answers, see ``mmbench_matching``.
        matcher: "judge" asks a language model where the rules are silent; with "none" such an
            answer is wrong.
        vanilla_matcher: whether the matcher is also asked where only the vanilla numbers need it.
        random_fallback: whether to report the draw as well.
        missing_passes: what becomes of a question with a pass that is not answered. "fail": it has
            no number at all; "ignore": officially the others decide, as where VLMEvalKit reads a
            file without that row.
        max_new_tokens: 1,024 as in LLaVA-1.5's evaluation.
    """

    name: ClassVar[str] = "mmbench"
    title: ClassVar[str] = "MMBench"
    paper: ClassVar[str] = "Liu et al., ECCV 2024, arXiv 2307.06281"
    scoring_settings: ClassVar[frozenset[str]] = frozenset({"scoring"})
    independent_turns: ClassVar[bool] = True

    version: str = "MMBench_DEV_EN"
    prompt: str = "llava"
    rule: Rule = "current"
    matcher: str = "judge"
    vanilla_matcher: bool = False
    random_fallback: bool = False
    missing_passes: str = "fail"
    max_new_tokens: int = 1024

    def __post_init__(self) -> None:
        for option, known in CHOICES.items():
            value = getattr(self, option)
            if value not in known:
                choices = ", ".join(known)
                raise PlumblineError(f"mmbench.{option} is {value!r}; choose from {choices}")
        if self.matcher == "none" and (self.vanilla_matcher or self.random_fallback):
            raise PlumblineError(
                "mmbench.vanilla_matcher and mmbench.random_fallback need mmbench.matcher=judge"
            )
        if self.max_new_tokens < 1:
            raise PlumblineError(
                f"mmbench.max_new_tokens is {self.max_new_tokens}; give at least 1"
            )
        if not re.fullmatch(r"\w[\w.-]*", self.version):
            raise PlumblineError(f"mmbench.version is {self.version!r}, not the name of a table")
        if self.edition == "pocket" and self.version != "MMBench_DEV_EN":
            problem = f"mmbench.version={self.version} exists in the official edition only"
            raise PlumblineError(problem)

    def items(self) -> Sequence[Item]:
        """The questions in the order of the table; an item's id is the index of its base pass."""
        return self._items

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        """One pass after the other; what was answered before is not shown."""
        passes: Sequence[Pass] = item.reference["passes"]
        if len(earlier) >= len(passes):
            return None
        in_chinese = "_cn" in self.version.lower() or self.version == "CCBench"
        text = PROMPTS[self.prompt](passes[len(earlier)], in_chinese)
        messages = (Message("user", text, item.pictures),)
        name = request_id(item.id, len(earlier))
        return Request(name, item.id, messages, Decoding(self.max_new_tokens))

    @property
    def judge(self) -> JudgeSpec | None:
        if self.matcher == "none":
            return None
        if self.edition == "pocket":
            return JudgeSpec("pocket-oracle", "part of Plumbline", MATCHER_ATTEMPTS)
        state = (
            "shut down by OpenAI on 2026-10-23; --set mmbench.matcher=none needs no judge and is "
            "the official exact matching"
        )
        return JudgeSpec("gpt-3.5-turbo-0125", state, MATCHER_ATTEMPTS)

    def judge_requests(self, item: Item, responses: Sequence[Response]) -> Sequence[JudgeRequest]:
        """Which option an answer means, for each pass on which the question still depends."""
        found = []
        for number in self._to_match(item, self._by_rule(item, responses)):
            one = item.reference["passes"][number]
            messages = (Message("user", self.judge_prompt(one, responses[number].text)),)
            name = request_id(item.id, number)
            found.append(JudgeRequest(name, item.id, messages, MATCHER_DECODING, "matcher"))
        return found

    def judge_prompt(self, one: Pass, answer: str) -> str:
        """The matcher's prompt about an answer to a pass. Raises MissingDataError."""
        if self.edition == "pocket":
            return pocket.judge_prompt(one.question, one.options, answer)
        return matcher_prompt(self._folder, one, answer, fetch_command(self.name, self.data_dir))

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        """The letter that the rules find in a reply; None where they find none."""
        letter = self._letter(self._passes[request.id], reply)
        return {"letter": letter} if letter else None

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """A question's hits. Replies are read anew, so that mended rules need no judge.

        ``official`` has what VLMEvalKit counts, from the passes that are answered; ``values`` has
        questions that were answered and matched as a whole.
        """
        matched = self._matched(item, responses, judgments)
        status, reason = matched.status(responses, vanilla_matcher=self.vanilla_matcher)
        is_left_out = self.missing_passes == "fail" and len(matched.letters) < len(matched.passes)
        if is_left_out or not matched.letters:
            return failed_row(item, status, reason)
        letters = [matched.letters.get(number, "") for number in range(len(matched.passes))]
        return ScoreRow(
            item.id,
            item.group,
            item.split,
            status,
            values=own_columns(matched) if status is ScoreStatus.SCORED else {},
            official=official_columns(
                matched,
                vanilla_matcher=self.vanilla_matcher,
                random_fallback=self.random_fallback,
            ),
            details={
                "letters": letters,
                "answers": [one.answer for one in matched.passes],
                **({"reason": reason} if reason else {}),
            },
        )

    def metric_specs(self) -> Sequence[MetricSpec]:
        """VLMEvalKit's reports, then Plumbline's own."""
        is_official = self.matcher == "none" or self.vanilla_matcher
        reports = {CIRCULAR: True, FIRST_ORDER: is_official, ALL_ORDERS: is_official}
        if self.random_fallback:
            reports[RANDOM] = False
        return [*report_specs(self.items(), reports), *own_specs(self.items())]

    def protocol(self) -> Mapping[str, Any]:
        """Table, prompt, decoding, rules and matcher, and SHA-256 of what they are made of."""
        asked = [(item.id, item.question, dict(item.reference)) for item in self.items()]
        protocol = {
            "table": self.version if self.edition == "official" else "pocket",
            "prompt": self.prompt,
            "decoding": asdict(Decoding(self.max_new_tokens)),
            "items_sha256": sha256_of(asked),
            "scoring": {
                "script": SCRIPT,
                **{option: getattr(self, option) for option in SCORING_OPTIONS},
                "matcher_prompts_sha256": self._matcher_prompts_sha256(),
            },
        }
        if self.edition == "official" and stand_in(self._folder, self.version):
            protocol["stand_in"] = f"{TEXT_FILE}: not an official file, without categories"
        return protocol

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from VLMEvalKit's or LLaVA's files; see ``benchmarks.mmbench_answers``."""
        if hints:
            raise PlumblineError(f"MMBench takes no hints, not {', '.join(sorted(hints))}")
        return read_predictions(paths, self.items())

    def for_official_answers(self) -> MMBench:
        """Rows that a prediction file does not have are ignored."""
        return replace(self, missing_passes="ignore")

    def read_judgments(self, paths: Sequence[Path]) -> Sequence[Judgment]:
        """The matcher's replies from JSON Lines of ``index`` and ``reply``, one for each attempt."""
        if self.matcher == "none":
            raise PlumblineError("mmbench.matcher=none uses no replies; leave out one of the two")
        return [
            self._judgment(name, replies[:MATCHER_ATTEMPTS])
            for name, replies in read_replies(paths, self.items()).items()
        ]

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str | bytes]:
        """The upload file as a .tsv and, for MMBench's server, the same as Excel."""
        rows = upload_rows(self.items(), responses)
        if not rows:
            return {}
        files: dict[str, str | bytes] = {"mmbench_upload.tsv": tsv_text(rows)}
        if self.edition == "pocket":
            return files
        try:
            files["mmbench_upload.xlsx"] = xlsx_bytes(rows)
        except ImportError:
            log.warning("mmbench_upload is written as .tsv only: %s", NEEDS_OPENPYXL)
        return files

    def _by_rule(self, item: Item, responses: Sequence[Response]) -> Letters:
        passes = item.reference["passes"]
        return {
            number: matched_letter(response.text, passes[number].options, self.rule)
            for number, response in enumerate(responses)
            if response.status is ResponseStatus.OK
        }

    def _to_match(self, item: Item, by_rule: Letters) -> list[int]:
        """The passes that the matcher is asked about."""
        if self.matcher == "none" or is_withheld(item):
            return []
        is_open = circular_hit(item.reference["passes"], by_rule) is None
        unmatched = [number for number, letter in by_rule.items() if letter is None]
        return unmatched if is_open or self.vanilla_matcher else []

    def _letter(self, one: Pass, reply: str) -> str | None:
        """What the matcher's reply says."""
        return None if API_FAILURE in reply else matched_letter(reply, one.options, self.rule)

    def _matched(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment]
    ) -> Matched:
        by_rule = self._by_rule(item, responses)
        otherwise = NONE_OF_THEM if self.matcher == "none" else None
        letters = {number: letter or otherwise for number, letter in by_rule.items()}
        known = {judgment.request_id: judgment for judgment in judgments}
        not_judged, unread = {}, []
        for number in self._to_match(item, by_rule):
            judgment = known.get(request_id(item.id, number))
            if judgment is None or judgment.status is JudgmentStatus.JUDGE_ERROR:
                reason = judgment.error if judgment else None
                not_judged[number] = reason or "there is no judgment"
                continue
            letters[number] = self._letter(item.reference["passes"][number], judgment.raw)
            if letters[number] is None:
                unread.append(number)
        return Matched(item, by_rule, letters, not_judged, unread)

    def _judgment(self, name: str, replies: Sequence[str]) -> Judgment:
        """The first reply that can be read; else the last one."""
        letters = [self._letter(self._passes[name], reply) for reply in replies]
        at = next((number for number, letter in enumerate(letters) if letter), len(replies) - 1)
        status = JudgmentStatus.OK if letters[at] else JudgmentStatus.UNPARSED
        return Judgment(name, name.partition("#")[0], "", status, raw=replies[at])

    @cached_property
    def _items(self) -> Sequence[Item]:
        if self.edition == "pocket":
            return pocket.items()
        remedy = fetch_command(self.fetch_name, self.data_dir)
        return questions_of(self._folder, self.version, remedy)

    @cached_property
    def _passes(self) -> Mapping[str, Pass]:
        """Every pass by the id of its request."""
        return {
            request_id(item.id, number): one
            for item in self.items()
            for number, one in enumerate(item.reference["passes"])
        }

    def _matcher_prompts_sha256(self) -> str | Mapping[str, str] | None:
        if self.matcher == "none":
            return None
        if self.edition == "pocket":
            return sha256_of(pocket.judge_prompt("", {}, ""))
        return matcher_prompts_sha256(self._folder)

    @property
    def fetch_name(self) -> str:
        more = self.version in VERSIONS and self.version not in FETCHED_FIRST
        return "mmbench_more" if more else self.name

    @property
    def _folder(self) -> Path:
        return required_folder(self.title, self.name, self.data_dir) / self.name
