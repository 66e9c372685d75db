"""lmms-eval's tasks through our engine: the same prompts, answers and values as lmms-eval's own run.

Most of it needs the extra, with torchvision beside torch, and is skipped without:
pip install torch torchvision && pip install -e '.[lmms,test]' && pytest tests/harness/test_lmms.py
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lmms_folder import make_folder

from benchmarks.base import Decoding, PlumblineError
from benchmarks.pocket import CHECKPOINT
from harness import run
from harness.lmms.calls import asks_judge, calling
from harness.lmms.decoding import DEFAULT_NEW_TOKENS, decoding_of
from harness.lmms.tasks import split_suite

NEEDS = "needs lmms-eval: pip install -e '.[lmms]'"
PEERS = {
    "chat": ("pocket_exact", "pocket_f1", "pocket_pope", "pocket_system"),
    "simple": ("pocket_exact", "pocket_f1", "pocket_marked"),
}
"""What lmms-eval runs as well, by its way to make prompts."""


# Without lmms-eval


@pytest.mark.parametrize(
    ("suite", "ours", "theirs"),
    [
        ("pope,amber", "pope,amber", ()),
        ("lmms:mme", "", ("mme",)),
        ("pope, lmms:mme, gqa,", "pope", ("mme", "gqa")),
        ("lmms:mme,lmms:gqa,mme", "", ("mme", "gqa")),
    ],
)
def test_names_behind_lmms_are_those_of_lmms_eval(suite, ours, theirs):
    assert split_suite(suite) == (ours, theirs)


def test_a_prefix_without_a_name_is_refused():
    with pytest.raises(PlumblineError, match="name a task"):
        split_suite("pope,lmms: ,")


@pytest.mark.parametrize(
    ("given", "decoding"),
    [
        ({}, Decoding(DEFAULT_NEW_TOKENS)),
        ({"max_new_tokens": 16, "temperature": 0, "top_p": 0, "num_beams": 1}, Decoding(16)),
        ({"max_new_tokens": None, "until": None}, Decoding(DEFAULT_NEW_TOKENS)),
        ({"temperature": 0.2, "do_sample": False, "top_k": 5, "seed": 3}, Decoding(1024)),
        ({"temperature": 0.2, "top_p": 0.9, "seed": 3}, Decoding(1024, 0.2, 0.9, 3)),
        ({"do_sample": True}, Decoding(1024, 1.0)),
        ({"do_sample": True, "temperature": 0.7}, Decoding(1024, 0.7)),
        ({"until": "\n\n"}, Decoding(1024, stop=("\n\n",))),
        ({"until": ["</s>", "", "Q:"]}, Decoding(1024, stop=("</s>", "Q:"))),
        ({"image_aspect_ratio": "pad", "repetition_penalty": 1.0}, Decoding(1024)),
    ],
)
def test_generation_kwargs_become_a_decoding(given, decoding):
    assert decoding_of("lmms:x", given) == decoding


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"num_beams": 4, "penalty_alpha": 0.6}, "num_beams: 4, penalty_alpha: 0.6"),
        ({"repetition_penalty": 1.2}, "repetition_penalty: 1.2"),
        ({"temperature": 0.5, "top_k": 40}, "top_k: 40"),
        ({"temperature": 0.5, "top_p": 0}, "top_p: 0.0"),
        ({"max_new_tokens": 0}, "max_new_tokens: 0"),
        ({"temperature": "warm"}, "warm"),
        ({"until": [1]}, r"until is \[1\]"),
        ({"until": {"text": "\n"}}, "not a list of texts"),
    ],
)
def test_what_a_request_cannot_say_is_refused_by_name(given, named):
    with pytest.raises(PlumblineError, match=f"lmms:x: .*{named}"):
        decoding_of("lmms:x", given)


def test_a_missing_extra_ends_with_2_and_the_command_that_brings_it(tmp_path, monkeypatch, capsys):
    for module in ("lmms_eval", "lmms_eval.tasks"):
        monkeypatch.setitem(sys.modules, module, None)
    assert run.main(["--suite", "lmms:mme", "--out", str(tmp_path / "run")]) == 2
    assert 'pip install "plumbline-eval[lmms]"' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--suite", "lmms:"], "name a task"),
        (["--suite", "lmms:mme", "--lmms-include", "no/such/folder"], "no/such/folder"),
        (["--suite", "pope", "--lmms-include", "."], "--suite lmms:TASK"),
        (["--suite", "lmms:mme", "--set", "lmms.model=qwen_vl"], "known: model_name"),
        (["--suite", "lmms:mme", "--set", "lmms.prompts=bare"], "chat, simple"),
        (["--suite", "pope", "--set", "lmms.model_name=x"], "lmms is not part of this run"),
        (["--suite", "poppe,lmms:mme"], "poppe"),
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_loaded(tmp_path, capsys, arguments, named):
    assert run.main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert named in capsys.readouterr().err


def test_a_run_folder_of_tasks_has_a_plain_name():
    config = run.read_config(run.make_parser().parse_args(["--suite", "pope,lmms:mme,gqa"]))
    assert (config.suite, config.lmms) == (("pope",), ("mme", "gqa"))
    assert config.out.name == "pocket-checkpoint_pocket_pope+lmms-mme+gqa"


JUDGED = """
import random
from openai import OpenAI

