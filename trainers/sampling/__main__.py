"""``python -m trainers.sampling``: preference data from a model's own answers."""

from __future__ import annotations

import logging
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.base import PlumblineError
from benchmarks.pocket import CHECKPOINT
from harness.command import DONE, FAILED, run_command
from trainers.sampling.options import make_parser

if TYPE_CHECKING:
    from rich.console import Console

    from trainers.pairs import Preference
    from trainers.sampling.answers import Draws, Sampled

REPORT = "report.json"


def work_folder(out: Path) -> Path:
    """Where what was sampled for a file lies."""
    return out.with_name(f"{out.name}.work")


def _rejection(arguments: Namespace, console: Console) -> int:
    from trainers.sampling.choosing import best_answers, rated_answers, scored_pairs
    from trainers.sampling.records import write_preferences

    _, sampled, report = _sampled(arguments, _draws(arguments, arguments.n), console)
    if not any(each.ratings for each in sampled):
        raise PlumblineError(
            f"--annotator {arguments.annotator} gave no answer a score ({report['problems']}); rejection sampling "
            "needs one that rates, such as rating"
        )
    source = "rejection_sampling"
    best = best_answers(sampled, source, arguments.min_score)
    report["best"] = write_preferences(arguments.out, best)
    scores = [set(each.scores.values()) for each in sampled]
    report["prompts_with_different_scores"] = sum(len(each) > 1 for each in scores)
    told = [
        f"{report['prompts_with_different_scores']:,} prompts have answers with different scores",
        f"{report['best']:,} best answers, for --method sft: {arguments.out}",
    ]
    if arguments.pairs:
        pairs = scored_pairs(sampled, source, min_gap=arguments.min_gap, seed=arguments.seed)
        report["pairs"] = write_preferences(arguments.pairs, pairs)
        told.append(f"{report['pairs']:,} pairs, for --method dpo: {arguments.pairs}")
    if arguments.rated:
        report["rated"] = write_preferences(arguments.rated, rated_answers(sampled, source))
        told.append(f"{report['rated']:,} rated answers, for steerlm --data: {arguments.rated}")
    return _told(arguments, report, told, console)


def _online(arguments: Namespace, console: Console) -> int:
    from trainers.sampling.choosing import pair_of
    from trainers.sampling.records import write_preferences
    from trainers.sampling.rounds import ONLINE, ranked_two

    given, sampled, report = _sampled(arguments, _draws(arguments, 2), console)
    ranked = [(each, ranked_two(each)) for each in sampled]
    online = [pair_of(each, better, ONLINE) for each, better in ranked if better]
    n_alike = sum(better is None and not each.problems for each, better in ranked)
    report |= {"given": len(given), "online": len(online), "no_difference": n_alike}
    write_preferences(arguments.out, [*given, *online])
    told = [
        f"{n_alike:,} prompts have two answers of which neither is better",
        f"{len(online):,} new pairs and {len(given):,} given ones, for --method dpo: {arguments.out}",
    ]
    return _told(arguments, report, told, console)


def _bdhs(arguments: Namespace, console: Console) -> int:
    from transformers.utils import logging as library

    from harness.engines import checkpoints
    from harness.engines.select import in_process
    from harness.show import Progress
    from harness.store import Log, RunFolder
    from trainers.sampling.bdhs import (
        Hallucinated,
        acceptance,
        bdhs_settings,
        hallucinate,
        not_made,
        pairs_of,
    )
    from trainers.sampling.completing import HidingCompleter
    from trainers.sampling.records import write_preferences
    from trainers.sampling.similarity import open_similarity

    started = time.monotonic()
    pairs = _prompts(arguments, console)
    if untold := next((pair.id for pair in pairs if not pair.chosen), None):
        raise PlumblineError(f"{arguments.data}: {untold} has no chosen answer to begin with")
    settings = bdhs_settings(arguments, arguments.seed)
    similarity = open_similarity(settings.similarity)
    library.disable_progress_bar()
    chosen = in_process(arguments.ckpt or str(CHECKPOINT), arguments)
    options = checkpoints.Options(chosen.dtype, chosen.device, chosen.trust_remote_code)
    checkpoint = checkpoints.load(checkpoints.locate(chosen.ckpt, None, options), options)
    completer = HidingCompleter(checkpoint, settings, chosen.batch_size or 64)
    work = work_folder(arguments.out)
    with RunFolder(work) as folder:
        identity = {"kind": "bdhs", "checkpoint": checkpoint.identity}
        folder.claim({**identity, "settings": asdict(settings)}, {})
        with closing(Log(work / "wrong_answers.jsonl", Hallucinated)) as log:
            waiting = not_made(pairs, log)
            with Progress(console, "answers") as progress:
                for made in hallucinate(completer, similarity, waiting, settings):
                    log.append(made)
                    progress(len(log.records), len(pairs))
            found = {pair.id: log.records[pair.id] for pair in pairs}
    report = acceptance(found.values(), settings.iterations)
    report["pairs"] = write_preferences(arguments.out, pairs_of(pairs, found, settings))
    report["seconds"] = round(time.monotonic() - started, 1)
    shares = [f"{100 * share:.0f} %" for share in report["share_accepted_up_to_iteration"]]
    told = [
        f"accepted up to iteration 1, 2, …: {', '.join(shares)} (the paper: over 74 % after 1, over 90 % after 4)",
        f"{report['pairs']:,} pairs, for --method dpo: {arguments.out}",
    ]
    return _told(arguments, report, told, console)


