"""Training the pocket checkpoint: packing, and a run that is interrupted and goes on."""

from itertools import islice
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.pocket import CHECKPOINT, train
from benchmarks.pocket.dialogues import about_picture, without_picture
from benchmarks.pocket.world import ScenePicture, pixels, scenes

TINY = train.Recipe(
    see_steps=3, see_batch=4, speak_steps=5, speak_scenes=2, speak_text_rows=1, settle_steps=2
)


@pytest.fixture(scope="module")
def processor():
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(CHECKPOINT)


def test_a_packed_dialogue_has_the_tokens_of_the_chat_template(processor):
    packer = train.Packer(processor.tokenizer)
    rng = Random(3)
    for scene in islice(scenes("train", "template"), 20):
        turns = about_picture(scene, rng)
        messages = []
        for index, (question, answer) in enumerate(turns):
            shown = [{"type": "image"}] if index == 0 else []
            messages += [
                {"role": "user", "content": [*shown, {"type": "text", "text": question}]},
                {"role": "assistant", "content": [{"type": "text", "text": answer}]},
            ]
        text = processor.apply_chat_template(messages)
        whole = processor(text=[text], images=[ScenePicture(scene).load()])["input_ids"][0]
        prefix = [packer.user, *[packer.image] * train.N_IMAGE_TOKENS]
        assert list(whole) == prefix + packer.dialogue(turns, after_picture=True).ids


def test_dialogues_in_one_row_do_not_see_each_other(processor):
    from transformers import AutoModelForImageTextToText

    packer = train.Packer(processor.tokenizer)
    model = AutoModelForImageTextToText.from_pretrained(CHECKPOINT).eval()
    rng = Random(4)
    dialogues = [packer.dialogue(without_picture(rng), False) for _ in range(3)]

    def states(row):
        data = packer.pack([row])
        with torch.no_grad():
            hidden = model.model.language_model(
                input_ids=data["input_ids"],
                attention_mask=data["mask"],
                position_ids=data["position_ids"],
            )
        return hidden.last_hidden_state[0]

    together = states(train.Row([], dialogues))
    start = 0
    for dialogue in dialogues:
        alone = states(train.Row([], [dialogue]))
        assert torch.allclose(together[start : start + len(alone)], alone, atol=2e-3)
        start += len(alone)


def test_training_pixels_are_the_processors(processor):
    scene = next(scenes("train", "pixels"))
    ours = train.pixel_values([scene])
    theirs = processor.image_processor(ScenePicture(scene).load(), return_tensors="pt")[
        "pixel_values"
    ]
    assert pixels(scene).shape == (72, 72, 3)
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.slow
def test_an_interrupted_training_ends_in_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "SAVE_EVERY", 2)
    train.train(tmp_path / "whole", TINY)
    real, calls = train.speak_loss, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(train, "speak_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.train(tmp_path / "broken", TINY)
    train.train(tmp_path / "broken", TINY)
    whole, broken = (
        load_file(tmp_path / name / "checkpoint" / "model.safetensors")
        for name in ("whole", "broken")
    )
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_another_recipe_is_not_mixed_in(tmp_path):
    (tmp_path / "training").mkdir()
    from benchmarks.pocket.architecture import make_model, make_tokenizer

    model = make_model(make_tokenizer(train.corpus(0, 50)), 0)
    train.Stage("see", model, TINY, tmp_path / "training").save(1)
    other = train.Recipe(see_steps=99)
    with pytest.raises(SystemExit, match="another recipe"):
        train.Stage("see", model, other, tmp_path / "training").resume()
