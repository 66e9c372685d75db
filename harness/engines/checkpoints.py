"""Finding and loading a checkpoint: a folder, a hub id, a PEFT adapter or a GGUF file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.base import PlumblineError
from harness.engines import weights
from harness.engines.processors import (
    explained,
    has_processor,
    load_processor,
    load_tokenizer,
)
from harness.training_record import kept_of

_HUB_ID = re.compile(r"(?P<id>[\w][\w.\-]*/[\w][\w.\-]*)(@(?P<revision>[\w.\-/]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken"]
_NOT_FROM_HUB = ["original/*", "onnx/*", "openvino/*", "consolidated*"]


@dataclass(frozen=True)
class Location:
    """Where a checkpoint's files are.

    Attributes:
        folder: the folder with config and weights (of the base model, for an adapter).
        gguf: the GGUF file in ``folder``, if the weights are in that format.
        adapter: the folder of the adapter, if there is one.
        revision: the commit on the hub, if it came from there.
    """

    folder: Path
    gguf: str | None = None
    adapter: Path | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Options:
    """How a checkpoint is loaded; the fields are those of ``TransformersEngine.load``."""

    dtype: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    allow_pickle: bool = False
    base: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        processor: the processor of an image-text model, the tokenizer of a text model.
        takes_pictures: whether this is an image-text model.
        source: the folder that the processor came from.
        identity: what was loaded, in hashes.
        origin: its size, and how it was trained where a record tells.
    """

    model: Any
    processor: Any
    takes_pictures: bool
    source: Path
    identity: Mapping[str, Any]
    origin: Mapping[str, Any]


def locate(checkpoint: str, revision: str | None, options: Options) -> Location:
    """The files of a checkpoint, fetched from the hub where it names one.

    Raises:
        PlumblineError: there is no such checkpoint.
    """
    path = Path(checkpoint).expanduser()
    if path.is_file():
        if path.suffix != ".gguf":
            raise PlumblineError(f"{path}: a checkpoint is a folder, a hub id or a .gguf file")
        return Location(path.parent, gguf=path.name)
    if path.is_dir():
        return _locate_folder(path, None, options)
    match = _HUB_ID.fullmatch(checkpoint)
    if match is None or checkpoint.startswith((".", "/", "~")):
        raise PlumblineError(
            f"{checkpoint}: there is no such folder, and it does not read as a hub id (owner/name)"
        )
    folder = _fetch(match["id"], revision or match["revision"], options)
    commit = folder.name if _COMMIT.fullmatch(folder.name) else None
    return _locate_folder(folder, commit, options)


