"""AlpacaEval's length-controlled win rate: what the win rate would be if all outputs were as long as
the baseline's.

Paper: Dubois et al., "Length-Controlled AlpacaEval: A Simple Way to Debias Automatic Evaluators",
arXiv 2404.04475. Official code: ``metrics/glm_winrate.py`` (see ``benchmarks.alpacaeval``).

A logistic regression explains a preference by the difference in length, the instruction's
difficulty and the model; the prediction leaves the length out. Its oddities, all kept here:

- a difficulty is looked up by a row's place among the annotations, not by its instruction, and in
  ``df_gamed.csv`` by line. Where annotations are missing or in another order, they get each other's
  values;
- the difference in length is divided by its standard deviation but not centred;
- a preference is a soft label: each row stands there twice, as a win with the preference as its
  weight and as a loss with the rest. Both copies are in one fold of the cross-validation;
- within a fold one random generator serves the ten fits from the smallest C on, and the last fit
  gets a new one; liblinear draws a seed from it for every fit, and near ties depend on that.

Folds, and so the chosen C, also depend on how scikit-learn sorts groups of equal size: stably in
those versions that Plumbline takes, but not in those of 2024 that made the leaderboard. With the
same C the numbers agree; the published ones can differ from these by some tenths of a point.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.alpacaeval_gamed import Gamed
from benchmarks.base import ScoreRow

N_FOLDS = 5
CANDIDATES = np.logspace(-4, 4, 10)
"""The values of C: the strength of the regularisation is 1 / C."""
RANDOM_STATE = 123
EPSILON = 1e-15
"""How near a probability may come to 0 and 1 in the cross-validation's loss."""

DESIGN = (
    "np.tanh(std_delta_len)",
    "instruction_difficulty",
    "not_gamed_baseline.astype(float)",
)
"""The columns of the regression, in order and by their official names."""
LENGTH, DIFFICULTY, MODEL = range(3)
"""Their places."""


@dataclass(frozen=True)
class Glm:
    """An official regression.

    Attributes:
        name: the official one.
        columns: those of ``DESIGN`` that it has.
        gamed_weight: what the gamed baselines count beside the model; 0 leaves them out.
    """

    name: str
    columns: tuple[int, ...]
    gamed_weight: float = 0.0

    @property
    def needs_gamed(self) -> bool:
        """Whether it uses ``df_gamed.csv``, which has the difficulties."""
        return DIFFICULTY in self.columns


# Divided by 2 because there are two gamed baselines.
V1 = Glm("length_controlled_v1", (LENGTH, DIFFICULTY, MODEL), gamed_weight=0.2 / 2)
NOREG = Glm("length_controlled_noreg", (LENGTH, DIFFICULTY, MODEL))
MINIMAL = Glm("length_controlled_minimal", (LENGTH, MODEL))


class Comparisons(NamedTuple):
    """A model's annotations, in their order. Arrays of equal length.

    Attributes:
        preference: from 1 (for the baseline) to 2; NaN where there is none.
        delta_length: characters of the baseline's output minus those of the model's.
        same: whether both outputs are the same.
    """

    preference: np.ndarray
    delta_length: np.ndarray
    same: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[ScoreRow]) -> Comparisons:
        """From rows with the ``official`` numbers of ``AlpacaEval.score``, in any order."""
        nothing = float("nan")
        table = np.array(
            [
                (
                    row.official.get("preference", nothing),
                    row.official["baseline_length"] - row.official["length"],
                    row.official["same"],
                )
                for row in rows
            ]
        )[annotation_order(rows)]
        return cls(table[:, 0], table[:, 1], table[:, 2].astype(bool))


def annotation_order(rows: Sequence[ScoreRow]) -> np.ndarray:
    """The indices of rows in the order of their annotations."""
    return np.argsort([row.official["place"] for row in rows], kind="stable")


class Fit(NamedTuple):
    """A regression and what it predicts.

    Attributes:
        c: the C that it was fitted with.
        weights: by the names of ``DESIGN``.
        win_rate: the length-controlled win rate, in percent.
        standard_error: the official one, in points: that of the predictions, which vary with the
            instructions' difficulty only.
    """

    c: float
    weights: Mapping[str, float]
    win_rate: float
    standard_error: float


