"""AMBER: what a caption imagines, and yes/no questions on existence, attributes and relations.

Paper: Wang et al., "An LLM-free Multi-dimensional Benchmark for MLLMs Hallucination Evaluation",
arXiv 2311.07397. Official code and data: github.com/junyangwang0410/AMBER at
534babf6bbfcce2e735c26289dedfb21cef3c939; its ``inference.py`` is what "official" means below.

Data: 1,004 pictures, each described once ("generative") and asked about 14 times ("discriminative"):
4,924 questions on objects that are absent, 7,628 on attributes (state, number, action), half of them
yes, and 1,664 on relations. Records, in the part's query file and in ``annotations.json``::

    {"id": 7, "image": "AMBER_7.jpg", "query": "Describe this image."}
    {"id": 7, "type": "generative", "truth": ["sky", "tree"], "hallu": ["bird"]}

Prompts: the query and nothing else, which is the default; decoding is nowhere prescribed, here greedy.

Scoring of captions: ``benchmarks.amber_mentions`` finds the mentioned objects and holds them against
the picture's lists. CHAIR (hallucinated mentions of all), Cover (truth words that are mentioned), Hal
(captions with a hallucination) and Cog (hallu words that are mentioned) are percentages over the whole
corpus. Which words are similar is decided by spaCy's ``en_core_web_lg``. Where that is not installed,
and nothing else is asked for, only equal words match: the metrics keep their names, lose the mark
"official", and the protocol and a warning say so.

Scoring of answers: the positive class is "no". An answer is right if it *is* "Yes" or "No"; everything
else is wrong. The official README wants the answers in that form and does not say how to bring them
into it, so a named normaliser does, which the protocol records; answers that it cannot read stay as
they are. The metrics with ``exact_`` in their names show the answers without it. The figures and their
rounding are in ``benchmarks.amber_metrics``.

An empty caption mentions nothing and counts as free of hallucination, as in the official script.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.amber_files import (
    ANSWERS_FILE,
    Folder,
    read_answers,
    read_association,
    read_items,
    read_safe_words,
    read_splits,
    written_answers,
)
from benchmarks.amber_mentions import (
    MAX_CAPTION_CHARACTERS,
    Lexicon,
    extract_nouns,
    judge_mentions,
)
from benchmarks.amber_metrics import (
    ATTRIBUTES,
    EXACT,
    amber_score_specs,
    exact_specs,
    generative_specs,
    group_specs,
    groups,
)
from benchmarks.amber_similarity import ExactSimilarity, Similarity, open_similarity
from benchmarks.base import (
    Benchmark,
    Decoding,
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
    failed_row,
    sha256_of,
    sha256_of_file,
)
from benchmarks.data_folder import fetch_command, required_folder
from benchmarks.yes_no import lenient_answer

PARTS: dict[str, tuple[str, ...]] = {
    "all": ("generative", *ATTRIBUTES, "existence", "relation"),
    "generative": ("generative",),
    "discriminative": (*ATTRIBUTES, "existence", "relation"),
    "existence": ("existence",),
    "attribute": ATTRIBUTES,
    "relation": ("relation",),
}
"""The splits of each part, in the order of the official ids."""

PROMPTS = {
    # the official query files
    "official": "{question}",
    # VLMEvalKit
    "yes_no": "{question}\nPlease answer yes or no.",
}
"""Prompts of the yes/no questions. Captions are asked for with the bare query."""

OFFICIAL_THRESHOLD = 0.8

ANSWER_OF = {"yes": "Yes", "no": "No"}


def lenient(text: str) -> str:
    """A reader's yes or no (see ``benchmarks.yes_no``); anything else unchanged. Plumbline's own."""
    answer = lenient_answer(text)
    return text if answer is None else ANSWER_OF[answer]


def exact(text: str) -> str:
    """No normalisation: what the official script does with its answer file."""
    return text


def halva(text: str) -> str:
    """HALVA's rule (pritamqu/HALVA, ``eval_hall/model_amber_loader.py``): "yes" anywhere, or else No.

    "No, I see no yes" becomes Yes, and what cannot be read becomes No, which flatters recall.
    """
    return "Yes" if "yes" in text.lower() else "No"


NORMALISERS: dict[str, Callable[[str], str]] = {"lenient": lenient, "exact": exact, "halva": halva}


@dataclass(frozen=True)
class Amber(Benchmark):
    """AMBER with its protocol's choices.

    Attributes:
        part: which part is asked and scored, see PARTS.
        prompt: how the yes/no questions are asked, see PROMPTS.
        normaliser: how a yes/no answer is read, see NORMALISERS.
        similarity: what decides which words are similar: "auto", "exact", a JSON table or a spaCy
            model, see ``benchmarks.amber_similarity.open_similarity``.
        threshold: pairs above (not at) this value are similar; 0.8 officially.
        max_new_tokens_caption: enough for a caption to end by itself.
        max_new_tokens_answer: the same for a yes/no answer.
    """

    name: ClassVar[str] = "amber"
    title: ClassVar[str] = "AMBER"
    paper: ClassVar[str] = "Wang et al., arXiv 2311.07397"
    scoring_settings: ClassVar[frozenset[str]] = frozenset(
        {"scorer", "normaliser", "similarity", "threshold"}
    )

    part: str = "all"
    prompt: str = "official"
    normaliser: str = "auto"
    similarity: str = "auto"
    threshold: float = OFFICIAL_THRESHOLD
    max_new_tokens_caption: int = 1024
    max_new_tokens_answer: int = 64

    def __post_init__(self) -> None:
        choices: dict[str, Mapping[str, object]] = {
            "part": PARTS,
            "prompt": PROMPTS,
            "normaliser": {"auto": None, **NORMALISERS},
        }
        for option, known in choices.items():
            value = getattr(self, option)
            if value not in known:
                raise PlumblineError(f"amber.{option} is {value!r}; choose from {', '.join(known)}")
        for option in ("max_new_tokens_caption", "max_new_tokens_answer"):
            if getattr(self, option) < 1:
                raise PlumblineError(f"amber.{option} is {getattr(self, option)}; give at least 1")
        if not -1 <= self.threshold <= 1:
            raise PlumblineError(f"amber.threshold is {self.threshold}; a cosine is from -1 to 1")
        if self.edition == "pocket" and self.similarity not in ("auto", "exact"):
            raise PlumblineError(
                f"amber.similarity={self.similarity} is for the official edition; the pocket "
                "vocabulary has no similar words"
            )

    def items(self) -> Sequence[Item]:
        """The items of the part, in the official order; ids are the official numbers."""
        if self.edition == "official":
            return list(read_items(self._folder(), self.part))
        return [item for item in self._pocket_items() if item.split in PARTS[self.part]]

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        if earlier:
            return None
        template = PROMPTS["official" if item.split == "generative" else self.prompt]
        text = template.format(question=item.question)
        message = Message("user", text, item.pictures)
        return Request(item.id, item.id, (message,), self._decoding(item.split))

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """The counters of one answer. Raises PlumblineError when NLTK or its data is missing."""
        if not responses:
            return failed_row(item, ScoreStatus.GENERATION_ERROR, "there is no answer")
        response = responses[0]
        if response.status is not ResponseStatus.OK:
            return failed_row(item, ScoreStatus.GENERATION_ERROR, response.error)
        if item.split != "generative":
            return self._score_answer(item, response.text)
        if len(response.text) > MAX_CAPTION_CHARACTERS:
            reason = (
                f"{len(response.text):,} characters; at most {MAX_CAPTION_CHARACTERS:,} are tagged"
            )
            return failed_row(item, ScoreStatus.UNPARSED, f"the caption has {reason}")
        return self.score_nouns(item, self._nouns(response.text))

    def score_nouns(self, item: Item, nouns: Sequence[str]) -> ScoreRow:
        """The counters of a caption with these nouns."""
        truth, hallu = item.reference["truth"], item.reference["hallu"]
        mentions = self._lexicon.known(nouns)
        verdict = judge_mentions(mentions, truth, hallu, self._lexicon)
        counters = {
            "answered": 1,
            "hallucinated_mentions": len(verdict.hallucinated),
            "mentions": len(mentions),
            "truth_covered": len(verdict.covered),
            "truth_total": len(truth),
            "hallu_covered": len(verdict.imagined),
            "hallu_total": len(hallu),
            "no_hallucination": int(not verdict.hallucinated),
        }
        return ScoreRow(
            item.id,
            item.group,
            item.split,
            ScoreStatus.SCORED,
            values={name: float(count) for name, count in counters.items()},
            details={
                "mentions": mentions,
                "hallucinated": list(verdict.hallucinated),
                "covered": [truth[index] for index in sorted(verdict.covered)],
                "imagined": [hallu[index] for index in sorted(verdict.imagined)],
            },
        )

    def metric_specs(self) -> Sequence[MetricSpec]:
        """In the order of the official output; what the official script does not print comes last.

        Headlines are what papers print: the four figures of the captions, F1 of the questions (over
        the whole part that is asked), and the AMBER score.
        """
        specs: list[MetricSpec] = []
        if "generative" in PARTS[self.part]:
            specs += generative_specs(self._is_official())
        of_part = groups(self.part, self._attributes())
        for index, group in enumerate(of_part):
            specs += group_specs(group, headline=index == 0)
        if self.part == "all":
            specs += amber_score_specs(of_part[0], self._is_official())
        if of_part and self._normaliser != "exact":
            specs += exact_specs(of_part[0])
        return specs

    @property
    def _normaliser(self) -> str:
        return "lenient" if self.normaliser == "auto" else self.normaliser

    def for_official_answers(self) -> Amber:
        """Official answer files hold exactly "Yes" and "No", and the script takes all else for wrong."""
        return replace(self, normaliser="exact") if self.normaliser == "auto" else self

    def protocol(self) -> Mapping[str, Any]:
        described: dict[str, Any] = {"part": self.part, "data_sha256": self._data_hashes()}
        described["scorer"] = (
            "junyangwang0410/AMBER inference.py @ 534babf6bbfcce2e735c26289dedfb21cef3c939"
        )
        if self.part != "generative":
            described |= {
                "prompt": self.prompt,
                "prompt_template": PROMPTS[self.prompt],
                "normaliser": self._normaliser,
                "decoding_answer": asdict(self._decoding("existence")),
            }
        if "generative" in PARTS[self.part]:
            described |= {
                "similarity": self._similarity.label,
                "threshold": self.threshold,
                "decoding_caption": asdict(self._decoding("generative")),
            }
        return described

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from official answer files; answers outside the part are left out.

        Answers are not changed here: ``amber.normaliser=exact`` scores a file as the official script
        does, which takes everything but "Yes" and "No" for wrong.
        """
        if hints:
            raise PlumblineError(f"AMBER takes no hints, such as {', '.join(sorted(hints))}")
        if self.edition == "official":
            split_of = read_splits(self._folder())
        else:
            split_of = {item.id: item.split for item in self._pocket_items()}
        return read_answers(paths, split_of, PARTS[self.part])

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str]:
        """One file for all parts; yes/no answers as the normaliser reads them, as officially asked."""
        text = written_answers(self.items(), responses, NORMALISERS[self._normaliser])
        return {ANSWERS_FILE: text} if text else {}

    def _score_answer(self, item: Item, text: str) -> ScoreRow:
        label = item.reference["label"]
        prediction = NORMALISERS[self._normaliser](text)
        values = {
            "answered": 1.0,
            "truth_no": float(label == "no"),
            "unparsed": float(prediction not in ANSWER_OF.values()),
            **_answer_counters("", prediction, label),
            **_answer_counters(EXACT, text, label),
        }
        details = {"label": label, "prediction": prediction[:100]}
        return ScoreRow(
            item.id, item.group, item.split, ScoreStatus.SCORED, values, details=details
        )

    def _pocket_items(self) -> Sequence[Item]:
        from benchmarks.pocket import amber as pocket

        return pocket.items()

    def _nouns(self, text: str) -> Sequence[str]:
        if self.edition == "official":
            return extract_nouns(text, self.data_dir)
        from benchmarks.pocket import amber as pocket

        return pocket.nouns(text)

    def _attributes(self) -> Sequence[str]:
        """The kinds of attribute questions; nothing acts in the pocket world."""
        if self.edition == "official":
            return ATTRIBUTES
        return [split for split in ATTRIBUTES if split != "attribute-action"]

    @cached_property
    def _similarity(self) -> Similarity:
        return ExactSimilarity() if self.edition == "pocket" else open_similarity(self.similarity)

    @cached_property
    def _lexicon(self) -> Lexicon:
        if self.edition == "official":
            association = read_association(self._folder())
            safe_words = read_safe_words(self._folder())
        else:
            from benchmarks.pocket import amber as pocket

            association, safe_words = pocket.ASSOCIATION, frozenset()
        return Lexicon(association, safe_words, self._similarity, self.threshold)

    def _is_official(self) -> bool:
        """Whether captions are scored as officially; in the pocket edition nouns are found otherwise."""
        return self._similarity.is_official and self.threshold == OFFICIAL_THRESHOLD

    def _decoding(self, split: str) -> Decoding:
        is_caption = split == "generative"
        return Decoding(self.max_new_tokens_caption if is_caption else self.max_new_tokens_answer)

    def _data_hashes(self) -> Mapping[str, str]:
        if self.edition == "pocket":
            asked = [(item.id, item.group, item.question, item.reference) for item in self.items()]
            return {"items": sha256_of(asked)}
        folder = self._folder()
        files = [folder.queries(self.part), folder.annotations, folder.relation, folder.safe_words]
        return {path.name: sha256_of_file(path) for path in files}

    def _folder(self) -> Folder:
        folder = required_folder(self.title, self.fetch_name, self.data_dir)
        return Folder(folder / "amber", fetch_command(self.fetch_name, folder))


def _answer_counters(prefix: str, answer: str, label: str) -> dict[str, float]:
    """Whether an answer is right, is "No", and is rightly "No"."""
    is_right, is_no = answer == ANSWER_OF[label], answer == "No"
    return {
        f"{prefix}correct": float(is_right),
        f"{prefix}answered_no": float(is_no),
        f"{prefix}correct_no": float(is_right and is_no),
    }
