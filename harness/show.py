"""What a person sees: the progress line, the table, and the same table as Markdown."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from benchmarks.base import Direction, Metric

if TYPE_CHECKING:
    from rich.console import Console

ARROWS: dict[Direction, str] = {"higher": "↑", "lower": "↓", "neither": " "}
LINE_EVERY_S = 10.0


def number(value: float | None, metric: Metric) -> str:
    """A value as the table shows it: percent with one decimal, other numbers with two or three."""
    if value is None:
        return "–"
    if metric.display == "percent":
        return f"{100 * value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def interval(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return "–"
    return f"{number(metric.low, metric)} – {number(metric.high, metric)}"


def coverage(metric: Metric) -> str:
    """ "200/200", with a star when not every item entered."""
    return f"{metric.n_scored:,}/{metric.n_asked:,}{'' if metric.complete else ' *'}"


def label(metric: Metric) -> str:
    return f"{metric.name} ({metric.split})" if metric.split else metric.name


def headlines(metrics: Sequence[Metric]) -> list[Metric]:
    return [metric for metric in metrics if metric.headline]


HEADER = ("benchmark", "metric", "", "value", "95 % interval", "scored/asked")


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
    by_note: dict[str, list[str]] = {}
    for metric in shown:
        if metric.note:
            by_note.setdefault(metric.note, []).append(label(metric))
    told = [f"{', '.join(names)}: {note}" for note, names in by_note.items()]
    if any(not metric.complete for metric in shown):
        told.append("* not every item that was asked entered this value")
    return told


def markdown(results: Mapping[str, Sequence[Metric]]) -> str:
    """summary.md: the headline table, then every metric of each benchmark."""
    lines = _markdown_table(table_rows(results))
    lines += [f"- {note}" for note in notes(results)]
    for title, metrics in results.items():
        lines += ["", f"## {title}, all metrics", ""]
        lines += _markdown_table([_cells("", m) for m in metrics if m.official])
        others = [_cells("", m) for m in metrics if not m.official]
        if others:
            lines += ["", "Ours, beside the official scorer's:", "", *_markdown_table(others)]
    return "\n".join(lines) + "\n"


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    used = [i for i in range(len(HEADER)) if i == 2 or any(row[i] for row in rows)]
    lines = ["| " + " | ".join(HEADER[i] for i in used) + " |"]
    lines.append("|" + "|".join("---:" if i in (3, 4, 5) else "---" for i in used) + "|")
    return lines + ["| " + " | ".join(row[i] for i in used) + " |" for row in rows]


def print_table(console: Console, heading: str, results: Mapping[str, Sequence[Metric]]) -> None:
    """The headline table, and what to know about it."""
    from rich import box
    from rich.table import Table

    table = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, name in enumerate(HEADER):
        table.add_column(name, justify="right" if index >= 3 else "left", no_wrap=index != 1)
    for row in table_rows(results):
        if row[0] and table.row_count:
            table.add_section()
        table.add_row(*row)
    console.print(table)
    for note in notes(results):
        console.print(f"  {note}", style="yellow", markup=False)


class Progress:
    """Progress with rate and time left: a live line in a terminal, a plain line now and then elsewhere."""

    def __init__(self, console: Console, what: str) -> None:
        self.console, self.what = console, what
        self.live: Any = None
        self._began = self._told = time.monotonic()
        self._first = 0

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
        """``done`` of ``total`` are there. The rate leaves out what was there at the first call."""
        now = time.monotonic()
        rate = done / max(1e-9, now - self._began)
        if self.live is not None:
            self.live.update(self._task, completed=done, total=total, rate=f"{rate:.0f}/s")
        elif now - self._told >= LINE_EVERY_S or done == total:
            self._told = now
            left = (total - done) / max(1e-9, rate)
            self.console.print(f"{self.what} {done:,}/{total:,}  {rate:.0f}/s  {left:.0f} s left")


def consoles() -> tuple[Console, Console]:
    """Where results go (stdout) and where everything else goes (stderr)."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() else 100
    return Console(width=wide, highlight=False), Console(stderr=True, highlight=False)
