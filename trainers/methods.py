"""Training methods by name, for ``--method``: an objective, its options, and what it needs computed.

A new objective is one function in ``objectives`` and one entry here. Its options are the function's
keyword-only parameters, with the published defaults::

    method = open_method("mdpo", {"beta": "0.2", "anchor_weight": "0"})
    method.needs                                # {"reference", "rejected", "rejected_image"}
    loss = method.objective(policy, reference)  # options are bound
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from benchmarks.base import PlumblineError
from trainers import objectives
from trainers.loss import Loss

Need = Literal[
    "reference", "rejected", "rejected_image", "segments", "kl", "shift", "extra_reference"
]
"""What a method needs beside the policy's log-probabilities of the chosen answers.

* reference: the same of the initial policy.
* rejected: log-probabilities of the rejected answers.
* rejected_image: of the chosen answers beside rejected pictures.
* segments: token-weighted log-probabilities, ``ResponseLogProbs.weighted``.
* kl: ``ResponseLogProbs.kl`` of the policy.
* shift: ``RunningShift``, given to the objective as ``shift``.
* extra_reference: a second reference model, given as ``extra_reference``.
"""

PAIRS: frozenset[Need] = frozenset({"reference", "rejected"})

GIVEN_BY_TRAINER = ("shift", "extra_reference")
"""Parameters of objectives that are state or tensors, not options."""

SWITCHES: Mapping[str, Need] = {
    "conditional_weight": "rejected_image",
    "conditional": "rejected_image",
    "segment_weight": "segments",
    "segments": "segments",
    "kl_weight": "kl",
    "bco_weight": "shift",
}
"""Options that, at 0 or False, make a need go away."""


@dataclass(frozen=True)
class TokenWeights:
    """``ResponseLogProbs.weighted`` by where the answers differ; the fields are options of a method.

    Attributes:
        token_weight: of tokens in segments that differ between the answers.
        shared_token_weight: of all others.
        token_mean: divide by the sum of the weights.
    """

    token_weight: float
    shared_token_weight: float = 1.0
    token_mean: bool = False


@dataclass(frozen=True)
class LengthWeights:
    """``ResponseLogProbs.weighted`` by how long the answers are; the field is an option of a method.

    Attributes:
        ld_alpha: weight of tokens beyond the shorter answer's length: 1 is DPO, 0 looks at the shared length only.
            The paper tunes it for each model; 0.5 is ours.
    """

    ld_alpha: float = 0.5
    token_mean: ClassVar[bool] = False


@dataclass(frozen=True)
class Method:
    """One way to train.

    Attributes:
        summary: one line for ``--help``, with its source.
        token_weights: for methods that need weighted log-probabilities; None for others.
        substitutes: score the best *other* tokens (``logprobs.best_other_tokens``) in place of the answer's
            own, for rejected answers and beside rejected pictures.
    """

    objective: Callable[..., Loss]
    summary: str
    needs: frozenset[Need] = PAIRS
    token_weights: TokenWeights | LengthWeights | None = None
    substitutes: bool = False

    def options(self) -> dict[str, Any]:
        """The options' names and values: the objective's, and the token weights'."""
        own = {
            name: parameter.default
            for name, parameter in inspect.signature(self.objective).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in GIVEN_BY_TRAINER
        }
        return own | (asdict(self.token_weights) if self.token_weights else {})


