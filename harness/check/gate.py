"""A run against a baseline: is it the same measurement, is it as complete, and is it worse?

The tests of a whole gate together fail a run that is as good as the baseline with a chance of at most alpha:
each is a paired permutation test clustered by group (``harness.paired``), and their p-values are corrected
by Holm's method over all metrics that are tested, which holds however much these hang together.

What a test can see is said beside it: the worsening D that fails the gate in at least 80 % of repetitions,

    D = tolerance + (z(1 - alpha / n_tests) + z(0.8)) sqrt(error^2 + D unit).

The level is that of Holm's first and strictest step, so a worsening of several metrics at once is seen
earlier. The last term is there because a run that gets worse does not differ from the baseline as this one does:
answers that are worse come on top of those that differ anyway, each with the square of its contribution.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from benchmarks.base import Metric, PlumblineError
from harness.check import sentences
from harness.check.baseline import Accepted, Baseline, measured
from harness.check.comparable import circumstances, refuse_mismatch
from harness.check.rules import Rule, Rules, key_of, similar
from harness.item_table import ItemTable, differing
from harness.paired import Comparison, Paired, holm
from harness.runs import Part, Run

POWER = 0.8
MIN_RESAMPLES = 10_000
RESAMPLES_PER_LEVEL = 10
"""So many swaps are to be expected beyond the strictest level of a test."""

_EXACT = 1e-9
"""Numbers that agree to so many parts are equal: 83.9 - 83.8 is not 0.1."""


class Outcome(StrEnum):
    PASSED = "ok"
    FAILED = "FAILED"
    UNTESTED = "untested"


@dataclass(frozen=True)
class Finding:
    """What became of one metric.

    Attributes:
        folder: how a run calls the benchmark; ``title`` is for a person.
        metric: the baseline's.
        before: the values that were compared; None where there is none. ``after`` likewise.
        paired: the test; None where the rule wants none, or none can be made.
        seen_at: a worsening that fails, in 80 % of repetitions where it is tested; None where no answer
            changed, which tells nothing about other runs.
        breaches: why the gate fails; empty where it does not.
        note: why nothing was compared, or what a pass leaves open.
    """

    folder: str
    title: str
    metric: Metric
    rule: Rule
    before: float | None
    after: float | None
    is_compared: bool = False
    paired: Paired | None = None
    seen_at: float | None = None
    breaches: Sequence[str] = ()
    note: str = ""

    @property
    def outcome(self) -> Outcome:
        if self.breaches:
            return Outcome.FAILED
        return Outcome.PASSED if self.is_compared else Outcome.UNTESTED


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        alpha: the chance that the tests fail a run that did not get worse, all ``n_tests`` together.
        findings: in the order of the baseline.
        remarks: what a reader should know that is no reason to fail.
    """

    run: str
    baseline: str
    rules: str
    alpha: float
    n_tests: int
    findings: Sequence[Finding]
    remarks: Sequence[str] = field(default=())

    @property
    def breaches(self) -> list[str]:
        """Each reason once, however many metrics it holds for."""
        return list(dict.fromkeys(b for finding in self.findings for b in finding.breaches))


class _Pair(NamedTuple):
    """A metric of both sides, to be judged; ``now`` is None where the run lacks the benchmark."""

    folder: str
    title: str
    rule: Rule
    metric: Metric
    now: Metric | None = None
    paired: Paired | None = None

    @property
    def p(self) -> float | None:
        if self.paired is None:
            return None
        return self.paired.p if self.rule.against == "change" else self.paired.p_worse


