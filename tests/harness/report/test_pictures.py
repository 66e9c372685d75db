"""Pictures under a budget: what does not fit is told, not dropped in silence."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.base import FilePicture, PictureError
from harness.report.pictures import ABSENT, SIDES, Album, encode, make_album
from harness.report.samples import all_samples
from harness.runs import open_runs


def silent(done: int, total: int) -> None:
    pass


def photo(path: Path, seed: int, size: tuple[int, int] = (640, 480)) -> FilePicture:
    noise = np.random.default_rng(seed).integers(
        0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8
    )
    Image.fromarray(noise).resize(size).save(path, quality=90)
    return FilePicture(path)


def opened(line: str) -> Image.Image:
    width, height, encoded = line.split(",")
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert (image.format, image.size) == ("WEBP", (int(width), int(height)))
    return image


def test_thumbnails_are_small_and_full_pictures_are_not(tmp_path: Path) -> None:
    picture = photo(tmp_path / "a.jpg", 0)
    for wanted, width in (("thumbnails", SIDES[0]), ("full", 640)):
        album = Album()
        assert encode([picture], album, wanted, 10**7, silent) == {picture: 0}
        assert opened(album.encoded[0]).size[0] == width
        assert album.notices == []


def test_thumbnails_shrink_before_any_is_left_out(tmp_path: Path) -> None:
    pictures = [photo(tmp_path / f"{n}.jpg", n) for n in range(8)]
    album = Album()
    encode(pictures, album, "thumbnails", 10**7, silent)
    whole = sum(map(len, album.encoded))
    smaller = Album()
    numbers = encode(pictures, smaller, "thumbnails", whole // 2, silent)
    assert len(numbers) == 8
    assert sum(map(len, smaller.encoded)) <= whole // 2
    assert smaller.notices == []


def test_what_does_not_fit_is_counted_and_the_first_are_kept(tmp_path: Path) -> None:
    pictures = [photo(tmp_path / f"{n}.jpg", n) for n in range(8)]
    album = Album()
    numbers = encode(pictures, album, "thumbnails", 12_000, silent)
    assert 0 < len(numbers) < 8
    assert list(numbers) == pictures[: len(numbers)]
    (notice,) = album.notices
    assert notice.startswith(f"{8 - len(numbers)} of 8 pictures are left out")
    assert "--picture-mb" in notice


def test_equal_pictures_are_kept_once(tmp_path: Path) -> None:
    pictures = [photo(tmp_path / "a.png", 0), photo(tmp_path / "b.png", 0)]
    album = Album()
    assert encode(pictures, album, "thumbnails", 10**7, silent) == {pictures[0]: 0, pictures[1]: 0}
    assert len(album.encoded) == 1


@dataclass(frozen=True)
class Broken:
    name: str = "broken.jpg"
    digest: str = ""

    def load(self) -> Image.Image:
        raise PictureError("broken.jpg: cannot be decoded")


def test_a_damaged_picture_is_told(tmp_path: Path) -> None:
    album = Album()
    assert encode([Broken()], album, "thumbnails", 10**7, silent) == {}
    assert album.notices == ["1 pictures cannot be shown, such as broken.jpg: cannot be decoded"]


@pytest.mark.parametrize("wanted", ["thumbnails", "none"])
def test_every_item_knows_its_pictures(runs: list[Path], tmp_path: Path, wanted: str) -> None:
    benchmarks = list(all_samples(open_runs(runs), {"pope", "mtbench"}))
    album = make_album(benchmarks, tmp_path, wanted=wanted, max_bytes=10**7, progress=silent)
    assert [len(of) for of in album.of_items["pope"]] == (
        [1] if wanted == "thumbnails" else [0]
    ) * 9
    assert album.of_items["mtbench"] == [[]] * len(benchmarks[1].ids)
    assert ABSENT not in album.of_items["pope"][0]
