"""Tables: numbers, notes, and that nothing is cut off in a narrow terminal."""

import io

import pytest
from rich.console import Console

from benchmarks.base import Metric
from harness.paired import Paired
from harness.show import (
    Progress,
    consoles,
    interval,
    markdown,
    number,
    print_reliance,
    print_table,
)


def metric(value, low=None, high=None, **changes):
    given = {"name": "f1", "split": "adversarial", "n_scored": 9000, "n_asked": 9000}
    given |= {"direction": "higher", "headline": True, **changes}
    return Metric(value=value, low=low, high=high, **given)


@pytest.mark.parametrize(
    ("display", "value", "shown"),
    [
        ("percent", 0.83456, "83.5"),
        ("percent", None, "–"),
        ("percent", -0.0001, "0.0"),
        ("points", 7.8, "7.8"),
        ("number", 2.77, "2.77"),
        ("number", 0.24, "0.240"),
        ("number", 0.0, "0.00"),
    ],
)
def test_numbers_have_the_decimals_of_their_metric(display, value, shown):
    assert number(value, metric(value, display=display)) == shown


def paired(name, split, value_a, value_b, low=None, high=None, note=None):
    ends = {"low": low, "high": high, "p": None, "p_worse": None, "standard_error": None}
    counts = {"n_paired": 9000, "n_asked": 9000, "n_groups": 500}
    return Paired(name, split, "higher", value_a, value_b, **ends, **counts, note=note)


def test_an_interval_has_the_decimals_of_its_value():
    assert interval(metric(13.3, 0.3, 25.4, display="points")) == "0.3 – 25.4"
    assert interval(metric(1.2, 0.95, 1.4, display="number")) == "0.95 – 1.40"


def test_what_an_encoding_lacks_is_no_reason_to_fail(monkeypatch):
    for name in ("ascii", "latin-1", "utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=name)
        monkeypatch.setattr("sys.stdout", stream)
        out, _ = consoles()
        print_table(out, "[/b] \ud83d", {"POPE": [metric(0.5)]}, ["judged by [red]gpt\udcff"])
        stream.flush()
        shown = stream.buffer.getvalue().decode(name)
        assert shown.startswith("[/b] ?")
        assert "50.0" in shown
        assert "judged by [red]gpt?" in shown


def narrow():
    return Console(file=io.StringIO(), width=80, highlight=False)


def test_nothing_is_cut_off_in_eighty_columns():
    results = {
        "Object HalBench (pocket)": [
            metric(0.929, 0.918, 0.94),
            metric(
                99.8,
                99.5,
                100.0,
                name="Cover",
                split="generative",
                display="points",
                official=False,
            ),
        ]
    }
    console = narrow()
    print_table(console, "a checkpoint", results, ["judged by the pocket oracle"])
    differences = {
        "Object HalBench (pocket)": [
            paired("f1", "adversarial", 0.643, 0.929, 0.269, 0.303),
            paired("Cover", "generative", None, 99.8, note="undefined"),
        ]
    }
    print_reliance(console, "blind", differences, results)
    shown = console.file.getvalue()
    assert "…" not in shown
    for text in (
        "91.8 – 94.0",
        "9,000/9,000",
        "99.5 – 100.0",
        "Cover (generative) °",
        "26.9 – 30.3",
    ):
        assert text in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "Object HalBench (pocket), Cover (generative): undefined" in shown


def test_incomplete_coverage_and_strangers_are_marked():
    table = markdown({"POPE": [metric(0.5, n_scored=8999, official=False)]})
    assert "8,999/9,000 *" in table
    assert "not every item that was asked has a score" in table
    assert "not the official scorer's number" in table


def test_progress_tells_rate_and_time_left_on_plain_lines():
    console = Console(file=io.StringIO(), width=80)
    with Progress(console, "answers") as progress:
        progress(5, 10)
        progress(10, 10)
    assert "answers 10/10" in console.file.getvalue()
    assert "left" in console.file.getvalue()
