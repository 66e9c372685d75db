"""Every format says the same, and whatever stands in names, judges or notes is text in it and nothing else."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.compare import latex as latex_format
from harness.compare.columns import choose
from harness.compare.html import html
from harness.compare.latex import latex
from harness.compare.markdown import escaped, markdown
from harness.compare.model import Table
from harness.compare.sheets import sheets
from harness.compare.spreadsheet import safe, spreadsheet
from harness.compare.table import build
from harness.compare.terminal import plain
from harness.runs import open_runs
from tests.harness.compare.run_folders import PROTOCOL, pope, write_run

HOSTILE = (
    '=HYPERLINK("http://x")',
    "+1|2 _a_ **b** <script>alert(1)</script>",
    r"\input{/etc/passwd} 100% $x^2$ #1 & ~{}",
    "\x1b[31mred \u202eturned [link](javascript:x) é 模型 😀",
)
FORMATS: dict[str, Callable[[Table], str]] = {
    "terminal": plain,
    "markdown": markdown,
    "latex": latex,
    "csv": spreadsheet,
    "html": html,
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    folder = tmp_path_factory.mktemp("runs")
    steps = (4, 5, 60, 7)
    runs = open_runs(
        [
            write_run(
                folder / str(number),
                pope=pope(
                    lambda item, step=step: item % step == 0,
                    failed=[7] if number == 1 else [],
                    judges=[HOSTILE[number]] if number == 3 else [],
                    official_judge=HOSTILE[0] if number == 3 else None,
                    protocol={**PROTOCOL, "prompt": HOSTILE[2]} if number == 3 else PROTOCOL,
                ),
            )
            for number, step in enumerate(steps)
        ]
    )
    return build(runs, HOSTILE, choose(runs), title=HOSTILE[1])


@pytest.mark.parametrize("form", [*FORMATS])
def test_every_format_has_all_values_notes_and_differences(table: Table, form: str) -> None:
    text = FORMATS[form](table)
    cells = [cell for row in table.rows for cell in row.cells]
    assert any(cell.is_best for cell in cells)
    for column, cell in zip(table.columns * 4, cells, strict=True):
        assert cell.metric is not None
        assert column.text(cell.metric.value) in text or form == "csv"
    assert "116/120" not in text
    assert re.search(r"119(/|,)120", text)
    assert re.search(r"(my-|instead of)", text)
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert "\u202e" not in text


def test_markdown_rows_have_as_many_cells_as_their_header(table: Table) -> None:
    for block in markdown(table).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        assert len(widths) <= 1, block
    text = markdown(table)
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert re.search(r"\*\*\d+\.\d†?\*\*", text)


@given(st.text(alphabet=st.sampled_from("|\\*_`<>[]#~ab1 &$")))
def test_a_markdown_text_keeps_its_characters_and_no_open_pipe(text: str) -> None:
    shown = escaped(text)
    plain_again = shown.replace("&lt;", "<").replace("&gt;", ">")
    assert re.sub(r"\\([\\`*{}\[\]#|~&$!:_])", r"\1", plain_again) == text
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", shown)


def test_a_spreadsheet_has_a_row_for_each_run_and_no_formula(table: Table) -> None:
    header, *rows = csv.reader(io.StringIO(spreadsheet(table)))
    assert len(rows) == len(table.rows)
    assert {len(row) for row in rows} == {len(header)}
    for row in (header, *rows):
        for cell in row:
            assert re.fullmatch(r"-?[\d.e-]+", cell) or not cell.startswith(("=", "+", "-", "@"))
    records = [dict(zip(header, row, strict=True)) for row in rows]
    accuracy = [float(record["POPE mean_accuracy"]) for record in records]
    assert accuracy[2] == pytest.approx(100 * (1 - 2 / 120))
    assert [record["POPE mean_accuracy best"] for record in records] == ["", "", "yes", ""]
    assert records[1]["POPE mean_accuracy scored"] == "119"
    difference = float(records[2]["POPE mean_accuracy difference"])
    assert difference == pytest.approx(accuracy[2] - accuracy[0])
    assert 0 < float(records[2]["POPE mean_accuracy p corrected"]) < 0.05


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "\n+1"])
def test_a_text_never_begins_like_a_formula(text: str) -> None:
    assert safe(text).startswith("'")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_page_has_no_script_and_shows_names_as_they_are(table: Table) -> None:
    page = _Page()
    page.feed(html(table))
    assert page.tags <= {
        "html", "meta", "title", "style", "body", "div", "table", "caption", "thead", "tbody", "tr", "th", "td",
        "b", "sup", "small", "ul", "li",
    }  # fmt: skip
    assert not any(name.startswith("on") or name in ("href", "src") for name in page.attributes)
    assert HOSTILE[1] in page.texts
    assert HOSTILE[0] in page.texts


def _compiled(text: str, folder: Path) -> str:
    """The text of the PDF."""
    document = (
        "\\documentclass{article}\\usepackage[margin=1cm]{geometry}\\usepackage{booktabs}"
        f"\\begin{{document}}\n{text}\\end{{document}}\n"
    )
    (folder / "table.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert b"Overfull \\hbox" not in done.stdout
    read = subprocess.run(
        ["pdftotext", "-layout", "table.pdf", "-"], cwd=folder, capture_output=True
    )
    return read.stdout.decode()


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
@pytest.mark.skipif(not shutil.which("pdftotext"), reason="pdftotext is not installed")
def test_latex_compiles_with_booktabs_alone(table: Table, tmp_path: Path) -> None:
    many = replace(table, rows=table.rows * 13)
    for number, each in enumerate((table, many)):
        (tmp_path / str(number)).mkdir()
        shown = _compiled(latex(each), tmp_path / str(number))
        assert "100%" in shown
        assert "[U+1F600]" in shown or "U+1F600" in shown
        assert "<script>alert(1)</script>" in shown
        assert "+1|2 " in shown


def test_latex_sets_the_best_in_bold_and_intervals_small(table: Table) -> None:
    text = latex(table)
    assert re.search(r"\\textbf\{98\.3", text)
    assert r"{\scriptsize " in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}")


@given(st.text())
def test_latex_leaves_no_special_character(text: str) -> None:
    shown = latex_format.escaped(text)
    left = re.sub(r"\\[a-zA-Z]+\d*|\\[{}$&#%_`'^~=u.\"rHvc]|\$[^$]*\$|[{}]", "", shown)
    assert not set(left) & set("\\$&#%_^~<>|")
    assert shown.isascii()


def test_a_table_fits_its_terminal(table: Table) -> None:
    assert max(len(line) for line in plain(table).splitlines()) <= 140


def test_the_differences_leave_out_the_baseline(table: Table) -> None:
    values, differences = sheets(table)
    assert len(values.lines) == 4
    assert len(differences.lines) == 3
    assert differences.below[0].name.main == "smallest detectable"
