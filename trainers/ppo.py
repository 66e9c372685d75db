"""Rewards and advantages of PPO as LLaVA-RLHF computes them (``RLHF/models/ppo_trainer.py``).

For those who bring rollouts of their own: there is no PPO trainer here. The oddities are the source's: a clamped KL
penalty, the score at the last position even where that is padding, rewards times ten.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

KLEstimate = Literal["k1", "k3"]

KL_COEF = 0.1
LENGTH_BONUS_SCORE = -10.0
CORRECT_BONUS_SCORE = 2.0
REWARD_SCALE = 10.0
"""What rewards are multiplied by where they are not whitened."""


class Advantages(NamedTuple):
    """Of each response token, (B, T)."""

    returns: Tensor
    advantages: Tensor


def shaped_rewards(
    log_probs: Tensor,
    reference_log_probs: Tensor,
    scores: Tensor,
    length_bonus: Tensor,
    correct_bonus: Tensor,
    *,
    kl_coef: float = KL_COEF,
    kl_estimate: KLEstimate = "k1",
    length_bonus_score: float = LENGTH_BONUS_SCORE,
    correct_bonus_score: float = CORRECT_BONUS_SCORE,
) -> Tensor:
    """A penalty for leaving the reference at every token, and the response's score at the last position.

    Args:
        log_probs, reference_log_probs: (B, T) of the sampled tokens.
        scores: (B,), the reward model's.
        length_bonus, correct_bonus: (B,), added to the score with their weights.
        kl_estimate: "k1" is the log-ratio, clamped at 0 from below; "k3" Schulman's third estimator.
    """
    ratio = log_probs - reference_log_probs
    kl = ratio.clamp_min(0) if kl_estimate == "k1" else (-ratio).exp() - 1 + ratio
    rewards = -kl_coef * kl
    rewards[:, -1] += (
        scores + length_bonus * length_bonus_score + correct_bonus * correct_bonus_score
    )
    return rewards


def advantages(
    rewards: Tensor,
    values: Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
    reward_scale: float = REWARD_SCALE,
) -> Advantages:
    """Generalised advantage estimates (arXiv 1506.02438), whitened over the whole batch.

    Args:
        rewards: (B, T), as ``shaped_rewards`` gives them.
        values: (B, T), the critic's.
    """
    rewards = rewards * reward_scale
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    errors = rewards + gamma * following - values
    found = torch.zeros_like(values)
    running = torch.zeros_like(values[:, 0])
    for step in reversed(range(values.shape[1])):
        running = errors[:, step] + gamma * lam * running
        found[:, step] = running
    spread = (found.var(unbiased=False) + 1e-8).rsqrt()
    return Advantages(found + values, (found - found.mean()) * spread)
