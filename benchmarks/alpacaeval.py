"""AlpacaEval 1 and 2: 805 instructions; a language model says whose output is better, the model's or
a baseline's.

Papers: Li et al., "AlpacaEval: An Automatic Evaluator of Instruction-following Models", 2023; for
the length-controlled win rate, Dubois et al., arXiv 2404.04475. Official code:
tatsu-lab/alpaca_eval at cd543a149df89434d8a54582c0151c0b945c3d20, below ``src/alpaca_eval/``.

Data: the baseline's outputs (see ``benchmarks.alpacaeval_files``). Version 2 compares with GPT-4
Turbo (``gpt4_1106_preview``), version 1 with ``text_davinci_003``, over the same instructions.

Prompt: the bare instruction. Decoding: each model on the leaderboard chose its own; the default here
is that of most of their configurations: sampling at temperature 0.7, at most 2,048 new tokens.
Outputs are stripped, as where the official code generates; files of outputs are taken as they are.

Judge: an "annotator", a configuration file of the official code
(``benchmarks.alpacaeval_annotators``). It sees both outputs, in an order that is drawn from the
instruction. Version 2's writes one token, "m" or "M", and the preference follows from the
probabilities of both; version 1's writes a ranking. Equal outputs are a draw without being judged.
A reply that cannot be read has no preference and drops out of the win rate; ``null_preferences``
counts them.

Scoring: win rate (``benchmarks.alpacaeval_metrics``) and length-controlled win rate
(``benchmarks.alpacaeval_length_control``), which is version 2's headline and needs ``df_gamed.csv``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from benchmarks.alpacaeval_annotators import Annotator, in_order, read_annotator
from benchmarks.alpacaeval_files import (
    read_annotations,
    read_items,
    read_outputs,
    written_outputs,
)
from benchmarks.alpacaeval_gamed import Gamed, read_gamed
from benchmarks.alpacaeval_leaderboard import (
    SHOWN,
    among_official_rows,
    read_difficulties,
    read_rows,
    read_weights,
)
from benchmarks.alpacaeval_length_control import Rival
from benchmarks.alpacaeval_metrics import DRAW, metric_specs, preference_columns
from benchmarks.base import (
    Benchmark,
    Decoding,
    Item,
    JudgeRequest,
    JudgeSpec,
    Judgment,
    JudgmentStatus,
    Message,
    Metric,
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
from benchmarks.data_folder import fetch_command, required_file, required_folder
from benchmarks.pocket import alpacaeval as pocket

CODE = "tatsu-lab/alpaca_eval @ cd543a149df89434d8a54582c0151c0b945c3d20"
OFFICIAL_ANNOTATOR = {1: "alpaca_eval_gpt4", 2: "weighted_alpaca_eval_gpt4_turbo"}
BASELINE = {1: "text_davinci_003", 2: "gpt4_1106_preview"}
BASELINE_FILES = {
    1: ("baseline_outputs/alpaca_eval.json", "annotations/alpaca-7b.alpaca_eval_gpt4.json"),
    2: ("baseline_outputs/gpt4_1106_preview.json",),
}
"""The first that is there is read. Version 1's second one has the same outputs beside another model's.
"""
GAMED_FILE = "df_gamed.csv"
DIFFICULTY_FILE = "instruction_difficulty.csv"


@dataclass(frozen=True)
class AlpacaEval(Benchmark):
    """AlpacaEval with its protocol's choices.

    Attributes:
        version: of the benchmark, 1 or 2: decides on the baseline and the annotator.
        annotator: another official configuration, by name; its preferences are on another scale.
        against: a model of version 2's leaderboard: adds the length-controlled win rate against it.
        max_new_tokens: like the next two, a choice of every model's own.
        temperature: 0 is greedy.
        top_p: of nucleus sampling.
        strip_outputs: whether white space around an output is cut off.
    """

    name: ClassVar[str] = "alpacaeval"
    title: ClassVar[str] = "AlpacaEval"
    paper: ClassVar[str] = "Dubois et al., 2024, arXiv 2404.04475"
    scoring_settings: ClassVar[frozenset[str]] = frozenset(
        {"version", "annotator", "annotator_file", "annotator_sha256", "baseline_sha256"}
        | {"strip_outputs", "scorer", "df_gamed_sha256", "against"}
    )

    version: int = 2
    annotator: str = ""
    against: str = ""
    max_new_tokens: int = 2048
    temperature: float = 0.7
    top_p: float = 1.0
    strip_outputs: bool = True

    def __post_init__(self) -> None:
        if self.version not in BASELINE:
            raise PlumblineError(f"alpacaeval.version is {self.version}; give 1 or 2")
        if self.edition == "pocket" and (self.version != 2 or self.annotator or self.against):
            raise PlumblineError(
                "alpacaeval.version, annotator and against are for the official edition; the "
                "pocket edition has one baseline and one judge"
            )
        if self.against and self.version != 2:
            raise PlumblineError("alpacaeval.against names a model of version 2's leaderboard")
        if self.max_new_tokens < 1:
            raise PlumblineError(
                f"alpacaeval.max_new_tokens is {self.max_new_tokens}; give at least 1"
            )
        if not 0 <= self.temperature < math.inf or not 0 < self.top_p <= 1:
            raise PlumblineError(
                f"alpacaeval.temperature is {self.temperature} and top_p {self.top_p}; give at "
                "least 0, and a share above 0"
            )

    @property
    def full_title(self) -> str:
        return super().full_title.replace(self.title, f"{self.title} {self.version}")

    def items(self) -> Sequence[Item]:
        """The instructions in the official order."""
        return self._items

    def request(self, item: Item, earlier: Sequence[Response] = ()) -> Request | None:
        if earlier:
            return None
        return Request(item.id, item.id, (Message("user", item.question),), self._decoding)

    @property
    def judge(self) -> JudgeSpec:
        if self.edition == "pocket":
            return JudgeSpec("pocket-oracle", "part of Plumbline")
        state = "an old model: other judges' preferences are on another scale"
        return JudgeSpec(self._annotator.model, state)

    def judge_requests(self, item: Item, responses: Sequence[Response]) -> Sequence[JudgeRequest]:
        """The annotator's prompt about both outputs; nothing where they are the same."""
        if not responses or responses[0].status is not ResponseStatus.OK:
            return ()
        baseline, output = item.reference["output"], self._output(responses[0])
        if output == baseline:
            return ()
        judge = self._annotator
        if self.edition == "pocket":
            prompt = pocket.judge_prompt(item, *in_order(item.question, baseline, output))
            messages: tuple[Message, ...] = (Message("user", prompt),)
        else:
            messages = judge.messages(item.question, baseline, output)
        return (
            JudgeRequest(
                item.id,
                item.id,
                messages,
                judge.decoding,
                prompt_name=judge.name,
                top_logprobs=judge.top_logprobs,
            ),
        )

    def read_reply(self, request: JudgeRequest, reply: str) -> Mapping[str, Any] | None:
        """The preference, from 1 for the baseline to 2 for the model."""
        instruction = self._by_id[request.item_id].question
        preference = self._annotator.preference(instruction, reply)
        return None if preference is None else {"preference": preference}

    def score(
        self, item: Item, responses: Sequence[Response], judgments: Sequence[Judgment] = ()
    ) -> ScoreRow:
        """The preference, and for every output, judged or not, what the lengths are.

        An output without a preference keeps its place among the official annotations, so ``official``
        has numbers for it.
        """
        if not responses or responses[0].status is not ResponseStatus.OK:
            reason = responses[0].error if responses else "there is no output"
            return failed_row(item, ScoreStatus.GENERATION_ERROR, reason)
        baseline, output = item.reference["output"], self._output(responses[0])
        is_same = output == baseline
        status, preference, reason = _verdict(judgments, output, is_same=is_same)
        official = {
            "annotated": 1,
            "place": _place(item, judgments),
            "baseline_length": len(baseline),
            "length": len(output),
            "same": int(is_same),
            **preference_columns(preference),
        }
        if status is ScoreStatus.SCORED and "n" not in official:
            status, reason = ScoreStatus.UNPARSED, f"preference {preference} is not from 1 to 2"
        is_scored = status is ScoreStatus.SCORED
        return ScoreRow(
            item.id,
            item.group,
            item.split,
            status,
            values={"preference": official["preference"]} if is_scored else {},
            official=official,
            details={"reason": reason} if reason else {},
        )

    def metric_specs(self) -> Sequence[MetricSpec]:
        """As on the leaderboard; see ``benchmarks.alpacaeval_metrics``."""
        no_gamed = f"{GAMED_FILE} is not there: {self._remedy()}"
        return metric_specs(self.version, self._gamed, no_gamed, self._rival)

    def protocol(self) -> Mapping[str, Any]:
        """Prompt, decoding, annotator and scorer, and SHA-256 of what they are made of."""
        items, judge, gamed = self.items(), self._annotator, self._gamed
        return {
            "decoding": asdict(self._decoding),
            "items_sha256": sha256_of([(item.id, item.question) for item in items]),
            "version": self.version,
            "annotator": judge.name,
            "annotator_file": judge.source,
            "annotator_sha256": judge.sha256,
            "baseline_sha256": sha256_of([item.reference["output"] for item in items]),
            "strip_outputs": self.strip_outputs,
            "against": self.against,
            "scorer": CODE,
            "df_gamed_sha256": gamed.sha256 if gamed else None,
        }

    def read_responses(self, paths: Sequence[Path], **hints: Any) -> Sequence[Response]:
        """Responses from ``model_outputs.json`` or from ``annotations.json``."""
        if hints:
            raise PlumblineError(f"AlpacaEval takes no hints, not {', '.join(sorted(hints))}")
        return read_outputs(paths, self.items())

    def for_official_answers(self) -> AlpacaEval:
        """The official code takes a file's outputs, and their lengths, as they are."""
        return replace(self, strip_outputs=False)

    def read_judgments(self, paths: Sequence[Path]) -> Sequence[Judgment]:
        """Judgments from official ``annotations.json`` files."""
        return read_annotations(paths, self.items(), self._annotator)

    def official_files(self, responses: Mapping[str, Response]) -> Mapping[str, str]:
        """``model_outputs.json``, with what was answered."""
        answered = {
            item_id: self._output(response)
            for item_id, response in responses.items()
            if response.status is ResponseStatus.OK
        }
        return {"model_outputs.json": written_outputs(self.items(), answered)}

    def comparison_files(
        self, metrics: Sequence[Metric], judges: Sequence[str]
    ) -> Mapping[str, str]:
        """``leaderboard.md``: the official leaderboard with this run's row in it."""
        if self.edition == "pocket":
            return {}
        name = OFFICIAL_ANNOTATOR[self.version]
        path = self._folder / "leaderboards" / f"{name}_leaderboard.csv"
        if not path.is_file():
            return {}
        remarks = [
            f"AlpacaEval {self.version}: the official leaderboard of {name}, against "
            f"{BASELINE[self.version]}, and this run with its 95 % intervals.",
            self._comparability(metrics, judges),
        ]
        controlled = ("length_controlled_winrate",) if self.version == 2 else ()
        rates = (*controlled, "win_rate")
        rows = read_rows(path, list(SHOWN))
        return {"leaderboard.md": among_official_rows(rows, metrics, rates, remarks)}

    def _comparability(self, metrics: Sequence[Metric], judges: Sequence[str]) -> str:
        """How far this run's row may stand beside the official ones."""
        judge, official = self._annotator, OFFICIAL_ANNOTATOR[self.version]
        n_items = len(self.items())
        n = next((metric.value for metric in metrics if metric.name == "n_total"), None) or 0
        reasons = []
        if judge.name != official:
            reasons.append(f"annotated by {judge.name} instead of {official}")
        if strangers := [name for name in judges if name != judge.model]:
            reasons.append(f"judged by {', '.join(strangers)} instead of {judge.model}")
        if n != n_items:
            reasons.append(f"{n:.0f} of {n_items} instructions")
        if reasons:
            return f"NOT comparable with the rows beside it: {'; '.join(reasons)}."
        return (
            "Comparable, as every model chose its own decoding. Published length-controlled win rates "
            "come from other versions of scikit-learn, which can make some tenths of a point."
        )

    @property
    def _decoding(self) -> Decoding:
        return Decoding(self.max_new_tokens, self.temperature, self.top_p)

    def _output(self, response: Response) -> str:
        return response.text.strip() if self.strip_outputs else response.text

    @cached_property
    def _items(self) -> Sequence[Item]:
        if self.edition == "pocket":
            return pocket.items()
        paths = [self._folder / name for name in BASELINE_FILES[self.version]]
        path = next((path for path in paths if path.is_file()), paths[0])
        remedy = self._remedy()
        return read_items(required_file(path, remedy), f"Restore the official file: {remedy}")

    @cached_property
    def _by_id(self) -> Mapping[str, Item]:
        return {item.id: item for item in self._items}

    @cached_property
    def _annotator(self) -> Annotator:
        if self.edition == "pocket":
            return pocket.ANNOTATOR
        name = self.annotator or OFFICIAL_ANNOTATOR[self.version]
        return read_annotator(self._folder, name, self._remedy())

    @cached_property
    def _gamed(self) -> Gamed | None:
        if self.edition == "pocket":
            return pocket.gamed_baseline()
        path = self._folder / GAMED_FILE
        return read_gamed(path) if path.is_file() else None

    @cached_property
    def _rival(self) -> Rival | None:
        if not self.against:
            return None
        weights = f"length_controlled_v1_weights_baseline_{BASELINE[self.version]}.csv"
        paths = [self._folder / "leaderboards" / weights, self._folder / DIFFICULTY_FILE]
        path, difficulties = (required_file(path, self._remedy()) for path in paths)
        return Rival(
            self.against, read_weights(path, self.against), read_difficulties(difficulties)
        )

    @property
    def _folder(self) -> Path:
        return required_folder(self.title, self.name, self.data_dir) / self.name

    def _remedy(self) -> str:
        return fetch_command(self.name, self.data_dir)


def _place(item: Item, judgments: Sequence[Judgment]) -> int:
    """What the official annotations are sorted by: a file's order, else that of the instructions."""
    number: int = judgments[0].meta.get("place", int(item.id)) if judgments else int(item.id)
    return number


class _Verdict(NamedTuple):
    """What becomes of an output: ``preference`` is None unless ``status`` is SCORED."""

    status: ScoreStatus
    preference: float | None = None
    reason: str | None = None


def _verdict(judgments: Sequence[Judgment], output: str, *, is_same: bool) -> _Verdict:
    """An output's preference. A recorded annotation counts, even of equal outputs."""
    if not judgments:
        if is_same:
            return _Verdict(ScoreStatus.SCORED, DRAW)
        return _Verdict(ScoreStatus.JUDGE_ERROR, reason="there is no judgment")
    judgment = judgments[0]
    judged = judgment.meta.get("output")
    if isinstance(judged, str) and judged.strip() != output.strip():
        return _Verdict(ScoreStatus.JUDGE_ERROR, reason="the annotation is of another output")
    if judgment.status is not JudgmentStatus.OK:
        return _Verdict(ScoreStatus(judgment.status), reason=judgment.error)
    return _Verdict(ScoreStatus.SCORED, judgment.values["preference"])
