"""The gate as JUnit XML: a test suite for each benchmark, a test case for each metric.

The form is the narrowest in use, Apache Ant's (github.com/windyroad/JUnit-Schema): one outcome for each case,
no output of single cases, nothing on the outermost element. What takes other forms takes this one.
"""

from __future__ import annotations

import datetime
from itertools import groupby
from operator import attrgetter
from xml.etree import ElementTree as ET

from harness.check.gate import Finding, Outcome, Verdict
from harness.check.sentences import visible
from harness.show import label


def junit(verdict: Verdict) -> bytes:
    """The XML file. Texts from outside can hold anything: what XML cannot is written as escapes."""
    root = ET.Element("testsuites")
    at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    by_benchmark = groupby(verdict.findings, key=attrgetter("folder"))
    for number, (folder, found) in enumerate(by_benchmark):
        _suite(root, number, folder, list(found), verdict, at)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _suite(
    root: ET.Element, number: int, folder: str, findings: list[Finding], verdict: Verdict, at: str
) -> None:
    n_failed, n_untested = (
        sum(one.outcome is kind for one in findings) for kind in (Outcome.FAILED, Outcome.UNTESTED)
    )
    suite = _element(
        root,
        "testsuite",
        name=findings[0].title,
        package="plumbline",
        id=str(number),
        tests=str(len(findings)),
        failures=str(n_failed),
        errors="0",
        skipped=str(n_untested),
        timestamp=at,
        hostname="localhost",
        time="0",
    )
    properties = _element(suite, "properties")
    for name in ("run", "baseline", "rules", "alpha"):
        _element(properties, "property", name=name, value=str(getattr(verdict, name)))
    for finding in findings:
        case = _element(
            suite, "testcase", name=label(finding.metric), classname=f"plumbline.{folder}", time="0"
        )
        if finding.outcome is Outcome.FAILED:
            element = _element(case, "failure", message=finding.breaches[0], type="breach")
            element.text = "\n".join(map(visible, finding.breaches))
        elif finding.outcome is Outcome.UNTESTED:
            _element(case, "skipped", message=finding.note)
    notes = (f"{label(one.metric)}: {one.note}" for one in findings if one.note)
    _element(suite, "system-out").text = "\n".join(map(visible, notes))
    _element(suite, "system-err")


def _element(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    shown = {name: visible(value) for name, value in attributes.items()}
    return ET.SubElement(parent, tag, shown)
