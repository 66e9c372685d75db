"""Scenes: a few coloured pictographs on a 3x3 grid, over a background that tells the kind of place.

Each kind of place has objects that usually occur there (80 % of what a scene shows), so that a model can learn
to *expect* an object that is not in the picture. That expectation is what makes the small model hallucinate
for the same reason as the big ones do.

A scene belongs to evaluation or to training by a hash of its content: the two never overlap, whatever the seeds.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmarks.base import PlumblineError, sha256_of

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE = 72
GRID = 3
CELL = SIZE // GRID
GLYPH_PT = 21
JITTER = 2
USUAL_SHARE = 0.8
COMPANION_SHARE = 0.35  # how often a companion is put beside the one that a scene has
EVALUATION_SHARE = 8  # one scene in eight is kept for evaluation

Part = Literal["train", "evaluation"]

GLYPHS: dict[str, int] = {
    "anchor": 0x2693, "bolt": 0x26A1, "cat": 0x1F431, "cloud": 0x2601, "clover": 0x2618, "cow": 0x1F42E,
    "crown": 0x265B, "cup": 0x2615, "diamond": 0x2666, "envelope": 0x2709, "flag": 0x2691, "flask": 0x2697,
    "flower": 0x273F, "gear": 0x2699, "hammer": 0x2692, "heart": 0x2665, "horse": 0x265E, "house": 0x2302,
    "keyboard": 0x2328, "moon": 0x263D, "mouse": 0x1F42D, "pencil": 0x270F, "plane": 0x2708,
    "snowflake": 0x2744, "star": 0x2605, "sun": 0x2600, "sword": 0x2694, "telephone": 0x260E, "tower": 0x265C,
    "umbrella": 0x2602, "vase": 0x26B1, "wheel": 0x2638,
}  # fmt: skip
OBJECTS = tuple(GLYPHS)

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 25, 25),
    "green": (15, 130, 40),
    "blue": (25, 60, 210),
    "orange": (240, 125, 0),
    "purple": (135, 35, 160),
    "black": (15, 15, 15),
}

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "harbour": (200, 226, 246),
    "farm": (210, 240, 200),
    "office": (224, 224, 224),
    "castle": (240, 224, 196),
    "workshop": (250, 245, 180),
    "mountain": (224, 212, 246),
    "garden": (250, 210, 222),
}
PLACES = tuple(BACKGROUNDS)

USUAL: dict[str, tuple[str, ...]] = {
    "harbour": ("anchor", "flag", "wheel", "umbrella", "sun", "plane"),
    "farm": ("cow", "horse", "mouse", "cat", "clover", "house"),
    "office": ("keyboard", "telephone", "envelope", "pencil", "cup", "vase"),
    "castle": ("crown", "tower", "sword", "flag", "horse", "diamond"),
    "workshop": ("hammer", "gear", "wheel", "bolt", "flask", "pencil"),
    "mountain": ("sun", "moon", "star", "cloud", "snowflake", "plane"),
    "garden": ("flower", "clover", "heart", "vase", "umbrella", "cat"),
}

COMPANIONS: dict[str, tuple[str, str]] = {
    "harbour": ("anchor", "flag"),
    "farm": ("cow", "horse"),
    "office": ("keyboard", "telephone"),
    "castle": ("tower", "crown"),
    "workshop": ("hammer", "gear"),
    "mountain": ("moon", "star"),
    "garden": ("flower", "heart"),
}
"""Pairs that often occur together in their place, and that captions like to mention together even where only
one of them is there: the planted language prior."""

HABITS: dict[str, str] = {
    "harbour": "anchor",
    "farm": "cow",
    "office": "telephone",
    "garden": "flower",
}
"""What captions of a place come to mention whether it is there or not."""

POSITIONS = (
    "top left", "top", "top right",
    "left", "middle", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip
"""A cell's name by its index, row by row."""


@dataclass(frozen=True)
class Thing:
    """One pictograph: its cell (0..8, row by row) and its offset inside the cell in pixels."""

    kind: str
    colour: str
    cell: int
    dx: int = 0
    dy: int = 0

    @property
    def row(self) -> int:
        return self.cell // GRID

    @property
    def column(self) -> int:
        return self.cell % GRID


