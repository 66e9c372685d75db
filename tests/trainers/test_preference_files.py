"""Parquet files, folders and hub data sets: rows with their place, pictures that stay on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmarks.base import BadRecordError, Picture, PictureError, PlumblineError
from tests.trainers.preference_sets import FALSE, FORMS, QUESTION, TRUE, picture, png, written
from trainers.preference_files import StoredPicture, read_rows
from trainers.preferences import read_preferences


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def stored(content: bytes | None, path: str = "x.png") -> dict[str, Any]:
    return {"bytes": content, "path": path}


def table(path: Path, *records: dict[str, Any]) -> Path:
    parquet.write_table(pa.Table.from_pylist(list(records)), path)
    return path


def rlaif_v(colour: str, answer: str) -> dict[str, Any]:
    return {
        "ds_name": "RLAIF-V",
        "image": stored(png(colour)),
        "question": QUESTION,
        "chosen": answer,
        "rejected": FALSE,
        "origin_dataset": "COCO",
        "idx": 3,
    }


def test_rlaif_v_is_read_from_its_shards(tmp_path: Path) -> None:
    table(tmp_path / "1.parquet", rlaif_v("blue", "c"))
    table(tmp_path / "0.parquet", rlaif_v("red", "a"), rlaif_v("green", "b"))
    found = read_preferences(tmp_path)
    assert [pair.chosen for pair in found.pairs] == ["a", "b", "c"]
    assert [pair.id for pair in found.pairs] == ["3", "3~2", "3~3"]
    assert found.pairs[0].source == "COCO"
    colours = [pair.pictures[0].load().getpixel((0, 0)) for pair in found.pairs]
    assert colours == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]


def test_rlhf_v_is_read_from_parquet(tmp_path: Path) -> None:
    record = {"image": stored(png()), "text": FORMS["rlhf_v"]["text"], "idx": 1}
    (pair,) = read_preferences(table(tmp_path / "set.parquet", record)).pairs
    assert (pair.chosen, pair.rejected, len(pair.pictures)) == (TRUE, FALSE, 1)


def test_pictures_of_a_data_set_are_equal_by_content_in_their_digest(tmp_path: Path) -> None:
    path = table(tmp_path / "0.parquet", *(rlaif_v(c, c) for c in ("red", "red", "blue")))
    first, same, other = (pair.pictures[0] for pair in read_preferences(path).pairs)
    assert isinstance(first, Picture)
    assert first.digest == same.digest != other.digest
    assert first != same
    assert first.name == f"{path}, row 1, image"


def test_lists_of_pictures_and_rows_without_any(tmp_path: Path) -> None:
    record = {"prompt": QUESTION, "chosen": TRUE, "rejected": FALSE}
    path = table(
        tmp_path / "0.parquet",
        {"images": [stored(png("red")), stored(png("blue"))], **record},
        {"images": [], **record},
        {"images": None, **record},
    )
    pairs = read_preferences(path).pairs
    assert [len(pair.pictures) for pair in pairs] == [2, 0, 0]
    assert pairs[0].pictures[1].load().getpixel((0, 0)) == (0, 0, 255)
    assert pairs[0].pictures[1].name.endswith("images [1]")


def test_image_features_are_not_decoded_before_they_are_shown(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "rejected_images": datasets.List(datasets.Image()),
            **{name: datasets.Value("string") for name in ("prompt", "chosen", "rejected")},
        }
    )
    record = {
        "image": stored(b"damaged"),
        "rejected_images": [stored(png("blue"))],
        "prompt": QUESTION,
        "chosen": TRUE,
        "rejected": FALSE,
    }
    made = datasets.Dataset.from_list([record], features=features)
    made.to_parquet(tmp_path / "0.parquet")
    (pair,) = read_preferences(tmp_path / "0.parquet").pairs
    assert pair.rejected_pictures[0].load().getpixel((0, 0)) == (0, 0, 255)
    with pytest.raises(PictureError, match=r"row 1, image: the picture cannot be decoded"):
        pair.pictures[0].load()


def test_scores_and_spans_survive_parquet(tmp_path: Path) -> None:
    first = {**FORMS["plain"], "scores": {"a": 1.0}, "spans": {"chosen": [[0, 1]]}}
    second = {**FORMS["plain"], "scores": {"b": 2.0}}
    picture(tmp_path / "a.png")
    one, two = read_preferences(table(tmp_path / "0.parquet", first, second)).pairs
    assert (one.scores, two.scores) == ({"a": 1.0}, {"b": 2.0})
    assert one.spans is not None
    assert (one.spans.chosen, two.spans) == (((0, 1),), None)


def test_an_error_names_the_row(tmp_path: Path) -> None:
    path = table(
        tmp_path / "0.parquet", rlaif_v("red", "a"), {**rlaif_v("red", "a"), "chosen": None}
    )
    with pytest.raises(BadRecordError, match=r"0\.parquet, row 2: chosen holds no answer"):
        read_preferences(path)


def test_a_picture_without_content_is_an_error_when_it_is_shown(tmp_path: Path) -> None:
    path = table(
        tmp_path / "0.parquet", {**rlaif_v("red", "a"), "image": stored(None)}, rlaif_v("red", "b")
    )
    shown = read_preferences(path).pairs[0].pictures[0]
    assert isinstance(shown, StoredPicture)
    with pytest.raises(PictureError, match="the data set holds no picture there"):
        _ = shown.digest


@pytest.mark.parametrize("content", [b"", b"PAR1 not really", b"\0" * 40])
def test_a_damaged_parquet_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "0.parquet"
    path.write_bytes(content)
    with pytest.raises(BadRecordError, match=r"0\.parquet: not a Parquet file that can be read"):
        read_preferences(path)


def test_a_folder_of_json_files_is_read_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        written(tmp_path / f"{name}.jsonl", [{**FORMS["plain"], "id": name}])
    assert [pair.id for pair in read_preferences(tmp_path).pairs] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("absent.jsonl", "no such file or folder, and no hub data set's name"),
        ("a.png", "json, .jsonl or .parquet is expected"),
        (".", "there is no .parquet, .json or .jsonl file in it"),
    ],
)
def test_what_cannot_be_a_source_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(PlumblineError, match=problem):
        read_rows(tmp_path / name)


def test_a_hub_data_set_that_cannot_be_had_is_an_error_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        PlumblineError, match=r"some/set: .*'test' cannot be had.*download its files"
    ):
        read_rows("some/set@main", split="test")


def test_a_row_of_json_is_read_as_it_stands(tmp_path: Path) -> None:
    (row,) = read_rows(written(tmp_path / "set.json", [FORMS["plain"]]))
    assert row.fields == FORMS["plain"]
    assert row.place.endswith("set.json, line 2")
    assert json.dumps(dict(row.fields))