METHODS: Mapping[str, Method] = {
    "sft": Method(
        objectives.sft, "likelihood of the chosen answers; also for rejection sampling", frozenset()
    ),
    "dpo": Method(objectives.dpo, "DPO (2305.18290); robust, hinge and IPO by --set loss"),
    "ddpo": Method(
        objectives.ddpo,
        "DDPO (RLHF-V, 2312.00849): DPO with corrected segments weighted 5",
        PAIRS | {"segments"},
        TokenWeights(5.0, token_mean=True),
    ),
    "ld_dpo": Method(
        objectives.ld_dpo,
        "LD-DPO (2409.06411): DPO with tokens beyond the shorter answer weighted less",
        PAIRS | {"segments"},
        LengthWeights(),
    ),
    "mdpo": Method(
        objectives.mdpo,
        "mDPO (2406.11839): DPO, conditional and anchored preference",
        PAIRS | {"rejected_image"},
    ),
    "rdpo": Method(
        objectives.rdpo,
        "rDPO (Re-Align, 2502.13146): DPO and preference against a similar picture",
        PAIRS | {"rejected_image"},
    ),
    "rdpo_released": Method(
        objectives.rdpo,
        "rDPO with the log-probabilities that Re-Align's code feeds: of the best other tokens",
        PAIRS | {"rejected_image"},
        substitutes=True,
    ),
    "chip": Method(
        objectives.chip,
        "CHiP (2501.16629): answers, segments, tokens and pictures, as a sum of losses",
        PAIRS | {"rejected_image", "segments", "kl"},
        TokenWeights(4.0),
    ),
    "chip_released": Method(
        objectives.chip_released,
        "CHiP as its code computes it: one sigmoid over a sum",
        PAIRS | {"rejected_image", "segments", "kl"},
        TokenWeights(4.0),
    ),
    "mpo": Method(
        objectives.mpo,
        "MPO (InternVL, 2411.10442): DPO, BCO with a running shift, likelihood",
        PAIRS | {"shift"},
    ),
    "mrpo": Method(
        objectives.mrpo,
        "MRPO (2405.16388): DPO against two references",
        PAIRS | {"extra_reference"},
    ),
}


def open_method(name: str, options: Mapping[str, Any] | None = None) -> Method:
    """A method with its options bound.

    Args:
        options: values, or texts of them from the command line.

    Raises:
        PlumblineError: no method or option of that name, or a value that does not fit.
    """
    if name not in METHODS:
        raise PlumblineError(f"no method {name!r} (known: {', '.join(METHODS)})")
    method = METHODS[name]
    values = method.options()
    hints = get_type_hints(method.objective)
    if method.token_weights is not None:
        hints |= get_type_hints(type(method.token_weights))
    for option, value in (options or {}).items():
        if option not in values:
            raise PlumblineError(f"{name} has no option {option!r} (known: {', '.join(values)})")
        values[option] = _converted(option, value, hints[option])
    _check(values)
    dropped = {need for option, need in SWITCHES.items() if option in values and not values[option]}
    own = inspect.signature(method.objective).parameters
    weights = {option: value for option, value in values.items() if option not in own}
    return replace(
        method,
        objective=partial(method.objective, **{o: v for o, v in values.items() if o in own}),
        needs=method.needs - dropped,
        token_weights=method.token_weights and replace(method.token_weights, **weights),
    )


def _converted(name: str, value: Any, wanted: Any) -> Any:
    if get_origin(wanted) is Literal:
        if value not in get_args(wanted):
            allowed = ", ".join(get_args(wanted))
            raise PlumblineError(f"{name}={value}: one of {allowed} is expected")
        return value
    try:
        if wanted is bool:
            return {"true": True, "false": False}[str(value).lower()]
        return wanted(value)
    except (ValueError, TypeError, KeyError) as error:
        raise PlumblineError(f"{name}={value}: not a value of type {wanted.__name__}") from error


def _check(values: Mapping[str, Any]) -> None:
    """Raises PlumblineError for numbers that a formula has no meaning for."""
    for option, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise PlumblineError(f"{option}={value}: a finite number is expected")
        if option.endswith("_weight") and value < 0:
            raise PlumblineError(f"{option}={value}: a number from 0 on is expected")
    if not 0 <= values.get("ld_alpha", 1.0) <= 1:
        raise PlumblineError(f"ld_alpha={values['ld_alpha']}: from 0 to 1 is expected")
    if not values.get("beta", 1.0) > 0:
        raise PlumblineError(f"beta={values['beta']}: it must be above 0")
    smoothing = values.get("label_smoothing", 0.0)
    if not 0 <= smoothing < 0.5:
        raise PlumblineError(f"label_smoothing={smoothing}: from 0 to below 0.5 is expected")
    if smoothing and values["loss"] not in ("sigmoid", "robust"):
        raise PlumblineError(f"label_smoothing={smoothing}: {values['loss']} has none")
