"""Augmentation moves image and masks together, keeps thin vessels whole, and depends on its seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label

from angiova.data.augment import NO_AUGMENTATION, AugmentSettings, augment


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
