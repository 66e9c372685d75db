"""Layouts have the columns, order, units and decimals of the papers; published rows keep what their sources print."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.base import PlumblineError
from harness.compare.columns import choose
from harness.compare.layouts import LAYOUTS, columns_of
from harness.compare.literature import look_up, look_up_one
from harness.compare.model import Table
from harness.compare.table import build
from harness.published import PAPER_TABLES, columns_of_table
from harness.runs import Run
from tests.harness.official_runs import OfficialPart, write_official_run

PARTS = {
    "pope": OfficialPart({"mean_f1": (0.861, 0.85, 0.87, 9000)}),
    "amber": OfficialPart(
        {f"{name}/generative": (4.6, 4.1, 5.0, 1004) for name in ("CHAIR", "Cover", "Hal", "Cog")}
    ),
    "object_halbench": OfficialPart(
        dict.fromkeys(("CHAIRs_refine", "CHAIRi", "obj_rec"), (0.37, 0.31, 0.43, 300))
    ),
    "mmhal": OfficialPart(
        {"score": (2.4, 2.1, 2.7, 96), "hallucination_rate": (0.52, 0.42, 0.62, 96)}
    ),
    "mmvet": OfficialPart({"total": (31.2, 27.0, 35.0, 218)}),
    "llava_bench": OfficialPart({"relative_score": (64.2, 60.0, 68.0, 60)}),
    "mmbench": OfficialPart({"circular/dev": (0.643, 0.62, 0.66, 1164)}),
    "mtbench": OfficialPart({"average": (5.99, 5.6, 6.3, 80)}),
    "alpacaeval": OfficialPart(
        {"win_rate": (70.2, 66.0, 74.0, 805)}, options={"version": "1"}, protocol={"version": 1}
    ),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write_official_run(tmp_path / "ours", PARTS)


def _table(run: Run, layout: str, published: bool = True) -> Table:
    columns = columns_of(LAYOUTS[layout], [run])
    rows = look_up("", columns, [run], LAYOUTS[layout]) if published else ()
    return build([run], [run.name], columns, published=rows)


@pytest.mark.parametrize("layout", [*LAYOUTS])
def test_a_layout_has_the_columns_of_the_papers_table_in_its_order(run: Run, layout: str) -> None:
    columns = columns_of(LAYOUTS[layout], [run])
    ours = [column.key(column.part(run)) or column.foreign for column in columns]
    papers = [c.key or c.benchmark for c in columns_of_table(*PAPER_TABLES[layout])]
    assert [*ours] == sorted(papers, key=ours.index)


@pytest.mark.parametrize("layout", [*LAYOUTS])
def test_published_rows_are_printed_as_in_the_paper(run: Run, layout: str) -> None:
    table = _table(run, layout)
    rows = look_up("", table.columns, [run], LAYOUTS[layout])
    n_figures = 0
    assert [row.name for row in table.published] == [row.name for row in rows]
    for shown, row in zip(table.published, rows, strict=True):
        figures = {figure.key or figure.benchmark: figure for figure in (*row.figures, *row.others)}
        for column, cell in zip(table.columns, shown.cells, strict=True):
            figure = figures.get(column.key(column.part(run)) or column.foreign)
            if figure is None:
                assert cell.figures == ()
                continue
            (text,) = cell.figures
            assert Decimal(text) == Decimal(figure.printed)
            n_figures += 1
        assert not any(cell.is_best for cell in shown.cells)
    assert n_figures > 30


def test_our_values_are_in_the_papers_units(run: Run) -> None:
    def shown(layout: str) -> list[str]:
        table = _table(run, layout, published=False)
        cells = zip(table.columns, table.rows[0].cells, strict=True)
        return [c.text(cell.metric.value if cell.metric else None) for c, cell in cells]

    mdpo = ["2.40", "0.52", "37.0", "37.0", "4.6", "4.6", "4.6", "4.6"]
    assert shown("mdpo-table1") == mdpo
    assert shown("li-table") == ["31.2", "64.2", "0.861", "64.3", "5.99", "70.2"]
    study = ["86.10", "2.40", "–", "64.20", "–", "–", "31.20", "37.00"]
    assert shown("alignment-study") == study


def test_alpacaeval_2_is_not_the_papers_column(tmp_path: Path) -> None:
    newer = OfficialPart({"win_rate": (10.0, 9.0, 11.0, 805)})
    run = write_official_run(tmp_path / "ours", {"alpacaeval": newer, "pope": PARTS["pope"]})
    table = _table(run, "li-table")
    assert table.rows[0].cells[-1].metric is None
    assert any(row.cells[-1].figures == ("86.4",) for row in table.published)


def test_sources_that_disagree_are_all_shown_with_their_names(run: Run) -> None:
    columns = choose([run], metrics="object_halbench.CHAIRi")
    rows = look_up("llava-1.5-7b none", columns, [run])
    table = build([run], [run.name], columns, published=rows)
    cell = table.published[0].cells[0]
    assert {"25.2", "15.9", "28.0", "27.8"} <= {*cell.figures}
    told = [table.footnotes[mark] for mark in cell.marks]
    assert any("15.9: mDPO, Table 1" in text and "28.0: SENTINEL" in text for text in told)
    assert not cell.is_best


def test_another_judge_makes_a_row_deviate(tmp_path: Path) -> None:
    judged = OfficialPart(PARTS["mmhal"].metrics, judges=["my-judge"])
    run = write_official_run(tmp_path / "ours", {"mmhal": judged})
    columns = choose([run])
    rows = look_up("mdpo", columns, [run])
    table = build([run], [run.name], columns, published=rows)
    assert {row.label for row in table.published} == {"deviates"}
    assert any("my-judge" in text for text in table.footnotes.values())


def test_one_row_is_meant_by_its_name_or_by_words_that_only_it_has() -> None:
    name = "LLaVA-1.5-7B + mDPO [data: Silkie 10K]"
    assert look_up_one(name).name == name
    assert look_up_one("lpoi llava-1.5-7b mdpo").name.startswith("LLaVA-1.5-7B + mDPO")
    with pytest.raises(PlumblineError, match="means several published rows"):
        look_up_one("mdpo")