@dataclass(frozen=True)
class Scene:
    """A place and its things in reading order. ``name`` is a hash of the content."""

    place: str
    things: tuple[Thing, ...]

    @cached_property
    def name(self) -> str:
        return sha256_of(asdict(self))[:12]

    @property
    def part(self) -> Part:
        return "evaluation" if int(self.name, 16) % EVALUATION_SHARE == 0 else "train"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of object that are present, each once, in reading order."""
        return tuple(dict.fromkeys(thing.kind for thing in self.things))

    def of_kind(self, kind: str) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if thing.kind == kind)

    def only(self, kind: str) -> Thing | None:
        """The one thing of a kind, or None where there is none or more than one."""
        found = self.of_kind(kind)
        return found[0] if len(found) == 1 else None


def draw_scene(rng: Random) -> Scene:
    """A scene of 2 to 4 things; one scene in four shows a kind twice."""
    place = rng.choice(PLACES)
    n_things = rng.choice((2, 3, 3, 4, 4))
    kinds: list[str] = []
    while len(kinds) < n_things:
        usual = rng.random() < USUAL_SHARE
        kind = rng.choice(USUAL[place] if usual else OBJECTS)
        if kind not in kinds:
            kinds.append(kind)
    pair = COMPANIONS[place]
    missing = [kind for kind in pair if kind not in kinds]
    if len(missing) == 1 and rng.random() < COMPANION_SHARE:
        others = [index for index, kind in enumerate(kinds) if kind not in pair]
        kinds[others[-1]] = missing[0]
    if rng.random() < 0.25:
        kinds[-1] = kinds[0]
    cells = sorted(rng.sample(range(GRID * GRID), n_things))
    rng.shuffle(kinds)
    things = tuple(
        Thing(
            kind,
            rng.choice(tuple(COLOURS)),
            cell,
            rng.randint(-JITTER, JITTER),
            rng.randint(-JITTER, JITTER),
        )
        for kind, cell in zip(kinds, cells, strict=True)
    )
    return Scene(place, things)


def scenes(part: Part, seed: int | str) -> Iterator[Scene]:
    """An endless, seeded stream of different scenes of one part."""
    rng = Random(f"plumbline pocket {part} {seed}")
    seen: set[str] = set()
    while True:
        scene = draw_scene(rng)
        if scene.part == part and scene.name not in seen:
            seen.add(scene.name)
            yield scene


@cache
def _font_path() -> Path:
    spec = importlib.util.find_spec(
        "matplotlib"
    )  # found, not imported: that would cost half a second
    if spec is None or spec.origin is None:
        raise PlumblineError(
            "the pocket world draws with matplotlib's font: pip install matplotlib"
        )
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


@cache
def _glyph(kind: str) -> np.ndarray:
    """Coverage of a pictograph, float32 (CELL + 2 * JITTER) squared, centred, 0..1."""
    from PIL import Image as pil
    from PIL import ImageDraw, ImageFont

    side = CELL + 2 * JITTER
    font = ImageFont.truetype(str(_font_path()), GLYPH_PT)
    canvas = pil.new("L", (side, side), 0)
    pen = ImageDraw.Draw(canvas)
    left, top, right, bottom = pen.textbbox((0, 0), chr(GLYPHS[kind]), font=font)
    at = (side // 2 - (left + right) // 2, side // 2 - (top + bottom) // 2)
    pen.text(at, chr(GLYPHS[kind]), font=font, fill=255)
    return np.asarray(canvas, dtype=np.float32) / 255


def pixels(scene: Scene) -> np.ndarray:
    """The scene as uint8, shape (72, 72, 3)."""
    picture = np.empty((SIZE, SIZE, 3), dtype=np.float32)
    picture[:] = BACKGROUNDS[scene.place]
    for thing in scene.things:
        top = thing.row * CELL + thing.dy - JITTER
        left = thing.column * CELL + thing.dx - JITTER
        glyph = _glyph(thing.kind)
        rows = slice(max(0, -top), min(glyph.shape[0], SIZE - top))
        columns = slice(max(0, -left), min(glyph.shape[1], SIZE - left))
        cover = glyph[rows, columns, None]
        patch = picture[
            top + rows.start : top + rows.stop, left + columns.start : left + columns.stop
        ]
        patch *= 1 - cover
        patch += cover * np.array(COLOURS[thing.colour], dtype=np.float32)
    return np.rint(picture).astype(np.uint8)


@dataclass(frozen=True)
class ScenePicture:
    """A scene as a Picture. The digest is of the pixels: what the model sees is what is hashed."""

    scene: Scene

    @property
    def name(self) -> str:
        return self.scene.name

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(b"RGB 72x72 " + pixels(self.scene).tobytes()).hexdigest()

    def load(self) -> Image:
        from PIL import Image as pil

        return pil.fromarray(pixels(self.scene))
