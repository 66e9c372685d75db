"""MMBench's numbers: hits of questions and of passes, and the report by split and ability.

Official code: ``mcq_circular_eval``, ``mcq_vanilla_eval`` and ``report_acc`` (VLMEvalKit,
``vlmeval/dataset/utils/multiple_choice.py``), and the selection of first passes in
``vlmeval/dataset/image_mcq.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from benchmarks.base import Item, MetricSpec, Response, ScoreStatus, Sums
from benchmarks.mmbench_files import PASS_OFFSET, Pass
from benchmarks.mmbench_matching import NONE_OF_THEM

ABBREVIATIONS = {
    "coarse_perception": "CP",
    "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C",
    "logic_reasoning": "LR",
    "relation_reasoning": "RR",
    "attribute_reasoning": "AR",
}
"""L-2 abilities in reports."""

GROUPS = ("l2-category", "category")
"""By what the report is broken down, in its order."""

CIRCULAR = "circular"
FIRST_ORDER = "vanilla_first_order"
ALL_ORDERS = "vanilla_all_orders"
STRICT = "strict_circular"

WITHHELD = "the answers are not public: MMBench's server scores the upload file that a run writes"

RANDOM_SEED = 2680
"""VLMEvalKit's seed for the draw, before it stopped setting one."""
RANDOM = f"{CIRCULAR}_random_{RANDOM_SEED}"

Letters = Mapping[int, str | None]
"""By the number of an answered pass, the letter that was chosen; None where nothing tells."""


@dataclass(frozen=True)
class Matched:
    """What the answered passes of an item came to.

    Attributes:
        by_rule: the letters that the rules find.
        letters: the same with those of the matcher; without a matcher, NONE_OF_THEM in their place.
        not_judged: by the number of a pass that the matcher should have been asked about, why it
            was not.
        unread: the passes for which its replies name no letter.
    """

    item: Item
    by_rule: Letters
    letters: Letters
    not_judged: Mapping[int, str]
    unread: Sequence[int]

    @property
    def passes(self) -> Sequence[Pass]:
        """All passes of the item, those without an answer too."""
        passes: Sequence[Pass] = self.item.reference["passes"]
        return passes

    @property
    def hit(self) -> int | None:
        """See ``circular_hit``."""
        return circular_hit(self.passes, self.letters)

    def status(
        self, responses: Sequence[Response], *, vanilla_matcher: bool
    ) -> tuple[ScoreStatus, str]:
        """Whether the item has a score of ours, and why not.

        Args:
            responses: to all passes, or to as many as there are.
            vanilla_matcher: whether the matcher is asked about every pass.
        """
        n_missing = len(self.passes) - len(self.letters)
        if n_missing:
            error = next((turn.error for turn in responses if turn.error), "there is no answer")
            reason = f"{n_missing} of {len(self.passes)} passes are not answered: {error}"
            return ScoreStatus.GENERATION_ERROR, reason
        if is_withheld(self.item):
            return ScoreStatus.WITHHELD, WITHHELD
        if self.not_judged and (self.hit is None or vanilla_matcher):
            return ScoreStatus.JUDGE_ERROR, next(iter(self.not_judged.values()))
        if self.hit is None:
            return ScoreStatus.UNPARSED, "the matcher's replies name no option"
        return ScoreStatus.SCORED, ""


def is_withheld(item: Item) -> bool:
    """Whether an item's answers are not public."""
    return not all(one.answer for one in item.reference["passes"])


def circular_hit(passes: Sequence[Pass], letters: Letters) -> int | None:
    """1 if every answered pass is right, 0 if one is wrong, None while that is not known."""
    if any(letter not in (None, passes[number].answer) for number, letter in letters.items()):
        return 0
    return None if None in letters.values() else 1


def is_first_order(index: int, g_index: int | None) -> bool:
    """Whether VLMEvalKit counts a pass as the question's first.

    Without the column ``g_index`` it takes every index up to 1,000,000. That one is pass 1 of base
    question 0, so that a table which begins with 0 has a pass too many.
    """
    return index == g_index if g_index is not None else index <= PASS_OFFSET


def official_columns(
    matched: Matched, *, vanilla_matcher: bool, random_fallback: bool
) -> dict[str, float]:
    """What VLMEvalKit counts, from the passes that are answered and the judgments that are there."""
    counted: dict[str, float] = {
        "unmatched_by_rule": list(matched.by_rule.values()).count(None),
        "failed_extractions": len(matched.unread),
    }
    if is_withheld(matched.item):
        return counted
    if matched.hit is not None or not matched.not_judged:
        counted |= _circular_columns(matched, CIRCULAR, matched.hit or 0)
        if random_fallback:
            counted |= _circular_columns(matched, RANDOM, _drawn_hit(matched))
    if not vanilla_matcher:
        counted |= _vanilla_columns(matched, matched.by_rule)
    elif not matched.not_judged:
        counted |= _vanilla_columns(matched, matched.letters)
    return counted


