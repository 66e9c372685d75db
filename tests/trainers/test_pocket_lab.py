"""The laboratory: its plan, the rule for verdicts, the page, and a run of it that is as small as can be."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.base import Benchmark, Item, PlumblineError, Response
from benchmarks.registry import open_benchmark
from trainers.methods import open_method
from trainers.output import RECORD
from trainers.pocket_lab import page, plots, results, work
from trainers.pocket_lab.__main__ import experiment_plan, main, make_parser
from trainers.pocket_lab.claims import (
    CLAIMS,
    MEASURES,
    POPE,
    Claim,
    Kind,
    Paper,
    RewardClaim,
    verdict_of,
    verdict_on_sign,
)
from trainers.pocket_lab.compare import (
    NORMAL_975,
    Found,
    Rows,
    difference,
    mean_of,
    room_above,
    value_of,
    widened,
)
from trainers.pocket_lab.jobs import (
    Job,
    Laboratory,
    best_rates,
    finished,
    report_jobs,
    tuning_jobs,
    tuning_of,
)
from trainers.pocket_lab.plan import EXPERIMENTS, RATES, Plan, cpu_seconds
from trainers.pocket_lab.results import Run, Tuning
from trainers.settings import resolve

NAMES = {experiment.name for experiment in EXPERIMENTS}


def test_every_experiment_has_settings_that_its_method_takes() -> None:
    assert len(NAMES) == len(EXPERIMENTS)
    for experiment in EXPERIMENTS:
        assert experiment.training in NAMES
        if experiment.method:
            settings = resolve(experiment.method, "pocket", list(experiment.changes))
            open_method(settings.method, settings.options)
    assert set(RATES) <= NAMES
    names = [work.folder_of(each, 1, 2.5e-6, Plan(Path("work"))).name for each in EXPERIMENTS]
    assert len(set(names)) == len({each.training for each in EXPERIMENTS})


def test_claims_are_about_experiments_and_measures_that_there_are() -> None:
    for claim in CLAIMS:
        assert claim.subject in NAMES
        if isinstance(claim, Claim):
            assert claim.other in NAMES
            assert set(claim.measures) <= set(MEASURES)
    for measure in MEASURES:
        assert measure.spec.name == measure.metric
        assert open_benchmark(measure.benchmark, "pocket").full_title.endswith("(pocket)")


def test_the_whole_plan_fits_into_an_hour_on_two_cores(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    jobs = [job for each in tuning_jobs(EXPERIMENTS, plan).values() for job in each]
    jobs += report_jobs(EXPERIMENTS, dict.fromkeys(RATES, 1e-6), plan)
    assert len(jobs) > 3 * len(EXPERIMENTS)
    assert sum(cpu_seconds(job.experiment, plan) for job in jobs) / 2 < 3600


def test_parts_of_the_plan_can_be_done(tmp_path: Path) -> None:
    given_arguments = ["--only", "mdpo,dpo", "--seeds", "4", "--work", str(tmp_path)]
    experiments, plan = experiment_plan(make_parser().parse_args(given_arguments))
    assert [each.name for each in experiments] == ["base", "dpo", "mdpo"]
    jobs = report_jobs(experiments, {"dpo": 1e-6, "mdpo": 2e-6}, plan)
    assert {(job.experiment.name, job.seed, job.rate) for job in jobs} == {
        ("base", 4, 1e-6), ("dpo", 4, 1e-6), ("mdpo", 4, 2e-6),
    }  # fmt: skip
    assert set(tuning_jobs(experiments, plan)) == {"dpo", "mdpo"}


def test_the_rate_with_the_most_faultless_captions_is_taken() -> None:
    assert best_rates({"dpo": {"2e-06": 0.7, "5e-06": 0.8, "2e-05": 0.1}}) == {"dpo": 5e-6}
    assert best_rates({"dpo": {"2e-05": 0.8, "5e-06": 0.8}}) == {"dpo": 5e-6}


def test_a_family_without_a_learning_rate_does_not_hold_up_the_others(tmp_path: Path) -> None:
    jobs = report_jobs(EXPERIMENTS, {"sft": 1e-5}, Plan(tmp_path))
    assert {job.experiment.name for job in jobs} == {"base", "sft", "rejection"}


@pytest.mark.parametrize(
    ("kind", "low", "high", "verdict"),
    [
        ("better", 0.01, 0.3, "replicated"),
        ("better", -0.01, 0.3, "inconclusive"),
        ("better", -0.3, 0.01, "not replicated"),
        ("better", -0.3, -0.1, "not replicated"),
        ("same", -0.01, 0.01, "replicated"),
        ("same", -0.01, 0.03, "inconclusive"),
        ("same", 0.03, 0.2, "not replicated"),
        ("same", -0.2, -0.03, "not replicated"),
        ("not worse", -0.01, 0.5, "replicated"),
        ("not worse", -0.1, 0.5, "inconclusive"),
        ("not worse", -0.1, -0.03, "not replicated"),
    ],
)
def test_verdicts_follow_from_the_interval(
    kind: Kind, low: float, high: float, verdict: str
) -> None:
    assert verdict_of(Found((low + high) / 2, low, high, ()), kind, 0.02) == verdict
    assert verdict_of(Found(1.0, None, None, ()), kind, 0.02) == "inconclusive"


@pytest.mark.parametrize(
    ("low", "high", "room", "verdict"),
    [
        (-0.01, 0.01, 0.005, "no room"),
        (-0.01, 0.01, 0.1, "not replicated"),
        (-0.1, -0.01, 0.005, "not replicated"),
        (0.001, 0.005, 0.005, "replicated"),
        (-0.01, 0.03, 0.005, "inconclusive"),
    ],
)
def test_who_cannot_become_better_is_not_held_to_it(
    low: float, high: float, room: float, verdict: str
) -> None:
    assert verdict_of(Found(0.0, low, high, ()), "better", 0.02, room) == verdict


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 0.5))
def test_a_claim_and_its_opposite_are_never_both_replicated(
    low: float, width: float, worth: float
) -> None:
    found = Found(low, low, low + width, ())
    opposite = Found(-low, -low - width, -low, ())
    verdicts = [verdict_of(each, "better", worth) for each in (found, opposite)]
    assert verdicts.count("replicated") < 2
    if verdicts[0] == "replicated":
        assert verdicts[1] == "not replicated"
    assert verdict_of(found, "same", worth) == verdict_of(opposite, "same", worth)


def test_the_sign_of_a_reward_needs_several_seeds() -> None:
    assert verdict_on_sign(mean_of([0.5, 0.6, 0.7]), 1) == "replicated"
    assert verdict_on_sign(mean_of([0.5, 0.6, 0.7]), -1) == "not replicated"
    assert verdict_on_sign(mean_of([-0.5, 0.6, 0.7]), 1) == "inconclusive"
    assert verdict_on_sign(mean_of([0.5]), 1) == "inconclusive"
    assert mean_of([]).value is None


def test_intervals_over_three_seeds_cover_the_truth(tmp_path: Path) -> None:
    """Whether pictures matter most, or seeds, or both."""
    chance = np.random.default_rng(0)
    for pictures, seeds in (
        (1.0, 0.0),
        (1.0, 0.5),
        (1.0, 1.0),
        (1.0, 2.0),
        (1.0, 5.0),
        (0.01, 1.0),
    ):
        n_covered = 0
        for _ in range(1000):
            common = chance.normal(0, pictures)
            by_seed = common + chance.normal(0, seeds, 3)
            value = float(by_seed.mean())
            ends = (value - NORMAL_975 * pictures, value + NORMAL_975 * pictures)
            low, high = widened(value, *ends, [float(each) for each in by_seed])
            n_covered += low < 0 < high
        assert 915 <= n_covered <= 995


def test_one_seed_leaves_the_interval_over_pictures_and_more_never_narrow_it() -> None:
    assert widened(0.5, 0.4, 0.8, [0.5]) == (0.4, 0.8)
    assert widened(0.5, 0.4, 0.8, [0.5, 0.5, 0.5]) == (0.4, 0.8)
    low, high = widened(0.5, 0.4, 0.8, [0.4, 0.5, 0.6])
    assert low < 0.4
    assert high > 0.8
    assert high - 0.5 > 0.5 - low


@cache
def pope() -> tuple[Benchmark, tuple[Item, ...]]:
    benchmark = open_benchmark("pope", "pocket")
    return benchmark, tuple(benchmark.items()[::12])


def rows(wrong_share: float, seed: int) -> Rows:
    """POPE answered with so many errors."""
    benchmark, items = pope()
    rng = Random(seed)
    scored = []
    for item in items:
        is_yes = (item.reference["label"] == "yes") != (rng.random() < wrong_share)
        scored.append(benchmark.score(item, [Response(item.id, "", "Yes" if is_yes else "No")]))
    return {"pope": scored}


def test_values_and_differences_are_those_of_the_seeds_together() -> None:
    good = {seed: rows(0.05, seed) for seed in (1, 2, 3)}
    poor = {seed: rows(0.4, 10 + seed) for seed in (1, 2, 3)}
    value = value_of(POPE, good)
    assert value.value is not None
    assert value.value == pytest.approx(sum(value.by_seed) / 3, abs=0.01)
    assert value.low is not None
    assert value.high is not None
    assert value.low < min(value.by_seed) < max(value.by_seed) < value.high
    best = value_of(POPE, {seed: rows(0.001, seed) for seed in (1, 2, 3)})
    assert best.high is not None
    assert best.high <= 1
    found = difference(POPE, good, poor)
    assert found.low is not None
    assert found.low > 0.1
    assert len(found.by_seed) == 3
    other = difference(POPE, poor, good)
    assert other.value == pytest.approx(-(found.value or 0))
    assert difference(POPE, good, {4: rows(0.1, 0)}).value is None


def test_room_is_what_is_left_to_the_best_value() -> None:
    assert room_above(POPE, {1: rows(0.0, 1)}) == 0
    poor = {1: rows(0.3, 1)}
    value = value_of(POPE, poor).value
    assert value is not None
    assert room_above(POPE, poor) == pytest.approx(1 - value)
    assert room_above(POPE, {1: {"pope": []}}) == math.inf


def test_seeds_that_disagree_widen_the_interval() -> None:
    alike = difference(POPE, *({s: rows(share, s) for s in (1, 2)} for share in (0.1, 0.2)))
    apart = difference(
        POPE,
        {1: rows(0.0, 1), 2: rows(0.3, 2)},
        {1: rows(0.3, 1), 2: rows(0.0, 2)},
    )
    widths = [(each.high or 0) - (each.low or 0) for each in (alike, apart)]
    assert widths[1] > 2 * widths[0]
    assert verdict_of(apart, "better", POPE.worth) == "inconclusive"


def test_the_page_says_what_came_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (page, results):
        monkeypatch.setattr(module, "MEASURES", (POPE,))
    for module, name in ((page, "TRUTHFUL"), (plots, "COMPARED"), (plots, "SCALED")):
        monkeypatch.setattr(module, name, (POPE,))
    monkeypatch.setattr(page, "CAPABLE", ())
    a, b = Paper("paper A", "1", "model A"), Paper("paper B", "2", "model B")
    claims = (
        Claim(a, "the first is better", "table 1", "mdpo", "dpo", {POPE: "80 → 90"}),
        Claim(a, "the second is better", "table 1", "dpo", "mdpo", {POPE: ""}),
        Claim(b, "they are the same", "table 2", "mdpo", "base", {POPE: ""}, "same"),
        Claim(b, "chip is better", "table 2", "chip", "base", {POPE: ""}),
        RewardClaim(b, "rewards stay positive", "figure 1", "mdpo", 1),
        RewardClaim(b, "rewards fall", "figure 1", "chip", -1),
    )
    monkeypatch.setattr(results, "CLAIMS", claims)
    base = Run(rows(0.1, 0))
    runs = {
        "base": {1: base, 2: base},
        "dpo": {seed: Run(rows(0.4, seed), -1.0 - seed, 640, 80) for seed in (1, 2)},
        "mdpo": {seed: Run(rows(0.1, seed), 0.5 + seed / 100, 640, 80) for seed in (1, 2)},
        "mdpo_x2": {seed: Run(rows(0.05, seed), 0.7, 1280, 160) for seed in (1, 2)},
    }
    tuning: Tuning = {"dpo": {"5e-06": 0.75, "2e-05": 0.5}}
    page.write(tmp_path, Plan(tmp_path / "work"), runs, tuning)
    text = (tmp_path / page.PAGE).read_text()
    verdicts = re.findall(r"\| \*\*([a-z ]+)\*\* \|", text)
    assert verdicts == [
        "replicated", "not replicated", verdicts[2], "not run", "replicated", "not run",
    ]  # fmt: skip
    told = json.loads((tmp_path / page.DATA).read_text())
    assert [each["verdict"] for each in told["claims"]] == verdicts
    assert str(tmp_path) not in text + json.dumps(told)
    with (tmp_path / page.TABLE).open() as stream:
        table = list(csv.DictReader(stream))
    assert [(row["experiment"], row["n_seeds"]) for row in table] == [
        ("base", "1"), ("dpo", "2"), ("mdpo", "2"), ("mdpo_x2", "2"),
    ]  # fmt: skip
    assert "Not run: " in text
    assert "**5e-06: 75.0**, 2e-05: 50.0" in text
    assert "the first or the last for dpo" in text
    assert "| [paper A](https://arxiv.org/abs/1) | 1 | 1 | " in text
    assert "| POPE F1 ↑ | 80 → 90 |" in text
    assert "| 1,280 | 160 |" in text
    for name in (page.COMPARED, page.SCALED):
        assert f"({name})" in text
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def keep(job: Job, content: object) -> Path:
    job.path.parent.mkdir(parents=True, exist_ok=True)
    job.path.write_text(json.dumps(content))
    return job.path


def test_the_page_is_made_of_all_that_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--page", "--only", "sft", "--seeds", "1,2"]
    command += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "no experiment is finished" in " ".join(capsys.readouterr().err.split())
    plan = Plan(tmp_path / "work", seeds=(1, 2))
    for number, job in enumerate(tuning_jobs(EXPERIMENTS, plan)["dpo"]):
        keep(job, {"faultless": [0.2, 0.9, 0.1][number]})
    assert tuning_of(plan) == {"dpo": {"2e-06": 0.2, "5e-06": 0.9, "2e-05": 0.1}}
    everything = {"rows": {}, "last_chosen_reward": -0.5, "cpu_seconds": 7.0}
    for job in report_jobs(EXPERIMENTS, best_rates(tuning_of(plan)), plan):
        if (job.experiment.name, job.seed) in {("base", 1), ("dpo", 2)}:
            checkpoint = keep(job, everything).parent / work.CHECKPOINT_NAME
            checkpoint.mkdir()
            record = {"data": {"n_pairs": 640}, "sessions": [{"steps": [0, 80]}]}
            (checkpoint / RECORD).write_text(json.dumps(record))
    found = finished(plan)
    assert [(experiment.name, seed) for experiment, seed, _ in found] == [
        ("dpo", 2), ("base", 1), ("base", 2),
    ]  # fmt: skip
    runs = results.read_runs(found)
    assert runs["dpo"] == {2: Run({}, -0.5, 640, 80, 7.0)}


class Doing:
    """A pool that does everything at once, in this process."""

    def submit(self, do: object, job: Job) -> Future[None]:
        future: Future[None] = Future()
        if job.experiment.name == "sft":
            future.set_exception(KeyError("weights"))
        elif job.experiment.name == "dpo":
            future.set_exception(PlumblineError("no such file"))
        else:
            future.set_result(None)
        return future


def test_what_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    said = io.StringIO()
    lab = Laboratory(Doing(), Console(file=said, width=200))  # type: ignore[arg-type]
    plan = Plan(tmp_path, seeds=(1,))
    lab.run(report_jobs(EXPERIMENTS, dict.fromkeys(RATES, 1e-6), plan))
    assert sorted(lab.failed) == ["dpo, seed 1", "sft, seed 1"]
    assert "FAILED: no such file" in said.getvalue()
    assert "KeyError: 'weights'" in said.getvalue()
    assert f"{len(EXPERIMENTS)}/{len(EXPERIMENTS)}" in said.getvalue()


@pytest.mark.parametrize(
    ("given_arguments", "message"),
    [
        (["--only", "nothing"], "no such experiment"),
        (["--seeds", "0,1"], "seed 0 is for choosing"),
        (["--seeds", "x"], "write numbers"),
    ],
)
def test_wrong_arguments_are_named(
    given_arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given_arguments, "--plan"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_laboratory_as_small_as_can_be_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--only", "dpo", "--seeds", "1", "--n", "16", "--epochs", "1", "--limit", "1"]
    command += ["--scenes", "2", "--workers", "1"]
    command += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(written) == {page.PAGE, page.TABLE, page.DATA, page.COMPARED}
    assert b"offline DPO" in written[page.PAGE]
    trained = {path: path.stat().st_mtime_ns for path in tmp_path.glob("work/runs/*/*.json")}
    assert len(trained) == 5
    assert main([*command, "--plan"]) == 0
    assert "0 are left to do" in " ".join(capsys.readouterr().err.split())
    assert main(command) == 0
    assert main([*command, "--page"]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == written
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    capsys.readouterr()
