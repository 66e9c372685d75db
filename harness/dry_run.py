"""What ``harness.run --dry-run`` shows: how much would be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.base import PictureError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.pipeline import Job


def describe(console: Console, jobs: Sequence[Job]) -> None:
    """Print a table with a row for each job."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("benchmark", "items", "different first requests", "pictures", "absent pictures"):
        table.add_column(title, justify="left" if title == "benchmark" else "right")
    for job in jobs:
        keys: set[str] = set()
        pictures: set[str] = set()
        absent: set[str] = set()
        for item in job.items:
            request = job.benchmark.request(item)
            if request is None:
                continue
            request = job.change(item, request) if job.change else request
            for picture in request.pictures:
                try:
                    pictures.add(picture.digest)
                except PictureError:
                    absent.add(picture.name)
            if absent.isdisjoint(picture.name for picture in request.pictures):
                keys.add(request.key)
        counts = (len(job.items), len(keys), len(pictures), len(absent))
        title = job.title if job.control is None else f"{job.title}, {job.control}"
        table.add_row(title, *(f"{n:,}" for n in counts))
    console.print(table)