def own_columns(matched: Matched) -> Mapping[str, float]:
    """The columns of Plumbline's own number, for questions whose every pass was answered and read."""
    return {f"{STRICT}/n": 1, f"{STRICT}/hit": matched.hit or 0}


def _circular_columns(matched: Matched, report: str, hit: int) -> dict[str, int]:
    """A question's columns, if its base pass is answered: without that it officially drops out."""
    answered = {str(matched.passes[number].row_index) for number in matched.letters}
    return _columns(matched.item, report, 1, hit) if matched.item.id in answered else {}


def _vanilla_columns(matched: Matched, letters: Letters) -> dict[str, int]:
    """The columns of a question's passes, each for itself; without a letter it is wrong."""
    hits = {number: letter == matched.passes[number].answer for number, letter in letters.items()}
    g_index = matched.item.reference["g_index"]
    first = [
        hit
        for number, hit in hits.items()
        if is_first_order(matched.passes[number].row_index, g_index)
    ]
    return {
        **_columns(matched.item, FIRST_ORDER, len(first), sum(first)),
        **_columns(matched.item, ALL_ORDERS, len(hits), sum(hits.values())),
    }


def _drawn_hit(matched: Matched) -> int:
    """A question's hit when each letter that the matcher did not give is drawn from those there are.

    A draw does not depend on the others. Where an option is lettered Z, VLMEvalKit stops with an
    error instead.
    """
    letters = dict(matched.letters)
    for number in matched.unread:
        one = matched.passes[number]
        choices = list(dict.fromkeys([*one.options, NONE_OF_THEM]))
        letters[number] = Random(f"{RANDOM_SEED} {one.row_index}").choice(choices)
    return circular_hit(matched.passes, letters) or 0


def _columns(item: Item, report: str, n: int, hits: int) -> dict[str, int]:
    """Columns over all questions, and over those of the item's abilities."""
    parts = [report, *(f"{report}/{group}/{label}" for group, label in _labels(item))]
    return {f"{part}/{name}": value for part in parts for name, value in (("n", n), ("hit", hits))}


def _labels(item: Item) -> Iterator[tuple[str, str]]:
    for group in GROUPS:
        if name := item.reference.get(group):
            yield group, ABBREVIATIONS.get(name, name)


def _mean(split: str, part: str) -> Callable[[Sums], np.ndarray]:
    """The share of hits in a part of the report."""
    return lambda sums: sums[f"{split}/{part}/hit"] / sums[f"{split}/{part}/n"]


def _total(split: str, column: str) -> Callable[[Sums], np.ndarray]:
    """A column's sum over a split."""
    return lambda sums: sums[f"{split}/{column}"]


def report_specs(items: Sequence[Item], reports: Mapping[str, bool]) -> list[MetricSpec]:
    """Every number of some reports, for every split: over all questions, then by ability.

    Args:
        reports: whether its numbers are official, by the report's name.
    """
    specs = []
    for report, official in reports.items():
        for split, undefined in _notes_by_split(items).items():
            overall = MetricSpec(
                name=report,
                formula=_mean(split, report),
                direction="higher",
                split=split,
                official=official,
                treatment="official",
                headline=report == CIRCULAR,
                undefined=undefined,
            )
            specs.append(overall)
            for label, group in _abilities(items).items():
                formula = _mean(split, f"{report}/{group}/{label}")
                name = f"{report}_{label}"
                specs.append(replace(overall, name=name, formula=formula, headline=False))
    return specs


def own_specs(items: Sequence[Item]) -> list[MetricSpec]:
    """CircularEval without the questions that were not read, and how many passes those are."""
    specs = []
    for split, undefined in _notes_by_split(items).items():
        strict = MetricSpec(
            name=STRICT,
            formula=_mean(split, STRICT),
            direction="higher",
            split=split,
            official=False,
            undefined=undefined,
        )
        count = replace(strict, direction="lower", display="number", treatment="official")
        specs += [
            strict,
            *(
                replace(count, name=column, formula=_total(split, column))
                for column in ("unmatched_by_rule", "failed_extractions")
            ),
        ]
    return specs


def _notes_by_split(items: Sequence[Item]) -> dict[str, str]:
    """The splits in the order of the table, and why a number does not exist there."""
    withheld: dict[str, bool] = {}
    for item in items:
        withheld[item.split] = withheld.get(item.split, True) and is_withheld(item)
    note = "no question of this kind was answered in this split"
    return {split: WITHHELD if hidden else note for split, hidden in withheld.items()}


def _abilities(items: Sequence[Item]) -> dict[str, str]:
    """Groups by label: L-2 abilities, then categories, each by their full names.

    A category that has the label of an ability takes its place, as in VLMEvalKit's table.
    """
    return {
        ABBREVIATIONS.get(name, name): group
        for group in GROUPS
        for name in sorted({item.reference[group] for item in items if group in item.reference})
    }
