"""The laboratory's steps: data, trainings, captions to develop on, evaluations. Each is kept, and done once.

Everything goes through the commands that a person would type; what they say is in the log beside their result::

    WORK/data/<kind>-n640-s1/…            what is trained on
    WORK/runs/<experiment>-n640-e2-lr5e-06-s1/
        checkpoint/                        as trainers.run leaves it
        development.json                   captions of development scenes, counted
        evaluation/                        a run folder of harness.run
        result.json                        its rows, for the page
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from filelock import FileLock

from benchmarks.base import Decoding, Message, PlumblineError, Request, ScoreRow, ScoreStatus
from benchmarks.pocket import CHECKPOINT, language, ratings
from benchmarks.pocket import preferences as pocket
from benchmarks.pocket.questions import content_of
from benchmarks.pocket.world import ScenePicture, scenes
from harness.command import DONE, FAILED
from harness.store import to_json, write_atomically
from trainers.output import RECORD
from trainers.pocket_lab.plan import (
    BATCH_SIZE,
    PROMPTS_PER_PAIR,
    PROMPTS_PER_ROUND,
    REFRESH_STEPS,
    SAMPLED_ANSWERS,
    TEMPERATURE,
    DataKind,
    Experiment,
    Plan,
)

DATA_SEEDS = 1000
"""Added to an experiment's seed for its data, away from the seeds that people try first."""

LONGEST = 128
"""New tokens: more than any caption of the pocket world takes."""

CHECKPOINT_NAME = "checkpoint"

SUITE = "all"
FAULTLESS = 12
"""The oracle's score of an answer that makes nothing up and leaves nothing out."""

Command = Callable[[Sequence[str]], int]


def _do(
    command: Command, given: Sequence[object], log: Path, allowed: Sequence[int] = (DONE,)
) -> None:
    """Run a command with its output in a log. Raises PlumblineError if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as out, redirect_stdout(out), redirect_stderr(out):
        code = command([str(each) for each in given])
    if code not in allowed:
        said = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise PlumblineError(f"{log}: {''.join(said)}")


def data(kind: DataKind, n: int, seed: int, plan: Plan) -> Path:
    """A set to train on, made if it isn't there."""
    folder = plan.work / "data"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{kind}-n{n}-s{seed}"
    sampled = kind in ("best", "rated", "scored_pairs")
    # The three are made together, and no two processes make the same.
    with FileLock(folder / (f"sampled-n{n}-s{seed}.lock" if sampled else f"{name}.lock")):
        return _MAKERS[kind](folder / name, n, seed, plan)


def _pairs(out: Path, n: int, seed: int, plan: Plan) -> Path:
    path = out / pocket.FILE_NAME
    return path if path.exists() else pocket.write(out, n, DATA_SEEDS + seed)


def _online(out: Path, n: int, seed: int, plan: Plan) -> Path:
    return _pairs(out, max(PROMPTS_PER_PAIR * n, PROMPTS_PER_ROUND), seed, plan)


def _imagined(out: Path, n: int, seed: int, plan: Plan) -> Path:
    path = out / pocket.FILE_NAME
    if not path.exists():
        pocket.write(out, n, DATA_SEEDS + seed, rejected_images=True)
    return path


def _blind(out: Path, n: int, seed: int, plan: Plan) -> Path:
    path = out.with_suffix(".jsonl")
    if not path.exists():
        lines = data("pairs", n, seed, plan).read_text(encoding="ascii").splitlines()
        records = [json.loads(line) for line in lines]
        for record in records:
            del record["image"]
        write_atomically(path, "".join(json.dumps(record) + "\n" for record in records))
    return path


def _sampled(out: Path, n: int, seed: int, plan: Plan) -> Path:
    from trainers.sampling.__main__ import main

    folder = out.parent
    best, rated, pairs, told = (
        folder / f"{kind}-n{n}-s{seed}.jsonl"
        for kind in ("best", "answers", "scored_pairs", "rated")
    )
    if not told.exists():
        given = ["rejection", "--data", data("pairs", n, seed, plan), "--out", best]
        given += ["--pairs", pairs, "--rated", rated, "--n", SAMPLED_ANSWERS]
        given += ["--temperature", TEMPERATURE, "--max-new-tokens", LONGEST, "--seed", seed]
        log = out.with_suffix(".log")
        _do(main, [*given, "--min-score", FAULTLESS], log)
        _do(main, ["steerlm", "--data", rated, "--out", told], log)
    return out.with_suffix(".jsonl")


