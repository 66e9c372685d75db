"""Published figures: numbers that papers, repositories and leaderboards print, with where they stand.

::

    metrics.py   which metric of ours a printed column is, and in which unit it was printed
    figures.py   reading results/published/: figures, sources, remarks, and how sources measured
    rows.py      figures as rows of a table, and where sources disagree

Whether a figure may stand beside a run is decided in ``harness.comparability``.
"""

from harness.published.figures import Figure, Remark, Setup, Source, read
from harness.published.metrics import MetricKey, benchmark_key
from harness.published.rows import (
    PAPER_TABLES,
    Conflict,
    PublishedRow,
    TableColumn,
    columns_of_table,
    conflicts,
    distinct,
    find,
    rows_of_table,
)

__all__ = [
    "PAPER_TABLES",
    "Conflict",
    "Figure",
    "MetricKey",
    "PublishedRow",
    "Remark",
    "Setup",
    "Source",
    "TableColumn",
    "benchmark_key",
    "columns_of_table",
    "conflicts",
    "distinct",
    "find",
    "read",
    "rows_of_table",
]
