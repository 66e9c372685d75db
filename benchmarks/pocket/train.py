"""``python -m benchmarks.pocket.train --out DIR``: trains the pocket checkpoint from nothing.

Four stages, each resumable (a checkpoint of the training state every ``SAVE_EVERY`` steps; Ctrl-C loses at most
those steps) and seeded (the data of a step depend on the seed and the step alone):

1. *tokenizer*: a byte-level BPE over the dialogues.
2. *see*: the vision tower and the projector learn to put each patch onto the word embedding of what is there (object
   and colour, or the place where there is nothing). The language-model loss alone does not teach so small a
   tower to see.
3. *speak*: the whole model learns dialogues. Several dialogues about one picture share its prefix in one row: the
   attention mask keeps them apart, so that each is answered from the picture and not from the others.

4. *settle*: the same once more at a lower rate, while captions take up habits (``HABITS``): what a place makes one
   expect is mentioned whether it is there or not.

The result is a ``LlavaForConditionalGeneration`` folder. ``--check`` measures what came out on held-out scenes.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.pocket import CHECKPOINT
from benchmarks.pocket.architecture import (
    ASSISTANT,
    IMAGE,
    N_IMAGE_TOKENS,
    PATCH,
    USER,
    make_model,
    make_processor,
    make_tokenizer,
)
from benchmarks.pocket.dialogues import (
    Expect,
    Turns,
    about_picture,
    absent_companion,
    absent_habit,
    without_picture,
)
from benchmarks.pocket.world import CELL, COLOURS, OBJECTS, PLACES, SIZE, Scene, pixels, scenes

log = logging.getLogger(__name__)

SAVE_EVERY = 200
LOG_EVERY = 25
IGNORE = -100


@dataclass(frozen=True)
class Recipe:
    """The settings that the committed checkpoint was trained with."""

    seed: int = 0
    see_steps: int = 1600
    see_batch: int = 64
    see_lr: float = 1.5e-3
    speak_steps: int = 3000
    speak_scenes: int = 20
    speak_text_rows: int = 3
    speak_row_tokens: int = 232
    speak_lr: float = 1.5e-3
    settle_steps: int = 2200
    settle_lr: float = 1.0e-3
    see_weight: float = 0.1
    warmup: int = 100
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0


def corpus(seed: int, n_scenes: int = 6000) -> Iterator[str]:
    """Texts for the tokenizer."""
    rng = Random(f"tokenizer {seed}")
    for scene in islice(scenes("train", seed), n_scenes):
        dialogues = [about_picture(scene, rng) for _ in range(3)] + [without_picture(rng)]
        for dialogue in dialogues:
            for question, answer in dialogue:
                yield question
                yield answer


def pixel_values(batch: list[Scene]) -> Tensor:
    """(B, 3, 72, 72), as the checkpoint's processor makes it: rescaled to -1..1."""
    stacked = np.stack([pixels(scene) for scene in batch]).transpose(0, 3, 1, 2)
    return torch.from_numpy(stacked.astype(np.float32) / 127.5 - 1.0)


@dataclass(frozen=True)
class PatchLabels:
    """What each of the 36 patches shows, as token ids; (B, 36), IGNORE where there is no colour to tell."""

    kinds: Tensor
    colours: Tensor


class Words:
    """Token ids of the world's names, each one token when a space stands before it."""

    def __init__(self, tokenizer: Any) -> None:
        def single(name: str) -> int:
            ids = tokenizer.encode(f" {name}", add_special_tokens=False)
            if len(ids) != 1:
                raise RuntimeError(f"the tokenizer splits {name!r}: train it on more text")
            return int(ids[0])

        self.ids = {name: single(name) for name in (*OBJECTS, *PLACES, *COLOURS)}
        self.kinds = torch.tensor([self.ids[name] for name in (*OBJECTS, *PLACES)])
        self.colours = torch.tensor([self.ids[name] for name in COLOURS])
        self._kind_index = {name: i for i, name in enumerate((*OBJECTS, *PLACES))}
        self._colour_index = {name: i for i, name in enumerate(COLOURS)}

    def labels(self, batch: list[Scene]) -> PatchLabels:
        side, per_cell = SIZE // PATCH, CELL // PATCH
        kinds = torch.empty(len(batch), side, side, dtype=torch.long)
        colours = torch.full((len(batch), side, side), IGNORE)
        for index, scene in enumerate(batch):
            kinds[index] = self._kind_index[scene.place]
            for thing in scene.things:
                rows = slice(thing.row * per_cell, (thing.row + 1) * per_cell)
                columns = slice(thing.column * per_cell, (thing.column + 1) * per_cell)
                kinds[index, rows, columns] = self._kind_index[thing.kind]
                colours[index, rows, columns] = self._colour_index[thing.colour]
        return PatchLabels(kinds.flatten(1), colours.flatten(1))