def _wrong_answers(out: Path, n: int, seed: int, plan: Plan) -> Path:
    from trainers.sampling.__main__ import main

    path = out.with_suffix(".jsonl")
    if not path.exists():
        given = ["bdhs", "--data", data("pairs", n, seed, plan), "--out", path]
        _do(main, [*given, "--max-new-tokens", LONGEST, "--seed", seed], out.with_suffix(".log"))
    return path


_MAKERS: dict[DataKind, Callable[[Path, int, int, Plan], Path]] = {
    "pairs": _pairs,
    "blind": _blind,
    "imagined": _imagined,
    "best": _sampled,
    "rated": _sampled,
    "scored_pairs": _sampled,
    "wrong_answers": _wrong_answers,
    "online": _online,
}


def folder_of(experiment: Experiment, seed: int, rate: float, plan: Plan) -> Path:
    """Where an experiment's training is kept."""
    if not experiment.method:
        return plan.work / "runs" / experiment.name
    n = plan.n_of(experiment)
    name = f"{experiment.training}-n{n}-e{plan.epochs}-lr{rate:g}-s{seed}"
    return plan.work / "runs" / name


def development_path(experiment: Experiment, seed: int, rate: float, plan: Plan) -> Path:
    """Where ``develop`` keeps what it found."""
    return folder_of(experiment, seed, rate, plan) / "development.json"


def result_path(experiment: Experiment, seed: int, rate: float, plan: Plan) -> Path:
    """Where ``report`` keeps an experiment's rows."""
    folder = folder_of(experiment, seed, rate, plan)
    return folder / f"result{_suffix(experiment)}-{plan.limit}.json"


def _suffix(experiment: Experiment) -> str:
    """Tells apart what is kept of experiments that share a training."""
    return f"-{experiment.name}" if experiment.like else ""


