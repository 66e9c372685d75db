"""The stages of a run, one after the other: generate, judge, score. Each reads what the one before wrote."""

from __future__ import annotations

import dataclasses
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from benchmarks.base import (
    Benchmark,
    FilePicture,
    Item,
    Metric,
    MissingDataError,
    PlumblineError,
    Response,
    ScoreRow,
    ScoreStatus,
)
from benchmarks.registry import open_benchmark, options_of
from benchmarks.suites import SUITES
from harness.command import DONE, FAILED
from harness.controls import Change, Control, change_for
from harness.dry_run import describe
from harness.env import remedy
from harness.generate import Part, generate, limited, open_requests, turns_of
from harness.judges.base import JudgeStoppedError, judge_label, now
from harness.judging import JudgePart, judge, judgments_of, models_used, open_questions
from harness.paired import Paired, compare_rows
from harness.scoring import measure, score_items
from harness.show import Progress, markdown, print_reliance, print_table
from harness.store import MixedRunError, RunFolder, to_json, write_atomically

if TYPE_CHECKING:
    from rich.console import Console

    from harness.engines.base import Engine
    from harness.judges.base import Judge
    from harness.run import RunConfig


@dataclass(frozen=True)
class Job:
    """One benchmark of a run, or its control.

    Attributes:
        control: how the pictures are changed; None for the run itself.
    """

    benchmark: Benchmark
    items: Sequence[Item]
    control: Control | None = None

    @property
    def folder(self) -> str:
        """Where in the run folder its files lie."""
        name = self.benchmark.name
        return name if self.control is None else f"control_{self.control}/{name}"

    @property
    def title(self) -> str:
        return self.benchmark.full_title

    @property
    def protocol(self) -> Mapping[str, Any]:
        """What must agree on resume: all that an answer depends on."""
        scoring = self.benchmark.scoring_settings
        asked = {k: v for k, v in self.benchmark.protocol().items() if k not in scoring}
        return {**asked, "control": self.control}

    @cached_property
    def change(self) -> Change | None:
        """What the control does to a request; made once, since it may have to look at every picture."""
        return change_for(self.control, self.items) if self.control else None

    def part(self, folder: RunFolder) -> Part:
        return Part(self.benchmark, self.items, folder.responses(self.folder), self.change)


def prepare(config: RunConfig) -> list[Job]:
    """What is to be done. Raises MissingDataError before any model is loaded."""
    jobs = []
    for benchmark in [*_benchmarks(config), *_lmms_tasks(config)]:
        items = limited(benchmark.items(), config.limit)
        if "generate" in config.stages:
            _check_pictures(benchmark, items, config)
        jobs.append(Job(benchmark, items))
    if config.control:
        jobs += [Job(j.benchmark, j.items, config.control) for j in jobs if _has_pictures(j.items)]
    return jobs


def _benchmarks(config: RunConfig) -> list[Benchmark]:
    return [
        open_benchmark(name, config.edition, config.data_dir, config.options.get(name))
        for name in config.suite
    ]


def _lmms_tasks(config: RunConfig) -> Sequence[Benchmark]:
    if not config.lmms:
        return ()
    from harness.lmms.tasks import open_tasks

    return open_tasks(
        config.lmms,
        include=config.lmms_include,
        options=config.options.get("lmms"),
        edition=config.edition,
        limit=config.limit,
        scored="score" in config.stages,
    )


def _has_pictures(items: Sequence[Item]) -> bool:
    return any(item.pictures for item in items)


def _check_pictures(benchmark: Benchmark, items: Sequence[Item], config: RunConfig) -> None:
    """When no picture at all is there, they were not fetched; single absent ones fail their own items."""
    paths = {p.path for item in items for p in item.pictures if isinstance(p, FilePicture)}
    if paths and not any(path.exists() for path in paths):
        raise MissingDataError(
            f"none of the {len(paths):,} pictures of {benchmark.title} is there (such as {min(paths)})",
            remedy(benchmark.fetch_name, config.data_dir),
        )


def execute(config: RunConfig, out: Console, err: Console) -> int:
    """All stages of a run. Returns the exit code."""
    jobs = prepare(config)
    if config.dry_run:
        describe(out, jobs)
        return DONE
    grader = _judge_of(config, jobs) if "judge" in config.stages else None
    if "generate" not in config.stages and not (config.out / "run.json").exists():
        raise PlumblineError(f"{config.out} holds no run: generate first, or name another --out")
    with (
        closing(grader) if grader else nullcontext(),
        RunFolder(config.out) as folder,
        _session(config, folder) as session,
    ):
        config = dataclasses.replace(config, ckpt=session["ckpt"])
        if grader is not None:
            _check_judge(grader, jobs, folder)
        if "generate" in config.stages:
            _generate(config, jobs, folder, session, err)
        else:
            identity = {**folder.info["identity"], "edition": config.edition}
            folder.claim(identity, {job.folder: job.protocol for job in jobs})
        if grader is not None:
            _judge(grader, config, jobs, folder, session, err)
        if "score" in config.stages:
            return _score(config, jobs, folder, out)
        return FAILED if _is_open(jobs, folder, grader) else DONE


