"""What a training begins with: the checkpoint, in a precision that it can learn in, and the library's arguments."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments, set_seed

from benchmarks.base import PlumblineError
from harness.engines import checkpoints, weights
from harness.engines.checkpoints import Checkpoint
from harness.engines.processors import explained, has_processor, load_processor, load_tokenizer
from trainers.parts import choose_parameters, with_adapter, without_dropout
from trainers.settings import FIXED, Settings

log = logging.getLogger(__name__)


def _on_bf16_gpu() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()


def _weights_dtype(settings: Settings) -> str:
    """Small updates vanish in half-precision weights, so those that learn as a whole are float32."""
    if settings.dtype != "auto":
        return settings.dtype
    return "bfloat16" if settings.lora_r and _on_bf16_gpu() else "float32"


@dataclass(frozen=True)
class Base:
    """The model that a training begins with.

    Attributes:
        name: what an adapter's config calls it: a folder or a hub id.
        revision: the commit on the hub, if it came from there.
        merged: whether an adapter was merged into it, so that these weights are in no folder.
    """

    checkpoint: Checkpoint
    name: str
    revision: str | None
    merged: bool


def load_base(ckpt: str, settings: Settings, trust_remote_code: bool) -> Base:
    """Load a checkpoint for training, on the CPU. Raises PlumblineError.

    An adapter is merged into its base, so that training starts from plain weights.
    """
    options = checkpoints.Options(_weights_dtype(settings), "cpu", trust_remote_code)
    location = checkpoints.locate(ckpt, None, options)
    if location.gguf is not None:
        raise PlumblineError(f"{location.folder}: a GGUF file can be evaluated, not trained")
    loaded = checkpoints.load(replace(location, adapter=None), options)
    if location.adapter is not None:
        loaded = _merged(loaded, location.adapter, trust_remote_code)
    path = Path(ckpt).expanduser()
    name = str(path.resolve()) if path.exists() else ckpt.partition("@")[0]
    return Base(loaded, name, location.revision, location.adapter is not None)


def _merged(base: Checkpoint, adapter: Path, trust_remote_code: bool) -> Checkpoint:
    from peft import PeftModel

    with explained(adapter, "adapter"):
        model = PeftModel.from_pretrained(base.model, adapter).merge_and_unload()
    source, processor = base.source, base.processor
    if base.takes_pictures and has_processor(adapter):
        source = adapter
        processor = load_processor(adapter, model.config, trust_remote_code)
    elif not base.takes_pictures and (adapter / "tokenizer_config.json").exists():
        source = adapter
        processor = load_tokenizer(adapter, None, trust_remote_code)
    digest = weights.digest_of(weights.weight_files(adapter))
    identity = {**base.identity, "adapter_sha256": digest}
    return replace(base, model=model, processor=processor, source=source, identity=identity)


def learning_model(base: Base, settings: Settings, arguments: TrainingArguments) -> Any:
    """The base with what learns marked, its dropout off, on its device. Raises PlumblineError."""
    model = base.checkpoint.model
    if settings.lora_r:
        set_seed(arguments.seed)  # an adapter's first layers are drawn
        model.requires_grad_(False)
        model = with_adapter(
            model,
            settings.train,
            rank=settings.lora_r,
            alpha=settings.lora_alpha,
            dropout=settings.lora_dropout,
            targets=settings.lora_targets,
            base=base.name,
            revision=base.revision,
        )
    else:
        choose_parameters(model, settings.train)
    if not settings.dropout:
        without_dropout(model)
    return model.to(arguments.device)


def training_arguments(settings: Settings, out: Path) -> TrainingArguments:
    """The library's arguments. Raises PlumblineError with what it says about a value."""
    defaults = {
        "bf16": _on_bf16_gpu(),
        "dataloader_pin_memory": torch.cuda.is_available(),
        # Parallel training must be told that a vision tower's last layers may be unused, and that a
        # projector is where one process's pairs have no pictures.
        "ddp_find_unused_parameters": not settings.lora_r or settings.train != ("language_model",),
    }
    known = {each.name for each in fields(TrainingArguments)}
    fixed = {name: value for name, value in FIXED.items() if name in known}
    try:
        found = TrainingArguments(
            output_dir=str(out), **{**defaults, **settings.arguments, **fixed}
        )
    except (ValueError, TypeError, ImportError) as error:
        raise PlumblineError(f"transformers.TrainingArguments: {error}") from error
    if found.n_gpu > 1:
        # One process with several GPUs: the library would cut each batch's tensors into equal parts, but what
        # runs along a batch here are tokens of any number of rows.
        log.warning("training on the first of %d GPUs; `accelerate launch` uses all", found.n_gpu)
        found._n_gpu = 1
    return found
