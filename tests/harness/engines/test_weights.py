"""Hashes of checkpoints: complete, remembered, and never stale."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from harness.engines import weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoint"
    made.mkdir()
    for name in ("model-1.safetensors", "model-2.safetensors", "training_args.bin"):
        (made / name).write_bytes(name.encode())
    for name in ("config.json", "chat_template.jinja", "trainer_state.json", "README.md"):
        (made / name).write_text(name)
    return made


def wait_for_a_tick(path: Path, scratch: Path) -> None:
    """Until the file system's clock shows another time than the last change of a file."""
    probe = scratch / "probe"
    probe.touch()
    while probe.stat().st_ctime_ns <= path.stat().st_ctime_ns:
        probe.touch()


def test_weights_are_safetensors_and_pickles_only_where_there_are_none(folder: Path) -> None:
    assert [p.name for p in weights.weight_files(folder)] == [
        "model-1.safetensors",
        "model-2.safetensors",
    ]
    for path in folder.glob("*.safetensors"):
        path.unlink()
    (folder / "pytorch_model.bin").touch()
    assert [p.name for p in weights.weight_files(folder)] == ["pytorch_model.bin"]


def test_the_template_counts_and_the_log_of_a_training_run_does_not(folder: Path) -> None:
    names = {path.name for path in weights.setup_files(folder)}
    assert names == {"config.json", "chat_template.jinja"}


def test_the_digest_depends_on_names_and_contents_only(folder: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    files = weights.weight_files(folder)
    first = weights.digest_of(files, memory)
    assert weights.digest_of(files[::-1], memory) == first
    one, two = (hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    content = f'[["model-1.safetensors","{one}"],["model-2.safetensors","{two}"]]'
    assert first == hashlib.sha256(content.encode()).hexdigest()
    files[0].write_bytes(b"other")
    assert weights.digest_of(files, memory) != first


def test_a_blob_of_the_hub_cache_is_known_by_its_name(tmp_path: Path) -> None:
    name = hashlib.sha256(b"content").hexdigest()
    blob = tmp_path / "blobs" / name
    blob.parent.mkdir()
    blob.write_bytes(b"content")
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    plain = tmp_path / "copy"
    plain.mkdir()
    (plain / "model.safetensors").write_bytes(b"content")
    memory = tmp_path / "memory.json"
    assert weights.digest_of([link], memory) == weights.digest_of(
        [plain / "model.safetensors"], memory
    )


def test_a_hash_is_remembered_but_not_after_the_file_was_overwritten(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if size and modification time are put back, as ``rsync --times`` does."""
    memory = tmp_path / "memory.json"
    files = weights.weight_files(folder)
    weights.digest_of(files, memory)
    assert not memory.exists(), "files as fresh as this one might change unnoticed"
    monkeypatch.setattr(weights, "_SETTLED_NS", 0)
    wait_for_a_tick(files[-1], tmp_path)
    first = weights.digest_of(files, memory)
    known = json.loads(memory.read_text())
    assert len(known) == 2
    memory.write_text(json.dumps(dict.fromkeys(known, "0" * 64)))
    assert weights.digest_of(files, memory) != first, "the memory is not read"

    memory.write_text(json.dumps(known))
    status = files[0].stat()
    files[0].write_bytes(b"M" + files[0].read_bytes()[1:])
    os.utime(files[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert weights.digest_of(files, memory) != first


def test_a_damaged_or_unwritable_memory_is_no_obstacle(folder: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    files = weights.weight_files(folder)
    first = weights.digest_of(files, memory)
    for content in ("{", "[]", '{"a": 1}'):
        memory.write_text(content)
        assert weights.digest_of(files, memory) == first
    blocked = tmp_path / "file"
    blocked.touch()
    assert weights.digest_of(files, blocked / "memory.json") == first
