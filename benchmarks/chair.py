"""CHAIR: which COCO objects does a caption mention that are not in the picture? No judge is asked.

Paper: Rohrbach et al., "Object Hallucination in Image Captioning", EMNLP 2018, arXiv 1809.02156.
Official code: LisaAnne/Hallucination at 6e4d33c4bedf6dfcd24c61bf527f40714717be47,
``utils/chair.py``. It is the parent of Object HalBench (``benchmarks.object_halbench``), whose
figure "CHAIRs" in papers has another denominator.

Pictures: CHAIR names none. Papers on multimodal models draw some hundreds from COCO val2014, each
their own, so figures of two papers are rarely about the same pictures. Here they are drawn by a
seed, or read from a list.

Prompt: that of lmms-eval's coco_cap_chair and most papers. Decoding: greedy, at most 512 new
tokens.

Scoring: each word for a COCO category is a mention, every time that it occurs; it is hallucinated
if the category is neither annotated in the picture nor mentioned by one of its five reference
captions. ``CHAIRs`` is the share of captions with a hallucinated mention among all captions,
``CHAIRi`` the share of hallucinated mentions.

Deviations, for which the figures are not called official:

* words are singularised by WordNet's noun lemmatiser; the script uses ``pattern.en.singularize``
  (Python 2);
* two-word terms are those of the word list, "home plate" and "train track"; the script has a list
  of its own, which lacks only "dining table", whose second word stands for the same category.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from benchmarks.base import (
    BadRecordError,
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
    failed_row,
    sha256_of,
)
from benchmarks.coco_objects import Lemmas, WordList, noun_lemmas, picture_objects
from benchmarks.data_folder import fetch_command, required_folder, required_json
from benchmarks.object_halbench_rules import Reading, ratio
from benchmarks.records import read_records

SCRIPT = "LisaAnne/Hallucination utils/chair.py @ 6e4d33c4bedf6dfcd24c61bf527f40714717be47"
PROMPT = "Please describe this image in detail."
WORD_SOURCE = "object_halbench"
"""Word list and annotations come with Object HalBench."""
CAPTION_FIELDS = ("caption", "text", "answer")


@dataclass(frozen=True)
class Chair(Benchmark):
    """CHAIR with its protocol's choices; the official edition only.

    Attributes:
        pictures: a file that lists the pictures: JSON Lines or an array of records with
            ``image_id``, such as an answer file. Without it, ``n_pictures`` are drawn from val2014.
        n_pictures: how many are drawn.
        seed: of the drawing.
        max_new_tokens: 512; CHAIRi grows with the captions' length.
    """

    name: ClassVar[str] = "chair"
    title: ClassVar[str] = "CHAIR"
    paper: ClassVar[str] = "Rohrbach et al., EMNLP 2018, arXiv 1809.02156"
    scoring_settings: ClassVar[frozenset[str]] = frozenset({"scorer", "singular"})

    pictures: str = ""
    n_pictures: int = 500
    seed: int = 0
    max_new_tokens: int = 512

    def __post_init__(self) -> None:
        if self.edition == "pocket":
            remedy = "use object_halbench with --set object_halbench.extractor=words"
            raise PlumblineError(f"CHAIR has no pocket edition; {remedy}")
        for option in ("n_pictures", "max_new_tokens"):
            if getattr(self, option) < 1:
                raise PlumblineError(f"chair.{option} is {getattr(self, option)}; give at least 1")

    def items(self) -> Sequence[Item]:
        """One caption per picture, by ascending id; an item's id is COCO's."""
        return self._items

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        if earlier:
            return None
        messages = (Message("user", item.question, item.pictures),)
        return Request(item.id, item.id, messages, Decoding(self.max_new_tokens))

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """One caption's mentions."""
        if not responses or responses[0].status is not ResponseStatus.OK:
            reason = responses[0].error if responses else "there is no caption"
            return failed_row(item, ScoreStatus.GENERATION_ERROR, reason)
        words = self._words.merged(self._lemmas(responses[0].text))
        mentions, truth = self._words.mentions(words), item.reference["objects"]
        hallucinated = sum(mention.category not in truth for mention in mentions)
        return ScoreRow(
            item.id,
            item.group,
            item.split,
            ScoreStatus.SCORED,
            values={
                "captions": 1,
                "hallucinated_captions": int(hallucinated > 0),
                "mentions": len(mentions),
                "hallucinated_mentions": hallucinated,
            },
            details=Reading(words, mentions, None).details(truth),
        )

    def metric_specs(self) -> Sequence[MetricSpec]:
        stops = "the official script stops here with ZeroDivisionError"
        return [
            MetricSpec(
                "CHAIRs",
                ratio("hallucinated_captions", "captions"),
                "lower",
                official=False,
                headline=True,
                undefined=f"there is no caption; {stops}",
            ),
            MetricSpec(
                "CHAIRi",
                ratio("hallucinated_mentions", "mentions"),
                "lower",
                official=False,
                headline=True,
                undefined=f"no caption mentions a COCO category; {stops}",
            ),
        ]

    @property
    def fetch_name(self) -> str:
        """CHAIR is scored with the word list and the annotations of Object HalBench."""
        return WORD_SOURCE

    def protocol(self) -> Mapping[str, Any]:
        asked = [(item.id, item.reference["objects"]) for item in self.items()]
        return {
            "prompt": PROMPT,
            "decoding": asdict(Decoding(self.max_new_tokens)),
            "scorer": SCRIPT,
            "singular": "WordNet noun lemmas",
            "items_sha256": sha256_of(asked),
        }

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from caption files, by ``image_id``.

        Either the script's own input, a JSON object with ``imgToEval``, or records of ``image_id``
        and ``caption`` (or ``text``, ``answer``) as JSON Lines or an array.
        """
        if hints:
            raise PlumblineError(f"CHAIR takes no hints, not {', '.join(sorted(hints))}")
        known = {item.id for item in self.items()}
        origin: dict[str, str] = {}
        responses = []
        for path in paths:
            for place, fields in _caption_records(path):
                image_id = str(_image_id(place, fields))
                if image_id not in known:
                    fix = f"Give the pictures of this file: --set chair.pictures={path}"
                    raise BadRecordError(f"{place}: image {image_id} is not asked. {fix}")
                if image_id in origin:
                    fix = "Remove one of them"
                    raise BadRecordError(
                        f"{place}: a second caption, after {origin[image_id]}. {fix}"
                    )
                origin[image_id] = place
                responses.append(Response(image_id, "", _caption(place, fields)))
        return responses

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str]:
        """``captions.json`` for COCO's caption evaluation, from which CHAIR's input is made."""
        captions = [
            {"image_id": int(item.id), "caption": response.text}
            for item in self.items()
            if (response := responses.get(item.id)) and response.status is ResponseStatus.OK
        ]
        return {"captions.json": json.dumps(captions, indent=1) + "\n"} if captions else {}

    @cached_property
    def _items(self) -> Sequence[Item]:
        image_ids = self._image_ids()
        truth = picture_objects(
            image_ids, self._annotations(), self._words, self._lemmas, self._remedy()
        )
        return [
            Item(
                id=str(image_id),
                group=str(image_id),
                question=PROMPT,
                pictures=(FilePicture(self._picture(image_id)),),
                reference={"objects": sorted(truth[image_id])},
            )
            for image_id in image_ids
        ]

    def _image_ids(self) -> list[int]:
        if self.pictures:
            records = _caption_records(Path(self.pictures))
            return sorted({_image_id(place, fields) for place, fields in records})
        path = self._annotations() / "captions_val2014.json"
        content = required_json(path, self._remedy())
        try:
            found = sorted(image["id"] for image in content["images"])
        except (KeyError, TypeError) as error:
            problem = f"not annotations as COCO publishes them ({error!r})"
            raise BadRecordError(
                f"{path}: {problem}. Fetch them again: {self._remedy()}"
            ) from error
        return sorted(Random(self.seed).sample(found, min(self.n_pictures, len(found))))

    @cached_property
    def _words(self) -> WordList:
        path = self._data_dir() / WORD_SOURCE / "chair_synonyms_original.txt"
        return WordList.read(path, self._remedy(), strips_words=False)

    @cached_property
    def _lemmas(self) -> Lemmas:
        return noun_lemmas(self._data_dir())

    def _annotations(self) -> Path:
        return self._data_dir() / "coco" / "annotations"

    def _picture(self, image_id: int) -> Path:
        return self._data_dir() / "coco" / "val2014" / f"COCO_val2014_{image_id:012d}.jpg"

    def _data_dir(self) -> Path:
        return required_folder(self.title, WORD_SOURCE, self.data_dir)

    def _remedy(self) -> str:
        return fetch_command(WORD_SOURCE, self.data_dir)


def _caption_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The records of a caption file, each with the place to name in an error."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None  # JSON Lines, or a file that read_records refuses with the line
    entries = content.get("imgToEval") if isinstance(content, dict) else None
    if isinstance(entries, dict):
        for name, fields in entries.items():
            if not isinstance(fields, dict):
                raise BadRecordError(f"{path}, imgToEval {name!r}: no JSON object. Write {{…}}")
            yield f"{path}, imgToEval {name!r}", fields
        return
    for record in read_records(path):
        yield f"{path}, line {record.line}", record.fields


def _image_id(place: str, fields: Mapping[str, Any]) -> int:
    value = fields.get("image_id")
    if isinstance(value, int | str) and not isinstance(value, bool) and str(value).isdecimal():
        return int(value)
    raise BadRecordError(f"{place}: image_id is {str(value)[:80]!r}. Write COCO's integer")


def _caption(place: str, fields: Mapping[str, Any]) -> str:
    for field in CAPTION_FIELDS:
        if isinstance(fields.get(field), str):
            return str(fields[field])
    raise BadRecordError(f"{place}: there is no caption. Write it as text in {CAPTION_FIELDS[0]!r}")