class Grader:
    def grade(self, text):
        return OpenAI().responses.create(input=text)

GRADER = Grader()

def ask(text): return [OpenAI(key) for key in text]
def through_a_function(doc, results): return {"score": [ask(one) for one in results]}
def through_an_object(doc, results): return {"score": GRADER.grade(results[0])}
def alone(doc, results): return {"score": random.random()}
def itself(doc, results): return itself(doc, results)
"""


def test_a_judge_is_found_behind_the_functions_that_ask_it(tmp_path):
    module: dict[str, Any] = {}
    exec(compile(JUDGED, str(tmp_path / "utils.py"), "exec"), module)
    assert asks_judge(module["through_a_function"])
    assert asks_judge(module["through_an_object"])
    assert not asks_judge(module["alone"])
    assert not asks_judge(module["itself"])


def test_a_call_is_quiet_repeatable_and_leaves_chance_as_it_was(capsys):
    from PIL import ImageFile

    random.seed(5)
    expected, _ = random.random(), random.seed(5)
    drawn = []
    for seed in ("a", "a", "b"):
        with calling(seed):
            print("loud")
            print("louder", file=sys.stderr)
            assert ImageFile.LOAD_TRUNCATED_IMAGES
            drawn.append((random.random(), np.random.random()))
    assert drawn[0] == drawn[1] != drawn[2]
    assert random.random() == expected
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    assert capsys.readouterr() == ("", "")


# With lmms-eval


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tasks over 48 questions on 8 pictures; what lmms-eval prepares of them lies beside it."""
    pytest.importorskip("lmms_eval", reason=NEEDS)
    place = tmp_path_factory.mktemp("lmms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMMS_EVAL_DATASETS_CACHE", str(place / "cache"))
        for key in ("OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_API_KEY"):
            patch.delenv(key, raising=False)
        yield make_folder(place / "tasks")


def started(folder: Path, names: str, out: Path, *more: str) -> int:
    arguments = ["--suite", f"lmms:{names}", "--lmms-include", str(folder), "--out", str(out)]
    return run.main([*arguments, *more])