def _is_open(jobs: Sequence[Job], folder: RunFolder, grader: Judge | None) -> bool:
    """Whether an answer, or a judgment that ``grader`` can give, is missing."""
    for job in jobs:
        part = job.part(folder)
        if open_requests(part):
            return True
        if grader is not None and job.benchmark.judge is not None:
            judged = _judge_part(job, folder, turns_of(part))
            if open_questions(judged, grader):
                return True
    return False


def _check_judge(grader: Judge, jobs: Sequence[Job], folder: RunFolder) -> None:
    """Reach the judge before anything is generated; not where everything is judged already."""
    try:
        needed = not folder.info or _is_open(jobs, folder, grader)
    except MixedRunError:  # told in full when the run's settings are compared
        needed = True
    if needed:
        grader.check([job.benchmark for job in jobs if job.benchmark.judge and not job.control])


def _judge_of(config: RunConfig, jobs: Sequence[Job]) -> Judge | None:
    """The judge, not reached yet; None when nothing needs one."""
    if all(job.benchmark.judge is None for job in jobs):
        return None
    from harness.judges.options import make_judge

    return make_judge(config.judge, config.edition, config.out)


@contextmanager
def _session(config: RunConfig, folder: RunFolder) -> Iterator[dict[str, Any]]:
    """This session's record in run.json; written also when it is interrupted.

    Its checkpoint is the one whose answers are there, unless the session itself asks.
    """
    earlier = folder.info.get("sessions") if "generate" not in config.stages else None
    session: dict[str, Any] = {
        "started": now(),
        "command": shlex.join(["python", "-m", "harness.run", *sys.argv[1:]]),
        "ckpt": earlier[-1]["ckpt"] if earlier else config.ckpt,
        "limit": config.limit,
    }
    try:
        yield session
    finally:
        if folder.info:
            folder.note_session({**session, "finished": now()})


def load_engine(config: RunConfig, jobs: Sequence[Job], console: Console) -> Engine:
    """The engine, ready to answer these jobs' requests. Raises PlumblineError."""
    from rich.text import Text

    shown_by = [job.title for job in jobs if job.control is None and _has_pictures(job.items)]
    with console.status(Text(f"loading {config.ckpt}")):
        return config.engine.start(shown_by)


def _generate(
    config: RunConfig,
    jobs: Sequence[Job],
    folder: RunFolder,
    session: dict[str, Any],
    console: Console,
) -> None:
    engine = load_engine(config, jobs, console)
    identity = {"checkpoint": dict(engine.identity), "edition": config.edition}
    folder.claim(identity, {job.folder: job.protocol for job in jobs})
    folder.note_session({**session, "finished": None})
    parts = [job.part(folder) for job in jobs]
    began = time.monotonic()
    try:
        with Progress(console, "answers") as progress:
            written = generate(engine, parts, progress)
    finally:
        session["generate_seconds"] = round(time.monotonic() - began, 2)
        session["versions"] = dict(engine.versions)
        session["origin"] = dict(engine.origin)
        session["engine"] = dataclasses.asdict(engine.stats)
    if written:
        console.print(f"{written:,} answers in {time.monotonic() - began:.1f} s")
    else:
        console.print("every answer was already on disk; nothing was asked")


def _judge_part(
    job: Job, folder: RunFolder, responses: Mapping[str, Sequence[Response]]
) -> JudgePart:
    return JudgePart(job.benchmark, job.items, responses, folder.judgments(job.folder))


def _judge(
    grader: Judge,
    config: RunConfig,
    jobs: Sequence[Job],
    folder: RunFolder,
    session: dict[str, Any],
    console: Console,
) -> None:
    """Judge what is not judged yet. A judge that stops (budget, key) leaves the rest for the next session."""
    parts = [
        _judge_part(job, folder, turns_of(job.part(folder)))
        for job in jobs
        if job.benchmark.judge is not None
    ]
    try:
        with Progress(console, "judgments") as progress:
            judge(parts, grader, progress, rejudge=config.judge.rejudge)
    except JudgeStoppedError as error:
        console.print(f"the judge stopped: {error}", style="yellow")
    finally:
        session["judge"] = {**grader.identity, **dataclasses.asdict(grader.stats)}


@dataclass(frozen=True)
class Result:
    """What a job came to."""

    job: Job
    rows: Sequence[ScoreRow]
    metrics: Sequence[Metric]
    judged_by: str


