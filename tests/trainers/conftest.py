"""Tiny random checkpoints and pairs for the trainer's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engines import checkpoints
from harness.engines.checkpoints import Checkpoint
from tests.harness.engines.tiny_models import tiny_folders


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random checkpoint by the name of its architecture."""
    return tiny_folders(tmp_path_factory)


@pytest.fixture
def tiny(tiny_folder: Callable[[str], Path]) -> Callable[[str], Checkpoint]:
    """A tiny random checkpoint by the name of its architecture, loaded anew."""

    def get(name: str) -> Checkpoint:
        options = checkpoints.Options(dtype="float32", device="cpu")
        return checkpoints.load(checkpoints.locate(str(tiny_folder(name)), None, options), options)

    return get
