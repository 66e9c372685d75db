"""Published figures as rows of a table, and where sources disagree.

A row is one model: the same backbone, method and preference data, over all sources. Where sources print
different numbers for it, all stand in its cell. "DPO" with other preference data is another model, so a row
names them; where they are not on record, a source's model stands alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from benchmarks.base import PlumblineError
from harness.published.figures import NOT_ON_RECORD, Figure, Source, read
from harness.published.metrics import MetricKey

PAPER_TABLES = {
    "mdpo-table1": ("mdpo", "Table 1"),
    "li-table": ("li", "Table 4"),
    "alignment-study": ("alignment_study", "Table 2"),
}
"""The main tables of three papers: source and location by the name of the layout."""

_OTHER_MODELS = ("preference labels: ", "DPO data subset ")
_SAME_MODEL = ("preference labels: none flipped", "DPO data subset 100%")
"""Settings that change the training, and those among them that do not."""


@dataclass(frozen=True)
class PublishedRow:
    """One model's figures.

    Attributes:
        data: the preference data where the method's name does not imply them, or "not on record".
        variant: what else tells it apart: "25% of the data", or "quoted" in a paper's own table.
        cells: the figures by metric of ours, in the order of the sources.
        others: figures that are no metric of ours.
    """

    model: str
    method: str
    data: str
    variant: str
    cells: Mapping[MetricKey, tuple[Figure, ...]]
    others: tuple[Figure, ...] = ()

    @property
    def name(self) -> str:
        """ "LLaVA-1.5-7B + DPO [data: Silkie 10K]"; the model alone if it is not aligned."""
        plain = self.method.removeprefix("none")  # "none (LoRA fine-tune)" is not aligned either
        name = f"{self.model} + {self.method}" if plain == self.method else self.model + plain
        alone = f": {self.sources[0].name}" if self.data == NOT_ON_RECORD else ""
        name += f" [data: {self.data}{alone}]" if self.data else ""
        return f"{name} ({self.variant})" if self.variant else name

    @property
    def is_ablation(self) -> bool:
        """Whether it was made only to see what some part of a method or of its data does."""
        return all("ablation" in f.setting or _variant(f) for f in (*self.figures, *self.others))

    @property
    def figures(self) -> list[Figure]:
        return [figure for figures in self.cells.values() for figure in figures]

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Of its figures, in order."""
        return tuple(dict.fromkeys(figure.source for figure in (*self.figures, *self.others)))


def find(
    query: str | None = None,
    metrics: Sequence[MetricKey] | None = None,
    folder: Path | None = None,
) -> list[PublishedRow]:
    """Rows that have at least one of the metrics; those of ablations only where no other is meant.

    Args:
        query: a row's name; or words that a figure's model, method and preference data must hold, or,
            where no figure has them all, these and its source ("arXiv:2406.11839" takes the figures of
            that paper only). A word stands for what begins with it ("llava-1.5" finds LLaVA-1.5-7B, "dpo"
            not HA-DPO), or, where nothing does, for what contains it. All rows by default.
        metrics: all metrics by default.
        folder: see ``figures.read``.

    Raises:
        PlumblineError: nothing fits; the text names what is similar.
    """
    figures = read(folder)
    wanted = None if metrics is None else {MetricKey(*key) for key in metrics}
    rows = _rows(_measuring(figures, wanted))
    if query:
        named = [row for row in rows if row.name.casefold() == query.casefold()]
        if named:
            return named
        found = _matching(query, figures, _names) or _matching(query, figures, _names_and_source)
        rows = _rows(_measuring(found, wanted))
        if not rows:
            raise PlumblineError(_nothing_found(query, figures, bool(found)))
    return [row for row in rows if not row.is_ablation] or rows


def _measuring(figures: Iterable[Figure], wanted: set[MetricKey] | None) -> list[Figure]:
    return [f for f in figures if f.key is not None and (wanted is None or f.key in wanted)]


def rows_of_table(source: str, location: str, folder: Path | None = None) -> list[PublishedRow]:
    """The rows of one published table, in its order, with nothing from elsewhere.

    Args:
        source: its short name, or its id.
        location: e.g. ``"Table 1"``.

    Raises:
        PlumblineError: no figure is from there.
    """
    return _rows(_of_table(source, location, folder), within_a_table=True)


class TableColumn(NamedTuple):
    """A column of a published table: its names there, and the metric of ours that it is."""

    benchmark: str
    metric: str
    key: MetricKey | None


def columns_of_table(source: str, location: str, folder: Path | None = None) -> list[TableColumn]:
    """The columns of one published table, in its order. Raises PlumblineError as ``rows_of_table`` does."""
    figures = _of_table(source, location, folder)
    return [*dict.fromkeys(TableColumn(f.benchmark, f.metric, f.key) for f in figures)]


