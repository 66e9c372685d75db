"""Runs are read back as they were scored; what is damaged is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.base import BadRecordError, PlumblineError
from harness import run
from harness.generate import limited
from harness.item_table import ItemTable
from harness.paired import compare
from harness.runs import open_runs
from harness.stats import evaluate

SUITE = "pope,amber,mmhal,mmvet,llava_bench,mmbench,mtbench,alpacaeval"
LIMIT = 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "base"
    given = ("--suite", SUITE, "--limit", str(LIMIT), "--control", "blind", "--out", str(out))
    assert (
        run.main(
            [
                *given,
                "--set",
                "mmvet.judge_runs=2",
            ]
        )
        == 0
    )
    return out


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_the_same_metrics_are_formed_again_from_what_was_kept(finished: Path) -> None:
    (found,) = open_runs([finished])
    assert found.name == "base"
    assert found.edition == "pocket"
    plain = [part for part in found.parts.values() if not part.about["control"]]
    assert [part.name for part in plain] == SUITE.split(",")
    assert next(f for f in found.parts if "/" in f) == "control_blind/pope"
    for part in found.parts.values():
        benchmark = part.open()
        rows = part.rows()
        assert evaluate(benchmark.metric_specs(), rows) == part.metrics
        assert [row.item_id for row in rows] == [
            item.id for item in limited(benchmark.items(), LIMIT)
        ]
    assert found.parts["mmvet"].about["options"]["judge_runs"] == "2"
    assert found.parts["alpacaeval"].title == "AlpacaEval 2 (pocket)"
    assert found.parts["mmhal"].judges == ["pocket-oracle"]
    assert found.parts["pope"].judges == []


def test_tables_hold_what_rows_hold(finished: Path) -> None:
    (found,) = open_runs([finished])
    for part in found.parts.values():
        table, same = ItemTable.of_part(part), ItemTable.of_rows(part.rows())
        specs = part.open().metric_specs()
        assert table.item_ids.tolist() == same.item_ids.tolist()
        for difference in compare(specs, table, same, n_resamples=20):
            assert difference.difference in (0, None)
            assert difference.n_paired == difference.n_asked or difference.note


def test_names_take_as_many_folders_as_they_need(finished: Path, tmp_path: Path) -> None:
    for name in ("a/run", "b/run"):
        shutil.copytree(finished, tmp_path / name)
    assert [r.name for r in open_runs([tmp_path / "a/run", tmp_path / "b/run"])] == [
        "a/run",
        "b/run",
    ]
    with pytest.raises(PlumblineError, match="named twice"):
        open_runs([tmp_path / "a/run", tmp_path / "a" / ".." / "a/run"])


def test_what_is_no_run_is_named_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PlumblineError, match="holds no run"):
        open_runs([tmp_path / "nowhere"])
    for about in folder.rglob("about.json"):
        about.unlink()
    with pytest.raises(PlumblineError, match="--stages score"):
        open_runs([folder])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("run.json", '{"benchmarks": {"pope": {}}}'),
        ("pope/about.json", '{"benchmark": "pope"}'),
        ("pope/about.json", "7"),
        ("pope/metrics.json", '[{"value": 1}]'),
        ("pope/metrics.json", "7"),
        ("pope/scores.parquet", "no parquet"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(BadRecordError, match=name.replace(".", r"\.")):
        _ = [(part.metrics, part.columns) for part in open_runs([folder])[0].parts.values()]


def test_an_item_that_is_there_twice_is_named(folder: Path) -> None:
    path = folder / "pope" / "scores.parquet"
    table = pd.read_parquet(path)
    pd.concat([table, table[:1]]).to_parquet(path)
    with pytest.raises(BadRecordError, match="two rows for one item"):
        ItemTable.of_part(open_runs([folder])[0].parts["pope"])


def test_tasks_of_lmms_eval_keep_their_formulas_to_themselves(folder: Path) -> None:
    path = folder / "pope" / "about.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "options": None}))
    with pytest.raises(PlumblineError, match="lmms-eval"):
        open_runs([folder])[0].parts["pope"].open()


def test_a_table_without_rows_has_no_numbers() -> None:
    table = ItemTable.of_rows([])
    sums = table.sums("scored", np.flatnonzero(table.entering("scored")))
    assert (sums.names, sums.by_group.shape) == ((), (0, 0))
