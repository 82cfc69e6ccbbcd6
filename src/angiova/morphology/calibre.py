"""The calibre of a vessel at each place along it, finer than a pixel.

Across the centreline the mask is read along the normal, to both sides. The area of the mask along that line is the
distance to the wall, exact for a straight wall at any angle where counting pixels errs by up to one; the mask is
blurred by MASK_BLUR_PX first, which leaves the area as it is and averages the staircase of the wall. The distance
transform says how far to look: a line that finds no wall within 1.5 radii ran into a side branch, and its place has no
calibre of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from angiova.data.rle import BoolMask
from angiova.morphology.graph import Floats

MASK_BLUR_PX: Final = 1.0
SAMPLE_PX: Final = 0.25
REACH_RADII: Final = 1.5
REACH_PX: Final = 4.0


@dataclass(frozen=True, slots=True)
class Walls:
    """Both walls of a vessel at N places of its centreline.

    Attributes:
        left_N_px: distance along the normal to one wall.
        right_N_px: distance against the normal to the other.
        is_found_N: whether both walls were found.
    """

    left_N_px: Floats
    right_N_px: Floats
    is_found_N: BoolMask

    @property
    def calibre_N_px(self) -> Floats:
        """Distance of the walls."""
        return self.left_N_px + self.right_N_px


def blurred(mask_HW: BoolMask) -> Floats:
    """Return the mask (H, W) as numbers, blurred by MASK_BLUR_PX; what lies beyond the image is background."""
    return np.asarray(gaussian_filter(mask_HW.astype(np.float32), MASK_BLUR_PX, mode="constant", truncate=3.0))


def normals(tangents_N2: Floats) -> Floats:
    """Return the unit normals (N, 2) to unit tangents."""
    return np.stack([-tangents_N2[:, 1], tangents_N2[:, 0]], axis=1)


def find_walls(points_N2: Floats, normals_N2: Floats, radius_N_px: Floats, blurred_HW: Floats) -> Walls:
    """Return where the walls are across a centreline.

    Args:
        points_N2: places (row, column) inside the mask.
        normals_N2: unit normals there.
        radius_N_px: distance to the wall by the distance transform.
        blurred_HW: see `blurred`.
    """
    reach_px = float(REACH_RADII * radius_N_px.max() + REACH_PX)
    offsets_K = np.arange(0, reach_px + SAMPLE_PX, SAMPLE_PX)
    sides = [_to_wall(points_N2, sign * normals_N2, offsets_K, radius_N_px, blurred_HW) for sign in (1.0, -1.0)]
    (left_N, found_left_N), (right_N, found_right_N) = sides
    return Walls(left_N, right_N, found_left_N & found_right_N)


def _to_wall(
    points_N2: Floats, directions_N2: Floats, offsets_K: Floats, radius_N: Floats, blurred_HW: Floats
) -> tuple[Floats, BoolMask]:
    """Return the distance to the wall in one direction, (N,), and whether there is one within the limit."""
    places_NK2 = points_N2[:, None] + offsets_K[None, :, None] * directions_N2[:, None]
    inside_NK = map_coordinates(blurred_HW, places_NK2.transpose(2, 0, 1), order=1, mode="constant")
    left_NK = inside_NK < 0.5
    rises_NK = np.zeros_like(left_NK)
    rises_NK[:, 1:] = np.diff(inside_NK, axis=1) >= 0
    # Past the wall the profile falls to zero, or rises again where another vessel is near: there it ends.
    is_outside_NK = left_NK & (offsets_K > (radius_N + 0.5)[:, None])
    past_NK = np.maximum.accumulate(is_outside_NK, axis=1) & (rises_NK | (inside_NK < 1e-3))
    is_over_NK = np.maximum.accumulate(past_NK, axis=1)
    area_NK = np.where(is_over_NK, 0.0, inside_NK)
    distance_N = SAMPLE_PX * (area_NK.sum(axis=1) - area_NK[:, 0] / 2)
    return distance_N, left_NK.any(axis=1) & (distance_N <= REACH_RADII * radius_N + REACH_PX)
