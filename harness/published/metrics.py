"""Which of Plumbline's metrics a published column is, and in which unit.

Papers name a benchmark more often than a metric, so a column can be one of ours with a doubt, which then
shows wherever its figures do. A column that is something else, under the same name or another, is none of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from harness.runs import Part

Aspect = Literal["judge", "data", "prompt", "decoding", "metric", "scorer", "model"]
"""What two numbers must share to be one measurement, by the usual size of its effect; last, the model."""

Unit = Literal["share", "percent", "0-6", "1-10"]


class MetricKey(NamedTuple):
    """A metric as a column of a table.

    Attributes:
        benchmark: as ``benchmark_key`` names it.
        name: of the metric; ``split`` likewise ("" for an aggregate).
    """

    benchmark: str
    name: str
    split: str = ""


class Doubt(NamedTuple):
    """Something that the source leaves open."""

    aspect: Aspect
    text: str


class Place(NamedTuple):
    """Where a published column belongs: a metric of ours, perhaps with a doubt, or the reason why none."""

    key: MetricKey | None
    doubt: Doubt | None = None
    excluded: str = ""


def benchmark_key(part: Part) -> str:
    """The benchmark of a part as published figures tell it apart.

    AlpacaEval 1 and 2 are two benchmarks with two scales; MMBench's Chinese tables and POPE's questions on other
    pictures are others as well.
    """
    if part.name == "pope" and str(part.protocol.get("variant")).startswith("seem_"):
        return f"pope_{part.protocol['variant']}"
    if part.name == "alpacaeval" and str(part.protocol.get("version")) == "1":
        return "alpacaeval_1"
    if part.name == "mmbench" and "_cn" in str(part.protocol.get("table")).lower():
        return "mmbench_cn"
    return part.name


def unit_of(key: MetricKey) -> Unit:
    """The unit in which Plumbline keeps a metric's values."""
    if key.benchmark == "mmhal" and key.name == "score":
        return "0-6"
    if key.benchmark == "mtbench":
        return "1-10"
    shares = ("pope", "object_halbench", "mmhal", "mmbench", "mmbench_cn", "chair")
    return "share" if key.benchmark in shares else "percent"


def place(benchmark: str, metric: str, setting: str, judge: str) -> Place:
    """Where the column of a published figure belongs.

    Args:
        benchmark: as the figure's source names it; ``metric``, ``setting`` and ``judge`` likewise.
    """
    if reason := _NOT_OURS.get(benchmark):
        return Place(None, excluded=reason)
    if benchmark == "POPE":
        return _pope(metric, setting)
    if benchmark == "MMBench":
        return _mmbench(setting)
    if benchmark == "MMHal-Bench":
        if metric == "hallucination rate" and "human" in (judge, *setting.split()):
            return Place(None, excluded="rated by people, not by the judge")
        if metric == "score by question type":
            return Place(MetricKey("mmhal", "score", setting.removeprefix("question type: ")))
    key = _METRICS[benchmark, metric]
    return Place(key, _DOUBTS.get((benchmark, metric)))


