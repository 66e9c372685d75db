"""What a person sees: the progress line, the table, and the same table as Markdown."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from benchmarks.base import Direction, Metric

if TYPE_CHECKING:
    from rich.console import Console

    from harness.paired import Paired

ARROWS: dict[Direction, str] = {"higher": "↑", "lower": "↓", "neither": " "}
LINE_EVERY_S = 10.0
FILE_WIDTH = 140
"""Columns of a table that does not go to a terminal."""


def number(value: float | None, metric: Metric) -> str:
    """A value as the table shows it, with the decimals of its metric.

    Shares and points get one decimal of a percent; other numbers get two, or three where the metric's own
    value is below one.
    """
    if value is None:
        return "–"
    if metric.display == "percent":
        return fixed(100 * value, 1)
    if metric.display == "points":
        return fixed(value, 1)
    return fixed(value, 3 if 0 < abs(metric.value or 0) < 1 else 2)


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number with so many decimals, and with its sign if wanted; zero has none."""
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def interval(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return "–"
    return f"{number(metric.low, metric)} – {number(metric.high, metric)}"


def coverage(metric: Metric) -> str:
    """ "200/200", with a star when not every item entered."""
    return f"{metric.n_scored:,}/{metric.n_asked:,}{'' if metric.complete else ' *'}"


def label(metric: Metric) -> str:
    name = f"{metric.name} ({metric.split})" if metric.split else metric.name
    return name if metric.official else f"{name} °"


def headlines(metrics: Sequence[Metric]) -> list[Metric]:
    return [metric for metric in metrics if metric.headline]


HEADER = ("benchmark", "metric", "", "value", "95 % interval", "scored/asked")
RELIANCE_HEADER = (
    "benchmark",
    "metric",
    "",
    "value",
    "control",
    "difference",
    "95 % interval",
)
N_LEFT = 3
"""Columns of text, before those of numbers."""


def reliance_rows(
    title: str, differences: Sequence[Paired], metrics: Sequence[Metric]
) -> list[tuple[str, ...]]:
    """Score, control score and their difference; the title on the first row only."""
    by_name = {(metric.name, metric.split): metric for metric in metrics}
    rows: list[tuple[str, ...]] = []
    for index, found in enumerate(differences):
        metric = by_name[found.name, found.split]
        ends = replace(metric, low=found.low, high=found.high)
        rows.append(
            (
                title if index == 0 else "",
                label(metric),
                ARROWS[metric.direction],
                number(found.value_b, metric),
                number(found.value_a, metric),
                number(found.difference, metric),
                interval(ends),
            )
        )
    return rows


def _cells(title: str, metric: Metric) -> tuple[str, ...]:
    return (
        title,
        label(metric),
        ARROWS[metric.direction],
        number(metric.value, metric),
        interval(metric),
        coverage(metric),
    )


def table_rows(results: Mapping[str, Sequence[Metric]]) -> list[tuple[str, ...]]:
    """The headline metrics, the benchmark's title on its first row only."""
    rows = []
    for title, metrics in results.items():
        for index, metric in enumerate(headlines(metrics)):
            rows.append(_cells(title if index == 0 else "", metric))
    return rows


def notes(results: Mapping[str, Sequence[Metric]]) -> list[str]:
    """What a reader of the table must know: incomplete coverage, undefined values."""
    shown = [metric for metrics in results.values() for metric in headlines(metrics)]
    told = [
        line
        for title, metrics in results.items()
        for line in _merged(title, [(label(m), m.note) for m in headlines(metrics)])
    ]
    if any(not metric.complete for metric in shown):
        told.append("* not every item that was asked has a score")
    if any(not metric.official for metric in shown):
        told.append("° not the official scorer's number")
    return told


def _merged(title: str, noted: Sequence[tuple[str, str | None]]) -> list[str]:
    """One line for each different note, with the names that it is about."""
    by_note: dict[str, list[str]] = {}
    for name, note in noted:
        if note:
            by_note.setdefault(note, []).append(name)
    return [f"{title}, {', '.join(names)}: {note}" for note, names in by_note.items()]


def reliance_notes(reliance: Mapping[str, Sequence[Paired]]) -> list[str]:
    """Why a difference or its interval is missing."""
    return [
        line
        for title, differences in reliance.items()
        for line in _merged(
            title, [(f"{d.name} ({d.split})" if d.split else d.name, d.note) for d in differences]
        )
    ]


def markdown(
    results: Mapping[str, Sequence[Metric]],
    remarks: Sequence[str] = (),
    reliance: Mapping[str, Sequence[Paired]] | None = None,
) -> str:
    """summary.md: the headline table, visual reliance, then every metric of each benchmark."""
    lines = markdown_table(HEADER, table_rows(results))
    told = [*notes(results), *remarks]
    lines += ["", *(f"- {note}" for note in told)] if told else []
    for title, differences in (reliance or {}).items():
        lines += ["", f"## {title}, visual reliance", ""]
        lines += markdown_table(RELIANCE_HEADER, reliance_rows(title, differences, results[title]))
        told = reliance_notes({title: differences})
        lines += ["", *(f"- {note}" for note in told)] if told else []
    for title, metrics in results.items():
        lines += ["", f"## {title}, all metrics", ""]
        official = [_cells("", m) for m in metrics if m.official]
        others = [_cells("", m) for m in metrics if not m.official]
        lines += markdown_table(HEADER, official) if official else []
        if others:
            told = ["Not the official scorer's:", "", *markdown_table(HEADER, others)]
            lines += ["", *told] if official else told
    return "\n".join(lines) + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines. A column with a title and nothing in it is left out."""
    used = [i for i, title in enumerate(header) if not title or any(row[i] for row in rows)]
    lines = ["| " + " | ".join(header[i] for i in used) + " |"]
    lines.append("|" + "|".join("---:" if i >= N_LEFT else "---" for i in used) + "|")
    return lines + ["| " + " | ".join(row[i] for i in used) + " |" for row in rows]


def print_table(
    console: Console,
    heading: str,
    results: Mapping[str, Sequence[Metric]],
    remarks: Sequence[str] = (),
) -> None:
    """The headline table, and what to know about it."""
    print_rows(console, heading, HEADER, table_rows(results))
    for note in [*notes(results), *remarks]:
        console.print(f"  {note}", style="yellow")


def print_reliance(
    console: Console,
    control: str,
    reliance: Mapping[str, Sequence[Paired]],
    results: Mapping[str, Sequence[Metric]],
) -> None:
    """The table of visual reliance."""
    rows = [
        row
        for title, differences in reliance.items()
        for row in reliance_rows(title, differences, results[title])
    ]
    print_rows(console, f"visual reliance: score minus {control} control", RELIANCE_HEADER, rows)
    for note in reliance_notes(reliance):
        console.print(f"  {note}", style="yellow")


def print_rows(
    console: Console, heading: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """A table whose first column becomes a line of its own where it is not empty."""
    from rich import box
    from rich.table import Table

    table = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, name in enumerate(header[1:], start=1):
        table.add_column(name, justify="right" if index >= N_LEFT else "left", no_wrap=True)
    for row in rows:
        if row[0]:
            if table.row_count:
                table.add_section()
            table.add_row(row[0], style="bold")
        table.add_row(f"  {row[1]}", *row[2:])
    console.print(table)


class Progress:
    """Progress with rate and time left: a live line in a terminal, a plain line now and then elsewhere."""

    def __init__(self, console: Console, what: str) -> None:
        self.console, self.what = console, what
        self.live: Any = None
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            from rich import progress

            self.live = progress.Progress(
                progress.TextColumn("[bold]{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[rate]}"),
                progress.TimeRemainingColumn(),
                console=self.console,
            )
            self.live.start()
            self._task = self.live.add_task(self.what, total=None, rate="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` are there."""
        now = time.monotonic()
        rate = done / max(1e-9, now - self._began)
        if self.live is not None:
            self.live.update(self._task, completed=done, total=total, rate=_pace(rate))
        elif now - self._told >= LINE_EVERY_S or done == total:
            self._told = now
            left = (total - done) / max(1e-9, rate)
            self.console.print(f"{self.what} {done:,}/{total:,}  {_pace(rate)}  {_span(left)} left")


def _pace(rate: float) -> str:
    """Per second, or seconds each where it takes longer than one."""
    return f"{rate:.0f}/s" if rate >= 1 else f"{1 / max(rate, 1e-9):.0f} s each"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 3600:.1f} h"


def consoles() -> tuple[Console, Console]:
    """Where results go (stdout) and where everything else goes (stderr).

    Texts come from outside, so none is markup, and what the terminal's encoding lacks becomes a "?".
    """
    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    wide = None if sys.stdout.isatty() else FILE_WIDTH
    plain = partial(Console, highlight=False, markup=False)
    return plain(width=wide), plain(stderr=True)
