"""Both layouts give the log-probabilities of generation, or the fast one is not used."""

import pytest
import torch

from benchmarks.base import Decoding, Request
from harness.engines.base import EngineStats
from harness.engines.prompts import Prompter
from harness.engines.single import SingleDecoder
from harness.engines.tokens import Chooser
from harness.engines.transformers_engine import TransformersEngine
from tests.harness.engines.tiny_models import BUILDERS
from tests.trainers.tiny_pairs import encoder, pair
from trainers.collate import answer_of
from trainers.layouts import Answer, choose_layout, facts_of, lay_out
from trainers.scoring import answer_log_probs, answer_logits

SHARING = {"llama", "llava", "llava_next", "idefics3", "qwen2_5_vl", "qwen3_vl", "internvl"}
NOT_SHARING = {
    "paligemma": "log-probabilities differ",  # a prompt sees itself in both directions
    "gemma3": "log-probabilities differ",  # a picture does
    "lfm2": "log-probabilities differ",  # a convolution runs through from answer to answer
}
N_NEW = 5


def facts(checkpoint):
    tokenizer = getattr(checkpoint.processor, "tokenizer", checkpoint.processor)
    return facts_of(checkpoint.model, tokenizer.pad_token_id)


def answers(checkpoint, corruption=None):
    encode = encoder(checkpoint, corruption).encode
    pairs = [encode(pair(n, checkpoint.takes_pictures)) for n in range(3)]
    roles = ["chosen", "rejected"] + (["image_rejected"] if corruption else [])
    return [answer_of(each, role) for role in roles for each in pairs]


def log_probs(model, answers, layout, facts):
    batch = lay_out(answers, layout, facts)
    with torch.no_grad():
        return answer_log_probs(answer_logits(model, batch), batch).split(batch["lengths"])


