"""Objectives, log-probabilities and data rules against the numbers of their authors' code.

Cases are found by their form, so that another folder of the same form can be given::

    pytest tests/parity/test_trainers_parity.py --parity-dir DIR

A ``.json`` file holds ``cases``; each has ``objective``, ``inputs`` and ``outputs``, or ``steps`` of them where
state runs from one call to the next, and may have ``params`` and a ``tolerance``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from trainers import logprobs, objectives, ppo
from trainers.corruptions import diffusion_noise
from trainers.logprobs import PairLogProbs, ResponseLogProbs
from trainers.loss import Loss, implicit_rewards
from trainers.objectives import PairLoss
from trainers.scored import STEERLM_PREFIX, candidates, steerlm_label
from trainers.token_weights import length_weights, segment_weights

Values = Mapping[str, Any]
Numbers = dict[str, Any]

DEFAULT_TOLERANCE = 1e-6
IGNORED = -100
"""The label of what is no response token."""


def _cases(folder: Path) -> list[Values]:
    found: list[Values] = []
    for path in sorted(folder.rglob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        cases = content.get("cases") if isinstance(content, dict) else None
        for case in cases if isinstance(cases, list) else []:
            if {"objective", "id"} <= set(case):
                tolerance = content.get("default_tolerance", DEFAULT_TOLERANCE)
                found.append({"tolerance": tolerance, "params": None, **case})
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder: Path | None = metafunc.config.getoption("parity_dir")
    own = folder / "trainers" if folder is not None else None
    cases = _cases(own if own is not None and own.is_dir() else folder) if folder else []
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", cases, ids=lambda case: case["id"])


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _response(inputs: Values, name: str, **more: Any) -> ResponseLogProbs:
    return ResponseLogProbs(_tensor(inputs[name]), **more)


def _pairs(inputs: Values, model: str) -> PairLogProbs:
    """The log-probabilities under "policy", "ref" or "ref2", with whatever else a case gives."""
    kl: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    for name in ("chosen", "rejected"):
        if model == "policy" and f"{name}_seq_kl" in inputs:
            kl[name] = _tensor(inputs[f"{name}_seq_kl"])
        if f"{name}_len" in inputs:
            counts[name] = _tensor(inputs[f"{name}_len"])
    image = f"{model}_image_rejected"
    return PairLogProbs(
        _response(inputs, f"{model}_chosen", kl=kl.get("chosen"), n_tokens=counts.get("chosen")),
        _response(
            inputs, f"{model}_rejected", kl=kl.get("rejected"), n_tokens=counts.get("rejected")
        ),
        _response(inputs, image) if image in inputs else None,
    )


def _both(inputs: Values) -> tuple[PairLogProbs, PairLogProbs]:
    return _pairs(inputs, "policy"), _pairs(inputs, "ref")


def _numbers(loss: Loss) -> Numbers:
    rewards = {f"{name}_rewards": value for name, value in loss.rewards.items()}
    return {"loss": loss.value, "per_example_loss": loss.per_pair, **rewards}


def _dpo(kind: PairLoss, *, average: bool = False) -> Callable[[Values, Values], Numbers]:
    def run(inputs: Values, params: Values) -> Numbers:
        policy, reference = _both(inputs)
        smoothing = params.get("label_smoothing", 0.0) if kind in ("sigmoid", "robust") else 0.0
        return _numbers(
            objectives.dpo(
                policy,
                reference,
                beta=params["beta"],
                loss=kind,
                label_smoothing=smoothing,
                average=average,
            )
        )

    return run


def _mdpo(inputs: Values, params: Values) -> Numbers:
    policy, reference = _both(inputs)
    return _numbers(
        objectives.mdpo(
            policy,
            reference,
            beta=params["beta"],
            anchor=params["anchor_delta"],
            dpo_weight=params["w_dpo"],
            conditional_weight=params["w_copo"],
            anchor_weight=params["w_anchor"],
        )
    )


def _rdpo(inputs: Values, params: Values) -> Numbers:
    policy, reference = _both(inputs)
    return _numbers(objectives.rdpo(policy, reference, beta=params["beta"]))


def _chip(inputs: Values, params: Values) -> Numbers:
    policy, reference = _both(inputs)
    found = _numbers(
        objectives.chip_released(
            policy,
            reference,
            beta=params["beta"],
            segments=False,
            kl_weight=params["tok_beta"] if params["use_token_kl"] else 0.0,
            conditional=params["use_cross_modal"],
        )
    )
    if params["use_token_kl"]:  # the code then logs rewards with the divergence in them
        for name in ("chosen", "rejected"):
            found[f"{name}_rewards"] += params["beta"] * _tensor(inputs[f"{name}_seq_kl"])
    return found


def _mrpo(inputs: Values, params: Values) -> Numbers:
    extra, initial = _pairs(inputs, "ref"), _pairs(inputs, "ref2")
    options = {"eta": params["eta"], "alpha": params["alpha"]}
    combined = objectives.combined_reference(initial, extra, **options)
    loss = objectives.mrpo(
        _pairs(inputs, "policy"), initial, extra_reference=extra, beta=params["beta"], **options
    )
    return {
        **_numbers(loss),
        "combined_ref_chosen": combined.chosen.summed,
        "combined_ref_rejected": combined.rejected.summed,
    }


class _BCO:
    """BCO with the shift that runs over a case's steps."""

    def __init__(self) -> None:
        self.shift = objectives.RunningShift()

    def _update(self, policy: PairLogProbs, reference: PairLogProbs, beta: float) -> float:
        rewards = implicit_rewards(policy, reference, beta)
        return self.shift.update(torch.cat([rewards["chosen"], rewards["rejected"]]))

    def __call__(self, inputs: Values, params: Values) -> Numbers:
        policy, reference = _both(inputs)
        shift = self._update(policy, reference, params["beta"])
        loss = objectives.mpo(
            policy,
            reference,
            beta=params["beta"],
            shift=shift,
            dpo_weight=0.0,
            bco_weight=1.0,
            nll_weight=0.0,
        )
        return {**_numbers(loss), "delta_after_update": shift}


