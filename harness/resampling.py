"""The draws of the clustered bootstrap: how often each group counts in each resample.

They depend on the number of groups and the seed only. Whatever is computed from them (sums of any
columns, estimates, two runs side by side) therefore sees the same resamples, and fewer resamples
are the first ones of more.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_WEIGHTS_PER_CHUNK = 2**18
"""How many weights (8 bytes each) exist at once: small enough for the cache of a core."""

_LEAST_PER_CHUNK = 64
"""Resamples that are drawn together at least: each chunk reads all sums per group, which may be many."""


def draw_weights(n_groups: int, *, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group is drawn, chunk by chunk; every row of a chunk is a resample.

    Args:
        n_groups: G, at least 1.
        n_resamples: R.
        seed: of numpy's PCG64.

    Yields:
        Parts of an R x G matrix of floats, from the first resample on; every row adds up to G.
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}; give at least 1")
    rng = np.random.default_rng(seed)
    chunk = max(_LEAST_PER_CHUNK, _WEIGHTS_PER_CHUNK // n_groups)
    for start in range(0, n_resamples, chunk):
        yield _draw(rng, min(chunk, n_resamples - start), n_groups)


def bootstrap_sums(columns: np.ndarray, *, n_resamples: int, seed: int) -> np.ndarray:
    """Column sums of resampled groups.

    Args:
        columns: sums per group, G x C.
        n_resamples: R.
        seed: of numpy's PCG64.

    Returns:
        Sums of the resamples, R x C; exact where the columns are integers.
    """
    n_groups, n_columns = columns.shape
    if n_groups == 0:
        return np.zeros((n_resamples, n_columns))
    drawn = draw_weights(n_groups, n_resamples=n_resamples, seed=seed)
    return np.concatenate([weights @ columns for weights in drawn])


def _draw(rng: np.random.Generator, n_resamples: int, n_groups: int) -> np.ndarray:
    """Resamples, R x G.

    Counting drawn indices takes a third of the time of ``rng.multinomial``, which has the same law.
    """
    drawn = rng.integers(n_groups, size=(n_resamples, n_groups))
    drawn += np.arange(0, n_resamples * n_groups, n_groups)[:, np.newaxis]
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_groups)
    return counts.reshape(n_resamples, n_groups).astype(np.float64)
