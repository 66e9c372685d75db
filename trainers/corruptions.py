"""Rejected pictures: what a chosen answer is scored beside when only the picture decides (mDPO, rDPO, CHiP).

Every corruption is a function of the picture and of a key made of seed, pair id, picture and draw. The same draw
for policy and reference shows both the same picture, which the objectives assume and a cache of
reference log-probabilities needs; it is the default. Released code of mDPO draws anew in every forward
pass, so that ``d_i`` mixes two pictures: the corruption ``crop_released``.

Most corruptions work on the picture itself. Diffusion noise and the released crop work on the processor's
normalised tensors, as their authors' code does (a crop of a padded tensor may keep mostly padding).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.base import Picture, PlumblineError, sha256_of
from trainers.pairs import Preference

if TYPE_CHECKING:
    from PIL.Image import Image

KEPT_AREA = (0.01, 0.2)
"""Share of the area that mDPO's crop keeps."""
ASPECT = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10

DIFFUSION_STEP = 500
"""Of 1,000: CHiP's best, and POVID's."""

BLUR_SHARE = 0.05
"""Radius of the blur as a share of the shorter side; ours, no paper gives one."""

MOCO_AREA = (0.2, 1.0)
MOCO_SIDE = 224
"""Side of the pictures that MoCo's blur radii are meant for."""

BDHS_THRESHOLD = 0.99
"""About one picture token in a hundred stays visible."""


class Box(NamedTuple):
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int