def _steerlm(arguments: Namespace, console: Console) -> int:
    from trainers.sampling.records import write_preferences
    from trainers.sampling.steerlm import ask_always, conditioned, read_rated, wanted

    if arguments.ckpt:
        suffix = wanted(arguments.style)
        ask_always(arguments.ckpt, arguments.out, suffix)
        told = f"{arguments.out} adds to the last question of every conversation:{suffix}"
        _say(console, f"{told}\n\nEvaluate it:\n  python -m harness.run --ckpt {arguments.out}")
        return DONE
    rated = read_rated(arguments.data, arguments.image_dir, arguments.split)
    found = conditioned(replace(rated, pairs=rated.pairs[: arguments.limit]), arguments.style)
    write_preferences(arguments.out, found.pairs)
    _say(console, found.report())
    _say(console, f"for --method sft: {arguments.out}")
    return DONE


def _draws(arguments: Namespace, n: int) -> Draws:
    from trainers.sampling.answers import Draws

    return Draws(
        n, arguments.temperature, arguments.top_p, arguments.max_new_tokens, arguments.seed
    )


def _prompts(arguments: Namespace, console: Console) -> Sequence[Preference]:
    from trainers.sampling.prompts import read_prompts

    found = read_prompts(
        arguments.data,
        format=arguments.format,
        image_dir=arguments.image_dir,
        split=arguments.split,
    )
    _say(console, found.report())
    return found.pairs[: arguments.limit]


def _sampled(
    arguments: Namespace, draws: Draws, console: Console
) -> tuple[list[Preference], list[Sampled], dict[str, Any]]:
    """Given pairs that are kept, answers to all other prompts, and a report so far."""
    from harness.engines.select import choose
    from harness.store import RunFolder
    from trainers.sampling.annotators import open_annotator
    from trainers.sampling.answers import problems_of, reach, reasons_of, sample

    started = time.monotonic()
    prompts = _prompts(arguments, console)
    given = _given(prompts, getattr(arguments, "mix", 0.0), arguments.seed)
    kept = {pair.id for pair in given}
    asked = [prompt for prompt in prompts if prompt.id not in kept]
    work = work_folder(arguments.out)
    annotator = open_annotator(arguments.annotator, arguments, asked, work, arguments.seed)
    with closing(annotator.judge), RunFolder(work) as folder:
        shown_by = [arguments.data] if any(prompt.pictures for prompt in asked) else []
        reach(annotator)
        engine = choose(arguments).start(shown_by)
        identity = {"kind": arguments.kind, "checkpoint": dict(engine.identity)}
        folder.claim(identity, {"answers": asdict(draws)})
        sampled = sample(engine, annotator, asked, draws, folder, console)
    report = {
        "prompts": len(prompts),
        "answers": len(asked) * draws.n,
        "problems": problems_of(sampled),
        "reasons": reasons_of(sampled),
        "draws": asdict(draws),
        "annotator": {"asked": annotator.sheet.name, **annotator.judge.identity},
        "seconds": round(time.monotonic() - started, 1),
    }
    return given, sampled, report


def _given(prompts: Sequence[Preference], mix: float, seed: int) -> list[Preference]:
    """The pairs that are kept as they are, each drawn by itself. Raises PlumblineError."""
    kept = [pair for pair in prompts if Random(f"mix {seed} {pair.id}").random() < mix]
    if bare := next((pair.id for pair in kept if pair.rejected is None), None):
        raise PlumblineError(f"--mix {mix}: prompt {bare} has no given pair")
    return kept


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _told(
    arguments: Namespace, report: Mapping[str, Any], told: Sequence[str], console: Console
) -> int:
    """Write and show what came about; answers or judgments that failed make the command fail.

    Args:
        told: lines on what was written.
    """
    from harness.store import to_json, write_atomically

    path = work_folder(arguments.out) / REPORT
    write_atomically(path, to_json(report))
    for problem, number in report["problems"].items():
        reason = report.get("reasons", {}).get(problem)
        _say(console, f"{number:,}: {problem}" + (f" (the first: {reason})" if reason else ""))
    for line in told:
        _say(console, line)
    _say(console, f"{report['seconds']} s; all numbers: {path}")
    if {"generation_error", "judge_error"} & set(report["problems"]):
        _say(console, "The same command asks again for what failed.")
        return FAILED
    return DONE


KINDS = {"rejection": _rejection, "online": _online, "bdhs": _bdhs, "steerlm": _steerlm}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        from harness.show import consoles

        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        return KINDS[arguments.kind](arguments, consoles()[1])

    return run_command(body, "what is sampled is on disk, and the same command goes on from there")


if __name__ == "__main__":
    sys.exit(main())
