"""How long a large report takes to make and to use. Run: python -m tests.bench.bench_report [--runs 50] [--items 20000]

Makes up runs of POPE's form (yes or no, six questions on a picture) or with --captions of AMBER's generative form (every
answer another caption), makes their report, and opens it in Chromium: time until the first sample can be read, time of
filters, of a search, frames while scrolling through all samples, memory. With --pictures N different photos are encoded too.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.base import FilePicture
from benchmarks.registry import open_benchmark, options_of
from harness.report.__main__ import main as make_report
from harness.report.build import MEGABYTE
from harness.report.pictures import Album, encode
from harness.store import ABOUT, METRICS, RUN_INFO, SCORES, to_json, write_atomically

SPLITS = ("random", "popular", "adversarial")
WORDS = (
    "red",
    "green",
    "blue",
    "farm",
    "office",
    "clover",
    "telephone",
    "cup",
    "tree",
    "near",
    "under",
    "with",
)


def write_run(path: Path, n_items: int, seed: int, *, captions: bool) -> None:
    """A scored run of made-up answers."""
    rng = np.random.default_rng(seed)
    benchmark = open_benchmark("pope", "pocket")
    is_yes = np.random.default_rng(0).random(n_items) < 0.5
    says_yes = np.where(rng.random(n_items) < 0.85, is_yes, ~is_yes)
    numbers = {
        "tp": is_yes & says_yes, "fp": ~is_yes & says_yes,
        "tn": ~is_yes & ~says_yes, "fn": is_yes & ~says_yes,
    }  # fmt: skip
    answers = [["Yes"] if yes else ["No"] for yes in says_yes]
    if captions:
        words = random.Random(seed)
        answers = [[" ".join(words.choices(WORDS, k=40))] for _ in range(n_items)]
    table = pd.DataFrame(
        {
            "item_id": [f"{SPLITS[i % 3]}/{i // 3 + 1}" for i in range(n_items)],
            "group": [f"COCO_val2014_{i // 6:012}.jpg" for i in range(n_items)],
            "split": [SPLITS[i % 3] for i in range(n_items)],
            "status": "scored",
            "question": [
                f"Is there a {WORDS[i % len(WORDS)]} in the image?" for i in range(n_items)
            ],
            "pictures": [[f"COCO_val2014_{i // 6:012}.jpg"] for i in range(n_items)],
            "responses": answers,
            "reference": [json.dumps({"label": "yes" if yes else "no"}) for yes in is_yes],
            "details": [
                json.dumps({"label": "yes" if a else "no", "prediction": "yes" if b else "no"})
                for a, b in zip(is_yes, says_yes, strict=True)
            ],
            **{f"value.{name}": column.astype(float) for name, column in numbers.items()},
        }
    )
    folder = path / "pope"
    write_atomically(folder / SCORES, table.to_parquet(index=False))
    write_atomically(folder / METRICS, to_json(_metrics(n_items, float(numbers["tp"].mean()))))
    about = {
        "benchmark": "pope", "title": benchmark.full_title, "edition": "pocket", "control": None,
        "options": options_of(benchmark), "protocol": benchmark.protocol(), "judges": [], "official_judge": None,
    }  # fmt: skip
    write_atomically(folder / ABOUT, to_json(about))
    info = {
        "format": 1, "sessions": [{"ckpt": f"checkpoint-{seed}"}], "benchmarks": {"pope": {}},
        "identity": {"edition": "pocket", "checkpoint": {}},
    }  # fmt: skip
    write_atomically(path / RUN_INFO, to_json(info))


def _metrics(n_items: int, value: float) -> list[dict[str, object]]:
    shared = {
        "value": value,
        "low": value - 0.01,
        "high": value + 0.01,
        "n_scored": n_items,
        "n_asked": n_items,
    }
    names = [("f1", "adversarial"), ("mean_f1", ""), ("mean_accuracy", "")]
    return [
        {"name": name, "split": split, "direction": "higher", "headline": True, **shared}
        for name, split in names
    ]


class Watch:
    """Times what a page does: wall clock, and what its main thread computed (which other programs do not change)."""

    def __init__(self, page: Any) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._at = self._now()

    def _now(self) -> tuple[float, float]:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        found = {metric["name"]: metric["value"] for metric in metrics}
        return time.perf_counter(), found["TaskDuration"]

    def lap(self) -> tuple[float, float]:
        """Seconds since the last lap: wall clock, computing."""
        before, self._at = self._at, self._now()
        return self._at[0] - before[0], self._at[1] - before[1]


def use(path: Path) -> None:
    """Opens the page and prints how quick it is."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as session:
        arguments = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
        browser = session.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        watch = Watch(page)
        page.goto(f"{path.as_uri()}#samples", timeout=300_000)
        page.wait_for_selector("#detail .answers", timeout=300_000)
        _tell("until the first sample can be read", watch)
        for name, values in {
            "runs differ": {"agree": "differ"},
            "another category": {"benchmark": "pope", "split": "popular"},
            "sorted by gain": {"sort": "gain"},
            "first search": {"q": "telephone"},
            "second search": {"q": "clover"},
            "all again": {"agree": "", "benchmark": "", "split": "", "sort": "order", "q": ""},
        }.items():
            watch.lap()
            page.evaluate("values => window.plumbline.changed(values)", values)
            _tell(f"{name} ({page.inner_text('#found')})", watch)
        for name, step in {"scrolling by the wheel": 150, "dragging through all": 60_000}.items():
            watch.lap()
            frames = page.evaluate(SCROLL, step)
            _, computing = watch.lap()
            print(
                f"{name}: {len(frames)} frames, median {np.median(frames):.1f} ms, 99 % within "
                f"{np.percentile(frames, 99):.1f} ms; computing {1000 * computing / len(frames):.1f} ms a frame"
            )
        used = page.evaluate("performance.memory.usedJSHeapSize") / MEGABYTE
        print(f"memory of the page's script: {used:.0f} MB")
        browser.close()


