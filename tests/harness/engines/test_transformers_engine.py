"""The engine against plain ``model.generate``, on tiny checkpoints of real architectures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    LlavaConfig,
    MambaConfig,
    T5Config,
)

from benchmarks.base import FilePicture, PlumblineError
from harness.engines.base import Engine
from harness.engines.prompts import context_length
from harness.engines.transformers_engine import TransformersEngine
from tests.harness.engines.asking import (
    NARROW,
    QUESTIONS,
    SQUARE,
    TALL,
    WIDE,
    BrokenPicture,
    NoisePicture,
    PlainGeneration,
    answers,
    flat,
    picture_requests,
    request,
    text_requests,
    texts,
    user,
)

Checkpoints = Callable[[str], Path]

# Which layout each architecture allows, for requests with pictures and for text alone. PaliGemma
# reads its prompt in both directions, so a prefix knows what follows it; Mllama attends to the
# picture from a cache of its own.
LAYOUTS = {
    "llava": ("shared", "batched"),
    "llava_next": ("shared", "batched"),
    "qwen2_5_vl": ("shared", "batched"),
    "qwen3_vl": ("shared", "batched"),
    "idefics3": ("shared", "batched"),
    "internvl": ("shared", "batched"),
    "gemma3": ("shared", "batched"),
    "paligemma": ("batched", "single"),
    "mllama": ("single", "batched"),
    "llama": (None, "batched"),
    "lfm2": (None, "batched"),
}
# Pictures in ``picture_requests``: one pass each, and one per conversation with two pictures; the
# lone one, and the conversation that shows its second picture later, share with nobody.
N_DISTINCT = 3 + 1 + 2 + 2
N_PICTURES_SHOWN = sum(len(asked.pictures) for asked in picture_requests())


def load(folder: Path, **options: Any) -> TransformersEngine:
    return TransformersEngine.load(str(folder), device="cpu", **options)


@pytest.mark.parametrize("name", LAYOUTS)
def test_answers_are_those_of_plain_generation(checkpoint: Checkpoints, name: str) -> None:
    engine = load(checkpoint(name))
    pictures, text = LAYOUTS[name]
    requests = text_requests() + (picture_requests() if pictures else [])
    plain = PlainGeneration(checkpoint(name), engine.model)

    got = texts(engine, requests)

    assert got == {asked.id: plain.text(asked) for asked in requests}
    assert engine.stats.modes == {"text": text} | ({"pictures": pictures} if pictures else {})
    expected = {"shared": N_DISTINCT, "batched": N_PICTURES_SHOWN, "single": N_PICTURES_SHOWN}
    assert engine.stats.n_vision_passes == (expected[pictures] if pictures else 0)
    if pictures:
        # Else the comparison would prove nothing about pictures.
        assert len({got[f"{picture.name}/0"] for picture in (TALL, WIDE, SQUARE)}) == 3


def test_the_reason_for_a_slower_layout_is_recorded(checkpoint: Checkpoints) -> None:
    engine = load(checkpoint("paligemma"))
    texts(engine, picture_requests())
    assert engine.stats.fallbacks["pictures"].startswith("shared: logits of new token 1 differ")


def test_it_is_an_engine(checkpoint: Checkpoints) -> None:
    engine: Engine = load(checkpoint("llama"))
    assert isinstance(engine, Engine)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_size_does_not_change_answers(checkpoint: Checkpoints, batch_size: int) -> None:
    """Batches smaller than a picture's questions reuse its prefix, and its vision pass."""
    requests = picture_requests() + text_requests()
    engine = load(checkpoint("qwen2_5_vl"), batch_size=batch_size)
    assert texts(engine, requests) == texts(load(checkpoint("qwen2_5_vl")), requests)
    assert engine.stats.n_vision_passes == N_DISTINCT


