"""Findings in words. Names and titles come from outside: ``visible`` before they are shown."""

from __future__ import annotations

import re

from benchmarks.base import Metric
from harness.check.rules import Rule
from harness.paired import Paired
from harness.show import number

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Control characters, line ends, marks that turn text around, and what XML cannot hold."""


def visible(text: str) -> str:
    """A text on one line that no terminal obeys and any XML file holds: the rest stands as escapes."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def signed(value: float | None, metric: Metric) -> str:
    """A difference with its sign and the decimals of its metric."""
    if value is None:
        return "–"
    text = number(abs(value), metric)
    return text if float(text) == 0 else f"{'−' if value < 0 else '+'}{text}"


def ends(paired: Paired | None, metric: Metric) -> str:
    """The difference's interval."""
    if paired is None or paired.low is None or paired.high is None:
        return "–"
    return f"{signed(paired.low, metric)} – {signed(paired.high, metric)}"


def moved(
    title: str, metric: Metric, before: float, after: float, rule: Rule, test: str = ""
) -> str:
    """Why a metric failed: what it did, how sure that is (``test``) and what was allowed."""
    shown = [number(value, metric) for value in (before, after)]
    change = signed(after - before, metric)
    if shown[0] == shown[1]:
        scale = 100 if metric.display == "percent" else 1
        shown = [f"{scale * value:.9g}" for value in (before, after)]
        change = f"{scale * (after - before):+.2g}".replace("-", "−")
    verb = "fell" if after < before else "rose"
    facts = [change, test, f"allowed {rule.tolerance:g}"]
    listed = "; ".join(filter(None, facts))
    return f"{_name(title, metric)} {verb} {shown[0]} → {shown[1]} ({listed})"


def tested(paired: Paired, p: float, n_tests: int, metric: Metric, rule: Rule) -> str:
    """How sure a change is; ``p`` is corrected for ``n_tests``."""
    size = "< 0.001" if p < 0.001 else f"= {p:.3f}"
    sides = "two-sided" if rule.against == "change" else "one-sided"
    corrected = f", corrected for {n_tests} tests" if n_tests > 1 else ""
    return f"95 % interval {ends(paired, metric)}; p {size} {sides}{corrected}"


def undefined(title: str, before: Metric, now: Metric) -> str:
    was = number(before.value, before)
    return f"{_name(title, before)} was {was} and is no longer defined: {now.note or 'no value'}"


def coverage_fell(title: str, before: Metric, now: Metric, rule: Rule) -> str:
    lost = f"allowed loss {100 * rule.coverage_loss:g} %"
    return f"{_name(title, now)}: coverage fell {_scored(before)} → {_scored(now)} ({lost})"


def coverage_low(title: str, now: Metric, rule: Rule) -> str:
    least = f"at least {100 * rule.min_coverage:g} % must"
    return f"{_name(title, now)}: {_scored(now)} items have a score; {least}"


def unseen(size: float, metric: Metric, rule: Rule) -> str:
    """What a pass leaves open."""
    what = "change" if rule.against == "change" else "worsening"
    if rule.mode == "fixed":
        return f"a {what} of up to {rule.tolerance:g} is allowed"
    return f"a {what} below {number(size, metric)} would pass unseen"


def _name(title: str, metric: Metric) -> str:
    """ "POPE (pocket) f1 (adversarial)"."""
    return f"{title} {metric.name}" + (f" ({metric.split})" if metric.split else "")


def _scored(metric: Metric) -> str:
    return f"{metric.n_scored:,}/{metric.n_asked:,}"
