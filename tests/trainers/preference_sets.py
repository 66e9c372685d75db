"""Small preference sets of our own in every format, written as their data sets are."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

Records = Sequence[Mapping[str, Any]]

QUESTION, TRUE, FALSE = "What is it?", "A cup.", "A dog."
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. USER: <image>\n"
    f"{QUESTION} ASSISTANT:"
)


def picture(path: Path, colour: str = "red", size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def png(colour: str = "red") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(stream, format="PNG")
    return stream.getvalue()


def written(path: Path, records: Records | str) -> Path:
    """JSON Lines, or an array for a ``.json`` file; pictures a.png and b.png beside it."""
    if isinstance(records, str):
        path.write_text(records)
    elif path.suffix == ".json":
        path.write_text(json.dumps(list(records), indent=1))
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    picture(path.parent / "a.png")
    picture(path.parent / "b.png", "blue")
    return path


def turn(who: str, text: str) -> dict[str, str]:
    return {"from": who, "value": text}


def rated(response: str, *ratings: str) -> dict[str, Any]:
    names = ("Helpfulness", "Ethical Considerations", "Visual Faithfulness")
    annotations = {
        name: {"Rating": rating, "Rationale": "why"}
        for name, rating in zip(names, ratings, strict=True)
    }
    return {"annotations": annotations, "model": "m", "response": response}


def scored(question: str, output: str, *scores: float | None) -> dict[str, Any]:
    names = ("Helpfulness", "Correctness", "Coherence")
    values = dict(zip(names, scores, strict=True))
    return {"image": "a.png", "question": question, "Output": output, **values, "Verbosity": 4}


FORMS: dict[str, Mapping[str, Any]] = {
    "plain": {"image": "a.png", "prompt": QUESTION, "chosen": TRUE, "rejected": FALSE},
    "mdpo": {"img_path": "a.png", "prompt": VICUNA, "chosen": TRUE, "rejected": FALSE},
    "rlhf_v": {
        "image": "a.png",
        "text": json.dumps({"question": QUESTION, "chosen": TRUE, "rejected": FALSE}),
        "idx": 7,
    },
    "povid": {
        "id": "000",
        "image": "a.png",
        "conversations": [turn("human", f"<image>\n{QUESTION}"), turn("gpt", TRUE)],
        "rejected_conversations": [turn("human", f"<image>\n{QUESTION}"), turn("gpt", FALSE)],
    },
    "mllm_dpo": {
        "image": "a.png",
        "question": str(turn("human", f"{QUESTION}\n<image>")),
        "chosen": turn("gpt", TRUE),
        "rejected": turn("gpt", FALSE),
        "ref_win_logp": -3.0,
    },
    "llava_rlhf": {
        "image": "a.png",
        "conversations": [turn("human", f"<image>\n{QUESTION}")],
        "output_1": turn("gpt", FALSE),
        "output_2": turn("gpt", TRUE),
        "preference": 2,
    },
    "vlfeedback": {
        "id": "v",
        "img_path": "a.png",
        "prompt": QUESTION,
        "completions": [rated(FALSE, "3", "5", "1"), rated(TRUE, "5", "5", "4")],
    },
    "swift": {
        "messages": [
            {"role": "user", "content": f"<image>{QUESTION}"},
            {"role": "assistant", "content": TRUE},
        ],
        "images": ["a.png"],
        "rejected_response": FALSE,
    },
}
"""One record of each format that says the same: QUESTION about a.png, TRUE and FALSE."""
