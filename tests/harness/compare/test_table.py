"""What a table says about its cells: what differs in protocol or judge is neither tested nor ranked, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Estimate, MetricSpec, PlumblineError
from harness.compare.columns import choose
from harness.compare.model import Footnotes, Table
from harness.compare.table import _affordable, build
from harness.runs import open_runs
from tests.harness.compare.run_folders import PROTOCOL, pope, write_run


def _every(step: int) -> Any:
    return lambda number: number % step == 0


def _table(*paths: Path, metrics: str | None = "mean_accuracy", **options: Any) -> Table:
    runs = open_runs(paths)
    return build(runs, [run.name for run in runs], choose(runs, metrics=metrics), **options)


def _told(table: Table, marks: tuple[str, ...]) -> str:
    return " ".join(table.footnotes[mark] for mark in marks)


def test_a_better_run_is_bold_and_tested_against_the_baseline(tmp_path: Path) -> None:
    weak = write_run(tmp_path / "weak", pope=pope(_every(3)))
    strong = write_run(tmp_path / "strong", pope=pope(_every(20)))
    for paths, baseline in (((weak, strong), 0), ((strong, weak), 1)):
        table = _table(*paths, baseline=baseline)
        assert table.base == "weak"
        cells = {row.name: row.cells[0] for row in table.rows}
        assert cells["strong"].is_best
        assert not cells["weak"].is_best
        assert cells["weak"].against is None
        against = cells["strong"].against
        assert against is not None
        assert against.difference == pytest.approx(1 / 3 - 6 / 120)
        assert cells["strong"].p is not None
        assert cells["strong"].p < 0.05
        assert table.detectable[0] == pytest.approx(against.smallest_detectable)
        assert any("Holm-corrected over the 1 tests" in remark for remark in table.remarks)


def test_another_protocol_is_told_and_not_compared(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", pope=pope(_every(5)))
    same = write_run(tmp_path / "same", pope=pope(_every(4)))
    bare = {**PROTOCOL, "prompt": "bare"}
    other = write_run(tmp_path / "other", pope=pope(_every(30), protocol=bare))
    table = _table(base, same, other)
    cells = [row.cells[0] for row in table.rows]
    assert cells[1].against is not None
    assert cells[2].against is None
    assert not cells[2].is_best
    assert _told(table, cells[2].marks) == (
        'POPE was measured in another way than by base (protocol.prompt is "bare" instead of '
        '"short_answer"): neither tested nor ranked against it'
    )
    assert cells[0].marks == cells[1].marks == ()


def test_a_run_in_which_nothing_had_to_be_judged_is_compared_with_judged_ones(
    tmp_path: Path,
) -> None:
    paths = [
        write_run(tmp_path / name, pope=pope(_every(step), judges=judges))
        for name, step, judges in (("a", 5, []), ("b", 31, ["j"]), ("c", 4, ["j"]), ("d", 3, ["k"]))
    ]
    cells = [row.cells[0] for row in _table(*paths).rows]
    assert [cell.against is not None for cell in cells] == [False, True, True, False]


def test_another_judge_is_told_and_not_compared(tmp_path: Path) -> None:
    judged = {"official_judge": "gpt-4-0613"}
    paths = [
        write_run(tmp_path / judge, pope=pope(_every(step), judges=[judge], **judged))
        for judge, step in (("gpt-4-0613", 5), ("my-judge", 31))
    ]
    table = _table(*paths)
    official, other = (row.cells[0] for row in table.rows)
    assert official.marks == ()
    assert other.against is None
    assert not other.is_best
    told = _told(table, other.marks)
    assert 'judged_by is ["my-judge"] instead of ["gpt-4-0613"]' in told
    assert "another judge (my-judge instead of gpt-4-0613): not comparable" in told


def test_a_benchmark_that_a_run_has_not_is_an_empty_cell(tmp_path: Path) -> None:
    mme = {"benchmark": "lmms:mme", "title": "MME", "options": None}
    full = write_run(tmp_path / "full", pope=pope(_every(3)), lmms__mme=pope(_every(5), **mme))
    part = write_run(tmp_path / "part", pope=pope(_every(3)))
    for paths in ((full, part), (part, full)):
        table = _table(*paths)
        cells = {row.name: row.cells[1] for row in table.rows}
        assert cells["part"].metric is None
        assert cells["full"].metric is not None
        assert cells["full"].against is None
    assert _told(table, cells["full"].difference_marks) == "part has no value here to compare with"


def test_what_cannot_be_computed_anew_is_shown_and_not_tested(tmp_path: Path) -> None:
    mme = {"benchmark": "lmms:mme", "title": "MME", "options": None}
    official = {"benchmark": "mmvet", "title": "MM-Vet", "options": {}}
    for about, told in ((mme, "formulas are lmms-eval's"), (official, "python -m harness.fetch")):
        paths = [
            write_run(tmp_path / about["title"] / str(step), x=pope(_every(step), **about))
            for step in (2, 30)
        ]
        table = _table(*paths, data_dir=tmp_path / "no data")
        cell = table.rows[1].cells[0]
        assert cell.metric is not None
        assert cell.against is None
        assert not cell.is_best
        assert told in _told(table, cell.difference_marks)


def test_missing_answers_are_starred_and_the_pairs_are_counted(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "whole", pope=pope(_every(4)))
    torn = write_run(tmp_path / "torn", pope=pope(_every(4), failed=[0, 1, 2, 50]))
    table = _table(whole, torn)
    cell = table.rows[1].cells[0]
    assert cell.metric is not None
    assert not cell.metric.complete
    assert cell.against is not None
    assert cell.against.n_paired == 116
    assert "over the 116 of 120 items" in _told(table, cell.difference_marks)
    assert any(remark.startswith("*") for remark in table.remarks)


def test_runs_of_different_lengths_are_compared_over_what_both_have(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / str(n), pope=pope(_every(4), n_items=n)) for n in (60, 120)]
    cell = _table(*paths).rows[1].cells[0]
    assert cell.against is not None
    assert (cell.against.n_paired, cell.against.n_asked) == (60, 120)


def test_editions_are_never_mixed(tmp_path: Path) -> None:
    official = write_run(tmp_path / "official", pope=pope(_every(3)))
    pocket = write_run(
        tmp_path / "pocket", "pocket", pope=pope(_every(3), edition="pocket", title="POPE (pocket)")
    )
    with pytest.raises(PlumblineError, match="runs of different editions"):
        _table(official, pocket)


def test_one_run_is_a_table_too(tmp_path: Path) -> None:
    table = _table(write_run(tmp_path / "alone", pope=pope(_every(3))), metrics=None)
    assert [len(row.cells) for row in table.rows] == [3]
    assert not any("Holm" in remark for remark in table.remarks)


def test_many_runs_share_the_resamples_of_what_is_costly() -> None:
    costly = MetricSpec("costly", Estimate(lambda rows, counts: 0.0, 400), "higher")
    asked = []
    for n_runs in (2, 5, 10, 50, 1000):
        formula = _affordable(costly, n_runs).formula
        assert isinstance(formula, Estimate)
        asked.append(formula.n_resamples)
    assert asked == [400, 400, 200, 40, 40]
    sums = MetricSpec("sums", lambda sums: sums["/x"], "higher")
    assert _affordable(sums, 50) is sums


def test_footnotes_are_told_once_each_and_more_than_an_alphabet_is_possible() -> None:
    notes = Footnotes()
    marks = [notes.mark([f"note {number}"])[0] for number in range(60)]
    assert marks[:2] == ["a", "b"]
    assert marks[25:28] == ["z", "aa", "ab"]
    assert len({*marks}) == 60
    assert notes.mark(["note 30", "note 3", "note 3"]) == ("d", "ae")
