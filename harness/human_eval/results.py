"""What annotators' verdicts say: wins and ties or ratings with intervals, agreement, who disagrees on what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from statistics import fmean

import numpy as np

from benchmarks.base import Direction, Display, Metric, MetricSpec, ScoreRow, ScoreStatus, Sums
from harness.agreement import (
    Agreement,
    Bootstrap,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    observed_agreement,
)
from harness.human_eval.rubrics import HALLUCINATED_BELOW, PREFERENCE, A, B
from harness.human_eval.study import Pair, Study, Task
from harness.human_eval.verdicts import Returned, Verdict
from harness.paired import Paired, compare_rows
from harness.stats import evaluate

LOSS, TIE, WIN = 0, 1, 2
OUTCOMES = ("loss", "tie", "win")

Codes = Mapping[str, Mapping[str, int]]
"""By task and annotator: the place of the verdict on the rubric's scale, seen from the pair's first run."""


@dataclass(frozen=True)
class Outcome:
    """A pair of runs, or one rated run.

    Attributes:
        name: "mdpo against dpo", or the run's name.
        n_identical: questions that count as ties because both responses are the same.
        counts: how many questions each verdict won: the annotators' only verdict, or that of most.
        method: how the intervals were made.
    """

    name: str
    metrics: Sequence[Metric]
    counts: Mapping[str, int]
    n_identical: int
    method: str


@dataclass(frozen=True)
class Annotator:
    """An annotator's habits.

    Attributes:
        verdicts: how often each was given, as it stands in the sheet (so that a liking for a side shows).
        with_others: the share of other annotators' verdicts on the same tasks that are the same; None without.
        mean_distance: the same for the mean distance on the scale.
    """

    name: str
    n: int
    n_missing: int
    verdicts: Mapping[str, int]
    with_others: float | None
    mean_distance: float | None


@dataclass(frozen=True)
class Disagreement:
    """A task on which annotators differ; ``verdicts`` by annotator, seen from the pair's first run."""

    task: Task
    verdicts: Mapping[str, str]
    comments: Mapping[str, str]
    distance: int


@dataclass(frozen=True)
class Results:
    """Everything that ``import`` reports.

    Attributes:
        differences: of rated runs, by "a against b".
    """

    study: Study
    returned: Returned
    codes: Codes
    outcomes: Sequence[Outcome]
    differences: Mapping[str, Sequence[Paired]]
    agreement: Sequence[Agreement]
    annotators: Sequence[Annotator]
    disagreements: Sequence[Disagreement]


def evaluate_verdicts(study: Study, returned: Returned, *, seed: int = 0) -> Results:
    """Everything that follows from the verdicts."""
    codes = _codes(study, returned.verdicts)
    differences: dict[str, Sequence[Paired]] = {}
    if study.rubric is PREFERENCE:
        outcomes = [_pair_outcome(study, pair, codes, seed) for pair in study.pairs]
    else:
        rows = [_run_rows(study, run, codes) for run in range(len(study.runs))]
        outcomes = [
            _run_outcome(study, run, rows[run], codes, seed) for run in range(len(study.runs))
        ]
        differences = {
            pair_name(study, (x, y)): compare_rows(RATING_SPECS, rows[y], rows[x], seed=seed)
            for x, y in study.pairs
        }
    return Results(
        study,
        returned,
        codes,
        outcomes,
        differences,
        _agreement(study, returned.annotators, codes, seed),
        [_annotator(study, name, returned, codes) for name in returned.annotators],
        _disagreements(study, returned, codes),
    )


def pair_name(study: Study, pair: Pair) -> str:
    return f"{study.runs[pair[0]].name} against {study.runs[pair[1]].name}"


def code_of(study: Study, verdict: Verdict) -> int:
    """A verdict's place on the scale; of a preference, seen from the pair's first run."""
    value = verdict.value
    if study.rubric is PREFERENCE and verdict.task.id in verdict.sheet.flipped:
        value = {A: B, B: A}.get(value, value)
    return study.rubric.scale.index(value)


def meaning_of(study: Study, code: int) -> str:
    """What a code means, for a person."""
    return OUTCOMES[code] if study.rubric is PREFERENCE else study.rubric.scale[code]


def _codes(study: Study, verdicts: Iterable[Verdict]) -> Codes:
    codes: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for verdict in verdicts:
        codes[verdict.task.id][verdict.annotator] = code_of(study, verdict)
    return codes


