"""``harness.run`` on the embedded checkpoint: the run folder, resuming, refusing to mix, exit codes."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from benchmarks.pocket import CHECKPOINT
from harness import run

QUICK = ["--suite", "pope", "--limit", "12"]


def files(folder):
    return {p.name: p.read_text() for p in (folder / "pope").glob("*.json*")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small finished run, not to be written to."""
    out = tmp_path_factory.mktemp("run") / "finished"
    assert run.main([*QUICK, "--out", str(out)]) == 0
    return out


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_run_leaves_the_whole_folder(finished):
    info = json.loads((finished / "run.json").read_text())
    assert len(info["identity"]["checkpoint"]["weights_sha256"]) == 64
    assert info["identity"]["edition"] == "pocket"
    assert info["benchmarks"]["pope"]["prompt"]
    assert info["sessions"][0]["engine"]["n_unique"] > 0
    responses = [json.loads(line) for line in (finished / "pope" / "responses.jsonl").open()]
    assert len(responses) == 36
    assert {r["status"] for r in responses} == {"ok"}
    scores = pd.read_parquet(finished / "pope" / "scores.parquet")
    assert len(scores) == 36
    metrics = {
        (m["name"], m["split"]): m
        for m in json.loads((finished / "pope" / "metrics.json").read_text())
    }
    assert metrics["accuracy", "random"]["n_scored"] == 12
    assert metrics["mean_f1", ""]["n_asked"] == 36
    assert "mean_f1" in (finished / "summary.md").read_text()
    assert "POPE (pocket)" in json.loads((finished / "summary.json").read_text())


def test_the_table_and_what_to_type_next_go_to_stdout(copied, capsys):
    assert run.main([*QUICK, "--out", str(copied)]) == 0
    printed = capsys.readouterr()
    for word in (
        "metric",
        "95 % interval",
        "scored/asked",
        "mean_f1",
        "36/36",
        str(copied),
        "--ckpt",
    ):
        assert word in printed.out
    assert "nothing was asked" in printed.err


def test_a_resumed_run_asks_only_what_is_missing_and_ends_in_the_same_metrics(finished, copied):
    log = copied / "pope" / "responses.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:10]) + lines[10][:30])
    assert run.main([*QUICK, "--out", str(copied)]) == 0
    session = json.loads((copied / "run.json").read_text())["sessions"][-1]
    known = {json.loads(line)["key"] for line in lines[:10]}
    left = {json.loads(line)["key"] for line in lines} - known
    assert session["engine"]["n_requests"] == len(left)
    assert files(copied)["metrics.json"] == files(finished)["metrics.json"]


def test_a_larger_limit_adds_to_the_run(copied):
    assert run.main(["--suite", "pope", "--limit", "14", "--out", str(copied)]) == 0
    metrics = json.loads((copied / "pope" / "metrics.json").read_text())
    assert {m["n_asked"] for m in metrics} == {14, 42}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--set", "pope.prompt=bare"], "pope.prompt"),
        (["--set", "pope.max_new_tokens=3"], "max_new_tokens: 64 in the folder, 3 now"),
        (["--dtype", "bfloat16"], "dtype"),
    ],
)
def test_a_changed_setting_is_refused_and_nothing_is_lost(copied, finished, capsys, change, named):
    assert run.main([*QUICK, *change, "--out", str(copied)]) == 2
    assert named in capsys.readouterr().err
    assert files(copied) == files(finished)


def test_changed_weights_at_the_same_path_are_never_served_from_older_answers(tmp_path, capsys):
    from safetensors.torch import load_file, save_file

    ckpt, out = tmp_path / "ckpt", tmp_path / "run"
    shutil.copytree(CHECKPOINT, ckpt)
    command = [
        "--ckpt",
        str(ckpt),
        "--edition",
        "pocket",
        "--suite",
        "pope",
        "--limit",
        "4",
        "--out",
        str(out),
    ]
    assert run.main(command) == 0
    before = (out / "pope" / "responses.jsonl").read_text()
    weights = load_file(ckpt / "model.safetensors")
    name = next(name for name in weights if name.endswith("mlp.down_proj.weight"))
    weights[name] = weights[name] * 1.5
    save_file(weights, ckpt / "model.safetensors", {"format": "pt"})
    capsys.readouterr()
    assert run.main(command) == 2
    assert "weights_sha256" in capsys.readouterr().err
    assert (out / "pope" / "responses.jsonl").read_text() == before


def test_an_answer_to_another_question_is_refused(copied, capsys):
    log = copied / "pope" / "responses.jsonl"
    lines = log.read_text().splitlines()
    record = json.loads(lines[0])
    lines[0] = json.dumps({**record, "key": "0" * 64})
    log.write_text("\n".join(lines) + "\n")
    assert run.main([*QUICK, "--out", str(copied)]) == 2
    assert record["request_id"] in capsys.readouterr().err


def test_missing_official_data_ends_with_2_and_the_command_that_brings_it(tmp_path, capsys):
    arguments = ["--ckpt", str(CHECKPOINT), "--suite", "pope", "--data-dir", str(tmp_path / "none")]
    assert run.main([*arguments, "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert "python -m harness.fetch pope" in told
    assert str(tmp_path / "none") in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--suite", "poppe"], "pope"),
        (["--suite", "pope", "--set", "pope.promt=bare"], "did you mean prompt"),
        (["--suite", "pope", "--set", "prompt=bare"], "BENCHMARK.OPTION=VALUE"),
        (["--suite", "pope", "--set", "mmbench.mode=vanilla"], "mmbench is not part of this run"),
        (["--suite", "pope", "--set", "pope.max_new_tokens=many"], "not a value of type int"),
        (["--stages", "generate,sing"], "sing"),
        (["--batch-size", "big"], "number or auto"),
        (
            ["--ckpt", "no/such/folder/here", "--edition", "pocket", "--suite", "pope"],
            "no/such/folder/here",
        ),
    ],
)
def test_wrong_usage_ends_with_2_and_names_the_fix(tmp_path, capsys, arguments, named):
    assert run.main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert named in capsys.readouterr().err


def test_stages_can_be_done_apart(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert run.main([*QUICK, "--out", out, "--stages", "score"]) == 2
    assert "generate first" in capsys.readouterr().err
    assert run.main([*QUICK, "--out", out, "--stages", "generate"]) == 0
    assert not (tmp_path / "run" / "pope" / "metrics.json").exists()
    assert run.main([*QUICK, "--out", out, "--stages", "score"]) == 0
    assert (tmp_path / "run" / "pope" / "metrics.json").exists()


def test_a_dry_run_loads_and_writes_nothing(tmp_path, capsys):
    assert run.main(["--suite", "pope", "--dry-run", "--out", str(tmp_path / "run")]) == 0
    assert "3,600" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom harness import run, score, fetch\n"
        "for module in (run, score, fetch): module.make_parser().format_help()\n"
        "heavy = {'torch', 'transformers', 'pandas', 'matplotlib', 'openai'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
