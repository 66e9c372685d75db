"""The command: from pocket pairs to a checkpoint that ``harness.run`` takes, through kills and other processes."""

import json
import os
import subprocess
import sys
import time
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.pocket import CHECKPOINT
from benchmarks.pocket import preferences as pocket
from harness import run as harness_run
from tests.trainers.preference_sets import FORMS, rated, written
from trainers import run
from trainers.settings import recipes

SMALL = ("per_device_train_batch_size=4", "num_train_epochs=1", "save_steps=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    assert pocket.main(["--out", str(folder), "--n", "24"]) in (0, None)
    return folder / pocket.FILE_NAME


def command(data, tmp_path, out, *changes, method="mdpo"):
    given = [f"--set={change}" for change in (*SMALL, *changes)]
    return [
        f"--method={method}", "--recipe=pocket", f"--data={data}", f"--out={tmp_path / out}",
        f"--cache-dir={tmp_path / 'cache'}", *given,
    ]  # fmt: skip


def in_process_of_its_own(arguments, launcher=("-m", "trainers.run"), output=subprocess.PIPE):
    """The command as a user starts it, on one thread: more of them would round sums in any order."""
    # The second variable connects processes of accelerate on CPUs, where it would else want an MPI.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    return subprocess.Popen(
        [sys.executable, *launcher, *arguments],
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def assert_same_weights(one, other, atol=0.0):
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], atol=atol, rtol=0)


