"""What a training is asked to do: a recipe's values, changed by ``--set``, complete and checked.

A recipe is a flat TOML file. Its keys are the fields of ``Settings``, the options of its method (``beta``), and
the fields of ``transformers.TrainingArguments`` (``learning_rate``, ``num_train_epochs``, …); no name is in
two of these. An unknown key is an error that names the nearest ones.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from benchmarks.base import PlumblineError
from trainers.methods import METHODS, open_method

RECIPES = Path(__file__).parent / "recipes"

DEFAULTS: Mapping[str, Any] = {
    "seed": 42,
    "num_train_epochs": 3.0,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "learning_rate": 5e-5,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.1,
    "optim": "adamw_torch_fused",
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "logging_steps": 1,
    "save_steps": 0.1,
    "save_total_limit": 1,
    "report_to": "none",
    "log_level": "error",
}
"""Values of ``TrainingArguments`` that a recipe may change again.

The library's own where they decide what is learned, so that a saved recipe says them and means the same
in other versions of it. ``save_steps`` is a share of all steps: a killed training loses at most a tenth.
"""

FIXED: Mapping[str, Any] = {
    "remove_unused_columns": False,
    "logging_nan_inf_filter": False,
    "disable_tqdm": True,
    "use_cache": True,
    "save_only_model": False,
    "ignore_data_skip": False,
    "dataloader_persistent_workers": False,
}
"""Values that the trainer depends on.

