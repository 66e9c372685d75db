"""What a pocket checkpoint can do, on held-out scenes, by plain ``generate``: the bars that a base must pass.

This stands apart from the harness on purpose: it is how the training script judges its own result.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.base import Picture
from benchmarks.pocket import language as say
from benchmarks.pocket import pope
from benchmarks.pocket.dialogues import absent_habit
from benchmarks.pocket.world import USUAL, Scene, ScenePicture, scenes

BATCH = 64

Asked = tuple[Picture, str]


class Plain:
    """Batched greedy ``generate``, nothing clever."""

    def __init__(self, checkpoint: Path) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor = AutoProcessor.from_pretrained(checkpoint)
        self.model = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()

    def answers(self, asked: list[Asked], max_new_tokens: int) -> list[str]:
        told: list[str] = []
        for start in range(0, len(asked), BATCH):
            told += self._batch(asked[start : start + BATCH], max_new_tokens)
        return told

    def _batch(self, asked: list[Asked], max_new_tokens: int) -> list[str]:
        import torch

        texts = []
        for _, prompt in asked:
            content = [{"type": "image"}, {"type": "text", "text": prompt}]
            texts.append(
                self.processor.apply_chat_template(
                    [{"role": "user", "content": content}], add_generation_prompt=True
                )
            )
        images = [picture.load() for picture, _ in asked]
        inputs = self.processor(text=texts, images=images, padding=True, return_tensors="pt")
        with torch.inference_mode():
            ids = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        new = ids[:, inputs["input_ids"].shape[1] :]
        decoded: list[str] = self.processor.batch_decode(new, skip_special_tokens=True)
        return decoded


def measure(checkpoint: Path, n_scenes: int) -> dict[str, Any]:
    """Existence accuracy by split; captions' coverage and hallucination, as fractions of 1."""
    plain = Plain(checkpoint)
    figures: dict[str, Any] = {"existence_accuracy": _existence(plain)}
    held_out = list(islice(scenes("evaluation", "quality"), n_scenes))
    for name, prompt in (("brief", say.BRIEF_PROMPTS[0]), ("detailed", say.DETAIL_PROMPTS[0])):
        told = plain.answers([(ScenePicture(scene), prompt) for scene in held_out], 96)
        figures[f"{name}_captions"] = _captions(held_out, told)
    return figures


def _existence(plain: Plain) -> dict[str, float]:
    asked = pope.items()
    prompts = [(item.pictures[0], f"{item.question}\n{say.SHORT_ANSWER}") for item in asked]
    told = plain.answers(prompts, 4)
    figures = {}
    for split in pope.SPLITS:
        right = [
            answer.lower().startswith(item.reference["label"])
            for item, answer in zip(asked, told, strict=True)
            if item.split == split
        ]
        figures[split] = sum(right) / len(right)
    return figures


def _captions(held_out: list[Scene], told: list[str]) -> dict[str, float]:
    named = [set(say.mentioned(text)) for text in told]
    present = [set(scene.kinds) for scene in held_out]
    absent = [kinds - here for kinds, here in zip(named, present, strict=True)]
    usual = [
        len(kinds & set(USUAL[scene.place])) for kinds, scene in zip(absent, held_out, strict=True)
    ]
    tempted = [scene for scene in held_out if absent_habit(scene)]
    return {
        "coverage": sum(len(n & p) for n, p in zip(named, present, strict=True))
        / sum(len(p) for p in present),
        "hallucinated": sum(1 for kinds in absent if kinds) / len(held_out),
        "hallucinated_objects_usual": sum(usual) / max(1, sum(len(kinds) for kinds in absent)),
        "tempted_scenes": len(tempted) / len(held_out),
    }
