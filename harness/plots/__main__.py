"""``python -m harness.plots``: see the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.base import PlumblineError
from harness.command import DONE, run_command
from harness.controls import CONTROLS
from harness.env import default_data_dir
from harness.plots.style import COLUMN, PAGE, Layout
from harness.runs import Run, open_runs

if TYPE_CHECKING:
    from harness.plots.drawing import Drawing

WIDTHS = {"column": COLUMN, "page": PAGE}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.plots", description="Draw runs, in figures for papers."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    scale = commands.add_parser(
        "scale",
        help="score against preference pairs, training steps or parameters",
        description="Score against the size of the training, a line for each method with a band over seeds.",
    )
    _add_common(scale)
    _add_metrics(scale, required=True)
    scale.add_argument("--x", choices=("pairs", "steps", "parameters"), default="pairs")
    scale.add_argument(
        "--base", type=Path, metavar="RUN",
        help="the run of the checkpoint before training, a dashed line (default: found by its weights)",
    )  # fmt: skip
    scale.add_argument(
        "--by", default="method", metavar="NAME,…",
        help="settings of the trainings that tell lines apart, e.g. method,learning_rate (default: method)",
    )  # fmt: skip
    scale.add_argument(
        "--table", type=Path, metavar="FILE",
        help="how runs were trained, where no record tells: CSV with the columns run,method,pairs,steps,parameters,seed",
    )  # fmt: skip
    scale.set_defaults(draw=_scale)
    forest = commands.add_parser(
        "forest",
        help="paired differences to a baseline",
        description="Paired differences to a baseline with intervals; significant ones are filled.",
    )
    _add_common(forest)
    _add_metrics(forest)
    forest.add_argument(
        "--baseline", type=Path, required=True, metavar="RUN", help="what runs are compared with"
    )
    forest.add_argument(
        "--data-dir", type=Path, metavar="DIR",
        help="where the official files lie (default: $PLUMBLINE_DATA or ~/.cache/plumbline/data)",
    )  # fmt: skip
    forest.set_defaults(draw=_forest)
    for kind in ("bars", "radar"):
        categories = commands.add_parser(
            kind,
            help=f"the categories of a benchmark as {'bars with intervals' if kind == 'bars' else 'a radar'}",
            description="The categories of a benchmark: the splits of one metric, or several metrics.",
        )
        _add_common(categories)
        categories.add_argument(
            "--metric", required=True, metavar="BENCHMARK[.METRIC]",
            help="e.g. mmhal, mmvet, amber.accuracy; or several metrics: mmbench.circular_??, mmvet.ocr,math",
        )  # fmt: skip
        categories.set_defaults(draw=_categories)
    reliance = commands.add_parser(
        "reliance",
        help="score, score without the picture, and their difference",
        description="Visual reliance, of runs that were made with --control.",
    )
    _add_common(reliance)
    reliance.add_argument("--control", choices=CONTROLS, help="which one (default: the only one)")
    reliance.add_argument(
        "--benchmark", dest="benchmarks", action="append", default=[], metavar="NAME",
        help="draw this one (default: all); may be repeated",
    )  # fmt: skip
    reliance.set_defaults(draw=_reliance)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="folders that harness.run made"
    )
    parser.add_argument(
        "--out", action="append", required=True, type=Path, metavar="FILE",
        help="where the figure goes: .png, .svg or .pdf; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="FILE",
        help="where the drawn numbers go: .csv or .json (default: beside the first --out, as .data.csv)",
    )  # fmt: skip
    parser.add_argument(
        "--width", type=_width, default=PAGE, metavar="column|page|INCHES",
        help="column is 3.3 in, page (default) 6.8 in",
    )  # fmt: skip
    parser.add_argument(
        "--label", dest="labels", action="append", default=[], metavar="NAME=TEXT",
        help="what the figure calls a run or a line; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-notes", action="store_true", help="leave the remarks for the caption")


def _add_metrics(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--metric", dest="metrics", action="append", required=required, default=None if required else [],
        metavar="BENCHMARK.METRIC[.SPLIT]", help="e.g. mmhal.score or pope.f1.adversarial; may be repeated",
    )  # fmt: skip


def _width(text: str) -> float:
    try:
        width = WIDTHS.get(text) or float(text)
    except ValueError:
        width = 0
    if not 2 <= width <= 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not column, page or 2 to 20 inches")
    return width


def _layout(arguments: argparse.Namespace) -> Layout:
    labels = {}
    for text in arguments.labels:
        name, equals, label = text.rpartition("=")
        if not (equals and name and label):
            raise PlumblineError(f"--label {text}: write it as NAME=TEXT")
        labels[name] = label
    return Layout(arguments.width, labels, not arguments.no_notes)


def _opened(paths: Sequence[Path], apart: Path | None) -> tuple[Run | None, list[Run]]:
    """The run that stands apart, and the others; opened together, so that their names differ."""
    if apart is None:
        return None, open_runs(paths)
    others = [path for path in paths if path.resolve() != apart.resolve()]
    run, *runs = open_runs([apart, *others])
    return run, runs


def _scale(arguments: argparse.Namespace) -> Drawing:
    from harness.plots.metrics import Wanted
    from harness.plots.scale import draw_scale
    from harness.plots.training import trained_of, with_table

    base, runs = _opened(arguments.runs, arguments.base)
    trained = {run.name: trained_of(run) for run in runs}
    if arguments.table:
        trained = with_table(trained, arguments.table, runs)
    return draw_scale(
        runs, trained, [Wanted.read(text) for text in arguments.metrics], arguments.x,
        base=base, by=arguments.by.split(","), layout=_layout(arguments),
    )  # fmt: skip


def _forest(arguments: argparse.Namespace) -> Drawing:
    from harness.plots.forest import draw_forest
    from harness.plots.metrics import Wanted

    baseline, runs = _opened(arguments.runs, arguments.baseline)
    assert baseline is not None
    return draw_forest(
        runs, baseline, [Wanted.read(text) for text in arguments.metrics],
        data_dir=arguments.data_dir or default_data_dir(), layout=_layout(arguments),
    )  # fmt: skip


def _categories(arguments: argparse.Namespace) -> Drawing:
    from harness.plots.categories import draw_categories
    from harness.plots.metrics import Wanted

    wanted, layout = Wanted.read(arguments.metric), _layout(arguments)
    return draw_categories(open_runs(arguments.runs), wanted, arguments.command, layout=layout)


def _reliance(arguments: argparse.Namespace) -> Drawing:
    from harness.plots.reliance import draw_reliance

    runs, layout = open_runs(arguments.runs), _layout(arguments)
    return draw_reliance(runs, arguments.control, arguments.benchmarks, layout=layout)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        from harness.plots.drawing import check_names, write_data, write_figure
        from harness.show import consoles

        check_names(arguments.out, arguments.data)
        draw: Callable[[argparse.Namespace], Drawing] = arguments.draw
        drawing = draw(arguments)
        data = arguments.data or arguments.out[0].with_suffix(".data.csv")
        for path in arguments.out:
            write_figure(drawing, path)
        write_data(drawing, data)
        out, err = consoles()
        out.print(f"{', '.join(map(str, arguments.out))}; the numbers: {data}", soft_wrap=True)
        for told in (*drawing.notes, *drawing.hints):
            err.print(f"  {told}", soft_wrap=True)
        return DONE

    return run_command(body, "a figure that was named before is whole, or not written")


if __name__ == "__main__":
    sys.exit(main())