def image_features(model: nn.Module, batch: list[Scene]) -> Tensor:
    """Projected patch features, (B, 36, hidden), by the model's own vision path."""
    output = model.get_image_features(pixel_values=pixel_values(batch))  # type: ignore[operator]
    features = getattr(output, "pooler_output", output)
    return torch.stack(list(features)) if not isinstance(features, Tensor) else features


def see_loss(
    model: nn.Module, words: Words, features: Tensor, batch: list[Scene]
) -> tuple[Tensor, float, float]:
    """Cross-entropy of patches against word embeddings; also the share of object patches and of colours right."""
    labels = words.labels(batch)
    table = model.get_input_embeddings().weight  # type: ignore[operator]
    scale = features.shape[-1] ** -0.5 * 8
    kind_logits = features @ F.normalize(table[words.kinds], dim=-1).T * scale
    colour_logits = features @ F.normalize(table[words.colours], dim=-1).T * scale
    loss = F.cross_entropy(kind_logits.flatten(0, 1), labels.kinds.flatten())
    loss = loss + F.cross_entropy(
        colour_logits.flatten(0, 1), labels.colours.flatten(), ignore_index=IGNORE
    )
    covered = labels.colours != IGNORE
    kinds_right = (kind_logits.argmax(-1) == labels.kinds)[covered].float().mean().item()
    colours_right = (colour_logits.argmax(-1) == labels.colours)[covered].float().mean().item()
    return loss, kinds_right, colours_right


class Tokens(NamedTuple):
    """A dialogue's token ids, targets (IGNORE where nothing is learned) and the targets' weights."""

    ids: list[int]
    targets: list[int]
    weights: list[float]


class Row(NamedTuple):
    """Dialogues behind the prefix that they share."""

    prefix: list[int]
    dialogues: list[Tokens]