class _MPO(_BCO):
    def __call__(self, inputs: Values, params: Values) -> Numbers:
        policy, reference = _both(inputs)
        # The case gives the likelihood alone; so many tokens would have it.
        n_tokens = -policy.chosen.summed.mean() / inputs["chosen_token_mean_nll"]
        counted = ResponseLogProbs(
            policy.chosen.summed, n_tokens=n_tokens.expand_as(policy.chosen.summed)
        )
        loss = objectives.mpo(
            PairLogProbs(counted, policy.rejected),
            reference,
            beta=params["beta"],
            shift=self._update(policy, reference, params["beta"]),
            dpo_weight=params["w_p"],
            bco_weight=params["w_q"],
            nll_weight=params["w_g"],
        )
        logged, scale = loss.logged(), params["w_p"] + params["w_q"]
        # InternVL logs rewards once for each pairwise loss, weighted like it.
        return {
            "loss": loss.value,
            "rewards_chosen": scale * logged["rewards/chosen"],
            "rewards_rejected": scale * logged["rewards/rejected"],
        }


def _responses(values: Tensor, mask: Tensor, weights: Tensor | None = None) -> ResponseLogProbs:
    """Of tokens that stand in rows (B, T), at the places of a mask."""
    lengths = mask.sum(-1).tolist()
    return logprobs.response_log_probs(
        values[mask], lengths, None if weights is None else weights[mask]
    )


def _length_weights(mask: Tensor, other: Tensor, alpha: float) -> Tensor:
    """``length_weights`` of answers (B, T), at their response positions."""
    weights = torch.zeros(mask.shape, dtype=torch.float64)
    for row, response, counterpart in zip(weights, mask, other, strict=True):
        found = length_weights(int(response.sum()), int(counterpart.sum()), alpha)
        row[response] = _tensor(found.chosen)
    return weights


def _trl(inputs: Values, params: Values) -> Numbers:
    """TRL's weighted sum of losses; the first half of the rows is chosen, the second rejected."""
    mask = torch.tensor(inputs["completion_mask"]).bool()
    chosen, rejected = mask[:, 1:].chunk(2)
    masks = {"chosen": chosen, "rejected": rejected}

    def pairs(name: str) -> PairLogProbs:
        halves = _tensor(inputs[name]).chunk(2)
        found = {}
        for side, other, values in zip(masks, reversed(masks), halves, strict=True):
            alpha = params.get("ld_alpha")
            weights = None
            if alpha is not None:
                weights = _length_weights(masks[side], masks[other], alpha)
            response = _responses(values, masks[side], weights)
            if response.weighted is not None:
                response = ResponseLogProbs(response.weighted, response.n_tokens)
            found[side] = response
        return PairLogProbs(found["chosen"], found["rejected"])

    offered = {"sft", "bco_pair", "sigmoid_norm", *get_args(PairLoss)}
    if not offered.issuperset(params["loss_types"]):
        pytest.skip(f"one of {params['loss_types']} is not offered here")
    policy, reference = pairs("policy_token_logps"), pairs("ref_token_logps")
    beta, smoothing = params["beta"], params.get("label_smoothing", 0.0)
    total = torch.zeros((), dtype=torch.float64)
    for kind, weight in zip(params["loss_types"], params["loss_weights"], strict=True):
        if kind == "sft":
            loss = objectives.sft(policy)
        elif kind == "bco_pair":
            loss = objectives.mpo(
                policy, reference, beta=beta, dpo_weight=0.0, bco_weight=1.0, nll_weight=0.0
            )
        else:
            name = kind.removesuffix("_norm")
            loss = objectives.dpo(
                policy,
                reference,
                beta=beta,
                loss=name,
                label_smoothing=smoothing if name == "robust" else 0.0,
                average=kind in ("ipo", "sigmoid_norm"),
            )
        total = total + weight * loss.value
    logged = objectives.dpo(policy, reference, beta=beta).logged()
    return {
        "loss": total,
        "rewards/chosen": logged["rewards/chosen"],
        "rewards/rejected": logged["rewards/rejected"],
        "rewards/accuracies": logged["rewards/accuracy"],
        "rewards/margins": logged["rewards/margin"],
        "logps/chosen": policy.chosen.summed.mean(),
        "logps/rejected": policy.rejected.summed.mean(),
    }


