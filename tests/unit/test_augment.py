"""Augmentation moves image and masks together, keeps thin vessels whole, and depends on its seed alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label

from angiova.data.augment import NO_AUGMENTATION, AugmentSettings, augment, warp_mask


def line_image() -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((128, 128), dtype=bool)
    mask[60:62, 30:98] = True  # two pixels thick
    return np.where(mask, 40, 200).astype(np.uint8), mask


def test_no_augmentation_changes_nothing() -> None:
    image, mask = line_image()
    same_image, (same_mask,) = augment(image, [mask], NO_AUGMENTATION, np.random.default_rng(0), may_flip=True)
    np.testing.assert_array_equal(same_image, image)
    np.testing.assert_array_equal(same_mask, mask)


@pytest.mark.parametrize("seed", range(25))
def test_a_two_pixel_vessel_stays_in_one_piece_and_on_its_pixels(seed: int) -> None:
    image, mask = line_image()
    settings = AugmentSettings(gamma=(1, 1), contrast=(1, 1), noise=0)
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

    assert np.array_equal(warp_mask(mask_HW, matrix), np.asarray(whole) > 127)


def test_a_mask_that_leaves_the_picture_is_empty() -> None:
    mask_HW = np.zeros((20, 20), bool)
    mask_HW[:3, :3] = True

    assert not warp_mask(mask_HW, (1, 0, 10, 0, 1, 10)).any()
    assert not warp_mask(np.zeros((20, 20), bool), (1, 0, 0, 0, 1, 0)).any()
