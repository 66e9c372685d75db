"""Why a run's numbers and published ones may differ, in plain words, the largest effect first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.base import Metric, PlumblineError
from benchmarks.registry import open_benchmark
from harness.comparability.labels import (
    Finding,
    assess,
    by_effect,
    cell,
    metric_of,
)
from harness.endpoint.wire import same_model
from harness.published.figures import NOT_ON_RECORD, Figure
from harness.published.metrics import MetricKey
from harness.published.rows import PublishedRow, distinct, find
from harness.runs import Part, Run
from harness.show import fixed, interval, label, number


class _Beside(NamedTuple):
    """One metric of a run and the figures for it."""

    metric: Metric
    figures: tuple[Figure, ...]


def explain(run: Run, row: PublishedRow, folder: Path | None = None) -> str:
    """Why a run's numbers and a row's may differ.

    Args:
        folder: of published figures, for what other sources say about the same method; see ``published.read``.
    """
    lines = [f"{row.name}, beside the run {run.name}", ""]
    if run.edition == "pocket":
        return "\n".join([*lines, *_POCKET])
    parts = [part for part in run.parts.values() if not part.about.get("control")]
    shared = {part.folder: _shared(part, row) for part in parts}
    for part in parts:
        if shared[part.folder]:
            lines += [*_about_a_part(part, shared[part.folder]), ""]
    keys = [f.key for about in shared.values() for beside in about for f in beside.figures if f.key]
    if keys:
        lines.append(_HOW_TO_READ)
    else:
        measured = ", ".join(part.title for part in parts)
        published = ", ".join(dict.fromkeys(figure.benchmark for figure in row.figures))
        lines.append(f"Nothing to compare: the run has {measured}; the row has {published}.")
    return "\n".join([*lines, *_bullets("The model:", _about_the_model(run, row, keys, folder))])


_POCKET = (
    "The run asked drawn scenes of the pocket edition, not the benchmarks' own questions and pictures, and ground truth",
    "played the judge. No difference to a published number means anything. To measure the official edition:",
    "  python -m harness.run --ckpt CHECKPOINT --edition official",
)
_HOW_TO_READ = (
    "In parentheses: published minus this run. Inside the interval, the draw of the questions alone can make the "
    "difference; an interval knows nothing of another judge, prompt or decoding."
)


def _shared(part: Part, row: PublishedRow) -> list[_Beside]:
    """The metrics that both have, in the order of the row."""
    found = ((metric_of(part, key), figures) for key, figures in row.cells.items())
    return [_Beside(metric, figures) for metric, figures in found if metric is not None]


def _about_a_part(part: Part, shared: Sequence[_Beside]) -> list[str]:
    figures = [figure for beside in shared for figure in beside.figures]
    lines = [f"{part.title}: {cell(figures, part).label}"]
    lines += [f"  {line}" for beside in shared for line in _numbers(beside)]
    lines += _bullets(
        "  Why they may differ, the largest effect first:", [*_reasons(part, figures)]
    )
    lines += _bullets("  Known about the published numbers:", [*_known(figures)])
    return lines


def _numbers(beside: _Beside) -> Iterator[str]:
    """The run's number, then the published ones inside and outside its interval."""
    metric, figures = beside
    values = distinct(figures)
    spread = "; the sources disagree" if len(values) > 1 else ""
    yield f"{label(metric)}: {number(metric.value, metric)} here ({interval(metric)}){spread}"
    for where in ("inside the interval", "above the interval", "below the interval", "published"):
        there = [group for group in values if _where(group[0], metric) == where]
        if there:
            yield f"  {where}: " + ", ".join(_number(group, metric) for group in there)


def _number(figures: Sequence[Figure], metric: Metric) -> str:
    """ "9.8 (-5.7: mDPO, Table 1)"."""
    away = ""
    if metric.value is not None:
        difference = figures[0].value - metric.value
        amount = number(abs(difference), metric)
        away = f"{'-' if difference < 0 else '+'}{amount}: " if float(amount) else "±0: "
    return f"{_shown(figures[0], metric)} ({away}{_places(figures)})"


