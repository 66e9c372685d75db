"""Runs, what tells them apart, and what a reader must know about each cell, as one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.base import Estimate, MetricSpec, MissingDataError, PlumblineError
from harness.compare import significance
from harness.compare.columns import Column
from harness.compare.literature import published_rows
from harness.compare.model import Cell, Footnotes, Row, Table
from harness.compare.significance import Findings, Place, Pool
from harness.item_table import ItemTable
from harness.judges.base import label_beside
from harness.paired import Paired
from harness.published import PublishedRow
from harness.runs import Part, Run
from harness.store import differing, shortened

MOST_DIFFERENCES = 6
"""Of two protocols that one footnote lists."""

RUNS_WITH_ALL_RESAMPLES, LEAST_RESAMPLES = 5, 40
"""Of an ``Estimate``: so many runs take all its resamples, more share as many, down to the least."""


def build(
    runs: Sequence[Run],
    names: Sequence[str],
    columns: Sequence[Column],
    *,
    baseline: int = 0,
    alpha: float = 0.05,
    seed: int = 0,
    data_dir: Path | None = None,
    published: Sequence[PublishedRow] = (),
    title: str = "",
) -> Table:
    """The table of some runs.

    Args:
        names: of the rows.
        baseline: the number of the run that the others are compared with.
        alpha: the level of the table's tests.
        data_dir: official files, which the formulas of a few benchmarks need.
        published: what stands below the runs, labelled beside the baseline's way of measuring.

    Raises:
        PlumblineError: the runs are of different editions, or have nothing in these columns.
    """
    refuse_mixed_editions(runs, columns)
    builder = _Builder(runs, names, columns, baseline, data_dir)
    return builder.table(alpha, seed, published, title)


def refuse_mixed_editions(runs: Sequence[Run], columns: Sequence[Column]) -> None:
    """Numbers of the pocket edition never stand beside official ones. Raises PlumblineError."""
    found: dict[str, str] = {}
    for run in runs:
        for part in (column.part(run) for column in columns):
            if part is not None:
                found.setdefault(part.edition, f"{run.path} ({part.title})")
    if len(found) > 1:
        listed = "; ".join(f"{edition}: {where}" for edition, where in found.items())
        raise PlumblineError(
            f"runs of different editions do not belong in one table ({listed}). "
            "Compare them in two tables, or choose --benchmarks of one edition"
        )
    if not found:
        raise PlumblineError("none of these runs has anything in the columns of this table")


@dataclass(frozen=True)
class Group:
    """Runs that measured a benchmark in the same way, with the columns that are taken from it.

    Attributes:
        parts: by the run's number; the first is the one that others are said to deviate from.
        pool: what can be tested; None with a ``problem``.
    """

    columns: Sequence[Column]
    parts: Mapping[int, Part]
    pool: Pool | None
    problem: str = ""


class _Builder:
    """The steps of ``build``; see there for the arguments."""

    def __init__(
        self,
        runs: Sequence[Run],
        names: Sequence[str],
        columns: Sequence[Column],
        baseline: int,
        data_dir: Path | None,
    ) -> None:
        self.runs, self.names, self.columns = runs, names, columns
        self.baseline, self.data_dir = baseline, data_dir
        self.footnotes = Footnotes()
        self.metrics = {
            (number, column): metric
            for number, run in enumerate(runs)
            for column in columns
            if (metric := column.metric(run)) is not None
        }
        self.groups: dict[Place, Group] = {}
        self.reference: dict[Column, Group] = {}
        for alike in self._by_benchmark():
            for group in self._grouped(alike):
                for column in alike:
                    self.reference.setdefault(column, group)
                    self.groups |= {(number, column): group for number in group.parts}

    def _by_benchmark(self) -> list[list[Column]]:
        found: dict[tuple[str, str], list[Column]] = {}
        for column in self.columns:
            if column.benchmark:
                found.setdefault((column.benchmark, column.title), []).append(column)
        return [*found.values()]

    def _grouped(self, columns: Sequence[Column]) -> list[Group]:
        """The runs that have a benchmark, those of the baseline's protocol first."""
        parts = {
            number: part
            for number, run in enumerate(self.runs)
            if (part := columns[0].part(run)) is not None
        }
        by_way: dict[str, dict[int, Part]] = {}
        for number, part in parts.items():
            way = {**_way(part), "judged_by": _judged_by(part, [*parts.values()])}
            key = json.dumps(way, sort_keys=True, default=str)
            by_way.setdefault(key, {})[number] = part
        alike = sorted(by_way.values(), key=lambda parts: self.baseline not in parts)
        return [self._group(columns, parts) for parts in alike]

    def _group(self, columns: Sequence[Column], parts: Mapping[int, Part]) -> Group:
        if len(parts) < 2:
            return Group(columns, parts, None)
        try:
            benchmark = next(iter(parts.values())).open(self.data_dir)
            specs = {(spec.name, spec.split): spec for spec in benchmark.metric_specs()}
        except MissingDataError as error:
            return Group(columns, parts, None, f"{error} (to bring it: {error.remedy})")
        except PlumblineError as error:
            return Group(columns, parts, None, str(error))
        tables = [ItemTable.of_part(part) for part in parts.values()]
        known = {
            column: _affordable(specs[column.name, column.split], len(parts))
            for column in columns
            if (column.name, column.split) in specs
        }
        return Group(columns, parts, Pool([*parts], known, tables))

    def table(
        self, alpha: float, seed: int, published: Sequence[PublishedRow], title: str
    ) -> Table:
        values = {place: metric.value for place, metric in self.metrics.items()}
        pools = [*{id(g): g.pool for g in self.groups.values() if g.pool is not None}.values()]
        findings = significance.find(pools, values, baseline=self.baseline, alpha=alpha, seed=seed)
        rows = [self._row(number, findings) for number in range(len(self.runs))]
        below = published_rows(published, self.columns, self._references(), self.footnotes)
        if len(rows) > 1:
            rows = [self._with_difference(number, row, findings) for number, row in enumerate(rows)]
        return Table(
            title=title,
            columns=tuple(self.columns),
            rows=tuple(rows),
            published=tuple(below),
            baseline=self.baseline,
            alpha=alpha,
            detectable=tuple(self._detectable(column, findings) for column in self.columns),
            footnotes=self.footnotes.by_mark,
            remarks=tuple(self._remarks(findings, alpha, bool(below))),
        )

    def _references(self) -> dict[Column, Part]:
        """The part that published figures are held against, by column."""
        return {c: next(iter(group.parts.values())) for c, group in self.reference.items()}

    def _row(self, number: int, findings: Findings) -> Row:
        cells = []
        for column in self.columns:
            place = number, column
            metric = self.metrics.get(place)
            texts = [*self._deviation(place), *self._judges(place)] if metric else []
            if metric and metric.note:
                texts.append(metric.note)
            marks = self.footnotes.mark(texts)
            cells.append(Cell(metric, is_best=place in findings.best, marks=marks))
        return Row(self.names[number], tuple(cells))

    def _deviation(self, place: Place) -> Iterator[str]:
        """How a run measured in another way than the first run of the column."""
        group, reference = self.groups[place], self.reference[place[1]]
        if group is reference:
            return
        first, part = next(iter(reference.parts)), group.parts[place[0]]
        found = [
            f"{path} is {shortened(theirs)} instead of {shortened(ours)}"
            for path, ours, theirs in differing(_way(reference.parts[first]), _way(part))
        ]
        more = len(found) - MOST_DIFFERENCES
        listed = "; ".join([*found[:MOST_DIFFERENCES], *([f"{more} more"] if more > 0 else [])])
        yield (
            f"{part.title} was measured in another way than by {self.names[first]} ({listed}): "
            "neither tested nor ranked against it"
        )

    def _judges(self, place: Place) -> Iterator[str]:
        """Judges that are not the official one."""
        part = self.groups[place].parts[place[0]]
        official = part.about.get("official_judge")
        for model in part.judges:
            label = label_beside(official, model, part.edition)
            if label.startswith("another"):
                yield f"{part.title}: {label}"

    def _with_difference(self, number: int, row: Row, findings: Findings) -> Row:
        cells = []
        for column, cell in zip(self.columns, row.cells, strict=True):
            place = number, column
            against = findings.against.get(place)
            texts = [*self._about_difference(place, against)] if number != self.baseline else []
            cells.append(
                replace(
                    cell,
                    against=against,
                    p=findings.adjusted.get(place),
                    difference_marks=self.footnotes.mark(texts),
                )
            )
        return replace(row, cells=tuple(cells))

    def _about_difference(self, place: Place, found: Paired | None) -> Iterator[str]:
        column = place[1]
        if place not in self.metrics:
            return
        base = self.names[self.baseline]
        if found is None:
            group = self.groups[place]
            if group.problem:
                yield f"not tested: {group.problem}"
            elif (self.baseline, column) not in self.metrics:
                yield f"{base} has no value here to compare with"
            elif self.baseline in group.parts:
                yield "not tested: this version has no formula of that name"
            return
        if found.n_paired < found.n_asked:
            yield (
                f"over the {found.n_paired:,} of {found.n_asked:,} items for which both this run and {base} "
                "have a score"
            )
        if found.note:
            yield found.note

    def _detectable(self, column: Column, findings: Findings) -> float | None:
        found = [
            against.smallest_detectable
            for (_, other), against in findings.against.items()
            if other == column and against.smallest_detectable is not None
        ]
        return max(found, default=None)

    def _remarks(self, findings: Findings, alpha: float, has_published: bool) -> Iterator[str]:
        metrics = [*self.metrics.values()]
        yield "Below each value: its 95 % interval (bootstrap, clustered by picture or question)."
        if findings.n_tests:
            base = self.names[self.baseline]
            yield (
                f"Bold: better than every other run of the column that measured in the same way. †: differs from "
                f"{base}. By paired permutation tests, clustered likewise; Holm-corrected over the "
                f"{findings.n_tests} tests of this table, level {alpha:g}."
            )
        if findings.least_p > alpha:
            yield (
                f"{findings.n_tests} tests are too many for {findings.n_resamples:,} permutations: none can "
                f"reach the level {alpha:g}. Choose fewer --metrics."
            )
        estimates = [
            f"{column.full_label} ({spec.formula.n_resamples} resamples)"
            for column, spec in self._specs().items()
            if isinstance(spec.formula, Estimate)
        ]
        if estimates:
            yield (
                f"{', '.join(estimates)}: each resample takes as long as the value, so there are few, and "
                "p-values are those of Student's t with the bootstrap's standard error."
            )
        if has_published:
            base = self.names[self.baseline]
            yield (
                f"Published: comparable with {base} where judge, data, prompt, decoding and scorer are the same; "
                "never tested and never bold."
            )
        yield from (f"{c.full_label}: {c.remark}." for c in self.columns if c.remark)
        if any(not metric.complete for metric in metrics):
            yield "*: not every item that was asked has a score; scored/asked stands below."
        if any(not metric.official for metric in metrics):
            yield "°: not the official scorer's number."

    def _specs(self) -> dict[Column, MetricSpec]:
        """What was tested."""
        pools = [group.pool for group in self.groups.values() if group.pool is not None]
        return {column: spec for pool in pools for column, spec in pool.specs.items()}


def _affordable(spec: MetricSpec, n_runs: int) -> MetricSpec:
    """An ``Estimate`` with fewer resamples where many runs need them, so that a table takes seconds."""
    if not isinstance(spec.formula, Estimate):
        return spec
    shared = spec.formula.n_resamples * RUNS_WITH_ALL_RESAMPLES // n_runs
    n_resamples = min(spec.formula.n_resamples, max(LEAST_RESAMPLES, shared))
    return replace(spec, formula=replace(spec.formula, n_resamples=n_resamples))


def _way(part: Part) -> dict[str, Any]:
    """How a benchmark was measured: what must agree for values to be compared."""
    judged_by = sorted(set(part.judges))
    return {"title": part.title, "protocol": part.protocol, "judged_by": judged_by}


def _judged_by(part: Part, beside: Sequence[Part]) -> list[str]:
    """The judges of a run. One in which nothing had to be judged stands with the first that has the rest alike."""
    alike = (
        each
        for each in (part, *beside)
        if {**_way(each), "judged_by": 0} == {**_way(part), "judged_by": 0}
    )
    return next((sorted(set(each.judges)) for each in alike if each.judges), [])
