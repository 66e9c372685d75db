"""What a training leaves behind: a checkpoint that ``harness.run --ckpt`` takes, and the record of how it came to be.

::

    OUT/config.json, model.safetensors     the trained model, or adapter_config.json, adapter_model.safetensors
    OUT/processor_config.json, …           processor, tokenizer and chat template of the base, unchanged
    OUT/training.json                      what was trained on what and how, with the curves
    OUT/training.png                       loss and rewards
    OUT/recipe.toml                        every setting; ``--recipe OUT/recipe.toml`` does the same again
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.base import BadRecordError
from harness.store import MixedRunError, differences, to_json, write_atomically

RECORD, RECIPE = "training.json", "recipe.toml"

_OF_PROCESSOR = (
    "*processor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "chat_template.*",
    "additional_chat_templates/*",
)

_REWARDS = {
    "rewards/chosen": "chosen",
    "rewards/rejected": "rejected",
    "rewards/image_rejected": "chosen, beside the rejected picture",
}


def read_record(out: Path) -> dict[str, Any]:
    """training.json; empty for a new folder. Raises BadRecordError."""
    path = out / RECORD
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, dict) and isinstance(record.get("identity"), dict):
            return record
        problem = "parts of it are missing"
    except ValueError as error:
        problem = f"not JSON: {error}"
    raise BadRecordError(f"{path} is damaged ({problem}). Use another --out")


def refuse_strangers(out: Path) -> None:
    """Raises MixedRunError if the folder holds a checkpoint that no training here has made."""
    held = [name for name in ("config.json", "adapter_config.json") if (out / name).exists()]
    if held and not (out / RECORD).exists():
        raise MixedRunError(
            f"{out} holds a checkpoint ({held[0]}) that would be overwritten; use another --out"
        )


def refuse_other(out: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises MixedRunError if the folder's training is not this one; the text names each difference."""
    found = differences(stored, json.loads(to_json(wanted)))
    if found:
        listed = "\n".join(f"  {line}" for line in found)
        raise MixedRunError(
            f"{out} holds another training; going on would mix the two:\n{listed}\n"
            "Use another --out, or the settings of the training that is there."
        )


def curves(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """What was logged, by name and along ``step``; None where a step lacks a value."""
    rows = [row for row in history if "loss" in row]
    names = sorted({name for row in rows for name in row} - {"step"})
    return {name: [row.get(name) for row in rows] for name in ["step", *names]}


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """training.json, in one step."""
    write_atomically(out / RECORD, to_json(record))


def copy_processor(source: Path, out: Path) -> None:
    """The base's processor, tokenizer and chat template as they are."""
    for path in (path for pattern in _OF_PROCESSOR for path in source.glob(pattern)):
        target = out / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def plot(record: Mapping[str, Any], path: Path) -> None:
    """Loss and, where there are any, rewards over the steps."""
    from matplotlib.figure import Figure

    told = record["curves"]
    shown = [name for name in _REWARDS if name in told]
    figure = Figure(figsize=(5 + 5 * bool(shown), 3.6), layout="constrained")
    loss, *others = figure.subplots(1, 1 + bool(shown), squeeze=False)[0]
    loss.plot(told["step"], told["loss"], color="black", linewidth=1)
    loss.set(xlabel="step", ylabel="loss", title=record["recipe"]["method"])
    for axes in others:
        for name in shown:
            axes.plot(told["step"], told[name], linewidth=1, label=_REWARDS[name])
        axes.axhline(0, color="grey", linewidth=0.5)
        axes.set(xlabel="step", ylabel="implicit reward")
        axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=120)
