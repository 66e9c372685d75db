"""Log-probabilities against torch's own log-softmax, and what must not enter them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainers.logprobs import (
    IGNORE,
    best_other_tokens,
    response_log_probs,
    sequence_kl,
    shifted,
    token_log_probs,
)

LABELS = torch.tensor([[IGNORE, IGNORE, 2, 0, 1, IGNORE], [IGNORE, 3, 3, IGNORE, IGNORE, IGNORE]])


def logits(seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)).to(dtype)


def test_the_logits_before_a_token_predict_it() -> None:
    tokens = token_log_probs(logits()[:, :-1], shifted(LABELS))
    expected = logits().log_softmax(-1)
    assert tokens.mask.tolist() == [[0, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
    told = torch.stack([expected[0, 1, 2], expected[0, 2, 0], expected[0, 3, 1]])
    torch.testing.assert_close(tokens.values[0, 1:4], told)
    assert tokens.values[~tokens.mask].abs().sum() == 0


def test_sums_counts_and_weights() -> None:
    tokens = token_log_probs(logits()[:, :-1], shifted(LABELS))
    weights = torch.tensor([[9.0, 1.0, 4.0, 1.0, 9.0], [1.0, 1.0, 9.0, 9.0, 9.0]])
    summed = response_log_probs(tokens, weights)
    assert summed.n_tokens is not None
    assert summed.n_tokens.tolist() == [3, 2]
    assert summed.weighted is not None
    expected = tokens.values[0, 1] + 4 * tokens.values[0, 2] + tokens.values[0, 3]
    torch.testing.assert_close(summed.weighted[0], expected)
    torch.testing.assert_close(summed.weighted[1], summed.summed[1])
    mean = response_log_probs(tokens, weights, average=True).weighted
    assert mean is not None
    torch.testing.assert_close(mean[0], expected / 6)


def test_a_response_of_no_tokens_has_the_sum_zero() -> None:
    labels = torch.full((1, 4), IGNORE)
    tokens = token_log_probs(torch.randn(1, 3, 5), shifted(labels))
    response = response_log_probs(tokens, torch.ones(1, 3), average=True)
    assert response.weighted is not None
    assert [float(response.summed), float(response.weighted)] == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_summed_in_float32(dtype: torch.dtype) -> None:
    """160 tokens at about -2: bfloat16 could tell the sum to one part in 256 only."""
    generator = torch.Generator().manual_seed(1)
    half = torch.randn(1, 161, 11, generator=generator).to(dtype)
    labels = torch.randint(11, (1, 161), generator=generator)
    tokens = token_log_probs(half[:, :-1], shifted(labels))
    assert tokens.values.dtype == torch.float32
    exact = token_log_probs(half[:, :-1].double(), shifted(labels))
    torch.testing.assert_close(
        tokens.values.sum(-1).double(), exact.values.sum(-1), rtol=1e-6, atol=1e-4
    )


@settings(deadline=None)
@given(st.floats(-1e4, 1e4), st.sampled_from([1.0, 30.0, 1e4]))
def test_a_constant_added_to_logits_changes_nothing(constant: float, size: float) -> None:
    base = logits() * size
    one = token_log_probs(base[:, :-1], shifted(LABELS)).values
    other = token_log_probs(base[:, :-1] + constant, shifted(LABELS)).values
    assert torch.isfinite(one).all()
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-7)


def test_gradients_reach_response_positions_alone() -> None:
    leaf = logits().requires_grad_()
    token_log_probs(leaf[:, :-1], shifted(LABELS)).values.sum().backward()
    assert leaf.grad is not None
    touched = leaf.grad.abs().sum(-1) > 0
    assert touched.tolist() == [[0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]


def test_other_tokens_can_be_scored_in_the_answers_place() -> None:
    targets = shifted(LABELS)
    given_logits = logits()[:, :-1]
    others = best_other_tokens(given_logits, targets)
    mask = targets != IGNORE
    assert (others[mask] != targets[mask]).all()
    tokens = token_log_probs(given_logits, targets, others)
    expected = given_logits.log_softmax(-1)
    without_own = expected.scatter(-1, targets.clamp_min(0)[..., None], -math.inf)
    torch.testing.assert_close(tokens.values[mask], without_own.max(-1).values[mask])


def test_the_divergence_of_a_model_from_itself_is_zero() -> None:
    targets = shifted(LABELS)
    own = logits()[:, :-1]
    torch.testing.assert_close(sequence_kl(own, own, targets), torch.zeros(2, dtype=own.dtype))


def test_the_divergence_by_hand() -> None:
    reference = torch.tensor([[[0.0, 0.0]]])
    policy = torch.tensor([[[math.log(3.0), 0.0]]])
    found = sequence_kl(policy, reference, torch.tensor([[0]]))
    assert float(found) == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
    ignored = sequence_kl(policy, reference, torch.tensor([[IGNORE]]))
    assert float(ignored) == 0.0
