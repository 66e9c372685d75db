"""What is computed once stays: over processes, kills and damaged files."""

import numpy as np
import pytest

from benchmarks.base import BadRecordError
from trainers.reference_cache import ReferenceCache

IDENTITY = {"weights": "abc", "layout": "concat"}


def test_values_come_back_to_the_last_bit(tmp_path):
    values = {"a": np.array([-1.1, -2.7e-8], np.float32), "b": np.array([-3.0], np.float32)}
    ReferenceCache(tmp_path, IDENTITY).add(values)
    again = ReferenceCache(tmp_path, IDENTITY)
    assert "a" in again
    assert "c" not in again
    for key, value in values.items():
        assert again[key].dtype == np.float32
        assert again[key].tolist() == value.tolist()


def test_another_identity_is_another_cache(tmp_path):
    ReferenceCache(tmp_path, IDENTITY).add({"a": np.zeros(1, np.float32)})
    assert "a" not in ReferenceCache(tmp_path, {**IDENTITY, "layout": "shared_prefix"})


def test_what_another_process_added_is_found(tmp_path):
    first, second = ReferenceCache(tmp_path, IDENTITY), ReferenceCache(tmp_path, IDENTITY)
    first.add({"a": np.ones(1, np.float32)})
    second.add({"b": np.ones(2, np.float32)})
    second.refresh()
    assert "a" in second
    assert "b" not in first


def test_a_file_that_a_kill_left_half_written_is_not_read(tmp_path):
    cache = ReferenceCache(tmp_path, IDENTITY)
    cache.add({"a": np.ones(1, np.float32)})
    whole = next(cache.folder.glob("*.parquet")).read_bytes()
    (cache.folder / "1-1.parquet.part").write_bytes(whole[: len(whole) // 2])
    assert "a" in ReferenceCache(tmp_path, IDENTITY)


def test_a_damaged_file_is_named(tmp_path):
    cache = ReferenceCache(tmp_path, IDENTITY)
    (cache.folder / "1-1.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(BadRecordError, match=r"1-1\.parquet cannot be read .* Remove it"):
        ReferenceCache(tmp_path, IDENTITY)


def test_nothing_to_add_writes_nothing(tmp_path):
    cache = ReferenceCache(tmp_path, IDENTITY)
    cache.add({})
    assert not list(cache.folder.glob("*.parquet"))
