"""Against outputs of the official code, alpaca_eval 0.6.6. Needs --parity-dir and --parity-data-dir.

Run: pytest tests/parity/test_alpacaeval_parity.py --parity-dir DIR --parity-data-dir DATA_DIR

The folder ``alpacaeval`` may hold any number of these, under any names of this form:

- ``parsers*.json``, ``winrate_edge_cases*.json``;
- ``<group>_expected.json`` beside ``<group>/<model>.jsonl``, for groups "ae1…" and "ae2…", with
  ``df_gamed*.csv`` for the length-controlled win rates;
- ``end_to_end_*.json``: a whole annotation against a scripted server.

Length-controlled win rates are known from two environments, which chose different values of C for
some models: scikit-learn sorts stably when it forms folds only since 1.9, and a fold decides near
ties. So a value must be one of the two to ``LC_TOLERANCE``, and with the C of either environment
given, where nothing is left to choose, its value to ``TOLERANCE``.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.alpacaeval import OFFICIAL_ANNOTATOR, AlpacaEval
from benchmarks.alpacaeval_annotators import is_switched
from benchmarks.alpacaeval_length_control import DESIGN, MINIMAL, NOREG, V1, Comparisons, fit
from benchmarks.alpacaeval_metrics import preference_columns
from benchmarks.alpacaeval_parsers import LogprobParser, RankingParser
from benchmarks.base import Item, Judgment, Response, ScoreRow, ScoreStatus
from benchmarks.logprobs import pack
from benchmarks.records import read_records
from harness.endpoint.server import Reaction, error_reaction, json_reaction, serving
from harness.judges.client import HttpJudge
from harness.judging import JudgePart, judge, judgments_of
from harness.scoring import score_items
from harness.stats import evaluate
from harness.store import Log
from tests.harness.judges.servers import ScriptedServer
from tests.harness.judges.toy import hasty, silent

TOLERANCE = 1e-6
LC_TOLERANCE = 1e-3
GLMS = {glm.name: glm for glm in (V1, NOREG, MINIMAL)}
OTHER = "other_environment"
"""How the key of the second environment begins."""
NUMBERS = (
    "win_rate", "standard_error", "n_wins", "n_wins_base", "n_draws", "n_total",
    "discrete_win_rate", "avg_length",
)  # fmt: skip
"""What is compared to ``TOLERANCE``."""
LC_NUMBERS = ("length_controlled_winrate", "lc_standard_error")

Json = dict[str, Any]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8-sig"))


def _lines(path: Path) -> list[Json]:
    """The records of JSON Lines, in whose texts there may be other line ends."""
    return [dict(record.fields) for record in read_records(path)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each case that the folder holds."""
    parity_dir: Path | None = metafunc.config.getoption("parity_dir")
    folder = parity_dir / "alpacaeval" if parity_dir else None
    for name, found in (
        ("model", _models), ("parsers", _files("parsers*.json")),
        ("edge_cases", _files("winrate_edge_cases*.json")), ("session", _sessions),
    ):  # fmt: skip
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, list(found(folder)) if folder else [])


def _files(pattern: str) -> Any:
    return lambda folder: (
        pytest.param(path, id=path.stem) for path in sorted(folder.glob(pattern))
    )


def _models(folder: Path) -> Iterator[Any]:
    for path in sorted(folder.glob("*_expected.json")):
        expected = _read(path)
        for name, numbers in expected.get("models", expected).items():
            rows = path.with_name(path.stem.removesuffix("_expected")) / f"{name}.jsonl"
            if isinstance(numbers, dict) and rows.is_file():
                yield pytest.param((rows, numbers), id=f"{rows.parent.name}-{name}")


def _sessions(folder: Path) -> Iterator[Any]:
    for path in sorted(folder.glob("end_to_end_*.json")):
        for name, numbers in _read(path).items():
            if isinstance(numbers, dict) and "judge_exchanges" in numbers:
                yield pytest.param((path, name), id=f"{path.stem}-{name}")


# Parsers and win rates


def _number(expected: Any) -> float | None:
    """None for null and NaN, and for an error's name, which officially comes to null."""
    is_number = isinstance(expected, int | float) and not math.isnan(expected)
    return expected if is_number else None


