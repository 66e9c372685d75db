"""A made-up data folder in COCO's and Object HalBench's forms: three pictures, own word lists."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

WORDS = """\
person, man, woman
dog, puppy
chair, seat
toilet
wine glass
cup, mug,  beaker
bear, cub
"""
CATEGORIES = [line.split(",")[0] for line in WORDS.splitlines()]

ANNOTATED = {1: ["dog"], 2: ["toilet", "toilet"], 3: []}
CAPTIONS = {1: ["A woman holds a mug.", "Two dogs."], 2: ["The toilet seat is up."], 3: ["A sky."]}
TRUTH = {1: ["cup", "dog", "person"], 2: ["toilet"], 3: []}

QUESTIONS = ("Describe it.", "What is this?", "Describe it.")

JUDGE_PROMPT = "List objects.\nQ: {question}\nA: {answer}\n"

TOKENS = {
    "a dog": [["a", "DT"], ["dog", "NN"]],
    "a dogs": [["a", "DT"], ["dog", "NNS"]],
    "a red puppy": [["a", "DT"], ["red", "JJ"], ["puppy", "NN"]],
    "a person": [["a", "DT"], ["person", "NN"]],
    "a man": [["a", "DT"], ["man", "NN"]],
    "a dog walker": [["a", "DT"], ["dog", "NN"], ["walker", "NN"]],
    "a toilet seat": [["a", "DT"], ["toilet", "NN"], ["seat", "NN"]],
    "a baby bear on a seat": [
        ["a", "DT"], ["baby", "NN"], ["bear", "NN"], ["on", "IN"], ["a", "DT"], ["seat", "NN"],
    ],
    "a seat near a man": [["a", "DT"], ["seat", "NN"], ["near", "IN"], ["a", "DT"], ["man", "NN"]],
    "a toilet": [["a", "DT"], ["toilet", "NN"]],
    "a seat": [["a", "DT"], ["seat", "NN"]],
    "a sky": [["a", "DT"], ["sky", "NN"]],
    "a None": [["a", "DT"], ["None", "NNP"]],
}  # fmt: skip


def encoded_picture(colour: str = "red") -> str:
    """A PNG as base64."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")


def json_lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def question_records() -> list[dict[str, Any]]:
    return [
        {"org_idx": n, "image_id": n, "question": text, "image": encoded_picture()}
        for n, text in enumerate(QUESTIONS, start=1)
    ]


def instances(annotated: dict[int, list[str]]) -> dict[str, Any]:
    return {
        "images": [{"id": image_id} for image_id in annotated],
        "categories": [{"id": n, "name": name} for n, name in enumerate(CATEGORIES)],
        "annotations": [
            {"image_id": image_id, "category_id": CATEGORIES.index(name)}
            for image_id, names in annotated.items()
            for name in names
        ],
    }


def captions(told: dict[int, list[str]]) -> dict[str, Any]:
    return {
        "images": [{"id": image_id} for image_id in told],
        "annotations": [
            {"image_id": image_id, "caption": text}
            for image_id, texts in told.items()
            for text in texts
        ],
    }


def write(folder: Path, config: pytest.Config) -> Path:
    """The folder's files. NLTK's data are the official ones, or where NLTK looks by itself."""
    own, coco = folder / "object_halbench", folder / "coco" / "annotations"
    own.mkdir(parents=True)
    coco.mkdir(parents=True)
    (own / "obj_halbench_300_with_image.jsonl").write_text(json_lines(question_records()))
    (own / "synonyms_refine.txt").write_text(WORDS)
    (own / "chair_synonyms_original.txt").write_text(WORDS)
    (own / "judge_prompt.txt").write_text(JUDGE_PROMPT)
    (own / "tokens.json").write_text(json.dumps(TOKENS))
    (coco / "instances_val2014.json").write_text(json.dumps(instances(ANNOTATED)))
    (coco / "captions_val2014.json").write_text(json.dumps(captions(CAPTIONS)))
    official: Path | None = config.getoption("parity_data_dir")
    if official is not None and (official / "nltk_data").is_dir():
        (folder / "nltk_data").symlink_to(official / "nltk_data")
    return folder


def skip_without_nltk(folder: Path) -> None:
    from benchmarks.base import PlumblineError
    from benchmarks.nlp import TAGS, WORDS_AND_LEMMAS, nltk_ready

    try:
        nltk_ready(folder, (*WORDS_AND_LEMMAS, *TAGS))
    except PlumblineError as error:
        pytest.skip(str(error))