def test_bfloat16_keeps_the_shared_layout(checkpoint: Checkpoints) -> None:
    engine = load(checkpoint("llava"), dtype="bfloat16")
    texts(engine, picture_requests())
    assert engine.stats.modes == {"pictures": "shared"}
    assert engine.identity["dtype"] == "bfloat16"


def test_rows_within_a_sliding_window_share_and_longer_ones_do_not(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    """A hole inside a row would be counted as tokens by a sliding window."""
    folder = edited(
        checkpoint("gemma3"), tmp_path, "config.json", text_config={"sliding_window": 32}
    )
    engine = load(folder)
    other = NoisePicture(5, 30, 30)
    short = [request(f"short/{n}", user(q, other), n_new=3) for n, q in enumerate(["a", "b?"])]
    plain = PlainGeneration(folder, engine.model)
    requests = short + picture_requests()
    assert texts(engine, requests) == {asked.id: plain.text(asked) for asked in requests}
    assert engine.stats.modes == {"pictures": "shared"}
    assert engine.stats.n_vision_passes == 1 + N_PICTURES_SHOWN


def test_each_picture_is_encoded_once_and_the_self_check_is_counted_apart(
    checkpoint: Checkpoints,
) -> None:
    engine = load(checkpoint("llava"))
    encoded = 0

    def count(module: Any, args: Any, kwargs: Any) -> None:
        nonlocal encoded
        encoded += len(args[0] if args else kwargs["pixel_values"])

    engine.model.model.vision_tower.register_forward_pre_hook(count, with_kwargs=True)
    requests = [
        request(f"{p.name}/{n}", user(q, p)) for n, q in enumerate(QUESTIONS) for p in (TALL, WIDE)
    ]
    texts(engine, requests)
    assert engine.stats.n_vision_passes == 2
    # Two groups, and plain generation for two questions on each.
    assert engine.stats.n_self_check_pictures == 2 + 4
    assert encoded == 2 + 2 + 4


def test_identical_requests_are_asked_once(checkpoint: Checkpoints) -> None:
    engine = load(checkpoint("llava"))
    first = request("a", user(QUESTIONS[0], TALL))
    got = texts(engine, [first, replace(first, id="b"), replace(first, id="c")])
    assert got["a"] == got["b"] == got["c"]
    assert (engine.stats.n_requests, engine.stats.n_unique) == (3, 1)
    assert engine.stats.n_new_tokens <= first.decoding.max_new_tokens


def test_each_request_may_have_its_own_length(checkpoint: Checkpoints) -> None:
    """Rows leave the batch as they finish; the others must not notice."""
    lengths = {str(n): n for n in (1, 7, 3, 12, 2, 9)}
    requests = [request(id, user(id, TALL), n_new=n) for id, n in lengths.items()]
    engine = load(checkpoint("llava"))
    plain = PlainGeneration(checkpoint("llava"), engine.model)
    found = answers(engine, requests)
    assert {id: response.n_new_tokens for id, response in found.items()} == lengths
    assert all(response.finish_reason == "length" for response in found.values())
    assert {id: r.text for id, r in found.items()} == {r.id: plain.text(r) for r in requests}


# --- generation config, sampling, stop strings ---


def edited(folder: Path, scratch: Path, file: str, **changes: Any) -> Path:
    """A copy of a checkpoint with changes in one of its JSON files."""
    copied = scratch / "edited"
    shutil.copytree(folder, copied)
    content = json.loads((copied / file).read_text())
    for name, value in changes.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    (copied / file).write_text(json.dumps(content))
    return copied


def test_the_generation_config_is_honoured_on_unpadded_rows(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    settings = {
        "repetition_penalty": 1.7,
        "no_repeat_ngram_size": 2,
        "suppress_tokens": [70, 71, 72, 73],
        "min_new_tokens": 3,
        "eos_token_id": [2, *range(100, 140)],
        "do_sample": True,
        "temperature": 0.2,
    }
    folder = edited(checkpoint("llava"), tmp_path, "generation_config.json", **settings)
    engine = load(folder)
    plain = PlainGeneration(folder, engine.model)
    requests = picture_requests() + text_requests()
    found = answers(engine, requests)
    assert {id: r.text for id, r in found.items()} == {r.id: plain.text(r) for r in requests}
    assert engine.stats.modes == {"text": "batched", "pictures": "shared"}
    assert {response.finish_reason for response in found.values()} == {"stop", "length"}
    bare = texts(load(checkpoint("llava")), requests)
    assert sum(bare[id] != response.text for id, response in found.items()) > len(requests) / 2


def test_what_only_the_library_can_do_is_left_to_it(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = edited(checkpoint("llava"), tmp_path, "generation_config.json", num_beams=2)
    engine = load(folder)
    plain = PlainGeneration(folder, engine.model)
    requests = picture_requests()[:3]
    assert texts(engine, requests) == {asked.id: plain.text(asked) for asked in requests}
    assert engine.stats.modes == {"pictures": "single"}
    assert "beam" in engine.stats.fallbacks["pictures"]


@pytest.mark.parametrize("name", ["llava", "mllama"])
@pytest.mark.parametrize("top_p", [1.0, 0.6])
def test_a_sampled_answer_does_not_depend_on_the_batch(
    checkpoint: Checkpoints, name: str, top_p: float
) -> None:
    def drawn(asked: Any, **changes: Any) -> Any:
        decoding = replace(asked.decoding, temperature=0.8, top_p=top_p, **changes)
        return replace(asked, decoding=decoding)

    requests = [drawn(asked) for asked in picture_requests()[:7]]
    together = texts(load(checkpoint(name)), requests)
    backwards = texts(load(checkpoint(name), batch_size=2), requests[::-1])
    assert together == backwards
    other_seed = texts(load(checkpoint(name)), [drawn(asked, seed=1) for asked in requests])
    assert sum(other_seed[id] != text for id, text in together.items()) >= 6


@pytest.mark.parametrize("name", ["llama", "lfm2"])
def test_a_sampled_text_depends_on_its_seed_and_not_on_the_batch(
    checkpoint: Checkpoints, name: str
) -> None:
    """Prompts of many lengths, among greedy ones, in another order and another batch size."""
    requests = [
        request(f"{n}/{seed}", user("Tell me. " * n), temperature=0.9 * (seed > 0), seed=seed)
        for n in (1, 2, 5, 9)
        for seed in range(3)
    ]
    together = texts(load(checkpoint(name)), requests)
    assert together == texts(load(checkpoint(name), batch_size=5), requests[::-1])
    alone = load(checkpoint(name))
    assert together == {asked.id: texts(alone, [asked])[asked.id] for asked in requests}
    sampled = {asked.id for asked in requests if asked.decoding.temperature}
    assert len({together[id] for id in sampled}) == len(sampled)


def test_a_low_temperature_or_a_small_nucleus_gives_the_greedy_answer(
    checkpoint: Checkpoints,
) -> None:
    greedy = texts(load(checkpoint("llava")), picture_requests()[:4])
    for changes in ({"temperature": 1e-3}, {"temperature": 1.0, "top_p": 1e-6}):
        requests = [
            replace(asked, decoding=replace(asked.decoding, **changes))
            for asked in picture_requests()[:4]
        ]
        assert texts(load(checkpoint("llava")), requests) == greedy


@pytest.mark.parametrize("name", ["llava", "mllama"])
def test_text_is_cut_at_the_first_stop_string(checkpoint: Checkpoints, name: str) -> None:
    asked = request("a", user(QUESTIONS[0], TALL), n_new=16)
    whole = texts(load(checkpoint(name)), [asked])["a"]
    stop, later = whole[6:8], whole[9:11]
    stopping = replace(asked, decoding=replace(asked.decoding, stop=(later, stop, "never")))
    response = answers(load(checkpoint(name)), [stopping])["a"]
    assert response.text == whole[: whole.index(stop)]
    assert response.finish_reason == "stop"
    assert response.n_new_tokens is not None
    assert response.n_new_tokens < 16


# --- what can go wrong ---


def limit_rows(engine: TransformersEngine, most: int) -> list[int]:
    """Makes the model run out of memory above ``most`` rows; returns the sizes seen."""
    sizes: list[int] = []

    def check(module: Any, args: Any, kwargs: Any) -> None:
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    engine.model.register_forward_pre_hook(check, with_kwargs=True)
    return sizes


def test_out_of_memory_halves_the_batch_and_goes_on(checkpoint: Checkpoints) -> None:
    requests = [
        request(f"{p.name}/{n}", user(f"{q} {n}", p))
        for p in (TALL, WIDE, SQUARE)
        for n, q in enumerate(QUESTIONS * 3)
    ]
    engine = load(checkpoint("llava"), batch_size=32)
    sizes = limit_rows(engine, 5)
    assert texts(engine, requests) == texts(load(checkpoint("llava")), requests)
    # 24 rows of two pictures didn't fit, nor did 12 and 6.
    assert engine.stats.batch_size == 3
    assert [size for size in sizes if size > 5] == [24, 12, 6]


def test_what_never_fits_fails_alone_and_the_batch_recovers(checkpoint: Checkpoints) -> None:
    """One row, and a group whose common prefix is too long already."""
    engine = load(checkpoint("llava"))

    def check(module: Any, args: Any, kwargs: Any) -> None:
        if kwargs["input_ids"].shape[1] > 120:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    short = text_requests() + picture_requests()
    expected = texts(engine, short)
    engine.model.register_forward_pre_hook(check, with_kwargs=True)
    row = request("long", user("very long " * 30))
    group = [request(f"long/{n}", user("very long " * 30 + str(n), TALL)) for n in range(3)]
    found = answers(engine, [*short, row, *group])
    failed = {id: found.pop(id) for id in ("long", "long/0", "long/1", "long/2")}
    assert all((r.error or "").startswith("out of memory") for r in failed.values())
    assert {id: response.text for id, response in found.items()} == expected
    assert engine.stats.batch_size == 64


def test_a_request_that_breaks_the_model_fails_alone_with_the_reason(
    checkpoint: Checkpoints,
) -> None:
    """As a prompt beyond the model's position table does."""
    engine = load(checkpoint("llama"))
    texts(engine, text_requests())

    def check(module: Any, args: Any, kwargs: Any) -> None:
        if kwargs["input_ids"].shape[1] > 120:
            raise IndexError("index out of range in self")

    engine.model.register_forward_pre_hook(check, with_kwargs=True)
    found = answers(engine, [*text_requests(), request("long", user("very long " * 30))])
    assert {id for id, response in found.items() if response.status != "ok"} == {"long"}
    assert found["long"].error == "IndexError: index out of range in self"


def test_an_interrupt_is_not_taken_for_a_failed_request(checkpoint: Checkpoints) -> None:
    engine = load(checkpoint("llama"))

    def interrupt(module: Any, args: Any) -> None:
        raise KeyboardInterrupt

    engine.model.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        flat(engine.generate(text_requests()))


def test_pictures_that_are_absent_or_broken_fail_their_requests_only(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    absent = FilePicture(tmp_path / "absent.png")
    found = answers(
        load(checkpoint("llava")),
        [
            request("absent", user("What?", absent)),
            request("broken", user("What?", BrokenPicture(9, 8, 8))),
            request("fine", user("What?", NARROW)),
        ],
    )
    assert found["fine"].status == "ok"
    assert found["absent"].key == ""
    assert "absent.png" in (found["absent"].error or "")
    assert found["broken"].error == "noise-9: the picture cannot be decoded"


def test_a_text_model_says_that_it_cannot_see(checkpoint: Checkpoints) -> None:
    found = answers(
        load(checkpoint("llama")),
        [request("seen", user("What?", TALL)), request("read", user("What?"))],
    )
    assert found["read"].status == "ok"
    assert "text-only model (llama)" in (found["seen"].error or "")


def test_a_prompt_that_fills_the_context_fails_and_one_that_nearly_does_is_cut_short(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = edited(checkpoint("llama"), tmp_path, "config.json", max_position_embeddings=64)
    lengths = {"room": 20, "little": 55, "one": 60, "none": 61, "beyond": 500}
    requests = [request(id, user("x" * n)) for id, n in lengths.items()]
    found = answers(load(folder), requests)
    assert {id: r.n_new_tokens for id, r in found.items() if r.status == "ok"} == {
        "room": 10,
        "little": 6,
        "one": 1,
    }
    assert {response.finish_reason for response in found.values()} == {"length", "error"}
    assert found["none"].error == (
        "none: the prompt takes 64 positions, and the checkpoint's context has 64"
    )
    whole = texts(load(checkpoint("llama")), requests[:2])
    assert whole["room"] == found["room"].text
    assert whole["little"].startswith(found["little"].text)


def test_the_context_of_shared_pictures_is_kept_too(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    text = {"text_config": {"max_position_embeddings": 50}}
    folder = edited(checkpoint("llava"), tmp_path, "config.json", **text)
    lengths = {"short": 3, "long": 25, "beyond": 40}
    requests = [request(id, user("x" * n, TALL)) for id, n in lengths.items()]
    found = answers(load(folder), requests)
    assert [response.status for response in found.values()].count("ok") == 2
    assert "context has 50" in (found["beyond"].error or "")
    n_prompt, n_new = found["long"].n_prompt_tokens, found["long"].n_new_tokens
    assert n_prompt is not None
    assert n_new is not None
    assert n_prompt + n_new == 50


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "original_max_position_embeddings": 256,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}


@pytest.mark.parametrize(
    ("config", "length"),
    [
        (LlamaConfig(max_position_embeddings=2048), 2048),
        (LlamaConfig(max_position_embeddings=2048, rope_parameters=YARN), 8192),
        (LlamaConfig(max_position_embeddings=8192, rope_parameters=YARN), 8192),
        (LlamaConfig(max_position_embeddings=2048, rope_parameters=LLAMA3), 2048),
        (
            LlamaConfig(
                max_position_embeddings=2048,
                rope_parameters={"rope_type": "linear", "factor": 2.0},
            ),
            4096,
        ),
        (LlavaConfig(text_config=LlamaConfig(max_position_embeddings=77)), 77),
        (Gemma3TextConfig(max_position_embeddings=512), 512),
        (GPT2Config(n_positions=99), 99),
        (MambaConfig(), None),
        (T5Config(), None),
    ],
)
def test_the_length_of_a_context_includes_its_scaling(config: Any, length: int | None) -> None:
    assert context_length(config) == length


def test_a_conversation_that_the_template_refuses_fails_alone(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = tmp_path / "strict"
    shutil.copytree(checkpoint("llama"), folder)
    template = (folder / "chat_template.jinja").read_text()
    refusal = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(refusal + template)
    system = replace(user("Be brief."), role="system")
    found = answers(load(folder), [request("a", system, user("Hi")), request("b", user("Hi"))])
    assert found["b"].status == "ok"
    assert "no system" in (found["a"].error or "")


def test_plain_prompts_are_for_models_without_a_template(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(checkpoint("llama"), folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(PlumblineError, match=r"base: .*no chat template.*chat_template\.jinja"):
        load(folder)
    engine = load(folder, prompt_format="plain")
    assert engine.identity["prompt_format"] == "plain"
    assert load(checkpoint("llama")).identity["prompt_format"] == "chat"
    assert load(checkpoint("paligemma")).identity["prompt_format"] == "plain"
    found = answers(engine, [request("a", user("abc"), user("de"))])
    assert found["a"].n_prompt_tokens == len("abc\nde")