def train(experiment: Experiment, seed: int, rate: float, plan: Plan) -> Path:
    """The trained checkpoint; the embedded one for the base."""
    if not experiment.method:
        return CHECKPOINT
    from trainers import online, run

    folder = folder_of(experiment, seed, rate, plan)
    n = plan.n_of(experiment)
    settings = [f"learning_rate={rate}", f"seed={seed}", f"num_train_epochs={plan.epochs}"]
    settings += [f"per_device_train_batch_size={BATCH_SIZE}", *experiment.changes]
    given: list[object] = ["--method", experiment.method, "--recipe", "pocket"]
    given += ["--data", data(experiment.data, n, seed, plan), "--out", folder / CHECKPOINT_NAME]
    given += ["--cache-dir", plan.work / "reference"]
    given += [part for setting in settings for part in ("--set", setting)]
    command: Command = run.main
    if experiment.data == "online":
        command = online.main
        n_rounds = max(1, n * plan.epochs // (BATCH_SIZE * REFRESH_STEPS))
        given += ["--rounds", n_rounds, "--refresh-steps", REFRESH_STEPS, "--mix", experiment.mix]
        given += ["--temperature", TEMPERATURE, "--max-new-tokens", LONGEST]
        given += ["--sampling-seed", seed]
    # Two experiments may share a training, and no two processes do the same.
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        _do(command, given, folder / "training.log")
    return folder / CHECKPOINT_NAME


def develop(experiment: Experiment, seed: int, rate: float, plan: Plan) -> float:
    """Share of captions of development scenes that make nothing up and leave nothing out."""
    path = development_path(experiment, seed, rate, plan)
    if not path.exists():
        checkpoint = train(experiment, seed, rate, plan)
        if experiment.asks:
            checkpoint = _asking(checkpoint)
        write_atomically(path, to_json({"faultless": _faultless(checkpoint, plan.n_scenes)}))
    return read_development(path)


def read_development(path: Path) -> float:
    """What ``develop`` kept."""
    found: float = json.loads(path.read_text(encoding="utf-8"))["faultless"]
    return found


def _faultless(checkpoint: Path, n_scenes: int) -> float:
    from harness.engines.transformers_engine import TransformersEngine

    shown = list(islice(scenes("evaluation", "laboratory"), n_scenes))
    asked = [
        (scene, prompt, say(scene, scene.things))
        for scene in shown
        for prompt, say in (
            (language.BRIEF_PROMPTS[0], language.brief_caption),
            (language.DETAIL_PROMPTS[0], language.detailed_caption),
        )
    ]
    requests = [
        Request(
            str(index),
            scene.name,
            (Message("user", prompt, (ScenePicture(scene),)),),
            Decoding(LONGEST),
        )
        for index, (scene, prompt, _) in enumerate(asked)
    ]
    engine = TransformersEngine.load(str(checkpoint))
    answers = {r.request_id: r.text for batch in engine.generate(requests) for r in batch}
    counts = []
    for index, (scene, prompt, true) in enumerate(asked):
        sheet = ratings.judge_prompt(content_of(scene), prompt, true, answers[str(index)])
        lines = ratings.oracle_reply(sheet).split("\n")[:2]
        counts.append(all(line.endswith(": 0") for line in lines))
    return fmean(counts)


def report(experiment: Experiment, seed: int, rate: float, plan: Plan) -> Path:
    """Train and evaluate one experiment. Returns the file with its rows."""
    path = result_path(experiment, seed, rate, plan)
    if path.exists():
        return path
    began, cpu = time.monotonic(), time.process_time()
    checkpoint = train(experiment, seed, rate, plan)
    evaluation = path.parent / f"evaluation{_suffix(experiment)}-{plan.limit}"
    if experiment.asks:
        checkpoint = _asking(checkpoint)
    rows = _evaluated(checkpoint, evaluation, plan.limit)
    result = {
        "experiment": experiment.name,
        "seed": seed,
        "learning_rate": rate if experiment.method else None,
        "last_chosen_reward": _last_reward(path.parent / CHECKPOINT_NAME),
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "rows": {name: [asdict(row) for row in found] for name, found in rows.items()},
    }
    write_atomically(path, json.dumps(result, default=str))
    return path


def _asking(checkpoint: Path) -> Path:
    from trainers.sampling.steerlm import ask_always, wanted

    asking = checkpoint.with_name("asking")
    if not asking.exists():
        ask_always(checkpoint, asking, wanted("likert"))
    return asking


def _evaluated(checkpoint: Path, out: Path, limit: int) -> dict[str, list[ScoreRow]]:
    """Rows by benchmark, of a run that is made if it isn't there."""
    from harness import run
    from harness.generate import turns_of
    from harness.judging import JudgePart, judgments_of
    from harness.pipeline import prepare
    from harness.scoring import score_items
    from harness.store import RunFolder

    given = ["--ckpt", checkpoint, "--edition", "pocket", "--suite", SUITE, "--limit", limit]
    given += ["--out", out]
    # Items that failed are in the rows, as what they are.
    _do(run.main, given, out.with_name(f"{out.name}.log"), (DONE, FAILED))
    found = {}
    with RunFolder(out) as folder:
        for job in prepare(run.read_config(run.make_parser().parse_args(list(map(str, given))))):
            responses = turns_of(job.part(folder))
            judgments = None
            if job.benchmark.judge is not None:
                log = folder.judgments(job.folder)
                judgments = judgments_of(JudgePart(job.benchmark, job.items, responses, log))
            found[job.benchmark.name] = score_items(job.benchmark, job.items, responses, judgments)
    return found


def _last_reward(checkpoint: Path) -> float | None:
    """The implicit reward of chosen answers, over the last tenth of the training."""
    path = checkpoint / RECORD
    curves = json.loads(path.read_text(encoding="utf-8"))["curves"] if path.exists() else {}
    rewards = [value for value in curves.get("rewards/chosen", ()) if value is not None]
    return fmean(rewards[-max(1, len(rewards) // 10) :]) if rewards else None


def read_rows(result: dict[str, Any]) -> dict[str, list[ScoreRow]]:
    """The rows of a result file, by benchmark."""
    return {
        name: [ScoreRow(**{**row, "status": ScoreStatus(row["status"])}) for row in rows]
        for name, rows in result["rows"].items()
    }