@pytest.fixture(scope="module", params=PEERS)
def pair(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[str, Path, dict[str, Any]]:
    """A way to make prompts, our run of the tasks, and what lmms-eval's own run of them says."""
    prompts: str = request.param
    place = tmp_path_factory.mktemp(prompts)
    tasks = PEERS[prompts]
    option = ("--set", f"lmms.prompts={prompts}")
    assert started(folder, ",".join(tasks), place / "run", *option) == 0
    program = str(Path(__file__).with_name("lmms_peer.py"))
    told = place / "peer.json"
    subprocess.run(
        [sys.executable, program, str(CHECKPOINT), str(folder), str(told), prompts, *tasks],
        check=True,
        capture_output=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    return prompts, place / "run", json.loads(told.read_text())


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, not to be written to."""
    out = tmp_path_factory.mktemp("run") / "finished"
    assert started(folder, "pocket_exact,pocket_f1", out) == 0
    return out


def scores(out: Path, task: str) -> pd.DataFrame:
    return pd.read_parquet(out / f"lmms_{task}" / "scores.parquet")


def metrics(out: Path, task: str) -> dict[str, dict[str, Any]]:
    found = json.loads((out / f"lmms_{task}" / "metrics.json").read_text())
    return {metric["name"]: metric for metric in found}


def test_answers_and_values_are_those_of_lmms_evals_own_run(pair):
    prompts, out, peer = pair
    for task in PEERS[prompts]:
        assert [texts[0] for texts in scores(out, task)["responses"]] == peer["answers"][task]
        theirs = {
            name.removesuffix(",none"): value
            for name, value in peer["results"][task].items()
            if name.endswith(",none") and "_stderr" not in name and value != []
        }
        ours = {name: metric["value"] for name, metric in metrics(out, task).items()}
        assert ours == pytest.approx(theirs, rel=1e-15)


def test_prompts_are_those_of_lmms_evals_own_run(folder, pair):
    from harness.engines.transformers_engine import TransformersEngine
    from harness.lmms.tasks import open_tasks

    prompts, _, peer = pair
    engine = TransformersEngine.load(str(CHECKPOINT), device="cpu")
    asked = [
        engine._prompter.prompt(task.request(item)).ids.tolist()
        for task in open_tasks(PEERS[prompts], include=[folder], options={"prompts": prompts})
        for item in task.items()
    ]
    assert sorted(asked) == sorted(peer["prompts"])


def test_a_row_has_the_question_the_answer_and_what_the_task_made_of_it(finished):
    row = scores(finished, "pocket_f1").iloc[3]
    assert row["item_id"] == "pocket_f1/3"
    assert row["question"].endswith("image?\nAnswer the question using a single word or phrase.")
    assert json.loads(row["reference"]) == {"document": 3, "target": "no"}
    details = json.loads(row["details"])
    assert details["answers"] == {"none": row["responses"][0]}
    assert details["results"]["f1"] == {"answer": "no", "said": "no", "id": 3}
    assert details["results"]["said_yes"] == ["no", "yes"]
    row = scores(finished, "pocket_exact").iloc[3]
    assert (row["value.exact"], row["value.exact items"]) == (1, 1)


def test_intervals_are_clustered_by_picture_and_missing_where_repetitions_are_refused(finished):
    assert scores(finished, "pocket_f1")["group"].nunique() == 8
    found = metrics(finished, "pocket_f1")
    for name in ("f1", "said_yes"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert found["distinct"]["value"] == 48
    assert found["distinct"]["low"] is None
    assert "undefined in 100%" in found["distinct"]["note"]


def test_the_table_calls_nothing_official(finished):
    summary = (finished / "summary.md").read_text()
    assert "pocket_f1 (lmms-eval) | f1 ° | ↑" in summary
    assert "| said_yes ° |   |" in summary
    assert "not the official scorer's number" in summary
    protocol = json.loads((finished / "run.json").read_text())["benchmarks"]["lmms_pocket_f1"]
    assert protocol["task_metadata"] == {"version": 3.0}
    assert protocol["prompt_settings"]["post_prompt"].startswith("\nAnswer")
    assert protocol["decoding"]["max_new_tokens"] == 8
    assert len(protocol["documents_sha256"]) == 64


def test_lmms_eval_and_its_tasks_print_nothing(folder, tmp_path, capfd):
    assert started(folder, "pocket_f1", tmp_path / "run") == 0
    printed = capfd.readouterr()
    assert "talks" not in printed.out + printed.err
    assert printed.out.lstrip().startswith("pocket checkpoint")
    assert len(printed.err.splitlines()) <= 3


def test_a_run_can_be_limited_interrupted_and_gone_on_with(folder, finished, tmp_path, capfd):
    out = tmp_path / "run"
    assert started(folder, "pocket_f1", out, "--limit", "20") == 0
    assert metrics(out, "pocket_f1")["f1"]["n_asked"] == 20
    log = out / "lmms_pocket_f1" / "responses.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:10]))
    assert started(folder, "pocket_f1", out) == 0
    session = json.loads((out / "run.json").read_text())["sessions"][-1]
    assert session["engine"]["n_requests"] == 38
    assert metrics(out, "pocket_f1") == metrics(finished, "pocket_f1")
    assert started(folder, "pocket_f1", out) == 0
    assert "nothing was asked" in capfd.readouterr().err


def test_pictures_between_words_can_be_asked_the_simple_way(folder, tmp_path):
    simple = ("--set", "lmms.prompts=simple", "--limit", "4")
    assert started(folder, "pocket_between", tmp_path / "run", *simple) == 0
    asked = scores(tmp_path / "run", "pocket_between")["question"]
    assert asked.str.startswith("Is there").all()


def test_other_prompts_or_documents_are_refused(folder, tmp_path, capsys):
    own = make_folder(tmp_path / "own", n_documents=6)
    assert started(own, "pocket_exact", tmp_path / "run") == 0
    curt = ("--set", "lmms.model_name=curt")
    assert started(own, "pocket_exact", tmp_path / "run", *curt) == 2
    assert "lmms_pocket_exact.prompt_settings" in capsys.readouterr().err
    assert started(folder, "pocket_exact", tmp_path / "run") == 2
    assert "documents_sha256" in capsys.readouterr().err
    assert started(own, "pocket_exact", tmp_path / "curt", *curt) == 0
    asked = scores(tmp_path / "curt", "pocket_exact")["question"]
    assert asked.str.endswith("Please answer yes or no.").all()


@pytest.mark.parametrize("control", ["blind", "shuffled"])
def test_a_control_shows_how_much_comes_from_looking(folder, tmp_path, control):
    assert started(folder, "pocket_f1", tmp_path / "run", "--control", control) == 0
    place = tmp_path / "run" / f"control_{control}" / "lmms_pocket_f1"
    told = {d["name"]: d for d in json.loads((place / "reliance.json").read_text())}
    assert told["f1"]["difference"] > 0.2
    assert told["f1"]["low"] > 0


def test_a_dry_run_counts_and_writes_nothing(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert started(folder, "pocket_f1,pocket_words", out, "--dry-run", "--limit", "12") == 0
    lines = capsys.readouterr().out.splitlines()
    counts = {line.split()[0]: line.split()[2:] for line in lines if "lmms-eval" in line}
    assert counts["pocket_f1"] == ["12", "12", "2", "0"]
    assert counts["pocket_words"][2:] == ["0", "0"]
    assert not out.exists()


def test_filters_stop_strings_and_built_in_metrics_are_the_tasks(folder, tmp_path):
    assert started(folder, "pocket_words", tmp_path / "run") == 0
    row = scores(tmp_path / "run", "pocket_words").iloc[0]
    assert " " not in row["responses"][0]
    assert list(json.loads(row["details"])["answers"]) == ["letters"]
    found = metrics(tmp_path / "run", "pocket_words")["exact_match,letters"]
    assert (found["n_scored"], found["direction"]) == (48, "higher")


def test_a_repeated_question_is_sampled_anew_each_time(folder, tmp_path):
    out = tmp_path / "run"
    assert started(folder, "pocket_repeated", out, "--limit", "6") == 0
    rows = scores(out, "pocket_repeated")
    assert {len(texts) for texts in rows["responses"]} == {3}
    assert set(rows["question"]) == {"Describe this image."}
    assert metrics(out, "pocket_repeated")["different,all"]["value"] > 1


def test_what_a_task_fails_on_is_a_status_and_the_rest_is_scored(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert started(folder, "pocket_faulty", tmp_path / "run") == 1
    rows = scores(tmp_path / "run", "pocket_faulty")
    assert rows["status"].value_counts().to_dict() == {"scored": 45, "unparsed": 3}
    assert "KeyError: 'no such category'" in json.loads(rows["details"][1])["reason"]
    assert "exact is None" in json.loads(rows["details"][2])["reason"]
    assert "there is no film" in json.loads(rows["details"][3])["reason"]
    found = metrics(tmp_path / "run", "pocket_faulty")
    assert found["exact"]["value"] == 1
    assert (found["submission"]["value"], found["submission"]["low"]) == (45, None)
    for name in ("broken", "huge", "ending"):
        assert found[name]["value"] is None
        assert "its aggregation failed" in found[name]["note"]
    assert [found["notes"][end] for end in ("value", "low", "high")] == [2, 2, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_picture_that_cannot_be_decoded_fails_its_own_item(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pytest.importorskip("lmms_eval", reason=NEEDS)
    own = make_folder(tmp_path / "own", n_documents=6)
    table = pq.read_table(own / "data.parquet")
    pictures = table["image"].to_pylist()
    pictures[4]["bytes"] = b"no picture"
    column = table.schema.get_field_index("image")
    broken = pa.array(pictures, type=table.schema.field("image").type)
    pq.write_table(table.set_column(column, "image", broken), own / "data.parquet")
    assert started(own, "pocket_exact", tmp_path / "run") == 1
    rows = scores(tmp_path / "run", "pocket_exact")
    assert list(rows["status"] == "scored") == [True, True, True, True, False, True]
    assert "document 4: a picture cannot be decoded" in json.loads(rows["details"][4])["reason"]


@pytest.mark.parametrize(
    ("task", "named"),
    [
        ("pocket_choice", "output type multiple_choice"),
        ("pocket_beams", "num_beams: 4"),
        ("pocket_inside", "pictures stand between words ('Look at <image>"),
        ("pocket_between", "--set lmms.prompts=simple"),
        ("pocket_silent", "it has no message"),
        ("pocket_film", "it shows a video, not a picture"),
        ("pocket_unasked", "KeyError: 'no such column'"),
        ("pocket_judged", "Set OPENAI_API_KEY"),
        ("pocket_exakt", "did you mean pocket_exact"),
    ],
)
def test_a_task_that_cannot_be_asked_ends_with_2_and_the_reason(
    folder, tmp_path, capsys, task, named
):
    assert started(folder, task, tmp_path / "run") == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_judged_task_can_be_generated_without_a_key_and_a_failing_judge_is_a_status(
    folder, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    assert started(folder, "pocket_judged", out, "--limit", "2", "--stages", "generate") == 0
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    assert started(folder, "pocket_judged", out, "--limit", "2") == 1
    assert set(scores(out, "pocket_judged")["status"]) == {"judge_error"}


def test_a_group_stands_for_its_tasks_beside_our_own_benchmarks(folder, tmp_path, capsys):
    (folder / "pocket_both.yaml").write_text(
        "group: pocket_both\ntask: [pocket_exact, pocket_f1]\n"
    )
    out = tmp_path / "run"
    arguments = ["--suite", "pope,lmms:pocket_both", "--lmms-include", str(folder)]
    assert run.main([*arguments, "--limit", "6", "--out", str(out)]) == 0
    for name in ("pope", "lmms_pocket_exact", "lmms_pocket_f1"):
        assert (out / name / "metrics.json").exists()
