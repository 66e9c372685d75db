"""Object HalBench: do the objects that a detailed description mentions exist in the picture?

Paper: Yu et al., "RLHF-V", arXiv 2312.00849; its parent is CHAIR (``benchmarks.chair``). Official
code: RLHF-V/RLHF-V at 8daac8a8f30df123818ae9d3a0e3f0018497714c, ``eval/eval_gpt_obj_halbench.py``:
"the script" below.

Data: ``obj_halbench_300_with_image.jsonl``, 300 COCO val2014 pictures with one of eight requests
for a detailed description each (see ``benchmarks.object_halbench_files``), and COCO's 2014
annotations as ground truth.

Prompt: the question as it is. Decoding: greedy, at most 1,024 new tokens; RLAIF-V's own runs search
with 3 beams.

Scoring:

1. A judge lists the objects that an answer names; one of three words or fewer names none
   (``official_objects``).
2. Each object's string is lemmatised and tagged behind an "a"; two-word terms and else runs of
   nouns become words, each kept once per answer (``object_words``).
3. Words for COCO categories are mentions; a mention is hallucinated if its category is neither
   annotated in the picture nor mentioned by one of its reference captions
   (``benchmarks.coco_objects``).

The functions named stand in ``benchmarks.object_halbench_rules``.

Papers print ``CHAIRs_refine``, the share of hallucinated answers among those with a mention
("response-level", often called CHAIRs), and ``CHAIRi``, the share of hallucinated mentions. The
script's own CHAIRs divides by all answers.

The official judge cannot be called any more, and numbers of different judges are not comparable. A
reply that cannot be parsed is asked for again, officially up to 100 times, after which the script
stops with an AssertionError; it stops with a TypeError for null and numbers. Here both are asked
for again up to ``judge_attempts`` times, and then the item is unparsed, not scored. Where the
script would divide by zero, the figure is undefined.

``extractor=words`` is the script without --use_gpt: mentions are read off the answer itself,
without a judge, and are not made unique. The published numbers are not of that kind.
"""

from __future__ import annotations

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
from benchmarks.coco_objects import Lemmas, WordList, noun_lemmas, picture_objects
from benchmarks.data_folder import fetch_command, required_file, required_folder, required_text
from benchmarks.object_halbench_files import (
    Question,
    read_answers,
    read_questions,
    read_replies,
    written_answers,
)
from benchmarks.object_halbench_rules import (
    Reading,
    counts,
    is_short,
    lenient_objects,
    metric_specs,
    object_words,
    official_answer,
    official_objects,
    strings_of,
)
from benchmarks.pocket import object_halbench as pocket
from benchmarks.taggers import OFFICIAL_TAGGER, Tagger, open_tagger, resolved

SCRIPT = "RLHF-V/RLHF-V eval/eval_gpt_obj_halbench.py @ 8daac8a8f30df123818ae9d3a0e3f0018497714c"
OFFICIAL_ATTEMPTS = 100
QUESTION_FILE = "obj_halbench_300_with_image.jsonl"
WORD_FILE = "synonyms_refine.txt"
JUDGE_PROMPT_FILE = "judge_prompt.txt"

JUDGE_DECODING = Decoding(max_new_tokens=512, temperature=0.2, top_p=1.0)

JUDGE_PROMPT_SHA256 = "9d732f9b73a3cc965bee6eb163b8e5248e58bd9d382eb583e9ece59933e2b580"
"""Of the official prompt, as ``harness.fetch`` takes it out of the script."""


