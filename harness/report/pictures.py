"""The pictures of a report: each different one once, small, and no more bytes than allowed.

Pictures come from the benchmark's items, hence from the data folder (or are drawn, in the pocket edition). They are always
encoded anew, so that nothing but pixels enters the page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.base import Benchmark, MissingDataError, Picture, PictureError, PlumblineError
from harness.report.samples import Samples

Wanted = Literal["none", "thumbnails", "full"]
SIDES = (384, 256, 160, 96)
"""Longest sides of thumbnails, in pixels; the largest with which all of them fit is taken."""

FULL_SIDE = 2048
TINY_SIDE = 96
"""Up to here a picture is drawn rather than photographed: without loss it is smaller, and sharp."""

N_TRIED = 24
"""How many pictures tell how large the others will be."""

SAFETY = 0.9
N_THREADS = 4
ABSENT = -1


@dataclass
class Album:
    """What the page shows.

    Attributes:
        encoded: of each picture "width,height,base64 of WebP".
        of_items: by benchmark's folder and item, the numbers of its pictures; ABSENT where one is not shown.
        notices: what is missing, and how to bring it.
    """

    encoded: list[str] = field(default_factory=list)
    of_items: dict[str, list[list[int]]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def make_album(
    benchmarks: Sequence[Samples],
    data_dir: Path,
    *,
    wanted: Wanted,
    max_bytes: int,
    progress: Callable[[int, int], None],
) -> Album:
    """The pictures of all items.

    Where they do not all fit, the items on which the runs differ come first.

    Args:
        max_bytes: of the encoded pictures together.
        progress: called with the number of pictures that are done, and of all.
    """
    album = Album()
    shown = _pictures(benchmarks, data_dir, album) if wanted != "none" else {}
    spreads = {samples.folder: samples.spread() for samples in benchmarks}
    order = [
        picture
        for differing in (True, False)
        for samples in benchmarks
        for number in np.flatnonzero((spreads[samples.folder] > 0) == differing).tolist()
        for picture in shown.get(samples.folder, {}).get(samples.ids[number], ())
    ]
    numbers = encode(list(dict.fromkeys(order)), album, wanted, max_bytes, progress)
    for samples in benchmarks:
        pictures = shown.get(samples.folder, {})
        album.of_items[samples.folder] = [
            [numbers.get(picture, ABSENT) for picture in pictures.get(item, ())]
            for item in samples.ids
        ]
    return album


def _pictures(
    benchmarks: Sequence[Samples], data_dir: Path, album: Album
) -> dict[str, Mapping[str, Sequence[Picture]]]:
    """By folder and item, its pictures; none, with a notice, for a benchmark whose data are not there."""
    shown: dict[str, Mapping[str, Sequence[Picture]]] = {}
    of_benchmark: dict[Benchmark, Mapping[str, Sequence[Picture]]] = {}  # a control has the same
    for samples in benchmarks:
        try:
            benchmark = samples.part.open(data_dir)
            if benchmark not in of_benchmark:
                of_benchmark[benchmark] = {item.id: item.pictures for item in benchmark.items()}
            shown[samples.folder] = of_benchmark[benchmark]
        except PlumblineError as error:
            remedy = f". To bring it: {error.remedy}" if isinstance(error, MissingDataError) else ""
            album.notices.append(f"{samples.title}: no pictures, {error}{remedy}")
    return shown


def encode(
    pictures: Sequence[Picture],
    album: Album,
    wanted: Wanted,
    max_bytes: int,
    progress: Callable[[int, int], None],
) -> dict[Picture, int]:
    """Encode pictures into the album until the bytes are used up; the number of each that is in it."""
    side = FULL_SIDE if wanted == "full" else _side(pictures, max_bytes)
    numbers: dict[Picture, int] = {}
    by_content: dict[str, int] = {}
    n_bytes = n_over = 0
    unreadable: list[PictureError] = []

    def encoded(picture: Picture) -> str | PictureError:
        return "" if n_bytes > max_bytes else _encoded(picture, side)

    pool = ThreadPoolExecutor(N_THREADS)
    try:
        for done, found in enumerate(pool.map(encoded, pictures), 1):
            progress(done, len(pictures))
            picture = pictures[done - 1]
            if n_bytes > max_bytes:
                n_over += 1
            elif isinstance(found, PictureError):
                unreadable.append(found)
            elif found in by_content:
                numbers[picture] = by_content[found]
            else:
                n_bytes += len(found)
                if n_bytes > max_bytes:
                    n_over += 1
                    continue
                numbers[picture] = by_content[found] = len(album.encoded)
                album.encoded.append(found)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for thousands of pictures
    if unreadable:
        album.notices.append(
            f"{len(unreadable):,} pictures cannot be shown, such as {unreadable[0]}"
        )
    if n_over:
        album.notices.append(
            f"{n_over:,} of {len(pictures):,} pictures are left out, because pictures may take "
            f"{max_bytes / 1e6:.0f} MB (--picture-mb); items on which the runs differ have theirs first"
        )
    return numbers


def _side(pictures: Sequence[Picture], max_bytes: int) -> int:
    """The longest side with which all pictures fit, judged by some of them; the shortest if none does."""
    step = max(1, len(pictures) // N_TRIED)
    tried = pictures[::step][:N_TRIED]
    for side in SIDES[:-1]:
        sizes = [len(found) for p in tried if isinstance(found := _encoded(p, side), str)]
        if not sizes or sum(sizes) / len(sizes) * len(pictures) <= SAFETY * max_bytes:
            return side
    return SIDES[-1]


def _encoded(picture: Picture, side: int) -> str | PictureError:
    from PIL import Image as pil

    try:
        image = picture.load()
    except PictureError as error:
        return error
    is_tiny = max(image.size) <= TINY_SIDE
    image.thumbnail((side, side), pil.Resampling.BILINEAR, reducing_gap=2.0)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=75, method=2, lossless=is_tiny)
    width, height = image.size
    return f"{width},{height},{base64.b64encode(stream.getvalue()).decode('ascii')}"