def _of_table(source: str, location: str, folder: Path | None) -> list[Figure]:
    figures = read(folder)
    found = [f for f in figures if source in f.source[:2] and f.location == location]
    if not found:
        there = {f.location for f in figures if source in f.source[:2]}
        known = ", ".join(sorted(there)) or "no figure is from this source"
        raise PlumblineError(f"no published figures are from {source}, {location} ({known})")
    return found


def _variant(figure: Figure) -> str:
    changed = figure.setting.startswith(_OTHER_MODELS) and figure.setting not in _SAME_MODEL
    return figure.setting if changed else ""


class _Model(NamedTuple):
    """What one row is about; ``source`` only where figures of other sources are not known to be of this model."""

    model: str
    method: str
    data: str
    variant: str
    source: str


def _rows(figures: Iterable[Figure], *, within_a_table: bool = False) -> list[PublishedRow]:
    """Rows in the order of their first figures."""
    by_model: dict[_Model, list[Figure]] = {}
    for figure in figures:
        quoted = "quoted" if within_a_table and figure.is_quoted else ""
        alone = figure.source.source if figure.data == NOT_ON_RECORD else ""
        variant = _variant(figure) or quoted
        model = _Model(figure.model, figure.method, figure.data, variant, alone)
        by_model.setdefault(model, []).append(figure)
    return [_row(model, found) for model, found in by_model.items()]


def _row(identity: _Model, figures: Sequence[Figure]) -> PublishedRow:
    cells: dict[MetricKey, list[Figure]] = {}
    for figure in figures:
        if figure.key is not None:
            cells.setdefault(figure.key, []).append(figure)
    return PublishedRow(
        identity.model,
        identity.method,
        identity.data,
        identity.variant,
        cells={key: tuple(found) for key, found in cells.items()},
        others=tuple(figure for figure in figures if figure.key is None),
    )


def _names(figure: Figure) -> str:
    return f"{figure.model} {figure.method} {figure.data} {_variant(figure)}".casefold()


def _names_and_source(figure: Figure) -> str:
    source = figure.source
    return f"{_names(figure)} {source.source} {source.id} {source.name}".casefold()


def _matching(
    query: str, figures: Sequence[Figure], described: Callable[[Figure], str]
) -> list[Figure]:
    """The figures whose description holds every word."""
    texts = [described(figure) for figure in figures]
    different = {*texts}
    for word in query.casefold().split():
        begins = re.compile(rf"(?<![\w.+-]){re.escape(word)}")
        found = {text for text in different if begins.search(text)}
        different &= found or {text for text in different if word in text}
    return [figure for figure, text in zip(figures, texts, strict=True) if text in different]


def _nothing_found(query: str, figures: Sequence[Figure], is_known: bool) -> str:
    if is_known:
        return f"published figures for {query!r} are not about the metrics of this table"
    known = {word for figure in figures for word in _names_and_source(figure).split()}
    words = query.casefold().split()
    close = [near for word in words for near in difflib.get_close_matches(word, known, n=2)]
    hint = f"; did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
    return f"no published figure is about {query!r}{hint} (words of model, method, data and source are looked for)"


def distinct(figures: Sequence[Figure]) -> list[tuple[Figure, ...]]:
    """Figures of one cell by number: together where one is the other rounded, in the order of the figures."""
    groups: list[list[Figure]] = []
    for figure in sorted(figures, key=lambda figure: (figure.step, figure.value)):
        group = next((group for group in groups if _agree(group[0], figure)), None)
        if group is None:
            groups.append([figure])
        else:
            group.append(figure)
    place = {id(figure): index for index, figure in enumerate(figures)}
    for group in groups:
        group.sort(key=lambda figure: place[id(figure)])
    return [tuple(group) for group in sorted(groups, key=lambda group: place[id(group[0])])]


def _agree(a: Figure, b: Figure) -> bool:
    coarser = max(a.step, b.step)
    return abs(a.value - b.value) <= coarser * (0.5 + 1e-6)


class Conflict(NamedTuple):
    """Different numbers for one model in one column.

    Attributes:
        column: the metric of ours, or benchmark, metric and setting as printed.
        values: figures by number.
    """

    row: str
    column: tuple[str, ...]
    values: list[tuple[Figure, ...]]


def conflicts(figures: Sequence[Figure]) -> list[Conflict]:
    """Where sources, or tables of one source, print different numbers for the same model."""
    found = []
    for row in _rows(figures):
        cells: dict[tuple[str, ...], list[Figure]] = {**{k: [*v] for k, v in row.cells.items()}}
        for figure in row.others:
            printed = (figure.benchmark, figure.metric, figure.setting)
            cells.setdefault(printed, []).append(figure)
        for column, together in cells.items():
            values = distinct(together)
            if len(values) > 1:
                found.append(Conflict(row.name, column, values))
    return found
