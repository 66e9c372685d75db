"""Objectives on numbers that can be checked by hand, and properties that hold for all numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.base import PlumblineError
from trainers import objectives
from trainers.logprobs import PairLogProbs, ResponseLogProbs
from trainers.loss import Loss, implicit_rewards
from trainers.objectives import PairLoss, RunningShift

LN2 = math.log(2)

log_probs = st.floats(-2000, 0, allow_nan=False)
four = st.lists(log_probs, min_size=4, max_size=4)


def response(values: Any, **more: Any) -> ResponseLogProbs:
    return ResponseLogProbs(torch.as_tensor(values, dtype=torch.float64), **more)


def pairs(chosen: Any, rejected: Any, image: Any = None, *, full: bool = False) -> PairLogProbs:
    """Summed log-probabilities; with ``full`` whatever else an objective may ask for."""

    def one(values: Any) -> ResponseLogProbs:
        tensor = torch.as_tensor(values, dtype=torch.float64)
        if not full:
            return ResponseLogProbs(tensor)
        return ResponseLogProbs(
            tensor,
            n_tokens=torch.full(tensor.shape, 5),
            weighted=2 * tensor,
            kl=0.01 * tensor.square(),
        )

    return PairLogProbs(one(chosen), one(rejected), None if image is None else one(image))


def zeros(n: int = 3) -> PairLogProbs:
    return pairs([0.0] * n, [0.0] * n, [0.0] * n, full=True)


# Policy and reference say the same.
AT_START: dict[str, tuple[Callable[[PairLogProbs, PairLogProbs], Loss], float]] = {
    "dpo": (objectives.dpo, LN2),
    "dpo smoothed": (lambda p, r: objectives.dpo(p, r, label_smoothing=0.3), LN2),
    "robust": (lambda p, r: objectives.dpo(p, r, loss="robust", label_smoothing=0.3), LN2),
    "hinge": (lambda p, r: objectives.dpo(p, r, loss="hinge"), 1.0),
    "ipo": (lambda p, r: objectives.dpo(p, r, loss="ipo", beta=0.5), 1.0),
    "apo_zero": (lambda p, r: objectives.dpo(p, r, loss="apo_zero"), 1.0),
    "ddpo": (objectives.ddpo, LN2),
    "mdpo": (objectives.mdpo, 3 * LN2),
    "rdpo": (objectives.rdpo, 2 * LN2),
    "chip": (lambda p, r: objectives.chip(p, r, kl_weight=0.0), 3 * LN2),
    "chip_released": (lambda p, r: objectives.chip_released(p, r, kl_weight=0.0), LN2),
    "mpo": (lambda p, r: objectives.mpo(p, r, nll_weight=0.0), 0.8 * LN2 + 0.2 * 2 * LN2),
    "mrpo": (lambda p, r: objectives.mrpo(p, r, extra_reference=r), LN2),
}


@pytest.mark.parametrize("name", AT_START)
@settings(deadline=None)
@given(values=four)
def test_an_untrained_policy_has_the_loss_that_theory_says(name: str, values: list[float]) -> None:
    objective, expected = AT_START[name]
    same = pairs(values[:2], values[2:], values[1:3], full=True)
    assert objective(same, same).value == pytest.approx(expected, abs=1e-9)


def test_dpo_by_hand() -> None:
    loss = objectives.dpo(pairs([-10.0], [-20.0]), pairs([-12.0], [-17.0]), beta=0.1)
    # d_w = 2, d_l = -3, z = 0.5
    assert float(loss.value) == pytest.approx(math.log(1 + math.exp(-0.5)))
    logged = loss.logged()
    assert logged["rewards/chosen"] == pytest.approx(0.2)
    assert logged["rewards/rejected"] == pytest.approx(-0.3)
    assert logged["rewards/margin"] == pytest.approx(0.5)
    assert logged["rewards/accuracy"] == 1.0
    assert logged["loss"] == logged["terms/dpo"] == pytest.approx(float(loss.value))


def test_mdpo_by_hand() -> None:
    policy, reference = pairs([-10.0], [-20.0], [-30.0]), pairs([-12.0], [-17.0], [-31.0])
    loss = objectives.mdpo(policy, reference, beta=0.1, anchor=0.05)
    # d_w = 2, d_l = -3, d_i = 1
    expected = [math.log(1 + math.exp(-z)) for z in (0.5, 0.1, 0.2 - 0.05)]
    assert float(loss.value) == pytest.approx(sum(expected))
    terms = [float(loss.terms[name]) for name in ("dpo", "conditional", "anchor")]
    assert terms == pytest.approx(expected)
    assert loss.logged()["rewards/image_margin"] == pytest.approx(0.1)


@settings(deadline=None)
@given(four, four)
def test_dpo_is_symmetric(first: list[float], second: list[float]) -> None:
    """Swapping chosen and rejected turns the sign of z around: the losses differ by z."""
    policy, reference = pairs(first[:2], first[2:]), pairs(second[:2], second[2:])
    there = objectives.dpo(policy, reference)
    back = objectives.dpo(pairs(first[2:], first[:2]), pairs(second[2:], second[:2]))
    rewards = implicit_rewards(policy, reference, 0.1)
    z = rewards["chosen"] - rewards["rejected"]
    torch.testing.assert_close(back.per_pair - there.per_pair, z)


@settings(deadline=None)
@given(four, four)
def test_mdpo_without_its_other_terms_is_dpo(first: list[float], second: list[float]) -> None:
    policy, reference = pairs(first[:2], first[2:]), pairs(second[:2], second[2:])
    alone = objectives.mdpo(policy, reference, conditional_weight=0.0, anchor_weight=0.0)
    torch.testing.assert_close(alone.per_pair, objectives.dpo(policy, reference).per_pair)
    assert set(alone.terms) == {"dpo"}


@settings(deadline=None)
@given(four, four, st.floats(0.1, 3), st.floats(0.1, 3), st.floats(0.1, 3))
def test_mdpo_is_the_weighted_sum_of_its_terms(
    first: list[float], second: list[float], dpo: float, conditional: float, anchor: float
) -> None:
    policy = pairs(first[:2], first[2:], first[1:3])
    reference = pairs(second[:2], second[2:], second[1:3])
    loss = objectives.mdpo(
        policy,
        reference,
        dpo_weight=dpo,
        conditional_weight=conditional,
        anchor_weight=anchor,
    )
    terms = loss.terms
    expected = dpo * terms["dpo"] + conditional * terms["conditional"] + anchor * terms["anchor"]
    torch.testing.assert_close(loss.per_pair, expected)


@settings(deadline=None)
@given(four, four)
def test_rdpo_is_mdpo_without_the_anchor(first: list[float], second: list[float]) -> None:
    policy = pairs(first[:2], first[2:], first[1:3])
    reference = pairs(second[:2], second[2:], second[1:3])
    without = objectives.mdpo(policy, reference, anchor_weight=0.0)
    torch.testing.assert_close(objectives.rdpo(policy, reference).per_pair, without.per_pair)


def _dpo(loss: PairLoss) -> Callable[[PairLogProbs, PairLogProbs], Loss]:
    return lambda policy, reference: objectives.dpo(policy, reference, loss=loss)


EVERY: dict[str, Callable[[PairLogProbs, PairLogProbs], Loss]] = {
    **{loss: _dpo(loss) for loss in get_args(PairLoss)},
    "average": lambda p, r: objectives.dpo(p, r, loss="ipo", average=True),
    "ddpo": objectives.ddpo,
    "mdpo": objectives.mdpo,
    "chip": objectives.chip,
    "chip_released": objectives.chip_released,
    "mpo": lambda p, r: objectives.mpo(p, r, shift=0.3),
    "mrpo": lambda p, r: objectives.mrpo(p, r, extra_reference=zeros(1)),
    "sft": objectives.sft,
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4, 1e6])
@pytest.mark.parametrize("sign", [-1, 1])
def test_gradients_stay_finite_at_extremes(name: str, size: float, sign: int) -> None:
    leaves = [
        torch.tensor([-size if sign > 0 else 0.0], dtype=torch.float32, requires_grad=True),
        torch.tensor([0.0 if sign > 0 else -size], dtype=torch.float32, requires_grad=True),
        torch.tensor([-size / 2], dtype=torch.float32, requires_grad=True),
    ]

    def one(leaf: Tensor) -> ResponseLogProbs:
        return ResponseLogProbs(leaf, torch.tensor([7]), 2 * leaf, leaf.abs())

    policy = PairLogProbs(*(one(leaf) for leaf in leaves))
    loss = EVERY[name](policy, zeros(1)).value
    loss.backward()
    assert torch.isfinite(loss)
    for leaf in leaves:
        assert leaf.grad is None or torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize(
    ("reduction", "expected"), [("token", 12 / 6), ("sequence", (2 / 1 + 10 / 5) / 2), ("sum", 6.0)]
)
def test_sft_reductions_differ(reduction: Any, expected: float) -> None:
    chosen = response([-2.0, -10.0], n_tokens=torch.tensor([1, 5]))
    policy = PairLogProbs(chosen, chosen)
    assert float(objectives.sft(policy, reduction=reduction).value) == pytest.approx(expected)
    unequal = response([-4.0, -10.0], n_tokens=torch.tensor([1, 5]))
    by_token = objectives.sft(PairLogProbs(unequal, unequal)).value
    assert float(by_token) == pytest.approx(14 / 6)


def test_ipo_on_sums_and_on_means_are_different_losses() -> None:
    counted = {"n_tokens": torch.tensor([10])}
    policy = PairLogProbs(response([-10.0], **counted), response([-40.0], **counted))
    reference = PairLogProbs(response([-20.0], **counted), response([-20.0], **counted))
    on_sums = objectives.dpo(policy, reference, loss="ipo", beta=0.1)
    on_means = objectives.dpo(policy, reference, loss="ipo", beta=0.1, average=True)
    assert float(on_sums.value) == pytest.approx((30 - 5) ** 2)
    assert float(on_means.value) == pytest.approx((3 - 5) ** 2)


def test_the_shift_is_the_mean_of_the_steps_means() -> None:
    shift = RunningShift()
    assert shift.update(torch.tensor([1.0, 3.0])) == pytest.approx(2.0)
    assert shift.update(torch.tensor([5.0, 5.0, 5.0, 5.0])) == pytest.approx(3.5)
    assert (shift.mean, shift.n_steps) == (pytest.approx(3.5), 2)


def test_a_combined_reference_of_two_equal_models_is_that_model() -> None:
    model = pairs([-10.0, -50.0], [-20.0, -40.0])
    for alpha in (-1.0, 0.0, 0.3, 1.0):
        combined = objectives.combined_reference(model, model, alpha=alpha)
        torch.testing.assert_close(combined.chosen.summed, model.chosen.summed)
        torch.testing.assert_close(combined.rejected.summed, model.rejected.summed)


def test_an_extra_reference_is_clipped_to_the_initial_one() -> None:
    """alpha 0 leaves p1 alone, so that the clipping shows."""
    initial, extra = pairs([-10.0], [-10.0]), pairs([-30.0], [-1.0])
    combined = objectives.combined_reference(initial, extra, eta=-0.2, alpha=0.0)
    assert float(combined.chosen.summed) == pytest.approx(-12.0)
    assert float(combined.rejected.summed) == pytest.approx(-8.0)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda p: objectives.mdpo(p, p), "conditional term.*corruption"),
        (lambda p: objectives.ddpo(p, p), "token-weighted"),
        (lambda p: objectives.chip(p, p, segment_weight=0, conditional_weight=0), "KL"),
        (lambda p: objectives.sft(p), "numbers of response tokens"),
        (
            lambda p: objectives.mdpo(p, p, dpo_weight=0, conditional_weight=0, anchor_weight=0),
            "dpo or conditional or anchor",
        ),
    ],
)
def test_what_is_missing_is_named(call: Callable[[PairLogProbs], Loss], problem: str) -> None:
    with pytest.raises(PlumblineError, match=problem):
        call(pairs([-1.0], [-2.0]))


def test_an_unknown_pair_loss_is_refused() -> None:
    kind: Any = "exo_pair"
    with pytest.raises(ValueError, match="exo_pair"):
        objectives.dpo(pairs([-1.0], [-2.0]), pairs([-1.0], [-2.0]), loss=kind)


def test_rewards_and_terms_carry_no_gradient() -> None:
    leaf = torch.tensor([-3.0], requires_grad=True)
    policy = PairLogProbs(ResponseLogProbs(leaf), ResponseLogProbs(2 * leaf))
    loss = objectives.dpo(policy, pairs([-3.0], [-6.0]))
    assert loss.value.requires_grad
    assert not any(value.requires_grad for value in (*loss.terms.values(), *loss.rewards.values()))