_METRICS = {
    ("MMHal-Bench", "overall score"): MetricKey("mmhal", "score"),
    ("MMHal-Bench", "hallucination rate"): MetricKey("mmhal", "hallucination_rate"),
    ("MMHal-Bench", "informativeness"): MetricKey("mmhal", "informativeness"),
    ("Object HalBench", "response-level hallucination rate (CHAIRs)"): MetricKey("object_halbench", "CHAIRs_refine"),
    ("Object HalBench", "mention-level hallucination rate (CHAIRi)"): MetricKey("object_halbench", "CHAIRi"),
    ("Object HalBench", "Recall_coco"): MetricKey("object_halbench", "obj_rec"),
    **{("AMBER", name): MetricKey("amber", name, "generative") for name in ("CHAIR", "Cover", "Hal", "Cog")},
    **{("AMBER", name): MetricKey("amber", name.lower()) for name in ("Accuracy", "Precision", "Recall", "F1")},
    ("AMBER", "AMBER Score"): MetricKey("amber", "amber_score"),
    **{("MM-Vet", name): MetricKey("mmvet", name.lower()) for name in ("Total", "Rec", "OCR", "Know", "Gen", "Spat", "Math")},
    ("LLaVA-Bench (In-the-Wild)", "relative score (overall)"): MetricKey("llava_bench", "relative_score"),
    ("LLaVA-Bench (In-the-Wild)", "relative score (conversation)"): MetricKey("llava_bench", "relative_score", "conv"),
    ("LLaVA-Bench (In-the-Wild)", "relative score (detail)"): MetricKey("llava_bench", "relative_score", "detail"),
    ("LLaVA-Bench (In-the-Wild)", "relative score (reasoning)"): MetricKey("llava_bench", "relative_score", "complex"),
    ("MT-Bench", "score"): MetricKey("mtbench", "average"),
    ("AlpacaEval", "win_rate"): MetricKey("alpacaeval_1", "win_rate"),
    ("AlpacaEval 2", "win_rate"): MetricKey("alpacaeval", "win_rate"),
    ("AlpacaEval 2", "length_controlled_winrate"): MetricKey("alpacaeval", "length_controlled_winrate"),
    ("CHAIR (COCO captions)", "CHAIRs"): MetricKey("chair", "CHAIRs"),
    ("CHAIR (COCO captions)", "CHAIRi"): MetricKey("chair", "CHAIRi"),
}  # fmt: skip

_DOUBTS = {
    ("Object HalBench", "Recall_coco"): Doubt(
        "metric", "the source's Recall_coco is taken for the script's object recall; it does not say so"
    ),
}  # fmt: skip

_NOT_OURS = {
    "LLaVA-Bench": "which LLaVA-Bench is not stated, and the scale is not that of In-the-Wild",
    "MMHalBench-Vision": "the judge sees the picture, which MMHal-Bench's does not",
    "MMHal-Bench (human evaluation)": "people's preferences between two models",
    "MT-Bench (irrelevant image in context)": "an unrelated picture stands before the questions",
    "MHumanEval": "not among Plumbline's benchmarks",
    "SHR": "not among Plumbline's benchmarks",
    "TextVQA": "not among Plumbline's benchmarks",
    "GQA": "not among Plumbline's benchmarks",
}

_POPE_METRICS = {
    "Accuracy": "accuracy", "Precision": "precision", "Recall": "recall",
    "F1 score": "f1", "Yes ratio": "yes_ratio",
}  # fmt: skip
_POPE_UNNAMED = Doubt("metric", "the source does not say which POPE metric it prints; taken for F1")
_POPE_AGGREGATE = Doubt(
    "metric", "the source does not say whether its overall F1 is the mean of three or over all questions"
)  # fmt: skip


def _pope(metric: str, setting: str) -> Place:
    split = setting.partition(",")[0]
    unnamed = metric not in _POPE_METRICS
    if split in ("random", "popular", "adversarial"):
        name = _POPE_METRICS.get(metric, "f1")
        return Place(MetricKey("pope", name, split), _POPE_UNNAMED if unnamed else None)
    if unnamed:
        return Place(MetricKey("pope", "mean_f1"), _POPE_UNNAMED)
    if metric == "F1 score":
        return Place(MetricKey("pope", "mean_f1"), _POPE_AGGREGATE)
    if metric == "Accuracy":
        # The three files are equally long, so both ways of averaging give one number.
        return Place(MetricKey("pope", "mean_accuracy"))
    return Place(
        None, excluded=f"Plumbline has no overall {metric.lower()}, only one for each split"
    )


_MMBENCH_TABLE = Doubt(
    "data", "which of MMBench's tables and splits the source asked is not on record"
)


def _mmbench(setting: str) -> Place:
    if setting == "CN":
        return Place(MetricKey("mmbench_cn", "circular", "dev"), _MMBENCH_TABLE)
    if setting.startswith("EN "):
        return Place(MetricKey("mmbench", "circular", setting.removeprefix("EN ")))
    return Place(MetricKey("mmbench", "circular", "dev"), _MMBENCH_TABLE)