def _mean(column: str, sums: Sums) -> np.ndarray:
    return np.asarray(sums[f"/{column}"] / sums["/n"])


def _spec(column: str, direction: Direction, display: Display) -> MetricSpec:
    return MetricSpec(
        column.replace("_", " "), partial(_mean, column), direction, display=display,
        undefined="nobody has judged it",
    )  # fmt: skip


PREFERENCE_SPECS = [
    _spec("wins", "higher", "percent"),
    _spec("ties", "neither", "percent"),
    _spec("losses", "lower", "percent"),
    _spec("wins_or_ties", "higher", "percent"),
    _spec("wins_minus_losses", "higher", "percent"),
]
"""mDPO's paper prints wins or ties: "of better or same quality"."""

SHARES = ("wins", "ties", "losses", "wins_or_ties", "hallucination_rate")
"""Of questions; the other metrics are means of something else."""

RATING_SPECS = [_spec("score", "higher", "number"), _spec("hallucination_rate", "lower", "percent")]


def _row(study: Study, item_id: str, values: Mapping[str, float] | None) -> ScoreRow:
    """An item's numbers, averaged over annotators, so that each item counts once."""
    group = study.question_of[item_id].group
    if values is None:
        return ScoreRow(item_id, group, "", ScoreStatus.JUDGE_ERROR)
    return ScoreRow(item_id, group, "", ScoreStatus.SCORED, values={"n": 1.0, **values})


def _pair_outcome(study: Study, pair: Pair, codes: Codes, seed: int) -> Outcome:
    given = {item_id: [TIE] for item_id, same in study.identical if same == pair}
    n_identical = len(given)
    given |= {t.item_id: list(codes.get(t.id, {}).values()) for t in study.tasks if t.runs == pair}
    rows = [
        _row(study, item_id, _preference(found) if found else None)
        for item_id, found in given.items()
    ]
    metrics, method = _measured(PREFERENCE_SPECS, rows, seed)
    counts = _counts(study, given.values())
    return Outcome(pair_name(study, pair), metrics, counts, n_identical, method)


def _preference(codes: Sequence[int]) -> dict[str, float]:
    wins, ties, losses = (codes.count(each) / len(codes) for each in (WIN, TIE, LOSS))
    return {
        "wins": wins,
        "ties": ties,
        "losses": losses,
        "wins_or_ties": wins + ties,
        "wins_minus_losses": wins - losses,
    }


def _run_rows(study: Study, run: int, codes: Codes) -> list[ScoreRow]:
    return [
        _row(study, task.item_id, rating_values(found) if found else None)
        for task, found in _ratings(study, run, codes)
    ]


def rating_values(codes: Sequence[int]) -> dict[str, float]:
    """The mean score and the share of annotators who saw something made up."""
    return {
        "score": fmean(codes),
        "hallucination_rate": fmean(code < HALLUCINATED_BELOW for code in codes),
    }


def _ratings(study: Study, run: int, codes: Codes) -> list[tuple[Task, list[int]]]:
    tasks = [task for task in study.tasks if run in task.runs]
    return [(task, list(codes.get(task.id, {}).values())) for task in tasks]


def _run_outcome(
    study: Study, run: int, rows: Sequence[ScoreRow], codes: Codes, seed: int
) -> Outcome:
    metrics, method = _measured(RATING_SPECS, rows, seed)
    counts = _counts(study, [found for _, found in _ratings(study, run, codes)])
    return Outcome(study.runs[run].name, metrics, counts, 0, method)


def _counts(study: Study, judged: Iterable[Sequence[int]]) -> dict[str, int]:
    """Questions by the verdict that most annotators gave; "undecided" where two are equally frequent."""
    names = [meaning_of(study, code) for code in range(len(study.rubric.scale))]
    counts = dict.fromkeys([*reversed(names), "undecided"], 0)
    for codes in judged:
        if codes:
            ranked = sorted(((codes.count(code), code) for code in set(codes)), reverse=True)
            is_clear = len(ranked) == 1 or ranked[0][0] > ranked[1][0]
            counts[names[ranked[0][1]] if is_clear else "undecided"] += 1
    return counts


