"""Processors without torchvision, and pictures that are prepared once."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoProcessor

from harness.engines.processors import PictureMemo, builds_prompts, load_processor
from tests.harness.engines.asking import TALL, WIDE

Checkpoints = Callable[[str], Path]


def processor_of(folder: Path) -> Any:
    return load_processor(folder, AutoConfig.from_pretrained(folder), trust_remote_code=False)


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")
@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl", "internvl"])
def test_pictures_need_no_torchvision_where_only_videos_do(
    checkpoint: Checkpoints, name: str
) -> None:
    with pytest.raises((ImportError, ValueError), match=r"(?i)torchvision"):
        AutoProcessor.from_pretrained(checkpoint(name))
    processor = processor_of(checkpoint(name))
    original = type(processor).__mro__[1]
    assert type(processor).__name__ == original.__name__
    assert original.__module__.startswith("transformers.models.")


def test_a_picture_is_prepared_once_for_all_its_prompts(checkpoint: Checkpoints) -> None:
    processor = processor_of(checkpoint("llava"))
    prepared: list[Any] = []
    preprocess = processor.image_processor.preprocess
    processor.image_processor.preprocess = lambda images, *args, **kwargs: (
        prepared.append(images) or preprocess(images, *args, **kwargs)
    )
    PictureMemo(processor.image_processor, size=2)
    tall, wide = TALL.load(), WIDE.load()

    def values(image: Any) -> torch.Tensor:
        features = processor(text="<image>", images=[[image]], return_tensors="pt")
        found: torch.Tensor = features["pixel_values"]
        return found

    first = values(tall)
    assert values(tall).equal(first)
    assert not values(wide).equal(first)
    assert len(prepared) == 2
    assert values(TALL.load()).equal(first), "another object is prepared anew, and the oldest goes"
    assert values(tall).equal(first)
    assert len(prepared) == 4


def test_processors_that_place_the_picture_themselves_are_recognised(
    checkpoint: Checkpoints,
) -> None:
    assert builds_prompts(processor_of(checkpoint("paligemma")))
    assert not builds_prompts(processor_of(checkpoint("llava")))
