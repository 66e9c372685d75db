"""Which parameters learn: the parts of a model, the adapter of its language model, and no dropout.

A part is found by where it is in the model, not by what its layers are called: a vision tower has a
``q_proj`` too, and a list of such suffixes would adapt it along with the language model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from torch import nn

from benchmarks.base import PlumblineError

Part = Literal["language_model", "projector", "vision"]

# How PEFT and parallel wrappers lengthen a parameter's name.
_WRAPPED = re.compile(
    r"^base_model\.model\.|^module\.|_fsdp_wrapped_module\.|\.modules_to_save\.\w+|\.original_module"
    r"|\.base_layer"
)
# A vision tower's last layers that lead over to the language model (Qwen-VL).
_MERGER = re.compile(r"(^|\.)(\w*merger\w*)(\.|$)")


def parts_of(model: Any) -> Callable[[str], Part]:
    """The part that a parameter belongs to, by its full name in this model, wrapped or not.

    Args:
        model: a transformers model, not wrapped.
    """
    names = {id(module): name for name, module in model.named_modules()}
    vision = names.get(id(model.get_encoder(modality="image")), "")
    # In a text model the decoder is all there is.
    language = [names[id(model.get_decoder())]] if vision else [""]
    head = model.get_output_embeddings()
    language += [names[id(head)]] if head is not None else []

    def part(name: str) -> Part:
        name = _WRAPPED.sub("", name)
        if vision and name.startswith(f"{vision}."):
            return "projector" if _MERGER.search(name) else "vision"
        inside = any(not prefix or name.startswith(f"{prefix}.") for prefix in language)
        return "language_model" if inside else "projector"

    return part


def choose_parameters(model: Any, train: Sequence[str]) -> None:
    """Let the parameters of some parts learn, and no others.

    Args:
        train: names of parts, or regular expressions that match parameters' full names.

    Raises:
        PlumblineError: one of them matches no parameter.
    """
    part = parts_of(model)
    parameters = dict(model.named_parameters())
    learning: set[str] = set()
    for wanted in train:
        found = {name for name in parameters if _matches(wanted, name, part(name))}
        # A text model has no projector, which is no reason to refuse a recipe.
        if not found and wanted not in get_args(Part):
            tops = sorted({".".join(name.split(".")[:2]) for name in parameters})
            raise PlumblineError(
                f"train={wanted}: no parameter's full name matches it. Parts are {', '.join(get_args(Part))}; "
                f"names begin with {', '.join(tops)}"
            )
        learning |= found
    if not learning:
        raise PlumblineError(
            f"train={','.join(train)}: the model has no such part, so nothing would learn"
        )
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in learning)


def _matches(wanted: str, name: str, part: Part) -> bool:
    if wanted in get_args(Part):
        return part == wanted
    try:
        return re.fullmatch(wanted, name) is not None
    except re.error as error:
        raise PlumblineError(
            f"train={wanted}: neither a part nor a regular expression ({error})"
        ) from error


def with_adapter(
    model: Any,
    train: Sequence[str],
    *,
    rank: int,
    alpha: float,
    dropout: float,
    targets: Sequence[str],
    base: str,
    revision: str | None,
) -> Any:
    """The model with a LoRA adapter in its language model; other parts that learn are copied into the adapter.

    So everything that learns belongs to the adapter: it is saved with it, and with the adapter switched off the
    model is the reference.

    Args:
        train: as for ``choose_parameters``, but whole modules only.
        targets: ``["all"]`` linear layers of the language model, or the last parts of their names.
        base: what the adapter's config names as its base model.

    Raises:
        PlumblineError: there is no such layer.
    """
    from peft import LoraConfig, get_peft_model

    part = parts_of(model)
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and part(f"{name}.weight") == "language_model"
        and module is not model.get_output_embeddings()
        and (list(targets) == ["all"] or name.rpartition(".")[2] in targets)
    ]
    if not linear:
        raise PlumblineError(
            f"lora_targets={','.join(targets)}: the language model has no such layers; take all"
        )
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=_targets(model, linear),
        modules_to_save=_whole_modules(model, [each for each in train if each != "language_model"]),
        revision=revision,
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    adapted.peft_config["default"].base_model_name_or_path = base
    return adapted


def _targets(model: nn.Module, names: Sequence[str]) -> str | list[str]:
    """What tells PEFT to adapt these layers and no others: a short pattern where there is one, else their names.

    The pattern is what their full names begin with, anything, and their last names.
    """
    root = names[0].split(".")[:-1]
    while not all(name.split(".")[: len(root)] == root for name in names):
        root.pop()
    lasts = sorted({name.rpartition(".")[2] for name in names})
    pattern = rf"{re.escape('.'.join(root))}\.(.*\.)?({'|'.join(map(re.escape, lasts))})"
    matched = {name for name, _ in model.named_modules() if re.fullmatch(pattern, name)}
    return pattern if root and matched == set(names) else list(names)


def _whole_modules(model: Any, wanted: Sequence[str]) -> list[str] | None:
    """Full names of the outermost modules all of whose parameters are wanted.

    Parameters that are in no such module (LLaVA-NeXT's ``image_newline``) stay as they are.
    """
    part = parts_of(model)
    found: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            continue  # PEFT copies no containers
        parameters = [f"{name}.{inner}" for inner, _ in module.named_parameters()]
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if (
            name
            and parameters
            and not inside
            and all(any(_matches(each, full, part(full)) for each in wanted) for full in parameters)
        ):
            found.append(name)
    return found or None


def exact_copies(model: nn.Module) -> None:
    """What learns, in float32, for training that computes in half precision by autocast.

    PEFT sees to that for LoRA's layers, but copies a projector as it is, and small updates vanish in bfloat16.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def adapter_owns_all(model: Any) -> bool:
    """Whether everything that learns belongs to an adapter, so that switching it off gives the reference."""
    from peft import PeftModel

    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    owned = ("lora_", ".modules_to_save.")
    return isinstance(model, PeftModel) and all(
        any(mark in name for mark in owned) for name in learning
    )


def without_dropout(model: nn.Module) -> None:
    """Switch off all dropout: policy and reference must agree while nothing is learned yet.

    Models hold its rate in ``nn.Dropout`` modules and as plain numbers that their attention reads.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
