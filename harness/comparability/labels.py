"""Whether a published figure may stand beside a run's number: same measurement, another one, or not known.

Two numbers are one measurement if judge, data, prompt, decoding, metric and scorer agree. For each of these
aspects, a figure and a run

* agree, where the benchmark's own protocol fixes the aspect and the run kept to it, or where it is on record
  (``results/published/setups.csv``) what the source did and the run did the same;
* deviate, where the run left the protocol, or did what the source is known not to have done;
* are open, where the protocol fixes nothing (``_OPEN``) and nothing is on record about the source.

A figure *deviates* if any aspect deviates. If none does, it is *comparable* when all agree, and *unknown* while
one is open: what is not known is no reason to call a number comparable, nor to call it another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

from benchmarks.base import Metric, PlumblineError
from benchmarks.registry import open_benchmark, options_of
from harness.endpoint.wire import same_model
from harness.published.figures import Figure, Setup
from harness.published.metrics import Aspect, MetricKey, benchmark_key
from harness.runs import Part, Run

Label = Literal["comparable", "deviates", "unknown"]

POCKET = "pocket edition: drawn scenes, whose numbers never stand beside official ones"


class Finding(NamedTuple):
    """What is to be said about one aspect. Aspects that agree have none."""

    aspect: Aspect
    deviates: bool
    text: str


@dataclass(frozen=True)
class PublishedCell:
    """The figures of one cell, beside a run.

    Attributes:
        label: of the cell; where its figures differ, that of the worst: one that deviates, then one that is
            unknown.
        deviations: what deviates and what is open, by the usual size of the effect. What is not said of all
            figures names its source.
    """

    figures: tuple[Figure, ...]
    label: Label
    deviations: tuple[str, ...]


def refuse_pocket(runs: Sequence[Run]) -> None:
    """Published rows beside pocket runs are refused. Raises PlumblineError."""
    for run in runs:
        if run.edition == "pocket":
            raise PlumblineError(
                f"{run.path} is a run of the {POCKET}. Leave out --published, or run the official edition: "
                "python -m harness.run --ckpt CHECKPOINT --edition official"
            )


def metric_of(part: Part, key: MetricKey) -> Metric | None:
    """The metric of a part that a column is about; None if the part has it not."""
    if benchmark_key(part) != key.benchmark:
        return None
    return next((m for m in part.metrics if (m.name, m.split) == (key.name, key.split)), None)


def cell(figures: Sequence[Figure], part: Part) -> PublishedCell:
    """The figures of one cell with their label, beside a part of a run.

    Args:
        figures: of one metric, from any sources; at least one.
    """
    found = [assess(figure, part) for figure in figures]
    by_text: dict[Finding, list[Figure]] = {}
    for figure, findings in zip(figures, found, strict=True):
        for finding in findings:
            by_text.setdefault(finding, []).append(figure)
    deviations = [
        finding.text if len(about) == len(figures) else f"{_names(about)}: {finding.text}"
        for finding, about in sorted(by_text.items(), key=lambda entry: by_effect(entry[0]))
    ]
    labels = [label_of(findings) for findings in found]
    worst: Sequence[Label] = ("deviates", "unknown", "comparable")
    return PublishedCell(tuple(figures), min(labels, key=worst.index), tuple(deviations))


def label_of(findings: Sequence[Finding]) -> Label:
    """The rule at the head of this module."""
    if any(finding.deviates for finding in findings):
        return "deviates"
    return "unknown" if findings else "comparable"


def assess(figure: Figure, part: Part) -> list[Finding]:
    """What deviates and what is open between a figure and a part, by the usual size of the effect."""
    if part.edition == "pocket":
        return [Finding("data", True, POCKET)]
    if figure.key is None:
        return [Finding("metric", True, figure.excluded)]
    if benchmark_key(part) != figure.key.benchmark:
        text = f"the source's {figure.benchmark} is another benchmark than this run's {part.title}"
        return [Finding("metric", True, text)]
    pair = _Pair(figure, figure.key, part, metric_of(part, figure.key))
    return sorted((f for check in _CHECKS for f in check(pair)), key=by_effect)


def by_effect(finding: Finding) -> tuple[int, bool]:
    """The order in which findings are told."""
    return get_args(Aspect).index(finding.aspect), not finding.deviates


def _names(figures: Sequence[Figure]) -> str:
    return ", ".join(dict.fromkeys(figure.source.name for figure in figures))


class _Pair(NamedTuple):
    """A figure beside a part; ``metric`` is the part's own, if it has it."""

    figure: Figure
    key: MetricKey
    part: Part
    metric: Metric | None


