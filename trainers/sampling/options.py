"""The command line of ``python -m trainers.sampling``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from harness.command import above_zero, at_least
from harness.engines.select import add_engine_options, add_loading_options
from harness.judges.options import add_judge_options
from trainers.sampling.similarity import NGRAMS, PAPERS
from trainers.scored import MIN_GAP


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.sampling",
        description="Preference data from a model's own answers, for python -m trainers.run --data. What is sampled "
        "lies beside --out, in a folder of its name with .work behind it; the same command goes on from there.",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    _add_rejection(kinds.add_parser("rejection", help="the best of several answers (2402.10884)"))
    _add_online(kinds.add_parser("online", help="the better of two answers (2407.02477)"))
    _add_bdhs(kinds.add_parser("bdhs", help="true answers and tempting wrong ones (2407.02477)"))
    _add_steerlm(kinds.add_parser("steerlm", help="answers with their ratings told (2402.10884)"))
    return parser


def _add_rejection(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Several answers to each prompt, rated. Train on --out with --method sft, on --pairs with --method dpo, on --rated "
        "by way of steerlm."
    )
    _add_data(parser, "prompts: any preference data, or records with image and prompt")
    add_answer_options(parser, temperature=0.7)
    parser.add_argument(
        "--n", type=at_least(1), default=4, help="answers to each prompt (default 4, as the paper)"
    )
    parser.add_argument(
        "--min-score", type=number, metavar="X", help="leave out best answers with a lower score"
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE",
        help="also write pairs: the best answer, and one that is drawn from those --min-gap below",
    )
    parser.add_argument(
        "--min-gap",
        type=above_zero,
        default=MIN_GAP,
        metavar="X",
        help=f"points between the two answers of a pair, at least (default {MIN_GAP}, as the paper)",
    )
    parser.add_argument(
        "--rated", type=Path, metavar="FILE", help="also write all answers with their ratings"
    )


def _add_online(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Two answers to each prompt, the better one chosen, by the model as it is: train on --out with --method dpo. "
        "python -m trainers.online makes such pairs anew while the model learns."
    )
    _add_data(parser, "prompts: any preference data, or records with image and prompt")
    add_answer_options(parser, temperature=1.0)
    add_mix_option(parser)


def _add_bdhs(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "True answers beside what the model makes of them with the picture hidden: train on --out with --method dpo. How many "
        "are accepted at once says whether enough is hidden."
    )
    _add_data(parser, "any preference data; its chosen answers are taken for true")
    parser.add_argument(
        "--ckpt",
        metavar="PATH|HF_ID",
        help="the model that is tempted (default: the embedded pocket checkpoint)",
    )
    add_loading_options(parser)
    add_bdhs_options(parser)
    parser.add_argument(
        "--temperature",
        type=at_least_zero,
        default=0.0,
        metavar="X",
        help="of what is made (default 0)",
    )
    add_length_option(parser)


def _add_steerlm(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "First --data makes records to train on with --method sft; then --ckpt makes a checkpoint of what was trained that "
        "asks for the best."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--data",
        metavar="PATH|HF_ID",
        help="write training records: each answer with its ratings told in the prompt. Takes what rejection --rated "
        "wrote, or the scored answers of 2402.10884",
    )
    what.add_argument(
        "--ckpt",
        type=Path,
        metavar="DIR",
        help="write a copy of this trained checkpoint that asks for the best ratings in every conversation",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE|DIR", help="records, or the copy"
    )
    _add_source(parser)
    parser.add_argument(
        "--style",
        choices=("likert", "nemo"),
        default="likert",
        help="mllm-dpo's sentence (default) or NeMo's label",
    )


def _add_data(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--data", required=True, metavar="PATH|HF_ID", help=what)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="where the records go (JSON Lines)"
    )
    parser.add_argument(
        "--format", default="auto", metavar="NAME", help="the data's (default: by its fields)"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, help="of all draws (default 0)")
    _add_source(parser)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image-dir", type=Path, metavar="DIR", help="what relative picture paths start from"
    )
    parser.add_argument("--split", default="train", help="of a hub data set (default: train)")
    parser.add_argument("--limit", type=at_least(1), metavar="N", help="only the first N records")


def add_answer_options(parser: argparse.ArgumentParser, temperature: float) -> None:
    """Who answers, how, and who says what is better."""
    add_engine_options(parser)
    add_draw_options(parser, temperature)
    add_annotator_option(parser)
    add_judge_options(parser)


def add_draw_options(parser: argparse.ArgumentParser, temperature: float) -> None:
    parser.add_argument(
        "--temperature",
        type=at_least_zero,
        default=temperature,
        metavar="X",
        help=f"of the draws (default {temperature})",
    )
    parser.add_argument("--top-p", type=above_zero, default=1.0, metavar="X", help="default 1")
    add_length_option(parser)


def add_length_option(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--max-new-tokens",
        type=at_least(1),
        default=512,
        metavar="N",
        help="longer answers are not used (default 512)",
    )


def add_annotator_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--annotator",
        default="pocket",
        metavar="NAME",
        help="pocket (the oracle, for pocket prompts; default), rating or verdict (a model, named by --judge), or "
        "module:function, a reward that takes messages and an answer",
    )


def add_mix_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mix",
        type=share,
        default=0.0,
        metavar="P",
        help="the probability of a prompt's given pair in place of a new one (default 0; mixed DPO: 0.5)",
    )


def add_bdhs_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hide",
        choices=("attention", "noise"),
        default="attention",
        help="attention to the picture's tokens (default), or the picture by diffusion noise",
    )
    parser.add_argument(
        "--threshold",
        type=share,
        default=0.99,
        metavar="RHO",
        help="share of picture tokens that are hidden (default 0.99)",
    )
    parser.add_argument(
        "--iterations", type=at_least(1), default=5, metavar="N", help="tries (default 5)"
    )
    parser.add_argument(
        "--similarity",
        default=NGRAMS,
        metavar="NAME",
        help=f"{NGRAMS} (default, needs no model), or an embedding model's folder or hub id (the paper's: {PAPERS})",
    )
    parser.add_argument(
        "--max-similarity",
        type=share,
        default=0.97,
        metavar="X",
        help="answers as like the true one as this are made again (default 0.97)",
    )


def number(text: str) -> float:
    """The type of an option that takes any number."""
    return _checked(text, lambda value: True, "a number")


def share(text: str) -> float:
    """The type of an option that takes numbers from 0 to 1."""
    return _checked(text, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def at_least_zero(text: str) -> float:
    """The type of an option that takes numbers from 0 on."""
    return _checked(text, lambda value: value >= 0, "a number from 0 on")


def _checked(text: str, allowed: Callable[[float], bool], wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and allowed(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value
