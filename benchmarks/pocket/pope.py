"""Pocket POPE: yes/no questions on objects, negatives drawn by POPE's three rules.

As in the official construction, a picture gets three objects that are present and three that are absent; the
positive questions are the same in all splits, and a negative is

* random: any absent object,
* popular: one of the objects that are most frequent in the world and absent here,
* adversarial: one of those that most often stand together with the objects that are here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations, islice
from random import Random

from benchmarks.base import Item
from benchmarks.pocket.language import a
from benchmarks.pocket.world import OBJECTS, Scene, ScenePicture, scenes

SPLITS = ("random", "popular", "adversarial")
N_SCENES = 200
PER_PICTURE = 3
SEED = "pope"
N_STATISTICS = 4000

Rule = Callable[[Scene, Random], list[str]]


@cache
def _statistics() -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """How often objects occur, and how often two occur together, over scenes of the world."""
    frequency: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for scene in islice(scenes("train", "statistics"), N_STATISTICS):
        frequency.update(scene.kinds)
        for first, second in combinations(scene.kinds, 2):
            together[first, second] += 1
            together[second, first] += 1
    return frequency, together


def _absent(scene: Scene) -> list[str]:
    return [kind for kind in OBJECTS if kind not in scene.kinds]


def _random(scene: Scene, rng: Random) -> list[str]:
    return rng.sample(_absent(scene), PER_PICTURE)


def _popular(scene: Scene, rng: Random) -> list[str]:
    frequency, _ = _statistics()
    return sorted(_absent(scene), key=lambda kind: (-frequency[kind], kind))[:PER_PICTURE]


def _adversarial(scene: Scene, rng: Random) -> list[str]:
    _, together = _statistics()

    def company(kind: str) -> int:
        return sum(together[here, kind] for here in scene.kinds)

    return sorted(_absent(scene), key=lambda kind: (-company(kind), kind))[:PER_PICTURE]


RULES: dict[str, Rule] = {"random": _random, "popular": _popular, "adversarial": _adversarial}


def items() -> Sequence[Item]:
    """200 pictures x 3 splits x 6 questions; split by split, yes and no in turn."""
    rng = Random(f"pocket {SEED}")
    chosen = islice(
        (s for s in scenes("evaluation", SEED) if len(s.kinds) >= PER_PICTURE), N_SCENES
    )
    drawn = [(ScenePicture(scene), rng.sample(scene.kinds, PER_PICTURE)) for scene in chosen]
    found: list[Item] = []
    for split in SPLITS:
        number = 0
        for picture, present in drawn:
            scene = picture.scene
            negatives = RULES[split](scene, Random(f"{SEED} {split} {scene.name}"))
            for kind, label in _in_turn(present, negatives):
                number += 1
                found.append(
                    Item(
                        id=f"{split}/{number}",
                        group=scene.name,
                        question=f"Is there {a(kind)} in the image?",
                        split=split,
                        pictures=(picture,),
                        reference={"label": label},
                    )
                )
    return found


def _in_turn(present: Sequence[str], absent: Sequence[str]) -> list[tuple[str, str]]:
    pairs = zip(present, absent, strict=True)
    return [asked for yes, no in pairs for asked in ((yes, "yes"), (no, "no"))]
