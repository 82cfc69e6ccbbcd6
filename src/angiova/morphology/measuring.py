"""From a mask to its measures: thin, make a graph, clean it, find the walls, follow the flow, look for narrowings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask
from angiova.errors import DataError
from angiova.evaluation.topology import num_pieces
from angiova.morphology.courses import Course, Ground, measure_courses, prepare, thinned
from angiova.morphology.crossings import Pairs, find_crossings, heading
from angiova.morphology.gathering import gather_bifurcations, gather_branches, gather_nodes, gather_stenoses
from angiova.morphology.graph import Arm, CentrelineGraph, Floats, trace
from angiova.morphology.measures import Spacing, VesselMeasures
from angiova.morphology.spurs import prune, radius_at
from angiova.morphology.vessels import follow_flow


def measure_vessels(
    mask_HW: BoolMask,
    *,
    spacing_mm: Spacing | None = None,
    image_HW: GreyImage | None = None,
    segments: Mapping[str, BoolMask] | None = None,
) -> VesselMeasures:
    """Return what can be measured of the vessels in a mask (H, W).

    Args:
        mask_HW: the vessels.
        spacing_mm: (row, column) distance of pixel centres in the plane of the vessels, where known.
        image_HW: the 8-bit frame, vessels dark; with it, walls are refined on grey values.
        segments: masks (H, W) of named segments by SYNTAX number.

    An empty mask has no branches. A vessel that thinning makes a single pixel is a node without a branch.

    Raises:
        DataError: the mask is not two-dimensional, the image or a segment has another shape, or the spacing is not
            positive.
    """
    segments = segments or {}
    _check(mask_HW, spacing_mm, image_HW, segments)
    height, width = mask_HW.shape
    if not mask_HW.any():
        return VesselMeasures((height, width), spacing_mm, (), (), (), (), 0, 0)
    ground = prepare(np.asarray(mask_HW, dtype=bool), image_HW)
    graph = trace(thinned(ground.mask_HW))
    prune(graph, ground.radius_HW)
    crossings = find_crossings(graph, ground.radius_HW)
    courses = measure_courses(graph, ground)
    directions = _directions(graph, courses, ground)
    calibre_px = {number: course.calibre_px for number, course in courses.items()}
    widest_px = {number: course.widest_px for number, course in courses.items()}
    flow = follow_flow(graph, crossings, calibre_px, widest_px, directions)
    number_of, nodes = gather_nodes(graph, crossings, ground)
    branch_of, branches = gather_branches(graph, courses, flow, number_of, ground, spacing_mm, segments)
    pieces = num_pieces(ground.mask_HW)
    return VesselMeasures(
        shape=(height, width),
        spacing_mm=spacing_mm,
        nodes=nodes,
        branches=branches,
        bifurcations=gather_bifurcations(flow, directions, number_of, branch_of),
        stenoses=gather_stenoses(branches),
        num_pieces=pieces,
        num_loops=_num_loops(graph, crossings),
    )


def _check(
    mask_HW: BoolMask, spacing_mm: Spacing | None, image_HW: GreyImage | None, segments: Mapping[str, BoolMask]
) -> None:
    if mask_HW.ndim != 2:
        raise DataError(f"a mask of {mask_HW.ndim} dimensions", remedy="give one of height and width")
    if spacing_mm is not None and not all(np.isfinite(mm) and mm > 0 for mm in spacing_mm):
        raise DataError(f"spacing {spacing_mm} mm", remedy="give the distance of pixels down and across, above 0")
    named = {} if image_HW is None else {"the image": image_HW}
    for name, other_HW in {**named, **{f"segment {name}": mask for name, mask in segments.items()}}.items():
        if other_HW.shape != mask_HW.shape:
            raise DataError(f"{name} is {other_HW.shape}, the mask {mask_HW.shape}", remedy="give the same frame")


def _directions(graph: CentrelineGraph, courses: Mapping[int, Course], ground: Ground) -> dict[Arm, Floats]:
    """Return the unit vector of each end of an edge, away from its node, from where it leaves the node's disc."""
    found = {}
    for number, edge in graph.edges.items():
        for arm, node in ((Arm(number, True), edge.start), (Arm(number, False), edge.end)):
            points_N2 = courses[number].turned(not arm.at_start).points_N2
            found[arm] = heading(points_N2, 1.5 * radius_at(ground.radius_HW, graph.nodes[node]))
    return found


def _num_loops(graph: CentrelineGraph, crossings: Mapping[int, Pairs]) -> int:
    """Return independent closed ways along the centreline: edges less nodes plus pieces.

    At a crossing two vessels pass each other, so that it counts as two nodes.
    """
    place: dict[Arm, tuple[int, int]] = {}
    for node in graph.nodes:
        for arm in graph.arms(node):
            place[arm] = (node, int(node in crossings and arm in crossings[node][1]))
    number_of = {there: number for number, there in enumerate(dict.fromkeys(place.values()))}
    starts = [number_of[place[Arm(edge, True)]] for edge in graph.edges]
    ends = [number_of[place[Arm(edge, False)]] for edge in graph.edges]
    joined = coo_array((np.ones(len(starts)), (starts, ends)), shape=(len(number_of), len(number_of)))
    return len(starts) - len(number_of) + int(connected_components(joined, directed=False)[0])