_OPEN: dict[tuple[str, Aspect], str] = {
    ("pope", "data"): "there are two versions of the questions; which the source asked is not on record",
    ("pope", "prompt"): "POPE fixes no prompt, and the source's is not on record",
    ("pope", "decoding"): "POPE fixes no decoding, and the source's is not on record",
    ("amber", "decoding"): "AMBER fixes no decoding, and the source's is not on record",
    ("object_halbench", "data"): "two question files go by this name; which the source asked is not on record",
    ("object_halbench", "decoding"): "Object HalBench fixes no decoding, and the source's is not on record",
    ("mmvet", "decoding"): "MM-Vet fixes no decoding, and the source's is not on record",
    ("llava_bench", "decoding"): "LLaVA-Bench fixes no decoding, and the source's is not on record",
    ("mmbench", "prompt"): "MMBench fixes no prompt, and the source's is not on record",
    ("mmbench", "decoding"): "MMBench fixes no decoding, and the source's is not on record",
    ("mmbench", "scorer"): "the rules that read answers changed in August 2025; which the source used is not on record",
    ("chair", "data"): "each paper draws pictures of its own for CHAIR; those of the source are not known",
    ("chair", "prompt"): "CHAIR fixes no prompt, and the source's is not on record",
    ("chair", "decoding"): "CHAIR fixes no decoding, and the source's is not on record",
    ("alpacaeval", "decoding"): "",
}  # fmt: skip
"""What a protocol leaves to who runs it, by benchmark; everything else it fixes. Empty: no two entries need agree."""

_OPTIONS: dict[str, Aspect] = {
    "prompt": "prompt",
    "max_new_tokens": "decoding",
    "annotator": "judge", "extractor": "judge",
    "reply_parser": "scorer", "tagger": "scorer", "normaliser": "scorer", "similarity": "scorer", "threshold": "scorer",
}  # fmt: skip
"""Options that leave the protocol, where it fixes their aspect."""

_N_ITEMS = {
    "pope": 9000, "object_halbench": 300, "mmhal": 96, "mmvet": 218, "llava_bench": 60, "mtbench": 80,
    "alpacaeval": 805,
}  # fmt: skip
_N_ITEMS_OF_AMBER = {"all": 15_220, "generative": 1004, "discriminative": 14_216}
_N_ITEMS_OF_OLDER_POPE = 8910
"""Of the official editions. MMBench's depend on the table; CHAIR has no fixed ones."""


def _n_items(part: Part) -> int | None:
    """How many items the official benchmark has; None where this is not kept here."""
    options: Mapping[str, str] = part.about["options"] or {}
    if part.name == "amber":
        return _N_ITEMS_OF_AMBER.get(options.get("part", "all"))
    if part.protocol.get("variant") == "coco_older":
        return _N_ITEMS_OF_OLDER_POPE
    return _N_ITEMS.get(part.name)


def _judge(pair: _Pair) -> list[Finding]:
    official, used = pair.part.about.get("official_judge"), pair.part.judges
    found = [Finding("judge", True, text) for text in _changed(pair.part, "judge")]
    if not official:
        return found
    others = [model for model in used if not same_model(official, model)]
    if others:
        text = f"this run was judged by {_listed(others)}; the official judge is {official}"
        found.append(Finding("judge", True, text))
    if pair.part.name == "mmbench":
        # Its judge reads only what its rules cannot, and no source speaks of it.
        return found
    if not used:
        return [*found, Finding("judge", False, "who judged this run is not recorded")]
    if "judge" in pair.figure.setups:
        return found + _on_record(pair, pair.figure.setups["judge"])
    return found + _stated_judge(pair.figure.judge, used)


