"""The gate as a command: what fails, what passes, what is refused, and with which words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.check.__main__ import main
from harness.command import DONE, FAILED, WRONG_USAGE
from tests.harness.compare.run_folders import PartOf, pope, write_run

Answers = Callable[[int], bool]


def some(number: int) -> bool:
    """Wrong answers here and there, on every sixth picture."""
    return number % 18 == 5


def many(number: int) -> bool:
    """Those and every seventh."""
    return some(number) or number % 7 == 1


class Gate:
    """Run folders and a baseline in one place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.baseline = folder, folder / "baseline.json"

    def run(self, name: str, is_wrong: Answers = some, **part: Any) -> Path:
        return write_run(self.folder / name, pope=pope(is_wrong, **part))

    def __call__(self, run: Path, *given: str) -> int:
        return main([str(run), "--baseline", str(self.baseline), *given])

    def accept(self, run: Path) -> None:
        assert self(run, "--update") == DONE

    def rules(self, text: str) -> Sequence[str]:
        path = self.folder / "rules.toml"
        path.write_text(text, encoding="utf-8")
        return "--rules", str(path)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    made = Gate(tmp_path)
    made.accept(made.run("accepted"))
    return made


def test_the_same_answers_pass(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate(gate.run("again")) == DONE
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("gate passed: 3 metrics")
    assert "seen at –: no answer changed" in printed


def test_a_worse_run_fails_and_says_why(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert gate(gate.run("worse", many)) == FAILED
    printed = capsys.readouterr().out
    assert "POPE mean_accuracy fell 94.2 → 80.8 (−13.3; 95 % interval −" in printed
    assert "one-sided, corrected for 3 tests; allowed 0)" in printed
    assert "POPE 16 of 120" in printed


def test_a_better_run_passes_unless_it_must_be_the_same(gate: Gate) -> None:
    better = gate.run("better", lambda number: False)
    assert gate(better) == DONE
    same = '[[rule]]\nmetrics = ["*"]\nmode = "fixed"\nagainst = "change"'
    assert gate(better, *gate.rules(same)) == FAILED


def test_a_few_worse_answers_pass_the_test_but_no_fixed_rule(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    few = gate.run("few", lambda number: some(number) or number == 1)
    assert gate(few) == DONE
    rule = '[[rule]]\nmetrics = ["pope/mean_accuracy"]\nmode = "fixed"\ntolerance = '
    capsys.readouterr()
    assert gate(few, *gate.rules(f"{rule}0.8")) == FAILED
    assert "mean_accuracy fell 94.2 → 93.3 (−0.8; allowed 0.8)" in capsys.readouterr().out
    assert gate(few, *gate.rules(f"{rule}0.9")) == DONE


def test_a_tolerance_is_added_to_what_chance_explains(gate: Gate) -> None:
    worse = gate.run("worse", many)
    rule = '[[rule]]\nmetrics = ["*"]\ntolerance = '
    assert gate(worse, *gate.rules(f"{rule}5")) == FAILED
    assert gate(worse, *gate.rules(f"{rule}16")) == DONE


def test_lost_answers_fail(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    lossy = gate.run("lossy", failed=range(9))
    capsys.readouterr()
    assert gate(lossy) == FAILED
    printed = capsys.readouterr().out
    assert "coverage fell 120/120 → 111/120 (allowed loss 0 %)" in printed
    assert "111/120 items have a score; at least 95 % must" in printed
    rule = '[[rule]]\nmetrics = ["*"]\nmin_coverage = 0.9\ncoverage_loss = '
    assert gate(lossy, *gate.rules(f"{rule}0.05")) == FAILED  # f1 (adversarial) has a third of them
    assert gate(lossy, *gate.rules(f"{rule}0.08")) == DONE


def test_what_is_no_longer_defined_fails(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    rules = gate.rules('[[rule]]\nmetrics = ["*"]\nmin_coverage = 0.0\ncoverage_loss = 1.0')
    assert gate(gate.run("empty", failed=range(120)), *rules) == FAILED
    assert "is no longer defined: no item was scored" in capsys.readouterr().out


def test_a_benchmark_that_is_missing_fails_and_a_new_one_is_told(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    def both(name: str) -> Path:
        other: PartOf = pope(some, title="POPE twice")
        return write_run(gate.folder / name, pope=pope(some), second=other)

    capsys.readouterr()
    assert gate(both("more")) == DONE
    assert "not in the baseline, so not checked (--update adds it): POPE twice" in (
        capsys.readouterr().out
    )
    gate.accept(both("again"))
    one = gate.run("one")
    capsys.readouterr()
    assert gate(one) == FAILED
    assert "POPE twice: the run lacks it" in capsys.readouterr().out
    assert gate(one, "--only", "pope") == DONE


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"protocol": {"prompt": "\x1b[31mbare"}}, 'prompt is "short_answer" in the baseline'),
        ({"edition": "pocket"}, 'edition is "official" in the baseline, "pocket" in the run'),
        ({"n_items": 60}, "120 items are asked in the baseline, 60 in the run, 60 in both"),
    ],
)
def test_another_measurement_is_refused(
    gate: Gate, changed: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert gate(gate.run("other", **changed)) == WRONG_USAGE
    printed = capsys.readouterr().err
    assert told in printed
    assert "--update" in printed
    assert "\x1b" not in printed


def test_another_judge_is_refused_but_no_judge_is_none(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.accept(gate.run("accepted", judges=["gpt-4-0314"]))
    assert gate(gate.run("same", judges=["gpt-4-0314"])) == DONE
    assert gate(gate.run("unjudged", judges=[])) == DONE
    assert gate(gate.run("other", judges=["gpt-4o"])) == WRONG_USAGE


def test_controls_are_neither_accepted_nor_checked(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    control = pope(many, control="blind")
    gate.accept(write_run(tmp_path / "with", pope=pope(some), control_blind__pope=control))
    assert [*json.loads(gate.baseline.read_text())["benchmarks"]] == ["pope"]
    assert gate(gate.run("without")) == DONE


def test_formulas_that_were_not_kept_can_be_checked_by_value_only(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.accept(gate.run("accepted", options=None))
    worse = gate.run("worse", many, options=None)
    assert gate(worse) == WRONG_USAGE  # nothing could be compared: no verdict
    assert gate(worse, *gate.rules('[[rule]]\nmetrics = ["*"]\nmode = "fixed"')) == FAILED


def test_names_that_do_not_exist_are_refused_with_similar_ones(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    run = gate.run("again")
    capsys.readouterr()
    assert gate(run, "--only", "poppe") == WRONG_USAGE
    assert "did you mean pope?" in capsys.readouterr().err
    assert gate(run, *gate.rules('[[rule]]\nmetrics = ["pope/meanf1"]')) == WRONG_USAGE
    assert "did you mean pope/mean_f1" in capsys.readouterr().err


def test_without_a_baseline_the_command_for_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = Gate(tmp_path)
    assert gate(gate.run("first")) == WRONG_USAGE
    assert "--update" in capsys.readouterr().err


def test_update_says_what_it_changes(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    worse = gate.run("worse", many, failed=[0], judges=["new"])
    capsys.readouterr()
    gate.accept(worse)
    printed = capsys.readouterr().out
    assert "mean_accuracy" in printed
    assert "−13." in printed
    assert "POPE mean_accuracy: 1 items have no score" in printed
    assert "POPE: judged by nobody before, new now" in printed
    assert gate(worse, *gate.rules('[[rule]]\nmetrics = ["*"]\nmode = "fixed"')) == DONE
    capsys.readouterr()
    gate.accept(gate.run("worse", many, judges=["new"]))
    gate.accept(gate.run("worse", many, judges=["new"]))
    assert "the headline numbers are the same as before" in capsys.readouterr().out


def test_update_takes_no_rules(gate: Gate) -> None:
    with pytest.raises(SystemExit) as stopped:
        gate(gate.run("again"), "--update", "--only", "pope")
    assert stopped.value.code == WRONG_USAGE


def test_a_jobs_page_is_appended_to(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    page, own = gate.folder / "page.md", gate.folder / "own.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    assert gate(gate.run("again"), "--summary", str(own)) == DONE
    assert page.read_text(encoding="utf-8") == "before\n" + own.read_text(encoding="utf-8")
    assert own.read_text(encoding="utf-8").startswith("### gate passed: 3 metrics\n")