def _where(figure: Figure, metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return "published"
    if figure.value > metric.high:
        return "above the interval"
    return "inside the interval" if figure.value >= metric.low else "below the interval"


def _places(figures: Sequence[Figure]) -> str:
    return "; ".join(dict.fromkeys(figure.place for figure in figures))


def _shown(figure: Figure, metric: Metric) -> str:
    """The printed digits, in the unit that the run's number is shown in."""
    scale = 100.0 if metric.display == "percent" else 1.0
    decimals = max(0, -round(math.log10(figure.step * scale)))
    return fixed(figure.value * scale, decimals)


def _reasons(part: Part, figures: Sequence[Figure]) -> Iterator[str]:
    """Findings of all figures, once each, with the metrics and sources that they are about."""
    about: dict[Finding, list[Figure]] = {}
    if state := _official_judge(part):
        about[Finding("judge", True, state)] = [*figures]
    for figure in figures:
        for finding in assess(figure, part):
            about.setdefault(finding, []).append(figure)
    for finding in sorted(about, key=by_effect):
        yield f"{finding.aspect.capitalize()}{_only(about[finding], figures)}: {finding.text}"


def _only(figures: Sequence[Figure], everything: Sequence[Figure]) -> str:
    """Which metrics and sources a finding is about, where it is not about all of them."""
    parts = []
    metrics = dict.fromkeys(f.key for f in figures)
    if len(metrics) < len({f.key for f in everything}):
        parts.append(", ".join(_short(key) for key in metrics if key))
    sources = dict.fromkeys(f.source.name for f in figures)
    if len(figures) < len([f for f in everything if f.key in metrics]):
        parts.append(", ".join(sources))
    return f" ({'; '.join(parts)})" if parts else ""


def _short(key: MetricKey) -> str:
    return f"{key.name} ({key.split})" if key.split else key.name


def _official_judge(part: Part) -> str:
    """What is known of the official judge, where another one judged; some are named in official files only."""
    official = part.about.get("official_judge")
    if not official or all(same_model(official, model) for model in part.judges):
        return ""
    try:
        judge = open_benchmark(part.name, "official").judge
    except PlumblineError:
        return ""
    return f"the official judge is {official} ({judge.state})" if judge else ""


def _known(figures: Sequence[Figure]) -> Iterator[str]:
    """Remarks, whose numbers they are, and which were not read in the source itself."""
    told: dict[str, list[Figure]] = {}
    for figure in figures:
        for text in _remarks(figure):
            told.setdefault(text, []).append(figure)
    for text, about in told.items():
        metrics = {f.key for f in figures if f.place in {g.place for g in about}}
        keys = dict.fromkeys(figure.key for figure in about if figure.key)
        only = f" ({', '.join(_short(key) for key in keys)})" if len(keys) < len(metrics) else ""
        yield f"{_places(about)}{only}: {text}"
    second_hand = dict.fromkeys(f.source.name for f in figures if not f.verified)
    if second_hand:
        yield f"Read in notes or quotations, not in the source itself: {', '.join(second_hand)}"


def _remarks(figure: Figure) -> Iterator[str]:
    if figure.origin.startswith("quoted: "):
        yield f"quoted there from {figure.origin.removeprefix('quoted: ')}"
    elif figure.origin in _ORIGINS:
        yield _ORIGINS[figure.origin]
    yield from (remark.text for remark in figure.remarks if remark.effect == "told")


_ORIGINS = {
    "trained": "a model that the source trained",
    "evaluated": "measured by the source",
    "reproduced": "trained anew by the source, not the method's own checkpoint",
    "released checkpoint": "the released checkpoint, measured by the source",
    "official API": "measured by the source through the official API",
    "quoted": "quoted there",
}


def _about_the_model(
    run: Run, row: PublishedRow, keys: Sequence[MetricKey], folder: Path | None
) -> list[str]:
    lines = [f"whether {run.checkpoint} is this model cannot be seen from published figures"]
    if row.data == NOT_ON_RECORD:
        lines.append("its preference data are not on record, and results hang on them")
    return lines if row.method == "none" else [*lines, *_same_method(row, keys, folder)]


def _same_method(
    row: PublishedRow, keys: Sequence[MetricKey], folder: Path | None
) -> Iterator[str]:
    """The same method on the same backbone with other preference data, as its own models."""
    for other in find(None, keys, folder):
        if (other.model, other.method) != (row.model, row.method) or other.name == row.name:
            continue
        numbers = (
            f"{figures[0].benchmark} {_short(key)} {'/'.join(g[0].printed for g in distinct(figures))}"
            for key, figures in other.cells.items()
        )
        data = f"data {other.data}" if other.data else other.variant
        names = ", ".join(source.name for source in other.sources)
        yield f"{row.method} on this backbone is also another model, {data} ({names}): {', '.join(numbers)}"


def _bullets(title: str, lines: Sequence[str]) -> list[str]:
    indent = title[: len(title) - len(title.lstrip())]
    found = [f"{indent}- {line}" for line in lines]
    return [title, *found] if found else []
