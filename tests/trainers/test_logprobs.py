"""Log-probabilities against torch's own log-softmax, and what must not enter them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainers.logprobs import best_other_tokens, log_probs_of, response_log_probs, sequence_kl

TOKENS = torch.tensor([2, 0, 1, 3, 3])


def logits(seed: int = 0, n: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(n, 5, generator=generator, dtype=torch.float64)


def test_sums_counts_and_weights() -> None:
    values = log_probs_of(logits(), TOKENS)
    weights = torch.tensor([1.0, 4.0, 1.0, 1.0, 1.0])
    found = response_log_probs(values, [3, 2], weights)
    torch.testing.assert_close(found.summed, torch.stack([values[:3].sum(), values[3:].sum()]))
    assert found.n_tokens is not None
    assert found.n_tokens.tolist() == [3, 2]
    assert found.weighted is not None
    expected = values[0] + 4 * values[1] + values[2]
    torch.testing.assert_close(found.weighted[0], expected)
    torch.testing.assert_close(found.weighted[1], found.summed[1])
    mean = response_log_probs(values, [3, 2], weights, average=True).weighted
    assert mean is not None
    torch.testing.assert_close(mean[0], expected / 6)


def test_tokens_that_all_weigh_nothing_have_the_mean_zero() -> None:
    values = log_probs_of(logits(), TOKENS)
    found = response_log_probs(values, [2, 3], torch.zeros(5), average=True)
    assert found.weighted is not None
    assert found.weighted.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_summed_in_float32(dtype: torch.dtype) -> None:
    """160 tokens at about -2: bfloat16 could tell the sum to one part in 256 only."""
    half = logits(1, 160).to(dtype)
    tokens = torch.randint(5, (160,), generator=torch.Generator().manual_seed(1))
    found = response_log_probs(log_probs_of(half, tokens), [160]).summed
    assert found.dtype == torch.float32
    exact = log_probs_of(half.double(), tokens).sum()
    torch.testing.assert_close(found[0].double(), exact, rtol=1e-6, atol=1e-4)


@settings(deadline=None)
@given(st.floats(-1e4, 1e4), st.sampled_from([1.0, 30.0, 1e4]))
def test_a_constant_added_to_logits_changes_nothing(constant: float, size: float) -> None:
    one = log_probs_of(logits() * size, TOKENS)
    other = log_probs_of(logits() * size + constant, TOKENS)
    assert torch.isfinite(one).all()
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-7)


def test_other_tokens_are_the_best_but_one_own() -> None:
    others = best_other_tokens(logits(), TOKENS)
    assert (others != TOKENS).all()
    without_own = logits().scatter(-1, TOKENS[:, None], -math.inf)
    torch.testing.assert_close(logits()[range(5), others], without_own.max(-1).values)


def test_the_divergence_of_a_model_from_itself_is_zero() -> None:
    own = logits()
    torch.testing.assert_close(sequence_kl(own, own, [2, 3]), torch.zeros(2, dtype=own.dtype))


def test_the_divergence_by_hand() -> None:
    reference = torch.tensor([[0.0, 0.0]])
    policy = torch.tensor([[math.log(3.0), 0.0]])
    found = sequence_kl(policy, reference, [1])
    assert float(found) == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