def test_parsers_read_what_the_official_ones_read(parsers: Path) -> None:
    cases = _read(parsers)
    weighted = LogprobParser("m", ("m", "M"), binarize=False)
    for case in cases.get("logprob_parser", ()):
        candidates = list((case["top_logprobs"] or {}).items())
        found = weighted.preference(pack("?", candidates))
        assert found == pytest.approx(_number(case["expected"]), abs=1e-12), case
    for case in cases.get("ranking_parser", ()):
        assert RankingParser().preference(case["completion"]) == _number(case["expected"]), case
    for case in cases.get("order_seed", ()):
        assert is_switched(case["instruction"]) == case["switched"], case


def _compare(metrics: Mapping[str, float | None], expected: Json) -> None:
    for name in (name for name in NUMBERS if name in expected):
        found, wanted = metrics[name], expected[name]
        if wanted is None or math.isnan(wanted):
            assert found is None, name
        elif found is None:
            assert wanted == 0, f"{name}: a count of nothing"
        else:
            assert found == pytest.approx(wanted, abs=TOLERANCE), name


def _values(benchmark: AlpacaEval, rows: Sequence[ScoreRow]) -> dict[str, float | None]:
    metrics = evaluate(benchmark.metric_specs(), rows, n_resamples=1)
    return {metric.name: metric.value for metric in metrics}


def test_win_rates_of_edge_cases_are_the_official_ones(edge_cases: Path) -> None:
    for case in _read(edge_cases):
        rows = [
            ScoreRow(
                str(number),
                str(number),
                "",
                ScoreStatus.UNPARSED,
                official={
                    "annotated": 1, "place": number, "length": 1, "baseline_length": 1, "same": 0,
                    **preference_columns(preference),
                },
            )
            for number, preference in enumerate(case["preferences"])
        ]  # fmt: skip
        _compare(_values(AlpacaEval(), rows), case["expected"])


# Whole models


@pytest.fixture
def instructions(parity_data_dir: Path) -> list[Json]:
    return _lines(parity_data_dir / "alpacaeval" / "instructions.jsonl")


class Case:
    """A model's official annotations as files in a data folder, with texts of the right lengths."""

    def __init__(self, rows: Path, instructions: Sequence[Json], data_dir: Path, out: Path) -> None:
        self.records = _lines(rows)
        self.version = 1 if rows.parent.name.startswith("ae1") else 2
        self.instruction_of = {entry["index"]: entry["instruction"] for entry in instructions}
        _copy_annotators(data_dir, out)
        gamed = sorted(rows.parent.parent.glob("df_gamed*.csv"))
        if gamed:
            shutil.copyfile(gamed[0], out / "alpacaeval" / "df_gamed.csv")
        lengths = {record["index"]: record["len_output_1"] for record in self.records}
        _write_baseline(
            out,
            self.version,
            [
                {"instruction": entry["instruction"], "output": "b" * lengths[entry["index"]]}
                for entry in instructions
                if entry["index"] in lengths
            ],
        )
        self.benchmark = AlpacaEval("official", out, version=self.version)
        self.annotations = [self._annotation(record) for record in self.records]

    def _annotation(self, record: Json) -> Json:
        baseline = "b" * record["len_output_1"]
        own = baseline if record["same_output"] else "y" * record["len_output_2"]
        return {
            "instruction": self.instruction_of[record["index"]],
            "output_1": baseline,
            "output_2": own,
            "annotator": OFFICIAL_ANNOTATOR[self.version],
            "preference": record["preference"],
        }

    def rows(self, folder: Path) -> list[ScoreRow]:
        """Scored as ``harness.score`` scores official files."""
        path = folder / "annotations.json"
        path.write_text(json.dumps(self.annotations))
        benchmark = self.benchmark.for_official_answers()
        turns = {r.request_id: [r] for r in benchmark.read_responses([path])}
        judgments = {j.item_id: [j] for j in benchmark.read_judgments([path])}
        return score_items(benchmark, benchmark.items(), turns, judgments)


def _copy_annotators(data_dir: Path, out: Path) -> None:
    source, target = data_dir / "alpacaeval", out / "alpacaeval"
    (target / "baseline_outputs").mkdir(parents=True)
    for name in ("prompts", "annotators"):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
    if (source / "annotator_configs.json").is_file():
        shutil.copyfile(source / "annotator_configs.json", target / "annotator_configs.json")


