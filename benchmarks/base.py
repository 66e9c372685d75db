"""The vocabulary: what is asked, what came back, and how it is counted.

Everything that crosses a border between modules is one of the frozen types below. This module stands on
nothing but numpy and the standard library, so that a scorer can be read, tested and used without a model,
a network or a GPU.

The way of the data::

    Benchmark.items() -> Item
    Benchmark.request(item, earlier responses) -> Request
    (an engine) -> Response
    Benchmark.judge_requests(item, responses) -> JudgeRequest
    (a judge) -> Judgment
    Benchmark.score(item, responses, judgments) -> ScoreRow
    Benchmark.metric_specs() -> MetricSpec   -- with the rows and ``harness.stats`` --> Metric
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Edition = Literal["official", "pocket"]
Role = Literal["system", "user", "assistant"]
Direction = Literal["higher", "lower", "neither"]
Display = Literal["percent", "points", "number"]
"""A share of 1 shown as percent; percent already ("points"); any other number."""
Sums = Mapping[str, np.ndarray]


class PlumblineError(Exception):
    """A problem that the user can mend: the text names the place, what is wrong and the remedy."""


class MissingDataError(PlumblineError):
    """An official file is not in the data folder; ``remedy`` is the command that brings it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class BadRecordError(PlumblineError):
    """A record in an input file cannot be used; the text names the file, the record and the fix."""


class PictureError(PlumblineError):
    """A picture is absent or cannot be decoded; the text names the file."""


class ResponseStatus(StrEnum):
    """Whether the model under test answered."""

    OK = "ok"
    GENERATION_ERROR = "generation_error"


class JudgmentStatus(StrEnum):
    """Whether a judge's reply can be used."""

    OK = "ok"
    JUDGE_ERROR = "judge_error"
    UNPARSED = "unparsed"


class ScoreStatus(StrEnum):
    """Why a row of numbers exists or not. Only ``SCORED`` rows enter a metric.

    ``WITHHELD``: the right answer is not public, and the benchmark's owner scores the official files.
    """

    SCORED = "scored"
    WITHHELD = "withheld"
    GENERATION_ERROR = "generation_error"
    JUDGE_ERROR = "judge_error"
    UNPARSED = "unparsed"


def sha256_of(value: Any) -> str:
    """SHA-256 (hex) of a JSON-able value in canonical form. Lone surrogates are kept, as escapes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@runtime_checkable
class Picture(Protocol):
    """Something that can be shown to a model."""

    @property
    def name(self) -> str:
        """What a person calls it: a file name, or a scene's id."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the content. Raises PictureError when there is no content."""

    def load(self) -> Image:
        """The picture as RGB. Raises PictureError when it cannot be decoded."""


def decoded(source: Path | BinaryIO, name: str) -> Image:
    """A picture as the official evaluation code of the field reads it: first frame, RGB, no EXIF rotation.

    Args:
        source: the encoded picture.
        name: what an error calls it.

    Raises:
        PictureError: it cannot be decoded.
    """
    from PIL import Image as pil

    try:
        with pil.open(source) as image:
            return image.convert("RGB")
    except Exception as error:
        # Each format's decoder raises what it likes about a damaged file, RuntimeError among it.
        raise PictureError(f"{name}: the picture cannot be decoded ({error})") from error


