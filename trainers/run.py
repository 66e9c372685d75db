"""``python -m trainers.run``: from preference pairs to a checkpoint that ``harness.run`` takes."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from benchmarks.base import PlumblineError
from benchmarks.pocket import CHECKPOINT
from harness.command import DONE, at_least, run_command
from trainers.preference_formats import Choices
from trainers.scored import Pairing

if TYPE_CHECKING:
    from trainers.training import Task


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.run",
        description="Train a checkpoint on preference pairs. The same --out goes on where a training stopped, and "
        "ends in the same weights. --list shows methods, recipes and settings.",
    )
    parser.add_argument(
        "--method", metavar="NAME", help="what to train with (default: the recipe's)"
    )
    parser.add_argument(
        "--ckpt",
        default=str(CHECKPOINT),
        metavar="PATH|HF_ID",
        help="where to begin: a Hugging Face folder, a hub id (id@revision) or a PEFT adapter folder "
        "(default: the embedded pocket checkpoint)",
    )
    parser.add_argument(
        "--data",
        metavar="PATH|HF_ID",
        help="preference pairs: a JSON, JSON Lines or Parquet file, a folder of such, or a hub data set",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the trained checkpoint goes")
    parser.add_argument(
        "--recipe", metavar="NAME|FILE", help="settings of a paper, or a TOML file of your own"
    )
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting, over the recipe's: beta=0.2, learning_rate=1e-6, lora_r=64; may be repeated",
    )
    parser.add_argument(
        "--format",
        default="auto",
        metavar="NAME",
        help="the data's format (default: by its fields)",
    )
    parser.add_argument(
        "--image-dir", type=Path, metavar="DIR", help="what relative picture paths start from"
    )
    parser.add_argument("--split", default="train", help="of a hub data set (default: train)")
    parser.add_argument(
        "--pairing",
        choices=get_args(Pairing),
        default=Choices.pairing,
        help="which answers of VLFeedback are paired: all with different ratings (default), or those furthest apart",
    )
    parser.add_argument(
        "--pairing-seed",
        type=at_least(0),
        default=Choices.seed,
        metavar="N",
        help="of the draw among the rejected answers of a set with scores (default 0)",
    )
    parser.add_argument("--limit", type=at_least(1), metavar="N", help="only the first N pairs")
    parser.add_argument(
        "--cache-dir",
        type=Path,
        metavar="DIR",
        help="where log-probabilities of references are kept (default: ~/.cache/plumbline/reference)",
    )
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="let the checkpoint bring its own code"
    )
    parser.add_argument("--list", action="store_true", help="show methods, recipes and settings")
    return parser


def listing() -> str:
    """Methods with their options, recipes and settings, as ``--list`` shows them."""
    from trainers.methods import METHODS
    from trainers.settings import DEFAULTS, Settings, read_recipe, recipes

    lines = ["methods:"]
    for name, method in METHODS.items():
        options = ", ".join(f"{option}={value}" for option, value in method.options().items())
        lines += [f"  {name:14} {method.summary}", f"  {'':14}   {options}"]
    lines += ["", "recipes:"]
    for name in recipes():
        lines.append(f"  {name:24} {read_recipe(name).get('source', '')}")
    lines += ["", "settings (and all of transformers.TrainingArguments):"]
    for name, value in {**Settings(method="").flat(), **DEFAULTS}.items():
        if name not in ("method", "source"):
            shown = ",".join(value) if isinstance(value, tuple) else value
            shown = str(shown).lower() if isinstance(shown, bool) else shown
            lines.append(f"  {name}={shown}")
    return "\n".join(lines)


def read_task(arguments: argparse.Namespace) -> Task:
    """The command line as a Task, its preferences read. Raises PlumblineError."""
    from trainers.preferences import read_preferences
    from trainers.reference_cache import DEFAULT_FOLDER
    from trainers.settings import resolve
    from trainers.training import Task

    settings = resolve(arguments.method, arguments.recipe, arguments.changes)
    for name in ("data", "out"):
        if getattr(arguments, name) is None:
            raise PlumblineError(
                f"say {'what to train on' if name == 'data' else 'where to write'}: --{name}"
            )
    choices = Choices(arguments.pairing, arguments.pairing_seed)
    preferences = read_preferences(
        arguments.data,
        format=arguments.format,
        image_dir=arguments.image_dir,
        split=arguments.split,
        choices=choices,
    )
    if arguments.limit:
        preferences = replace(preferences, pairs=preferences.pairs[: arguments.limit])
    return Task(
        settings=settings,
        ckpt=arguments.ckpt,
        preferences=preferences,
        data=arguments.data,
        out=arguments.out,
        cache_dir=arguments.cache_dir or DEFAULT_FOLDER,
        choices=choices,
        trust_remote_code=arguments.trust_remote_code,
    )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        from harness.show import consoles

        out, err = consoles()
        if arguments.list:
            out.print(listing(), markup=False, soft_wrap=True)
            return DONE
        task = read_task(arguments)
        from trainers.training import run_training

        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        run_training(task, err)
        return DONE

    return run_command(body, "the same command goes on from the last saved state")


if __name__ == "__main__":
    sys.exit(main())