def _write_baseline(out: Path, version: int, records: Sequence[Json]) -> None:
    name = {1: "alpaca_eval.json", 2: "gpt4_1106_preview.json"}[version]
    (out / "alpacaeval" / "baseline_outputs" / name).write_text(json.dumps(list(records)))


@pytest.fixture
def case(
    model: tuple[Path, Json], instructions: list[Json], parity_data_dir: Path, tmp_path: Path
) -> Case:
    return Case(model[0], instructions, parity_data_dir, tmp_path / "data")


def test_models_have_their_official_numbers(
    model: tuple[Path, Json], case: Case, instructions: list[Json], tmp_path: Path
) -> None:
    metrics = _values(case.benchmark, case.rows(tmp_path))
    _compare(metrics, model[1].get("recomputed_by_official_code") or {})
    if len(case.records) == len(instructions):
        _compare(metrics, model[1].get("published_leaderboard_row") or {})


def test_preferences_follow_from_the_stored_log_probabilities(case: Case) -> None:
    by_instruction = {item.question: item for item in case.benchmark.items()}
    for record in case.records:
        candidates = record.get("top_logprobs")
        if not candidates or record["same_output"]:
            continue
        item = by_instruction[case.instruction_of[record["index"]]]
        [request] = case.benchmark.judge_requests(item, [Response(item.id, "", "an output")])
        values = case.benchmark.read_reply(request, pack("?", list(candidates.items())))
        found = values and values["preference"]
        assert found == pytest.approx(record["preference"], abs=1e-7), record


def test_length_controlled_win_rates_are_official(
    model: tuple[Path, Json], case: Case, tmp_path: Path
) -> None:
    expected = model[1].get("length_controlled_with_standin_df_gamed")
    if not expected:
        pytest.skip("nothing is known of this model's length-controlled win rate")
    rows = case.rows(tmp_path)
    metrics = _values(case.benchmark, rows)
    metrics[V1.name] = metrics["length_controlled_winrate"]
    compared = Comparisons.of([row for row in rows if row.official])
    for name, numbers in expected.items():
        environments = [numbers, *(numbers[key] for key in numbers if key.startswith(OTHER))]
        wanted = [v for known in environments if (v := known.get(LC_NUMBERS[0])) is not None]
        if not wanted:
            continue
        found = metrics[name]
        assert found is not None, name
        assert min(abs(found - value) for value in wanted) < LC_TOLERANCE, (name, found, wanted)
        for environment in environments:
            if environment is not numbers and environment.get("C") is None:
                continue  # it may have chosen another one than ours
            again = fit(GLMS[name], compared, case.benchmark._gamed, c=environment.get("C"))
            assert again is not None
            for value, key in zip((again.win_rate, again.standard_error), LC_NUMBERS, strict=True):
                if environment.get(key) is not None:
                    assert value == pytest.approx(environment[key], abs=TOLERANCE)
            if "coef" in environment:
                names = environment.get("feature_names", numbers.get("feature_names"))
                assert names == [DESIGN[column] for column in GLMS[name].columns]
                weights = list(again.weights.values())
                assert weights == pytest.approx(environment["coef"], abs=TOLERANCE)


# The whole way


