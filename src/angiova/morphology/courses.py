"""Each edge of the graph as a smooth course with a calibre at every place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.spatial.distance import cdist
from skimage.morphology import remove_small_holes, skeletonize

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask
from angiova.morphology.calibre import Walls, blurred, find_walls, normals
from angiova.morphology.centreline import evenly, extended, smooth_along, smooth_curve, tangents, travelled_px
from angiova.morphology.graph import CentrelineGraph, Edge, Floats
from angiova.morphology.grey import refine_walls

# Holes up to this size are noise of the mask; larger ones are loops of vessel.
MAX_HOLE_PX: Final = 12
MARGIN_PX: Final = 4
# A line across that is this many times as long as the inscribed disc is wide, and more, ran into another vessel.
ESCAPE_RATIO: Final = 1.4
ESCAPE_PX: Final = 1.5
CENTRING_PX: Final = 2.0


@dataclass(frozen=True, slots=True)
class Ground:
    """The mask cut to its bounding box with a margin, and what is computed from it once.

    Attributes:
        mask_HW: the mask without tiny holes.
        radius_HW: distance from the middle of each pixel to the wall, by the distance transform.
        blurred_HW: see `angiova.morphology.calibre.blurred`.
        corner_2: (row, column) of its first pixel in the image; negative within the margin.
        image_HW: the frame, cut likewise.
    """

    mask_HW: BoolMask
    radius_HW: Floats
    blurred_HW: Floats
    corner_2: Floats
    image_HW: GreyImage | None


@dataclass(frozen=True, slots=True)
class Course:
    """One edge as measured, from its start to its end.

    Attributes:
        points_N2: the centreline, midway between the walls, in the cut mask.
        calibre_N_px: distance of the walls.
        is_measured_N: where that is the vessel's own calibre.
    """

    points_N2: Floats
    calibre_N_px: Floats
    is_measured_N: BoolMask

    @property
    def calibre_px(self) -> float:
        """Median calibre."""
        own_N = self.calibre_N_px[self.is_measured_N]
        return float(np.median(own_N if own_N.size else self.calibre_N_px))

    @property
    def widest_px(self) -> float:
        """Largest calibre, but for single outliers."""
        own_N = self.calibre_N_px[self.is_measured_N]
        return float(np.percentile(own_N if own_N.size else self.calibre_N_px, 95))

    def turned(self, turn: bool) -> Course:
        """Return the course from its end to its start, if `turn`."""
        if not turn:
            return self
        return Course(self.points_N2[::-1], self.calibre_N_px[::-1], self.is_measured_N[::-1])


def prepare(mask_HW: BoolMask, image_HW: GreyImage | None) -> Ground:
    """Return what is computed once of a mask with foreground."""
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    filled_HW = remove_small_holes(np.pad(mask_HW[box], MARGIN_PX), max_size=MAX_HOLE_PX)
    # The distance transform leads to the middle of the nearest pixel outside; its wall is half a pixel nearer.
    radius_HW = np.maximum(distance_transform_edt(filled_HW) - 0.5, 0)
    first = int(rows[0]), int(columns[0])
    cut_HW = None if image_HW is None else _with_surroundings(image_HW, first, filled_HW.shape)
    corner_2 = np.array([rows[0] - MARGIN_PX, columns[0] - MARGIN_PX], dtype=np.float64)
    return Ground(filled_HW, radius_HW, blurred(filled_HW), corner_2, cut_HW)


def thinned(mask_HW: BoolMask) -> BoolMask:
    """Return the skeleton of a mask, (H, W), by T.-C. Lee et al., CVGIP 56:462-478 (1994).

    Not by Zhang and Suen, as clDice has it: that erases oblique vessels two pixels wide altogether.
    """
    return np.asarray(skeletonize(mask_HW, method="lee"), dtype=bool)


def measure_courses(graph: CentrelineGraph, ground: Ground) -> dict[int, Course]:
    """Return the course of each edge."""
    curves = {number: _curve(graph, edge, ground) for number, edge in graph.edges.items()}
    radii = {number: _radii(curve_N2, ground) for number, curve_N2 in curves.items()}
    courses = {}
    for number, edge in graph.edges.items():
        is_own_N = _is_apart(graph, number, curves, radii) & _is_before_tip(graph, edge, curves[number], radii[number])
        courses[number] = _course(edge, curves[number], radii[number], is_own_N, ground)
    return courses


def _with_surroundings(image_HW: GreyImage, first: tuple[int, int], shape: tuple[int, ...]) -> GreyImage:
    """Return the frame cut to the box with its margin; beyond the frame its rim is repeated."""
    rows = np.clip(np.arange(shape[0]) + first[0] - MARGIN_PX, 0, image_HW.shape[0] - 1)
    columns = np.clip(np.arange(shape[1]) + first[1] - MARGIN_PX, 0, image_HW.shape[1] - 1)
    return image_HW[np.ix_(rows, columns)]


def _curve(graph: CentrelineGraph, edge: Edge, ground: Ground) -> Floats:
    """Return the smooth curve of an edge, led to the wall at free ends."""
    curve_N2 = smooth_curve(edge.points_N2, closed=edge.start == edge.end)
    for node, at_start in ((edge.start, True), (edge.end, False)):
        if graph.degree(node) == 1:
            row, column = graph.nodes[node].round().astype(int)
            reach_px = 1.5 * float(ground.radius_HW[row, column]) + 1
            curve_N2 = extended(curve_N2, at_start, reach_px, ground.blurred_HW)
    return evenly(curve_N2, 1.0)


def _radii(points_N2: Floats, ground: Ground) -> Floats:
    radii_N = map_coordinates(ground.radius_HW, points_N2.T, order=1, mode="nearest")
    return np.asarray(np.maximum(radii_N, 0.5))


def _is_apart(
    graph: CentrelineGraph, number: int, curves: Mapping[int, Floats], radii: Mapping[int, Floats]
) -> BoolMask:
    """Return where an edge is clear of the edges that it meets: outside their discs by half its own radius."""
    edge, own_N2 = graph.edges[number], curves[number]
    met = {arm.edge for node in (edge.start, edge.end) for arm in graph.arms(node)} - {number}
    is_apart_N = np.ones(len(own_N2), dtype=bool)
    for other in met:
        gap_N = (cdist(own_N2, curves[other]) - radii[other]).min(axis=1)
        is_apart_N &= gap_N > 0.5 * np.minimum(radii[number], np.median(radii[number])) + 0.5
    return is_apart_N


def _is_before_tip(graph: CentrelineGraph, edge: Edge, points_N2: Floats, radius_N: Floats) -> BoolMask:
    """Return where an edge is further from its free ends than its radius: nearer, the wall is that of the tip."""
    travelled_N = travelled_px(points_N2)
    margin_px = float(np.median(radius_N)) + 0.5
    is_before_N = np.ones(len(points_N2), dtype=bool)
    if graph.degree(edge.start) == 1:
        is_before_N &= travelled_N > margin_px
    if graph.degree(edge.end) == 1:
        is_before_N &= travelled_N < travelled_N[-1] - margin_px
    return is_before_N


def _course(edge: Edge, curve_N2: Floats, radius_N: Floats, is_own_N: BoolMask, ground: Ground) -> Course:
    """Return an edge with its calibres, moved midway between its walls."""
    is_closed = edge.start == edge.end
    normals_N2 = normals(tangents(curve_N2, is_closed))
    walls = find_walls(curve_N2, normals_N2, radius_N, ground.blurred_HW)
    is_measured_N = is_own_N & walls.is_found_N & (walls.calibre_N_px < ESCAPE_RATIO * 2 * radius_N + ESCAPE_PX)
    if ground.image_HW is not None:
        walls = refine_walls(curve_N2, normals_N2, walls, ground.image_HW)
    centred_N2 = _centred(curve_N2, normals_N2, walls, is_measured_N, is_closed)
    # Where other vessels are in the way, the inscribed disc is the best guess.
    calibre_N = np.where(is_measured_N, walls.calibre_N_px, 2 * radius_N)
    return Course(centred_N2, calibre_N, is_measured_N)


def _centred(curve_N2: Floats, normals_N2: Floats, walls: Walls, is_measured_N: BoolMask, is_closed: bool) -> Floats:
    shift_N = np.where(is_measured_N, (walls.left_N_px - walls.right_N_px) / 2, 0.0)
    shift_N1 = smooth_along(shift_N[:, None], CENTRING_PX, is_closed) if len(shift_N) > 2 else shift_N[:, None]
    return np.asarray(curve_N2 + shift_N1 * normals_N2)