def test_pocket_training_makes_a_checkpoint_that_the_harness_evaluates(data, tmp_path, capsys):
    assert run.main(command(data, tmp_path, "trained")) == 0
    out = tmp_path / "trained"
    record = json.loads((out / "training.json").read_text())
    assert record["finished"]
    assert record["data"]["n_pairs"] == 24
    assert record["layout"]["layout"] == "shared_prefix"
    assert record["reference"]["first_loss"] == pytest.approx(2.0794, abs=1e-3)
    assert record["recipe"]["learning_rate"] == 5e-6
    assert record["curves"]["step"] == [1, 2, 3, 4, 5, 6]
    assert record["sessions"][0]["versions"]["torch"] == torch.__version__
    assert (out / "training.png").read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob("checkpoint-*"))
    assert not list(out.glob("*.bin"))
    for name in ("tokenizer.json", "processor_config.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (CHECKPOINT / name).read_bytes()
    assert json.loads((out / "config.json").read_text())["use_cache"] is True
    assert "Evaluate it" in capsys.readouterr().err
    evaluated = ["--ckpt", str(out), "--edition", "pocket", "--suite", "pope", "--limit", "2"]
    assert harness_run.main([*evaluated, "--out", str(tmp_path / "run")]) == 0


def test_an_adapter_is_evaluated_and_can_be_trained_on(data, tmp_path):
    assert run.main(command(data, tmp_path, "adapter", "lora_r=4", method="dpo")) == 0
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    evaluated = ["--edition", "pocket", "--suite", "pope", "--limit", "2"]
    arguments = ["--ckpt", str(tmp_path / "adapter"), *evaluated]
    assert harness_run.main([*arguments, "--out", str(tmp_path / "run")]) == 0
    again = command(data, tmp_path, "again", "lora_r=4", method="dpo")
    assert run.main([*again, f"--ckpt={tmp_path / 'adapter'}", "--limit=8"]) == 0
    # Its base is in no folder, so the weights are written whole.
    assert (tmp_path / "again" / "model.safetensors").exists()
    record = json.loads((tmp_path / "again" / "training.json").read_text())
    assert record["reference"]["first_loss"] == pytest.approx(0.6931, abs=1e-3)


def trained(arguments):
    """Train in a process of its own, to its end."""
    process = in_process_of_its_own(arguments)
    told = process.communicate()[0]
    assert process.returncode == 0, told


def killed_at(step, arguments, out):
    """Start the training in a process of its own and kill it while it writes the state of a step."""
    process = in_process_of_its_own(arguments, output=subprocess.DEVNULL)
    try:
        while process.poll() is None and not (out / f"checkpoint-{step}").exists():
            time.sleep(0.002)
        alive = process.poll() is None
    finally:
        process.kill()
        process.wait()
    return alive


@pytest.mark.slow
def test_a_killed_training_ends_in_the_same_weights(data, tmp_path, pytestconfig):
    whole, broken = (
        command(data, tmp_path, out, "num_train_epochs=3", method="mpo")
        for out in ("whole", "broken")
    )
    trained(whole)
    n_kills = pytestconfig.getoption("--kills")
    points = sorted(Random(f"kills {n_kills}").sample(range(2, 16), min(14, n_kills)))
    hits = [killed_at(point, broken, tmp_path / "broken") for point in points]
    assert any(hits)
    trained(broken)
    record = json.loads((tmp_path / "broken" / "training.json").read_text())
    assert record["curves"]["step"] == list(range(1, 19))
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.slow
def test_two_processes_that_need_the_same_reference_compute_it_once(data, tmp_path):
    both = [in_process_of_its_own(command(data, tmp_path, out)) for out in ("one", "two")]
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    import pyarrow.parquet as pq

    keys = [
        key
        for path in (tmp_path / "cache").glob("*/*.parquet")
        for key in pq.read_table(path)["key"].to_pylist()
    ]
    assert len(keys) == len(set(keys)) == 3 * 24
    assert_same_weights(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_two_processes_train_as_one_with_a_batch_as_large(data, tmp_path):
    # `accelerate launch --multi_gpu --num_processes 2 -m trainers.run …`, whatever its configuration says.
    launcher = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2")
    launcher += ("--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no")
    launcher += ("--main_process_port=0",)
    # Adam would turn the rounding of gradients near zero into whole steps.
    plain = ("optim=sgd", "learning_rate=1e-3")
    arguments = command(
        data, tmp_path, "two", *plain, "per_device_train_batch_size=2", method="dpo"
    )
    process = in_process_of_its_own(["-m", "trainers.run", *arguments], launcher)
    told = process.communicate()[0]
    assert process.returncode == 0, told
    assert run.main(command(data, tmp_path, "one", *plain, method="dpo")) == 0
    assert_same_weights(tmp_path / "one", tmp_path / "two", atol=1e-6)
    one, two = (
        json.loads((tmp_path / out / "training.json").read_text()) for out in ("one", "two")
    )
    assert one["curves"]["loss"] == pytest.approx(two["curves"]["loss"], abs=1e-5)
    assert one["curves"]["rewards/margin"] == pytest.approx(
        two["curves"]["rewards/margin"], abs=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "say what to train with"),
        (["--method=dpo"], "say what to train on: --data"),
        (["--method=dpo", "--data=DATA"], "say where to write: --out"),
        (["--method=dpo", "--data=nowhere.jsonl", "--out=OUT"], "nowhere.jsonl"),
        (["--method=dpo", "--data=DATA", "--out=OUT", "--ckpt=/no/such"], "/no/such"),
        (
            ["--method=dpo", "--data=DATA", "--out=OUT", "--set=max_length=5"],
            "longer than 5 tokens",
        ),
        (["--method=mdpo", "--data=DATA", "--out=OUT", "--set=corruption=melt"], "melt"),
        (["--method=dpo", "--data=DATA", "--out=OUT", "--set=optim=magic"], "magic"),
        (["--method=dpo", "--data=DATA", "--out=OUT", "--set=train=nothing"], "train=nothing"),
    ],
)
def test_a_wrong_command_is_told_what_is_wrong(data, tmp_path, capsys, arguments, problem):
    places = {"DATA": str(data), "OUT": str(tmp_path / "out")}
    given = [f"--cache-dir={tmp_path / 'cache'}"]
    for argument in arguments:
        name, equals, value = argument.partition("=")
        given.append(f"{name}{equals}{places.get(value, value)}")
    assert run.main(given) == 2
    told = capsys.readouterr().err
    assert "error: " in told
    assert problem in told
    assert "Traceback" not in told


def test_answers_with_ratings_are_paired_as_asked(tmp_path):
    completions = [rated("a", "1", "1", "1"), rated("b", "3", "3", "3"), rated("c", "5", "5", "5")]
    record = {**FORMS["vlfeedback"], "completions": completions}
    path = written(tmp_path / "rated.jsonl", [record])
    given = ["--method=dpo", f"--data={path}", f"--out={tmp_path / 'out'}"]
    for more, n_pairs in (([], 3), (["--pairing=widest"], 1)):
        task = run.read_task(run.make_parser().parse_args([*given, *more]))
        assert len(task.preferences.pairs) == n_pairs
        assert task.choices.pairing == ("widest" if more else "all")


def test_the_list_shows_methods_and_recipes(capsys):
    assert run.main(["--list"]) == 0
    told = capsys.readouterr().out
    for name in ("mdpo", "rdpo_released", *recipes()):
        assert name in told
