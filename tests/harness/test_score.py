"""``harness.score``: answers made elsewhere, in official and own formats."""

import json

import pytest

from benchmarks.pope import Pope
from harness import score


@pytest.fixture(scope="module")
def items():
    return Pope(edition="pocket").items()


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def scored(capsys, path, *more):
    arguments = [
        "--benchmark",
        "pope",
        "--edition",
        "pocket",
        "--responses",
        str(path),
        "--json",
        *more,
    ]
    assert score.main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_own_answers_are_scored_by_id_in_any_order(tmp_path, capsys, items):
    right = [{"id": i.id, "response": i.reference["label"].capitalize()} for i in reversed(items)]
    result = scored(capsys, write(tmp_path / "own.jsonl", right))
    assert result["metrics"]["mean_f1"]["value"] == 1.0
    assert result["metrics"]["accuracy/popular"]["n_scored"] == 1200
    assert result["n_answered"] == result["n_items"] == 3600


def test_missing_answers_lower_the_coverage_and_nothing_else(tmp_path, capsys, items):
    right = [{"id": i.id, "response": i.reference["label"].capitalize()} for i in items[:100]]
    result = scored(capsys, write(tmp_path / "own.jsonl", right))
    metric = result["metrics"]["accuracy/random"]
    assert (metric["value"], metric["n_scored"], metric["n_asked"]) == (1.0, 100, 1200)
    assert result["metrics"]["accuracy/popular"]["value"] is None


def test_official_answers_are_read_too(tmp_path, capsys, items):
    popular = [i for i in items if i.split == "popular"]
    path = write(
        tmp_path / "answers_popular.jsonl",
        [
            {"question_id": n, "question": i.question, "answer": "Yes"}
            for n, i in enumerate(popular, 1)
        ],
    )
    result = scored(capsys, path)
    assert result["metrics"]["recall/popular"]["value"] == 1.0
    assert result["metrics"]["yes_ratio/popular"]["value"] == 1.0


def test_a_table_is_printed_without_json(tmp_path, capsys, items):
    path = write(tmp_path / "own.jsonl", [{"id": items[0].id, "response": "Yes"}])
    arguments = ["--benchmark", "pope", "--edition", "pocket", "--responses", str(path)]
    assert score.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert "1 of 3,600 items" in capsys.readouterr().out
    assert (tmp_path / "out" / "scores.parquet").exists()
    assert (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("records", "named"),
    [
        ([{"id": "random/0", "response": "Yes"}], "random/0"),
        ([{"id": "random/1", "response": "Yes"}, {"id": "random/1", "response": "No"}], "line 2"),
        ([{"id": "random/1", "response": None}], "line 1"),
        ([{"something": "else"}], "own.jsonl"),
    ],
)
def test_records_that_do_not_fit_are_named(tmp_path, capsys, records, named):
    path = write(tmp_path / "own.jsonl", records)
    arguments = ["--benchmark", "pope", "--edition", "pocket", "--responses", str(path), "--json"]
    assert score.main(arguments) == 2
    assert named in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path, capsys):
    arguments = [
        "--benchmark",
        "pope",
        "--edition",
        "pocket",
        "--responses",
        str(tmp_path / "none.jsonl"),
    ]
    assert score.main(arguments) == 2
    assert "none.jsonl" in capsys.readouterr().err


def test_hard_texts_are_scored(tmp_path, capsys, items):
    texts = ["", "\ud800", "No" + " word" * 2_000_000, "Ünsinn\u2028"]
    records = [{"id": i.id, "response": t} for i, t in zip(items, texts, strict=False)]
    path = write(tmp_path / "own.jsonl", records)
    result = scored(capsys, path, "--out", str(tmp_path / "out"))
    assert result["metrics"]["accuracy/random"]["n_scored"] == 4
