"""Ratings in the prompt: training records, and a checkpoint that asks for the best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.base import Decoding, Message, PlumblineError, Request
from harness.engines import checkpoints
from harness.engines.prompts import Prompter
from tests.trainers.preference_sets import QUESTION, scored, written
from trainers.preferences import read_preferences
from trainers.sampling.__main__ import main
from trainers.sampling.steerlm import ask_always, condition, conditioned, read_rated, wanted

RATINGS = {"Helpfulness": 4, "Correctness": 1.4, "Coherence": 9, "Complexity": 0, "Verbosity": 2}


def test_the_two_forms() -> None:
    assert condition(RATINGS, "likert").endswith(
        "scale:\nHelpfulness:4,Correctness:1,Coherence:4,Complexity:0,Verbosity:2"
    )
    assert condition(RATINGS, "nemo") == (
        "\n<extra_id_2>helpfulness:4,correctness:1,coherence:4,complexity:0,verbosity:2"
    )
    assert wanted("nemo") == (
        "\n<extra_id_2>quality:4,toxicity:0,humor:0,creativity:0,helpfulness:4,correctness:4,"
        "coherence:4,complexity:4,verbosity:4"
    )
    assert wanted("likert").endswith("Verbosity:4")
    with pytest.raises(PlumblineError, match="Coherence, Complexity, Verbosity not rated"):
        condition({"Helpfulness": 1, "Correctness": 2}, "likert")
    with pytest.raises(PlumblineError, match="is rated"):
        condition({"score": 3.0}, "nemo")


def test_all_scored_answers_of_the_gemini_set_are_learned_each_with_its_own_scores(
    tmp_path: Path,
) -> None:
    rows = [
        {**scored(QUESTION, "A cup.", 4, 4, 4), "Complexity": 1},
        {**scored(QUESTION, "A dog.", 1, 0, 4), "Complexity": 2},
        scored(QUESTION, "No complexity.", 1, 0, 4),
    ]
    found = conditioned(read_rated(written(tmp_path / "scored.jsonl", rows)), "likert")
    assert [(pair.chosen, pair.rejected) for pair in found.pairs] == [
        ("A cup.", None),
        ("A dog.", None),
    ]
    text = found.pairs[1].messages[-1].text
    assert text.startswith(QUESTION)
    assert text.endswith("Helpfulness:1,Correctness:0,Coherence:4,Complexity:2,Verbosity:4")
    assert found.dropped[0].reason == "Complexity not rated"


def test_records_for_training_are_written(tmp_path: Path) -> None:
    record = {"image": "a.png", "prompt": QUESTION, "chosen": "A cup.", "scores": RATINGS}
    path = written(tmp_path / "rated.jsonl", [record])
    for style, end in (("likert", "Verbosity:2"), ("nemo", "verbosity:2")):
        out = tmp_path / f"{style}.jsonl"
        assert main(["steerlm", "--data", str(path), "--out", str(out), "--style", style]) == 0
        [pair] = read_preferences(out).pairs
        assert pair.messages[-1].text.endswith(end)
        assert (pair.chosen, pair.rejected, pair.source) == ("A cup.", None, "steerlm")


def test_either_records_or_a_checkpoint_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in ([], ["--data", "a", "--ckpt", "b"]):
        with pytest.raises(SystemExit) as refused:
            main(["steerlm", "--out", str(tmp_path / "x"), *given])
        assert refused.value.code == 2
        assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["llava", "llama"])
def test_a_checkpoint_asks_for_the_best_in_its_last_question(
    tiny_folder: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    folder, out = tiny_folder(name), tmp_path / "asking"
    ask_always(folder, out, wanted("likert"))
    options = checkpoints.Options("float32", "cpu")
    told = []
    for place in (folder, out):
        loaded = checkpoints.load(checkpoints.locate(str(place), None, options), options)
        prompter = Prompter(
            loaded.model, loaded.processor, takes_pictures=loaded.takes_pictures, format="chat"
        )
        messages = (Message("user", "A"), Message("assistant", "B"), Message("user", "C?"))
        prompt = prompter.prompt(Request("1", "1", messages, Decoding(1)))
        tokenizer = getattr(loaded.processor, "tokenizer", loaded.processor)
        told.append(tokenizer.decode(prompt.ids))
    assert told[1] == told[0].replace("C?", f"C?{wanted('likert')}")
    with pytest.raises(PlumblineError, match="there already"):
        ask_always(folder, out, "x")
    # What a killed process left half copied is no checkpoint, and does not stand in the way.
    (tmp_path / "again.part").mkdir()
    ask_always(folder, tmp_path / "again", wanted("likert"))
    assert (tmp_path / "again" / "chat_template.jinja").read_text() == (
        out / "chat_template.jinja"
    ).read_text()
    assert not (tmp_path / "again.part").exists()
    (out / "chat_template.jinja").unlink()
    with pytest.raises(PlumblineError, match=r"no chat_template\.jinja"):
        ask_always(out, tmp_path / "other", "x")