@pytest.mark.parametrize("name", BUILDERS)
def test_log_probabilities_are_those_of_generation(tiny, name):
    checkpoint = tiny(name)
    model, pictures = checkpoint.model, checkpoint.takes_pictures
    tokenizer = getattr(checkpoint.processor, "tokenizer", checkpoint.processor)
    format = TransformersEngine(checkpoint).identity["prompt_format"]
    prompter = Prompter(model, checkpoint.processor, takes_pictures=pictures, format=format)
    single = SingleDecoder(model, Chooser(model, tokenizer), EngineStats())
    # A random model may say its picture token, which no answer may hold.
    image_token = getattr(model.config, "image_token_id", None)
    asked, expected = [], []
    for number in range(3):
        messages = pair(number, pictures).messages
        prompt = prompter.prompt(Request("r", "r", messages, Decoding(N_NEW)))
        output = single.generate(prompt, N_NEW, output_logits=True)
        ids = output.sequences[0, -len(output.logits) :].tolist()
        n = ids.index(image_token) if image_token in ids else len(ids)
        if n:
            scores = torch.stack(output.logits)[:n, 0].log_softmax(-1)
            expected.append(scores[range(n), ids[:n]])
            asked.append(Answer(prompt, torch.tensor(ids[:n])))
    found = log_probs(model, asked, "concat", facts(checkpoint))
    assert len(expected) >= 2
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(SHARING))
def test_answers_that_share_a_row_are_scored_as_if_alone(tiny, name):
    checkpoint = tiny(name)
    asked = answers(checkpoint, "crop" if checkpoint.takes_pictures else None)
    plain = log_probs(checkpoint.model, asked, "concat", facts(checkpoint))
    shared = log_probs(checkpoint.model, asked, "shared_prefix", facts(checkpoint))
    for ours, theirs in zip(shared, plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert choose_layout(checkpoint.model, asked, facts(checkpoint)) == ("shared_prefix", None)


@pytest.mark.parametrize("name", sorted(SHARING))
def test_short_pairs_lie_in_one_row_beside_a_long_one(tiny, name):
    checkpoint = tiny(name)
    pictures = checkpoint.takes_pictures
    encode = encoder(checkpoint).encode
    long = pair(3, pictures, chosen="very " * 60)
    pairs = [encode(each) for each in (pair(0, pictures), pair(2, pictures), long)]
    asked = [answer_of(each, role) for role in ("chosen", "rejected") for each in pairs]
    found = facts(checkpoint)
    assert len(lay_out(asked, "shared_prefix", found)["inputs"]["input_ids"]) == 2
    plain = log_probs(checkpoint.model, asked, "concat", found)
    shared = log_probs(checkpoint.model, asked, "shared_prefix", found)
    for ours, theirs in zip(shared, plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert choose_layout(checkpoint.model, asked, found).reason is None


@pytest.mark.parametrize("name", NOT_SHARING)
def test_a_model_that_cannot_share_is_found_out(tiny, name):
    checkpoint = tiny(name)
    choice = choose_layout(checkpoint.model, answers(checkpoint), facts(checkpoint))
    assert choice.layout == "concat"
    assert NOT_SHARING[name] in choice.reason


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", *NOT_SHARING])
def test_rounding_of_half_precision_is_told_from_a_model_that_cannot_share(tiny, name):
    checkpoint = tiny(name)
    checkpoint.model.to(torch.bfloat16)
    choice = choose_layout(checkpoint.model, answers(checkpoint), facts(checkpoint))
    assert choice.layout == ("concat" if name in NOT_SHARING else "shared_prefix"), choice.reason


def test_eager_attention_takes_an_additive_mask(tiny):
    checkpoint = tiny("llava")
    checkpoint.model.set_attn_implementation("eager")
    found = facts(checkpoint)
    assert not found.boolean_mask
    assert choose_layout(checkpoint.model, answers(checkpoint), found).reason is None


def test_a_row_longer_than_the_attention_window_is_not_shared(tiny):
    checkpoint = tiny("gemma3")
    checkpoint.model.config.text_config.sliding_window = 20
    choice = choose_layout(checkpoint.model, answers(checkpoint), facts(checkpoint))
    assert "go beyond the attention window of 20" in choice.reason


def test_an_attention_without_masks_is_not_shared(tiny):
    checkpoint = tiny("llama")
    checkpoint.model.config._attn_implementation = "flash_attention_2"
    choice = choose_layout(checkpoint.model, answers(checkpoint), facts(checkpoint))
    assert "flash_attention_2" in choice.reason


def test_the_prompt_and_its_picture_are_encoded_once(tiny):
    checkpoint = tiny("llava")
    asked = answers(checkpoint)
    plain = lay_out(asked, "concat", facts(checkpoint))["inputs"]
    shared = lay_out(asked, "shared_prefix", facts(checkpoint))["inputs"]
    assert len(plain["pixel_values"]) == 6
    assert len(shared["pixel_values"]) == 3
    n_prompts = sum(len(answer.prompt) for answer in asked[:3])
    n_answers = sum(len(answer.ids) for answer in asked)
    visible = shared["attention_mask"].diagonal(dim1=-2, dim2=-1).sum()
    assert shared["input_ids"].numel() >= n_prompts + n_answers
    assert int(visible) == shared["input_ids"].numel()


def test_the_mask_shows_an_answer_its_prompt_and_itself(tiny):
    checkpoint = tiny("llama")
    prompt = answers(checkpoint)[0].prompt
    both = [Answer(prompt, torch.tensor(ids)) for ids in ([11, 2], [12, 13, 2])]
    batch = lay_out(both, "shared_prefix", facts(checkpoint))
    n = len(prompt)
    mask = batch["inputs"]["attention_mask"][0, 0].int().tolist()
    assert mask[n + 1][n:] == [1, 1, 0, 0, 0]
    assert mask[n + 4][n:] == [0, 0, 1, 1, 1]
    assert all(row[:n] == [1] * n for row in mask[n:])
    assert batch["inputs"]["position_ids"][0, n:].tolist() == [n, n + 1, n, n + 1, n + 2]
    # The first token of each answer is predicted by the prompt's last.
    assert batch["columns"].tolist() == [n - 1, n, n - 1, n + 2, n + 3]
    assert batch["targets"].tolist() == [11, 2, 12, 13, 2]


def test_packed_pairs_do_not_see_one_another(tiny):
    checkpoint = tiny("llama")
    prompt = answers(checkpoint)[0].prompt
    short, n = prompt.slice(0, 2), len(prompt)
    third = prompt.slice(2, 4)
    asked = [Answer(each, torch.tensor([11, 2])) for each in (short, prompt, third)]
    batch = lay_out(asked, "shared_prefix", facts(checkpoint))
    assert n + 2 >= 8
    assert batch["rows"].tolist() == [1, 1, 0, 0, 1, 1]
    assert batch["columns"].tolist() == [1, 2, n - 1, n, 5, 6]
    mask = batch["inputs"]["attention_mask"][1, 0].int().tolist()
    assert mask[3][:8] == [1, 1, 1, 1, 0, 0, 0, 0]
    assert mask[7][:8] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert batch["inputs"]["position_ids"][1, :8].tolist() == [0, 1, 2, 3, 2, 3, 4, 5]
