"""Checkpoints for the engine's tests, each made once per session and only if a test asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from tests.harness.engines.tiny_models import BUILDERS


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random checkpoint by the name of its architecture."""
    transformers.logging.disable_progress_bar()
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            torch.manual_seed(0)
            made[name] = BUILDERS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return get
