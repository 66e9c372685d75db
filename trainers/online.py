"""``python -m trainers.online``: preference training with pairs that the policy makes while it learns.

Online DPO, mixed DPO and online BDHS (arXiv 2407.02477): before every ``--refresh-steps`` steps, the policy as it then is
makes the pairs for them, and the annotator picks the better answer. All else is ``trainers.run``'s: any method, any
recipe. How each round's pairs came about stands in OUT/online; see ``trainers.sampling.rounds``.

The paper tells neither temperature nor how often pairs are made anew, so both are options, and recorded.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import PlumblineError
from harness.command import DONE, at_least, run_command
from harness.judges.options import add_judge_options
from trainers import run
from trainers.preference_formats import Choices
from trainers.sampling.options import (
    add_annotator_option,
    add_bdhs_options,
    add_length_option,
    add_mix_option,
    at_least_zero,
)

if TYPE_CHECKING:
    from rich.console import Console

    from harness.engines.checkpoints import Checkpoint
    from trainers.pairs import Preference
    from trainers.sampling.rounds import Maker, Policy, Rounds
    from trainers.settings import Settings

FOLDER = "online"
TEMPERATURES = {"answers": 1.0, "bdhs": 0.0}


def make_parser() -> argparse.ArgumentParser:
    parser = run.make_parser()
    parser.prog = "python -m trainers.online"
    parser.description = (
        "Train a checkpoint on pairs that it makes itself while it learns. --data gives the prompts. The same --out "
        "goes on where a training stopped, and ends in the same weights. Methods, recipes and settings are those of "
        "python -m trainers.run --list."
    )
    group = parser.add_argument_group("pairs")
    group.add_argument(
        "--pairs",
        choices=tuple(TEMPERATURES),
        default="answers",
        help="the better of two answers (default), or true answers and tempting wrong ones",
    )
    group.add_argument(
        "--rounds",
        type=at_least(1),
        default=10,
        metavar="N",
        help="how often pairs are made (default 10); stands in place of num_train_epochs",
    )
    group.add_argument(
        "--refresh-steps",
        type=at_least(1),
        default=8,
        metavar="N",
        help="steps with the pairs of one round (default 8)",
    )
    group.add_argument(
        "--temperature",
        type=at_least_zero,
        metavar="X",
        help="of the answers (default 1; for bdhs 0)",
    )
    add_length_option(group)
    group.add_argument(
        "--sampling-seed",
        type=at_least(0),
        default=0,
        metavar="N",
        help="of prompts, answers and mixing (default 0); the training's own is --set seed=N",
    )
    add_mix_option(parser)
    add_annotator_option(parser)
    add_bdhs_options(parser)
    add_judge_options(parser)
    return parser


class PolicyPairs:
    """The pairs of each round, made with the policy in its training; what the trainer calls before an epoch.

    With several processes, the first one makes them and the others read them.

    Args:
        bare: the checkpoint's processor and what else a model needs to be asked; the model in it is not used.
    """

    def __init__(self, rounds: Rounds, bare: Checkpoint, state: Any, console: Console) -> None:
        self._rounds = rounds
        self._bare = bare
        self._state = state
        self._console = console
        self._policy: Policy | None = None
        self._asked: Any = None

    def __call__(self, number: int, model: Any) -> Sequence[Preference]:
        if self._state.is_main_process:
            self._make(number, model)
        self._state.wait_for_everyone()
        return self._rounds.pairs(number)

    def _make(self, number: int, model: Any) -> None:
        from rich.console import Console

        is_made, was_training = self._rounds.is_made(number), model.training
        model.eval()
        # Quiet: the training's own progress is on the screen.
        quiet = Console(quiet=True, force_terminal=False)
        self._rounds.make(number, self._policy_of(model), quiet)
        model.train(was_training)
        if not is_made:
            told = _in_words(number, self._rounds.info(number))
            self._console.print(told, markup=False, soft_wrap=True)

    def _policy_of(self, model: Any) -> Policy:
        """The model without what parallel training and adapters wrap it in."""
        from accelerate.utils import extract_model_from_parallel
        from peft import PeftModel

        from harness.engines.transformers_engine import TransformersEngine
        from trainers.sampling.rounds import Policy

        inner = extract_model_from_parallel(model, keep_torch_compile=False)
        inner = inner.get_base_model() if isinstance(inner, PeftModel) else inner
        if self._policy is None or self._asked is not inner:
            checkpoint = replace(self._bare, model=inner)
            self._policy, self._asked = Policy(TransformersEngine(checkpoint), checkpoint), inner
        return self._policy


def _in_words(number: int, info: Mapping[str, Any]) -> str:
    """A line on a round that was made."""
    left = ", ".join(f"{count} {reason}" for reason, count in info["left"].items() if count)
    return (
        f"round {number}: {info['n_made']} new pairs, {info['n_given']} given; prompts without one: "
        f"{left or 'none'}; words, chosen {info['mean_words']['chosen']:.0f}, rejected "
        f"{info['mean_words']['rejected']:.0f}; {info['seconds']:.0f} s"
    )


def train_online(arguments: argparse.Namespace, console: Console) -> None:
    """What the command does. Raises PlumblineError."""
    from accelerate import PartialState
    from transformers.utils import logging as library

    from harness.engines import checkpoints
    from trainers.preferences import Preferences
    from trainers.reference_cache import DEFAULT_FOLDER
    from trainers.sampling.prompts import read_prompts
    from trainers.sampling.rounds import Plan, Rounds
    from trainers.settings import resolve
    from trainers.training import Task, run_training

    settings = resolve(arguments.method, arguments.recipe, arguments.changes)
    for name in ("data", "out"):
        if getattr(arguments, name) is None:
            raise PlumblineError(f"--{name} is missing")
    state = PartialState()
    _refuse_split_weights(state, settings)
    prompts = read_prompts(
        arguments.data,
        format=arguments.format,
        image_dir=arguments.image_dir,
        split=arguments.split,
        choices=Choices(arguments.pairing, arguments.pairing_seed),
    )
    chosen = prompts.pairs[: arguments.limit]
    settings = replace(
        settings, arguments={**settings.arguments, "num_train_epochs": arguments.rounds}
    )
    n_pairs = arguments.refresh_steps * _batch_size(settings) * state.num_processes
    plan = Plan(n_pairs, arguments.mix, arguments.sampling_seed)
    library.disable_progress_bar()
    options = checkpoints.Options(
        settings.dtype, trust_remote_code=arguments.trust_remote_code, device="auto"
    )
    bare = checkpoints.load(checkpoints.locate(arguments.ckpt, None, options), options)
    folder = arguments.out / FOLDER
    with _maker(arguments, chosen, folder) as (maker, identity):
        identity = {"pairs": arguments.pairs, "checkpoint": bare.identity, **identity}
        rounds = Rounds(chosen, maker, plan, folder, identity)
        # The first pairs are the untrained policy's; the trainer checks itself with them.
        first = PolicyPairs(rounds, bare, state, console)(0, bare.model)
        producer = PolicyPairs(rounds, replace(bare, model=None), state, console)
        task = Task(
            settings=settings,
            ckpt=arguments.ckpt,
            preferences=Preferences(tuple(first), prompts.dropped, FOLDER),
            data=arguments.data,
            out=arguments.out,
            cache_dir=arguments.cache_dir or DEFAULT_FOLDER,
            trust_remote_code=arguments.trust_remote_code,
            refresh=producer,
        )
        run_training(task, console)


def _refuse_split_weights(state: Any, settings: Settings) -> None:
    from accelerate.utils import DistributedType

    from trainers.methods import METHODS

    if state.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        raise PlumblineError(
            f"{state.distributed_type.value} splits the weights among processes, and answers are made in one of "
            "them; use plain data parallelism"
        )
    if "extra_reference" in METHODS[settings.method].needs:
        raise PlumblineError(
            f"{settings.method} computes a second reference's log-probabilities beforehand, which new pairs have none of"
        )


def _batch_size(settings: Settings) -> int:
    """Pairs that one process takes in a step."""
    from transformers import TrainingArguments

    size = 1
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        default = TrainingArguments.__dataclass_fields__[name].default
        size *= settings.arguments.get(name, default)
    return size


@contextmanager
def _maker(
    arguments: argparse.Namespace, prompts: Sequence[Preference], folder: Path
) -> Iterator[tuple[Maker, Mapping[str, Any]]]:
    """What makes the pairs, and what must agree between sessions."""
    from trainers.sampling.annotators import open_annotator
    from trainers.sampling.answers import Draws, reach
    from trainers.sampling.bdhs import bdhs_settings
    from trainers.sampling.rounds import FromAnswers, FromBdhs
    from trainers.sampling.similarity import open_similarity

    if arguments.temperature is None:
        arguments.temperature = TEMPERATURES[arguments.pairs]
    if arguments.pairs == "bdhs":
        settings = bdhs_settings(arguments, arguments.sampling_seed)
        yield FromBdhs(settings, open_similarity(settings.similarity)), {"bdhs": asdict(settings)}
        return
    draws = Draws(2, arguments.temperature, max_new_tokens=arguments.max_new_tokens)
    seed = arguments.sampling_seed
    annotator = open_annotator(arguments.annotator, arguments, prompts, folder, seed)
    with closing(annotator.judge):
        reach(annotator)
        asked = {"asked": annotator.sheet.name, **annotator.judge.identity}
        yield FromAnswers(annotator, draws), {"draws": asdict(draws), "annotator": asked}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        from harness.show import consoles

        out, err = consoles()
        if arguments.list:
            out.print(run.listing(), markup=False, soft_wrap=True)
            return DONE
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        train_online(arguments, err)
        return DONE

    return run_command(body, "the same command goes on from the last saved state")


if __name__ == "__main__":
    sys.exit(main())
