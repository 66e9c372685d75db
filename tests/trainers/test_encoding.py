"""Prompts are those of the harness; answers are what the model would have to generate."""

import pytest
import torch

from benchmarks.base import BadRecordError, Decoding, Message, Request
from harness.engines.prompts import Prompter
from tests.harness.engines.tiny_models import BUILDERS, byte_tokenizer
from tests.trainers.tiny_pairs import Noise, encoder, pair
from trainers.methods import LengthWeights, TokenWeights
from trainers.pairs import Spans

END = 2


def tokenizer_of(checkpoint):
    return getattr(checkpoint.processor, "tokenizer", checkpoint.processor)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_prompt_is_what_the_harness_asks_and_an_answer_ends_the_turn(tiny, name):
    checkpoint = tiny(name)
    asked = pair(1, checkpoint.takes_pictures)
    encode = encoder(checkpoint)
    found = encode.encode(asked)
    prompter = Prompter(
        checkpoint.model,
        checkpoint.processor,
        takes_pictures=checkpoint.takes_pictures,
        format="plain" if name == "paligemma" else "chat",
    )
    prompt = prompter.prompt(Request("r", "r", asked.messages, Decoding(1)))
    assert found.prompt.ids.equal(prompt.ids)
    assert found.chosen[-1] == END
    decode = tokenizer_of(checkpoint).decode
    assert decode(found.chosen[:-1]) == asked.chosen
    assert decode(found.rejected[:-1]) == asked.rejected
    assert END not in found.chosen[:-1]


def test_what_a_template_writes_behind_the_end_of_a_turn_is_not_learned(tiny):
    checkpoint = tiny("llama")
    tokenizer = checkpoint.processor
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{{ eos_token }}", "{{ eos_token }}\n\n"
    )
    assert encoder(checkpoint).encode(pair(0, False)).chosen[-1] == END


def test_a_template_that_does_not_end_turns_gets_the_end_of_generation(tiny):
    checkpoint = tiny("llama")
    tokenizer = checkpoint.processor
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ eos_token }}", " ")
    found = encoder(checkpoint).encode(pair(0, False))
    assert tokenizer.decode(found.chosen) == f"{pair(0).chosen}</s>"


def test_the_end_is_the_token_that_generation_stops_at(tiny):
    checkpoint = tiny("llama")
    tokenizer = checkpoint.processor
    turn_end = tokenizer.convert_tokens_to_ids("<|system|>")
    checkpoint.model.generation_config.eos_token_id = [END, turn_end]
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ eos_token }}", "<|system|>")
    assert encoder(checkpoint).encode(pair(0, False)).chosen[-1] == turn_end


def test_a_template_that_opens_a_turn_unlike_a_finished_one_still_gives_the_answer(tiny):
    checkpoint = tiny("llama")
    tokenizer = checkpoint.processor
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "%}<|assistant|>{%", "%}<|assistant|>(thinking){%"
    )
    found = encoder(checkpoint).encode(pair(0, False))
    assert tokenizer.decode(found.prompt.ids).endswith("(thinking)")
    assert tokenizer.decode(found.chosen) == f"{pair(0).chosen}</s>"


def test_an_answer_that_would_melt_into_the_prompt_is_tokenized_alone(tiny):
    checkpoint = tiny("llama")
    tokenizer = byte_tokenizer(learn_from=["catch"] * 20)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    object.__setattr__(checkpoint, "processor", tokenizer)
    asked = pair(0, False, messages=(Message("user", "ca"),), chosen="tch it")
    found = encoder(checkpoint).encode(asked)
    together = tokenizer("catch it", add_special_tokens=False)["input_ids"]
    assert together[: len(found.prompt.ids)] != found.prompt.ids.tolist()
    assert tokenizer.decode(found.prompt.ids) == "ca"
    assert tokenizer.decode(found.chosen) == "tch it</s>"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"chosen": " \n"}, "an answer is empty"),
        ({"rejected": "A <image>."}, "token that stands for a picture"),
        ({"messages": (Message("user", "<image> and <image>?", (Noise(1),)),)}, ""),
    ],
)
def test_a_pair_that_cannot_be_prepared_is_named(tiny, changes, problem):
    with pytest.raises(BadRecordError, match=f"pair pair-0: .*{problem}.*skip_unreadable=true"):
        encoder(tiny("llava")).encode(pair(0, **changes))


