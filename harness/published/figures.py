"""Reading ``results/published/``.

A figure is one printed number. It is kept as it was printed, with its unit; ``value`` is in the unit of our metric.
What is known about figures beyond their tables stands in two more files: remarks (which figures are doubtful, and
why), and setups (how a source measured, where that is on record).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from benchmarks.base import BadRecordError, PlumblineError
from harness.published.metrics import Aspect, Doubt, MetricKey, Place, Unit, place, unit_of

IN_A_CLONE = Path(__file__).parents[2] / "results" / "published"
NOT_ON_RECORD = "not on record"

Effect = Literal["excluded", "deviates", "doubt", "told"]


class Source(NamedTuple):
    """Where figures were printed.

    Attributes:
        source: its short name here, which is the name of its file of figures.
        id: arXiv id with version, DOI, or repository.
        read_in: the copy that was read, where that is not the source itself.
    """

    source: str
    id: str
    name: str
    read_in: str


class Remark(NamedTuple):
    """What is known about some figures.

    The fields from ``source`` to ``origin`` are patterns (``*`` and ``|``) that a figure must match; an empty
    one matches all.

    Attributes:
        effect: "excluded": the figures are not the metric that their column names; "deviates": they were
            measured in another way; "doubt": it is not clear what they are; "told": a reader should know.
        aspect: what "deviates" or "doubt" is about; empty otherwise.
        group: figures of one column with different groups were counted in different ways.
    """

    effect: Effect
    aspect: Aspect | Literal[""]
    source: str
    location: str
    benchmark: str
    metric: str
    setting: str
    model: str
    method: str
    origin: str
    group: str
    text: str


class Setup(NamedTuple):
    """How a source measured, where that is on record.

    Attributes:
        location: pattern; empty for the whole source. ``setting`` likewise.
        benchmark: as ``benchmark_key`` names it.
        option: where a run's protocol says the same thing, with dots between levels; "judge" for the models that
            judged; empty where no run of ours can agree.
        value: what it must be there.
        text: to be read behind the source's name.
    """

    source: str
    location: str
    benchmark: str
    setting: str
    aspect: Aspect
    option: str
    value: str
    text: str


@dataclass(frozen=True)
class Figure:
    """One printed number.

    Attributes:
        key: the metric of ours that it is; None where it is none, with the reason in ``excluded``.
        value: in the unit of that metric; in the printed unit if there is none.
        step: what one in the last printed digit is worth, in the same unit.
        benchmark: as the source names it; ``metric`` and ``setting`` likewise.
        model: the backbone. method: how it was aligned; "none" if it was not.
        data: the preference data, for methods whose name does not imply them, or "not on record".
        judge: as far as the source states it.
        origin: whose number it is, where known: "trained" (by the source), "evaluated", "reproduced", "released
            checkpoint", "official API", "quoted", "quoted: WHERE FROM".
        verified: read in the source itself.
        doubts: what keeps it from being called comparable: what the source leaves open.
        setups: how the source measured, by aspect.
    """

    key: MetricKey | None
    value: float
    step: float
    printed: str
    unit: Unit
    benchmark: str
    metric: str
    setting: str
    model: str
    method: str
    data: str
    judge: str
    origin: str
    verified: bool
    source: Source
    location: str
    excluded: str
    doubts: tuple[Doubt, ...]
    remarks: tuple[Remark, ...]
    setups: Mapping[Aspect, Setup]

    @property
    def source_id(self) -> str:
        return self.source.id

    @property
    def source_loc(self) -> str:
        return self.location

    @property
    def note(self) -> str:
        """What is known about it beyond its table."""
        return "; ".join(remark.text for remark in self.remarks)

    @property
    def group(self) -> str:
        """How it was counted, where sources count in different ways."""
        return next((remark.group for remark in self.remarks if remark.group), "")

    @property
    def is_quoted(self) -> bool:
        """Whether the source took it from elsewhere."""
        return self.origin.startswith("quoted")

    @property
    def place(self) -> str:
        """ "mDPO, Table 1"; of a path its last name."""
        return f"{self.source.name}, {self.location.rpartition('/')[2]}"


def read(folder: Path | None = None) -> Sequence[Figure]:
    """All figures, source by source, in the order of their tables.

    Args:
        folder: like ``results/published/``; that of this clone by default.

    Raises:
        PlumblineError: there is no such folder.
        BadRecordError: a file of it is damaged.
    """
    if folder is None and not IN_A_CLONE.is_dir():
        raise PlumblineError(
            "the published figures are not part of the installed package: clone the repository and name its "
            "folder, --published-dir CLONE/results/published"
        )
    return _read((folder or IN_A_CLONE).resolve())


@lru_cache(maxsize=4)
def _read(folder: Path) -> Sequence[Figure]:
    if not (folder / "sources.csv").is_file():
        raise PlumblineError(
            f"{folder} holds no published figures (sources.csv is missing): name a folder like results/published"
        )
    sources = [Source(**record) for _, record in _records(folder / "sources.csv", Source._fields)]
    remarks = [
        _remark(where, record) for where, record in _records(folder / "remarks.csv", Remark._fields)
    ]
    setups = [
        _setup(where, record) for where, record in _records(folder / "setups.csv", Setup._fields)
    ]
    found: list[Figure] = []
    for source in sources:
        about = [r for r in remarks if _matches(r.source, source.source)]
        measured = [s for s in setups if s.source == source.source]
        for where, record in _records(folder / "figures" / f"{source.source}.csv", COLUMNS):
            found.append(_figure(where, record, source, about, measured))
    return found


COLUMNS = (
    "location", "benchmark", "metric", "setting", "model", "method", "data",
    "value", "unit", "judge", "origin", "verified",
)  # fmt: skip


def _records(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV file, each with the place that an error names."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            if tuple(reader.fieldnames or ()) != tuple(columns):
                raise BadRecordError(f"{path}, line 1: the columns must be {', '.join(columns)}")
            for record in reader:
                where = f"{path}, line {reader.line_num}"
                if None in record or None in record.values():
                    raise BadRecordError(f"{where}: {len(columns)} fields are wanted")
                yield where, record
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecordError(f"{path} cannot be read ({error}). Restore it") from error


def _remark(where: str, record: Mapping[str, str]) -> Remark:
    _check(where, "effect", record["effect"], get_args(Effect))
    has_aspect = record["effect"] in ("deviates", "doubt")
    _check(where, "aspect", record["aspect"], get_args(Aspect) if has_aspect else ("",))
    return Remark(**record)  # type: ignore[arg-type]  # both were checked


def _setup(where: str, record: Mapping[str, str]) -> Setup:
    _check(where, "aspect", record["aspect"], get_args(Aspect))
    return Setup(**record)  # type: ignore[arg-type]  # the aspect was checked


def _check(where: str, name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise BadRecordError(f"{where}: {name} is {value!r}; write {' or '.join(known)}")


@cache  # few values, thousands of figures
def _matches(patterns: str, value: str) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns.split("|"))


_SELECTORS = ("location", "benchmark", "metric", "setting", "model", "method", "origin")


def _figure(
    where: str,
    record: dict[str, str],
    source: Source,
    remarks: Sequence[Remark],
    setups: Sequence[Setup],
) -> Figure:
    _check(where, "unit", record["unit"], get_args(Unit))
    _check(where, "verified", record["verified"], ("yes", "no"))
    about = tuple(
        remark
        for remark in remarks
        if all(_matches(getattr(remark, name), record[name]) for name in _SELECTORS)
    )
    key, excluded, doubts, measured = _placed(where, record, about, setups)
    value, step = _number(where, record, key)
    return Figure(
        key=key,
        value=value,
        step=step,
        printed=record["value"],
        unit=record["unit"],  # type: ignore[arg-type]  # it was checked
        verified=record["verified"] == "yes",
        source=source,
        excluded=excluded,
        doubts=doubts,
        remarks=about,
        setups=measured,
        **{name: record[name] for name in COLUMNS if name not in ("value", "unit", "verified")},
    )


class _Placed(NamedTuple):
    key: MetricKey | None
    excluded: str
    doubts: tuple[Doubt, ...]
    setups: Mapping[Aspect, Setup]


def _placed(
    where: str, record: Mapping[str, str], remarks: Sequence[Remark], setups: Sequence[Setup]
) -> _Placed:
    """Which metric of ours it is, after the general rules and what is known about the figure itself."""
    try:
        found = place(record["benchmark"], record["metric"], record["setting"], record["judge"])
    except KeyError as error:
        raise BadRecordError(
            f"{where}: no rule says what {record['metric']!r} of {record['benchmark']!r} is; "
            "add it to harness/published/metrics.py"
        ) from error
    for remark in remarks:
        if remark.effect == "excluded":
            found = Place(None, excluded=remark.text)
    if found.key is None:
        return _Placed(None, found.excluded, (), {})
    measured = {
        setup.aspect: setup
        for setup in setups
        if setup.benchmark == found.key.benchmark
        and _matches(setup.location, record["location"])
        and _matches(setup.setting, record["setting"])
    }
    settled = found.doubt is None or found.doubt.aspect in measured
    doubts = [] if settled or found.doubt is None else [found.doubt]
    doubts += [
        Doubt(remark.aspect, remark.text)
        for remark in remarks
        if remark.effect == "doubt" and remark.aspect
    ]
    return _Placed(found.key, "", tuple(doubts), measured)


def _number(where: str, record: Mapping[str, str], key: MetricKey | None) -> tuple[float, float]:
    """Value and step, converted in decimal so that 54.7 percent becomes 0.547."""
    try:
        value = Decimal(record["value"])
        exponent = value.as_tuple().exponent
    except InvalidOperation:
        exponent = "n"
    if not isinstance(exponent, int):
        raise BadRecordError(f"{where}: the value is {record['value']!r}, which is no number")
    printed, ours = record["unit"], unit_of(key) if key else record["unit"]
    shift = {("percent", "share"): -2, ("share", "percent"): 2}.get((printed, ours), 0)
    if shift == 0 and printed != ours:
        raise BadRecordError(
            f"{where}: {record['metric']} is printed in {printed}; expected {ours}"
        )
    return float(value.scaleb(shift)), float(Decimal(1).scaleb(exponent + shift))