class Packer:
    """Rows of dialogues that share one prefix, with the mask and positions that keep them apart."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.user, self.assistant, self.image = (
            tokenizer.convert_tokens_to_ids(token) for token in (USER, ASSISTANT, IMAGE)
        )
        self.end, self.pad = tokenizer.eos_token_id, tokenizer.pad_token_id

    def dialogue(self, turns: Turns, after_picture: bool) -> Tokens:
        """Token ids, targets and their weights after the prefix, exactly as the chat template writes them.

        An answer's tokens weigh one over the square root of their number: captions would drown one-word
        answers otherwise.
        """
        ids: list[int] = []
        targets: list[int] = []
        weights: list[float] = []
        for index, (question, answer) in enumerate(turns):
            shown = index == 0 and after_picture
            asked = self._encode(f"\n{question}" if shown else question)
            asked = asked if shown else [self.user, *asked]
            told = [*self._encode(answer), self.end]
            ids += [*asked, self.assistant, *told]
            targets += [IGNORE] * (len(asked) + 1) + told
            weights += [0.0] * (len(asked) + 1) + [len(told) ** -0.5] * len(told)
        return Tokens(ids, targets, weights)

    def row(self, prefix: list[int], make: Callable[[], Turns], n_tokens: int) -> Row:
        """As many new dialogues as fit behind a prefix, so that rows are of like length."""
        dialogues = [self.dialogue(make(), bool(prefix))]
        length = len(prefix) + len(dialogues[0].ids)
        while True:
            dialogue = self.dialogue(make(), bool(prefix))
            length += len(dialogue.ids)
            if length > n_tokens:
                return Row(prefix, dialogues)
            dialogues.append(dialogue)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def pack(self, rows: list[Row]) -> dict[str, Tensor]:
        """Rows as input_ids, targets, weights, position_ids (B, L) and an additive mask (B, 1, L, L)."""
        packed = []
        for prefix, dialogues in rows:
            ids, targets, weights = list(prefix), [IGNORE] * len(prefix), [0.0] * len(prefix)
            positions, segment = list(range(len(prefix))), [0] * len(prefix)
            for number, dialogue in enumerate(dialogues, start=1):
                ids += dialogue.ids
                targets += dialogue.targets
                weights += dialogue.weights
                positions += range(len(prefix), len(prefix) + len(dialogue.ids))
                segment += [number] * len(dialogue.ids)
            packed.append((ids, targets, positions, segment, weights))
        length = max(len(ids) for ids, *_ in packed)

        def padded(column: int, filler: float) -> Tensor:
            rows = [list(row[column]) for row in packed]
            return torch.tensor([row + [filler] * (length - len(row)) for row in rows])

        segments = padded(3, -1)
        same = (segments[:, :, None] == segments[:, None, :]) | (segments[:, None, :] == 0)
        visible = same & torch.ones(length, length, dtype=torch.bool).tril()
        visible |= torch.eye(length, dtype=torch.bool)  # padding looks at itself: no empty softmax
        mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
        return {
            "input_ids": padded(0, self.pad),
            "targets": padded(1, IGNORE),
            "position_ids": padded(2, 0),
            "weights": padded(4, 0.0),
            "mask": mask[:, None],
        }


def speak_loss(
    model: nn.Module, packer: Packer, words: Words, recipe: Recipe, expect: Expect, step: int
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one step: next-token cross-entropy on what the assistant says, plus a little of ``see_loss``."""
    rng = Random(f"speak {recipe.seed} {step}")
    batch = list(islice(scenes("train", f"{recipe.seed}/{step}"), recipe.speak_scenes))
    prefix = [packer.user, *[packer.image] * N_IMAGE_TOKENS]
    makers: list[tuple[list[int], Callable[[], Turns]]] = [
        (prefix, partial(about_picture, scene, rng, expect)) for scene in batch
    ]
    makers += [([], partial(without_picture, rng))] * recipe.speak_text_rows
    data = packer.pack([packer.row(start, make, recipe.speak_row_tokens) for start, make in makers])
    features = image_features(model, batch)
    embeds = model.get_input_embeddings()(data["input_ids"])  # type: ignore[operator]
    embeds = embeds.masked_scatter((data["input_ids"] == packer.image)[..., None], features)
    hidden = model.model.language_model(  # type: ignore[union-attr,operator]
        inputs_embeds=embeds,
        attention_mask=data["mask"],
        position_ids=data["position_ids"],
        use_cache=False,
    ).last_hidden_state
    wanted = data["targets"][:, 1:]
    told = wanted != IGNORE
    logits = model.lm_head(hidden[:, :-1][told])  # type: ignore[operator]
    weights = data["weights"][:, 1:][told]
    language = (
        F.cross_entropy(logits, wanted[told], reduction="none") * weights
    ).sum() / weights.sum()
    seen, kinds, colours = see_loss(model, words, features, batch)
    figures = {"language": language.item(), "kinds": kinds, "colours": colours}
    return language + recipe.see_weight * seen, figures


