"""Walls where the grey values say that they are, near where the mask has them.

The wall of an opacified vessel is between where grey values change fastest and where that change itself changes
fastest; quantitative coronary analysis takes the maximum of the sum of the first and the second derivative, equally
weighted: J. H. C. Reiber et al., Circulation 71:280-288 (1985). The second derivative moves the wall outwards by about
what the blur of the image moves it inwards in small vessels.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates, median_filter

from angiova.data.pixels import GreyImage
from angiova.morphology.calibre import Walls
from angiova.morphology.graph import Floats

SEARCH_PX: Final = 2.5
SAMPLE_PX: Final = 0.25
BLUR_PX: Final = 0.75
OUTLIER_PLACES: Final = 7
LEAST_RISE: Final = 2.0  # grey values a pixel; below it there is no edge to see


def refine_walls(points_N2: Floats, normals_N2: Floats, walls: Walls, image_HW: GreyImage) -> Walls:
    """Return walls moved by at most SEARCH_PX to where grey values rise from the dark vessel to its surroundings.

    Args:
        points_N2: places (row, column) of the centreline.
        normals_N2: unit normals there.
        walls: as the mask has them.
        image_HW: the frame, vessels dark.

    A wall without an edge stays where the mask has it; single outliers along a wall are removed by a running median.
    """
    left_N = _refined(points_N2, normals_N2, walls.left_N_px, image_HW)
    right_N = _refined(points_N2, -normals_N2, walls.right_N_px, image_HW)
    return Walls(left_N, right_N, walls.is_found_N)


def _refined(points_N2: Floats, directions_N2: Floats, wall_N_px: Floats, image_HW: GreyImage) -> Floats:
    # One pixel more on both sides than is searched, for the derivatives.
    offsets_K = np.arange(-SEARCH_PX - 1, SEARCH_PX + 1 + SAMPLE_PX / 2, SAMPLE_PX)
    distance_NK = wall_N_px[:, None] + offsets_K
    places_NK2 = points_N2[:, None] + distance_NK[..., None] * directions_N2[:, None]
    grey_NK = map_coordinates(image_HW.astype(np.float32), places_NK2.transpose(2, 0, 1), order=1, mode="nearest")
    rise_NK = gaussian_filter1d(grey_NK, BLUR_PX / SAMPLE_PX, axis=1, order=1, mode="nearest") / SAMPLE_PX
    turn_NK = -np.gradient(rise_NK, SAMPLE_PX, axis=1)
    score_NK = np.where(np.abs(offsets_K) <= SEARCH_PX, 0.5 * rise_NK + 0.5 * np.maximum(turn_NK, 0), -np.inf)
    score_NK[distance_NK < 0] = -np.inf
    best_N = np.argmax(score_NK, axis=1)
    is_edge_N = rise_NK[np.arange(len(best_N)), best_N] >= LEAST_RISE
    found_N = np.where(is_edge_N, wall_N_px + offsets_K[best_N], wall_N_px)
    return np.asarray(median_filter(found_N, OUTLIER_PLACES, mode="nearest"))
