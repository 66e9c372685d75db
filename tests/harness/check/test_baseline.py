"""The file of accepted numbers: what it keeps, that it is small and portable, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.base import BadRecordError
from harness.check.baseline import read_baseline, write_baseline
from harness.runs import Run, open_runs
from tests.harness.compare.run_folders import pope, write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    path = write_run(tmp_path / "run", pope=pope(lambda n: n % 9 == 1, n_items=900, failed=[3, 4]))
    info = json.loads((path / "run.json").read_text())
    info["sessions"][0] = {
        "ckpt": f"{tmp_path}/models/mine",
        "command": f"python -m harness.run --ckpt {tmp_path}/models/mine --out={tmp_path}/run",
        "versions": {"torch": "2.13"},
    }
    info["identity"]["checkpoint"] = {"weights_sha256": "0123456789abcdef"}
    (path / "run.json").write_text(json.dumps(info))
    return open_runs([path])[0]


def test_every_number_comes_back(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    write_baseline(run, file, "typed")
    accepted = read_baseline(file).benchmarks["pope"]
    part = run.parts["pope"]
    assert accepted.metrics == part.metrics
    assert accepted.about == part.about
    rows = {row.item_id: row for row in accepted.rows}
    for row in part.rows():
        kept = rows[row.item_id]
        assert (kept.group, kept.split, kept.status) == (row.group, row.split, row.status)
        assert (kept.values, kept.official) == (row.values, row.official)
    ids = [row.item_id for row in part.rows()]
    assert accepted.table(ids).item_ids.tolist() == ids


def test_it_is_small_and_one_answer_is_one_line(run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    write_baseline(run, first, "typed")
    assert first.stat().st_size < 60 * 900
    flipped = pope(lambda n: n % 9 == 1 or n == 22, n_items=900, failed=[3, 4])
    other = write_run(tmp_path / "other" / "run", pope=flipped)
    (other / "run.json").write_bytes((run.path / "run.json").read_bytes())
    write_baseline(open_runs([other])[0], second, "typed")
    lines = [path.read_text().splitlines() for path in (first, second)]
    changed = [old for old, new in zip(*lines, strict=True) if old != new]
    assert [line.partition(":")[0] for line in changed if "picture" in line] == ['"picture 7"']


def test_it_says_where_it_comes_from_without_paths(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    for command in ("first", f"python -m harness.check {run.path} --baseline {file} --update"):
        write_baseline(run, file, command)
    assert str(tmp_path) not in file.read_text()
    found = read_baseline(file)
    assert found.made["command"] == "python -m harness.check run --baseline baseline.json --update"
    assert found.made["replaces"]["weights"] == found.weights == "0123456789ab"
    assert found.made["from_run"] == "run"
    assert found.run["checkpoint"] == "mine"
    assert found.run["command"] == "python -m harness.run --ckpt mine --out=run"
    assert found.run["versions"] == {"torch": "2.13"}


def test_addresses_stay_whole(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    write_baseline(run, file, "x --base-url http://127.0.0.1:8000/v1/chat y")
    assert read_baseline(file).made["command"] == "x --base-url http://127.0.0.1:8000/v1/chat y"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: "",
        lambda content: "[]",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace('"format": 1', '"format": 99'),
        lambda content: content.replace('"items"', '"itms"'),
        lambda content: content.replace('"status": "scored"', '"status": "fine"'),
        lambda content: content.replace('"patterns": {', '"patterns": {}, "old": {'),
        lambda content: content.replace('"tn": 1.0', '"tn": NaN'),
        lambda content: content.replace('"tn": 1.0', '"tn": "1"'),
    ],
)
def test_a_damaged_file_is_refused_and_kept(run: Run, tmp_path: Path, damage: object) -> None:
    file = tmp_path / "baseline.json"
    write_baseline(run, file, "typed")
    damaged = damage(file.read_text())  # type: ignore[operator]
    file.write_text(damaged)
    with pytest.raises(BadRecordError, match="version control"):
        read_baseline(file)
    with pytest.raises(BadRecordError):
        write_baseline(run, file, "typed")
    assert file.read_text() == damaged
