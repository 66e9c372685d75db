"""POPE: is an object in the picture, yes or no.

Paper: Li et al., "Evaluating Object Hallucination in Large Vision-Language Models", EMNLP 2023,
arXiv 2305.10355. Official code and data: github.com/AoiDragon/POPE at
08d957b917e5a378a2f99d35b6293c536a66298b; its ``evaluate.py`` is what "official" means below.

Data: three files of 3,000 questions, 6 on each of the same 500 pictures, half of them positive. The
positive questions are the same in all files; the absent objects are drawn at random, from the most
frequent ("popular") or from those that often stand by the present ones ("adversarial"). A record::

    {"question_id": 1, "image": "COCO_val2014_000000310196.jpg",
     "text": "Is there a snowboard in the image?", "label": "yes"}

Prompt: the official repository has the bare question only. Published LLaVA-family numbers add one
line, which is the default here; decoding is greedy.

Scoring: an answer is "no" if its first sentence holds the word No, no or not, and "yes" otherwise
(``official_answer``); "yes" is the positive class. Per split: accuracy, precision, recall, F1 and
the share of yes answers. The official script prints no aggregate and papers disagree: most tables
print the mean of the three F1 (``mean_f1``) or of the three accuracies (``mean_accuracy``), others
the figure over all 9,000 pairs (``pooled_f1``, ``pooled_accuracy``), which is another number.

Where the official script would divide by zero it stops without printing the rest; here only the
figures that do not exist are undefined. Questions without an answer are not scored, as in the
official script, but they show in the coverage. Because the official parser leans to "yes", answers
are also read by ``lenient_answer``; its numbers are Plumbline's own and named so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.base import (
    Benchmark,
    Decoding,
    FilePicture,
    Item,
    Judgment,
    Message,
    MetricSpec,
    PlumblineError,
    Request,
    Response,
    ResponseStatus,
    ScoreRow,
    ScoreStatus,
    Sums,
    failed_row,
    sha256_of,
    sha256_of_file,
)
from benchmarks.data_folder import fetch_command, required_file, required_folder
from benchmarks.pope_files import read_answers, read_questions, written_answers
from benchmarks.yes_no import Answer, lenient_answer

Numbers = NDArray[np.float64]

SPLITS = ("random", "popular", "adversarial")

PROMPTS = {
    # LLaVA-RLHF Eval/eval_scripts/eval_pope.sh; lmms-eval tasks/pope/pope.yaml
    "short_answer": "{question}\nAnswer the question using a single word or phrase.",
    # the official repository; VLMEvalKit
    "bare": "{question}",
}


class Variant(NamedTuple):
    """Where a set of three question files lies below ``pope/``, and where their pictures lie."""

    questions: str
    pictures: str


VARIANTS = {
    "coco": Variant("coco_pope_{split}.json", "coco/val2014"),
    # LLaVA-1.5 and LLaVA-RLHF: 2,910 random questions, and "an" questions end in "imange?"
    "coco_older": Variant("llava_rlhf_older_variant/coco_pope_{split}.jsonl", "coco/val2014"),
    # A-OKVQA's pictures; all 500 of these are from COCO val2014
    "seem_aokvqa": Variant("seem_aokvqa/aokvqa_pope_seem_{split}.json", "coco/val2014"),
    "seem_gqa": Variant("seem_gqa/gqa_pope_seem_{split}.json", "gqa/images"),
}


def official_answer(text: str) -> Answer:
    """What ``evaluate.py`` takes an answer for. Nothing is stripped or lower-cased.

    The rule leans to "yes": "", "NO", "No!", "None", "There isn't one" and "No" with a newline
    behind it all count as yes, while "Yes, but it is not clear" counts as no.
    """
    first_sentence = text.split(".")[0]
    words = first_sentence.replace(",", "").split(" ")
    return "no" if "No" in words or "not" in words or "no" in words else "yes"


class Counts(NamedTuple):
    """The confusion table with "yes" as the positive class; arrays of any one shape.

    ``unparsed`` are answers without a verdict. They stand in the table as well, as wrong answers;
    the official parser has none.
    """

    tp: Numbers
    fp: Numbers
    tn: Numbers
    fn: Numbers
    unparsed: Numbers


CELLS = {("yes", "yes"): "tp", ("yes", "no"): "fp", ("no", "no"): "tn", ("no", "yes"): "fn"}
"""Cell of the table by (prediction, label)."""

LENIENT = "lenient_"
"""Stands before the columns and metrics of the lenient parser."""


# The operations stand in the order of evaluate.py, so that values agree to the last digit.


def accuracy(counts: Counts) -> Numbers:
    """Share of pairs on which prediction and label agree."""
    tp, fp, tn, fn, _ = counts
    return (tp + tn) / (tp + tn + fp + fn)


def precision(counts: Counts) -> Numbers:
    """Share of predicted "yes" that are right."""
    return counts.tp / (counts.tp + counts.fp)


def recall(counts: Counts) -> Numbers:
    """Share of labels "yes" that were predicted."""
    return counts.tp / (counts.tp + counts.fn)


def f1(counts: Counts) -> Numbers:
    """Harmonic mean of precision and recall."""
    p, r = precision(counts), recall(counts)
    return 2 * p * r / (p + r)


def yes_ratio(counts: Counts) -> Numbers:
    """Share of predicted "yes"; half of the labels are."""
    tp, fp, tn, fn, _ = counts
    return (tp + fp) / (tp + fp + tn + fn)


def unparsed(counts: Counts) -> Numbers:
    """Share of answers without a verdict."""
    tp, fp, tn, fn, n_unparsed = counts
    return n_unparsed / (tp + fp + tn + fn)


Measure = Callable[[Counts], Numbers]
Formula = Callable[[Sums], Numbers]

DIRECTIONS: dict[Measure, Literal["neither", "lower"]] = {yes_ratio: "neither", unparsed: "lower"}

UNDEFINED: dict[Measure, str] = {
    precision: "no answer counts as yes",
    recall: "no question labelled yes was answered",
    f1: "precision and recall are both 0, or one is undefined",
}


def pooled(measure: Measure, splits: Sequence[str], prefix: str = "") -> Formula:
    """A measure over all pairs of some splits."""

    def formula(sums: Sums) -> Numbers:
        def column(name: str) -> Numbers:
            return np.asarray(sum(sums[f"{split}/{prefix}{name}"] for split in splits), float)

        return measure(Counts(*(column(name) for name in Counts._fields)))

    return formula


def mean(measure: Measure, prefix: str = "") -> Formula:
    """The plain mean of a measure over the three splits; undefined if it is undefined in one."""

    def formula(sums: Sums) -> Numbers:
        random, popular, adversarial = (pooled(measure, (split,), prefix)(sums) for split in SPLITS)
        return (random + popular + adversarial) / len(SPLITS)

    return formula


def undefined_note(measure: Measure, prefix: str) -> str:
    """Why a measure does not exist where it does not."""
    note = UNDEFINED.get(measure, "no question was answered")
    return note if prefix else f"{note}; the official script stops with ZeroDivisionError"


def split_spec(measure: Measure, split: str, prefix: str = "") -> MetricSpec:
    """A measure on one split."""
    return MetricSpec(
        name=prefix + measure.__name__,
        formula=pooled(measure, (split,), prefix),
        direction=DIRECTIONS.get(measure, "higher"),
        split=split,
        official=not prefix,
        headline=measure is f1 and split == "adversarial" and not prefix,
        undefined=undefined_note(measure, prefix),
    )


def aggregate_spec(
    kind: Literal["mean", "pooled"], measure: Measure, prefix: str = ""
) -> MetricSpec:
    """A measure over all three splits, of the kind that its name says."""
    note = undefined_note(measure, prefix)
    return MetricSpec(
        name=f"{prefix}{kind}_{measure.__name__}",
        formula=mean(measure, prefix) if kind == "mean" else pooled(measure, SPLITS, prefix),
        direction=DIRECTIONS.get(measure, "higher"),
        splits=SPLITS,
        official=not prefix,
        headline=kind == "mean" and not prefix,
        undefined=f"in at least one split: {note}" if kind == "mean" else note,
    )


@dataclass(frozen=True)
class Pope(Benchmark):
    """POPE with its protocol's choices.

    Attributes:
        variant: which question files, see VARIANTS; the pocket edition has no variants.
        prompt: which prompt, see PROMPTS.
        max_new_tokens: 64 as in LLaVA-RLHF's evaluation; decoding is greedy.
    """

    name: ClassVar[str] = "pope"
    title: ClassVar[str] = "POPE"
    paper: ClassVar[str] = "Li et al., EMNLP 2023, arXiv 2305.10355"
    scoring_settings: ClassVar[frozenset[str]] = frozenset({"parser"})

    variant: str = "coco"
    prompt: str = "short_answer"
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        for option, known in (("variant", VARIANTS), ("prompt", PROMPTS)):
            value = getattr(self, option)
            if value not in known:
                raise PlumblineError(f"pope.{option} is {value!r}; choose from {', '.join(known)}")
        if self.max_new_tokens < 1:
            raise PlumblineError(f"pope.max_new_tokens is {self.max_new_tokens}; give at least 1")
        if self.edition == "pocket" and self.variant != "coco":
            raise PlumblineError(f"pope.variant={self.variant} exists in the official edition only")

    def items(self) -> Sequence[Item]:
        """The questions, split by split in file order; ids are ``"<split>/<question_id>"``."""
        if self.edition == "pocket":
            from benchmarks.pocket import pope as pocket

            return pocket.items()
        # One object per picture, so that its digest is computed once, not for each of 18 questions.
        pictures: dict[str, FilePicture] = {}
        data_dir = required_folder(self.title, self.fetch_name, self.data_dir)
        folder = data_dir / VARIANTS[self.variant].pictures
        items = []
        for split in SPLITS:
            for question in read_questions(self.question_file(split), self._remedy()):
                path = folder / question.image
                items.append(
                    Item(
                        id=f"{split}/{question.question_id}",
                        group=question.image,
                        question=question.text,
                        split=split,
                        pictures=(pictures.setdefault(question.image, FilePicture(path)),),
                        reference={"label": question.label},
                    )
                )
        return items

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        if earlier:
            return None
        text = PROMPTS[self.prompt].format(question=item.question)
        messages = (Message("user", text, item.pictures),)
        return Request(item.id, item.id, messages, Decoding(self.max_new_tokens, temperature=0.0))

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """One pair in the confusion table of each parser. An empty answer is officially a "yes"."""
        if not responses:
            return failed_row(item, ScoreStatus.GENERATION_ERROR, "there is no answer")
        response = responses[0]
        if response.status is not ResponseStatus.OK:
            return failed_row(item, ScoreStatus.GENERATION_ERROR, response.error)
        label: Answer = item.reference["label"]
        official, lenient = official_answer(response.text), lenient_answer(response.text)
        return ScoreRow(
            item.id,
            item.group,
            item.split,
            ScoreStatus.SCORED,
            values=_values("", official, label) | _values(LENIENT, lenient, label),
            details={"label": label, "prediction": official, "lenient": lenient},
        )

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Per split in the order of evaluate.py's output, then aggregates, then the lenient parser.

        Three are headlines: the two usual aggregates, because papers print one or the other, and F1
        on the adversarial split, where models differ most. More would repeat the same answers.
        """
        official = (accuracy, precision, recall, f1, yes_ratio)
        lenient = (accuracy, f1, unparsed)
        return [
            *(split_spec(measure, split) for split in SPLITS for measure in official),
            *(aggregate_spec("mean", measure) for measure in (f1, accuracy)),
            *(aggregate_spec("pooled", measure) for measure in (f1, accuracy)),
            *(split_spec(measure, split, LENIENT) for split in SPLITS for measure in lenient),
            *(aggregate_spec("mean", measure, LENIENT) for measure in lenient),
        ]

    def protocol(self) -> Mapping[str, Any]:
        """Prompt, decoding and parser, and SHA-256 of each question file."""
        if self.edition == "pocket":
            asked = [(item.id, item.question, item.reference["label"]) for item in self.items()]
            questions: Any = sha256_of(asked)
        else:
            questions = {split: sha256_of_file(self.question_file(split)) for split in SPLITS}
        return {
            "variant": self.variant,
            "prompt": self.prompt,
            "prompt_template": PROMPTS[self.prompt],
            "max_new_tokens": self.max_new_tokens,
            "temperature": 0.0,
            "parser": "AoiDragon/POPE evaluate.py @ 08d957b917e5a378a2f99d35b6293c536a66298b",
            "questions_sha256": questions,
        }

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from official answer files; the rules are in ``benchmarks.pope_files``.

        Args:
            paths: answer files of one split each.
            **hints: ``split`` for all files (otherwise found out for each), and ``pairing``: "id"
                (the default) or "position".
        """
        unknown = sorted(hints.keys() - {"split", "pairing"})
        if unknown:
            raise PlumblineError(
                f"POPE takes the hints split and pairing, not {', '.join(unknown)}"
            )
        return read_answers(paths, _by_split(self.items()), **hints)

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str]:
        """``pope_<split>.jsonl`` for each split with an answer.

        A question without an answer has no line. The official script pairs by position and is right
        only on files without such gaps; ``read_responses`` pairs by id and takes both.
        """
        written = {
            f"pope_{split}.jsonl": written_answers(items, responses)
            for split, items in _by_split(self.items()).items()
        }
        return {name: text for name, text in written.items() if text}

    @property
    def fetch_name(self) -> str:
        """The SEEM variants' pictures are an extra of ``harness.fetch``."""
        return "pope_seem" if self.variant.startswith("seem") else "pope"

    def question_file(self, split: str) -> Path:
        """The official questions of a split. Raises MissingDataError."""
        folder = required_folder(self.title, self.fetch_name, self.data_dir)
        path = folder / "pope" / VARIANTS[self.variant].questions.format(split=split)
        return required_file(path, self._remedy())

    def _remedy(self) -> str:
        return fetch_command(self.fetch_name, self.data_dir)


def _by_split(items: Sequence[Item]) -> dict[str, list[Item]]:
    return {split: [item for item in items if item.split == split] for split in SPLITS}


def _values(prefix: str, prediction: Answer | None, label: Answer) -> dict[str, float]:
    """The columns of one answer. One without a prediction counts as the wrong prediction."""
    wrong = "no" if label == "yes" else "yes"
    cell = CELLS[prediction or wrong, label]
    values = {prefix + name: float(name == cell) for name in Counts._fields}
    values[f"{prefix}unparsed"] = float(prediction is None)
    return values
