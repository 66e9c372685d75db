"""Published figures: the files are whole, columns are what they are called, conflicts are seen, traps avoided."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import BadRecordError, Edition, MetricSpec, PlumblineError
from benchmarks.registry import BENCHMARKS, open_benchmark
from harness.published import (
    PAPER_TABLES,
    Figure,
    MetricKey,
    PublishedRow,
    columns_of_table,
    conflicts,
    distinct,
    find,
    read,
    rows_of_table,
)
from harness.published.figures import IN_A_CLONE, NOT_ON_RECORD
from harness.published.metrics import unit_of

CHAIRI = MetricKey("object_halbench", "CHAIRi")
SCORE = MetricKey("mmhal", "score")
RATE = MetricKey("mmhal", "hallucination_rate")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(IN_A_CLONE, tmp_path / "published"))


def named(rows: list[PublishedRow], name: str) -> PublishedRow:
    (row,) = (row for row in rows if row.name == name)
    return row


def printed(figures: tuple[Figure, ...]) -> list[str]:
    return [figure.printed for figure in figures]


# The files


def test_every_source_has_its_file_and_every_file_its_source() -> None:
    files = {path.stem for path in (IN_A_CLONE / "figures").glob("*.csv")}
    sources = Counter(figure.source.source for figure in read())
    assert files == {*sources}
    assert len({figure.source.id for figure in read()}) == len(files)


def test_no_figure_is_there_twice() -> None:
    cells = Counter(
        (
            f.source,
            f.location,
            f.benchmark,
            f.metric,
            f.setting,
            f.model,
            f.method,
            f.data,
            f.origin,
        )
        for f in read()
    )
    assert [cell for cell, n in cells.items() if n > 1] == []


def test_every_remark_and_setup_is_about_some_figure() -> None:
    told = {remark for figure in read() for remark in figure.remarks}
    measured = {setup for figure in read() for setup in figure.setups.values()}
    for name, used in (("remarks.csv", told), ("setups.csv", measured)):
        with (IN_A_CLONE / name).open(encoding="utf-8", newline="") as stream:
            written = [tuple(record.values()) for record in csv.DictReader(stream)]
        assert [record for record in written if record not in {tuple(each) for each in used}] == []


def test_figures_name_metrics_that_the_benchmarks_have_in_their_units() -> None:
    for key in {figure.key for figure in read() if figure.key}:
        if key.benchmark in ("alpacaeval_1", "mmbench_cn"):
            continue  # the same benchmark with other options
        spec = spec_of(key)
        numbers = {"hallucination_rate": "share", "score": "0-6", "average": "1-10"}
        unit = {"percent": "share", "points": "percent"}.get(spec.display) or numbers[spec.name]
        assert unit_of(key) == unit, key


SPECS: dict[str, list[MetricSpec]] = {}


def spec_of(key: MetricKey) -> MetricSpec:
    """The pocket edition has the official metrics, but for a capability of MM-Vet and a split of MMBench."""
    if key.benchmark not in SPECS:
        edition: Edition = "official" if key.benchmark == "chair" else "pocket"
        SPECS[key.benchmark] = [*open_benchmark(key.benchmark, edition).metric_specs()]
    name = {"ocr": "rec"}.get(key.name, key.name)
    split = {"test": "dev"}.get(key.split, key.split)
    (spec,) = (s for s in SPECS[key.benchmark] if (s.name, s.split) == (name, split))
    return spec


def test_benchmarks_of_figures_are_registered() -> None:
    names = {figure.key.benchmark for figure in read() if figure.key}
    assert names - {"alpacaeval_1", "mmbench_cn"} == {*BENCHMARKS}


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("figures/mdpo.csv", "3.49,0-6", "3.4g,0-6", "the value is '3.4g'"),
        ("figures/mdpo.csv", "3.49,0-6", "nan,0-6", "the value is 'nan'"),
        ("figures/mdpo.csv", "3.49,0-6", "3.49,points", "unit is 'points'"),
        ("figures/mdpo.csv", "3.49,0-6", "3.49,percent", "is printed in percent; expected 0-6"),
        ("figures/mdpo.csv", "overall score", "grand score", "no rule says what 'grand score'"),
        ("figures/mdpo.csv", ",yes\n", ",yes,more\n", "12 fields"),
        ("figures/mdpo.csv", "location,", "place,", "the columns must be location"),
        ("figures/mdpo.csv", ",yes\n", ",maybe\n", "verified is 'maybe'"),
        ("remarks.csv", "doubt,metric", "doubt,colour", "aspect is 'colour'"),
        ("remarks.csv", "doubt,metric", "hunch,metric", "effect is 'hunch'"),
        ("setups.csv", ",decoding,", ",speed,", "aspect is 'speed'"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(
    copy: Path, file: str, old: str, new: str, problem: str
) -> None:
    path = copy / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadRecordError, match=re.escape(problem)) as error:
        read(copy)
    assert re.search(rf"{re.escape(str(path))}, line \d+: ", str(error.value))


def test_an_absent_file_or_folder_is_named(copy: Path, tmp_path: Path) -> None:
    (copy / "figures" / "tars.csv").unlink()
    with pytest.raises(BadRecordError, match=re.escape("tars.csv cannot be read")):
        read(copy)
    with pytest.raises(PlumblineError, match="holds no published figures"):
        read(tmp_path)


def test_an_installed_package_says_where_the_figures_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "harness.published.figures.IN_A_CLONE", Path("site-packages/results/published")
    )
    with pytest.raises(PlumblineError, match=r"--published-dir CLONE/results/published"):
        read()


# What a column is


def test_units_are_brought_to_ours_and_the_printed_number_stays() -> None:
    (share,) = find("llava-1.5-7b mdpo", [RATE])[0].cells[RATE]
    (percent,) = (f for f in find("llava-1.6-7b chip", [RATE])[0].cells[RATE] if f.setting == "")
    assert (share.printed, share.unit, share.value) == ("0.54", "share", 0.54)
    assert (percent.printed, percent.unit, percent.value) == ("39.6", "percent", 0.396)
    pope = MetricKey("pope", "mean_f1")
    found = {f.source.source: f for f in find("llava-1.5-13b none", [pope])[0].cells[pope]}
    assert (found["li"].printed, found["li"].value, found["li"].step) == ("0.859", 0.859, 0.001)
    assert (found["llava_repo"].printed, found["llava_repo"].value) == ("85.9", 0.859)


def test_alpacaeval_1_and_2_share_no_column() -> None:
    first = {f.model: f for f in read() if f.key == MetricKey("alpacaeval_1", "win_rate")}
    second = {f.model: f for f in read() if f.key == MetricKey("alpacaeval", "win_rate")}
    assert {f.benchmark for f in first.values()} == {"AlpacaEval"}
    assert {f.benchmark for f in second.values()} == {"AlpacaEval 2"}
    assert first["vicuna-13b-v1.3"].value > 70 > 20 > second["vicuna-13b-v1.3"].value


@pytest.mark.parametrize(
    ("source", "benchmark", "metric"),
    [
        ("rlhf_v", "MMHal-Bench", "hallucination rate"),
        ("rlhf_v", "LLaVA-Bench", "Conv."),
        ("llava_rlhf", "LLaVA-Bench", "relative score (full set)"),
        ("tpo", "MMBench", "accuracy"),
        ("alignment_study", "MMHalBench-Vision", "overall score"),
        ("li", "MT-Bench (irrelevant image in context)", "score"),
        ("tars", "POPE", "Precision"),
    ],
)
def test_what_only_has_the_name_is_no_column_of_ours(
    source: str, benchmark: str, metric: str
) -> None:
    about = (source, benchmark, metric)
    found = [f for f in read() if (f.source.source, f.benchmark, f.metric) == about]
    assert found
    assert all(f.key is None and f.excluded for f in found)


def test_a_metric_that_is_not_stated_is_taken_with_a_doubt_unless_it_is_on_record() -> None:
    unnamed = [f for f in read() if "not stated" in f.metric]
    doubtful = {f.source.source for f in unnamed if f.doubts}
    assert {"re_align", "li", "alignment_study", "povid", "bunny_repo"} == doubtful
    assert {f.source.source for f in unnamed} - doubtful == {"llava_repo"}


# Rows


def test_a_dpo_row_names_its_preference_data_and_stands_alone_where_none_are_stated() -> None:
    rows = [row for row in find("llava-1.5-7b dpo", [SCORE]) if row.method == "DPO"]
    scores = {
        row.name.removeprefix("LLaVA-1.5-7B + DPO "): printed(row.cells[SCORE]) for row in rows[:1]
    }
    assert scores == {"[data: Silkie 10K]": ["2.14"]}
    unknown = [row for row in rows if row.data == NOT_ON_RECORD]
    assert sorted(source.source for row in unknown for source in row.sources) == ["lpoi", "tpo"]
    assert all(len(row.sources) == 1 for row in unknown)
    assert all(row.data for row in find(None) if row.method in ("DPO", "mDPO"))


def test_conflicting_values_stand_together_with_how_they_count() -> None:
    row = named(find("llava-1.5-7b none", [CHAIRI]), "LLaVA-1.5-7B")
    groups: dict[str, list[str]] = {}
    for figure in row.cells[CHAIRI]:
        groups.setdefault(figure.group, []).append(figure.printed)
    assert sorted({*groups["higher mention counts"]}) == ["25.2", "26.1", "27.8", "28.0"]
    assert sorted({*groups["lower mention counts"]}) == ["15.8", "15.9"]
    assert {*groups} == {"higher mention counts", "lower mention counts"}


def test_trained_on_a_part_of_the_data_is_another_model() -> None:
    average = MetricKey("mtbench", "average")
    rows = find("llava-1.5-13b dpo", [average]) + find("llava-1.5-13b dpo subset", [average])
    rows += find("llava-1.5-13b dpo flipped", [average])
    numbers = {row.variant: {*printed(row.cells[average])} for row in rows}
    assert numbers[""] == {"6.73"}
    assert numbers["DPO data subset 25%"] == {"6.39"}
    assert numbers["preference labels: 75% flipped"] == {"5.99"}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("llava-1.5-7b mdpo", "LLaVA-1.5-7B + mDPO [data: Silkie 10K]"),
        ("Bunny MDPO", "Bunny-v1.0-3B + mDPO [data: Silkie 10K]"),
        ("llava-1.5-7b none", "LLaVA-1.5-7B"),
        ("rlaif-v napo", "LLaVA-1.5-7B + NaPO [data: RLAIF-V-Bias]"),
        ("arXiv:2406.11839 hacl", "LLaVA-1.5-7B + HACL"),
        ("alva", "LLaVA-1.5-7B + HALVA"),
        ("chip without segment", "LLaVA-1.6-7B + CHiP without segment-level term"),
        ("bunny-v1.0-3b + mdpo without both (= DPO)", "Bunny-v1.0-3B + mDPO without both (= DPO)"),
        (
            "LLaVA-1.5-7B + DPO [data: not on record: LPOI]",
            "LLaVA-1.5-7B + DPO [data: not on record: LPOI]",
        ),
    ],
)
def test_rows_are_found_by_words(query: str, name: str) -> None:
    assert find(query)[0].name == name


def test_a_word_stands_for_what_begins_with_it() -> None:
    methods = {row.method for row in find("dpo", [SCORE])}
    assert "DPO" in methods
    assert not methods & {"HA-DPO", "mDPO", "HSA-DPO", "CHiP"}


def test_a_source_takes_the_figures_of_this_source_only() -> None:
    rows = find("arXiv:2406.11839")
    assert {source.source for row in rows for source in row.sources} == {"mdpo"}


def test_without_words_every_row_but_ablations_is_there() -> None:
    names = {row.name for row in find(None, [SCORE])}
    assert {"LLaVA-1.5-7B", "Qwen-VL-Chat + Silkie [data: VLFeedback 80K]"} <= names
    assert not any("rejected image" in name for name in names)
    assert {row.name for row in find("rejected image", [SCORE])}
    assert all(SCORE in row.cells for row in find(None, [SCORE]))


def test_nothing_found_suggests_what_is_similar() -> None:
    with pytest.raises(
        PlumblineError,
        match=r"no published figure is about 'llava-1.5-7b halvaa'; did you mean .*halva",
    ):
        find("llava-1.5-7b halvaa")
    with pytest.raises(PlumblineError, match="not about the metrics of this table"):
        find("zephyr-7b-beta", [SCORE])


# The papers' tables


def test_mdpo_table_1_in_its_order() -> None:
    rows = rows_of_table(*PAPER_TABLES["mdpo-table1"])
    assert len(rows) == 21
    assert [row.name for row in rows][:3] == [
        "GPT-4V (quoted)",
        "LLaVA-1.5-7B (quoted)",
        "LLaVA-1.5-7B + HACL (quoted)",
    ]
    assert [row.name for row in rows][-3:] == [
        "LLaVA-1.5-7B",
        "LLaVA-1.5-7B + DPO [data: Silkie 10K]",
        "LLaVA-1.5-7B + mDPO [data: Silkie 10K]",
    ]
    assert printed(rows[1].cells[CHAIRI]) == ["25.2"]
    assert printed(rows[-3].cells[CHAIRI]) == ["15.9"]
    assert all(len(figures) == 1 for row in rows for figures in row.cells.values())
    columns = columns_of_table(*PAPER_TABLES["mdpo-table1"])
    assert [c.key.name for c in columns if c.key] == [
        "score", "hallucination_rate", "CHAIRs_refine", "CHAIRi", "CHAIR", "Cover", "Hal", "Cog",
    ]  # fmt: skip


def test_li_table_in_its_order() -> None:
    rows = rows_of_table(*PAPER_TABLES["li-table"])
    assert [(row.model, row.method) for row in rows][:2] == [
        ("Vicuna-1.5-13B", "none"),
        ("LLaVA-1.5-13B", "none"),
    ]
    assert [row.method for row in rows][2:] == [
        "LLaVA-RLHF", "Standard SFT", "SteerLM", "Rejection sampling", "DPO",
    ]  # fmt: skip
    assert [c.benchmark for c in columns_of_table(*PAPER_TABLES["li-table"])] == [
        "MT-Bench", "AlpacaEval", "MM-Vet", "LLaVA-Bench (In-the-Wild)", "POPE", "MMBench",
    ]  # fmt: skip


def test_alignment_study_in_its_order() -> None:
    rows = rows_of_table("arXiv:2407.02477", "Table 2")
    assert rows == rows_of_table(*PAPER_TABLES["alignment-study"])
    assert [row.name for row in rows[:3]] == [
        "LLaVA-1.6-Vicuna-7B", "LLaVA-1.6-13B", "LLaVA-1.6-34B",
    ]  # fmt: skip
    columns = columns_of_table(*PAPER_TABLES["alignment-study"])
    assert [c.benchmark for c in columns if c.key is None] == [
        "MMHalBench-Vision",
        "TextVQA",
        "GQA",
    ]
    assert [f.benchmark for f in rows[0].others] == ["MMHalBench-Vision", "TextVQA", "GQA"]


def test_a_table_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(PlumblineError, match=r"Table 7 .*Table 1, Table 2"):
        rows_of_table("mdpo", "Table 7")
    with pytest.raises(PlumblineError, match="no figure is from this source"):
        rows_of_table("nobody", "Table 1")


# Conflicts


def test_rounding_is_no_conflict() -> None:
    rows = find("llava-1.6-7b dpo", [SCORE, RATE])
    row = named(rows, f"LLaVA-1.6-7B + DPO [data: {NOT_ON_RECORD}: CHiP]")
    assert printed(row.cells[SCORE]) == ["2.7", "2.73"]
    assert len(distinct(row.cells[SCORE])) == 1
    assert len(distinct(row.cells[RATE])) == 1


@given(st.permutations(range(5)))
def test_distinct_values_do_not_depend_on_the_order(order: list[int]) -> None:
    figures = named(find("llava-1.5-7b none", [SCORE]), "LLaVA-1.5-7B").cells[SCORE][:5]
    values = {frozenset(map(id, group)) for group in distinct(figures)}
    assert {frozenset(map(id, group)) for group in distinct([figures[i] for i in order])} == values


def test_one_source_may_disagree_with_itself() -> None:
    found = [
        c for c in conflicts(read()) if c.row == "LLaVA-1.6-Vicuna-7B" and c.column[0] == "mmhal"
    ]
    (values,) = (c.values for c in found)
    assert {figure.source.source for group in values for figure in group} == {"alignment_study"}
    assert {group[0].printed for group in values} == {"2.95", "3.06"}


# Against the list that this was made from


@pytest.fixture(scope="module")
def shared(pytestconfig: pytest.Config) -> Path:
    folder = pytestconfig.rootpath.parent / "shared" / "published"
    if not folder.is_dir():
        pytest.skip(f"the collected figures are not here ({folder})")
    return folder


def records(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [*csv.DictReader(stream)]


def by_source(
    collected: list[dict[str, str]],
) -> Iterator[tuple[list[Figure], list[dict[str, str]]]]:
    sources = dict.fromkeys(figure.source for figure in read())
    for source in sources:
        ours = [figure for figure in read() if figure.source == source]
        theirs = [
            r
            for r in collected
            if r["source_id"] == source.id or _is_named(source.id, r["source_id"])
        ]
        yield ours, theirs


def _is_named(ours: str, theirs: str) -> bool:
    """A DOI or a venue, behind which they write more."""
    place, _, name = ours.partition(": ")
    return theirs.startswith((f"{ours} (", f"{place}: ")) and name in theirs


def test_every_collected_figure_is_here_unchanged(shared: Path) -> None:
    collected = records(shared / "published.csv")
    units = {
        "unit: percent": "percent",
        "unit: fraction": "share",
        "scale 0-6": "0-6",
        "scale 1-10": "1-10",
    }
    n_seen = 0
    for ours, theirs in by_source(collected):
        assert len(ours) == len(theirs)
        for figure, record in zip(ours, theirs, strict=True):
            assert (figure.benchmark, figure.metric, figure.setting, figure.model, figure.judge, figure.printed) == (
                record["benchmark"], record["metric"], record["split_or_setting"], record["model"], record["judge"],
                record["value"],
            )  # fmt: skip
            assert figure.unit == units[record["note"].split("; ")[0]]
            assert figure.verified == (record["verified"] == "seen_in_source")
            assert words(figure.method) <= words(record["method"]), record["method"]
            assert words(figure.location.rpartition("/")[2]) <= words(record["source_loc"])
            n_seen += 1
    assert n_seen == len(collected)


def words(text: str) -> set[str]:
    return {*re.findall(r"[\w.@%-]+", text)}


def test_the_collected_conflicts_are_found_or_are_about_different_models(shared: Path) -> None:
    found = {
        (group[0].benchmark, named_metric(group[0].metric), group[0].model, group[0].method)
        for conflict in conflicts(read())
        for group in conflict.values
    }
    listed = [
        (r["benchmark"], r["metric"], r["model"], r["method"])
        for r in records(shared / "conflicts.csv")
    ]
    missing = [cell for cell in listed if cell not in found]
    # The method's name held the data there.
    renamed = [cell for cell in missing if "data" in cell[3] or "VLFeedback" in cell[3]]
    assert all((*cell[:3], "DPO") in found for cell in renamed)
    for cell in (cell for cell in missing if cell not in renamed):
        figures = [f for f in read() if (f.benchmark, f.metric, f.model, f.method) == cell]
        models = {(f.data, f.source if f.data == NOT_ON_RECORD else "", f.setting) for f in figures}
        by_people = {f.judge == "human" for f in figures}
        assert len(models) > 1 or len(by_people) > 1, cell
    assert len(listed) - len(missing) > len(missing)


def named_metric(metric: str) -> str:
    return "metric not stated" if "not stated" in metric else metric
