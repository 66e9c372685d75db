"""What a person reads: the table in the terminal, and the Markdown summary for a CI system's page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.check.changes import Changes
from harness.check.gate import Finding, Outcome, Verdict
from harness.check.sentences import ends, signed, visible
from harness.show import ARROWS, label, markdown_table, number, print_rows

if TYPE_CHECKING:
    from rich.console import Console

HEADER = ("benchmark", "metric", "", "before", "now", "change", "95 % interval", "seen at", "")
INTERVAL = HEADER.index("95 % interval")
WIDE = 104
"""Columns of a terminal with room for the interval. A reason and the summary have it anyway."""
CHANGES_HEADER = ("benchmark", "metric", "", "accepted", "new", "change")

LONGEST_TITLE = 60
"""A longer one is cut, or a table would have no room for numbers."""

_MARKUP = re.compile(r"[\\`*_\[\]<>&|~#!@]")


def print_verdict(console: Console, verdict: Verdict) -> None:
    """The table, the reasons, the remarks, and the verdict on the last line."""
    heading = visible(f"{verdict.run} against {verdict.baseline}")
    shown = [i for i in range(len(HEADER)) if console.width >= WIDE or i != INTERVAL]
    rows = [tuple(visible(row[i]) for i in shown) for row in _rows(verdict)]
    print_rows(console, heading, [HEADER[i] for i in shown], rows)
    for reason in verdict.breaches:
        console.print(f"  {visible(reason)}", style="bold red", soft_wrap=True)
    for remark in _remarks(verdict):
        console.print(f"  {visible(remark)}", style="yellow", soft_wrap=True)
    console.print(f"\n{_in_short(verdict)}", style="bold", soft_wrap=True)


def summary(verdict: Verdict) -> str:
    """The same as Markdown. Texts from outside are neither markup nor HTML."""
    rows = [tuple(map(_inert, row)) for row in _rows(verdict)]
    lines = [f"### {_inert(_in_short(verdict))}", ""]
    lines += [f"- **{_inert(reason)}**" for reason in verdict.breaches]
    lines += [""] if verdict.breaches else []
    lines += markdown_table(HEADER, rows)
    lines += ["", *(f"- {_inert(remark)}" for remark in _remarks(verdict))]
    return "\n".join(lines) + "\n"


def _inert(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", visible(text))


def _rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """Cells by ``HEADER``; a benchmark's title on its first row only."""
    rows, folder = [], None
    for finding in verdict.findings:
        title = "" if finding.folder == folder else visible(finding.title)[:LONGEST_TITLE]
        rows.append((title, *_cells(finding)))
        folder = finding.folder
    return rows


def _cells(finding: Finding) -> tuple[str, ...]:
    metric, rule, before, after = finding.metric, finding.rule, finding.before, finding.after
    change = None if before is None or after is None else after - before
    return (
        label(metric),
        ARROWS[metric.direction],
        number(before, metric),
        number(after, metric),
        signed(change, metric),
        ends(finding.paired, metric),
        f"{rule.tolerance:g}" if rule.mode == "fixed" else number(finding.seen_at, metric),
        str(finding.outcome),
    )


def _remarks(verdict: Verdict) -> list[str]:
    lines = [*verdict.remarks]
    tested = [one for one in verdict.findings if one.paired is not None]
    if verdict.n_tests:
        lines.append(
            f"{verdict.n_tests} paired tests; together they fail a run that did not get worse with a "
            f"chance of at most {100 * verdict.alpha:g} %"
        )
    if any(one.seen_at is not None for one in tested):
        lines.append(
            "seen at: a worsening of this size fails in four cases of five; a smaller one may pass unseen"
        )
    if any(one.seen_at is None for one in tested):
        lines.append("seen at –: no answer changed that the metric depends on")
    untested = [one for one in verdict.findings if one.outcome is Outcome.UNTESTED]
    return lines + [f"{one.title} {label(one.metric)}: {one.note}" for one in untested]


def _in_short(verdict: Verdict) -> str:
    counts = {kind: sum(one.outcome is kind for one in verdict.findings) for kind in Outcome}
    n_failed = counts[Outcome.FAILED]
    untested = f", {counts[Outcome.UNTESTED]} untested" if counts[Outcome.UNTESTED] else ""
    n = len(verdict.findings)
    if n_failed:
        return f"gate failed: {n_failed} of {n} metrics{untested}"
    return f"gate passed: {n} metrics{untested}"


def print_changes(console: Console, path: str, changes: Changes) -> None:
    """What ``--update`` did to the baseline."""
    if changes.rows:
        rows = [tuple(map(visible, row)) for row in changes.rows]
        print_rows(console, visible(f"new numbers in {path}"), CHANGES_HEADER, rows)
    for remark in changes.remarks:
        console.print(f"  {visible(remark)}", style="yellow", soft_wrap=True)
    console.print(f"accepted: {visible(path)}", style="bold", soft_wrap=True)