class Session:
    """Outputs judged over HTTP by a server that replies as the recorded judge did."""

    def __init__(self, path: Path, annotator: str, data_dir: Path, out: Path) -> None:
        recorded = _read(path)
        self.expected: Json = recorded[annotator]
        version = next((v for v, name in OFFICIAL_ANNOTATOR.items() if name == annotator), 2)
        _copy_annotators(data_dir, out)
        answers = out / "model_outputs.json"
        # What is not asked, or has two baselines, is an error of ours; officially it is left out,
        # or counts once where both are the same.
        baseline = {json.dumps(record): record for record in recorded["outputs_1"]}
        _write_baseline(out, version, list(baseline.values()))
        asked = {record["instruction"] for record in recorded["outputs_1"]}
        outputs = [r for r in recorded["outputs_2"] if r["instruction"] in asked]
        answers.write_text(json.dumps(outputs))
        benchmark = AlpacaEval("official", out, version=version, annotator=annotator)
        self.benchmark = benchmark.for_official_answers()
        self.items: Sequence[Item] = self.benchmark.items()
        responses = self.benchmark.read_responses([answers])
        self.turns = {response.request_id: [response] for response in responses}
        self.bodies: list[Mapping[str, Any]] = []

    def judged(self, folder: Path) -> list[ScoreRow]:
        server = ScriptedServer(lambda number, body, headers: self._reaction(body))
        stop = serving(server)
        part = JudgePart(
            self.benchmark, self.items, self.turns, Log(folder / "judgments.jsonl", Judgment)
        )
        try:
            judge([part], HttpJudge(hasty(server.url, model=None, max_retries=0)), silent)
        finally:
            stop()
        self.bodies = server.bodies
        return score_items(self.benchmark, self.items, self.turns, judgments_of(part))

    def _reaction(self, body: Mapping[str, Any]) -> Reaction:
        for exchange in self.expected["judge_exchanges"]:
            if _told(exchange["request"]) == _told(body):
                completion = {"choices": [exchange["reply"]], "model": body["model"]}
                return json_reaction(completion)
        return error_reaction(400, "nobody asked this", "invalid_request_error")


def _told(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in body["messages"]]


@pytest.fixture
def played(session: tuple[Path, str], parity_data_dir: Path, tmp_path: Path) -> Session:
    return Session(*session, parity_data_dir, tmp_path / "data")


def test_an_annotation_asks_and_ends_as_the_official_one(played: Session, tmp_path: Path) -> None:
    rows = {row.item_id: row for row in played.judged(tmp_path)}
    recorded = [exchange["request"] for exchange in played.expected["judge_exchanges"]]
    # top_p 1 is the API's own default and is not sent.
    asked = [{"top_p": 1.0, **body} for body in played.bodies]
    assert sorted(asked, key=_told) == sorted(recorded, key=_told)
    by_instruction = {item.question: item for item in played.items}
    annotated = set()
    for annotation in played.expected["expected_annotations"]:
        item = by_instruction[annotation["instruction"]]
        annotated.add(item.id)
        row, wanted = rows[item.id], annotation["preference"]
        assert played.turns[item.id][0].text == annotation["output_2"]
        assert item.reference["output"] == annotation["output_1"]
        if wanted is None:
            assert row.status in (ScoreStatus.UNPARSED, ScoreStatus.JUDGE_ERROR)
        else:
            assert row.values["preference"] == pytest.approx(wanted or 1.5, abs=1e-12)
    missing = {row.item_id for row in rows.values() if not row.official}
    assert annotated == {item.id for item in played.items} - missing
    _compare(_values(played.benchmark, list(rows.values())), played.expected["expected_winrate"])


# The official files themselves


def test_the_drawn_orders_are_those_of_the_data_folder(instructions: list[Json]) -> None:
    assert all(is_switched(entry["instruction"]) == entry["switched"] for entry in instructions)


def test_official_annotation_files_give_the_published_rows(parity_data_dir: Path) -> None:
    """Also those that Plumbline reads: the annotations hold version 1's baseline."""
    folder = parity_data_dir / "alpacaeval"
    n_checked = 0
    for path in sorted((folder / "annotations").glob("*.json")):
        name, annotator = path.stem.split(".", 1)
        version = {label: number for number, label in OFFICIAL_ANNOTATOR.items()}.get(annotator)
        table = folder / "leaderboards" / f"{annotator}_leaderboard.csv"
        if version is None or not table.is_file():
            continue
        with table.open(encoding="utf-8") as stream:
            [row] = [fields for fields in csv.DictReader(stream) if fields[""] == name]
        benchmark = AlpacaEval("official", parity_data_dir, version=version)
        official = benchmark.for_official_answers()
        turns = {r.request_id: [r] for r in official.read_responses([path])}
        judgments = {j.item_id: [j] for j in official.read_judgments([path])}
        rows = score_items(official, official.items(), turns, judgments)
        _compare(_values(benchmark, rows), {key: float(row[key]) for key in NUMBERS})
        n_checked += 1
    if not n_checked:
        pytest.skip("no official annotations are here")
