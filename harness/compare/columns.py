"""Which metrics a table has, and how their values are printed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.base import Direction, Metric, PlumblineError
from benchmarks.registry import BENCHMARKS
from benchmarks.suites import SUITES
from harness.published import MetricKey, benchmark_key
from harness.runs import Part, Run
from harness.show import fixed, label

SCALES = {"percent": 100.0, "points": 1.0, "number": 1.0}


@dataclass(frozen=True)
class Column:
    """A metric of a benchmark, as a table prints it.

    Attributes:
        heading: what stands over the columns of one benchmark.
        label: the metric, below the heading.
        benchmark: its name; empty where a paper's column is no benchmark's here, with a ``remark``.
        title: of the part it is taken from; empty takes whatever variant of the benchmark a run has.
        name: of the metric; ``split`` likewise.
        scale: what values are multiplied by before they are printed.
        remark: what to know about a paper's column.
        foreign: what published tables call a benchmark that is none here.
        published: what published figures call a benchmark of which the paper has one variant only.
    """

    heading: str
    label: str
    benchmark: str = ""
    name: str = ""
    split: str = ""
    title: str = ""
    direction: Direction = "higher"
    scale: float = 100.0
    decimals: int = 1
    remark: str = ""
    foreign: str = ""
    published: str = ""

    def finer(self, more: int) -> Column:
        """The same with more decimals."""
        return replace(self, decimals=self.decimals + more)

    def text(self, value: float | None, *, signed: bool = False) -> str:
        if value is None:
            return "–"
        return fixed(value * self.scale, self.decimals, signed=signed)

    def part(self, run: Run) -> Part | None:
        """The part of a run that holds the metric."""
        if not self.benchmark:
            return None
        return next((part for part in measured(run) if self._is_of(part)), None)

    def _is_of(self, part: Part) -> bool:
        return part.name == self.benchmark and part.title.startswith(self.title)

    def metric(self, run: Run) -> Metric | None:
        """Its value in a run; None where the run does not have it."""
        part = self.part(run)
        named = (
            (m for m in part.metrics if (m.name, m.split) == (self.name, self.split))
            if part
            else ()
        )
        return next(iter(named), None)

    @property
    def full_label(self) -> str:
        return f"{self.heading} {self.label}".strip()

    def key(self, part: Part | None) -> MetricKey | None:
        """What published figures call the metric, of a part that has it."""
        if not self.benchmark:
            return None
        benchmark = benchmark_key(part) if part else self.published or self.benchmark
        return MetricKey(benchmark, self.name, self.split)


def measured(run: Run) -> Iterator[Part]:
    """The benchmarks of a run, without its control runs."""
    return (part for part in run.parts.values() if not part.about.get("control"))


def choose(
    runs: Sequence[Run],
    *,
    benchmarks: str | None = None,
    metrics: str | None = None,
    everything: bool = False,
) -> list[Column]:
    """The columns of a table: headline metrics unless something else is asked for.

    Args:
        benchmarks: names of benchmarks or suites, with commas between; all that were run by default.
        metrics: names of metrics, see ``_spellings``, in the order wanted.
        everything: every metric of these benchmarks.

    Raises:
        PlumblineError: a name is not among those of the runs.
    """
    found = [
        (_column(title, name, metrics_), metrics_[0].headline)
        for title, name, metrics_ in _measured(runs, _wanted(runs, benchmarks))
    ]
    columns = [column for column, is_headline in found if is_headline or everything or metrics]
    return columns if metrics is None else _named(columns, metrics)


def _measured(runs: Sequence[Run], wanted: set[str]) -> Iterator[tuple[str, str, list[Metric]]]:
    """Title, benchmark and the runs' values of each metric, benchmarks in their usual order."""
    names = {part.title: part.name for run in runs for part in measured(run) if part.name in wanted}
    listed = [*BENCHMARKS]
    place = {name: index for index, name in enumerate(listed)}
    for title in sorted(names, key=lambda title: place.get(names[title], len(place))):
        by_metric: dict[tuple[str, str], list[Metric]] = {}
        for part in (part for run in runs for part in measured(run) if part.title == title):
            for metric in part.metrics:
                by_metric.setdefault((metric.name, metric.split), []).append(metric)
        for metrics in by_metric.values():
            yield title, names[title], metrics


def _column(title: str, benchmark: str, metrics: Sequence[Metric]) -> Column:
    first = metrics[0]
    largest = max((abs(metric.value) for metric in metrics if metric.value is not None), default=0)
    decimals = 1 if first.display != "number" else 3 if 0 < largest < 1 else 2
    return Column(
        heading=title,
        label=label(first),
        benchmark=benchmark,
        name=first.name,
        split=first.split,
        title=title,
        direction=first.direction,
        scale=SCALES[first.display],
        decimals=decimals,
    )


def _wanted(runs: Sequence[Run], benchmarks: str | None) -> set[str]:
    there = {part.name: None for run in runs for part in measured(run)}
    if benchmarks is None:
        return {*there}
    wanted: set[str] = set()
    for name in _split(benchmarks):
        if name in SUITES:
            wanted |= {*SUITES[name]}
        elif name in there:
            wanted.add(name)
        else:
            raise PlumblineError(f"--benchmarks {name}: not in these runs ({', '.join(there)})")
    if not wanted & {*there}:
        raise PlumblineError(
            f"--benchmarks {benchmarks}: none is in these runs ({', '.join(there)})"
        )
    return wanted


def _named(columns: Sequence[Column], names: str) -> list[Column]:
    chosen: dict[Column, None] = {}
    for name in _split(names):
        matching = [column for column in columns if _plain(name) in _spellings(column)]
        if not matching:
            known = {spelling for column in columns for spelling in _spellings(column)}
            close = difflib.get_close_matches(_plain(name), known, n=3)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise PlumblineError(
                f"--metrics {name}: no such metric in these runs{hint} "
                "(each run's summary.md lists every metric)"
            )
        # Of a benchmark that has the metric over all of it, a name without a split means that one.
        whole = {column.benchmark for column in matching if not column.split}
        chosen |= dict.fromkeys(
            column
            for column in matching
            if "(" in name or not column.split or column.benchmark not in whole
        )
    return [*chosen]


def _spellings(column: Column) -> set[str]:
    """NAME (over everything, else of all splits), NAME(SPLIT), and both behind ``BENCHMARK.``."""
    names = {column.name, f"{column.name}({column.split})" if column.split else column.name}
    return {_plain(name) for each in names for name in (each, f"{column.benchmark}.{each}")}


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