def test_rejected_pictures_stand_in_the_same_prompt(tiny):
    found = encoder(tiny("llava"), "crop").encode(pair(0))
    assert found.image_prompt.ids.equal(found.prompt.ids)
    assert not found.image_prompt.vision["pixel_values"].equal(found.prompt.vision["pixel_values"])


def test_given_rejected_pictures_are_taken_and_must_be_as_many(tiny):
    encode = encoder(tiny("llava"), "crop").encode
    given = encode(pair(0, rejected_pictures=(Noise(7),)))
    asked = encode(pair(0, messages=(Message("user", "What is red?", (Noise(7),)),)))
    expected = asked.prompt.vision["pixel_values"]
    assert given.image_prompt.vision["pixel_values"].equal(expected)
    with pytest.raises(BadRecordError, match="1 pictures, but 2 rejected ones"):
        encode(pair(0, rejected_pictures=(Noise(7), Noise(8))))


def test_noise_on_tensors_depends_on_pair_and_draw_alone(tiny):
    def pixels(number, draw):
        found = encoder(tiny("llava"), "diffusion").encode(pair(number), draw)
        return found.image_prompt.vision["pixel_values"]

    assert pixels(0, 0).equal(pixels(0, 0))
    assert not pixels(0, 0).equal(pixels(0, 1))
    assert not pixels(0, 0).equal(pixels(1, 0))


def test_keys_tell_apart_what_log_probabilities_depend_on(tiny):
    crop, noise = (encoder(tiny("llava"), name) for name in ("crop", "diffusion"))
    first = crop.keys(pair(0))
    assert first == crop.keys(pair(0))
    assert len(set(first.values())) == 3
    assert noise.keys(pair(0))["chosen"] == first["chosen"]
    assert noise.keys(pair(0))["image_rejected"] != first["image_rejected"]
    other = crop.keys(pair(0, messages=(Message("user", "What is red?", (Noise(5),)),)))
    assert not set(first.values()) & set(other.values())
    renamed = crop.keys(pair(0, id="renamed"))
    assert renamed["rejected"] == first["rejected"]
    assert renamed["image_rejected"] != first["image_rejected"]


def test_tokens_are_weighed_by_segment_or_by_marked_characters(tiny):
    encode = encoder(tiny("llava"), weights=TokenWeights(5.0)).encode
    texts = {"chosen": "the red cup there", "rejected": "the blue cup there"}
    by_segment = encode(pair(0, **texts)).weights
    assert by_segment.chosen == [1.0] * 4 + [5.0] * 3 + [1.0] * 11
    assert by_segment.rejected == [1.0] * 4 + [5.0] * 4 + [1.0] * 11
    marked = encode(pair(0, **texts, spans=Spans(((4, 11),), ((4, 12),)))).weights
    assert marked.chosen == [1.0] * 4 + [5.0] * 7 + [1.0] * 7
    assert marked.rejected == [1.0] * 4 + [5.0] * 8 + [1.0] * 7


def test_unmarked_tokens_can_be_left_out(tiny):
    weights = TokenWeights(1.0, shared_token_weight=0.0)  # VL-RLHF's DDPO
    spans = Spans(((4, 7),), ((4, 8),))
    asked = pair(0, chosen="the red cup", rejected="the blue cup", spans=spans)
    found = encoder(tiny("llava"), weights=weights).encode(asked).weights
    assert found.chosen == [0.0] * 4 + [1.0] * 3 + [0.0] * 5
    assert found.rejected == [0.0] * 4 + [1.0] * 4 + [0.0] * 5


def test_tokens_beyond_the_shorter_answer_weigh_less(tiny):
    asked = pair(0, chosen="abc", rejected="abcdef")
    found = encoder(tiny("llava"), weights=LengthWeights(0.3)).encode(asked).weights
    assert found == ([1.0] * 4, [1.0] * 4 + [0.3] * 3)


def test_encoding_again_gives_the_same(tiny):
    encode = encoder(tiny("qwen2_5_vl"), "crop").encode
    for number in (0, 1, 0):
        first, again = encode(pair(number)), encode(pair(number))
        assert first.prompt.ids.equal(again.prompt.ids)
        for name, value in first.image_prompt.vision.items():
            assert torch.equal(value, again.image_prompt.vision[name])
