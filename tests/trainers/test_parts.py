"""What learns is what was asked for: no vision tower by accident, no dropout."""

import pytest
from torch import nn

from benchmarks.base import PlumblineError
from tests.harness.engines.tiny_models import BUILDERS
from trainers.parts import (
    adapter_owns_all,
    choose_parameters,
    parts_of,
    with_adapter,
    without_dropout,
)

WITH_PICTURES = sorted(set(BUILDERS) - {"llama", "lfm2"})
PROJECTORS = ("multi_modal_projector", "connector", "merger", "image_newline")


def adapted(model, train=("language_model",), targets=("all",)):
    return with_adapter(
        model, train, rank=4, alpha=8, dropout=0.1, targets=targets, base="some/base", revision=None
    )


def learning(model):
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_an_adapter_of_the_language_model_leaves_the_vision_tower_alone(tiny, name):
    model = adapted(tiny(name).model)
    found = learning(model)
    assert found
    assert all("lora_" in each for each in found)
    assert all("language_model" in each or "text_model" in each for each in found)
    assert not any("vision" in each or "visual" in each for each in found)
    assert adapter_owns_all(model)


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_a_projector_that_learns_belongs_to_the_adapter(tiny, name):
    model = adapted(tiny(name).model, ("language_model", "projector"))
    copied = [each for each in learning(model) if "lora_" not in each]
    assert copied
    assert all(any(part in each for part in PROJECTORS) for each in copied)
    assert adapter_owns_all(model)


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_parts_are_found_by_place(tiny, name):
    model = tiny(name).model
    part = parts_of(model)
    for parameter, _ in model.named_parameters():
        expected = "language_model"
        if any(mark in parameter for mark in PROJECTORS):
            expected = "projector"
        elif "vision" in parameter or "visual" in parameter:
            expected = "vision"
        assert part(parameter) == expected, parameter
    wrapped = adapted(model, ("language_model", "projector"))
    assert {part(each) for each in learning(wrapped)} == {"language_model", "projector"}


def test_targets_are_layers_of_the_language_model_only(tiny):
    model = adapted(tiny("llava").model, targets=("q_proj", "v_proj"))
    assert len(learning(model)) == 2 * 2 * 2
    assert adapter_owns_all(model)
    with pytest.raises(PlumblineError, match="lora_targets=qkv"):
        adapted(tiny("llava").model, targets=("qkv",))


def test_a_single_layer_of_one_kind_can_be_a_target(tiny):
    model = tiny("llama").model
    model.model.layers = model.model.layers[:1]
    assert len(learning(adapted(model, targets=("q_proj",)))) == 2


def test_no_layer_is_adapted_because_its_name_is_that_of_another(tiny):
    model = tiny("llama").model
    inner = model.model.layers[0].mlp
    inner.vision_encoder = nn.Module()
    inner.vision_encoder.q_proj = nn.Linear(2, 2)
    model.get_encoder = lambda modality=None: inner.vision_encoder
    model.get_decoder = lambda: model.model
    found = learning(adapted(model, targets=("q_proj",)))
    assert len(found) == 2 * 2
    assert not any("vision_encoder" in name for name in found)


def test_whole_parts_or_patterns_learn(tiny):
    model = tiny("llava").model
    choose_parameters(model, ["projector"])
    assert all("multi_modal_projector" in name for name in learning(model))
    choose_parameters(model, [r"model\.language_model\.layers\.1\..*"])
    assert learning(model)
    assert all(".layers.1." in name for name in learning(model))
    assert not adapter_owns_all(model)


@pytest.mark.parametrize("train", [["q_proj"], ["model.vision["], ["no.*such"]])
def test_a_pattern_that_matches_nothing_is_an_error(tiny, train):
    with pytest.raises(PlumblineError, match="train="):
        choose_parameters(tiny("llava").model, train)


def test_a_text_model_has_no_projector_to_train(tiny):
    model = tiny("llama").model
    choose_parameters(model, ["language_model", "projector"])
    assert len(learning(model)) == len(list(model.parameters()))
    with pytest.raises(PlumblineError, match="nothing would learn"):
        choose_parameters(model, ["projector"])


def test_all_dropout_is_off(tiny):
    model = adapted(tiny("llava").model)
    model.base_model.model.model.language_model.layers[0].self_attn.attention_dropout = 0.3
    without_dropout(model)
    assert all(module.p == 0 for module in model.modules() if isinstance(module, nn.Dropout))
    layer = model.base_model.model.model.language_model.layers[0]
    assert layer.self_attn.attention_dropout == 0
