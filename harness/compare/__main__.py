"""``python -m harness.compare``: runs side by side, with what their differences mean.

::

    python -m harness.compare runs/base runs/dpo runs/mdpo
    python -m harness.compare runs/base runs/mdpo --format latex --out table.tex
    python -m harness.compare runs/mdpo --layout mdpo-table1 --published
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.base import PlumblineError
from harness.command import DONE, at_least, run_command
from harness.env import default_data_dir

if TYPE_CHECKING:
    from harness.compare.model import Table
    from harness.runs import Run

FORMATS = ("terminal", "markdown", "latex", "csv", "html")
LAYOUT_NAMES = ("mdpo-table1", "li-table", "alignment-study")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.compare",
        description="Runs side by side: values with intervals, differences from a baseline with tests.",
    )
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="folders of harness.run")
    parser.add_argument(
        "--baseline",
        metavar="RUN",
        help="the run that others are tested against (default: the first)",
    )
    parser.add_argument(
        "--names",
        metavar="A,B",
        help="names of the rows, one for each run (default: their folders)",
    )
    columns = parser.add_argument_group("columns (default: the headline metrics)")
    columns.add_argument(
        "--benchmarks", metavar="NAME[,NAME]", help="only these benchmarks, or suites of them"
    )
    columns.add_argument(
        "--metrics",
        metavar="NAME[,NAME]",
        help="these metrics, in this order: f1, f1(random), pope.f1 or pope.f1(random)",
    )
    columns.add_argument("--all", action="store_true", help="every metric")
    columns.add_argument(
        "--layout",
        choices=LAYOUT_NAMES,
        help="columns, order, units and decimals of a paper's main table",
    )
    literature = parser.add_argument_group("published figures")
    literature.add_argument(
        "--published",
        nargs="?",
        const="",
        metavar="QUERY",
        help="add rows from papers; with a text only those whose name or source has it (the runs come first: "
        "RUN RUN --published mDPO)",
    )
    literature.add_argument(
        "--explain",
        nargs=2,
        metavar=("RUN", "PUBLISHED"),
        help="say why a run and a published row may differ, and nothing else",
    )
    literature.add_argument(
        "--published-dir",
        type=Path,
        metavar="DIR",
        help="figures in the form of results/published (default: those of this clone)",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="terminal", help="of the table (default: terminal)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument(
        "--alpha", type=_level, default=0.05, metavar="P", help="level of the tests (default 0.05)"
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=0, help="seed of intervals and tests (default 0)"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where the official files lie (default: $PLUMBLINE_DATA or ~/.cache/plumbline/data); the "
        "formulas of a few benchmarks need them",
    )
    return parser


def _level(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def compare(arguments: argparse.Namespace) -> int:
    """The command's work. Raises PlumblineError."""
    from harness.comparability import refuse_pocket
    from harness.compare.columns import choose
    from harness.compare.layouts import LAYOUTS, columns_of
    from harness.compare.literature import look_up
    from harness.compare.table import build
    from harness.runs import open_runs

    _check(arguments)
    runs = open_runs(arguments.runs)
    names = _names(runs, arguments.names)
    layout = LAYOUTS[arguments.layout] if arguments.layout else None
    columns = (
        columns_of(layout, runs)
        if layout
        else choose(
            runs,
            benchmarks=arguments.benchmarks,
            metrics=arguments.metrics,
            everything=arguments.all,
        )
    )
    published = []
    if arguments.published is not None:
        refuse_pocket(runs)
        published = look_up(arguments.published, columns, runs, layout, arguments.published_dir)
    table = build(
        runs,
        names,
        columns,
        baseline=_baseline(runs, names, arguments.baseline),
        alpha=arguments.alpha,
        seed=arguments.seed,
        data_dir=arguments.data_dir or default_data_dir(),
        published=published,
        title=f"In the form of {layout.paper}" if layout else "",
    )
    _write(table, arguments.format, arguments.out)
    return DONE


def explain(arguments: argparse.Namespace) -> int:
    """Why a run and a published row may differ. Raises PlumblineError."""
    from harness.comparability import explain
    from harness.compare.literature import look_up_one
    from harness.compare.sheets import visible
    from harness.runs import open_runs

    path, query = arguments.explain
    [run] = open_runs([Path(path)])
    text = explain(run, look_up_one(query, arguments.published_dir))
    print("\n".join(visible(line) for line in text.splitlines()))
    return DONE


def _check(arguments: argparse.Namespace) -> None:
    """Raises PlumblineError for options that do not go together."""
    query = arguments.published
    if query and (Path(query) / "run.json").is_file():
        raise PlumblineError(
            f"--published {query}: this is a run, not a text to look for; name the runs first and --published last"
        )
    if not arguments.runs:
        raise PlumblineError("name at least one run: the folder that harness.run wrote to")
    chosen = [name for name in ("benchmarks", "metrics", "all") if getattr(arguments, name)]
    if arguments.layout and chosen:
        raise PlumblineError(f"--layout has its own columns; leave out --{chosen[0]}")
    if arguments.metrics and arguments.all:
        raise PlumblineError("--all is every metric; leave out --metrics")


def _names(runs: Sequence[Run], given: str | None) -> list[str]:
    if given is None:
        return [run.name for run in runs]
    names = [name.strip() for name in given.split(",")]
    if len(names) != len(runs) or len({*names}) < len(names) or "" in names:
        raise PlumblineError(
            f"--names {given}: {len(runs)} runs need as many different names, with commas between"
        )
    return names


def _baseline(runs: Sequence[Run], names: Sequence[str], given: str | None) -> int:
    if given is None:
        return 0
    wanted = Path(given).resolve()
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        if name == given or run.path.resolve() == wanted:
            return number
    raise PlumblineError(f"--baseline {given}: not one of the runs ({', '.join(names)})")


def _write(table: Table, form: str, out: Path | None) -> None:
    """The table to a file, or to the terminal."""
    from harness.compare.html import html
    from harness.compare.latex import latex
    from harness.compare.markdown import markdown
    from harness.compare.spreadsheet import spreadsheet
    from harness.compare.terminal import plain, print_table
    from harness.show import consoles
    from harness.store import write_atomically

    console, err = consoles()
    if form == "terminal" and out is None:
        print_table(console, table)
        return
    formats = {
        "terminal": plain,
        "markdown": markdown,
        "latex": latex,
        "csv": spreadsheet,
        "html": html,
    }
    text = formats[form](table)
    if out is None:
        console.out(text, end="")
    else:
        write_atomically(out, text)
        err.print(f"The table is in {out}.", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    body = explain if arguments.explain else compare
    return run_command(lambda: body(arguments), "nothing was written")


if __name__ == "__main__":
    sys.exit(main())
