"""Which branches were found, by calibre: a model that finds every thick vessel and no thin one looks good by Dice.

The target's skeleton is cut at its branching points. Each piece is a branch, its calibre the median along it. Pieces of
a few pixels are noise of the thinning and count neither as branches nor in their length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from angiova.evaluation.geometry import MaskGeometry, inside

MEDIUM_PX: Final = 3.0
THICK_PX: Final = 6.0
MIN_BRANCH_PX: Final = 5
FOUND_SHARE: Final = 0.5


class CalibreClass(StrEnum):
    """Calibre of a branch: thin below 3 px, medium from 3 to below 6 px, thick from 6 px."""

    THIN = "thin"
    MEDIUM = "medium"
    THICK = "thick"


@dataclass(frozen=True, slots=True)
class BranchCounts:
    """Branches of one calibre class in a target.

    Attributes:
        num_branches: how many there are.
        num_found: of how many the prediction covers at least half of the centreline.
        length_px: pixels of their centrelines.
        covered_px: of these, those in the prediction.
    """

    num_branches: int
    num_found: int
    length_px: int
    covered_px: int

    @property
    def recall(self) -> float:
        """Share of the centrelines that the prediction covers."""
        return self.covered_px / self.length_px


def class_of(calibre_px: float) -> CalibreClass:
    """Return the class of a calibre in pixels."""
    if calibre_px < MEDIUM_PX:
        return CalibreClass.THIN
    return CalibreClass.MEDIUM if calibre_px < THICK_PX else CalibreClass.THICK


def count_branches(target: MaskGeometry, prediction: MaskGeometry) -> Mapping[CalibreClass, BranchCounts]:
    """Count the target's branches by calibre class; a class without any is left out.

    Splitting a skeleton at its branching points is what skan does (Nunez-Iglesias et al., PeerJ 6:e4312, 2018).
    """
    covered_N = inside(target.centreline_N2, prediction.mask_HW)
    found: dict[CalibreClass, BranchCounts] = {}
    order_N = np.argsort(target.branch_of_N, kind="stable")
    starts = np.flatnonzero(np.diff(target.branch_of_N[order_N], prepend=0))
    for pixels in np.split(order_N, starts)[1:]:
        if len(pixels) >= MIN_BRANCH_PX:
            kind = class_of(float(np.median(target.calibres_N[pixels])))
            found[kind] = _add(found.get(kind), len(pixels), int(np.count_nonzero(covered_N[pixels])))
    return {kind: found[kind] for kind in CalibreClass if kind in found}


def branches_found(counts: Mapping[CalibreClass, BranchCounts]) -> float:
    """Return the share of branches, of any calibre, that were found.

    Raises:
        ZeroDivisionError: there are none.
    """
    return sum(c.num_found for c in counts.values()) / sum(c.num_branches for c in counts.values())


def calibre_bias_px(target: MaskGeometry, prediction: MaskGeometry) -> float | None:
    """Return by how much the prediction's vessels are wider, in pixels; None where the two share no centreline.

    Each mask is measured along its own centreline, where that lies in the other mask: so a vessel that is right but
    shifted by a pixel has no bias, and neither has one that was missed.
    """
    of_prediction = prediction.calibres_N[inside(prediction.centreline_N2, target.mask_HW)]
    of_target = target.calibres_N[inside(target.centreline_N2, prediction.mask_HW)]
    return float(of_prediction.mean() - of_target.mean()) if of_prediction.size and of_target.size else None


def _add(counts: BranchCounts | None, length_px: int, covered_px: int) -> BranchCounts:
    earlier = counts or BranchCounts(0, 0, 0, 0)
    is_found = covered_px >= FOUND_SHARE * length_px
    return BranchCounts(
        earlier.num_branches + 1,
        earlier.num_found + is_found,
        earlier.length_px + length_px,
        earlier.covered_px + covered_px,
    )