def _score(config: RunConfig, jobs: Sequence[Job], folder: RunFolder, console: Console) -> int:
    results = [_score_job(job, config, folder) for job in jobs]
    main = [result for result in results if result.job.control is None]
    reliance = _reliance(main, results, config, folder)
    tables = {result.job.title: result.metrics for result in main}
    remarks = [f"{r.job.title}: judged by {r.judged_by}" for r in main if r.judged_by]
    summary = {
        result.job.title: {
            "protocol": result.job.benchmark.protocol(),
            "judged_by": result.judged_by or None,
            "metrics": [metric.to_json() for metric in result.metrics],
        }
        for result in main
    }
    write_atomically(folder.path / "summary.json", to_json(summary))
    write_atomically(folder.path / "summary.md", markdown(tables, remarks, reliance))
    heading = "pocket checkpoint" if config.is_embedded else config.ckpt
    print_table(console, heading, tables, remarks)
    if config.control:
        print_reliance(console, config.control, reliance, tables)
    finished = (ScoreStatus.SCORED, ScoreStatus.WITHHELD)
    lacking = Counter(row.status for r in results for row in r.rows if row.status not in finished)
    _what_next(config, console, lacking)
    return FAILED if lacking else DONE


def _score_job(job: Job, config: RunConfig, folder: RunFolder) -> Result:
    responses = turns_of(job.part(folder))
    judgments, judges = None, list[str]()
    if job.benchmark.judge is not None:
        part = _judge_part(job, folder, responses)
        judgments, judges = judgments_of(part), models_used(part)
    rows = score_items(job.benchmark, job.items, responses, judgments)
    metrics = measure(job.benchmark, rows, seed=config.seed)
    folder.write_scores(job.folder, job.items, rows, responses)
    folder.write_metrics(job.folder, metrics)
    folder.write_about(job.folder, _about(job, judges))
    answers = {r.request_id: r for turns in responses.values() for r in turns}
    files = {f"official/{name}": it for name, it in job.benchmark.official_files(answers).items()}
    for name, content in {**files, **job.benchmark.comparison_files(metrics, judges)}.items():
        write_atomically(folder.path / job.folder / name, content)
    judged_by = "; ".join(judge_label(job.benchmark, model) for model in judges)
    return Result(job, rows, metrics, judged_by)


def _about(job: Job, judges: Sequence[str]) -> dict[str, Any]:
    """What was measured; enough to form the same metrics again."""
    return {
        "benchmark": job.benchmark.name,
        "title": job.title,
        "edition": job.benchmark.edition,
        "control": job.control,
        "options": options_of(job.benchmark),
        "protocol": job.benchmark.protocol(),
        "judges": judges,
        "official_judge": job.benchmark.judge.model if job.benchmark.judge else None,
    }


def _reliance(
    main: Sequence[Result], results: Sequence[Result], config: RunConfig, folder: RunFolder
) -> dict[str, list[Paired]]:
    """Score minus control score of each headline metric, paired by item, by benchmark title."""
    controls = {r.job.benchmark: r for r in results if r.job.control is not None}
    found = {}
    for result in main:
        control = controls.get(result.job.benchmark)
        if control is not None:
            specs = [spec for spec in result.job.benchmark.metric_specs() if spec.headline]
            found[result.job.title] = compare_rows(
                specs, control.rows, result.rows, seed=config.seed
            )
            told = [
                {**dataclasses.asdict(d), "difference": d.difference}
                for d in found[result.job.title]
            ]
            write_atomically(folder.path / control.job.folder / "reliance.json", to_json(told))
    return found


def _what_next(config: RunConfig, console: Console, lacking: Counter[ScoreStatus]) -> None:
    if lacking:
        listed = ", ".join(f"{n:,} {status}" for status, n in sorted(lacking.items()))
        is_asked = lacking.keys() - {ScoreStatus.UNPARSED}  # what was replied stays
        again = "; the same command asks the failed ones again" if is_asked else ""
        console.print(f"{lacking.total():,} items have no score ({listed}){again}.", style="yellow")
    console.print(f"The run is in {config.out} (summary.md has every metric).", soft_wrap=True)
    if config.is_embedded and config.suite:
        whole = (name for name, members in SUITES.items() if members == config.suite)
        suite = next(whole, ",".join(config.suite))
        console.print(
            "\nYour own checkpoint, on the same questions:\n"
            f"  python -m harness.run --ckpt PATH_OR_HUB_ID --suite {suite} --edition pocket\n"
            "and on the official ones:\n"
            f"  python -m harness.fetch {suite}\n"
            f"  python -m harness.run --ckpt PATH_OR_HUB_ID --suite {suite}",
            soft_wrap=True,
        )
