"""Which coronary tree a frame shows, and which artery supplies the back of the heart, from named segments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

import numpy as np

from angiova.data.rle import BoolMask
from angiova.data.syntax import RIGHT_SEGMENTS, SEGMENT_NAMES
from angiova.errors import DataError
from angiova.morphology.graph import Floats

NAMED_SHARE: Final = 0.5
# Sianos et al., EuroIntervention 1:219-227 (2005): the posterior descending artery is segment 4 when it comes from the
# right and 15 when it comes from the left; right posterolaterals, 16, occur in right dominance only.
RIGHT_DOMINANT_SEGMENTS: Final = frozenset({"4", "16", "16a", "16b", "16c"})
LEFT_DOMINANT_SEGMENTS: Final = frozenset({"15"})


class Side(StrEnum):
    """Left or right: of a coronary tree, or of its dominance."""

    LEFT = "left"
    RIGHT = "right"


def tree_side(segments: Mapping[str, int]) -> Side | None:
    """Return which coronary tree is shown; None where no segment is named.

    Args:
        segments: pixels of each SYNTAX segment; where both trees are named, the larger part decides.

    Raises:
        DataError: a name is no SYNTAX segment.
    """
    _check(segments)
    right = sum(area for name, area in segments.items() if name in RIGHT_SEGMENTS)
    total = sum(segments.values())
    if not total:
        return None
    return Side.RIGHT if 2 * right > total else Side.LEFT


def dominance(segments: Collection[str]) -> Side | None:
    """Return which artery gives the posterior descending artery, from the segments seen in all frames of a patient.

    None where the segments don't say: that one is not seen may be due to the view.

    Raises:
        DataError: a name is no SYNTAX segment, or both sides claim the artery.
    """
    _check(segments)
    right, left = RIGHT_DOMINANT_SEGMENTS & set(segments), LEFT_DOMINANT_SEGMENTS & set(segments)
    if right and left:
        names = ", ".join(sorted(right | left))
        raise DataError(f"segments {names} exclude each other", remedy="give the segments of one patient")
    if not right and not left:
        return None
    return Side.RIGHT if right else Side.LEFT


def segment_of(points_N2: Floats, segments: Mapping[str, BoolMask]) -> str | None:
    """Return the segment that holds most of a centreline, if it holds at least NAMED_SHARE of it.

    Args:
        points_N2: (row, column) in the image.
        segments: masks (H, W) by SYNTAX number.
    """
    if not segments or not len(points_N2):
        return None
    height, width = next(iter(segments.values())).shape
    rows = points_N2[:, 0].round().astype(int).clip(0, height - 1)
    columns = points_N2[:, 1].round().astype(int).clip(0, width - 1)
    shares = {name: float(np.mean(mask_HW[rows, columns])) for name, mask_HW in segments.items()}
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= NAMED_SHARE else None


def _check(segments: Collection[str]) -> None:
    unknown = sorted(set(segments) - SEGMENT_NAMES.keys())
    if unknown:
        raise DataError(f"{unknown[0]!r} is no SYNTAX segment", remedy="use numbers such as 6 or 9a")
