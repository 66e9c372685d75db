"""How fast the engine is. Run: python -m tests.bench.bench_engine [--image-size 336 | --pocket-pope]

Asks the same questions (six on each picture, answers of eight tokens) in one process through

- plain ``model.generate`` with left-padded batches of 32, in input order, the processor called on
  each batch; and
- ``TransformersEngine``;

alternating, and prints medians. Without a checkpoint, a random LLaVA of 1.4 million parameters is
made. With --pocket-pope the embedded checkpoint is asked pocket POPE's 3,600 questions instead.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from PIL import Image

from benchmarks.base import Decoding, Message, Request
from benchmarks.pocket import CHECKPOINT
from benchmarks.pope import Pope
from harness.engines.processors import load_processor
from harness.engines.transformers_engine import TransformersEngine
from tests.harness.engines.tiny_models import byte_tokenizer, chat_template, save, text_sizes

QUESTIONS = [
    f"Is there a {thing} in the image? Please answer this question with one word."
    for thing in ("dog", "person", "dining table", "car", "traffic light", "cup")
]
N_NEW_TOKENS = 8
PLAIN_BATCH_SIZE = 32


@dataclass(frozen=True)
class Noise:
    """A picture made of coarse noise."""

    seed: int

    @property
    def name(self) -> str:
        return f"noise-{self.seed}"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.load().tobytes()).hexdigest()

    def load(self) -> Image.Image:
        pixels = np.random.default_rng(self.seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        return Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Measured:
    """One pass over all requests."""

    wall_s: float
    cpu_s: float
    texts: dict[str, str]
    n_pictures_encoded: int


def make_llava(folder: Path, image_size: int) -> Path:
    """A random LLaVA: 4 vision layers, 2 language layers, patches of 14 pixels."""
    tokenizer = byte_tokenizer(learn_from=QUESTIONS)
    side = {"height": image_size, "width": image_size}
    processor = hf.LlavaProcessor(
        hf.CLIPImageProcessorPil(size={"shortest_edge": image_size}, crop_size=side),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template(),
    )
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=image_size,
            patch_size=14,
        ),
        text_config=hf.LlamaConfig(
            **text_sizes(
                tokenizer,
                hidden_size=128,
                intermediate_size=352,
                num_key_value_heads=4,
                head_dim=32,
                max_position_embeddings=2048,
            )
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return save(folder, hf.LlavaForConditionalGeneration(config), processor)


def make_requests(n_pictures: int) -> list[Request]:
    pictures = [Noise(seed) for seed in range(n_pictures)]
    return [
        Request(
            id=f"{picture.seed}/{number}",
            item_id=f"{picture.seed}/{number}",
            messages=(Message("user", question, (picture,)),),
            decoding=Decoding(max_new_tokens=N_NEW_TOKENS),
        )
        for picture in pictures
        for number, question in enumerate(QUESTIONS)
    ]


def pocket_pope() -> list[Request]:
    """All requests of pocket POPE, in its order, repeated ones included."""
    pope = Pope(edition="pocket")
    return [request for item in pope.items() if (request := pope.request(item)) is not None]


class VisionCounter:
    """Counts the pictures that go through a model's vision encoder."""

    def __init__(self, model: Any) -> None:
        self.n_pictures = 0
        tower = getattr(model.base_model, "vision_tower", None)
        if tower is not None:
            tower.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: Any, args: Any, kwargs: Any) -> None:
        values = args[0] if args else kwargs["pixel_values"]
        self.n_pictures += len(values)


def plain_batches(model: Any, processor: Any, requests: Sequence[Request]) -> dict[str, str]:
    """What a careful script does: batches in input order, left padding."""
    texts = {}
    for start in range(0, len(requests), PLAIN_BATCH_SIZE):
        batch = requests[start : start + PLAIN_BATCH_SIZE]
        conversations = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": request.pictures[0].load()},
                        {"type": "text", "text": request.messages[0].text},
                    ],
                }
            ]
            for request in batch
        ]
        inputs = processor.apply_chat_template(
            conversations,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left"},
        ).to(model.device, model.dtype)
        limit = batch[0].decoding.max_new_tokens
        out = model.generate(**inputs, do_sample=False, max_new_tokens=limit)
        new = processor.batch_decode(
            out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        texts |= {request.id: text for request, text in zip(batch, new, strict=True)}
    return texts


def measured(ask: Callable[[], dict[str, str]], counter: VisionCounter) -> Measured:
    before = counter.n_pictures
    wall, cpu = time.perf_counter(), time.process_time()
    texts = ask()
    return Measured(
        time.perf_counter() - wall, time.process_time() - cpu, texts, counter.n_pictures - before
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pocket-pope", action="store_true")
    arguments = parser.parse_args()
    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    if arguments.pocket_pope:
        compare(arguments.checkpoint or CHECKPOINT, pocket_pope(), arguments.repeats)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.checkpoint or make_llava(Path(scratch), arguments.image_size)
        compare(folder, make_requests(arguments.pictures), arguments.repeats)


def compare(folder: Path, requests: Sequence[Request], n_repeats: int) -> None:
    plain_model = hf.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    processor = load_processor(folder, plain_model.config, trust_remote_code=False)
    plain_counter = VisionCounter(plain_model)
    plain, ours = [], []
    plain_batches(plain_model, processor, requests[:PLAIN_BATCH_SIZE])
    engine_texts(TransformersEngine.load(str(folder), dtype="float32"), requests[:12])
    for _ in range(n_repeats):
        # A fresh engine each time: its self-check is part of what it costs.
        engine = TransformersEngine.load(str(folder), dtype="float32")
        counter = VisionCounter(engine.model)
        plain.append(
            measured(lambda: plain_batches(plain_model, processor, requests), plain_counter)
        )
        ours.append(measured(lambda e=engine: engine_texts(e, requests), counter))
    same = sum(plain[0].texts[request.id] == ours[0].texts[request.id] for request in requests)
    print(
        f"{len(requests)} requests, {sum(p.numel() for p in plain_model.parameters()):,} parameters"
    )
    print(f"{'':16}{'wall s':>8}{'CPU s':>8}{'requests/s':>12}{'pictures encoded':>18}")
    for name, runs in (("plain batch 32", plain), ("engine", ours)):
        wall = statistics.median(run.wall_s for run in runs)
        cpu = statistics.median(run.cpu_s for run in runs)
        rate = len(requests) / wall
        print(f"{name:16}{wall:8.2f}{cpu:8.2f}{rate:12.1f}{runs[0].n_pictures_encoded:18}")
    ratios = sorted(p.cpu_s / o.cpu_s for p, o in zip(plain, ours, strict=True))
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"CPU seconds, plain / engine: {statistics.median(ratios):.2f} ({shown})")
    n_texts = len(set(ours[0].texts.values()))
    print(f"identical answers: {same} of {len(requests)} ({n_texts} different ones)")


def engine_texts(engine: TransformersEngine, requests: Sequence[Request]) -> dict[str, str]:
    return {
        response.request_id: response.text
        for batch in engine.generate(requests)
        for response in batch
    }


if __name__ == "__main__":
    main()
