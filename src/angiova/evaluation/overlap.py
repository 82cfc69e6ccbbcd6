"""Overlap of two masks: counts first, then ratios of counts.

Every ratio is a property of the confusion counts over *all* pixels of the image. A ratio whose denominator is zero is
not defined, and raises `ZeroDivisionError` instead of turning into NaN: which score an empty mask earns is decided in
`angiova.evaluation.cases`, before anything is divided. The one exception is stated in `specificity`.

Definitions: Taha and Hanbury, "Metrics for evaluating 3D medical image segmentation: analysis, selection, and tool",
BMC Medical Imaging 15:29 (2015), section "Overlap based metrics"; equation numbers below refer to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from angiova.data.rle import BoolMask


@dataclass(frozen=True, slots=True)
class Counts:
    """Confusion counts in pixels.

    Attributes:
        tp: target and predicted.
        fp: predicted only.
        fn: target only.
        tn: neither.
    """

    tp: int
    fp: int
    fn: int
    tn: int


def confusion(target_HW: BoolMask, prediction_HW: BoolMask) -> Counts:
    """Count the pixels of two boolean masks of the same shape (H, W).

    Raises:
        ValueError: the shapes differ.
    """
    if target_HW.shape != prediction_HW.shape:
        raise ValueError(f"target is {target_HW.shape}, prediction is {prediction_HW.shape}")
    num_target, num_predicted = np.count_nonzero(target_HW), np.count_nonzero(prediction_HW)
    tp = np.count_nonzero(target_HW & prediction_HW)
    fp, fn = num_predicted - tp, num_target - tp
    return Counts(int(tp), int(fp), int(fn), int(target_HW.size - tp - fp - fn))


def dice(counts: Counts) -> float:
    """Return 2 TP / (2 TP + FP + FN), also called F1 (equation 6).

    Source: Dice, "Measures of the amount of ecologic association between species", Ecology 26:297-302 (1945).

    Raises:
        ZeroDivisionError: both masks are empty.
    """
    return 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """Return TP / (TP + FP + FN), the intersection over the union, or Jaccard index (equation 7).

    Source: Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11:37-50 (1912).

    Raises:
        ZeroDivisionError: both masks are empty.
    """
    return counts.tp / (counts.tp + counts.fp + counts.fn)


def precision(counts: Counts) -> float:
    """Return TP / (TP + FP): the share of the predicted pixels that is right (equation 12).

    Raises:
        ZeroDivisionError: the prediction is empty.
    """
    return counts.tp / (counts.tp + counts.fp)


def recall(counts: Counts) -> float:
    """Return TP / (TP + FN), also called sensitivity: the share of the target that was found (equation 10).

    Raises:
        ZeroDivisionError: the target is empty.
    """
    return counts.tp / (counts.tp + counts.fn)


def specificity(counts: Counts) -> float:
    """Return TN / (TN + FP): the share of the background left alone (equation 11).

    1 where the target fills the image, since then no background pixel can be taken for vessel. Always near 1 for thin
    vessels, which are few pixels; never read it alone.
    """
    num_background = counts.tn + counts.fp
    return counts.tn / num_background if num_background else 1.0


def accuracy(counts: Counts) -> float:
    """Return (TP + TN) / all pixels. Always near 1 for thin vessels; never read it alone.

    Raises:
        ZeroDivisionError: the image has no pixels.
    """
    return (counts.tp + counts.tn) / (counts.tp + counts.tn + counts.fp + counts.fn)
