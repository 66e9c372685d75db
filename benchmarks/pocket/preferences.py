"""``python -m benchmarks.pocket.preferences --out DIR``: preference pairs about pocket scenes.

Chosen answers are true. Rejected ones say what the pocket checkpoint is tempted to say: captions name what the place
makes one expect (its habit, the companion of what is there, or another usual thing), on top of what is there or in
place of it; answers take something absent for real. For every question about something absent there is, on the
average, one about something present, whose rejected answer denies it or gets it wrong: a model must not learn that
"no" is always right.

Scenes are of the training part, which no benchmark shows. A set is determined by its seed, and a longer set begins with
the shorter one. It is written as JSON Lines in the plain format of ``trainers.preferences``, beside its pictures::

    DIR/preferences.jsonl   {"id", "image", "prompt", "chosen", "rejected", "spans", "kind", "source"}
    DIR/pictures/<scene>.png

With ``--rejected-images`` each pair that names something absent also has ``rejected_image``: the same scene with that
thing in it, for which the rejected answer would be right.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.base import PlumblineError
from benchmarks.pocket import language as say
from benchmarks.pocket.dialogues import absent_companion, absent_habit
from benchmarks.pocket.world import (
    COLOURS,
    GRID,
    JITTER,
    USUAL,
    Scene,
    ScenePicture,
    Thing,
    scenes,
)

log = logging.getLogger(__name__)

FILE_NAME = "preferences.jsonl"
PICTURES = "pictures"
LOG_EVERY = 1000

REPLACED_SHARE = 0.25
"""How often a false caption names something in place of a thing instead of on top: or else the shorter caption
would always be the true one."""


@dataclass(frozen=True)
class Pair:
    """A question about a scene with a true and a false answer.

    Attributes:
        kind: "brief", "detailed", "existence" or "colour".
        chosen_marks, rejected_marks: the words by which the answers differ.
        imagined: the scene for which the rejected answer would be right; None if it names nothing absent.
    """

    scene: Scene
    kind: str
    prompt: str
    chosen: str
    rejected: str
    chosen_marks: tuple[str, ...]
    rejected_marks: tuple[str, ...]
    imagined: Scene | None = None


@dataclass(frozen=True)
class Illusion:
    """Something that one expects in a scene and that is not there.

    Attributes:
        stranger: the thing.
        replaced: the index of the thing that it is taken for; None if it comes on top.
        imagined: the scene as it would be.
    """

    stranger: Thing
    replaced: int | None
    imagined: Scene


def pairs(seed: int | str) -> Iterator[Pair]:
    """An endless, seeded stream of pairs, each about another scene."""
    makers, weights = zip(*KINDS, strict=True)
    for scene in scenes("train", f"preferences {seed}"):
        rng = Random(f"preferences {seed} {scene.name}")
        yield rng.choices(makers, weights)[0](scene, rng)


def _illusion(scene: Scene, rng: Random, *, may_replace: bool) -> Illusion:
    """What captions of the place are used to mention, else a companion, else something usual.

    Scenes where nothing is expected stay in, too: otherwise the set would teach that what one expects is never
    there. Colour and cell are drawn until the imagined scene is one of the training part.
    """
    usual = [kind for kind in USUAL[scene.place] if kind not in scene.kinds]
    kind = absent_habit(scene) or absent_companion(scene) or rng.choice(usual)
    replaces = may_replace and rng.random() < REPLACED_SHARE
    index = rng.randrange(len(scene.things)) if replaces else None
    taken = {thing.cell for thing in scene.things}
    free = [cell for cell in range(GRID * GRID) if cell not in taken]
    while True:
        cell = rng.choice(free) if index is None else scene.things[index].cell
        dx, dy = (rng.randint(-JITTER, JITTER) for _ in range(2))
        stranger = Thing(kind, rng.choice(tuple(COLOURS)), cell, dx, dy)
        things = [thing for thing in scene.things if thing.cell != cell] + [stranger]
        ordered = tuple(sorted(things, key=lambda thing: thing.cell))
        imagined = Scene(scene.place, ordered)
        if imagined.part == "train":
            return Illusion(stranger, index, imagined)


def brief(scene: Scene, rng: Random) -> Pair:
    illusion = _illusion(scene, rng, may_replace=True)
    told, marks = list(scene.things), []
    if illusion.replaced is None:
        told.append(illusion.stranger)
    else:
        marks.append(_phrase(told[illusion.replaced]))
        told[illusion.replaced] = illusion.stranger
    return Pair(
        scene,
        "brief",
        rng.choice(say.BRIEF_PROMPTS),
        say.brief_caption(scene, scene.things),
        say.brief_caption(scene, told),
        tuple(marks),
        (_phrase(illusion.stranger),),
        illusion.imagined,
    )


def detailed(scene: Scene, rng: Random) -> Pair:
    illusion = _illusion(scene, rng, may_replace=True)
    chosen = say.detailed_caption(scene, scene.things, rng)
    # The first sentence names the place, the others one thing each.
    sentences, marks = chosen.split(". "), []
    stranger = illusion.stranger
    false = f"There is {_phrase(stranger)} {say.at(stranger.cell)}"
    if illusion.replaced is None:
        sentences[-1:] = [sentences[-1].removesuffix("."), f"{false}."]
    else:
        at = illusion.replaced + 1
        marks.append(sentences[at].removesuffix("."))
        sentences[at] = f"{false}." if sentences[at].endswith(".") else false
    return Pair(
        scene,
        "detailed",
        rng.choice(say.DETAIL_PROMPTS),
        chosen,
        ". ".join(sentences),
        tuple(marks),
        (false,),
        illusion.imagined,
    )


def _phrase(thing: Thing) -> str:
    return say.a(f"{thing.colour} {thing.kind}")


def existence(scene: Scene, rng: Random) -> Pair:
    """Half of the questions name something present."""
    illusion = _illusion(scene, rng, may_replace=False) if rng.random() < 0.5 else None
    kind = illusion.stranger.kind if illusion else rng.choice(scene.kinds)
    question = f"Is there {say.a(kind)} in the image?"
    there, absent = f"Yes, there is {say.a(kind)}.", f"No, there is no {kind}."
    if rng.random() < 0.5:
        question, there, absent = f"{question}\n{say.SHORT_ANSWER}", "Yes", "No"
    chosen, rejected = (absent, there) if illusion else (there, absent)
    imagined = illusion.imagined if illusion else None
    return Pair(scene, "existence", question, chosen, rejected, (chosen,), (rejected,), imagined)


def colour(scene: Scene, rng: Random) -> Pair:
    """Half of the questions are about something present, where there is a thing to name."""
    single = [thing for thing in scene.things if scene.only(thing.kind)]
    if single and rng.random() < 0.5:
        thing = rng.choice(single)
        wrong = rng.choice([name for name in COLOURS if name != thing.colour])
        chosen, rejected = f"The {thing.kind} is {thing.colour}.", f"The {thing.kind} is {wrong}."
        marks, imagined = (thing.colour, wrong), None
    else:
        illusion = _illusion(scene, rng, may_replace=False)
        thing, imagined = illusion.stranger, illusion.imagined
        chosen = f"There is no {thing.kind} in the image."
        rejected = f"The {thing.kind} is {thing.colour}."
        marks = (chosen, rejected)
    question = f"What colour is the {thing.kind}?"
    return Pair(scene, "colour", question, chosen, rejected, marks[:1], marks[1:], imagined)


KINDS: tuple[tuple[Callable[[Scene, Random], Pair], float], ...] = (
    (brief, 3.0),
    (detailed, 4.0),
    (existence, 2.0),
    (colour, 1.0),
)
"""Kinds of pairs and how often each is made."""


def record(pair: Pair, id: str, *, rejected_image: bool) -> dict[str, Any]:
    """A pair as a line of the file."""
    found: dict[str, Any] = {
        "id": id,
        "image": _picture_name(pair.scene),
        "prompt": pair.prompt,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "spans": {
            "chosen": _spans(pair.chosen, pair.chosen_marks),
            "rejected": _spans(pair.rejected, pair.rejected_marks),
        },
        "kind": pair.kind,
        "source": "pocket",
    }
    if rejected_image and pair.imagined is not None:
        found["rejected_image"] = _picture_name(pair.imagined)
    return found


def _spans(text: str, marks: Sequence[str]) -> list[list[int]]:
    return [[text.rindex(mark), text.rindex(mark) + len(mark)] for mark in marks]


def _picture_name(scene: Scene) -> str:
    return f"{PICTURES}/{scene.name}.png"


def write(out: Path, n_pairs: int, seed: int, *, rejected_images: bool = False) -> Path:
    """Write a set; the file appears when all of its pictures are there.

    Returns:
        The JSON Lines file.

    Raises:
        OSError: the folder cannot be written.
    """
    (out / PICTURES).mkdir(parents=True, exist_ok=True)
    lines = []
    for number, pair in enumerate(islice(pairs(seed), n_pairs)):
        line = record(pair, f"pocket-{seed}-{number}", rejected_image=rejected_images)
        _draw(out, pair.scene)
        if rejected_images and pair.imagined is not None:
            _draw(out, pair.imagined)
        lines.append(json.dumps(line) + "\n")
        if (number + 1) % LOG_EVERY == 0:
            log.info("%d of %d pairs", number + 1, n_pairs)
    path = out / FILE_NAME
    half = path.with_suffix(".part")
    half.write_text("".join(lines), encoding="ascii")
    os.replace(half, path)
    return path


def _draw(out: Path, scene: Scene) -> None:
    path = out / _picture_name(scene)
    half = path.with_suffix(".part")
    ScenePicture(scene).load().save(half, format="PNG")
    os.replace(half, path)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pocket.preferences",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the set")
    parser.add_argument("--n", type=int, default=1000, help="number of pairs (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--rejected-images", action="store_true", help="also draw scenes for the rejected answers"
    )
    arguments = parser.parse_args(argv)
    if arguments.n < 1:
        parser.error(f"--n {arguments.n}: at least one pair is needed")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        path = write(
            arguments.out, arguments.n, arguments.seed, rejected_images=arguments.rejected_images
        )
    except (OSError, PlumblineError) as error:
        parser.exit(2, f"error: {error}. Mend this and run the same command again.\n")
    except KeyboardInterrupt:
        parser.exit(130, "interrupted; run the same command again\n")
    log.info("%d pairs lie in %s", arguments.n, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
