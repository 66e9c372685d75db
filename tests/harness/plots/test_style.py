"""Names from outside are inert and legible, and the same runs give the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.lines import Line2D

from benchmarks.base import PlumblineError
from harness.plots.drawing import Drawing, check_names, write_data, write_figure
from harness.plots.style import Layout, elided, framed, house_style, inert, legible, look

HOSTILE = [
    r"_$\frac{1}{0}$",
    "a_b^c",
    "$",
    "$x$",
    "\u202egnp.exe",
    "名前",
    "a\tb\nc\x07",
    "",
    "<b>&",
]


def test_looks_differ_in_more_than_colour() -> None:
    looks = [look(index) for index in range(8)]
    for name in ("colour", "marker", "hatch"):
        assert len({getattr(each, name) for each in looks}) == 8
    assert len({str(each.dashes) for each in looks[:7]}) == 7
    assert len({(each.colour, each.marker) for each in map(look, range(40))}) == 40


def test_a_name_is_one_printable_line() -> None:
    assert [inert(name) for name in HOSTILE] == [
        r"_$\frac{1}{0}$", "a_b^c", "$", "$x$", "?gnp.exe", "??", "a b c?", "?", "<b>&"
    ]  # fmt: skip


@given(st.lists(st.text(max_size=80), max_size=6), st.integers(12, 44))
def test_names_stay_apart_and_fit(names: list[str], limit: int) -> None:
    shown = legible(names, limit)
    assert len(set(shown)) == len(names)
    assert all(0 < len(name) <= limit and name.isprintable() for name in shown)


def test_the_ends_of_a_long_name_stay() -> None:
    assert elided("abcdefghij", 10) == "abcdefghij"
    assert elided("abcdefghijk", 7) == "abc…ijk"


def test_hostile_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    layout = Layout(labels={})
    names = layout.names(HOSTILE)
    with house_style():
        legend = [(Line2D([], []), name) for name in names.values()]
        figure = framed(layout, 1.0, legend, ["$\\frac$ is a note"])
        axes = figure.subplots()
        axes.set_title(names[HOSTILE[0]])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == list(names.values())
    assert texts[0].startswith("_")
    for suffix in ("png", "svg", "pdf"):
        write_figure(Drawing(figure, []), tmp_path / f"figure.{suffix}")


def test_the_users_own_style_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "font.size", 40)
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
    with house_style():
        assert matplotlib.rcParams["font.size"] == 7
        assert matplotlib.rcParams["axes.facecolor"] == "white"
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert matplotlib.rcParams["font.size"] == 40


SCRIPT = """
import sys
from pathlib import Path
from matplotlib.lines import Line2D
from harness.plots.drawing import Drawing, write_figure
from harness.plots.style import Layout, framed, house_style
with house_style():
    figure = framed(Layout(), 1.5, [(Line2D([], []), "a run")], ["a note"])
    figure.subplots().bar([1, 2], [3, 4], hatch="//")
for suffix in ("png", "svg", "pdf"):
    write_figure(Drawing(figure, []), Path(sys.argv[1], f"figure.{suffix}"))
assert "torch" not in sys.modules
"""


def test_the_same_figure_is_the_same_bytes(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": name, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / name)]
        subprocess.run(command, env=environment, check=True)
    for suffix in ("png", "svg", "pdf"):
        first, second = (tmp_path / name / f"figure.{suffix}" for name in ("1", "2"))
        assert first.read_bytes() == second.read_bytes()
    assert b"/Subtype /Type0" in (tmp_path / "1/figure.pdf").read_bytes()
    assert b"<text" not in (tmp_path / "1/figure.svg").read_bytes()


def test_numbers_are_written_where_no_spreadsheet_runs_them(tmp_path: Path) -> None:
    with house_style():
        figure = framed(Layout(), 1.0, [])
    drawing = Drawing(figure, [{"run": "=1+1", "value": -1.5, "low": None}], ["a note"])
    write_data(drawing, tmp_path / "numbers.csv")
    assert (tmp_path / "numbers.csv").read_text() == "run,value,low\n'=1+1,-1.5,\n"
    write_data(drawing, tmp_path / "numbers.json")
    assert '"run": "=1+1"' in (tmp_path / "numbers.json").read_text()


@pytest.mark.parametrize(
    ("figures", "data"), [(["a.jpg"], None), (["a"], None), (["a.png"], "b.txt")]
)
def test_other_formats_are_refused(figures: list[str], data: str | None) -> None:
    with pytest.raises(PlumblineError, match=r"name it \."):
        check_names([Path(name) for name in figures], Path(data) if data else None)
