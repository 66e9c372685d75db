"""Checkpoints for the engine's tests, each made once per session and only if a test asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.engines.tiny_models import tiny_folders


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random checkpoint by the name of its architecture."""
    return tiny_folders(tmp_path_factory)