The library would otherwise log the running mean in place of a loss that is not finite, and write
``use_cache = false`` into the checkpoint's config (the trainer itself never asks for a cache). The last three
keep a resumed training exact, and workers from drawing on the pairs of an epoch that is over.
"""

_NOT_SET = frozenset(
    (
        *FIXED,
        *(
            "output_dir",
            "resume_from_checkpoint",
            "do_train",
            "do_eval",
            "do_predict",
            "local_rank",
        ),
        *("label_names", "label_smoothing_factor", "neftune_noise_alpha", "auto_find_batch_size"),
        *("eval_strategy", "eval_steps", "prediction_loss_only", "load_best_model_at_end"),
        *("push_to_hub", "hub_token"),
    )
)
"""Fields of ``TrainingArguments`` that have no meaning here, or would change the objective behind its back."""


@dataclass(frozen=True)
class Settings:
    """All that decides what a training does.

    Attributes:
        method: the objective, one of ``methods.METHODS``.
        source: where a recipe's values come from.
        max_length: tokens of prompt and longer answer, picture tokens included; longer pairs are left out whole.
        skip_unreadable: leave out pairs that cannot be prepared (a damaged picture) instead of stopping.
        corruption: how rejected pictures are made where the data has none.
        corruption_seed: of that; the training's own ``seed`` does not change it, so that seeds share a reference.
        train: parts that learn, of language_model, projector and vision, or patterns of parameters' full names.
        lora_r: rank of the adapter of the language model; 0 trains it whole.
        lora_targets: ``all`` linear layers of the language model, or the last parts of their names.
        merge: write the merged weights, not the adapter.
        projector_learning_rate: of the projector; 0 for the common one.
        dropout: keep the model's dropout, LoRA's included, while it is trained.
        dtype: of the weights: float32, bfloat16, float16 or auto.
        layout: see ``layouts``.
        reference: ``cache`` computes its log-probabilities once; ``adapter`` and ``copy`` in each step, with the
            adapter switched off or from a frozen copy of the model.
        extra_reference: the second reference model (for mrpo).
        keep_checkpoints: leave the last state for resuming in the folder of a finished training.
        options: the method's.
        arguments: of ``transformers.TrainingArguments``.
    """

    method: str
    source: str = ""
    max_length: int = 2048
    skip_unreadable: bool = False
    corruption: str = "crop"
    corruption_seed: int = 0
    train: tuple[str, ...] = ("language_model", "projector")
    lora_r: int = 0
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ("all",)
    merge: bool = False
    projector_learning_rate: float = 0.0
    dropout: bool = False
    dtype: str = "auto"
    layout: Literal["auto", "concat", "shared_prefix"] = "auto"
    reference: Literal["auto", "cache", "adapter", "copy"] = "auto"
    extra_reference: str = ""
    keep_checkpoints: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def flat(self) -> dict[str, Any]:
        """All values by name, as in a recipe file."""
        own = asdict(self)
        options, arguments = own.pop("options"), own.pop("arguments")
        return {**own, **options, **arguments}

    def to_toml(self) -> str:
        """A recipe file with all values."""
        # JSON's strings, numbers, booleans and arrays are TOML's too.
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in self.flat().items())


def resolve(method: str | None, recipe: str | None, changes: Sequence[str]) -> Settings:
    """Defaults, then a recipe, then ``--set`` values.

    Args:
        method: in place of the recipe's; options that it does not have are then left out.
        recipe: the name of one in ``recipes/``, or a TOML file.
        changes: ``["beta=0.2", "learning_rate=1e-6"]``.

    Raises:
        PlumblineError: an unknown recipe, method or key, or a value that does not fit; the text names it.
    """
    values = read_recipe(recipe) if recipe else {}
    given = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise PlumblineError(f"--set {change}: write it as KEY=VALUE, e.g. beta=0.2")
        given[name.strip()] = _parsed(text.strip())
    chosen = method or values.get("method")
    if not chosen:
        raise PlumblineError(f"say what to train with: --method {'|'.join(METHODS)}")
    if chosen != values.get("method"):
        values = _without_options_of_others(values, chosen)
    return _settings({**values, **given, "method": chosen})


def _without_options_of_others(values: Mapping[str, Any], method: str) -> dict[str, Any]:
    """A recipe for another method than its own, or for any: what this one has no use for is left out."""
    options = {option for each in METHODS.values() for option in each.options()}
    own = open_method(method).options()
    return {name: value for name, value in values.items() if name in own or name not in options}


def read_recipe(name: str) -> dict[str, Any]:
    """A recipe's values as they stand in its file. Raises PlumblineError."""
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        raise PlumblineError(
            f"--recipe {name}: there is none of that name ({', '.join(recipes())})"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlumblineError(f"{path}: not TOML ({error})") from error


def recipes() -> list[str]:
    """Names of the recipes that come with Plumbline."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def _parsed(text: str) -> Any:
    """A value from the command line, which is text where it is no TOML value."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _settings(values: Mapping[str, Any]) -> Settings:
    own = {each.name for each in fields(Settings)} - {"options", "arguments"}
    known_options = set(open_method(values["method"]).options())
    known_arguments = _argument_types()
    hints = get_type_hints(Settings)
    for name in values:
        if name not in own and name not in known_options and name not in known_arguments:
            known = [*own, *known_options, *known_arguments]
            near = difflib.get_close_matches(name, known, n=3) or sorted(known_options)
            raise PlumblineError(
                f"{name}: no setting of {values['method']}, of the trainer or of transformers.TrainingArguments "
                f"(near: {', '.join(near)})"
            )
    settings = Settings(
        **{
            name: _checked(name, value, hints[name])
            for name, value in values.items()
            if name in own
        }
    )
    options = {name: value for name, value in values.items() if name in known_options}
    given = {
        name: _checked(name, value, known_arguments[name])
        for name, value in values.items()
        if name in known_arguments
    }
    bound = open_method(settings.method, options)
    return replace(settings, options=bound.options(), arguments={**DEFAULTS, **given})


def _argument_types() -> dict[str, Any]:
    from transformers import TrainingArguments

    hints = get_type_hints(TrainingArguments)
    return {
        each.name: hints[each.name]
        for each in fields(TrainingArguments)
        if each.init and each.name not in _NOT_SET
    }


def _checked(name: str, value: Any, wanted: Any) -> Any:
    """The value in the wanted type. Raises PlumblineError."""
    if get_origin(wanted) is Literal:
        if value in get_args(wanted):
            return value
        raise PlumblineError(f"{name}={value}: one of {', '.join(get_args(wanted))} is expected")
    if wanted == tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if isinstance(parts, Sequence) and all(isinstance(part, str) for part in parts):
            return tuple(part.strip() for part in parts)
        raise PlumblineError(f"{name}={value}: names are expected, e.g. language_model,projector")
    if wanted is float and type(value) is int:
        return float(value)
    # The library's own hints beyond plain types are not always true (`fsdp` takes a bool).
    if wanted in (int, float, bool, str) and type(value) is not wanted:
        raise PlumblineError(
            f"{name}={value}: {wanted.__name__} is expected, not {type(value).__name__}"
        )
    return value
