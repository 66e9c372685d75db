"""Rejected pictures: the same for the same key, as far from the original as their method says."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.base import FilePicture, Message, Picture, PlumblineError
from trainers.corruptions import (
    CORRUPTIONS,
    KEPT_AREA,
    _shuffled,
    black,
    blur,
    corrupt_tensors,
    crop,
    crop_box,
    crop_tensor,
    diffusion_noise,
    hide_picture,
    moco,
    noise_tensor,
    rejected_pictures,
)
from trainers.pairs import Preference


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    """Three different pictures, and a copy of the first."""
    folder = tmp_path_factory.mktemp("pictures")
    found: list[Picture] = []
    for number, seed in enumerate((0, 1, 2, 0)):
        path = folder / f"{number}.png"
        noise = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(noise).save(path)
        found.append(FilePicture(path))
    return found


def pair(*shown: Picture, id: str = "p", rejected: tuple[Picture, ...] = ()) -> Preference:
    return Preference(id, (Message("user", "?", shown),), "a", "b", rejected)


def gradient(width: int = 60, height: int = 40) -> Image.Image:
    row = np.linspace(0, 255, width, dtype=np.uint8)
    return Image.fromarray(np.stack([np.tile(row, (height, 1))] * 3, axis=-1))


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 10**6))
def test_a_crop_lies_inside_and_keeps_a_fifth_at_most(width: int, height: int, seed: int) -> None:
    box = crop_box(width, height, Random(seed))
    assert box.left >= 0
    assert box.top >= 0
    assert 0 < box.width <= width - box.left
    assert 0 < box.height <= height - box.top
    if min(width, height) >= 60:
        kept = box.width * box.height / (width * height)
        # Sides are whole pixels.
        assert kept <= KEPT_AREA[1] * (1 + 4 / min(box.width, box.height))


def test_kept_area_is_uniform_and_aspect_log_uniform() -> None:
    rng = Random(0)
    boxes = [crop_box(2000, 1500, rng) for _ in range(4000)]
    areas = np.array([box.width * box.height / (2000 * 1500) for box in boxes])
    ratios = np.array([math.log(box.width / box.height) for box in boxes])
    edges = np.quantile(areas, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(edges, np.linspace(*KEPT_AREA, 5), atol=0.006)
    limit = math.log(4 / 3)
    np.testing.assert_allclose(
        np.quantile(ratios, [0, 0.25, 0.5, 0.75, 1]), np.linspace(-limit, limit, 5), atol=0.03
    )


def test_a_crop_is_enlarged_to_the_whole_size() -> None:
    cropped = crop(gradient(), Random(1))
    assert cropped.size == (60, 40)
    levels = np.asarray(cropped)[0, :, 0].astype(int)
    assert levels[-1] - levels[0] < 0.65 * 255
    assert (np.diff(levels) >= 0).all()


def test_a_cropped_tensor_is_the_part_resized() -> None:
    x = torch.linspace(0, 1, 60).expand(2, 3, 40, 60)
    cropped = crop_tensor(x, torch.Generator().manual_seed(1))
    assert cropped.shape == x.shape
    assert torch.equal(cropped[0], cropped[1])
    assert cropped[0, 0, 0, -1] - cropped[0, 0, 0, 0] < 0.65


def test_tensors_that_are_no_pictures_cannot_be_cropped() -> None:
    with pytest.raises(PlumblineError, match=r"shape \(256, 1176\).*take the corruption crop"):
        crop_tensor(torch.zeros(256, 1176), torch.Generator())


def test_black_is_black_and_blur_keeps_the_mean() -> None:
    image = gradient()
    assert np.asarray(black(image, Random(0))).max() == 0
    blurred = np.asarray(blur(image, Random(0)), dtype=float)
    assert blurred.mean() == pytest.approx(np.asarray(image, dtype=float).mean(), abs=2)


def test_moco_changes_pictures_in_many_ways() -> None:
    image = gradient()
    made = [moco(image, Random(seed)) for seed in range(40)]
    assert all(each.size == image.size and each.mode == "RGB" for each in made)
    arrays = [np.asarray(each).astype(int) for each in made]
    assert len({array.tobytes() for array in arrays}) == 40
    mirrored = [array[0, -1, 0] < array[0, 0, 0] for array in arrays]
    assert 5 < sum(mirrored) < 35


def test_diffusion_noise_at_the_ends_of_its_schedule() -> None:
    x, noise = torch.full((3, 4), 2.0), torch.full((3, 4), -1.0)
    torch.testing.assert_close(diffusion_noise(x, noise, 0), x, atol=0.02, rtol=0)
    last = diffusion_noise(x, noise, 999)
    assert (last - noise).abs().max() < 0.7
    kept = float(diffusion_noise(torch.ones(1), torch.zeros(1), 500))
    assert kept == pytest.approx(0.863, abs=0.001)
    assert diffusion_noise(x.half(), noise.half(), 500).dtype == torch.float16


def test_noise_keeps_the_scale_of_normalised_pixels() -> None:
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    noisy = noise_tensor(x, torch.Generator().manual_seed(1))
    assert float(noisy.std()) == pytest.approx(1.0, abs=0.05)
    assert float((noisy * x).mean()) == pytest.approx(0.863, abs=0.05)


ON_PICTURES = [name for name, each in CORRUPTIONS.items() if each.on_picture]
ON_TENSORS = [name for name, each in CORRUPTIONS.items() if each.on_tensor]


def test_every_corruption_is_of_one_kind() -> None:
    assert {*ON_PICTURES, *ON_TENSORS, "random"} == set(CORRUPTIONS)
    assert not set(ON_PICTURES) & set(ON_TENSORS)


@pytest.mark.parametrize("name", ON_PICTURES)
def test_pictures_depend_on_seed_pair_and_draw_alone(name: str, pictures: list[Picture]) -> None:
    def made(id: str = "p", seed: int = 0, draw: int = 0) -> Picture:
        return rejected_pictures(pair(pictures[0], id=id), name, seed=seed, draw=draw)[0]

    first = made()
    assert first.digest == made().digest
    assert first.load().tobytes() == made().load().tobytes()
    assert first.load().size == pictures[0].load().size
    others = [made(id="q"), made(seed=1), made(draw=1)]
    assert len({picture.digest for picture in (first, *others)}) == 4
    if name in ("crop", "moco"):
        assert len({picture.load().tobytes() for picture in (first, *others)}) == 4


def test_the_pictures_of_one_pair_are_corrupted_apart(pictures: list[Picture]) -> None:
    twice = rejected_pictures(pair(pictures[0], pictures[0]), "crop")
    assert twice[0].load().tobytes() != twice[1].load().tobytes()


@pytest.mark.parametrize("name", ON_TENSORS)
def test_tensors_depend_on_seed_pair_and_draw_alone(name: str, pictures: list[Picture]) -> None:
    vision = {
        "pixel_values": torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0)),
        "image_sizes": torch.tensor([[12, 12]]),
    }
    own = pair(pictures[0])
    assert rejected_pictures(own, name) == own.pictures
    first = corrupt_tensors(vision, own, name)
    again = corrupt_tensors(vision, own, name)
    assert torch.equal(first["pixel_values"], again["pixel_values"])
    assert not torch.equal(first["pixel_values"], vision["pixel_values"])
    assert torch.equal(first["image_sizes"], vision["image_sizes"])
    changed = [
        corrupt_tensors(vision, pair(pictures[0], id="q"), name),
        corrupt_tensors(vision, own, name, seed=1),
        corrupt_tensors(vision, own, name, draw=1),
    ]
    for other in changed:
        assert not torch.equal(first["pixel_values"], other["pixel_values"])


def test_only_the_released_crop_is_drawn_in_every_forward_pass() -> None:
    assert [name for name, each in CORRUPTIONS.items() if each.per_forward] == ["crop_released"]


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 99))
def test_a_lazy_shuffle_is_the_librarys(n: int, seed: int) -> None:
    assert list(_shuffled(n, Random(seed))) == Random(seed).sample(range(n), n)


def test_a_random_picture_is_another_one_in_content(pictures: list[Picture]) -> None:
    own = pair(pictures[0])
    taken = {
        rejected_pictures(own, "random", draw=draw, others=pictures)[0].name for draw in range(30)
    }
    assert taken == {"1.png", "2.png"}
    with pytest.raises(PlumblineError, match="all pictures are the same"):
        rejected_pictures(own, "random", others=[pictures[3]])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_rejected_pictures_of_the_data_are_taken_as_they_are(
    name: str, pictures: list[Picture]
) -> None:
    own = pair(pictures[0], rejected=(pictures[1],))
    assert rejected_pictures(own, name) == (pictures[1],)
    vision = {"pixel_values": torch.rand(1, 3, 4, 4)}
    assert torch.equal(corrupt_tensors(vision, own, name)["pixel_values"], vision["pixel_values"])


def test_an_unknown_corruption_is_refused(pictures: list[Picture]) -> None:
    with pytest.raises(PlumblineError, match=r"no corruption 'fog'.*crop_released"):
        rejected_pictures(pair(pictures[0]), "fog")


def test_odd_ids_are_fine(pictures: list[Picture]) -> None:
    for id in ("", "\ud800", "日本/\0"):
        assert rejected_pictures(pair(pictures[0], id=id), "crop")[0].load().size == (60, 40)


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(0, 1000))
def test_hiding_takes_picture_tokens_alone(threshold: float, seed: int) -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    is_picture = torch.tensor([[0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0]]).bool()
    hidden = hide_picture(mask, is_picture, torch.Generator().manual_seed(seed), threshold)
    assert torch.equal(hidden.attention_mask[~is_picture], mask[~is_picture])
    assert (hidden.attention_mask <= mask).all()
    assert hidden.position_ids.tolist() == [[0, 0, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]
    if threshold == 0:
        assert torch.equal(hidden.attention_mask, mask)
    if threshold == 1:
        assert not hidden.attention_mask[is_picture].any()


def test_one_picture_token_in_a_hundred_stays_visible() -> None:
    is_picture = torch.ones(1, 100_000).bool()
    hidden = hide_picture(torch.ones(1, 100_000), is_picture, torch.Generator().manual_seed(0))
    assert float(hidden.attention_mask.mean()) == pytest.approx(0.01, abs=0.002)


@pytest.fixture
def small(tmp_path: Path) -> list[Picture]:
    found: list[Picture] = []
    for number, size in enumerate([(1, 1), (1, 900), (900, 1), (2, 3)]):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", size, "red").save(path)
        found.append(FilePicture(path))
    return found


@pytest.mark.parametrize("name", ON_PICTURES)
def test_tiny_and_long_pictures_keep_their_size(name: str, small: list[Picture]) -> None:
    made = rejected_pictures(pair(*small), name)
    assert [each.load().size for each in made] == [each.load().size for each in small]
