"""Wrong answers that a model is tempted to give: cuts, hidden pictures, the check that they are wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.base import Message, PlumblineError
from benchmarks.pocket import CHECKPOINT
from benchmarks.pocket import preferences as pocket_preferences
from harness.engines import checkpoints
from harness.engines.checkpoints import Checkpoint
from harness.engines.decoding import Decoder
from tests.trainers.sampling_cases import pocket_pairs
from tests.trainers.tiny_pairs import Noise
from trainers.pairs import Preference
from trainers.preferences import read_preferences
from trainers.sampling.__main__ import main, work_folder
from trainers.sampling.bdhs import (
    Bdhs,
    Begun,
    Ending,
    Hallucinated,
    acceptance,
    begin,
    hallucinate,
    pairs_of,
    sentences_of,
)
from trainers.sampling.completing import HidingCompleter
from trainers.sampling.similarity import open_similarity

NGRAMS = open_similarity("ngrams")
WORDS = st.text("abc .!?\n\t", max_size=60)


@given(st.one_of(WORDS, st.text(max_size=80)))
def test_sentences_join_to_the_text(text: str) -> None:
    sentences = sentences_of(text)
    assert "".join(sentences) == text
    assert all(sentences)
    assert all(sentence[0].isspace() for sentence in sentences[1:])
    assert all(sentence.strip() for sentence in sentences[1:])


def test_sentences_end_at_full_stops_question_and_exclamation_marks() -> None:
    text = " A cup.  Is it red? Yes!\nIt costs 3.5 euros... so what"
    assert sentences_of(text) == [
        " A cup.",
        "  Is it red?",
        " Yes!",
        "\nIt costs 3.5 euros...",
        " so what",
    ]


@given(WORDS, st.integers(0, 2**32))
def test_a_cut_keeps_whole_words_and_leaves_one_to_be_made(sentence: str, seed: int) -> None:
    begun = begin(sentence, Random(seed))
    words = sentence.split()
    assert sentence.startswith(begun)
    assert begun.split() == words[: len(begun.split())]
    assert len(begun.split()) < max(1, len(words))
    assert not begun[-1:].isspace()


def test_all_cuts_are_as_likely() -> None:
    n_kept = Counter(len(begin("a b c d", Random(seed)).split()) for seed in range(4000))
    assert set(n_kept) == {0, 1, 2, 3}
    assert all(900 < number < 1100 for number in n_kept.values())


@pytest.mark.parametrize(("word", "other"), [("Yes", "No"), ("no", "yes")])
def test_half_of_all_verdicts_are_turned_round_and_then_kept(word: str, other: str) -> None:
    begun = [begin(f" {word}, it is.", Random(seed)) for seed in range(2000)]
    swapped = [text for text in begun if text.lstrip().startswith(other)]
    assert 900 < len(swapped) < 1100
    assert {len(text.split()) for text in swapped} == {1, 2}
    assert f" {other}" in swapped
    assert begin(f"{word}", Random(1)) in (other, "")


def test_words_that_only_begin_like_a_verdict_stay() -> None:
    assert all(begin("Nobody is there.", Random(seed))[:2] in ("", "No") for seed in range(50))
    assert all("Yesbody" not in begin("Nobody is there.", Random(seed)) for seed in range(50))


class Parrot:
    """Ends every sentence in the same way, and answers freely with something else."""

    def __init__(self, ends: Callable[[Begun], Ending]) -> None:
        self._ends = ends
        self.begun: list[Begun] = []

    def complete(self, begun: Sequence[Begun]) -> list[Ending]:
        self.begun += begun
        return [self._ends(each) for each in begun]


def made(
    ends: Callable[[Begun], Ending], pairs: Sequence[Preference], **changes: object
) -> list[Hallucinated]:
    chosen = replace(Bdhs(), **changes)  # type: ignore[arg-type]
    return [each for batch in hallucinate(Parrot(ends), NGRAMS, pairs, chosen) for each in batch]


def true_rest(begun: Begun) -> Ending:
    """What stands in the true answer."""
    if not begun.to_full_stop:
        return Ending(begun.pair.chosen, True)
    head, stop, _ = begun.pair.chosen[len(begun.text) :].partition(".")
    return Ending(head + stop, True)


def test_every_sentence_is_begun_with_the_true_ones_before_it() -> None:
    [pair] = [each for each in pocket_pairs(8) if each.chosen.count(".") > 2][:1]
    parrot = Parrot(lambda begun: Ending(f" wrong{begun.place}.", True))
    [[found]] = list(hallucinate(parrot, NGRAMS, [pair], Bdhs()))
    sentences = sentences_of(pair.chosen)
    assert [begun.place for begun in parrot.begun] == list(range(len(sentences)))
    for begun in parrot.begun:
        before = "".join(sentences[: begun.place])
        assert begun.text.startswith(before)
        assert pair.chosen.startswith(begun.text)
        own = begun.text.removeprefix(before)
        assert f"{own} wrong{begun.place}." in found.text
    assert (found.iteration, found.accepted, found.problem) == (1, True, "")


def test_answers_like_the_true_one_are_made_again_and_at_last_freely() -> None:
    pairs = [pair for pair in pocket_pairs(12) if not pair.chosen.startswith(("Yes", "No"))]
    found = made(true_rest, pairs)
    assert {(each.iteration, each.accepted) for each in found} == {(5, False)}
    assert {each.problem for each in found} == {"the same as the true answer"}

    def nearly(begun: Begun) -> Ending:
        return true_rest(begun) if begun.to_full_stop else Ending("Something else.", True)

    found = made(nearly, pairs)
    assert {(each.iteration, each.accepted, each.text) for each in found} == {
        (5, True, "Something else.")
    }
    report = acceptance(found, 5)
    assert report["accepted_by_iteration"] == [0, 0, 0, 0, len(pairs)]
    assert report["share_accepted_up_to_iteration"] == [0, 0, 0, 0, 1]


def test_a_single_iteration_is_guided_and_may_fail() -> None:
    pairs = [pair for pair in pocket_pairs(12) if not pair.chosen.startswith(("Yes", "No"))]
    assert {each.problem for each in made(true_rest, pairs, iterations=1)} == {
        "the same as the true answer"
    }
    [long] = [replace(pairs[0], chosen=f"It is {' '.join(map(str, range(80)))} red.")]
    [found] = made(
        lambda begun: Ending(true_rest(begun).text.replace("red", "blue"), True),
        [long],
        iterations=1,
    )
    assert found.problem == "too like the true answer"
    # Free answers are kept however alike they are.
    [found] = made(
        lambda begun: Ending(true_rest(begun).text.replace("red", "blue"), True),
        [long],
        iterations=2,
    )
    assert (found.problem, found.accepted) == ("", False)
    assert acceptance([found], 2)["kept_though_alike"] == 1


def test_answers_that_are_cut_or_empty_make_no_pair() -> None:
    pairs = pocket_pairs(2)
    assert {each.problem for each in made(lambda begun: Ending("and and", False), pairs)} == {"cut"}
    found = made(lambda begun: Ending("", True), [replace(pairs[0], chosen="Cup.")])
    assert found[0].problem == "empty"
    bare = replace(pairs[0], messages=(Message("user", "Why?"),))
    found = made(true_rest, [bare])
    assert found[0].problem == "no picture"
    assert list(pairs_of([bare], {bare.id: found[0]}, Bdhs())) == []


@cache
def pocket() -> Checkpoint:
    options = checkpoints.Options("float32", "cpu")
    return checkpoints.load(checkpoints.locate(str(CHECKPOINT), None, options), options)


def test_a_real_model_is_tempted_and_the_true_answer_stays() -> None:
    pairs = pocket_pairs(40)
    chosen = Bdhs()
    completer = HidingCompleter(pocket(), chosen)
    found = {
        each.request_id: each
        for batch in hallucinate(completer, NGRAMS, pairs, chosen)
        for each in batch
    }
    report = acceptance(found.values(), 5)
    shares = report["share_accepted_up_to_iteration"]
    assert shares == sorted(shares)
    assert shares[0] > 0.6
    assert shares[-1] > 0.85
    wrong = list(pairs_of(pairs, found, chosen))
    assert [pair.chosen for pair in wrong] == [
        pair.chosen for pair in pairs if not found[pair.id].problem
    ]
    assert all(pair.meta["bdhs"]["settings"]["similarity"] == "ngrams" for pair in wrong)
    again = HidingCompleter(pocket(), chosen, batch_size=7)
    batches = hallucinate(again, NGRAMS, pairs[::-1], chosen)
    assert {each.request_id: each for batch in batches for each in batch} == found


@pytest.mark.parametrize(
    "name", ["llava", "llava_next", "qwen2_5_vl", "qwen3_vl", "internvl", "idefics3", "gemma3"]
)
def test_a_hidden_picture_makes_no_difference_and_a_shown_one_does(
    tiny: Callable[[str], Checkpoint], name: str
) -> None:
    checkpoint = tiny(name)
    pairs = [
        Preference(f"p{number}", (Message("user", "What?", (Noise(seed, 40),)),), "A cup is here.")
        for number in range(3)
        for seed in (2 * number, 2 * number + 1)
    ]
    begun = [Begun(pair, "A cup", 1, 0, True) for pair in pairs]

    def endings(threshold: float) -> list[str]:
        settings = Bdhs(threshold=threshold, max_new_tokens=12)
        return [each.text for each in HidingCompleter(checkpoint, settings).complete(begun)]

    hidden, shown = endings(1.0), endings(0.0)
    assert len(set(hidden)) == 1
    assert len(set(shown)) > 1


def test_hiding_is_an_attention_mask_of_the_whole_sequence(
    tiny: Callable[[str], Checkpoint],
) -> None:
    checkpoint = tiny("llava")
    pair = Preference("p", (Message("user", "What?", (Noise(1),)),), "A cup is here.")
    completer = HidingCompleter(checkpoint, Bdhs(threshold=0.5, max_new_tokens=8))
    job = completer._job(Begun(pair, "A cup", 1, 0, False))
    hidden = job.prompt.hidden
    assert hidden is not None
    is_picture = job.prompt.ids == checkpoint.model.config.image_token_id
    assert 0 < int(hidden.sum()) < int(is_picture.sum())
    assert not (hidden & ~is_picture).any()
    ids, pixels = job.prompt.ids[None], job.prompt.vision
    expected = []
    mask = (~hidden).long()[None]
    with torch.inference_mode():
        for _ in range(8):
            positions = torch.arange(ids.shape[1])[None]
            logits = checkpoint.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, **pixels
            ).logits[:, -1]
            expected.append(int(logits.argmax()))
            ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
            mask = torch.cat([mask, mask.new_ones(1, 1)], dim=1)
    [row] = completer._rows([job.prompt])
    assert row.new_ids == expected[: len(row.new_ids)]


@settings(deadline=None, max_examples=8)
@given(threshold=st.sampled_from([0.0, 0.5, 0.9, 1.0]), number=st.integers(0, 10_000))
def test_the_share_that_is_hidden_is_the_threshold(threshold: float, number: int) -> None:
    pairs = [replace(pair, id=f"{pair.id}/{number}") for pair in pocket_pairs(30)]
    completer = HidingCompleter(pocket(), Bdhs(threshold=threshold))
    jobs = [completer._job(Begun(pair, "", 1, 0, False)) for pair in pairs]
    n_hidden = sum(int(job.prompt.hidden.sum()) for job in jobs if job.prompt.hidden is not None)
    assert n_hidden / (36 * len(jobs)) == pytest.approx(threshold, abs=0.07)


def test_all_sentences_of_a_draw_see_the_same_and_another_draw_sees_something_else() -> None:
    pair = next(each for each in pocket_pairs(8) if each.chosen.count(".") > 2)
    completer = HidingCompleter(pocket(), Bdhs(threshold=0.5))

    def hidden(text: str, draw: int, place: int) -> list[bool]:
        mask = completer._job(Begun(pair, text, draw, place, True)).prompt.hidden
        assert mask is not None
        return mask.nonzero().flatten().tolist()

    assert hidden("", 1, 0) == hidden("The image shows", 1, 1)
    assert hidden("", 1, 0) != hidden("", 2, 0)


def test_noise_hides_pictures_where_there_are_no_picture_tokens(
    tiny: Callable[[str], Checkpoint],
) -> None:
    checkpoint = tiny("mllama")
    pair = Preference("p", (Message("user", "What?", (Noise(1),)),), "A cup is here.")
    begun = [Begun(pair, "A cup", 1, 0, True)]
    [ending] = HidingCompleter(checkpoint, Bdhs(hide="noise", max_new_tokens=6)).complete(begun)
    assert isinstance(ending.text, str)


def test_bdhs_from_the_command_line_goes_on_where_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pocket_preferences.write(tmp_path, 70, seed=5)
    out = tmp_path / "bdhs.jsonl"
    command = ["bdhs", "--data", str(data), "--out", str(out)]
    n_steps = 0
    run = Decoder.run

    def dying(self: Decoder, *args: object, **kwargs: object) -> object:
        nonlocal n_steps
        n_steps += 1
        if n_steps == 9:
            raise KeyboardInterrupt
        return run(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Decoder, "run", dying)
    assert main(command) == 130
    assert len((work_folder(out) / "wrong_answers.jsonl").read_text().splitlines()) in (0, 64)
    monkeypatch.undo()
    assert main(command) == 0
    found = read_preferences(out).pairs
    other = tmp_path / "other.jsonl"
    assert main([*command[:-1], str(other)]) == 0
    assert other.read_text() == out.read_text()
    report = json.loads((work_folder(out) / "report.json").read_text())
    assert report["n"] == 70
    assert report["pairs"] == len(found) > 55
    # The same ids in other data are other pairs.
    capsys.readouterr()
    data.write_text(data.read_text().replace("The image shows", "This picture shows"))
    assert main(command) == 2
    assert "another picture, question or answer" in " ".join(capsys.readouterr().err.split())


def test_a_text_model_has_nothing_to_hide(tiny: Callable[[str], Checkpoint]) -> None:
    pair = Preference("p", (Message("user", "What?", ()),), "A cup.")
    with pytest.raises(PlumblineError, match="take --hide noise"):
        HidingCompleter(tiny("llama"), Bdhs()).complete([Begun(pair, "A", 1, 0, True)])
