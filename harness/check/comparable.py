"""Did run and baseline measure the same thing, and what is different around them?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.base import Metric, PlumblineError
from harness.check.baseline import (
    Accepted,
    Baseline,
    identity_of,
    measured,
    versions_of,
    weights_of,
)
from harness.check.sentences import visible
from harness.item_table import ItemTable
from harness.runs import Part, Run, judged_alike
from harness.store import differing, shortened


class NotComparableError(PlumblineError):
    """Run and baseline did not measure the same thing; the text names each difference."""


def refuse_mismatch(
    run: Run,
    baseline_name: str,
    accepted: Mapping[str, Accepted],
    tables: Mapping[str, ItemTable],
    needed: Mapping[str, Sequence[Metric]],
) -> None:
    """Compare protocol, judge and items of the benchmarks that both have.

    Args:
        accepted: what the baseline has of them, by folder; ``tables`` what the run has.
        needed: the metrics that are to be compared.

    Raises:
        NotComparableError: anything differs.
    """
    found = []
    for folder, table in tables.items():
        part, of_baseline = run.parts[folder], accepted[folder]
        told = [
            *_other_protocol(of_baseline, part),
            *_other_items(of_baseline, table),
            *_lacking(needed[folder], part),
        ]
        found += [f"  {visible(f'{of_baseline.title}: {line}')}" for line in told]
    if found:
        listed = "\n".join(found)
        raise NotComparableError(
            f"{run.path} and {baseline_name} did not measure the same:\n{listed}\n"
            "Run again with the baseline's settings (its file names its command), name the benchmarks that "
            "agree with --only, or accept the new measurement: the same command with --update"
        )


def _other_protocol(accepted: Accepted, part: Part) -> Iterator[str]:
    """Differences in edition, protocol and judge."""
    for where, before, now in differing(identity_of(accepted.about), identity_of(part.about)):
        yield f"{where} is {shortened(before)} in the baseline, {shortened(now)} in the run"
    if not judged_alike(accepted.about["judges"], part.judges):
        before, now = (", ".join(sorted(each)) for each in (accepted.about["judges"], part.judges))
        yield f"judged by {before} in the baseline, by {now} in the run"


def _other_items(accepted: Accepted, table: ItemTable) -> Iterator[str]:
    asked = {row.item_id: (row.group, row.split) for row in accepted.rows}
    now = dict(zip(table.item_ids, zip(table.groups, table.splits, strict=True), strict=True))
    if asked.keys() != now.keys():
        n_common = len(asked.keys() & now.keys())
        yield (
            f"{len(asked):,} items are asked in the baseline, {len(now):,} in the run, {n_common:,} in "
            "both (another --limit?)"
        )
        return
    others = [item_id for item_id in asked if asked[item_id] != now[item_id]]
    if others:
        yield f"{len(others):,} items are in another group or split, such as {others[0]}"


def _lacking(needed: Sequence[Metric], part: Part) -> Iterator[str]:
    there = {(metric.name, metric.split) for metric in part.metrics}
    for metric in needed:
        if (metric.name, metric.split) not in there:
            yield f"the run has no metric {metric.name!r} {metric.split}".rstrip()


def circumstances(run: Run, baseline: Baseline, only: Collection[str]) -> list[str]:
    """Whether the weights are others, what else differs around them, and which benchmarks are new."""
    identity: Mapping[str, Any] = run.info["identity"]
    weights = weights_of(identity)
    is_same = weights == baseline.weights and weights != "unknown"
    told = [
        f"baseline of {str(baseline.made.get('at'))[:10]} from {baseline.made.get('from_run')}, weights "
        f"{baseline.weights}; the run's weights: {'the same' if is_same else weights}"
    ]
    sides = (
        {**baseline.run["identity"]["checkpoint"], **baseline.run.get("versions", {})},
        {**identity["checkpoint"], **versions_of(run)},
    )
    told += [
        f"{where}: {shortened(before)} in the baseline, {shortened(now)} in the run"
        for where, before, now in differing(*sides)
        if not where.endswith("_sha256")
    ]
    new = [part.title for name, part in measured(run).items() if name not in baseline.benchmarks]
    if new and not only:
        told.append(f"not in the baseline, so not checked (--update adds it): {', '.join(new)}")
    return told