def check(
    run: Run,
    baseline: Baseline,
    rules: Rules,
    *,
    only: Collection[str] = (),
    data_dir: Path | None = None,
    baseline_name: str = "baseline",
) -> Verdict:
    """Judge a run.

    Args:
        only: benchmarks to look at, by folder name; all of the baseline if empty.
        data_dir: for the few formulas that need official files.
        baseline_name: what a person calls the baseline.

    Raises:
        NotComparableError: what was measured differs.
        PlumblineError: a rule or ``only`` names what the baseline does not have; nothing at all can be compared.
        MissingDataError: a formula needs files that are not there.
    """
    wanted = _wanted(baseline, only, baseline_name)
    rules.check_names(
        {key_of(name, m): m for name, it in baseline.benchmarks.items() for m in it.metrics}
    )
    checked = {folder: _checked(folder, accepted, rules) for folder, accepted in wanted.items()}
    parts = {folder: part for folder, part in measured(run).items() if folder in wanted}
    tables = {folder: ItemTable.of_part(part) for folder, part in parts.items()}
    needed = {folder: [metric for metric, _ in checked[folder]] for folder in tables}
    refuse_mismatch(run, baseline_name, wanted, tables, needed)

    n_planned = sum(rule.mode == "statistical" for name in parts for _, rule in checked[name])
    n_resamples = max(MIN_RESAMPLES, math.ceil(RESAMPLES_PER_LEVEL * n_planned / rules.alpha))
    pairs, changed = list[_Pair](), list[str]()
    for folder, accepted in wanted.items():
        if folder not in parts:
            pairs += [_Pair(folder, accepted.title, rule, m) for m, rule in checked[folder]]
            continue
        sides = accepted.table(tables[folder].item_ids.tolist()), tables[folder]
        every = np.arange(len(accepted.rows))
        if n_changed := int(differing(*sides, (every, every)).sum()):
            changed.append(f"{accepted.title} {n_changed:,} of {len(accepted.rows):,}")
        tests = _tests(parts[folder], sides, checked[folder], data_dir, n_resamples)
        now = {(metric.name, metric.split): metric for metric in parts[folder].metrics}
        for metric, rule in checked[folder]:
            key = metric.name, metric.split
            pairs.append(_Pair(folder, accepted.title, rule, metric, now[key], tests.get(key)))
    adjusted = holm([pair.p for pair in pairs])
    n_tests = len(adjusted) - adjusted.count(None)
    findings = [
        _judged(pair, p, rules.alpha, n_tests) for pair, p in zip(pairs, adjusted, strict=True)
    ]
    if all(finding.outcome is Outcome.UNTESTED for finding in findings):
        why = (
            "; ".join(dict.fromkeys(finding.note for finding in findings)) or "no metric is checked"
        )
        raise PlumblineError(f"{baseline_name}: there is nothing to compare: {why}")
    remarks = circumstances(run, baseline, only)
    if changed:
        remarks.append(f"items with other numbers: {', '.join(changed)}")
    return Verdict(run.name, baseline_name, rules.source, rules.alpha, n_tests, findings, remarks)


def _wanted(baseline: Baseline, only: Collection[str], baseline_name: str) -> dict[str, Accepted]:
    for name in only:
        if name not in baseline.benchmarks:
            there = ", ".join(baseline.benchmarks)
            hint = similar(name, baseline.benchmarks) or f"; it has {there}"
            raise PlumblineError(f"--only {name}: it is not in {baseline_name}{hint}")
    return {name: it for name, it in baseline.benchmarks.items() if not only or name in only}


def _checked(folder: str, accepted: Accepted, rules: Rules) -> list[tuple[Metric, Rule]]:
    with_rules = ((metric, rules.of(key_of(folder, metric))) for metric in accepted.metrics)
    return [(metric, rule) for metric, rule in with_rules if rule.is_for(metric)]


def _tests(
    part: Part,
    sides: Sequence[ItemTable],
    checked: Sequence[tuple[Metric, Rule]],
    data_dir: Path | None,
    n_resamples: int,
) -> dict[tuple[str, str], Paired]:
    """The paired tests of a benchmark, by metric name and split. lmms-eval's formulas are not kept with a run."""
    asked = {
        (m.name, m.split): rule.allowed(m) for m, rule in checked if rule.mode == "statistical"
    }
    if not asked or part.about["options"] is None:
        return {}
    specs = [s for s in part.open(data_dir).metric_specs() if (s.name, s.split) in asked]
    allowed = [asked[spec.name, spec.split] for spec in specs]
    comparison = Comparison(specs, sides, n_resamples=n_resamples, allowed=allowed)
    return {(found.name, found.split): found for found in comparison.paired(0, 1)}


