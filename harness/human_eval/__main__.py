"""``python -m harness.human_eval``: sheets for annotators, their verdicts back, a judge corrected by them.

::

    python -m harness.human_eval export RUN RUN --benchmark mmhal --rubric preference --n 100 --out study
    python -m harness.human_eval import study/annotator_*/sheet.xlsx --key study/unblind/key.json
    python -m harness.human_eval correct study/unblind/human.json RUN
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.base import PlumblineError
from harness.command import DONE, FAILED, at_least, run_command
from harness.env import default_data_dir
from harness.human_eval.rubrics import HALLUCINATION, PREFERENCE, RUBRICS


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.human_eval",
        description="Let people compare or rate the responses of runs.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_export(commands.add_parser("export", help="draw a blinded sample and write the sheets"))
    _add_import(commands.add_parser("import", help="read annotators' files and report"))
    _add_correct(
        commands.add_parser(
            "correct", help="correct a judge's numbers with people's ratings of some responses"
        )
    )
    return parser


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument("--benchmark", required=True, metavar="NAME", help="e.g. mmhal")
    parser.add_argument(
        "--rubric",
        choices=tuple(RUBRICS),
        default=PREFERENCE.name,
        help="preference: which of two runs' responses is better; hallucination: a rating from 0 to 6 "
        "of each response (default preference)",
    )
    parser.add_argument(
        "--n",
        type=at_least(1),
        default=100,
        metavar="N",
        help="questions, drawn in proportion to the benchmark's splits; each is judged for every pair of "
        "runs, or for every run (default 100)",
    )
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the drawing (default 0)")
    parser.add_argument(
        "--annotators",
        type=at_least(1),
        default=2,
        metavar="N",
        help="sheets to write, each with an order and sides of its own (default 2)",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="RUN",
        help="compare the other runs with this one only, instead of all pairs",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--without-pictures", action="store_true", help="hand out no pictures, only their names"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where the official files lie (default: $PLUMBLINE_DATA or ~/.cache/plumbline/data)",
    )


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sheets", nargs="+", type=Path, metavar="SHEET", help=".xlsx, .csv, or a file that the page saved"
    )  # fmt: skip
    parser.add_argument("--key", required=True, type=Path, metavar="FILE", help="export's key.json")
    parser.add_argument(
        "--annotator",
        action="append",
        default=[],
        metavar="NAME",
        help="whose a file is, once for each file in their order (default: the name in the file, else "
        "the file's)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where report.md, human.json and merged.csv go (default: beside the key)",
    )
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the intervals (default 0)")


def _add_correct(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("human", type=Path, metavar="HUMAN", help="human.json that import wrote")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="rated run folders")
    parser.add_argument(
        "--column",
        metavar="NAME",
        help="the judge's number of an item, a column of scores.parquet without its prefix "
        "(MMHal-Bench: known for both metrics)",
    )
    parser.add_argument(
        "--metric",
        choices=("score", "hallucination_rate"),
        help="what to correct (default: both, where the columns are known)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _export(arguments: argparse.Namespace) -> int:
    from harness.human_eval.draw import Plan, draw
    from harness.human_eval.export import KEY, UNBLIND, check_free, export
    from harness.runs import open_runs

    check_free(arguments.out)
    rubric = RUBRICS[arguments.rubric]
    paths, baseline = _with_baseline(arguments.runs, arguments.baseline)
    if rubric is PREFERENCE and len(paths) < 2:
        raise PlumblineError("--rubric preference compares runs: name two or more")
    plan = Plan(
        arguments.benchmark, rubric, arguments.n, arguments.seed, arguments.annotators, baseline
    )
    study, pictures = draw(plan, open_runs(paths), arguments.data_dir or default_data_dir())
    export(study, pictures, arguments.out, with_pictures=not arguments.without_pictures)
    n_drawn = len(study.questions)
    print(f"{study.title}: {n_drawn} of {study.n_eligible} questions, {len(study.tasks)} tasks for each annotator")  # fmt: skip
    if n_drawn < arguments.n:
        print(f"  {arguments.n} were asked for; there are no more")
    if study.identical:
        print(
            f"  {len(study.identical)} pairs of identical responses are ties without an annotator"
        )
    n_shared = sum(len(task.runs) - 1 for task in study.tasks) if rubric is HALLUCINATION else 0
    if n_shared:
        print(f"  {n_shared} responses repeat another run's, whose rating counts for them too")
    for reason, count in study.left_out.items():
        print(f"  {count} questions could not be drawn: {reason}")
    for sheet in study.sheets:
        print(f"hand out  {arguments.out / f'annotator_{sheet.number}'}  (annotate.html, or sheet.xlsx)")  # fmt: skip
    key = arguments.out / UNBLIND / KEY
    print(f"keep      {key}  (it tells which response is whose)")
    print(f"then      python -m harness.human_eval import FILE … --key {key}")
    return DONE


def _with_baseline(runs: Sequence[Path], baseline: Path | None) -> tuple[list[Path], int | None]:
    """The runs with the baseline among them, and its number."""
    paths = list(runs)
    if baseline is None:
        return paths, None
    resolved = [path.resolve() for path in paths]
    if baseline.resolve() not in resolved:
        return [*paths, baseline], len(paths)
    return paths, resolved.index(baseline.resolve())


def _import(arguments: argparse.Namespace) -> int:
    from harness.human_eval.report import JSON, MARKDOWN, MERGED, print_report, write_report
    from harness.human_eval.results import evaluate_verdicts
    from harness.human_eval.study import read_key
    from harness.human_eval.verdicts import read_verdicts
    from harness.show import consoles

    study = read_key(arguments.key)
    returned = read_verdicts(study, arguments.sheets, arguments.annotator)
    results = evaluate_verdicts(study, returned, seed=arguments.seed)
    out, _ = consoles()
    print_report(out, results)
    folder = arguments.out or arguments.key.parent
    write_report(folder, results)
    out.print(f"\n{folder}: {MARKDOWN}, {JSON}, {MERGED}")
    n_missing = sum(len(tasks) for tasks in returned.missing.values())
    if n_missing:
        out.print(f"{n_missing} verdicts are missing", style="yellow")
    return FAILED if n_missing else DONE


def _correct(arguments: argparse.Namespace) -> int:
    from harness.human_eval.correct import as_json, correct, print_corrections
    from harness.runs import open_runs
    from harness.show import consoles
    from harness.store import to_json

    metrics = [arguments.metric] if arguments.metric else ["score", "hallucination_rate"]
    found = correct(arguments.human, open_runs(arguments.runs), metrics, arguments.column)
    if arguments.json:
        print(to_json(as_json(found)), end="")
    else:
        print_corrections(consoles()[0], found)
    return DONE


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    body = {"export": _export, "import": _import, "correct": _correct}[arguments.command]
    return run_command(lambda: body(arguments), "nothing was written")


if __name__ == "__main__":
    sys.exit(main())
