"""A task of lmms-eval as a Benchmark: its documents, prompts, filters, scores and aggregations.

Everything that decides about a number is lmms-eval's own code, so that the value is the one that
lmms-eval prints for the same answers: its functions make the prompt (``harness.lmms.prompts``), the task's
filters and ``process_results`` the result of an item, and the task's aggregation the metric. Ours are the
engine, the run folder and the intervals.

The numbers are lmms-eval's protocol and are never marked as a benchmark's official ones, whose prompts,
parsers and judges often differ.

What to know about scoring:

* A task that is graded by a language model asks it inside ``process_results`` or the aggregation, with
  lmms-eval's own client and settings, and asks again whenever the run is scored. What the judge replied is
  kept only if the task keeps it in its results, and where the judge fails lmms-eval's stand-in number is taken as
  it is. Without any key such a task is not started: lmms-eval would count every answer as 0.
* An aggregation that takes ``args`` writes a file (for a benchmark's server, say) or asks a judge. It is
  computed once, without an interval, and its files are not kept.
* An interval computes the aggregation anew with repeated results. One that refuses repetitions (MME's wants
  exactly two questions on a picture) has no interval, and the table says so.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from importlib.metadata import version
from itertools import islice
from typing import Any, ClassVar

from benchmarks.base import (
    Benchmark,
    Decoding,
    Direction,
    Item,
    Judgment,
    Message,
    MetricSpec,
    Picture,
    PictureError,
    Request,
    Response,
    ResponseStatus,
    ScoreRow,
    ScoreStatus,
    failed_row,
    sha256_of,
)
from harness.lmms.aggregation import RESULTS, Aggregation
from harness.lmms.calls import asks_judge, calling, failing_as
from harness.lmms.prompts import (
    DocumentPicture,
    UnreadablePicture,
    as_pictures,
    is_chat,
    plain_text,
    turns_of,
)

FEWSHOT_SEED = 1234
"""Which examples stand before a question: lmms-eval's default."""