def fit(
    glm: Glm,
    rows: Comparisons,
    gamed: Gamed | None,
    *,
    counts: np.ndarray | None = None,
    c: float | None = None,
) -> Fit | None:
    """Fit a regression and predict without the difference in length.

    Args:
        gamed: None only for a regression that does not need it.
        counts: how often each row counts: in the standard deviation of the lengths, in the fit and
            in the predictions. The gamed rows stay as they are. All once if None.
        c: chosen by cross-validation if None.

    Returns:
        None where it is undefined: no preference, only wins or only losses, fewer preferences than
        folds, or outputs that do not vary in their difference in length. A model whose outputs are
        all the baseline's is the baseline (officially, one of its name): 50 by definition.
    """
    if counts is None:
        counts = np.ones(len(rows.preference))
    if rows.same.all():
        return Fit(float("nan"), dict.fromkeys(_names(glm), 0.0), 50.0, 0.0)
    spread = _standard_deviation(rows.delta_length, counts)
    if not spread > 0:
        return None
    n_rows = len(counts)
    difficulty = gamed.difficulties(n_rows) if gamed and glm.needs_gamed else np.zeros(n_rows)
    design = np.column_stack([np.tanh(rows.delta_length / spread), difficulty, np.ones(n_rows)])
    training = _Training.of(glm, design, rows.preference - 1, counts, gamed)
    if c is None:
        c = training.best_c()
    weights = training.solve(c, np.random.RandomState(RANDOM_STATE)) if c is not None else None
    if c is None or weights is None:
        return None
    design[:, LENGTH] = 0.0
    predicted = _logistic(design[:, glm.columns] @ weights)
    n = counts.sum()
    return Fit(
        c,
        dict(zip(_names(glm), weights.tolist(), strict=True)),
        win_rate=100 * float(counts @ predicted / n),
        standard_error=100 * _standard_deviation(predicted, counts) / float(np.sqrt(n)),
    )


