"""Agreement of outlines: how far the boundary of one mask lies from that of the other.

Distances are Euclidean, between centres of boundary pixels: foreground with background, or the image's edge, among its
4 neighbours. Which score an empty mask earns is decided in `angiova.evaluation.scores`; here both have foreground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from angiova.evaluation.geometry import Floats, MaskGeometry, distances

TOLERANCE_PX: Final = 2.0  # what two observers' outlines of a vessel differ by at 512 px
TOLERANCE_MM: Final = 0.5  # the same at a usual spacing of 0.25 mm
_PERCENTILE: Final = 95


@dataclass(frozen=True, slots=True)
class BoundaryDistances:
    """Distances from each boundary pixel of one mask to the nearest of the other, in one unit.

    Attributes:
        of_target_N: from the target's boundary.
        of_prediction_M: from the prediction's.
    """

    of_target_N: Floats
    of_prediction_M: Floats

    def scaled(self, factor: float) -> BoundaryDistances:
        """Return the distances in another unit."""
        return BoundaryDistances(self.of_target_N * factor, self.of_prediction_M * factor)


def boundary_distances(
    target: MaskGeometry, prediction: MaskGeometry, spacing: tuple[float, float] = (1.0, 1.0)
) -> BoundaryDistances:
    """Measure two masks that both have foreground.

    Args:
        target: the target.
        prediction: the prediction, of the same image.
        spacing: (row, column) distance of pixel centres in the unit wanted; the default gives pixels.
    """
    of_target_N2, of_prediction_M2 = target.boundary_N2 * spacing, prediction.boundary_N2 * spacing
    return BoundaryDistances(distances(of_target_N2, of_prediction_M2), distances(of_prediction_M2, of_target_N2))


def nsd(found: BoundaryDistances, tolerance: float) -> float:
    """Return the normalised surface Dice: the share of both boundaries within `tolerance` of the other.

    Boundary pixels are counted, not weighted by the length of outline that they stand for.

    Source: Nikolov et al., "Clinically Applicable Segmentation of Head and Neck Anatomy for Radiotherapy",
    Journal of Medical Internet Research 23:e26151 (2021).
    """
    near = np.count_nonzero(found.of_target_N <= tolerance) + np.count_nonzero(found.of_prediction_M <= tolerance)
    return int(near) / (len(found.of_target_N) + len(found.of_prediction_M))


def hd95(found: BoundaryDistances) -> float:
    """Return the larger of the two directed 95th percentiles of the distances, in their unit.

    Of the three definitions in use (this one; the percentile of both directions pooled; percentiles weighted by
    surface) this one alone cannot hide a missed vessel behind a long outline that was found: a target of a long and a
    short vessel with the long one found gives 81 by this definition and 3 by the pooled one. Percentiles are
    interpolated linearly.

    Source: Huttenlocher, Klanderman and Rucklidge, IEEE Transactions on Pattern Analysis and Machine Intelligence
    15:850-863 (1993), partial distances of section III, symmetric by the maximum.
    """
    directed = [np.percentile(values, _PERCENTILE) for values in (found.of_target_N, found.of_prediction_M)]
    return float(max(directed))


def assd(found: BoundaryDistances) -> float:
    """Return the average symmetric surface distance: the mean over the boundary pixels of both masks, pooled.

    Source: Heimann et al., "Comparison and Evaluation of Methods for Liver Segmentation From CT Datasets",
    IEEE Transactions on Medical Imaging 28:1251-1265 (2009), section III-B.
    """
    total = found.of_target_N.sum() + found.of_prediction_M.sum()
    return float(total) / (len(found.of_target_N) + len(found.of_prediction_M))
