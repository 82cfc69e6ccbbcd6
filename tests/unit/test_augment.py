"""Augmentation moves image and masks together, keeps thin vessels whole, and depends on its seed alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label

from angiova.data.augment import NO_AUGMENTATION, AugmentSettings, augment
from angiova.data.warping import CELLS, Warp, smooth_field, warp_image, warp_mask


def line_image() -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((128, 128), dtype=bool)
    mask[60:62, 30:98] = True  # two pixels thick
    return np.where(mask, 40, 200).astype(np.uint8), mask


def test_no_augmentation_changes_nothing() -> None:
    image, mask = line_image()
    same_image, (same_mask,) = augment(image, [mask], NO_AUGMENTATION, np.random.default_rng(0), may_flip=True)
    np.testing.assert_array_equal(same_image, image)
    np.testing.assert_array_equal(same_mask, mask)


@pytest.mark.parametrize("bend", [0, 0.03])
@pytest.mark.parametrize("seed", range(25))
def test_a_two_pixel_vessel_stays_in_one_piece_and_on_its_pixels(seed: int, bend: float) -> None:
    image, mask = line_image()
    settings = AugmentSettings(gamma=(1, 1), contrast=(1, 1), noise=0, bend=bend)
    new_image, (new_mask,) = augment(image, [mask], settings, np.random.default_rng(seed), may_flip=True)
    assert label(new_mask, connectivity=2).max() == 1
    assert new_image[new_mask].mean() < 110 < new_image[~new_mask].mean()


def test_a_flip_happens_only_where_names_stay_true() -> None:
    image = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    flips = NO_AUGMENTATION.model_copy(update={"flip": 1.0})
    flipped, _ = augment(image, [], flips, np.random.default_rng(0), may_flip=True)
    kept, _ = augment(image, [], flips, np.random.default_rng(0), may_flip=False)
    np.testing.assert_array_equal(flipped, image[:, ::-1])
    np.testing.assert_array_equal(kept, image)


def test_same_seed_same_variation() -> None:
    image, mask = line_image()
    first, second = (augment(image, [mask], AugmentSettings(), np.random.default_rng(7), may_flip=True) for _ in "ab")
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1][0], second[1][0])


@pytest.mark.parametrize("seed", range(8))
def test_a_mask_is_warped_as_its_whole_picture_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask_HW = np.zeros((60, 84), bool)
    top, left = rng.integers(0, 60), rng.integers(0, 84)
    mask_HW[top : top + rng.integers(1, 30), left : left + rng.integers(1, 30)] = True
    angle, zoom = rng.uniform(-2, 2), rng.uniform(0.4, 2)
    a, b = math.cos(angle) / zoom, math.sin(angle) / zoom
    matrix = (a, b, rng.uniform(-20, 20), -b, a, rng.uniform(-20, 20))
    grey = Image.fromarray(mask_HW.astype(np.uint8) * np.uint8(255))
    whole = grey.transform(grey.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR)

    assert np.array_equal(warp_mask(mask_HW, Warp(matrix)), np.asarray(whole) > 127)


def test_a_mask_that_leaves_the_picture_is_empty() -> None:
    mask_HW = np.zeros((20, 20), bool)
    mask_HW[:3, :3] = True

    assert not warp_mask(mask_HW, Warp((1, 0, 10, 0, 1, 10))).any()
    assert not warp_mask(np.zeros((20, 20), bool), Warp((1, 0, 0, 0, 1, 0))).any()


@pytest.mark.parametrize("seed", range(8))
def test_a_mask_is_bent_as_its_whole_picture_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask_HW = np.zeros((60, 84), bool)
    top, left = rng.integers(0, 50), rng.integers(0, 70)
    mask_HW[top : top + 9, left : left + 13] = True
    bend = np.stack([smooth_field(rng, (CELLS + 1, CELLS + 1)) for _ in "xy"], axis=-1) * 6
    warp = Warp((0.9, 0.2, -3, -0.2, 0.9, 5), bend)
    picture = np.where(mask_HW, 255, 0).astype(np.uint8)

    assert np.array_equal(warp_mask(mask_HW, warp), warp_image(picture, warp) > 127)


def test_bending_by_nothing_is_the_affine_alone_and_by_much_moves_what_it_should() -> None:
    picture = np.random.default_rng(0).integers(0, 256, size=(48, 60)).astype(np.uint8)
    matrix = (0.9, 0.2, -3.0, -0.2, 0.9, 5.0)
    still = np.zeros((CELLS + 1, CELLS + 1, 2), np.float32)
    plain = warp_image(picture, Warp(matrix)).astype(int)
    assert abs(warp_image(picture, Warp(matrix, still)).astype(int) - plain).max() <= 1
    moved = warp_image(picture, Warp((1, 0, 0, 0, 1, 0), still + np.float32([7, 3])))
    np.testing.assert_array_equal(moved[:-3, :-7], picture[3:, 7:])


def test_blur_and_shade_change_greys_where_they_are_asked_for() -> None:
    rng = np.random.default_rng(1)
    picture = np.where(rng.random((64, 64)) < 0.5, 100, 150).astype(np.uint8)
    blurred = [_varied(picture, seed, blur_px=3.0) for seed in range(20)]
    sharp = sum(np.array_equal(image, picture) for image in blurred)
    assert 3 <= sharp <= 17
    assert min(image.std() for image in blurred) < 0.5 * picture.std()
    shaded = _varied(picture, 0, shade=0.2).astype(int) - picture
    assert 10 < abs(shaded).max() <= 0.25 * 255
    assert abs(np.diff(shaded, axis=0)).max() <= 8


def _varied(picture: np.ndarray, seed: int, **fields: float) -> np.ndarray:
    settings = NO_AUGMENTATION.model_copy(update=fields)
    return augment(picture, [], settings, np.random.default_rng(seed), may_flip=False)[0]
