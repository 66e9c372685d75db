"""What verdicts say: shares, ratings, agreement, and a round trip with annotators whose agreement is known."""

import csv
import json
from random import Random

import pytest
from openpyxl import load_workbook

from harness.human_eval.__main__ import main
from harness.human_eval.export import export
from harness.human_eval.report import _markdown, write_report
from harness.human_eval.results import evaluate_verdicts
from harness.human_eval.verdicts import Returned, Verdict, read_verdicts
from tests.harness.human_eval.runs import NAMES, make_run, make_study, truthful

SIDES = {"win": 0, "loss": 1}


def in_sheet(study, sheet, task, outcome):
    """How an outcome, seen from the first run, stands in a sheet."""
    if outcome == "tie":
        return "tie"
    return "AB"[study.sides(sheet, task).index(task.runs[SIDES[outcome]])]


def returned(study, by_annotator):
    """What annotators return who give these outcomes to the tasks in order; None is no verdict."""
    verdicts, missing = [], {}
    for number, (name, outcomes) in enumerate(by_annotator.items()):
        sheet = study.sheets[number % len(study.sheets)]
        missing[name] = []
        for task, outcome in zip(study.tasks, outcomes, strict=True):
            if outcome is None:
                missing[name].append(task.id)
                continue
            is_rating = study.rubric.name == "hallucination"
            value = outcome if is_rating else in_sheet(study, sheet, task, outcome)
            verdicts.append(Verdict(task, sheet, name, value, "", "somewhere"))
    return Returned(verdicts, missing, [])


def pairs(n):
    return [(f"first {i}", f"second {i}") for i in range(n)]


def shares(results):
    (outcome,) = results.outcomes
    return {metric.name: metric.value for metric in outcome.metrics}


def test_wins_are_the_first_runs_whatever_the_side():
    study = make_study(pairs(8))
    outcomes = ["win"] * 5 + ["tie"] * 2 + ["loss"]
    results = evaluate_verdicts(study, returned(study, {"ann": outcomes, "bob": outcomes}))
    assert shares(results) == {
        "wins": 5 / 8,
        "ties": 2 / 8,
        "losses": 1 / 8,
        "wins or ties": 7 / 8,
        "wins minus losses": 4 / 8,
    }
    assert results.outcomes[0].name == f"{NAMES[0]} against {NAMES[1]}"
    assert results.outcomes[0].counts == {"win": 5, "tie": 2, "loss": 1, "undecided": 0}
    assert [found.value for found in results.agreement] == [pytest.approx(1.0)] * 5
    assert not results.disagreements


def test_each_question_counts_once_however_many_annotators_it_has():
    study = make_study(pairs(2))
    given = {"ann": ["win", "loss"], "bob": ["tie", "loss"], "cleo": [None, "loss"]}
    results = evaluate_verdicts(study, returned(study, given))
    assert shares(results)["wins"] == 0.25
    assert shares(results)["losses"] == 0.5
    assert results.outcomes[0].counts["undecided"] == 1
    (found,) = results.disagreements
    assert found.verdicts == {"ann": "win", "bob": "tie"}
    assert {each.name: each.with_others for each in results.annotators} == {"ann": 0.5 + 1 / 6, "bob": 2 / 3, "cleo": 1.0}  # fmt: skip


def test_one_annotator_of_independent_questions_has_wilsons_interval():
    from statsmodels.stats.proportion import proportion_confint

    study = make_study(pairs(20), n_annotators=1)
    outcomes = ["tie"] * 17 + ["win"] * 3
    (outcome,) = evaluate_verdicts(study, returned(study, {"ann": outcomes})).outcomes
    by_name = {metric.name: metric for metric in outcome.metrics}
    for name, count in (("wins", 3), ("losses", 0), ("wins or ties", 20)):
        expected = proportion_confint(count, 20, method="wilson")
        assert (by_name[name].low, by_name[name].high) == pytest.approx(expected)
    assert "Wilson" in outcome.method


