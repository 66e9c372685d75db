"""Rules files: what they say, and what is refused with the place and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.base import BadRecordError, Metric
from harness.check.rules import Rule, Rules, key_of, read_rules


def metric(name: str = "f1", split: str = "", **changes: object) -> Metric:
    given = {"value": 0.9, "low": None, "high": None, "n_scored": 1, "n_asked": 1}
    return Metric(name, split, **{**given, "direction": "higher", "headline": True, **changes})  # type: ignore[arg-type]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


def test_a_later_rule_overrides_an_earlier_one_setting_by_setting(file: Path) -> None:
    rules = read_rules(
        written(
            file,
            """
            alpha = 0.01
            [[rule]]
            metrics = ["pope/*", "mmhal/score"]
            tolerance = 2
            mode = "fixed"
            [[rule]]
            metrics = ["pope/f1/*"]
            tolerance = 0.5
            """,
        )
    )
    assert rules.alpha == 0.01
    assert rules.of("pope/mean_f1") == rules.of("mmhal/score") == Rule(tolerance=2, mode="fixed")
    assert rules.of("pope/f1/random") == Rule(tolerance=0.5, mode="fixed")
    assert rules.of("amber/f1") == Rule()


def test_only_the_star_is_special() -> None:
    rules = Rules(changes=[(["lmms/acc[1]"], {"tolerance": 1.0}), (["a*c"], {"tolerance": 2.0})])
    assert rules.of("lmms/acc[1]").tolerance == 1
    assert rules.of("lmms/acc1").tolerance == 0
    assert rules.of("a/b\nc").tolerance == 2


def test_headlines_with_a_better_and_worse_are_checked_by_default() -> None:
    assert Rule().is_for(metric())
    assert not Rule().is_for(metric(headline=False))
    assert not Rule().is_for(metric(direction="neither"))
    assert Rule(against="change").is_for(metric(direction="neither"))
    assert Rule(check=True).is_for(metric(headline=False))
    assert not Rule(check=False).is_for(metric())


def test_a_tolerance_has_the_unit_of_the_table() -> None:
    rule = Rule(tolerance=2)
    assert rule.allowed(metric()) == 0.02
    assert rule.allowed(metric(display="points")) == 2
    assert rule.allowed(metric(display="number")) == 2


def test_keys_leave_out_an_empty_split() -> None:
    assert key_of("pope", metric("mean_f1")) == "pope/mean_f1"
    assert key_of("pope", metric("f1", "random")) == "pope/f1/random"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("alpha = 0.05\nalpah = 1", "no setting 'alpah'; did you mean alpha?"),
        ("alpha = 1", "alpha is 1.0; give a share between 0 and 1"),
        ('alpha = "much"', "alpha is 'much', not a number"),
        ("alpha = ", "cannot be read as TOML"),
        ("rule = 3", "[[rule]]"),
        ("[rule]\nmetrics = ['a']", "[[rule]]"),
        ("[[rule]]\ntolerance = 1", "rule 1: say which metrics it is for"),
        ("[[rule]]\nmetrics = 'pope/f1'", "rule 1: say which metrics it is for"),
        ("[[rule]]\nmetrics = []", "rule 1: say which metrics it is for"),
        ("[[rule]]\nmetrics = ['a']\ntolerence = 1", "did you mean tolerance?"),
        ("[[rule]]\nmetrics = ['a']\ntolerance = -1", "tolerance is -1; give 0 or more"),
        ("[[rule]]\nmetrics = ['a']\ntolerance = nan", "tolerance is nan; give 0 or more"),
        ("[[rule]]\nmetrics = ['a']\ntolerance = true", "tolerance is True, not a number"),
        ("[[rule]]\nmetrics = ['a']\nmin_coverage = 95", "a share between 0 and 1"),
        ("[[rule]]\nmetrics = ['a']\nmode = 'strict'", "choose from statistical, fixed"),
        ("[[rule]]\nmetrics = ['a']\nagainst = ['change']", "choose from worsening, change"),
        ("[[rule]]\nmetrics = ['a']\ncheck = 1", "write true or false"),
    ],
)
def test_bad_rules_are_refused(file: Path, text: str, told: str) -> None:
    with pytest.raises(BadRecordError) as refused:
        read_rules(written(file, text))
    assert told in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(BadRecordError, match=r"rules\.toml cannot be read"):
        read_rules(file)


@pytest.mark.parametrize(
    ("pattern", "settings", "told"),
    [
        ("pope/f2", {}, "did you mean pope/f1"),
        ("pope/recall", {"tolerance": 1.0}, "add check = true"),
        ("pope/yes_ratio", {"check": True}, 'give it against = "change"'),
    ],
)
def test_rules_that_do_nothing_are_refused(
    pattern: str, settings: dict[str, object], told: str
) -> None:
    there = {
        "pope/f1": metric(),
        "pope/recall": metric("recall", headline=False),
        "pope/yes_ratio": metric("yes_ratio", direction="neither", headline=False),
    }
    Rules(changes=[(["pope/recall"], {"check": True}), (["*"], {})]).check_names(there)
    Rules(changes=[(["pope/f1"], {"check": False})]).check_names(there)
    with pytest.raises(BadRecordError, match="defaults: ") as refused:
        Rules(changes=[([pattern], settings)]).check_names(there)
    assert told in str(refused.value)
