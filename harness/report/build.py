"""The page's data: runs in, blocks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.base import PlumblineError
from harness.compare.columns import choose
from harness.compare.table import build as build_table
from harness.compare.table import refuse_mixed_editions
from harness.report import overview
from harness.report.page import Blocks, render
from harness.report.pictures import Album, Wanted, make_album
from harness.report.samples import STATUSES, Samples, Texts, all_samples
from harness.runs import Run
from harness.show import Progress

if TYPE_CHECKING:
    from rich.console import Console

PER_BLOCK = 500
"""Items whose texts are unpacked together."""

PICTURES_PER_BLOCK = 32
N_SHOWN = 4
"""How many runs a page shows side by side when it is opened."""

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Options:
    """What a report may take and show. Sizes are bytes of the file."""

    data_dir: Path
    benchmarks: str | None = None
    pictures: Wanted = "thumbnails"
    picture_bytes: int = 48 * MEGABYTE
    text_bytes: int = 256 * MEGABYTE
    title: str = ""


@dataclass(frozen=True)
class Report:
    """A page, and what to tell the person who asked for it.

    Attributes:
        n_samples: items of all benchmarks; ``n_pictures`` different ones are in the page.
    """

    page: bytes
    n_samples: int
    n_pictures: int
    notices: Sequence[str]


def build(runs: Sequence[Run], options: Options, console: Console) -> Report:
    """The page about runs; the others are compared with the first.

    Args:
        console: where progress is shown.

    Raises:
        PlumblineError: the runs are of different editions, none has what is asked for, or the texts take
            more bytes than they may.
        BadRecordError: a file of a run is damaged.
    """
    columns = choose(runs, benchmarks=options.benchmarks)
    refuse_mixed_editions(runs, columns)
    benchmarks = list(all_samples(runs, {column.benchmark for column in columns}))
    blocks = Blocks()
    for number, samples in enumerate(benchmarks):
        _add_chunks(blocks, f"texts-{number}", samples.shared)
        for run in samples.parts:
            _add_run(blocks, number, samples, run)
            if blocks.n_bytes > options.text_bytes:
                raise PlumblineError(
                    f"the texts of these runs take more than {options.text_bytes / MEGABYTE:,.0f} MB, which few "
                    "browsers open well: name fewer runs or --benchmarks, or allow more with --text-mb"
                )
    with Progress(console, "pictures") as progress:
        album = make_album(
            benchmarks,
            options.data_dir,
            wanted=options.pictures,
            max_bytes=options.picture_bytes,
            progress=progress,
        )
    for start in range(0, len(album.encoded), PICTURES_PER_BLOCK):
        lines = album.encoded[start : start + PICTURES_PER_BLOCK]
        blocks.add_lines(f"pictures-{start // PICTURES_PER_BLOCK}", lines)
    run_names = [run.name for run in runs]
    table = build_table(runs, run_names, columns, data_dir=options.data_dir)
    sections = overview.sections(table, benchmarks)
    entries = [_entry(blocks, number, samples, album) for number, samples in enumerate(benchmarks)]
    names = [
        {"name": run.name, "letter": overview.letter(n), "facts": facts}
        for n, (run, facts) in enumerate(zip(runs, overview.run_facts(runs), strict=True))
    ]
    manifest = {
        "runs": names,
        "shown": N_SHOWN,
        "statuses": STATUSES,
        "benchmarks": entries,
        "perBlock": PER_BLOCK,
        "picturesPerBlock": PICTURES_PER_BLOCK,
        "sections": sections,
        "categories": overview.categories(benchmarks, len(runs)),
    }
    n_samples = sum(len(samples.ids) for samples in benchmarks)
    page = render(
        manifest,
        blocks,
        title=options.title or _title(runs),
        edition=runs[0].edition,
        runs=names,
        shown=N_SHOWN,
        n_samples=n_samples,
        n_benchmarks=sum(not samples.is_control for samples in benchmarks),
        coverage=_coverage(benchmarks),
        sections=sections,
        verdicts=overview.verdicts(sections, len(runs)),
        footnotes=table.footnotes,
        # The page marks a difference by its direction where other formats write a dagger.
        remarks=[remark.replace("†:", "▲, ▼:") for remark in table.remarks],
        notices=album.notices,
    )
    return Report(page, n_samples, len(album.encoded), album.notices)


def _title(runs: Sequence[Run]) -> str:
    more = ["…"] if len(runs) > N_SHOWN else []
    return ", ".join([*(run.name for run in runs[:N_SHOWN]), *more])


def _coverage(benchmarks: Sequence[Samples]) -> str:
    """How many answers of all runs have a score."""
    flags = [table.is_scored for samples in benchmarks for table in samples.tables.values()]
    n_scored, n_asked = sum(int(each.sum()) for each in flags), sum(map(len, flags))
    return f"{n_scored:,} of {n_asked:,} scored"


def _add_run(blocks: Blocks, number: int, samples: Samples, run: int) -> None:
    """A run's scores, answers and judgments."""
    scores, _ = samples.scored[run]
    own = dict(samples.own(run))
    blocks.add(f"scores-{number}-{run}", {"score": _numbers(scores), "status": own.pop("status")})
    _add_chunks(blocks, f"answers-{number}-{run}", own)
    judged = samples.judged(run)
    if any(judged):
        _add_chunks(blocks, f"judged-{number}-{run}", {"judged": judged})


def _add_chunks(blocks: Blocks, name: str, columns: Texts) -> None:
    for chunk, start in enumerate(range(0, len(next(iter(columns.values()))), PER_BLOCK)):
        taken = {key: column[start : start + PER_BLOCK] for key, column in columns.items()}
        blocks.add(f"{name}-{chunk}", taken)


def _numbers(scores: np.ndarray) -> list[float | None]:
    """Scores as JSON has them: rounded, None for NaN."""
    return [None if score != score else score for score in np.round(scores, 6).tolist()]


def _entry(blocks: Blocks, number: int, samples: Samples, album: Album) -> dict[str, Any]:
    """A benchmark in the manifest; what lists and filters need of its items goes into a block."""
    splits = samples.shared["split"]
    names = list(dict.fromkeys(splits))
    places = {name: place for place, name in enumerate(names)}
    blocks.add(
        f"index-{number}",
        {
            "id": samples.ids,
            "split": [places[split] for split in splits],
            "kind": samples.item_kinds().tolist(),
            "pictures": album.of_items[samples.folder],
        },
    )
    return {
        "key": samples.folder,
        "title": samples.title,
        "control": samples.part.about.get("control"),
        "n": len(samples.ids),
        "splits": names,
        "kinds": [kind.to_json() for kind in samples.kinds],
        "runs": [*samples.parts],
        "judged": [run for run in samples.parts if f"judged-{number}-{run}-0" in blocks],
    }