def test_questions_on_one_picture_are_drawn_together():
    from dataclasses import replace

    study = make_study(pairs(20), n_annotators=1)
    together = tuple(replace(q, group=f"{n // 5}") for n, q in enumerate(study.questions))
    outcomes = ["win" if n // 5 % 2 else "loss" for n in range(20)]
    clustered = replace(study, questions=together)
    (alone,) = evaluate_verdicts(study, returned(study, {"ann": outcomes})).outcomes
    (grouped,) = evaluate_verdicts(clustered, returned(clustered, {"ann": outcomes})).outcomes
    widths = [o.metrics[0].high - o.metrics[0].low for o in (alone, grouped)]
    assert widths[1] > 1.5 * widths[0]
    assert grouped.method == "bootstrap over 4 groups"


def test_what_nobody_judged_is_no_number():
    study = make_study(pairs(4))
    results = evaluate_verdicts(study, returned(study, {"ann": ["win", None, None, None]}))
    metric = results.outcomes[0].metrics[0]
    assert (metric.n_scored, metric.n_asked, metric.value) == (1, 4, 1.0)
    assert results.annotators[0].n_missing == 3
    assert results.agreement == []
    nobody = evaluate_verdicts(study, returned(study, {"ann": [None] * 4})).outcomes[0].metrics[0]
    assert (nobody.value, nobody.note) == (None, "no item was scored")


def test_ratings_have_a_mean_a_rate_and_differences():
    study = make_study(pairs(3), "hallucination")
    ratings = ["6", "2", "5", "1", "4", "0"]  # of the first run, the second, the first, …
    results = evaluate_verdicts(study, returned(study, {"ann": ratings, "bob": ratings}))
    first, second = results.outcomes
    assert [metric.value for metric in first.metrics] == [5.0, 0.0]
    assert [metric.value for metric in second.metrics] == [1.0, 1.0]
    ((name, found),) = results.differences.items()
    assert name == f"{NAMES[0]} against {NAMES[1]}"
    assert [paired.difference for paired in found] == [4.0, -1.0]
    assert {each.name for each in results.agreement} >= {
        "Cohen's kappa (quadratic weights)",
        "Krippendorff's alpha (made up or not)",
    }


def agreeing(n, kappa, seed):
    """Two annotators' outcomes whose kappa is known: the second repeats the first with that probability, and
    draws independently from the same three otherwise."""
    rng = Random(seed)
    outcomes = ("win", "tie", "loss")
    first = [rng.choice(outcomes) for _ in range(n)]
    second = [one if rng.random() < kappa else rng.choice(outcomes) for one in first]
    return first, second


def test_a_round_trip_finds_the_agreement_that_two_annotators_have(tmp_path):
    n, true_kappa = 400, 0.6
    study = make_study(pairs(n))
    export(study, {}, tmp_path / "s")
    first, second = (
        {task.id: outcome for task, outcome in zip(study.tasks, outcomes, strict=True)}
        for outcomes in agreeing(n, true_kappa, seed=1)
    )
    book = load_workbook(tmp_path / "s" / "annotator_1" / "sheet.xlsx")
    names = [cell.value for cell in book.worksheets[0][1]]
    for row in book.worksheets[0].iter_rows(min_row=2):
        task = study.task_of[row[names.index("id")].value]
        row[names.index("verdict")].value = in_sheet(study, study.sheets[0], task, first[task.id])
    book.save(tmp_path / "ann.xlsx")
    entries = [
        {"id": task.id, "verdict": in_sheet(study, study.sheets[1], task, second[task.id])}
        for task in study.tasks
    ]
    saved = {"sheet": study.sheets[1].id, "annotator": "bob", "verdicts": entries}
    (tmp_path / "bob.json").write_text(json.dumps(saved))
    results = evaluate_verdicts(
        study, read_verdicts(study, [tmp_path / "ann.xlsx", tmp_path / "bob.json"])
    )
    wins = [sum(o == "win" for o in given.values()) for given in (first, second)]
    assert shares(results)["wins"] == pytest.approx(sum(wins) / 2 / n)
    by_name = {found.name: found for found in results.agreement}
    for name in ("Cohen's kappa", "Fleiss' kappa", "Krippendorff's alpha (nominal)"):
        found = by_name[name]
        assert found.low < true_kappa < found.high
        assert found.high - found.low < 0.2
    both = sum(first[task] == second[task] for task in first)
    assert by_name["agreement"].value == pytest.approx(both / n)
    assert len(results.disagreements) == n - both


def test_reports_hold_no_markup_from_outside(tmp_path):
    hostile = "| <img src=x onerror=alert(1)> [x](javascript:1) `a` \x1b[31m **b**"
    study = make_study([(f"{hostile} {n}", "plain") for n in range(4)])
    given = {"=cmd|' /C calc'!A0": ["win"] * 4, "b | <b>": ["loss", "win", "win", "tie"]}
    results = evaluate_verdicts(study, returned(study, given))
    write_report(tmp_path, results)
    text = _markdown(results)
    assert "<img" not in text.replace("\\<img", "")
    assert "\x1b" not in text
    assert "[x](" not in text
    with (tmp_path / "merged.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8
    assert {row["annotator"] for row in rows} == {"'=cmd|' /C calc'!A0", "b | <b>"}
    assert rows[0]["verdict"] == "win"
    assert json.loads((tmp_path / "human.json").read_text())["judged"][0]["verdicts"]


def filled_sheet(folder, number, verdict):
    path = folder / f"annotator_{number}" / "sheet.csv"
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    back = folder.parent / f"back_{number}.csv"
    with back.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows([row | {"verdict": verdict(n)} for n, row in enumerate(rows)])
    return back


@pytest.fixture
def rated(tmp_path):
    """A rated study of two runs: its folder, and the runs."""
    runs = [
        make_run(tmp_path / NAMES[0], truthful, judged=lambda item: "farm" not in item.id),
        make_run(tmp_path / NAMES[1], lambda item: f"It is in {item.id}, and there is a red cow."),
    ]
    arguments = [*map(str, runs), "--benchmark", "mmhal", "--rubric", "hallucination", "--n", "12"]
    assert main(["export", *arguments, "--out", str(tmp_path / "s")]) == 0
    return tmp_path / "s", runs


def test_from_the_sheets_to_a_corrected_score(rated, capsys):
    folder, runs = rated
    backs = [filled_sheet(folder, number, lambda n: str(n % 7)) for number in (1, 2)]
    key = folder / "unblind" / "key.json"
    assert main(["import", *map(str, backs), "--key", str(key)]) == 0
    shown = capsys.readouterr().out
    assert "hallucination rate" in shown
    assert "Krippendorff" in shown
    human = folder / "unblind" / "human.json"
    assert main(["correct", str(human), *map(str, runs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["run"], each["metric"]) for each in found] == [
        (name, metric) for name in NAMES for metric in ("score", "hallucination_rate")
    ]
    for each in found:
        assert each["correction"]["n_labelled"] == 12
        assert each["correction"]["n_unlabelled"] == 12
        assert each["n_unjudged"] == (0 if each["run"] == NAMES[1] else 8)
    assert main(["correct", str(human), str(runs[0])]) == 0
    assert "corrected" in capsys.readouterr().out


def test_missing_verdicts_are_told_by_the_exit_code(rated, capsys):
    folder, _ = rated
    back = filled_sheet(folder, 1, lambda n: "" if n < 3 else "5")
    key = str(folder / "unblind" / "key.json")
    assert main(["import", str(back), "--key", key, "--out", str(folder.parent / "o")]) == 1
    assert "3 verdicts are missing" in capsys.readouterr().out
    assert main(["import", str(back), "--key", str(back)]) == 2
    assert "no key of a study" in capsys.readouterr().err


def test_a_run_whose_answers_changed_is_refused(rated, tmp_path, capsys):
    folder, _ = rated
    back = filled_sheet(folder, 1, lambda n: "5")
    assert main(["import", str(back), "--key", str(folder / "unblind" / "key.json")]) == 0
    human = str(folder / "unblind" / "human.json")
    other = make_run(tmp_path / "other", lambda item: f"Something else: {item.id}")
    assert main(["correct", human, str(other)]) == 2
    assert "rated other responses" in capsys.readouterr().err
    assert main(["correct", human, str(other), "--column", "n"]) == 2
    assert "--metric" in capsys.readouterr().err


def test_preferences_cannot_correct_ratings(tmp_path, capsys):
    study = make_study(pairs(4))
    write_report(tmp_path, evaluate_verdicts(study, returned(study, {"ann": ["win"] * 4})))
    run = make_run(tmp_path / "run", truthful)
    assert main(["correct", str(tmp_path / "human.json"), str(run)]) == 2
    assert "--rubric hallucination" in capsys.readouterr().err
