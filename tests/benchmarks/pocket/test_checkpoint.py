"""The embedded checkpoint: what it weighs, and the bars that a base must pass on held-out scenes."""

import json

import pytest

from benchmarks.pocket import CHECKPOINT
from benchmarks.pocket.quality import measure


def test_it_is_small_and_in_the_usual_format():
    assert (CHECKPOINT / "model.safetensors").stat().st_size <= 8_000_000
    config = json.loads((CHECKPOINT / "config.json").read_text())
    assert config["architectures"] == ["LlavaForConditionalGeneration"]
    for name in ("tokenizer.json", "processor_config.json", "chat_template.jinja", "recipe.json"):
        assert (CHECKPOINT / name).exists()


@pytest.mark.slow
def test_it_sees_tells_and_hallucinates_as_a_base_must():
    figures = measure(CHECKPOINT, 200)
    existence = figures["existence_accuracy"]
    assert existence["random"] >= 0.85
    assert existence["adversarial"] <= existence["random"] - 0.03
    for style in ("brief_captions", "detailed_captions"):
        captions = figures[style]
        assert captions["coverage"] >= 0.85
        assert 0.10 <= captions["hallucinated"] <= 0.40
        assert captions["hallucinated_objects_usual"] > 0.5
