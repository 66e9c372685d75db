"""``python -m harness.compare`` as a person types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.compare.__main__ import FORMATS, LAYOUT_NAMES, main
from harness.compare.layouts import LAYOUTS
from tests.harness.compare.run_folders import pope, write_run
from tests.harness.official_runs import OfficialPart, write_official_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("runs")
    parts = {"weak": pope(lambda n: n % 4 == 0), "strong": pope(lambda n: n % 25 == 0)}
    return [str(write_run(folder / name, pope=part)) for name, part in parts.items()]


def test_a_table_is_printed_with_what_its_marks_mean(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(runs) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "mean_accuracy ↑" in out
    assert "Difference from weak" in out
    assert "smallest detectable" in out
    assert "Holm-corrected over the 3 tests" in out


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_goes_to_the_terminal_or_a_file(
    runs: list[str], form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*runs, "--names", "A,B", "--baseline", "B", "--metrics", "mean_f1", "--format", form]
    assert main(options) == 0
    printed = capsys.readouterr().out
    assert main([*options, "--out", str(tmp_path / "deep" / "table")]) == 0
    assert "The table is in" in capsys.readouterr().err
    assert (tmp_path / "deep" / "table").read_text(encoding="utf-8").split() == printed.split()


def test_layouts_are_named_where_nothing_is_imported() -> None:
    assert tuple(LAYOUTS) == LAYOUT_NAMES


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "name at least one run"),
        (["RUNS", "--baseline", "other"], "not one of the runs (weak, strong)"),
        (["RUNS", "--names", "A"], "2 runs need as many different names"),
        (["RUNS", "--names", "A,A"], "2 runs need as many different names"),
        (["RUNS", "--metrics", "nothing"], "no such metric"),
        (["RUNS", "--all", "--metrics", "mean_f1"], "leave out --metrics"),
        (["RUNS", "--layout", "li-table", "--all"], "leave out --all"),
        (["RUNS", "--layout", "mdpo-table1"], "none of these runs has anything in the columns"),
        (["RUNS", "--published", "no such paper"], "no published figure is about"),
        (["RUNS", "--published-dir", "nowhere", "--published"], "holds no published figures"),
        (["--published", "RUN"], "name the runs first"),
        (["--explain", "RUN", "no such paper"], "no published figure is about"),
        (["RUN", "RUN"], "is named twice"),
        (["nowhere"], "holds no run"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_way_out(
    runs: list[str], options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        text for option in options for text in {"RUNS": runs, "RUN": runs[:1]}.get(option, [option])
    ]
    assert main(given) == 2
    assert told in capsys.readouterr().err


def test_pocket_runs_never_stand_beside_published_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = pope(lambda n: n % 4 == 0, edition="pocket", title="POPE (pocket)")
    run = write_run(tmp_path / "pocket", "pocket", pope=part)
    assert main([str(run), "--published"]) == 2
    assert "pocket edition" in capsys.readouterr().err
    assert main([str(run), "--layout", "li-table"]) == 0
    assert "POPE (pocket)" in capsys.readouterr().out


def test_published_rows_and_an_explanation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score = OfficialPart({"score": (2.41, 2.1, 2.7, 96)})
    run = str(write_official_run(tmp_path / "mine", {"mmhal": score}).path)
    assert main([run, "--published", "mdpo silkie"]) == 0
    out = capsys.readouterr().out
    assert "LLaVA-1.5-7B + mDPO [data: Silkie 10K]" in out
    assert "mDPO, Table 1: unknown" in out
    assert main(["--explain", run, "LLaVA-1.5-7B + mDPO [data: Silkie 10K]"]) == 0
    assert "2.39" in capsys.readouterr().out


def test_help_is_quick() -> None:
    code = (
        "import sys; from harness.compare.__main__ import make_parser; make_parser().format_help(); "
        "print([name for name in ('torch', 'pandas', 'numpy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['numpy']")