@dataclass(frozen=True)
class FilePicture:
    """A picture in a file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def digest(self) -> str:
        try:
            return sha256_of_file(self.path)
        except OSError as error:
            raise PictureError(
                f"{self.path}: the picture cannot be read ({error.strerror or error})"
            ) from error

    def load(self) -> Image:
        return decoded(self.path, str(self.path))


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture as base64: in a data file, or in a call to a server."""

    name: str
    encoded: str

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self._content()).hexdigest()

    def load(self) -> Image:
        return decoded(io.BytesIO(self._content()), self.name)

    def _content(self) -> bytes:
        try:
            return base64.b64decode("".join(self.encoded.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise PictureError(f"{self.name}: the picture is no base64 ({error})") from error


@dataclass(frozen=True)
class Item:
    """One thing that a benchmark asks.

    Attributes:
        id: unique inside one benchmark and edition, stable over versions, e.g. ``"popular/17"``.
        group: what intervals and tests are clustered by: the picture's name, or the question's id.
        question: the question's text as the data file has it, before any prompt is put around it.
        split: a named part of the benchmark ("random", "attribute", "ocr"), empty when it has none.
        pictures: shown to the model, in order.
        reference: what the scorer needs to know (label, ground truth objects, reference answer).
    """

    id: str
    group: str
    question: str
    split: str = ""
    pictures: tuple[Picture, ...] = ()
    reference: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decoding:
    """How an answer is sampled. ``temperature`` 0 is greedy; ``top_p`` is ignored then."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """One turn of a conversation. Its pictures stand before its text."""

    role: Role
    text: str
    pictures: tuple[Picture, ...] = ()

    def content(self) -> dict[str, Any]:
        """What the model would see, as JSON: pictures by their digest."""
        return {
            "role": self.role,
            "text": self.text,
            "pictures": [picture.digest for picture in self.pictures],
        }


@dataclass(frozen=True)
class Request:
    """One generation. Two requests with the same ``key`` have the same answer and are asked once.

    Attributes:
        id: ``item.id`` for the first turn, ``item.id + "#2"`` for the second, and so on.
        item_id: the item that asks.
    """

    id: str
    item_id: str
    messages: tuple[Message, ...]
    decoding: Decoding

    @cached_property
    def key(self) -> str:
        """SHA-256 over messages (pictures by content) and decoding. Raises PictureError."""
        return sha256_of(
            {
                "messages": [message.content() for message in self.messages],
                "decoding": asdict(self.decoding),
            }
        )

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures of the conversation, in order."""
        return tuple(picture for message in self.messages for picture in message.pictures)


def _check_texts(record: Response | Judgment, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(record, name), str):
            raise TypeError(f"{name} is {type(getattr(record, name)).__name__}, not text")


@dataclass(frozen=True)
class Response:
    """What the model under test answered, or why it did not.

    Attributes:
        request_id: the Request's id.
        key: the Request's key; empty when the request could not be formed (a picture is absent).
        text: the decoded new tokens, special tokens skipped, nothing stripped; "" on an error.
        finish_reason: "stop" (end of sequence or a stop string), "length", or "error".
        error: what went wrong, for a person to read.
    """

    request_id: str
    key: str
    text: str
    status: ResponseStatus = ResponseStatus.OK
    finish_reason: Literal["stop", "length", "error"] = "stop"
    n_prompt_tokens: int | None = None
    n_new_tokens: int | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Response:
        """Raises KeyError, TypeError or ValueError for what ``to_json`` does not write."""
        response = cls(**{**record, "status": ResponseStatus(record["status"])})
        _check_texts(response, "request_id", "key", "text")
        return response

    @classmethod
    def failed(cls, request_id: str, key: str, error: str) -> Response:
        """A generation that did not happen."""
        return cls(
            request_id=request_id,
            key=key,
            text="",
            status=ResponseStatus.GENERATION_ERROR,
            finish_reason="error",
            error=error,
        )


@dataclass(frozen=True)
class JudgeSpec:
    """A benchmark's official judge.

    Attributes:
        model: the model that the official script calls.
        state: whether it can still be called, in words, e.g. "retired 2026-10-23".
        max_attempts: how often the protocol asks when a reply cannot be parsed, the first time included.
    """

    model: str
    state: str
    max_attempts: int = 1


@dataclass(frozen=True)
class JudgeRequest:
    """One question to a judge about one item.

    Attributes:
        id: unique inside the benchmark: the item's id, with a suffix where an item is judged repeatedly.
        prompt_name: which of the benchmark's judge prompts this is.
        top_logprobs: how many candidates for the reply's first token are wanted with their
            log-probabilities; the reply is then read in the form of ``benchmarks.logprobs``.
    """

    id: str
    item_id: str
    messages: tuple[Message, ...]
    decoding: Decoding
    prompt_name: str = ""
    top_logprobs: int = 0

    @cached_property
    def key(self) -> str:
        """SHA-256 over messages, decoding and, where they are asked for, log-probabilities."""
        asked: dict[str, Any] = {
            "messages": [message.content() for message in self.messages],
            "decoding": asdict(self.decoding),
        }
        if self.top_logprobs:
            asked["top_logprobs"] = self.top_logprobs
        return sha256_of(asked)


@dataclass(frozen=True)
class Judgment:
    """What a judge replied, or why there is no usable reply.

    Attributes:
        raw: the reply as the server sent it; kept whatever the status. With its log-probabilities
            where they were asked for (``benchmarks.logprobs``).
        values: what was parsed from ``raw``.
        model: the model's name as the server returned it.
        meta: system fingerprint, tokens, cost, attempts.
    """

    request_id: str
    item_id: str
    key: str
    status: JudgmentStatus
    raw: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    error: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Judgment:
        """Raises KeyError, TypeError or ValueError for what ``to_json`` does not write."""
        judgment = cls(**{**record, "status": JudgmentStatus(record["status"])})
        _check_texts(judgment, "request_id", "item_id", "key", "raw", "model")
        for name in ("values", "meta"):
            if not isinstance(getattr(judgment, name), Mapping):
                raise TypeError(f"{name} is not an object")
        return judgment


@dataclass(frozen=True)
class ScoreRow:
    """The numbers of one item. They are summed, never averaged, before a metric is formed.

    Attributes:
        values: finite numbers by column name; empty unless ``status`` is SCORED.
        official: numbers that the official script gives to this item whatever its status (a rating of 0 for an
            unparsable reply, say). They enter only metrics whose ``treatment`` is "official".
        details: what a person wants to see beside them (prediction, matched objects); never summed.
    """

    item_id: str
    group: str
    split: str
    status: ScoreStatus
    values: Mapping[str, float] = field(default_factory=dict)
    official: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status is not ScoreStatus.SCORED and self.values:
            raise ValueError(
                f"{self.item_id}: a row with status {self.status} must not carry numbers"
            )
        for name, value in (*self.values.items(), *self.official.items()):
            if not np.isfinite(value):
                raise ValueError(
                    f"{self.item_id}: {name} is {value}; a failure is a status, not a number"
                )


@dataclass(frozen=True)
class Estimate:
    """A metric that column sums do not determine: it is computed anew for each resample.

    Attributes:
        function: takes the rows that enter, in the order of the items, and how often each counts (a
            float array, one per row: ones for the value, a resample's counts for the interval);
            returns the value, NaN where it is undefined.
        n_resamples: fewer than for sums, since each costs as much as the value.
    """

    function: Callable[[Sequence[ScoreRow], np.ndarray], float]
    n_resamples: int = 200


@dataclass(frozen=True)
class MetricSpec:
    """A metric as a function of column sums, so that a bootstrap is one matrix product.

    Attributes:
        name: the field's name for it: "f1", "CHAIRs".
        split: the part that it is computed on; "" for an aggregate over ``splits``.
        splits: the splits whose items count into its coverage; empty means all.
        formula: takes sums by ``"split/column"`` (each an array of any one shape) and returns an array of
            that shape, NaN where the metric is undefined. An ``Estimate`` where sums do not suffice.
        official: the official scorer's own number, to the last digit. Ours beside it otherwise.
        treatment: "scored" sums the ``values`` of rows with status SCORED; "official" sums the ``official``
            numbers of all rows that have them, for scorers that give a number to what they cannot read.
        headline: one of the few that a paper's table prints.
        undefined: what to say when the value does not exist.
    """

    name: str
    formula: Callable[[Sums], np.ndarray] | Estimate
    direction: Direction
    split: str = ""
    splits: tuple[str, ...] = ()
    display: Display = "percent"
    official: bool = True
    treatment: Literal["scored", "official"] = "scored"
    headline: bool = False
    undefined: str = "undefined for these answers"


@dataclass(frozen=True)
class Metric:
    """A metric's value with its 95 % interval and coverage. ``None`` means undefined, with a ``note``."""

    name: str
    split: str
    value: float | None
    low: float | None
    high: float | None
    n_scored: int
    n_asked: int
    direction: Direction
    display: Display = "percent"
    official: bool = True
    headline: bool = False
    note: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every item that was asked also entered the value."""
        return self.n_scored == self.n_asked

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Metric:
        return cls(**record)


@dataclass(frozen=True)
class Benchmark(ABC):
    """One benchmark in one edition. Its public fields are its options (``--set pope.prompt=bare``).

    Subclasses are frozen dataclasses: a protocol's choice is a field with the official default.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    scoring_settings: ClassVar[frozenset[str]] = frozenset()
    """Keys of ``protocol()`` that no answer depends on: with others, the same answers are scored anew."""
    independent_turns: ClassVar[bool] = False
    """Whether ``request`` looks at the number of earlier responses only, so that all turns can be asked at once."""

    edition: Edition = "pocket"
    data_dir: Path | None = None

    @abstractmethod
    def items(self) -> Sequence[Item]:
        """All items, in the official order. Raises MissingDataError or BadRecordError."""

    @abstractmethod
    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        """The next generation for an item, given its earlier turns; None when there is none."""

    @abstractmethod
    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """One row of numbers. A failed response or judgment gives a row with that status."""

    @abstractmethod
    def metric_specs(self) -> Sequence[MetricSpec]:
        """What is reported, in the order of the official output."""

    def judge_requests(self, item: Item, responses: Sequence[Response]) -> Sequence[JudgeRequest]:
        """What a judge is asked about an item; nothing for benchmarks that need no judge."""
        return ()

    @property
    def full_title(self) -> str:
        """The title, with the edition where its numbers must not be taken for official ones."""
        return f"{self.title} (pocket)" if self.edition == "pocket" else self.title

    @property
    def fetch_name(self) -> str:
        """What ``harness.fetch`` is asked for to bring this benchmark's files."""
        return self.name

    @property
    def judge(self) -> JudgeSpec | None:
        """The official judge; None for benchmarks that need none."""
        return None

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        """What a judge's reply says, for ``Judgment.values``; None when it cannot be parsed."""
        raise PlumblineError(f"{self.title} asks no judge")

    def judge_again(self, request: JudgeRequest, attempt: int) -> JudgeRequest:
        """The request for attempt number ``attempt`` (2, 3, …) after an unparsable reply.

        Some protocols raise the temperature from attempt to attempt; most ask the same again.
        """
        return request

    def protocol(self) -> Mapping[str, Any]:
        """What must agree for two runs to be the same measurement: prompt, decoding, parser, data hashes."""
        return {}

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from the benchmark's official answer files. Raises BadRecordError."""
        raise PlumblineError(
            f"{self.title} has no official answer format; use {{'id', 'response'}} JSONL"
        )

    def for_official_answers(self) -> Benchmark:
        """This benchmark as the official script scores answer files that were written for it."""
        return self

    def read_judgments(self, paths: Sequence[Path]) -> Sequence[Judgment]:
        """Recorded judge replies from the benchmark's official files. Raises BadRecordError."""
        raise PlumblineError(f"{self.title} has no official format for judge replies")

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str | bytes]:
        """Official answer files by file name, as text or bytes, from responses by request id."""
        return {}

    def comparison_files(
        self, metrics: Sequence[Metric], judges: Sequence[str]
    ) -> Mapping[str, str]:
        """What stands beside a run's own numbers, as text by file name: an official leaderboard.

        Args:
            judges: the models that judged, as their servers named them.
        """
        return {}


def failed_row(item: Item, status: ScoreStatus, reason: str | None) -> ScoreRow:
    """The row of an item that has no numbers."""
    return ScoreRow(item.id, item.group, item.split, status, details={"reason": reason or ""})