@dataclass(frozen=True, kw_only=True)
class LmmsTask(Benchmark):
    """One task of lmms-eval that generates text.

    Attributes:
        task: lmms-eval's task, with its data.
        decoding: what its ``generation_kwargs`` say.
        limit: no more documents than this are read.
    """

    name: str  # type: ignore[misc]  # one class serves all tasks
    title: str  # type: ignore[misc]
    paper: ClassVar[str] = "LMMs-Eval, arXiv 2407.12772"
    scoring_settings: ClassVar[frozenset[str]] = frozenset(
        {"filters", "reasoning_tags", "metrics", "asks_judge"}
    )
    independent_turns: ClassVar[bool] = True

    task: Any = field(compare=False, repr=False)
    decoding: Decoding
    limit: int | None = None

    @property
    def full_title(self) -> str:
        """The same in both editions: a task's data are its own."""
        return self.title

    @cached_property
    def asks_judge(self) -> bool:
        """Whether the task asks a language model for its scores."""
        functions = [self.task.config.process_results]
        functions += [type(f).apply for ensemble in self.task._filters for f in ensemble.filters]
        functions += [aggregation.function for aggregation in self._aggregations]
        return any(callable(function) and asks_judge(function) for function in functions)

    def items(self) -> Sequence[Item]:
        """The documents in their order, grouped by what they show; ids are ``"<task>/<number>"``.

        Raises:
            PlumblineError: the task's code fails on a document, or asks what we cannot.
        """
        self.task.set_fewshot_seed(FEWSHOT_SEED)
        n_documents = len(self.task.eval_docs_no_media)
        known: dict[str, DocumentPicture] = {}
        return [
            self._item(number, known)
            for number in range(min(n_documents, self.limit or n_documents))
        ]

    def _item(self, number: int, known: dict[str, DocumentPicture]) -> Item:
        name = f"{self.task.config.task}/{number}"
        with failing_as(f"lmms:{name}"), calling(name):
            target = self.task.doc_to_target(self.task.eval_docs_no_media[number])
        reference = {"document": number, "target": target}
        try:
            turns = turns_of(self.task, number)
        except PictureError as error:
            with failing_as(f"lmms:{name}"), calling(name):
                text = plain_text(self.task, number)
            broken = (UnreadablePicture(name, str(error)),)
            return Item(name, name, text, pictures=broken, reference=reference)
        pictures = as_pictures(self.task, number, turns, known)
        if len(turns) > 1:
            reference["turns"] = [(turn.role, turn.text, len(turn.images)) for turn in turns]
        return Item(
            id=name,
            group=_group(pictures) if pictures else name,
            question=turns[-1].text,
            pictures=pictures,
            reference=reference,
        )

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        """The question as often as the task repeats it, with another seed each time if it samples."""
        repetition = len(earlier)
        if repetition >= (self.task.config.repeats or 1):
            return None
        decoding = self.decoding
        if decoding.temperature > 0:
            decoding = replace(decoding, seed=decoding.seed + repetition)
        name = item.id if repetition == 0 else f"{item.id}#{repetition + 1}"
        pictures = iter(item.pictures)
        messages = tuple(
            Message(role, text, tuple(islice(pictures, n_pictures)))
            for role, text, n_pictures in item.reference.get("turns")
            or [("user", item.question, len(item.pictures))]
        )
        return Request(name, item.id, messages, decoding)

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """What the task makes of the answers; where its code fails, a status that says so."""
        failed = next((r for r in responses if r.status is not ResponseStatus.OK), None)
        if failed is not None or not responses:
            reason = failed.error if failed else "there is no answer"
            return failed_row(item, ScoreStatus.GENERATION_ERROR, reason)
        try:
            with calling(item.id):
                answers, results = self._results(item, [response.text for response in responses])
            values: dict[str, float] = {}
            for aggregation in self._aggregations:
                if aggregation.is_mean and aggregation.label in results:
                    values |= aggregation.columns(results[aggregation.label])
            details = {"answers": answers, RESULTS: results}
            json.dumps(details, default=str)  # as the run folder keeps them
        except Exception as error:
            status = ScoreStatus.JUDGE_ERROR if self.asks_judge else ScoreStatus.UNPARSED
            reason = f"the task cannot score this answer ({type(error).__name__}: {error})"
            return failed_row(item, status, reason)
        status = ScoreStatus.SCORED
        return ScoreRow(item.id, item.group, item.split, status, values=values, details=details)

    def _results(self, item: Item, texts: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Filtered answers by filter, and results by label, as ``lmms_eval.evaluator`` makes them."""
        from lmms_eval.api.instance import Instance
        from lmms_eval.api.reasoning import strip_reasoning_tags

        number = item.reference["document"]
        document = self.task.eval_docs_no_media[number]
        metadata = {"task": self.task.config.task, "doc_id": number, "repeats": len(texts)}
        instance = Instance("generate_until", (), 0, metadata, resps=texts)
        answers: dict[str, Any] = {}
        results: dict[str, Any] = {}
        for ensemble in self.task._filters:
            ensemble.apply([instance], [document])
            answer = instance.filtered_resps[ensemble.name]
            if tags := self._reasoning_tags:
                answer = _each(lambda text: strip_reasoning_tags(text, tags), answer)
            answers[ensemble.name] = answer
            for metric, result in self._process(document, [answer]).items():
                results[_label(metric, ensemble.name)] = result
        return answers, results

    @property
    def _process(self) -> Callable[..., Mapping[str, Any]]:
        """``process_results``, without the repetitions around it where nobody is asked: code that fails
        on an answer fails again, after ten seconds of waiting."""
        if self.asks_judge:
            process: Callable[..., Mapping[str, Any]] = self.task.process_results
            return process
        return partial(inspect.unwrap(type(self.task).process_results), self.task)

    @property
    def _reasoning_tags(self) -> list[list[str]] | None:
        from lmms_eval.api.reasoning import parse_reasoning_tags_config

        tags: list[list[str]] | None = parse_reasoning_tags_config(
            task_value=self.task.config.reasoning_tags
        )
        return tags

    @cached_property
    def _aggregations(self) -> Sequence[Aggregation]:
        better = self.task.higher_is_better()
        return [
            Aggregation(
                task=self.task.config.task,
                label=_label(metric, ensemble.name),
                function=function,
                direction=DIRECTIONS[better.get(metric)],
            )
            for ensemble in self.task._filters
            for metric, function in self.task.aggregation().items()
        ]

    def metric_specs(self) -> Sequence[MetricSpec]:
        """The task's metrics, for each of its filters."""
        return [aggregation.spec() for aggregation in self._aggregations]

    def protocol(self) -> Mapping[str, Any]:
        """The task with its version and data, the prompt's settings, and what was made of them."""
        config = self.task.config
        return _plain(
            {
                "protocol": "lmms-eval's, not the benchmark's official one",
                "lmms_eval": version("lmms_eval"),
                "task": config.task,
                "task_metadata": config.metadata,
                "dataset": {
                    "path": config.dataset_path,
                    "name": config.dataset_name,
                    "split": config.test_split or config.validation_split,
                },
                "documents_sha256": self._documents_sha256,
                "prompts": "chat" if is_chat(self.task) else "simple",
                "prompt_settings": self.task.lmms_eval_specific_kwargs,
                "description": config.description,
                "num_fewshot": config.num_fewshot or 0,
                "repeats": config.repeats or 1,
                "generation_kwargs": config.generation_kwargs,
                "decoding": asdict(self.decoding),
                "filters": config.filter_list,
                "reasoning_tags": self._reasoning_tags,
                "metrics": {a.label: a.function for a in self._aggregations},
                "asks_judge": self.asks_judge,
            }
        )

    @cached_property
    def _documents_sha256(self) -> str:
        """Over the documents without their pictures; those are in each request's key."""
        digest = hashlib.sha256()
        with failing_as(f"{self._place}: its documents cannot be read"), calling():
            for document in self.task.eval_docs_no_media:
                digest.update(sha256_of(_plain(document)).encode())
        return digest.hexdigest()

    @property
    def _place(self) -> str:
        return f"lmms:{self.task.config.task}"


DIRECTIONS: Mapping[bool | None, Direction] = {True: "higher", False: "lower", None: "neither"}


def _group(pictures: Sequence[Picture]) -> str:
    """A name for what is shown."""
    return f"picture {sha256_of([picture.digest for picture in pictures])[:16]}"


def _label(metric: str, filter_name: str) -> str:
    """lmms-eval's name of a result; it calls the filter "none" where a task has no filter of its own."""
    return metric if filter_name == "none" else f"{metric},{filter_name}"


def _each(change: Callable[[str], str], answer: Any) -> Any:
    """A filtered answer, or each of several, changed where it is a text."""
    if isinstance(answer, str):
        return change(answer)
    return [_each(change, one) for one in answer] if isinstance(answer, list) else answer


def _plain(value: Any) -> Any:
    """A value as JSON holds it: functions by name, what else JSON does not know by its hash or text."""

    def told(stranger: Any) -> str:
        if isinstance(stranger, bytes):
            return hashlib.sha256(stranger).hexdigest()
        if hasattr(stranger, "tobytes"):
            return hashlib.sha256(stranger.tobytes()).hexdigest()
        return str(getattr(stranger, "__qualname__", stranger))

    return json.loads(json.dumps(value, default=told))