def _tokens(inputs: Values, logits: str = "logits") -> tuple[Tensor, Tensor, Tensor]:
    """Logits (B, T - 1, V), the labels that they predict, and where these are response tokens."""
    labels = torch.tensor(inputs["labels"])[:, 1:]
    return _tensor(inputs[logits])[:, :-1], labels, labels != IGNORED


def _scored(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities (B, T) at the places of a mask, 0 at others."""
    values = torch.zeros(mask.shape, dtype=torch.float64)
    values[mask] = logprobs.log_probs_of(logits[mask], tokens[mask])
    return values


def _token_logps(inputs: Values, params: Values) -> Numbers:
    logits, labels, mask = _tokens(inputs)
    values = _scored(logits, labels, mask)
    response = _responses(values, mask)
    assert response.n_tokens is not None
    return {
        "sum": response.summed,
        "valid_length": response.n_tokens,
        "mean": response.summed / response.n_tokens,
        # The source gathers some label at ignored positions; here these are 0.
        "per_token_unmasked": (values, mask),
    }


def _token_logps_ld(inputs: Values, params: Values) -> Numbers:
    logits, labels, mask = _tokens(inputs)
    chosen, rejected = mask.chunk(2)
    weights = torch.cat(
        [
            _length_weights(chosen, rejected, params["ld_alpha"]),
            _length_weights(rejected, chosen, params["ld_alpha"]),
        ]
    )
    return {"sum": _responses(_scored(logits, labels, mask), mask, weights).weighted}


def _sft(inputs: Values, params: Values) -> Numbers:
    logits, labels, mask = _tokens(inputs)
    response = _responses(_scored(logits, labels, mask), mask)
    return {"loss": objectives.sft(PairLogProbs(response, response)).value}


def _chip_kl(inputs: Values, params: Values) -> Numbers:
    """The policy has the noised picture's row behind the pair's two; the references have not."""
    policy, labels, mask = _tokens(inputs, "policy_logits")
    reference, *_ = _tokens(inputs, "ref_logits")
    corrupted, *_ = _tokens(inputs, "ref_corrupted_image_logits")
    n_rows = len(reference)
    pair = mask[:n_rows]

    def sums(logits: Tensor) -> Tensor:
        rows = slice(0, len(logits))
        return _responses(_scored(logits, labels[rows], mask[rows]), mask[rows]).summed

    return {
        "seq_kl_ref_to_policy": logprobs.sequence_kl(
            policy[:n_rows][pair], reference[pair], pair.sum(-1).tolist()
        ),
        "policy_logps": sums(policy[:n_rows]),
        "ref_logps": sums(reference),
        "ref_corrupted_image_logps": sums(corrupted),
    }


def _segments(inputs: Values, params: Values) -> Numbers:
    found = segment_weights(
        inputs["chosen_ids"][1:],
        inputs["rejected_ids"][1:],
        params["token_weight"],
        min_match=params["min_match"],
    )
    chosen = _tensor(found.chosen)
    mask = torch.tensor([inputs["chosen_labels"][1:]]) != IGNORED
    values = _tensor([inputs["chosen_token_logps"]])
    return {
        "chosen_weights": chosen,
        "rejected_weights": _tensor(found.rejected),
        "chosen_weighted_sum": _responses(values, mask, chosen[None]).weighted,
    }


def _realign(inputs: Values, params: Values) -> Numbers:
    logits, labels, mask = _tokens(inputs)
    others = labels.clone()
    others[mask] = logprobs.best_other_tokens(logits[mask], labels[mask])
    return {"sum": _scored(logits, others, mask).sum(-1)}


def _povid(inputs: Values, params: Values) -> Numbers:
    noisy, _, mask = _tokens(inputs, "noisy_image_logits")
    clean, *_ = _tokens(inputs, "clean_image_logits")
    return {"sum": _scored(clean, noisy.argmax(-1), mask).sum(-1)}


def _diffusion(inputs: Values, params: Values) -> Numbers:
    noisy = diffusion_noise(_tensor(inputs["x"]), _tensor(inputs["eps"]), params["step"])
    return {"noisy": noisy}


def _pair_selection(inputs: Values, params: Values) -> Numbers:
    attributes = params["score"].split("+")
    groups: dict[tuple[str, str], list[Values]] = {}
    for row in inputs["rows"]:
        groups.setdefault((row["image"], row["question"]), []).append(row)
    pairs = []
    for (image, _), rows in groups.items():
        scores = [sum(row[name] for name in attributes) for row in rows]
        found = candidates(scores, params["min_gap"])
        if found is not None:
            pairs.append(
                {
                    "image": image,
                    "chosen": rows[found.chosen]["Output"],
                    "eligible_rejected": [rows[index]["Output"] for index in found.rejected],
                }
            )
    return {"pairs": pairs}


def _steerlm(inputs: Values, params: Values) -> Numbers:
    values = dict(zip(inputs["order"], inputs["predicted"], strict=True))
    return {"label": steerlm_label(values, inputs["order"]), "prefix": STEERLM_PREFIX}


def _ppo(inputs: Values, params: Values) -> Numbers:
    rewards = ppo.shaped_rewards(
        _tensor(inputs["logprobs"]),
        _tensor(inputs["ref_logprobs"]),
        _tensor(inputs["rewards"]),
        _tensor(inputs["length_bonus"]),
        _tensor(inputs["correct_bonus"]),
        kl_coef=params["kl_coef"],
        kl_estimate=params["kl_approximator"],
        length_bonus_score=params["length_bonus_score"],
        correct_bonus_score=params["correct_bonus_score"],
    )
    found = ppo.advantages(
        rewards,
        _tensor(inputs["values"]),
        gamma=params["gamma"],
        lam=params["lam"],
        reward_scale=params["reward_scale"],
    )
    return {"shaped_rewards": rewards, **found._asdict()}


Run = Callable[[Values, Values], Numbers]

RUNS: dict[str, Callable[[], Run]] = {
    "sigmoid": lambda: _dpo("sigmoid"),
    "robust": lambda: _dpo("robust"),
    "hinge": lambda: _dpo("hinge"),
    "apo_zero": lambda: _dpo("apo_zero"),
    "ipo_sum": lambda: _dpo("ipo"),
    "ipo_avg": lambda: _dpo("ipo", average=True),
    "bco_pair_running_shift": _BCO,
    "mpo": _MPO,
    "mdpo": lambda: _mdpo,
    "rdpo": lambda: _rdpo,
    "chip_official_code": lambda: _chip,
    "mrpo": lambda: _mrpo,
    "token_logps": lambda: _token_logps,
    "token_logps_ld": lambda: _token_logps_ld,
    "sft_token_mean": lambda: _sft,
    "chip_seq_kl": lambda: _chip_kl,
    "segment_weighted_logp": lambda: _segments,
    "realign_top_nonlabel_logp": lambda: _realign,
    "povid_noisy_argmax_logp": lambda: _povid,
    "diffusion_noise": lambda: _diffusion,
    "score_pair_selection": lambda: _pair_selection,
    "steerlm_label_string": lambda: _steerlm,
    "ppo_shape_and_gae": lambda: _ppo,
}


def _run_of(case: Values) -> Run:
    """What computes a case's numbers, with its own state."""
    name: str = case["objective"]
    if name.startswith("trl1.16:"):
        return _trl
    if name not in RUNS:
        pytest.skip(f"{name} is not offered here")
    return RUNS[name]()


def test_numbers_are_those_of_the_authors_code(case: Values) -> None:
    run = _run_of(case)
    for step in case.get("steps", [case]):
        found = run(step["inputs"], case["params"] or {})
        for name, expected in step["outputs"].items():
            _check(name, found[name], expected, case["tolerance"])


def _check(name: str, found: Any, expected: Any, tolerance: float) -> None:
    if not _is_number(expected):
        assert found == expected, name
        return
    wanted = _tensor(expected)
    if isinstance(found, tuple):  # values, and where they count
        found, mask = found
        wanted = wanted * mask
    got = torch.as_tensor(found, dtype=torch.float64).detach().reshape(wanted.shape)
    torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance, msg=f"{name}: {got}")


def _is_number(value: Any) -> bool:
    """Whether a value is a number or a nest of them; texts and pairs are compared as they are."""
    return isinstance(value, int | float) or (
        isinstance(value, list) and all(_is_number(item) for item in value)
    )
