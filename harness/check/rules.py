"""What a metric is allowed to do before the gate fails.

Without a file every headline metric gets ``Rule()``. A TOML file changes that::

    alpha = 0.05                    # chance that the tests fail a run that did not get worse, all together

    [[rule]]                        # a later rule overrides an earlier one, setting by setting
    metrics = ["pope/*"]            # benchmark/metric or benchmark/metric/split; * stands for anything
    tolerance = 1.0

    [[rule]]
    metrics = ["amber/recall", "mmhal/score"]
    check = true                    # a metric that is no headline
    mode = "fixed"

Settings of a rule are the fields of ``Rule``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from benchmarks.base import BadRecordError, Metric

Mode = Literal["statistical", "fixed"]
Against = Literal["worsening", "change"]


@dataclass(frozen=True)
class Rule:
    """What is allowed to happen to a metric.

    Attributes:
        check: whether it is checked at all; without a rule that says so, headline metrics are, but
            for those that have no better and worse.
        mode: "statistical" fails where a paired test finds a worsening beyond the tolerance; "fixed" on
            any worsening beyond it, for a pipeline that must give the same numbers again.
        tolerance: the worsening that is accepted, in the unit that tables show: percentage points for
            shares, else the metric's own.
        against: "worsening", or "change" in either direction.
        min_coverage: the least share of items that must have a score.
        coverage_loss: by how much that share may be smaller than the baseline's.
    """

    check: bool | None = None
    mode: Mode = "statistical"
    tolerance: float = 0.0
    against: Against = "worsening"
    min_coverage: float = 0.95
    coverage_loss: float = 0.0

    def is_for(self, metric: Metric) -> bool:
        """Whether the metric is checked."""
        if self.check is None:
            return metric.headline and (metric.direction != "neither" or self.against == "change")
        return self.check

    def allowed(self, metric: Metric) -> float:
        """The tolerance in the metric's own unit, of which a share's is 1."""
        return self.tolerance / 100 if metric.display == "percent" else self.tolerance


@dataclass(frozen=True)
class Rules:
    """Rules by pattern, in the order in which they apply.

    Attributes:
        source: where they stand, for a person.
        alpha: the chance that the tests of a whole gate fail a run that did not get worse.
    """

    source: str = "defaults"
    alpha: float = 0.05
    changes: Sequence[tuple[Sequence[str], Mapping[str, Any]]] = ()

    def of(self, key: str) -> Rule:
        """The rule of a metric, by ``key_of``."""
        rule = Rule()
        for patterns, settings in self.changes:
            if any(_matches(pattern, key) for pattern in patterns):
                rule = replace(rule, **settings)
        return rule

    def check_names(self, metrics: Mapping[str, Metric]) -> None:
        """Refuse a pattern that touches nothing that is checked; ``metrics`` are all, by key.

        Raises:
            BadRecordError: with similar names.
        """
        checked = {key for key, metric in metrics.items() if self.of(key).is_for(metric)}
        for pattern, settings in ((p, s) for patterns, s in self.changes for p in patterns):
            met = [key for key in metrics if _matches(pattern, key)]
            if not met:
                raise self._error(
                    f"no metric of the baseline is called {pattern!r}{similar(pattern, metrics)}"
                )
            if settings.get("check") is not False and checked.isdisjoint(met):
                raise self._error(
                    f"{pattern!r} is about metrics that are not checked; add check = true to its rule"
                )
            for key in checked.intersection(met):
                if metrics[key].direction == "neither" and self.of(key).against == "worsening":
                    raise self._error(f'{key} has no better and worse; give it against = "change"')

    def _error(self, problem: str) -> BadRecordError:
        return BadRecordError(f"{self.source}: {problem}")


def key_of(folder: str, metric: Metric) -> str:
    """How a metric is named in rules: ``pope/mean_f1``, ``pope/f1/adversarial``."""
    return "/".join(filter(None, (folder, metric.name, metric.split)))


def _matches(pattern: str, key: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), key, re.DOTALL) is not None


def similar(name: str, known: Iterable[str]) -> str:
    """A hint at names like this one, to end an error with."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.4)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def read_rules(path: Path) -> Rules:
    """Rules from a TOML file. Raises BadRecordError with what is wrong in it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadRecordError(f"{path} cannot be read as TOML: {error}") from error
    _refuse_unknown(str(path), content, ("alpha", "rule"))
    alpha = _number(f"{path}: alpha", content.get("alpha", Rules.alpha))
    if not 0 < alpha < 1:
        raise BadRecordError(f"{path}: alpha is {alpha}; give a share between 0 and 1")
    given = content.get("rule", [])
    if not isinstance(given, list) or not all(isinstance(rule, dict) for rule in given):
        raise BadRecordError(f"{path}: write each rule below a line [[rule]]")
    return Rules(str(path), alpha, [_rule(f"{path}, rule {n}", r) for n, r in enumerate(given, 1)])


def _rule(place: str, given: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    patterns = given.get("metrics")
    if not (isinstance(patterns, list) and patterns and all(isinstance(p, str) for p in patterns)):
        raise BadRecordError(f'{place}: say which metrics it is for: metrics = ["pope/mean_f1"]')
    settings = {name: value for name, value in given.items() if name != "metrics"}
    _refuse_unknown(place, settings, [one.name for one in fields(Rule)])
    for name, value in settings.items():
        _check_setting(f"{place}: {name}", name, value)
    return patterns, settings


def _check_setting(place: str, name: str, value: Any) -> None:
    if name == "check":
        if not isinstance(value, bool):
            raise BadRecordError(f"{place} is {value!r}; write true or false")
    elif name in ("mode", "against"):
        choices = get_args(Mode if name == "mode" else Against)
        if value not in choices:
            raise BadRecordError(f"{place} is {value!r}; choose from {', '.join(choices)}")
    elif not 0 <= _number(place, value) <= (1 if name != "tolerance" else float("inf")):
        wanted = "0 or more" if name == "tolerance" else "a share between 0 and 1"
        raise BadRecordError(f"{place} is {value!r}; give {wanted}")


def _number(place: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecordError(f"{place} is {value!r}, not a number")
    return float(value)


def _refuse_unknown(place: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            hint = similar(name, known) or f" (known: {', '.join(known)})"
            raise BadRecordError(f"{place}: there is no setting {name!r}{hint}")
