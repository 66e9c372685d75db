"""What CI systems read: valid XML and inert Markdown, whatever a run's texts hold."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.base import Metric
from harness.check.__main__ import main
from harness.check.gate import Finding, Verdict
from harness.check.junit import junit
from harness.check.pages import print_verdict, summary
from harness.check.rules import Rule
from harness.check.sentences import visible
from harness.paired import Paired
from tests.harness.compare.run_folders import pope, write_run

HOSTILE = (
    "]]><script>alert(1)</script> | `x` **b** [a](b) \x1b[31m\x00\ud800\ufffe\u202e\n# h & \"'"
)


def verdict(text: str) -> Verdict:
    metric = Metric(text, text, 0.9, None, None, 1, 1, "higher", headline=True)
    common = {"folder": text, "title": text, "metric": metric, "rule": Rule()}
    findings = [
        Finding(**common, before=0.9, after=0.8, is_compared=True, breaches=[text, text + "!"]),  # type: ignore[arg-type]
        Finding(**common, before=0.9, after=0.9, is_compared=True, note=text),  # type: ignore[arg-type]
        Finding(**common, before=None, after=None, note=text),  # type: ignore[arg-type]
    ]
    return Verdict(text, text, text, 0.05, 1, findings, [text])


@settings(deadline=None)
@given(st.text())
def test_any_text_makes_valid_xml(text: str) -> None:
    (suite,) = ET.fromstring(junit(verdict(text)))
    assert suite.get("name") == visible(text)
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == [
        *("3", "1", "0", "1")
    ]
    assert [child.tag for child in suite] == [
        *("properties", "testcase", "testcase", "testcase", "system-out", "system-err")
    ]
    failed, passed, untested = suite.findall("testcase")
    (failure,), (skipped,) = failed, untested
    assert (failure.tag, failure.text) == ("failure", f"{visible(text)}\n{visible(text)}!")
    assert len(passed) == 0
    assert (skipped.tag, skipped.get("message")) == ("skipped", visible(text))


@settings(deadline=None)
@given(st.text(min_size=1))
def test_any_text_stays_on_its_line_of_the_summary(text: str) -> None:
    page = summary(verdict(text))
    assert len(page.split("\n")) == len(summary(verdict("x")).split("\n"))
    for line in page.split("\n"):
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 10


def test_hostile_text_is_neither_markup_nor_control() -> None:
    page, xml = summary(verdict(HOSTILE)), junit(verdict(HOSTILE)).decode()
    assert "\\<script\\>" in page
    assert not re.search(r"(?<!\\)[<\[`]", page)
    for text in (page, xml):
        assert not re.search("[\x00\x1b\ud800\ufffe\u202e]", text)
    assert "<script>" not in xml


@pytest.mark.parametrize("width", [80, 140])
def test_nothing_is_cut_off(width: int) -> None:
    metric = Metric("length_controlled_winrate", "", 54.1, 1, 2, 1, 1, "higher", "points")
    paired = Paired("", "", "higher", 54.1, 39.2, -14.3, -10.1, 0.1, 0.1, 1, 9, 9, 9)
    finding = Finding(
        *("alpacaeval", "AlpacaEval 2 (pocket)", metric, Rule(), 54.1, 39.2, True, paired, 12.3),
        breaches=["it fell"],
    )
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_verdict(console, Verdict("run", "baseline", "rules", 0.05, 1, [finding]))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "…" not in shown
    assert ("−14.3 – −10.1" in shown) == (width == 140)
    for text in ("length_controlled_winrate", "54.1", "39.2", "−14.9", "12.3", "FAILED"):
        assert text in shown


def test_the_command_writes_xml(tmp_path: Path) -> None:
    baseline, report = tmp_path / "baseline.json", tmp_path / "new" / "report.xml"
    for name, share in (("good", 50), ("bad", 2)):
        about = {"title": HOSTILE}
        run = write_run(tmp_path / name, pope=pope(lambda n, share=share: n % share == 1, **about))
        given = [str(run), "--baseline", str(baseline)]
        main([*given, "--update"] if name == "good" else [*given, "--junit", str(report)])
    (suite,) = ET.parse(report).getroot()
    assert suite.get("name") == visible(HOSTILE)
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert [*cases] == ["f1 (adversarial)", "mean_f1", "mean_accuracy"]
    assert [*cases.values()] == [["failure"]] * 3
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties["run"] == "bad"
    assert properties["alpha"] == "0.05"
