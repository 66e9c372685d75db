"""A small version of tests/bench/simulate_gate: the gate's level and what it says that it can see."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist, median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.check.gate import detectable
from harness.paired import Paired
from tests.bench.simulate_gate import ALPHA, gate, loss_for, shapes

N_PAIRS = 60
N_RESAMPLES = 400

UNTESTED = Paired("f1", "", "higher", 0, 0, None, None, None, None, None, 0, 0, 0)


def test_level_and_power() -> None:
    """Bounds that chance breaks once in a thousand seeds."""
    every = {name: shape for name, shape in shapes(60).items() if name != "amber"}
    rng = np.random.default_rng(0)
    null = [gate(every, rng, N_RESAMPLES) for _ in range(N_PAIRS)]
    assert sum(bool(found.failed) for found in null) <= ALPHA * N_PAIRS + 6
    name, shape = "mmhal/score", every["mmhal"]
    (spec,) = (spec for spec in shape.specs if spec.name == "score")
    size = median(seen for found in null if (seen := found.seen_at(name)) is not None)
    loss = loss_for(shape, spec, size)
    worse = [gate(every, rng, N_RESAMPLES, {"mmhal": loss}) for _ in range(N_PAIRS)]
    n_seen = sum(name in found.failed for found in worse)
    assert abs(n_seen - 0.8 * N_PAIRS) <= 0.2 * N_PAIRS


@settings(deadline=None)
@given(*[st.floats(1e-6, 10)] * 2, st.floats(0, 10), st.floats(1e-6, 0.1))
def test_what_is_seen_solves_its_equation(
    error: float, unit: float, allowed: float, level: float
) -> None:
    paired = replace(UNTESTED, standard_error=error, unit=unit)
    size = detectable(paired, allowed, level)
    assert size is not None
    z = NormalDist().inv_cdf(1 - level) + NormalDist().inv_cdf(0.8)
    assert size - allowed == pytest.approx(z * math.sqrt(error**2 + size * unit), rel=1e-6)
    assert detectable(replace(paired, unit=None), allowed, level) is None