def _judged(pair: _Pair, p: float | None, alpha: float, n_tests: int) -> Finding:
    """A finding from a pair and its adjusted p-value."""
    metric, now = pair.metric, pair.now
    after = None if now is None else now.value
    finding = Finding(pair.folder, pair.title, metric, pair.rule, metric.value, after)
    if now is None:
        reason = f"{pair.title}: the run lacks it (--only NAME checks other benchmarks alone)"
        return replace(finding, breaches=[reason])
    breaches = [*_lost_coverage(pair, now)]
    if metric.value is None or now.value is None:
        if metric.value is not None:
            breaches.append(sentences.undefined(pair.title, metric, now))
        note = f"nothing to compare: {now.note or metric.note or 'not defined in the baseline'}"
        return replace(finding, breaches=breaches, note=note)
    if pair.rule.mode == "fixed":
        return _fixed(finding, metric.value, now.value, breaches)
    if pair.paired is None or p is None:
        why = pair.paired.note if pair.paired else "its formulas are lmms-eval's"
        note = f'not tested ({why}); a rule with mode = "fixed" compares the values'
        return replace(finding, breaches=breaches, note=note)
    return _tested(replace(finding, paired=pair.paired), pair.paired, p, alpha, n_tests, breaches)


def _fixed(finding: Finding, before: float, after: float, breaches: list[str]) -> Finding:
    """Any worsening beyond the tolerance is a breach."""
    rule, metric = finding.rule, finding.metric
    allowed = rule.allowed(metric)
    loss = before - after if metric.direction == "higher" else after - before
    if rule.against == "change":
        loss = abs(loss)
    if loss > allowed + _EXACT * max(abs(before), abs(after)):
        breaches.append(sentences.moved(finding.title, metric, before, after, rule))
    note = sentences.unseen(allowed, metric, rule)
    return replace(finding, is_compared=True, seen_at=allowed, breaches=breaches, note=note)


def _tested(
    finding: Finding, paired: Paired, p: float, alpha: float, n_tests: int, breaches: list[str]
) -> Finding:
    """A worsening beyond the tolerance that is significant is a breach. The values are those of the common items."""
    rule, metric = finding.rule, finding.metric
    before, after = paired.value_a, paired.value_b
    assert before is not None
    assert after is not None
    level = alpha / n_tests / (2 if rule.against == "change" else 1)
    seen_at = detectable(paired, rule.allowed(metric), level)
    note = "no answer changed" if seen_at is None else sentences.unseen(seen_at, metric, rule)
    if p <= alpha:
        test = sentences.tested(paired, p, n_tests, metric, rule)
        breaches.append(sentences.moved(finding.title, metric, before, after, rule, test))
    return replace(
        finding,
        is_compared=True,
        before=before,
        after=after,
        seen_at=seen_at,
        breaches=breaches,
        note=note,
    )


def detectable(paired: Paired, allowed: float, level: float) -> float | None:
    """The worsening that is seen in at least 80 % of cases; see the module's head.

    Args:
        level: of a one-sided test.
    """
    if paired.unit is None or paired.standard_error is None:
        return None
    k = (NormalDist().inv_cdf(1 - level) + NormalDist().inv_cdf(POWER)) ** 2
    variance = paired.standard_error**2 + allowed * paired.unit
    return allowed + (k * paired.unit + math.sqrt((k * paired.unit) ** 2 + 4 * k * variance)) / 2


def _lost_coverage(pair: _Pair, now: Metric) -> Iterator[str]:
    before, rule = pair.metric, pair.rule
    if not now.n_asked or (before.value is None and now.value is None):
        return
    share, accepted = (metric.n_scored / metric.n_asked for metric in (now, before))
    if share < accepted - rule.coverage_loss - _EXACT:
        yield sentences.coverage_fell(pair.title, before, now, rule)
    if share < rule.min_coverage - _EXACT:
        yield sentences.coverage_low(pair.title, now, rule)
