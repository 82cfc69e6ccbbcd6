"""clDice on shapes whose skeletons can be drawn by hand, and what it must do on any shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.morphology import skeletonize

from angiova.data.rle import BoolMask
from angiova.evaluation.topology import cldice, skeleton

masks = hnp.arrays(bool, (9, 11))


def line(rows: slice, columns: slice, shape: tuple[int, int] = (21, 40)) -> BoolMask:
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def test_a_gap_costs_sensitivity_only() -> None:
    """A one-pixel line of 30 with 6 pixels cut out: precision 24/24, sensitivity 24/30, clDice 2 * 0.8 / 1.8 = 8/9."""
    whole = line(slice(10, 11), slice(5, 35))
    cut = whole.copy()
    cut[:, 17:23] = False
    assert cldice(whole, cut) == pytest.approx(8 / 9)


def test_a_widened_line_almost_keeps_its_centreline() -> None:
    """A line of 30 widened by two to each side: Dice is 2 * 30 / (30 + 150) = 1/3, clDice hardly falls.

    The wide line's skeleton has 27 pixels, of which two bend off the line towards a corner: precision 25/27,
    sensitivity 1, clDice 2 * 25 / (25 + 27) = 25/26.
    """
    thin, wide = line(slice(10, 11), slice(5, 35)), line(slice(8, 13), slice(5, 35))
    assert int(skeleton(wide).sum()) == 27
    assert int(skeleton(wide)[10].sum()) == 25
    assert cldice(thin, wide) == pytest.approx(25 / 26)


def test_a_false_branch_costs_precision_only() -> None:
    """Target a line of 20; prediction that line and another of 20 apart from it: precision 1/2, clDice 2/3."""
    target = line(slice(4, 5), slice(5, 25))
    prediction = target | line(slice(15, 16), slice(5, 25))
    assert cldice(target, prediction) == pytest.approx(2 / 3)


def test_lines_that_never_touch_score_zero() -> None:
    assert cldice(line(slice(4, 5), slice(5, 25)), line(slice(15, 16), slice(5, 25))) == 0.0


@given(masks)
def test_a_mask_agrees_with_itself_exactly(mask: BoolMask) -> None:
    assume(mask.any())
    assert cldice(mask, mask) == 1.0


@given(masks, masks)
def test_symmetric_and_between_zero_and_one(target: BoolMask, prediction: BoolMask) -> None:
    assume(target.any() and prediction.any())
    assert 0.0 <= cldice(target, prediction) <= 1.0
    assert cldice(target, prediction) == pytest.approx(cldice(prediction, target))


@given(masks, st.integers(0, 30), st.integers(0, 30))
def test_thinning_the_bounding_box_equals_thinning_the_image(mask: BoolMask, top: int, left: int) -> None:
    image = np.zeros((40, 42), dtype=bool)
    image[top : top + 9, left : left + 11] = mask
    np.testing.assert_array_equal(skeleton(image), skeletonize(image))


@given(masks)
def test_only_an_empty_mask_has_an_empty_skeleton(mask: BoolMask) -> None:
    assert skeleton(mask).any() == mask.any()
    assert not (skeleton(mask) & ~mask).any()


def test_empty_masks_are_not_scored_here() -> None:
    something = line(slice(4, 5), slice(5, 25))
    with pytest.raises(ZeroDivisionError):
        cldice(something, np.zeros_like(something))
