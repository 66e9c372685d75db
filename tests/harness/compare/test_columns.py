"""Which columns a table has, by which names they are asked for, and how values are printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.base import PlumblineError
from harness.compare.columns import Column, choose
from harness.runs import Run, open_runs
from tests.harness.compare.run_folders import pope, write_run


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    part = pope(lambda number: number % 7 == 0)
    first = write_run(tmp_path / "a", pope=part, control_blind__pope=pope(bool, control="blind"))
    second = write_run(
        tmp_path / "b", pope=part, lmms__mme=pope(bool, benchmark="lmms:mme", title="MME")
    )
    return open_runs([first, second])


def _labels(columns: list[Column]) -> list[str]:
    return [column.full_label for column in columns]


def test_headline_metrics_of_all_runs_are_the_default(runs: list[Run]) -> None:
    names = ["f1 (adversarial)", "mean_f1", "mean_accuracy"]
    assert _labels(choose(runs)) == [
        f"{title} {name}" for title in ("POPE", "MME") for name in names
    ]
    assert _labels(choose(runs, benchmarks="hallucination")) == [f"POPE {name}" for name in names]
    assert len(choose(runs, benchmarks="pope", everything=True)) == len(
        runs[0].parts["pope"].metrics
    )


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("mean_f1", ["POPE mean_f1", "MME mean_f1"]),
        ("pope.mean_f1", ["POPE mean_f1"]),
        ("pope.f1(random), POPE.mean_accuracy", ["POPE f1 (random)", "POPE mean_accuracy"]),
        ("lmms:mme.f1 (popular)", ["MME f1 (popular)"]),
        ("pope.f1", ["POPE f1 (random)", "POPE f1 (popular)", "POPE f1 (adversarial)"]),
    ],
)
def test_metrics_are_asked_for_by_name(runs: list[Run], asked: str, found: list[str]) -> None:
    assert _labels(choose(runs, metrics=asked)) == found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"metrics": "pope.mean_f2"}, "did you mean pope.mean_f1"),
        ({"benchmarks": "amber"}, r"not in these runs \(pope, lmms:mme\)"),
        ({"benchmarks": "language"}, "none is in these runs"),
    ],
)
def test_a_name_that_is_not_there_is_an_error(
    runs: list[Run], options: dict[str, str], told: str
) -> None:
    with pytest.raises(PlumblineError, match=told):
        choose(runs, **options)


def test_a_value_has_one_form_in_its_whole_column() -> None:
    share = Column("POPE", "f1", scale=100.0, decimals=1)
    assert share.text(0.83456) == "83.5"
    assert share.text(-0.0001) == "0.0"
    assert share.text(0.0123, signed=True) == "+1.2"
    assert share.text(-0.0001, signed=True) == "0.0"
    assert share.text(None) == "–"


def test_a_name_means_the_metric_over_all_of_a_benchmark_where_there_is_one(tmp_path: Path) -> None:
    part = pope(bool)
    whole = next(spec for spec in part.specs if spec.name == "mean_f1")
    of_a_split = replace(whole, split="random", splits=())
    path = write_run(tmp_path / "a", pope=replace(part, specs=[*part.specs, of_a_split]))
    for asked in ("mean_f1", "mean_f1(random)"):
        (column,) = choose(open_runs([path]), metrics=asked)
        assert column.full_label.replace(" (", "(") == f"POPE {asked}"