@dataclass(frozen=True)
class ObjectHalBench(Benchmark):
    """Object HalBench with its protocol's choices.

    Attributes:
        extractor: "judge" as published, or "words": off the answer itself, without a judge.
        reply_parser: "official", or "lenient", which also reads fenced lists and ``()``; not
            official.
        tagger: the official spaCy pipeline, another one, "nltk", a .json file of recorded tokens,
            or "auto": the official one if it is installed, else "nltk". Only the first is official;
            the pocket edition needs none.
        judge_attempts: how often a judge is asked until its reply can be parsed; officially 100. A
            judge that fails ten times hardly ever succeeds later, and each time costs.
        max_new_tokens: 1,024 as in RLAIF-V's evaluation.
    """

    name: ClassVar[str] = "object_halbench"
    title: ClassVar[str] = "Object HalBench"
    paper: ClassVar[str] = "Yu et al., CVPR 2024, arXiv 2312.00849"
    scoring_settings: ClassVar[frozenset[str]] = frozenset(
        {
            "scorer",
            "reply_parser",
            "judge_attempts",
            "judge_prompt_sha256",
            "tagger",
            "words_sha256",
        }
    )

    extractor: str = "judge"
    reply_parser: str = "official"
    tagger: str = "auto"
    judge_attempts: int = 10
    max_new_tokens: int = 1024

    def __post_init__(self) -> None:
        for option, known in (
            ("extractor", ("judge", "words")),
            ("reply_parser", ("official", "lenient")),
        ):
            value = getattr(self, option)
            if value not in known:
                choices = " or ".join(known)
                raise PlumblineError(f"object_halbench.{option} is {value!r}; choose {choices}")
        for option in ("judge_attempts", "max_new_tokens"):
            value = getattr(self, option)
            if value < 1:
                raise PlumblineError(f"object_halbench.{option} is {value}; give at least 1")

    def items(self) -> Sequence[Item]:
        """The questions in file order; an item's id is its image's id."""
        return self._items

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        if earlier:
            return None
        messages = (Message("user", item.question, item.pictures),)
        return Request(item.id, item.id, messages, Decoding(self.max_new_tokens))

    @property
    def judge(self) -> JudgeSpec | None:
        if self.extractor == "words":
            return None
        if self.edition == "pocket":
            return JudgeSpec("pocket-oracle", "part of Plumbline")
        state = (
            "shut down by OpenAI, announced for 2024-06-13; no later judge gives comparable numbers"
        )
        return JudgeSpec("gpt-3.5-turbo-0613", state, self.judge_attempts)

    def judge_requests(self, item: Item, responses: Sequence[Response]) -> Sequence[JudgeRequest]:
        """The extraction prompt in one system message; nothing for a short answer."""
        if (
            self.extractor == "words"
            or not responses
            or responses[0].status is not ResponseStatus.OK
        ):
            return ()
        answer = official_answer(responses[0].text)
        if is_short(answer):
            return ()
        messages = (Message("system", self.judge_prompt(item.question, answer)),)
        return (JudgeRequest(item.id, item.id, messages, JUDGE_DECODING, prompt_name="extraction"),)

    def judge_prompt(self, question: str, answer: str) -> str:
        """The judge's prompt; as in the script, "{answer}" inside a question is replaced, too."""
        if self.edition == "pocket":
            return pocket.judge_prompt(question, answer)
        return self._judge_template.replace("{question}", question).replace("{answer}", answer)

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        strings = self._strings(reply)
        return None if strings is None else {"objects": strings}

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """One answer's counts. The reply is parsed anew: a mended parser needs no judge."""
        if not responses or responses[0].status is not ResponseStatus.OK:
            reason = responses[0].error if responses else "there is no answer"
            return failed_row(item, ScoreStatus.GENERATION_ERROR, reason)
        answer = official_answer(responses[0].text)
        if self.extractor == "words":
            reading = self._read_words(answer)
        elif is_short(answer):
            reading = self._read_strings([])
        else:
            if not judgments or judgments[0].status is JudgmentStatus.JUDGE_ERROR:
                reason = judgments[0].error if judgments else "there is no judgment"
                return failed_row(item, ScoreStatus.JUDGE_ERROR, reason)
            strings = self._strings(judgments[0].raw)
            if strings is None:
                reason = "the judge's reply holds no list of objects"
                return failed_row(item, ScoreStatus.UNPARSED, reason)
            reading = self._read_strings(strings)
        truth = item.reference["objects"]
        return ScoreRow(
            item.id,
            item.group,
            item.split,
            ScoreStatus.SCORED,
            values=counts(answer, reading.mentions, truth),
            details=reading.details(truth),
        )

    def metric_specs(self) -> Sequence[MetricSpec]:
        """By the script's names; official only with judge, parser and tagger as published."""
        is_official = (
            self.extractor == "judge"
            and self.reply_parser == "official"
            and (self.edition == "pocket" or self._tagger_name == OFFICIAL_TAGGER)
        )
        return metric_specs(is_official=is_official)

    def protocol(self) -> Mapping[str, Any]:
        """Prompt, decoding, judge and scorer, and SHA-256 of what they are made of."""
        asked = [(item.id, item.question, item.reference["objects"]) for item in self.items()]
        described: dict[str, Any] = {
            "extractor": self.extractor,
            "decoding": asdict(Decoding(self.max_new_tokens)),
            "scorer": SCRIPT,
            "items_sha256": sha256_of(asked),
        }
        if self.extractor == "judge":
            described |= {
                "reply_parser": self.reply_parser,
                "judge_attempts": self.judge_attempts,
                "judge_prompt_sha256": self._judge_prompt_sha256(),
            }
        if self.edition == "official":
            described["questions_sha256"] = sha256_of_file(self._file(QUESTION_FILE))
            described["words_sha256"] = sha256_of_file(self._file(WORD_FILE))
            if self.extractor == "judge":
                is_file = self._tagger_name.endswith(".json")
                label = sha256_of_file(Path(self.tagger)) if is_file else self._tagger_name
                described["tagger"] = label
        return described

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from official answer files; see ``benchmarks.object_halbench_files``."""
        if hints:
            raise PlumblineError(f"Object HalBench takes no hints, not {', '.join(sorted(hints))}")
        return read_answers(paths, self._items_without_truth)

    def read_judgments(self, paths: Sequence[Path]) -> Sequence[Judgment]:
        """Judgments from recorded replies: the first of an item that can be parsed, or the last.

        As in the script, replies after the hundredth were never asked for.
        """
        judgments = []
        for item, replies in read_replies(paths, self._items_without_truth):
            asked = replies[:OFFICIAL_ATTEMPTS]
            parsed = (
                (n, reply) for n, reply in enumerate(asked, 1) if self._strings(reply) is not None
            )
            attempts, raw = next(parsed, (len(asked), asked[-1]))
            strings = self._strings(raw)
            judgments.append(
                Judgment(
                    request_id=item.id,
                    item_id=item.id,
                    key="",
                    status=JudgmentStatus.UNPARSED if strings is None else JudgmentStatus.OK,
                    raw=raw,
                    values={} if strings is None else {"objects": strings},
                    meta={"attempts": attempts},
                )
            )
        return judgments

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str]:
        """``obj_halbench_answer.jsonl``, without a line for questions that have no answer."""
        text = written_answers(self._items_without_truth, responses)
        return {"obj_halbench_answer.jsonl": text} if text else {}

    def _strings(self, reply: str) -> list[str] | None:
        """The objects' strings in a judge's reply; None if it cannot be used."""
        try:
            if self.reply_parser == "lenient":
                return lenient_objects(reply)
            return strings_of(official_objects(reply))
        except ValueError:
            return None

    def _read_strings(self, strings: Sequence[str]) -> Reading:
        if self.edition == "pocket":
            mentions = list(dict.fromkeys(m for string in strings for m in pocket.mentions(string)))
            return Reading([mention.word for mention in mentions], mentions, strings)
        words = object_words(strings, self._tagger, self._words) if strings else []
        return Reading(words, self._words.mentions(words), strings)

    def _read_words(self, answer: str) -> Reading:
        if self.edition == "pocket":
            mentions = pocket.mentions(answer)
            return Reading([mention.word for mention in mentions], mentions, None)
        words = self._words.merged(self._lemmas(answer))
        return Reading(words, self._words.mentions(words), None)

    @cached_property
    def _items(self) -> Sequence[Item]:
        if self.edition == "pocket":
            return pocket.items()
        folder = self._data_dir() / "coco" / "annotations"
        image_ids = {question.image_id for question in self._questions}
        truth = picture_objects(image_ids, folder, self._words, self._lemmas, self._remedy())
        return [
            replace(
                item,
                reference={**item.reference, "objects": sorted(truth[item.reference["image_id"]])},
            )
            for item in self._items_without_truth
        ]

    @cached_property
    def _items_without_truth(self) -> Sequence[Item]:
        """Items for what needs no ground truth: answers are read without COCO's annotations."""
        if self.edition == "pocket":
            return self._items
        return [
            Item(
                id=question.id,
                group=str(question.image_id),
                question=question.text,
                pictures=(question.picture,),
                reference={"image_id": question.image_id},
            )
            for question in self._questions
        ]

    @cached_property
    def _questions(self) -> Sequence[Question]:
        pictures = self._data_dir() / "coco" / "val2014"
        return read_questions(self._file(QUESTION_FILE), pictures, self._remedy())

    @cached_property
    def _words(self) -> WordList:
        return WordList.read(self._file(WORD_FILE), self._remedy())

    @cached_property
    def _lemmas(self) -> Lemmas:
        return noun_lemmas(self._data_dir())

    @cached_property
    def _tagger_name(self) -> str:
        return resolved(self.tagger)

    @cached_property
    def _tagger(self) -> Tagger:
        return open_tagger(self._tagger_name, self._data_dir())

    @cached_property
    def _judge_template(self) -> str:
        return required_text(self._file(JUDGE_PROMPT_FILE), self._remedy())

    def _judge_prompt_sha256(self) -> str:
        """Of the prompt that is used, or else of the official one.

        Before the file is fetched no judge can be asked, and fetching it later must not make
        another measurement of answers that are there.
        """
        if self.edition == "pocket":
            return sha256_of(pocket.judge_prompt("", ""))
        path = self._data_dir() / self.name / JUDGE_PROMPT_FILE
        return sha256_of_file(path) if path.is_file() else JUDGE_PROMPT_SHA256

    def _data_dir(self) -> Path:
        return required_folder(self.title, self.name, self.data_dir)

    def _file(self, name: str) -> Path:
        return required_file(self._data_dir() / self.name / name, self._remedy())

    def _remedy(self) -> str:
        return fetch_command(self.name, self.data_dir)
