"""Published figures beside runs.

::

    labels.py       whether a figure may stand beside a run's number, by one rule
    explanation.py  why the two may differ, in plain words
"""

from harness.comparability.explanation import explain
from harness.comparability.labels import (
    Finding,
    Label,
    PublishedCell,
    assess,
    cell,
    metric_of,
    refuse_pocket,
)

__all__ = [
    "Finding",
    "Label",
    "PublishedCell",
    "assess",
    "cell",
    "explain",
    "metric_of",
    "refuse_pocket",
]
