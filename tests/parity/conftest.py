"""Folders of official scorers' outputs, given with --parity-dir and --parity-data-dir.

Without these folders the tests skip. ``config.getoption("parity_dir")`` gives the same folder, or
None, to a ``pytest_generate_tests`` that turns the cases in it into tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def parity_dir(pytestconfig: pytest.Config) -> Path:
    """The folder with one folder of cases per benchmark."""
    return _folder(pytestconfig, "parity_dir", "--parity-dir")


@pytest.fixture(scope="session")
def parity_data_dir(pytestconfig: pytest.Config) -> Path:
    """The folder with the official files, laid out as DATA_DIR/<benchmark>/<file>."""
    return _folder(pytestconfig, "parity_data_dir", "--parity-data-dir")


def _folder(config: pytest.Config, name: str, option: str) -> Path:
    folder: Path | None = config.getoption(name)
    if folder is None:
        pytest.skip(f"official outputs are not here; give {option}")
    return folder
