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
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import BadRecordError
from harness.plots.drawing import Drawing, write_figure
from harness.plots.style import COLUMN, FAINT, INK, PAGE, Layout, framed, house_style, look
from harness.store import MixedRunError, differences, to_json, write_atomically

if TYPE_CHECKING:
    from trainers.trainer import PreferenceTrainer

RECORD, RECIPE = "training.json", "recipe.toml"
TRAINER_STATE = "trainer_state.json"

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


def last_state(out: Path) -> Path | None:
    """The newest state to go on from that was written to its end."""
    whole = []
    for path in out.glob(f"checkpoint-*/{TRAINER_STATE}"):
        try:
            whole.append((json.loads(path.read_text(encoding="utf-8"))["global_step"], path.parent))
        except (ValueError, KeyError, TypeError):
            continue  # killed while writing it
    return max(whole)[1] if whole else None


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """training.json, in one step."""
    write_atomically(out / RECORD, to_json(record))


def save_weights(trainer: PreferenceTrainer, out: Path, merge: bool) -> None:
    """Adapter or whole weights, from all processes that hold a part of them.

    Args:
        merge: write what an adapter makes of its base in place of the adapter.
    """
    if merge:
        merged = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
        if trainer.accelerator.is_main_process:
            merged.save_pretrained(out)
        return
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(out))
    (out / "training_args.bin").unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """What a training ran on."""
    import accelerate
    import peft
    import torch
    import transformers

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
        "peft": peft.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def copy_processor(source: Path, out: Path) -> None:
    """The base's processor, tokenizer and chat template as they are."""
    for path in (path for pattern in _OF_PROCESSOR for path in source.glob(pattern)):
        target = out / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def plot(record: Mapping[str, Any], path: Path) -> None:
    """Loss and, where there are any, rewards over the steps."""
    from matplotlib.lines import Line2D

    told = record["curves"]
    shown = [name for name in _REWARDS if name in told]
    lines = {
        name: {"color": look(index).colour, "linestyle": look(index).dashes}
        for index, name in enumerate(shown)
    }
    legend = [(Line2D([], [], **line), _REWARDS[name]) for name, line in lines.items()]
    with house_style():
        figure = framed(Layout(PAGE if shown else COLUMN), 2.0, legend)
        loss, *others = figure.subplots(1, 1 + bool(shown), squeeze=False)[0]
        loss.plot(told["step"], told["loss"], color=INK)
        loss.set(xlabel="step", ylabel="loss", title=record["recipe"]["method"])
        for axes in others:
            axes.axhline(0, color=FAINT, linewidth=0.7)
            for name, line in lines.items():
                axes.plot(told["step"], told[name], **line)
            axes.set(xlabel="step", ylabel="implicit reward")
        write_figure(Drawing(figure, ()), path)