class _Training(NamedTuple):
    """Rows with soft labels: X (N x columns), y from 0 to 1, and weights."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(
        cls, glm: Glm, design: np.ndarray, y: np.ndarray, counts: np.ndarray, gamed: Gamed | None
    ) -> _Training:
        """The gamed rows first, then the model's; none without a preference."""
        weight = counts
        if glm.gamed_weight and gamed:
            own = gamed.not_gamed_baseline
            more = [np.tanh(gamed.std_delta_len), gamed.instruction_difficulty, own]
            design = np.concatenate([np.column_stack(more), design])
            y = np.concatenate([gamed.preference, y])
            weight = np.concatenate([own + glm.gamed_weight * (1 - own), weight])
        known = np.isfinite(y)
        return cls(design[known][:, glm.columns], y[known], weight[known])

    def best_c(self) -> float | None:
        """The candidate with the least mean loss; the smallest of equals. None: undefined."""
        from sklearn.model_selection import GroupKFold

        n = len(self.y)
        if n < N_FOLDS:
            return None
        losses = np.zeros((N_FOLDS, len(CANDIDATES)))
        twice = np.tile(np.arange(n), 2)
        folds = GroupKFold(n_splits=N_FOLDS).split(twice, groups=twice)
        for losses_of_fold, (kept, left_out) in zip(losses, folds, strict=True):
            # The first half of the indices are the copies that count as wins.
            training, validation = (self._part(part[part < n]) for part in (kept, left_out))
            chance = np.random.RandomState(RANDOM_STATE)
            for number, c in enumerate(CANDIDATES):
                weights = training.solve(c, chance)
                if weights is None:
                    return None
                losses_of_fold[number] = validation.loss(weights)
        return float(CANDIDATES[losses.sum(axis=0).argmin()])

    def _part(self, rows: np.ndarray) -> _Training:
        return _Training(self.x[rows], self.y[rows], self.weight[rows])

    def solve(self, c: float, chance: np.random.RandomState) -> np.ndarray | None:
        """The regression's weights; None where only wins or only losses have a weight."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        wins, losses = self.weight * self.y, self.weight * (1 - self.y)
        if not wins.any() or not losses.any():
            return None
        regression = LogisticRegression(
            C=c, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=chance
        )
        x, labels = np.concatenate([self.x, self.x]), np.repeat([1, 0], len(self.y))
        with warnings.catch_warnings():
            # Officially, too, what a hundred iterations bring counts.
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(x, labels, sample_weight=np.concatenate([wins, losses]))
        return np.asarray(regression.coef_[0])

    def loss(self, weights: np.ndarray) -> float:
        """Mean over rows of weight times log-loss, not divided by the weights."""
        predicted = np.clip(_logistic(self.x @ weights), EPSILON, 1 - EPSILON)
        likelihood = self.y * np.log(predicted) + (1 - self.y) * np.log(1 - predicted)
        return float(-np.mean(self.weight * likelihood))


def _names(glm: Glm) -> list[str]:
    return [DESIGN[column] for column in glm.columns]


def _standard_deviation(values: np.ndarray, counts: np.ndarray) -> float:
    """With ddof 1; NaN for a single value."""
    n = counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = counts @ (values - counts @ values / n) ** 2
        return float(np.sqrt(squares / (n - 1)))


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0, -x)))


class Rival(NamedTuple):
    """A model that was compared with the same baseline.

    Attributes:
        weights: of its regression, by the names of ``DESIGN``.
        difficulties: of the instructions, ``instruction_difficulty.csv``.
    """

    model: str
    weights: Mapping[str, float]
    difficulties: np.ndarray


def win_rate_between(weights: Mapping[str, float], rival: Rival) -> float:
    """The length-controlled win rate of one model against another by their regressions, in percent.

    The official function, ``predict_winrate``, gives this one as a share of 1.
    """
    _, difficulty, model = (weights[name] - rival.weights[name] for name in DESIGN)
    return 100 * float(_logistic(model + difficulty * rival.difficulties).mean())


class LengthControl:
    """A regression as metrics over rows.

    A resample keeps the C that all rows choose, since choosing it anew would cost fifty times as
    much: an interval tells how the win rate varies with the instructions, not with C. What is
    computed is kept, because win rate and standard error ask for the same fits.
    """

    def __init__(self, glm: Glm, gamed: Gamed | None) -> None:
        self._glm = glm
        self._gamed = gamed
        self._c: dict[bytes, float | None] = {}
        self._fits: dict[tuple[bytes, bytes], Fit | None] = {}

    def win_rate(self, rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
        """In percent; for ``benchmarks.base.Estimate``."""
        found = self.fit(rows, counts)
        return found.win_rate if found else float("nan")

    def standard_error(self, rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
        """In points; for ``benchmarks.base.Estimate``."""
        found = self.fit(rows, counts)
        return found.standard_error if found else float("nan")

    def win_rate_against(self, rival: Rival) -> Callable[[Sequence[ScoreRow], np.ndarray], float]:
        """In percent, against another model than the baseline; for ``benchmarks.base.Estimate``."""

        def against(rows: Sequence[ScoreRow], counts: np.ndarray) -> float:
            found = self.fit(rows, counts)
            return win_rate_between(found.weights, rival) if found else float("nan")

        return against

    def fit(self, rows: Sequence[ScoreRow], counts: np.ndarray) -> Fit | None:
        """None where it is undefined, or where ``df_gamed.csv`` is needed and absent."""
        if self._gamed is None and self._glm.needs_gamed:
            return None
        compared, counts = Comparisons.of(rows), counts[annotation_order(rows)]
        data = b"".join(column.tobytes() for column in compared)
        if data not in self._c:
            whole = fit(self._glm, compared, self._gamed)
            self._c[data] = whole.c if whole else None
        key = data, counts.tobytes()
        if key not in self._fits:
            c = self._c[data]
            found = fit(self._glm, compared, self._gamed, counts=counts, c=c) if c else None
            self._fits[key] = found
        return self._fits[key]