def _tell(what: str, watch: Watch) -> None:
    seconds, computing = watch.lap()
    print(f"{what}: {seconds:.2f} s, computing {computing:.2f} s")


N_FRAMES = 120
SCROLL = f"""step => new Promise((done) => {{
  const list = document.getElementById("list"), times = [];
  list.scrollTop = 0;
  let last = performance.now();
  const frame = (now) => {{
    times.push(now - last);
    last = now;
    list.scrollTop = (list.scrollTop + step) % list.scrollHeight;
    if (times.length <= {N_FRAMES}) requestAnimationFrame(frame); else done(times.slice(1));
  }};
  requestAnimationFrame(frame);
}})"""


def time_pictures(n_pictures: int, folder: Path) -> None:
    """Encodes photos of POPE's size (640 by 480) that differ in every pixel."""
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = []
    for number in range(n_pictures):
        small = rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
        pictures.append(FilePicture(path))
    album = Album()
    began = time.perf_counter()
    encode(pictures, album, "thumbnails", 48 * MEGABYTE, lambda done, total: None)
    seconds = time.perf_counter() - began
    n_bytes = sum(map(len, album.encoded))
    side = max(map(int, album.encoded[0].split(",")[:2]))
    print(
        f"{len(album.encoded):,} of {n_pictures:,} pictures at {side} pixels: {n_bytes / MEGABYTE:.1f} MB, {seconds:.1f} s {album.notices}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--captions", action="store_true")
    parser.add_argument("--pictures", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.pictures:
            time_pictures(arguments.pictures, folder)
            return
        paths = [folder / f"run{number:02}" for number in range(arguments.runs)]
        for number, path in enumerate(paths):
            write_run(path, arguments.items, number, captions=arguments.captions)
        out = folder / "report.html"
        began, computed = time.perf_counter(), time.process_time()
        if make_report([*map(str, paths), "--out", str(out)]) == 0:
            seconds, computing = time.perf_counter() - began, time.process_time() - computed
            print(f"made in {seconds:.1f} s, computing {computing:.1f} s")
            use(out)


if __name__ == "__main__":
    main()
