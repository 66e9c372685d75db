"""``python -m harness.report RUN [RUN …] --out report.html``: one page to look through runs, sample by sample.

The page is one file without any connection to a network: what ran, the comparison with the first run, and every sample with
its picture, the answers of all runs side by side, and what the judge wrote.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.command import DONE, above_zero, run_command
from harness.env import default_data_dir


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.report",
        description="One self-contained HTML page: comparison, plots, and every sample of the runs side by side. "
        "Other runs are compared with the first.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE", help="default: report.html"
    )
    parser.add_argument(
        "--benchmarks", metavar="NAMES", help="only these benchmarks or suites, with commas between"
    )
    parser.add_argument(
        "--pictures",
        choices=("thumbnails", "full", "none"),
        default="thumbnails",
        help="thumbnails (default), in full (up to 2,048 pixels), or none",
    )
    parser.add_argument(
        "--picture-mb",
        type=above_zero,
        default=48.0,
        metavar="MB",
        help="how much of the file pictures may take (default 48)",
    )
    parser.add_argument(
        "--text-mb",
        type=above_zero,
        default=256.0,
        metavar="MB",
        help="refuse to write more text than this (default 256), which few browsers open well",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where the official files lie, for pictures and tests (default: $PLUMBLINE_DATA or ~/.cache/plumbline/data)",
    )
    parser.add_argument("--title", help="the page's title (default: the runs' names)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    return run_command(lambda: _report(arguments), "nothing was written")


def _report(arguments: argparse.Namespace) -> int:
    from harness.report.build import MEGABYTE, Options, build
    from harness.runs import open_runs
    from harness.show import consoles
    from harness.store import write_atomically

    began = time.monotonic()
    out, err = consoles()
    runs = open_runs(arguments.runs)
    options = Options(
        data_dir=arguments.data_dir or default_data_dir(),
        benchmarks=arguments.benchmarks,
        pictures=arguments.pictures,
        picture_bytes=int(arguments.picture_mb * MEGABYTE),
        text_bytes=int(arguments.text_mb * MEGABYTE),
        title=arguments.title or "",
    )
    report = build(runs, options, err)
    write_atomically(arguments.out, report.page)
    for notice in report.notices:
        out.print(notice, style="yellow", soft_wrap=True)
    out.print(
        f"{arguments.out}: {len(runs):,} runs, {report.n_samples:,} samples, {report.n_pictures:,} pictures, "
        f"{len(report.page) / MEGABYTE:,.1f} MB, in {time.monotonic() - began:.1f} s",
        soft_wrap=True,
    )
    return DONE


if __name__ == "__main__":
    sys.exit(main())
