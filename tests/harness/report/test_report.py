"""The command and the file: self-contained, inert, and whole or not there."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.report.__main__ import main
from harness.report.overview import letter
from harness.report.page import visible
from harness.store import ABOUT, RUN_INFO


class Elements(HTMLParser):
    """Start tags with their attributes, and the text of scripts and styles by id or tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._at = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._at = dict(attrs).get("id") or tag if tag in ("script", "style", "title") else ""

    def handle_data(self, data: str) -> None:
        if self._at:
            self.inside[self._at] = self.inside.get(self._at, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._at = ""


@pytest.fixture(scope="module")
def elements(report: Path) -> Elements:
    return Elements(report.read_text(encoding="utf-8"))


def test_the_policy_names_the_only_script_and_style(elements: Elements) -> None:
    (policy,) = (
        a["content"] for tag, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(elements.inside[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_nothing_is_loaded_from_anywhere(elements: Elements) -> None:
    places = [
        value for _, a in elements.tags for name, value in a.items() if name in ("src", "href")
    ]
    assert all(place.startswith(("#", "data:")) for place in places)
    assert not re.search(r"@import|url\(", elements.inside["style"])


def test_no_name_of_a_run_or_text_of_an_answer_becomes_markup(elements: Elements) -> None:
    assert elements.inside["title"] == "weak, strong <b>& · Plumbline"
    names = [tag for tag, _ in elements.tags]
    assert "b" not in [tag for tag, a in elements.tags if tag == "b" and a]
    assert names.count("script") == 2 + sum(
        "block-" in (a.get("id") or "") for _, a in elements.tags
    )
    manifest = json.loads(elements.inside["manifest"])
    assert [run["name"] for run in manifest["runs"]] == ["weak", "strong <b>&"]
    assert "<" not in elements.inside["manifest"]


def test_blocks_hold_every_answer_as_it_was(elements: Elements) -> None:
    def unpacked(name: str) -> dict:
        return json.loads(zlib.decompress(base64.b64decode(elements.inside[f"block-{name}"])))

    manifest = json.loads(elements.inside["manifest"])
    number = [b["key"] for b in manifest["benchmarks"]].index("pope")
    ids = unpacked(f"index-{number}")["id"]
    answers = unpacked(f"answers-{number}-0-0")["answers"]
    assert answers[ids.index("random/2")] == [
        "</script><script>document.title='owned'</script><!-- <script>"
    ]
    assert len(answers[ids.index("adversarial/1")][0]) > 290_000


def test_the_report_is_the_same_every_time(runs: list[Path], report: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    main([*map(str, runs), "--out", str(again)])
    assert again.read_bytes() == report.read_bytes()


def test_only_the_benchmarks_asked_for(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.html"
    assert (
        main([str(runs[0]), "--out", str(out), "--benchmarks", "pope", "--pictures", "none"]) == 0
    )
    assert "1 runs, 9 samples, 0 pictures" in capsys.readouterr().out
    assert main([str(runs[0]), "--out", str(out), "--benchmarks", "mmvet"]) == 2


def test_more_text_than_allowed_is_refused_and_the_old_file_stays(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.html"
    out.write_text("old", encoding="utf-8")
    assert main([*map(str, runs), "--out", str(out), "--text-mb", "0.001"]) == 2
    assert "--text-mb" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_official_runs_without_their_data_are_shown_with_a_notice(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs[0], tmp_path / "official")
    for path in (run / "pope" / ABOUT, run / RUN_INFO):
        path.write_text(
            path.read_text(encoding="utf-8").replace('"pocket"', '"official"'), encoding="utf-8"
        )
    out = tmp_path / "r.html"
    arguments = [
        str(run),
        "--out",
        str(out),
        "--benchmarks",
        "pope",
        "--data-dir",
        str(tmp_path / "none"),
    ]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "no pictures" in told
    assert "harness.fetch" in told
    assert "no pictures" in out.read_text(encoding="utf-8")


def test_both_editions_in_one_report_are_refused(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs[0], tmp_path / "official")
    for path in run.glob(f"*/{ABOUT}"):
        path.write_text(
            path.read_text(encoding="utf-8").replace('"pocket"', '"official"'), encoding="utf-8"
        )
    assert main([str(runs[1]), str(run), "--out", str(tmp_path / "r.html")]) == 2
    assert "edition" in capsys.readouterr().err


def test_what_hides_or_reorders_is_written_out() -> None:
    assert visible("a\u202eb\u0000c\nd\u200de") == "a⟨U+202E⟩b⟨U+0000⟩c\nd\u200de"
    assert visible("\ud800 ñ 漢 🙂") == "⟨U+D800⟩ ñ 漢 🙂"


def test_runs_have_letters() -> None:
    assert [letter(n) for n in (0, 25, 26, 49, 701, 702)] == ["A", "Z", "AA", "AX", "ZZ", "AAA"]