def crop_box(width: int, height: int, rng: Random, area: tuple[float, float] = KEPT_AREA) -> Box:
    """The part that a random resized crop keeps, by torchvision's rule.

    Area uniform in ``area``, aspect ratio log-uniform in 3:4 to 4:3. Where ten draws do not fit, a
    central part of the nearest allowed ratio: that happens with very long pictures only.
    """
    for _ in range(CROP_ATTEMPTS):
        pixels = width * height * rng.uniform(*area)
        ratio = math.exp(rng.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if 0 < w <= width and 0 < h <= height:
            return Box(rng.randint(0, width - w), rng.randint(0, height - h), w, h)
    w = min(width, round(height * ASPECT[1]))
    h = min(height, round(width / ASPECT[0]))
    return Box((width - w) // 2, (height - h) // 2, w, h)


def crop(image: Image, rng: Random, area: tuple[float, float] = KEPT_AREA) -> Image:
    """mDPO's rejected picture: a small part, enlarged to the size of the whole (bilinear, antialiased)."""
    from PIL import Image as pil

    box = crop_box(*image.size, rng, area)
    part = (box.left, box.top, box.left + box.width, box.top + box.height)
    return image.crop(part).resize(image.size, pil.Resampling.BILINEAR)


def blur(image: Image, rng: Random) -> Image:
    """Gaussian blur that leaves the large shapes."""
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(BLUR_SHARE * min(image.size)))


def black(image: Image, rng: Random) -> Image:
    """Nothing to see, in as many picture tokens."""
    from PIL import Image as pil

    return pil.new("RGB", image.size)


def moco(image: Image, rng: Random) -> Image:
    """MoCo v2's augmentation (arXiv 2003.04297), one of mDPO's ablations, at the picture's own size."""
    from PIL import ImageFilter, ImageOps

    image = crop(image, rng, MOCO_AREA)
    if rng.random() < 0.8:
        image = _jittered(image, rng)
    if rng.random() < 0.2:
        image = ImageOps.grayscale(image).convert("RGB")
    if rng.random() < 0.5:
        radius = rng.uniform(0.1, 2.0) * min(image.size) / MOCO_SIDE
        image = image.filter(ImageFilter.GaussianBlur(radius))
    return ImageOps.mirror(image) if rng.random() < 0.5 else image


def _jittered(image: Image, rng: Random) -> Image:
    """Brightness, contrast and saturation by up to 40 %, hue by up to a tenth of the circle, in any order."""
    from PIL import ImageEnhance

    enhancers = [ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color, None]
    rng.shuffle(enhancers)
    for enhancer in enhancers:
        if enhancer is None:
            hue, saturation, value = image.convert("HSV").split()
            turn = round(255 * rng.uniform(-0.1, 0.1))
            hue = hue.point([(level + turn) % 256 for level in range(256)])
            image = _merged_hsv(hue, saturation, value)
        else:
            image = enhancer(image).enhance(rng.uniform(0.6, 1.4))
    return image


def _merged_hsv(*bands: Image) -> Image:
    from PIL import Image as pil

    return pil.merge("HSV", bands).convert("RGB")


def diffusion_noise(x: Tensor, noise: Tensor, step: int = DIFFUSION_STEP) -> Tensor:
    """``sqrt(abar) x + sqrt(1 - abar) noise`` with the schedule of CHiP, POVID and Re-Align.

    Args:
        x: normalised pixel values of any shape.
        noise: standard normal, of the same shape.
        step: 0 to 999; ``abar`` is the product of the first ``step + 1`` factors, as in their code.
    """
    betas = torch.sigmoid(torch.linspace(-6, 6, 1000)) * (0.5e-2 - 1e-5) + 1e-5
    kept = torch.cumprod(1 - betas, 0)[step].to(x.dtype)
    return kept.sqrt() * x + (1 - kept).sqrt() * noise


def noise_tensor(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pixel values with diffusion noise."""
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float32)
    return diffusion_noise(x, noise.to(x.dtype))


def crop_tensor(x: Tensor, generator: torch.Generator) -> Tensor:
    """mDPO's crop as its code applies it: to processed pixel values (…, 3, H, W), one box for all of them.

    Raises:
        PlumblineError: the processor makes something else than pictures.
    """
    if x.dim() < 3 or x.shape[-3] != 3:
        raise PlumblineError(
            f"this checkpoint's processor makes tensors of shape {tuple(x.shape)}, which cannot be cropped; "
            "take the corruption crop, which is applied before it"
        )
    seed = int(torch.randint(2**62, (), generator=generator))
    box = crop_box(x.shape[-1], x.shape[-2], Random(seed))
    part = x[..., box.top : box.top + box.height, box.left : box.left + box.width]
    flat = part.reshape(-1, 3, box.height, box.width).float()
    size = (x.shape[-2], x.shape[-1])
    resized = F.interpolate(flat, size, mode="bilinear", align_corners=False, antialias=True)
    return resized.reshape(x.shape).to(x.dtype)


@dataclass(frozen=True)
class Corruption:
    """One way to make rejected pictures; one of the two functions is set, none for ``random``.

    Attributes:
        summary: one line for ``--help``.
        on_picture: before the processor.
        on_tensor: on the processor's pixel values.
        per_forward: meant to be drawn anew for every forward pass of policy and reference.
    """

    summary: str
    on_picture: Callable[[Image, Random], Image] | None = None
    on_tensor: Callable[[Tensor, torch.Generator], Tensor] | None = None
    per_forward: bool = False


CORRUPTIONS: Mapping[str, Corruption] = {
    "crop": Corruption("1-20 % of the picture, enlarged (mDPO)", crop),
    "crop_released": Corruption(
        "the same on the processed tensor, anew in every forward pass (mDPO's code)",
        on_tensor=crop_tensor,
        per_forward=True,
    ),
    "random": Corruption("another pair's picture"),
    "blur": Corruption("Gaussian blur", blur),
    "diffusion": Corruption("500 steps of diffusion noise (CHiP, POVID)", on_tensor=noise_tensor),
    "black": Corruption("a black picture", black),
    "moco": Corruption("MoCo v2's augmentation", moco),
}


def open_corruption(name: str) -> Corruption:
    """A corruption by name. Raises PlumblineError."""
    if name not in CORRUPTIONS:
        raise PlumblineError(f"no corruption {name!r} (known: {', '.join(CORRUPTIONS)})")
    return CORRUPTIONS[name]


@dataclass(frozen=True)
class CorruptedPicture:
    """A picture as a corruption shows it; the same ``key`` gives the same pixels."""

    original: Picture
    corruption: str
    key: str

    @property
    def name(self) -> str:
        return f"{self.corruption} of {self.original.name}"

    @cached_property
    def digest(self) -> str:
        return sha256_of([self.corruption, self.key, self.original.digest])

    def load(self) -> Image:
        change = CORRUPTIONS[self.corruption].on_picture
        image = self.original.load()
        return image if change is None else change(image, Random(_seed(self.key)))


def rejected_pictures(
    pair: Preference,
    corruption: str,
    *,
    seed: int = 0,
    draw: int = 0,
    others: Sequence[Picture] = (),
) -> tuple[Picture, ...]:
    """What stands in place of a pair's pictures: those of its data set, or corrupted ones.

    A corruption of tensors leaves the pictures as they are; ``corrupt_tensors`` does the rest.

    Args:
        draw: another number gives other pictures; the same for policy and reference unless the corruption
            is ``per_forward``.
        others: pictures of the whole data set, for ``random``.

    Raises:
        PlumblineError: no such corruption, or no other picture to take.
    """
    chosen = open_corruption(corruption)
    if pair.rejected_pictures:
        return pair.rejected_pictures
    keys = [_key(seed, pair.id, draw, number) for number in range(len(pair.pictures))]
    if corruption == "random":
        return tuple(
            _other(picture, others, Random(_seed(key)))
            for picture, key in zip(pair.pictures, keys, strict=True)
        )
    if chosen.on_picture is None:
        return pair.pictures
    return tuple(
        CorruptedPicture(picture, corruption, key)
        for picture, key in zip(pair.pictures, keys, strict=True)
    )


def corrupt_tensors(
    vision: Mapping[str, Tensor], pair: Preference, corruption: str, *, seed: int = 0, draw: int = 0
) -> dict[str, Tensor]:
    """A processor's picture tensors with a corruption of tensors; unchanged for one of pictures.

    Pairs whose data set gives rejected pictures keep them as they are.

    Args:
        vision: by the processor's names; ``pixel_values…`` is what is changed.
        draw: as for ``rejected_pictures``.
    """
    change = open_corruption(corruption).on_tensor
    if change is None or pair.rejected_pictures:
        return dict(vision)
    generator = torch.Generator().manual_seed(_seed(_key(seed, pair.id, draw, 0)))
    return {
        name: change(value, generator) if name.startswith("pixel_values") else value
        for name, value in vision.items()
    }


def _key(seed: int, pair_id: str, draw: int, number: int) -> str:
    return f"plumbline corruption {seed}/{draw}/{number}/{pair_id}"


def _seed(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:7], "big")


def _other(picture: Picture, others: Sequence[Picture], rng: Random) -> Picture:
    """A random one of the pictures that differ from this one in content."""
    for index in _shuffled(len(others), rng):
        if others[index].digest != picture.digest:
            return others[index]
    raise PlumblineError(
        "the corruption random takes another pair's picture, but all pictures are the same. Take crop"
    )


def _shuffled(n: int, rng: Random) -> Iterator[int]:
    """0 to n - 1 in random order, each drawn when it is asked for: mostly only the first one is."""
    moved: dict[int, int] = {}
    for left in range(n, 0, -1):
        place = rng.randrange(left)
        yield moved.get(place, place)
        moved[place] = moved.get(left - 1, left - 1)


class HiddenPicture(NamedTuple):
    """What a model is fed so that it sees only a few of a picture's tokens.

    Attributes:
        attention_mask: (B, L), 0 at hidden picture tokens too.
        position_ids: (B, L), as they would be if nothing were hidden.
    """

    attention_mask: Tensor
    position_ids: Tensor


def hide_picture(
    attention_mask: Tensor,
    is_picture: Tensor,
    generator: torch.Generator,
    threshold: float = BDHS_THRESHOLD,
) -> HiddenPicture:
    """BDHS (arXiv 2407.02477, section 3.4): attention to most picture tokens is taken away.

    Token i stays visible if a uniform draw is at least ``threshold``; 0 hides nothing, 1 everything.

    Args:
        attention_mask: (B, L), 0 at padding.
        is_picture: (B, L), bool.
    """
    visible = torch.rand(is_picture.shape, generator=generator) >= threshold
    positions = (attention_mask.long().cumsum(-1) - 1).clamp_min(0)
    return HiddenPicture(attention_mask * (~is_picture | visible), positions)