def _stated_judge(stated: str, used: Sequence[str]) -> list[Finding]:
    """What the source says beside its figures: a model with its version, a family, or nothing."""
    if not stated:
        return [Finding("judge", False, "the source's judge is not on record")]
    if re.search(r"-\d{4}$", stated):
        same = all(same_model(stated, model) for model in used)
        return [] if same else [Finding("judge", True, f"the source's judge is {stated}")]
    if stated == "GPT-4V":
        text = f"the source's judge is {stated}; the official one reads text only"
        return [Finding("judge", True, text)]
    return [Finding("judge", False, f"the source's judge is {stated}, without a version")]


def _data(pair: _Pair) -> list[Finding]:
    return [*_coverage(pair), *_aspect("data")(pair)]


def _coverage(pair: _Pair) -> list[Finding]:
    """A run with --limit, or with items that have no score."""
    found = []
    n_asked, n_items = max((m.n_asked for m in pair.part.metrics), default=0), _n_items(pair.part)
    if n_items is not None and n_asked != n_items:
        text = f"this run asked {n_asked:,} of {n_items:,} items"
        found.append(Finding("data", True, text))
    metric = pair.metric
    if metric is not None and not metric.complete:
        text = f"{metric.n_asked - metric.n_scored:,} of {metric.n_asked:,} items of this run have no score"
        found.append(Finding("data", True, text))
    return found


def _aspect(aspect: Aspect) -> Callable[[_Pair], list[Finding]]:
    """What is on record, else what the protocol leaves open, else how the run left the protocol."""

    def check(pair: _Pair) -> list[Finding]:
        if aspect in pair.figure.setups:
            return _on_record(pair, pair.figure.setups[aspect])
        left_open = _OPEN.get((pair.part.name, aspect))
        if left_open is not None:
            return [Finding(aspect, False, left_open)] if left_open else []
        return [Finding(aspect, True, text) for text in _changed(pair.part, aspect)]

    return check


def _on_record(pair: _Pair, setup: Setup) -> list[Finding]:
    if setup.option == "judge":
        ours: Any = _listed(pair.part.judges)
        same = all(
            same_model(setup.value, m) or same_model(m, setup.value) for m in pair.part.judges
        )
    else:
        ours = _looked_up(pair.part.protocol, setup.option)
        same = setup.option != "" and str(ours) == setup.value
    if same:
        return []
    here = f"; this run has {setup.option} {ours}" if setup.option else ""
    return [Finding(setup.aspect, True, f"the source {setup.text}{here}")]


def _looked_up(protocol: Mapping[str, Any], option: str) -> Any:
    value: Any = protocol
    for name in option.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _changed(part: Part, aspect: Aspect) -> list[str]:
    """The options of a run that are about an aspect and not the protocol's default."""
    defaults = _defaults(part.name)
    options: Mapping[str, str] = part.about["options"] or {}
    return [
        f"this run has {part.name}.{name}={value} (the default is {defaults[name] or 'none'})"
        for name, value in options.items()
        if _OPTIONS.get(name) == aspect and value != defaults.get(name, value)
    ]


@cache
def _defaults(benchmark: str) -> Mapping[str, str]:
    return options_of(open_benchmark(benchmark, "official")) or {}


def _metric(pair: _Pair) -> list[Finding]:
    doubts = [Finding(doubt.aspect, False, doubt.text) for doubt in pair.figure.doubts]
    others = [
        Finding(remark.aspect, True, remark.text)
        for remark in pair.figure.remarks
        if remark.effect == "deviates" and remark.aspect
    ]
    return others + doubts


def _scorer(pair: _Pair) -> list[Finding]:
    found = _aspect("scorer")(pair)
    if pair.metric is not None and not pair.metric.official:
        found.append(Finding("scorer", True, "this run's number is not the official scorer's (°)"))
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "an unnamed model" for name in names)


_CHECKS = (_judge, _data, _aspect("prompt"), _aspect("decoding"), _metric, _scorer)
