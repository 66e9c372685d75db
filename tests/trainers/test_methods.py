"""Methods by name: options from the command line, and what is not needed when a term is off."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.base import PlumblineError
from trainers.logprobs import PairLogProbs, ResponseLogProbs
from trainers.methods import METHODS, LengthWeights, TokenWeights, open_method


def pairs(seed: int) -> PairLogProbs:
    generator = torch.Generator().manual_seed(seed)

    def one() -> ResponseLogProbs:
        values = -20 * torch.rand(3, generator=generator)
        return ResponseLogProbs(values, torch.tensor([4, 5, 6]), 2 * values, values.abs())

    return PairLogProbs(one(), one(), one())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_with_its_defaults(name: str) -> None:
    method = open_method(name)
    given = {"extra_reference": pairs(3)} if "extra_reference" in method.needs else {}
    loss = method.objective(pairs(1), pairs(2), **given)
    assert torch.isfinite(loss.value)
    assert loss.per_pair.shape == (3,)
    assert method.options() == METHODS[name].options()


def test_options_are_bound_and_shown() -> None:
    method = open_method("mdpo", {"beta": "0.2", "anchor_weight": "0", "anchor": 1})
    assert method.options() == {
        "beta": 0.2,
        "anchor": 1.0,
        "dpo_weight": 1.0,
        "conditional_weight": 1.0,
        "anchor_weight": 0.0,
    }
    assert set(method.objective(pairs(1), pairs(2)).terms) == {"dpo", "conditional"}


@pytest.mark.parametrize(
    ("name", "options", "gone"),
    [
        ("mdpo", {"conditional_weight": "0"}, {"rejected_image"}),
        ("rdpo", {"conditional_weight": 0}, {"rejected_image"}),
        ("chip", {"kl_weight": "0", "segment_weight": "0"}, {"kl", "segments"}),
        (
            "chip_released",
            {"segments": "false", "conditional": False},
            {"segments", "rejected_image"},
        ),
        ("mpo", {"bco_weight": 0.0}, {"shift"}),
        ("mdpo", {"anchor_weight": "0"}, set()),
    ],
)
def test_a_term_that_is_off_needs_nothing(name: str, options: Any, gone: set[str]) -> None:
    assert METHODS[name].needs - open_method(name, options).needs == gone


def test_token_weights_are_options_too() -> None:
    method = open_method("ddpo", {"token_weight": "3", "token_mean": "false"})
    assert method.token_weights == TokenWeights(3.0, 1.0, token_mean=False)
    assert method.options()["token_weight"] == 3.0
    assert open_method("ld_dpo", {"ld_alpha": "0.3"}).token_weights == LengthWeights(0.3)
    assert open_method("dpo").token_weights is None


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("ppo", {}, "no method 'ppo'.*mdpo"),
        ("dpo", {"anchor": "1"}, "no option 'anchor'.*label_smoothing"),
        ("mpo", {"shift": "1"}, "no option 'shift'"),
        ("dpo", {"beta": "high"}, "beta=high: not a value of type float"),
        ("dpo", {"beta": "0"}, "above 0"),
        ("dpo", {"beta": "nan"}, "finite"),
        ("mdpo", {"anchor": "inf"}, "finite"),
        ("dpo", {"loss": "exo"}, "one of sigmoid, robust, hinge, ipo, apo_zero"),
        ("dpo", {"average": "maybe"}, "type bool"),
        ("dpo", {"label_smoothing": "0.5"}, "from 0 to below 0.5"),
        ("dpo", {"label_smoothing": "0.1", "loss": "ipo"}, "ipo has none"),
        ("mdpo", {"anchor_weight": "-1"}, "from 0 on"),
        ("ld_dpo", {"ld_alpha": "1.5"}, "from 0 to 1"),
        ("dpo", {"ld_alpha": "1"}, "no option 'ld_alpha'"),
        ("mdpo", {"anchor_weight": "nan"}, "finite"),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, str], problem: str) -> None:
    with pytest.raises(PlumblineError, match=problem):
        open_method(name, options)
