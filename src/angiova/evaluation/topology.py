"""Agreement of centrelines: a vessel cut in two or missed along its length shows here, its calibre does not."""

from __future__ import annotations

import numpy as np
from skimage.morphology import skeletonize

from angiova.data.rle import BoolMask


def skeleton(mask_HW: BoolMask) -> BoolMask:
    """Return the one-pixel centreline of a mask of shape (H, W), as booleans of the same shape.

    Thinning by Zhang and Suen, Communications of the ACM 27:236-239 (1984), as in scikit-image's `skeletonize`.
    Only the bounding box is thinned: the result is the same and takes a fraction of the time.
    """
    result_HW = np.zeros(mask_HW.shape, dtype=bool)
    rows, columns = np.flatnonzero(np.any(mask_HW, axis=1)), np.flatnonzero(np.any(mask_HW, axis=0))
    if rows.size:
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        result_HW[box] = skeletonize(mask_HW[box])
    return result_HW


def cldice(target_HW: BoolMask, prediction_HW: BoolMask) -> float:
    """Return the centreline Dice of two non-empty boolean masks of the same shape (H, W).

    Topology precision is the share of the prediction's skeleton that lies in the target, topology sensitivity the share
    of the target's skeleton that lies in the prediction; clDice is their harmonic mean, and 0 where both are 0.
    The skeletons are hard (thinned), not the soft ones of the loss.

    Source: Shit et al., "clDice - a Novel Topology-Preserving Loss Function for Tubular Structure Segmentation",
    CVPR 2021, equations 1 to 3.

    Raises:
        ZeroDivisionError: a mask is empty; `angiova.evaluation.cases` decides that case.
    """
    precision = _share_inside(skeleton(prediction_HW), target_HW)
    sensitivity = _share_inside(skeleton(target_HW), prediction_HW)
    total = precision + sensitivity
    return 2 * precision * sensitivity / total if total else 0.0


def _share_inside(skeleton_HW: BoolMask, mask_HW: BoolMask) -> float:
    return int(np.count_nonzero(skeleton_HW & mask_HW)) / int(np.count_nonzero(skeleton_HW))