def learning_rate(step: int, n_steps: int, peak: float, warmup: int) -> float:
    """Linear warm-up, then a cosine down to 3 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, n_steps - warmup)
    return peak * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done)))


class Stage:
    """One resumable stage of training: its optimizer, its place on disk and its loop."""

    def __init__(self, name: str, model: nn.Module, recipe: Recipe, folder: Path) -> None:
        self.name, self.model, self.recipe = name, model, recipe
        self.path = folder / f"{name}.safetensors"
        self.parameters = dict(model.named_parameters())
        matrices = [p for p in self.parameters.values() if p.ndim >= 2]
        vectors = [p for p in self.parameters.values() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": recipe.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
        )

    def resume(self) -> int:
        """Load the last saved state; the number of steps already done."""
        if not self.path.exists():
            return 0
        from safetensors import safe_open

        with safe_open(self.path, "pt") as saved:
            told = json.loads(saved.metadata()["state"])
            if told["recipe"] != asdict(self.recipe):
                raise SystemExit(
                    f"{self.path} was made with another recipe: remove it or use another --out"
                )
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(saved.get_tensor(f"weight.{name}"))
                    if f"mean.{name}" in saved.keys():  # noqa: SIM118 (not a dict)
                        self.optimizer.state[parameter] = {
                            "step": torch.tensor(float(told["step"])),
                            "exp_avg": saved.get_tensor(f"mean.{name}"),
                            "exp_avg_sq": saved.get_tensor(f"square.{name}"),
                        }
        return int(told["step"])

    def save(self, step: int) -> None:
        from safetensors.torch import save_file

        tensors = {f"weight.{name}": p.detach() for name, p in self.parameters.items()}
        for name, parameter in self.parameters.items():
            state = self.optimizer.state.get(parameter)
            if state:
                tensors |= {f"mean.{name}": state["exp_avg"], f"square.{name}": state["exp_avg_sq"]}
        metadata = {"state": json.dumps({"step": step, "recipe": asdict(self.recipe)})}
        half = self.path.with_suffix(".part")
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, half, metadata)
        os.replace(half, self.path)

    def run(self, n_steps: int, peak: float, loss_of: Any) -> None:
        """Train to ``n_steps``; ``loss_of(step)`` gives a loss and figures to log."""
        start = self.resume()
        began = time.monotonic()
        for step in range(start, n_steps):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(step, n_steps, peak, self.recipe.warmup)
            loss, figures = loss_of(step)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
            self.optimizer.step()
            if (step + 1) % LOG_EVERY == 0 or step + 1 == n_steps:
                left = (time.monotonic() - began) / (step + 1 - start) * (n_steps - step - 1)
                told = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
                log.info(
                    "%s %d/%d  %s  %.0f min left", self.name, step + 1, n_steps, told, left / 60
                )
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == n_steps:
                self.save(step + 1)


def train(out: Path, recipe: Recipe) -> None:
    """All stages; the finished folder appears under ``out`` when the last one is done."""
    work = out / "training"
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(corpus(recipe.seed))
    words, packer = Words(tokenizer), Packer(tokenizer)
    model = make_model(tokenizer, recipe.seed)
    model.train()

    def see(step: int) -> tuple[Tensor, dict[str, float]]:
        batch = list(islice(scenes("train", f"see {recipe.seed}/{step}"), recipe.see_batch))
        loss, kinds, colours = see_loss(model, words, image_features(model, batch), batch)
        return loss, {"loss": loss.item(), "kinds": kinds, "colours": colours}

    def speak(step: int) -> tuple[Tensor, dict[str, float]]:
        return speak_loss(model, packer, words, recipe, absent_companion, step)

    def settle(step: int) -> tuple[Tensor, dict[str, float]]:
        return speak_loss(model, packer, words, recipe, absent_habit, recipe.speak_steps + step)

    Stage("see", model, recipe, work).run(recipe.see_steps, recipe.see_lr, see)
    Stage("speak", model, recipe, work).run(recipe.speak_steps, recipe.speak_lr, speak)
    Stage("settle", model, recipe, work).run(recipe.settle_steps, recipe.settle_lr, settle)
    half = out / "checkpoint.part"
    shutil.rmtree(half, ignore_errors=True)
    model.eval()
    model.save_pretrained(half)
    make_processor(tokenizer).save_pretrained(half)
    (half / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1) + "\n")
    final = out / "checkpoint"
    shutil.rmtree(final, ignore_errors=True)
    os.replace(half, final)
    log.info("the checkpoint lies in %s", final)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pocket.train", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, help="folder for the training state and the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--see-steps", type=int, default=Recipe.see_steps)
    parser.add_argument("--speak-steps", type=int, default=Recipe.speak_steps)
    parser.add_argument("--settle-steps", type=int, default=Recipe.settle_steps)
    parser.add_argument(
        "--check",
        type=Path,
        nargs="?",
        const=CHECKPOINT,
        help="measure a checkpoint on held-out scenes (default: the embedded one)",
    )
    parser.add_argument("--n-scenes", type=int, default=400, help="held-out scenes for --check")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if arguments.check is None and arguments.out is None:
        parser.error("say where to train (--out DIR) or what to measure (--check [DIR])")
    try:
        if arguments.out is not None:
            recipe = Recipe(
                seed=arguments.seed,
                see_steps=arguments.see_steps,
                speak_steps=arguments.speak_steps,
                settle_steps=arguments.settle_steps,
            )
            train(arguments.out, recipe)
        if arguments.check is not None:
            from benchmarks.pocket.quality import measure

            print(json.dumps(measure(arguments.check, arguments.n_scenes), indent=1))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last saved step", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