def _fetch(hub_id: str, revision: str | None, options: Options) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = [*_HUB_FILES]
    patterns += ["*.bin"] if options.allow_pickle else []
    patterns += ["*.py"] if options.trust_remote_code else []
    try:
        return Path(
            snapshot_download(
                hub_id, revision=revision, allow_patterns=patterns, ignore_patterns=_NOT_FROM_HUB
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PlumblineError(
            f"{hub_id}: there is no such folder here, and the hub gave no such model ({reason}); "
            "check the spelling and the network, or run `hf auth login` if the model is gated"
        ) from error


def _locate_folder(folder: Path, revision: str | None, options: Options) -> Location:
    adapter_config = folder / "adapter_config.json"
    if adapter_config.exists() and not (folder / "config.json").exists():
        return _locate_adapter(folder, adapter_config, revision, options)
    if (folder / "config.json").exists():
        files = weights.weight_files(folder)
        if not files:
            raise PlumblineError(f"{folder}: there is a config.json, but no *.safetensors weights")
        if files[0].suffix == ".bin" and not options.allow_pickle:
            raise PlumblineError(
                f"{folder}: its weights are pickles (*.bin), which can run code when they are "
                "loaded; convert them to safetensors, or load with allow_pickle if you trust them"
            )
        return Location(folder, revision=revision)
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return Location(folder, gguf=files[0].name, revision=revision)
    if files:
        names = ", ".join(file.name for file in files)
        raise PlumblineError(f"{folder}: name one of its GGUF files: {names}")
    raise PlumblineError(
        f"{folder}: not a checkpoint: there is no config.json, adapter_config.json or *.gguf in it"
    )


def _locate_adapter(
    folder: Path, adapter_config: Path, revision: str | None, options: Options
) -> Location:
    content = json.loads(adapter_config.read_text(encoding="utf-8"))
    named = options.base or content.get("base_model_name_or_path")
    if not named:
        raise PlumblineError(
            f"{adapter_config}: base_model_name_or_path is empty; name the base model"
        )
    beside = folder / named
    try:
        base = locate(str(beside) if beside.is_dir() else named, content.get("revision"), options)
    except PlumblineError as error:
        raise PlumblineError(
            f"{adapter_config}: the adapter's base model {named} is not found; set "
            f"base_model_name_or_path to where it is, or name the base when loading ({error})"
        ) from error
    return Location(base.folder, base.gguf, adapter=folder, revision=revision or base.revision)


def load(location: Location, options: Options) -> Checkpoint:
    """Load model and processor. Raises PlumblineError with the place and the remedy."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    folder, gguf = location.folder, location.gguf
    if gguf is not None and find_spec("gguf") is None:
        raise PlumblineError(f"{folder / gguf}: reading GGUF needs a package: pip install gguf")
    trusted = options.trust_remote_code
    with explained(folder, "configuration"):
        arguments = {"gguf_file": gguf} if gguf else {"trust_remote_code": trusted}
        config = AutoConfig.from_pretrained(folder, **arguments)
    remote = getattr(config, "auto_map", None) or {}
    takes_pictures = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or (
        trusted and "AutoModelForImageTextToText" in remote
    )
    source = _processor_folder(location, takes_pictures)
    if takes_pictures:
        processor = load_processor(source, config, trusted)
    else:
        processor = load_tokenizer(source, gguf, trusted)
    model = _load_model(location, options, takes_pictures)
    identity = _identity(location, model)
    training = kept_of(location.adapter or location.folder)
    origin = {"n_parameters": model.num_parameters(), "training": training}
    return Checkpoint(model, processor, takes_pictures, source, identity, origin)


def _processor_folder(location: Location, takes_pictures: bool) -> Path:
    """The adapter's folder if it brings its own processor, else the base model's."""
    adapter = location.adapter
    if adapter is None or location.gguf is not None:
        return location.folder
    if takes_pictures:
        return adapter if has_processor(adapter) else location.folder
    return adapter if (adapter / "tokenizer_config.json").exists() else location.folder


def _load_model(location: Location, options: Options, takes_pictures: bool) -> Any:
    import transformers

    device = resolve_device(options.device)
    arguments: dict[str, Any] = {"dtype": resolve_dtype(options.dtype, device)}
    if location.gguf is not None:
        arguments["gguf_file"] = location.gguf
    else:
        arguments["trust_remote_code"] = options.trust_remote_code
        arguments["use_safetensors"] = None if options.allow_pickle else True
    if device == "balanced":
        arguments["device_map"] = "balanced"
    auto = (
        transformers.AutoModelForImageTextToText
        if takes_pictures
        else transformers.AutoModelForCausalLM
    )
    with explained(location.folder, "model"):
        model = auto.from_pretrained(location.folder, **arguments)
        # Quantised weights are put where they belong while they are loaded.
        if device != "balanced" and not getattr(model, "is_quantized", False):
            model = model.to(device)
    if location.adapter is not None:
        model = _with_adapter(model, location.adapter)
    return model.eval()


def _with_adapter(model: Any, adapter: Path) -> Any:
    """The base model with the adapter in it, not merged: merging would round in bfloat16."""
    if find_spec("peft") is None:
        raise PlumblineError(f"{adapter}: loading an adapter needs a package: pip install peft")
    from peft import PeftModel

    with explained(adapter, "adapter"):
        adapted = PeftModel.from_pretrained(model, adapter)
    if adapted.active_peft_config.is_prompt_learning:
        raise PlumblineError(
            f"{adapter}: adapters that learn a prompt are not supported; those that change weights are"
        )
    return adapted.get_base_model()


def resolve_device(device: str) -> str:
    """A torch device's name; "auto" takes the accelerator where there is one. Raises PlumblineError."""
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise PlumblineError(
            f"--device {device}: this installation of PyTorch has no CUDA device; leave --device out"
        )
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_dtype(dtype: str, device: str) -> Any:
    """A torch dtype; "auto" is float32 on a CPU and the checkpoint's own elsewhere."""
    import torch

    if dtype == "auto":
        return torch.float32 if device == "cpu" else "auto"
    resolved = getattr(torch, dtype, None)
    if not isinstance(resolved, torch.dtype):
        raise PlumblineError(f"dtype {dtype}: not a torch dtype; take float32, bfloat16 or float16")
    return resolved


def _identity(location: Location, model: Any) -> dict[str, Any]:
    if location.gguf is not None:
        weight_files, setup_files = [location.folder / location.gguf], []
    else:
        weight_files = weights.weight_files(location.folder)
        setup_files = weights.setup_files(location.folder)
    if location.adapter is not None:
        weight_files += weights.weight_files(location.adapter)
        setup_files += weights.setup_files(location.adapter)
    return {
        "weights_sha256": weights.digest_of(weight_files),
        "setup_sha256": weights.digest_of(setup_files),
        "revision": location.revision,
        "dtype": str(model.dtype).removeprefix("torch."),
        "architecture": type(model).__name__,
    }
