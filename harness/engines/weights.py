"""What exactly was evaluated: SHA-256 over a checkpoint's weights and over its other files.

A file is read once: its hash is remembered, keyed by path, size, inode and both time stamps. The
time of the last status change (``ctime``) cannot be set by a program that writes a file, so an
overwritten file is noticed even if its modification time was put back.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from benchmarks.base import sha256_of, sha256_of_file

_BLOB = re.compile(r"[0-9a-f]{64}")
# A write within one tick of the clock after hashing leaves no trace in the time stamps.
_SETTLED_NS = 2_000_000_000
_N_THREADS = 4

_NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin")
_SETUP_PATTERNS = (
    "*.json",
    "*.jinja",
    "*.model",
    "*.txt",
    "*.py",
    "additional_chat_templates/*.jinja",
)
# Logs of a training run: they change nothing about an answer.
_NOT_SETUP = ("trainer_state.json", "all_results.json", "train_results.json", "eval_results.json")


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights: safetensors, or pickles where there are none."""
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        found = [path for path in sorted(folder.glob("*.bin")) if path.name not in _NOT_WEIGHTS]
    return found


def setup_files(folder: Path) -> list[Path]:
    """The other files that can change an answer: config, tokenizer, template, code."""
    found = {path for pattern in _SETUP_PATTERNS for path in folder.glob(pattern)}
    return sorted(path for path in found if path.name not in _NOT_SETUP)


def digest_of(files: Sequence[Path], cache_file: Path | None = None) -> str:
    """SHA-256 over the names and contents of files.

    Args:
        files: what to hash; the order does not matter.
        cache_file: where hashes are remembered; by default in the user's cache folder.
    """
    cache_file = cache_file or _default_cache_file()
    known = _read_cache(cache_file)
    fresh: dict[str, str] = {}

    def one(path: Path) -> tuple[str, str]:
        return path.name, _digest_of_file(path, known, fresh)

    with ThreadPoolExecutor(_N_THREADS) as pool:
        entries = sorted(pool.map(one, files))
    if fresh:
        _write_cache(cache_file, known | fresh)
    return sha256_of(entries)


def _digest_of_file(path: Path, known: dict[str, str], fresh: dict[str, str]) -> str:
    real = path.resolve()
    if real.parent.name == "blobs" and _BLOB.fullmatch(real.name):
        # In a Hugging Face cache, a large file's name is the SHA-256 of its content.
        return real.name
    before = _stamp(real)
    if before in known:
        return known[before]
    started_ns = time.time_ns()
    digest = sha256_of_file(real)
    if before == _stamp(real) and real.stat().st_ctime_ns + _SETTLED_NS < started_ns:
        fresh[before] = digest
    return digest


def _stamp(path: Path) -> str:
    status = path.stat()
    parts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return ":".join([str(path), *map(str, parts)])


def _default_cache_file() -> Path:
    return Path.home() / ".cache" / "plumbline" / "weights.json"


def _read_cache(path: Path) -> dict[str, str]:
    """What is remembered; nothing if the file is absent or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if _BLOB.fullmatch(str(value))}


def _write_cache(path: Path, content: dict[str, str]) -> None:
    """Replace the cache in one step. A folder that can't be written is no reason to fail."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream)
        os.replace(name, path)