def _measured(
    specs: Sequence[MetricSpec], rows: Sequence[ScoreRow], seed: int
) -> tuple[list[Metric], str]:
    """Metrics, and how their intervals were made.

    Where every question is independent of the others and was judged as one thing or another, shares have Wilson's
    interval, which is right for few questions and for shares near 0 and 1. Otherwise groups are drawn.
    """
    metrics = evaluate(specs, rows, seed=seed)
    scored = [row.values for row in rows if row.status is ScoreStatus.SCORED]
    n_groups = len({row.group for row in rows if row.status is ScoreStatus.SCORED})
    drawn = f"bootstrap over {n_groups} groups"
    shares = [m for m in metrics if m.name.replace(" ", "_") in SHARES]
    counts = {m.name: [values[m.name.replace(" ", "_")] for values in scored] for m in shares}
    is_whole = {value for values in counts.values() for value in values} <= {0.0, 1.0}
    is_exact = is_whole and n_groups == len(scored) > 0
    if not is_exact:
        return metrics, drawn
    exact = [_wilson(m, counts[m.name]) if m.name in counts else m for m in metrics]
    return exact, f"Wilson's for shares, {drawn} for the rest"


def _wilson(metric: Metric, values: Sequence[float]) -> Metric:
    from scipy.stats import binomtest

    found = binomtest(round(sum(values)), len(values)).proportion_ci(0.95, method="wilson")
    return replace(metric, low=float(found.low), high=float(found.high), note=None)


def _agreement(study: Study, annotators: Sequence[str], codes: Codes, seed: int) -> list[Agreement]:
    tasks = [task for task in study.tasks if task.id in codes]
    if len(annotators) < 2 or not tasks:
        return []
    ratings = [[codes[task.id].get(name) for name in annotators] for task in tasks]
    groups = [study.question_of[task.item_id].group for task in tasks]
    bootstrap = Bootstrap(groups, seed=seed)
    k = len(study.rubric.scale)
    is_rating = study.rubric is not PREFERENCE
    found = [observed_agreement(ratings, k, bootstrap)]
    for i, j in combinations(range(len(annotators)), 2):
        two = [[unit[i], unit[j]] for unit in ratings]
        who = "" if len(annotators) == 2 else f", {annotators[i]} and {annotators[j]}"
        kappas = [cohen_kappa(two, k, bootstrap)]
        if is_rating:
            kappas.append(cohen_kappa(two, k, bootstrap, weights="quadratic"))
        found += [replace(kappa, name=kappa.name + who) for kappa in kappas]
    found.append(fleiss_kappa(ratings, k, bootstrap))
    found.append(krippendorff_alpha(ratings, k, bootstrap))
    found.append(krippendorff_alpha(ratings, k, bootstrap, level="ordinal"))
    if is_rating:
        found.append(krippendorff_alpha(ratings, k, bootstrap, level="interval"))
        made_up = [[None if c is None else int(c < HALLUCINATED_BELOW) for c in u] for u in ratings]
        flag = krippendorff_alpha(made_up, 2, bootstrap)
        found.append(replace(flag, name="Krippendorff's alpha (made up or not)"))
    return found


def _annotator(study: Study, name: str, returned: Returned, codes: Codes) -> Annotator:
    own = [verdict for verdict in returned.verdicts if verdict.annotator == name]
    values = [verdict.value for verdict in own]
    distances = [
        abs(code - given[name])
        for given in codes.values()
        if name in given
        for other, code in given.items()
        if other != name
    ]
    return Annotator(
        name,
        len(own),
        len(returned.missing[name]),
        {option.value: values.count(option.value) for option in study.rubric.options},
        fmean(d == 0 for d in distances) if distances else None,
        fmean(distances) if distances else None,
    )


def _disagreements(study: Study, returned: Returned, codes: Codes) -> list[Disagreement]:
    """The widest apart first."""
    comments: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for verdict in returned.verdicts:
        if verdict.comment:
            comments[verdict.task.id][verdict.annotator] = verdict.comment
    found = []
    for task in study.tasks:
        given = codes.get(task.id, {})
        if len(set(given.values())) > 1:
            told = {name: meaning_of(study, code) for name, code in given.items()}
            distance = max(given.values()) - min(given.values())
            found.append(Disagreement(task, told, comments[task.id], distance))
    return sorted(found, key=lambda each: (-each.distance, each.task.item_id, each.task.runs))
