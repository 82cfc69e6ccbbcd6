"""Masks survive encoding, both COCO flavours are read, and hostile run lengths are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angiova.data import rle
from angiova.errors import DataError


def test_hand_worked_mask_is_column_major_and_starts_with_background() -> None:
    mask_HW = np.array([[0, 1, 1], [1, 1, 0]], dtype=bool)  # columns: (0,1) (1,1) (1,0)
    assert rle.from_counts([1, 4, 1], 2, 3) == rle.encode(mask_HW)
    assert rle.encode(mask_HW).area_px == 4


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_random_masks_round_trip(height: int, width: int, seed: int, density: float) -> None:
    mask_HW = np.random.default_rng(seed).random((height, width)) < density
    encoded = rle.encode(mask_HW)
    np.testing.assert_array_equal(rle.decode(encoded), mask_HW)
    assert rle.from_counts(encoded.counts, height, width) == encoded


def test_overlapping_polygons_are_united_not_added() -> None:
    square = [0, 0, 4, 0, 4, 4, 0, 4]
    assert rle.from_polygons([square, square], 8, 8).area_px == rle.from_polygons([square], 8, 8).area_px == 16


@pytest.mark.parametrize("counts", [[3, 4], [1, -1, 6], "~~~", "o", b"\xff\xfe", [10**12]])
def test_runs_that_do_not_fill_the_image_are_refused(counts: list[int] | str | bytes) -> None:
    with pytest.raises(DataError):
        rle.from_counts(counts, 2, 3)


@pytest.mark.parametrize("counts", ["0PPPP", "o" * 2000, "~" * 50])
def test_run_lengths_of_a_file_that_overflow_are_refused_when_decoded(counts: str) -> None:
    with pytest.raises(DataError, match="do not fill a mask of 4 x 4"):
        rle.decode(rle.Rle(4, 4, counts))


def test_empty_mask_is_labelled_and_absent() -> None:
    assert rle.empty(5, 7).is_empty
    assert rle.decode(rle.empty(5, 7)).shape == (5, 7)
