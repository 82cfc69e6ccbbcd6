"""Overlap scores equal answers worked out by hand, an independent implementation, and their known relations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import dice as scipy_dice_distance
from scipy.spatial.distance import jaccard as scipy_jaccard_distance

from angiova.data.rle import BoolMask
from angiova.evaluation import overlap
from angiova.evaluation.overlap import Counts

# Target: columns 0 and 1 of 4 x 5; prediction: column 1 and half of column 2.  TP 4, FP 2, FN 4, TN 10.
TARGET = np.zeros((4, 5), dtype=bool)
TARGET[:, :2] = True
PREDICTION = np.zeros((4, 5), dtype=bool)
PREDICTION[:, 1] = True
PREDICTION[:2, 2] = True
COUNTS = Counts(tp=4, fp=2, fn=4, tn=10)

masks = hnp.arrays(bool, (6, 7))


def test_counts_of_the_hand_worked_pair() -> None:
    assert overlap.confusion(TARGET, PREDICTION) == COUNTS


@pytest.mark.parametrize(
    ("metric", "by_hand"),
    [
        (overlap.dice, 8 / 14),
        (overlap.iou, 4 / 10),
        (overlap.precision, 4 / 6),
        (overlap.recall, 4 / 8),
        (overlap.specificity, 10 / 12),
        (overlap.accuracy, 14 / 20),
    ],
)
def test_ratios_of_the_hand_worked_pair(metric: object, by_hand: float) -> None:
    assert callable(metric)
    assert metric(COUNTS) == by_hand


@given(masks, masks)
def test_dice_and_iou_equal_set_arithmetic_and_scipy(target: BoolMask, prediction: BoolMask) -> None:
    assume(target.any() or prediction.any())
    counts = overlap.confusion(target, prediction)
    truth, answer = set(np.flatnonzero(target).tolist()), set(np.flatnonzero(prediction).tolist())
    assert overlap.dice(counts) == 2 * len(truth & answer) / (len(truth) + len(answer))
    assert overlap.iou(counts) == len(truth & answer) / len(truth | answer)
    assert overlap.dice(counts) == pytest.approx(1 - scipy_dice_distance(target.ravel(), prediction.ravel()))
    assert overlap.iou(counts) == pytest.approx(1 - scipy_jaccard_distance(target.ravel(), prediction.ravel()))


@given(masks, masks)
def test_accuracy_and_specificity_equal_set_arithmetic(target: BoolMask, prediction: BoolMask) -> None:
    counts = overlap.confusion(target, prediction)
    assert overlap.accuracy(counts) == float(np.mean(target == prediction))
    background = ~target
    expected = float(np.mean(~prediction[background])) if background.any() else 1.0
    assert overlap.specificity(counts) == pytest.approx(expected)


@given(masks, masks)
def test_dice_and_iou_are_symmetric_and_bound_to_each_other(target: BoolMask, prediction: BoolMask) -> None:
    assume(target.any() or prediction.any())
    there, back = overlap.confusion(target, prediction), overlap.confusion(prediction, target)
    assert overlap.dice(there) == overlap.dice(back)
    assert overlap.iou(there) == overlap.iou(back)
    assert overlap.dice(there) == pytest.approx(2 * overlap.iou(there) / (1 + overlap.iou(there)))


@given(masks, masks)
def test_precision_is_recall_with_the_roles_exchanged(target: BoolMask, prediction: BoolMask) -> None:
    assume(target.any() and prediction.any())
    there, back = overlap.confusion(target, prediction), overlap.confusion(prediction, target)
    assert overlap.precision(there) == overlap.recall(back)


@given(masks)
def test_a_mask_agrees_with_itself(mask: BoolMask) -> None:
    assume(mask.any())
    counts = overlap.confusion(mask, mask)
    ratios = (overlap.dice, overlap.iou, overlap.precision, overlap.recall, overlap.specificity, overlap.accuracy)
    assert [ratio(counts) for ratio in ratios] == [1.0] * 6


def test_undefined_ratios_raise_instead_of_giving_nan() -> None:
    nothing = Counts(tp=0, fp=0, fn=0, tn=9)
    for ratio in (overlap.dice, overlap.iou, overlap.precision, overlap.recall):
        with pytest.raises(ZeroDivisionError):
            ratio(nothing)
    assert overlap.specificity(Counts(tp=9, fp=0, fn=0, tn=0)) == 1.0


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="target is"):
        overlap.confusion(np.zeros((1, 4), dtype=bool), np.zeros((4, 4), dtype=bool))
