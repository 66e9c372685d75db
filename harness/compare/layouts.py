"""The main tables of three papers: which columns they print, in which order, unit and with which decimals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.compare.columns import Column
from harness.runs import Run

AS_IT_IS, SHARE = 1.0, 100.0
"""What our values are multiplied by: shares of 1 that the paper prints in percent by 100."""


@dataclass(frozen=True)
class Layout:
    """A paper's table.

    Attributes:
        paper: what a reader is told; ``name`` is the option's.
        columns: with the paper's names, in its order.
    """

    name: str
    paper: str
    columns: tuple[Column, ...]


def _column(
    heading: str, label: str, metric: str, scale: float, decimals: int, remark: str = ""
) -> Column:
    """A column of ``benchmark.name(split)``; one that prints smaller values for better models ends with "↓"."""
    benchmark, _, name = metric.partition(".")
    name, _, split = name.removesuffix(")").partition("(")
    return Column(
        heading=heading,
        label=label.removesuffix("↓"),
        benchmark=benchmark,
        name=name,
        split=split,
        direction="lower" if label.endswith("↓") else "higher",
        scale=scale,
        decimals=decimals,
        remark=remark,
    )


def _foreign(heading: str, label: str, decimals: int) -> Column:
    """A column that no benchmark here gives."""
    remark = "not among Plumbline's benchmarks"
    return Column(heading, label, scale=AS_IT_IS, decimals=decimals, remark=remark, foreign=heading)


_UNNAMED_POPE = "the paper does not say which POPE metric this is; taken for the mean F1"

LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "mdpo-table1",
            "arXiv:2406.11839, Table 1",
            (
                _column("MMHal-Bench", "Score", "mmhal.score", AS_IT_IS, 2),
                _column("MMHal-Bench", "HalRate↓", "mmhal.hallucination_rate", AS_IT_IS, 2),
                _column("Object HalBench", "CHAIRs↓", "object_halbench.CHAIRs_refine", SHARE, 1),
                _column("Object HalBench", "CHAIRi↓", "object_halbench.CHAIRi", SHARE, 1),
                _column("AMBER", "CHAIRs↓", "amber.CHAIR(generative)", AS_IT_IS, 1),
                _column("AMBER", "Cover", "amber.Cover(generative)", AS_IT_IS, 1),
                _column("AMBER", "HalRate↓", "amber.Hal(generative)", AS_IT_IS, 1),
                _column("AMBER", "Cog↓", "amber.Cog(generative)", AS_IT_IS, 1),
            ),
        ),
        Layout(
            "li-table",
            "arXiv:2402.10884, Table 4",
            (
                _column("MM-Vet", "Total", "mmvet.total", AS_IT_IS, 1),
                _column("LLaVA-Bench (In-the-Wild)", "", "llava_bench.relative_score", AS_IT_IS, 1),
                _column("POPE", "F1", "pope.mean_f1", AS_IT_IS, 3, _UNNAMED_POPE),
                _column("MMBench", "", "mmbench.circular(dev)", SHARE, 1),
                _column("MT-Bench", "", "mtbench.average", AS_IT_IS, 2),
                replace(
                    _column("AlpacaEval", "Win rate", "alpacaeval.win_rate", AS_IT_IS, 1),
                    title="AlpacaEval 1",
                    published="alpacaeval_1",
                    remark="version 1 (--set alpacaeval.version=1)",
                ),
            ),
        ),
        Layout(
            "alignment-study",
            "arXiv:2407.02477, Table 2",
            (
                _column("POPE", "F1", "pope.mean_f1", SHARE, 2, _UNNAMED_POPE),
                _column("MMHal-Bench", "Score", "mmhal.score", AS_IT_IS, 2),
                _foreign("MMHalBench-Vision", "", 2),
                _column("LLaVA-Bench (In-the-Wild)", "", "llava_bench.relative_score", AS_IT_IS, 2),
                _foreign("TextVQA", "", 2),
                _foreign("GQA", "", 2),
                _column("MM-Vet", "Total", "mmvet.total", AS_IT_IS, 2),
                _column("Object HalBench", "Recall", "object_halbench.obj_rec", SHARE, 2),
            ),
        ),
    )
}


def columns_of(layout: Layout, runs: Sequence[Run]) -> list[Column]:
    """The columns of a layout, with the edition where its numbers must not be taken for the paper's."""
    is_pocket = any(run.edition == "pocket" for run in runs)
    if not is_pocket:
        return [*layout.columns]
    return [replace(column, heading=f"{column.heading} (pocket)") for column in layout.columns]
