"""What the shape metrics share of one mask, each computed once and only when asked for.

Distances are found with k-d trees over boundary pixels instead of distance transforms of the image: exact as well, and
on a vessel tree, whose boundary is some thousand pixels, about eight times faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label
from scipy.spatial import KDTree

from angiova.data.rle import BoolMask
from angiova.evaluation.topology import num_holes, num_pieces, skeleton

Points = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]
_EIGHT: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class MaskGeometry:
    """One mask of shape (H, W) and its shape; points are (row, column) in pixels of the image.

    Attributes:
        mask_HW: the mask, as booleans.
    """

    mask_HW: BoolMask

    @cached_property
    def is_empty(self) -> bool:
        """Whether no pixel is foreground."""
        return self._core_HW.size == 0

    @cached_property
    def boundary_N2(self) -> Points:
        """Foreground pixels with background among their 4 neighbours; what lies beyond the image is background."""
        padded_HW = np.pad(self._core_HW, 1)
        return self._points(self._core_HW & ~_all_4_neighbours(padded_HW))

    @cached_property
    def centreline_N2(self) -> Points:
        """Pixels of the skeleton, see `angiova.evaluation.topology.skeleton`."""
        return self._points(self._skeleton_HW)

    @cached_property
    def calibres_N(self) -> Floats:
        """Calibre in pixels at each pixel of the centreline: twice the distance to the nearest background pixel.

        What lies beyond the image is background. The usual definition: right for even widths, and one pixel too much
        for odd ones. The nearest background pixel of a foreground pixel always has foreground among its 4 neighbours,
        since a step from it towards that pixel is nearer still; so only those are searched.
        """
        return 2 * distances(self.centreline_N2, self._outer_rim_N2)

    @cached_property
    def branch_of_N(self) -> Labels:
        """Number of the branch, from 1, of each pixel of the centreline; 0 for branching points.

        A branching point has three or more skeleton pixels among its 8 neighbours. Taking them out leaves the branches.
        """
        neighbours_HW = _num_8_neighbours(np.pad(self._skeleton_HW, 1))
        pieces_HW, _ = label(self._skeleton_HW & (neighbours_HW < 3), structure=_EIGHT)
        return np.asarray(pieces_HW[self._skeleton_HW], dtype=np.intp)

    @cached_property
    def num_pieces(self) -> int:
        """b0, see `angiova.evaluation.topology.num_pieces`."""
        return num_pieces(self._core_HW)

    @cached_property
    def num_holes(self) -> int:
        """b1, see `angiova.evaluation.topology.num_holes`."""
        return num_holes(self._core_HW, self.num_pieces)

    @cached_property
    def _box(self) -> tuple[slice, slice]:
        """The bounding box; empty slices for an empty mask."""
        rows = np.flatnonzero(self.mask_HW.any(axis=1))
        if not rows.size:
            return slice(0, 0), slice(0, 0)
        columns = np.flatnonzero(self.mask_HW[rows[0] : rows[-1] + 1].any(axis=0))
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    @cached_property
    def _core_HW(self) -> BoolMask:
        return self.mask_HW[self._box]

    @cached_property
    def _skeleton_HW(self) -> BoolMask:
        return skeleton(self._core_HW)

    @cached_property
    def _outer_rim_N2(self) -> Points:
        """Background pixels with foreground among their 4 neighbours, also beyond the image."""
        padded_HW = np.pad(self._core_HW, 2)
        rim_HW = ~padded_HW[1:-1, 1:-1] & _any_4_neighbour(padded_HW)
        return self._points(rim_HW) - 1

    def _points(self, inside_HW: BoolMask) -> Points:
        corner = np.array([self._box[0].start, self._box[1].start], dtype=np.intp)
        return np.asarray(np.argwhere(inside_HW) + corner, dtype=np.intp)


def distances(points_N2: npt.NDArray[np.generic], others_M2: npt.NDArray[np.generic]) -> Floats:
    """Return the Euclidean distance of each point to the nearest of one or more others."""
    if not len(points_N2):
        return np.empty(0)
    # Without balancing and compacting the tree is built faster, and the queries give the same.
    tree = KDTree(others_M2, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(points_N2)[0], dtype=np.float64)


def inside(points_N2: Points, mask_HW: BoolMask) -> BoolMask:
    """Return for each point (row, column) whether it lies in the mask."""
    found: BoolMask = mask_HW[points_N2[:, 0], points_N2[:, 1]]
    return found


def _all_4_neighbours(padded_HW: BoolMask) -> BoolMask:
    up, down, left, right = _4_neighbours(padded_HW)
    return up & down & left & right


def _any_4_neighbour(padded_HW: BoolMask) -> BoolMask:
    up, down, left, right = _4_neighbours(padded_HW)
    return up | down | left | right


def _4_neighbours(padded_HW: BoolMask) -> tuple[BoolMask, BoolMask, BoolMask, BoolMask]:
    return padded_HW[:-2, 1:-1], padded_HW[2:, 1:-1], padded_HW[1:-1, :-2], padded_HW[1:-1, 2:]


def _num_8_neighbours(padded_HW: BoolMask) -> npt.NDArray[np.uint8]:
    """Return for each pixel how many of its 8 neighbours are set; the padding, one pixel, falls away."""
    rows_HW = padded_HW[:-2].astype(np.uint8) + padded_HW[1:-1] + padded_HW[2:]
    sums_HW: npt.NDArray[np.uint8] = rows_HW[:, :-2] + rows_HW[:, 1:-1] + rows_HW[:, 2:] - padded_HW[1:-1, 1:-1]
    return sums_HW
