"""Command-line options of the tests.

They are declared at the root because pytest takes options from the conftest files above the paths
that it is started with: ``pytest`` and ``pytest tests/parity --parity-dir DIR`` both see this one.
Without a path write ``--parity-dir=DIR``, or pytest takes DIR for the path.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent

# How long an example takes says how busy the machine is. All else stays as Hypothesis chose (in CI: no chance).
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parity", "official scorers' outputs to compare with")
    group.addoption(
        "--parity-dir",
        type=Path,
        help="folder with one folder of cases per benchmark (default: ../shared/parity)",
    )
    group.addoption(
        "--parity-data-dir",
        type=Path,
        help="folder with the official files that the cases name "
        "(default: data beside the parity folder, else ../shared/data)",
    )
    parser.addoption(
        "--kills",
        type=int,
        default=2,
        help="at how many random points test_kill kills a run (default: 2)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Replaces the two options by existing folders, or None where the default folder is absent."""
    given, given_data = config.option.parity_dir, config.option.parity_data_dir
    for option, path in (("--parity-dir", given), ("--parity-data-dir", given_data)):
        if path is not None and not path.is_dir():
            raise pytest.UsageError(f"{option}: {path} is not a folder")
    shared = ROOT.parent / "shared"
    parity = _first_folder([given] if given else [shared / "parity"])
    beside = [parity.resolve().parent / "data"] if parity else []
    data = _first_folder([given_data] if given_data else [*beside, shared / "data"])
    config.option.parity_dir, config.option.parity_data_dir = parity, data


def _first_folder(candidates: list[Path]) -> Path | None:
    return next((path.resolve() for path in candidates if path.is_dir()), None)
