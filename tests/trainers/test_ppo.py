"""Reward shaping and advantages on numbers that can be checked by hand."""

from __future__ import annotations

import pytest
import torch

from trainers import ppo


def shaped(**options: float) -> torch.Tensor:
    return ppo.shaped_rewards(
        torch.tensor([[-1.0, -2.0]]),
        torch.tensor([[-2.0, -1.0]]),
        torch.tensor([0.5]),
        torch.tensor([0.1]),
        torch.tensor([1.0]),
        **options,  # type: ignore[arg-type]
    )


def test_the_score_stands_at_the_last_position_and_the_penalty_is_clamped() -> None:
    assert shaped().tolist() == [[pytest.approx(-0.1), pytest.approx(0.5 - 1.0 + 2.0)]]
    assert shaped(kl_coef=0.0)[0, 0] == 0


def test_without_discount_a_return_is_the_sum_of_what_follows() -> None:
    rewards, values = torch.tensor([[1.0, 2.0], [0.0, 4.0]]), torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    found = ppo.advantages(rewards, values, reward_scale=1.0)
    torch.testing.assert_close(found.returns, torch.tensor([[3.0, 2.0], [4.0, 4.0]]))
    assert float(found.advantages.mean()) == pytest.approx(0, abs=1e-6)
    assert float(found.advantages.std(unbiased=False)) == pytest.approx(1, abs=1e-6)


def test_rewards_are_times_ten() -> None:
    rewards, values = torch.tensor([[1.0]]), torch.tensor([[0.0]])
    assert ppo.advantages(rewards, values).returns.tolist() == [[10.0]]
