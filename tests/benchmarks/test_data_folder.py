"""Official files, and what is said of absent and damaged ones.

Run: pytest tests/benchmarks/test_data_folder.py
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.base import BadRecordError, MissingDataError
from benchmarks.data_folder import official_or_stand_in, origin, required_json, required_text

REMEDY = "python -m harness.fetch x"


def test_a_text_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes("é {} \n".encode())
    assert required_text(path, REMEDY) == "é {} \n"


def test_an_absent_file_comes_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"prompt\.txt") as caught:
        required_text(tmp_path / "prompt.txt", REMEDY)
    assert caught.value.remedy == REMEDY


@pytest.mark.parametrize("content", [b"\xff", b"{", b"", b"[" * 100_000])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(content)
    with pytest.raises(BadRecordError, match=rf"list\.json: .*Restore the official file: {REMEDY}"):
        required_json(path, REMEDY)


def test_a_stand_in_counts_only_while_the_official_file_is_absent(tmp_path: Path) -> None:
    official, other = tmp_path / "official.json", tmp_path / "other.jsonl"
    with pytest.raises(MissingDataError, match=r"official\.json"):
        official_or_stand_in(official, other.name, REMEDY)
    other.touch()
    found = official_or_stand_in(official, other.name, REMEDY)
    assert found == other
    assert (
        origin(found, official.name)
        == "other.jsonl, which stands in for the official official.json"
    )
    official.touch()
    found = official_or_stand_in(official, other.name, REMEDY)
    assert (found, origin(found, official.name)) == (official, "official.json")
