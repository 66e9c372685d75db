"""AMBER's metrics: percent with one decimal, from counts, as the official script prints them.

The official counters start at 0.001 where they are divided by, percentages are rounded with Python's
``round(x, 1)``, and F1 is made of the rounded precision and recall, so its last digit differs from a
textbook F1 at times. Every official metric has a second one beside it with ``_unrounded`` in its name,
for which nothing is rounded on the way.

The official script prints 0.0 for a group without an answer; here such a metric is undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.base import MetricSpec, Sums

Rounding = Callable[[np.ndarray], np.ndarray]
Formula = Callable[[Sums], np.ndarray]

START = 0.001
"""Where the official counters start that something is divided by (``metrics.txt``)."""

EXACT = "exact_"
"""Stands before the columns and metrics of the answers without normalisation."""

ATTRIBUTES = ("attribute-state", "attribute-number", "attribute-action")


def rounded(values: np.ndarray) -> np.ndarray:
    """Python's ``round(x, 1)`` for each element, for |x| up to some thousands.

    ``np.round`` multiplies by ten first, which makes a tie of what is none: the float 0.15 is a little
    less than 0.15, but ten times it is 1.5. Away from ties both find the same number of tenths, and
    its division by ten is the float nearest to the decimal number, as ``round`` gives it.
    """
    values = np.asarray(values, dtype=np.float64)
    tenths = np.ravel(values) * 10
    result = np.rint(tenths) / 10
    near_tie = np.abs(tenths - np.floor(tenths) - 0.5) < 1e-6
    result[near_tie] = [round(value, 1) for value in np.ravel(values)[near_tie].tolist()]
    return result.reshape(values.shape)


def unrounded(values: np.ndarray) -> np.ndarray:
    return values


def half_up(values: np.ndarray) -> np.ndarray:
    """One decimal, half up, of multiples of 0.05: what the official table does (48.65 is 48.7)."""
    return np.floor((np.rint(values * 20) + 1) / 2) / 10


@dataclass(frozen=True)
class Group:
    """A group of yes/no questions that the official script prints four figures for.

    Attributes:
        name: the metrics' split; "" for all questions together.
        splits: the splits that are added up.
        n_counters: how many counters, each starting at 0.001, the script adds up for it.
        epsilon: what F1's denominator has extra.
    """

    name: str
    splits: tuple[str, ...]
    n_counters: int = 1
    epsilon: float = 0.0001

    def total(self, sums: Sums, column: str) -> np.ndarray:
        return np.asarray(sum(sums[f"{split}/{column}"] for split in self.splits))

    def percent(self, sums: Sums, part: str, whole: str) -> np.ndarray:
        """100 part / whole; NaN where no question of the group was answered."""
        denominator = self.total(sums, whole) + self.n_counters * START
        share = self.total(sums, part) / denominator * 100
        return np.where(self.total(sums, "answered") > 0, share, np.nan)


GENERATIVE = Group("generative", ("generative",))
EXISTENCE = Group("existence", ("existence",), epsilon=0.001)
RELATION = Group("relation", ("relation",))


def groups(part: str, attributes: Sequence[str] = ATTRIBUTES) -> list[Group]:
    """The groups of a part in the order of the official output.

    Args:
        part: "all", "discriminative", "existence", "attribute", "relation" or "generative".
        attributes: the kinds of attribute questions that exist.
    """
    pooled = Group("attribute", tuple(attributes), n_counters=len(ATTRIBUTES))
    single = [Group(split, (split,)) for split in attributes]
    of_part = {
        "generative": [],
        "existence": [EXISTENCE],
        "attribute": [pooled, *single],
        "relation": [RELATION],
    }
    if part in of_part:
        return of_part[part]
    everything = Group("", ("existence", *attributes, "relation"))
    return [everything, EXISTENCE, pooled, *single, RELATION]


def accuracy(group: Group, rounding: Rounding, prefix: str = "") -> Formula:
    return lambda sums: rounding(group.percent(sums, f"{prefix}correct", "answered"))


def precision(group: Group, rounding: Rounding, prefix: str = "") -> Formula:
    """Of the answers "No", how many are right."""
    part, whole = f"{prefix}correct_no", f"{prefix}answered_no"
    return lambda sums: rounding(group.percent(sums, part, whole))


def recall(group: Group, rounding: Rounding, prefix: str = "") -> Formula:
    """Of the questions with the truth "no", how many are answered "No"."""
    return lambda sums: rounding(group.percent(sums, f"{prefix}correct_no", "truth_no"))


def f1(group: Group, rounding: Rounding, prefix: str = "") -> Formula:
    """F1 of precision and recall as they are printed; the operations stand in the official order."""

    def formula(sums: Sums) -> np.ndarray:
        p = precision(group, rounding, prefix)(sums) / 100
        r = recall(group, rounding, prefix)(sums) / 100
        return rounding(2 * p * r / (p + r + group.epsilon) * 100)

    return formula


def unparsed(group: Group, rounding: Rounding) -> Formula:
    """How many answers are neither "Yes" nor "No" after normalisation."""
    return lambda sums: rounding(group.percent(sums, "unparsed", "answered"))


def chair(rounding: Rounding) -> Formula:
    """Hallucinated mentions of all mentions."""
    return lambda sums: rounding(GENERATIVE.percent(sums, "hallucinated_mentions", "mentions"))


def cover(rounding: Rounding) -> Formula:
    """Mentioned truth words of all truth words."""
    return lambda sums: rounding(GENERATIVE.percent(sums, "truth_covered", "truth_total"))


def hal(rounding: Rounding) -> Formula:
    """Captions with a hallucinated mention of all captions."""
    return lambda sums: rounding(100 - GENERATIVE.percent(sums, "no_hallucination", "answered"))


def cog(rounding: Rounding) -> Formula:
    """Mentioned hallu words of all hallu words."""
    return lambda sums: rounding(GENERATIVE.percent(sums, "hallu_covered", "hallu_total"))


def amber_score(all_questions: Group, last_rounding: Rounding) -> Formula:
    """(100 - CHAIR + F1) / 2 of the printed CHAIR and F1.

    The official script does not print it; this reproduces every row of the official table.
    """

    def formula(sums: Sums) -> np.ndarray:
        score = (100 - chair(rounded)(sums) + f1(all_questions, rounded)(sums)) / 2
        return last_rounding(score)

    return formula


def generative_specs(official: bool) -> list[MetricSpec]:
    """CHAIR, Cover, Hal and Cog, which papers print, and the same unrounded.

    Args:
        official: whether nouns, similarity and threshold are the official ones.
    """
    figures: tuple[tuple[str, Callable[[Rounding], Formula], Literal["higher", "lower"]], ...] = (
        ("CHAIR", chair, "lower"),
        ("Cover", cover, "higher"),
        ("Hal", hal, "lower"),
        ("Cog", cog, "lower"),
    )
    return [
        MetricSpec(
            name=f"{name}{suffix}",
            formula=formula(rounding),
            direction=direction,
            split=GENERATIVE.name,
            display="points",
            official=official and not suffix,
            headline=not suffix,
        )
        for suffix, rounding in (("", rounded), ("_unrounded", unrounded))
        for name, formula, direction in figures
    ]


FIGURES = {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}
"""What the official script prints for a group, in its order."""


def group_specs(group: Group, *, headline: bool) -> list[MetricSpec]:
    """The four official figures of a group, the same unrounded, and the share of unread answers."""
    specs = [
        _spec(group, name, formula(group, rounded), headline=headline and name == "f1")
        for name, formula in FIGURES.items()
    ]
    specs += [
        _spec(group, f"{name}_unrounded", formula(group, unrounded), official=False)
        for name, formula in FIGURES.items()
    ]
    share = unparsed(group, unrounded)
    return [*specs, _spec(group, "unparsed", share, official=False, direction="lower")]


def exact_specs(group: Group) -> list[MetricSpec]:
    """The official figures of the answers as they came, without normalisation."""
    return [
        _spec(group, EXACT + name, formula(group, rounded, EXACT))
        for name, formula in FIGURES.items()
    ]


def _spec(
    group: Group,
    name: str,
    formula: Formula,
    *,
    direction: Literal["higher", "lower"] = "higher",
    official: bool = True,
    headline: bool = False,
) -> MetricSpec:
    return MetricSpec(
        name=name,
        formula=formula,
        direction=direction,
        split=group.name,
        splits=group.splits,
        display="points",
        official=official,
        headline=headline,
        undefined="no question of this group was answered",
    )


def amber_score_specs(all_questions: Group, official: bool) -> list[MetricSpec]:
    """The AMBER score as the official table has it, and before its last rounding."""
    return [
        MetricSpec(
            name=f"amber_score{suffix}",
            formula=amber_score(all_questions, last_rounding),
            direction="higher",
            splits=(*GENERATIVE.splits, *all_questions.splits),
            display="points",
            official=official and not suffix,
            headline=not suffix,
            undefined="the AMBER score needs captions and yes/no answers",
        )
        for suffix, last_rounding in (("", half_up), ("_unrounded", unrounded))
    ]
