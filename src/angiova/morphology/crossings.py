"""Where two vessels lie over each other: an X in the picture, and no bifurcation.

Thinning draws an X as two nodes with a short stretch between them, the longer the more obliquely the vessels cross. A
bifurcation has one parent, against the flow from which both daughters point away. So a stretch for which, at *both*
its ends, the two other arms point away from it would be the parent twice: blood would merge and part again, which
arteries do not do. Such a stretch, up to OVERLAP_RADII times its radius long, is where vessels overlap. The arms are
paired to pass straight through it; when neither pairing is nearly straight, nothing is changed.

The shared stretch is given to both vessels, and its calibre, which is that of two vessels, to neither.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from angiova.morphology.centreline import travelled_px
from angiova.morphology.graph import Arm, CentrelineGraph, Floats
from angiova.morphology.spurs import radius_at

OVERLAP_RADII: Final = 8.0
LOOK_PX: Final = 10.0
MAX_BEND_DEG: Final = 40.0
MAX_SHARED_BEND_DEG: Final = 50.0


Pairs = tuple[tuple[Arm, Arm], tuple[Arm, Arm]]


def direction(graph: CentrelineGraph, arm: Arm, radius_px: float) -> Floats:
    """Return the unit vector (row, column) of an arm, from where it leaves the node's disc over LOOK_PX.

    Args:
        graph: the graph.
        arm: which end of which edge.
        radius_px: radius of the disc inscribed at the node.
    """
    points_N2 = graph.edges[arm.edge].from_arm(arm)
    return heading(points_N2, radius_px)


def heading(points_N2: Floats, skip_px: float) -> Floats:
    """Return the unit vector from the point `skip_px` along a path to the point LOOK_PX further, or to its end."""
    travelled_N = travelled_px(points_N2)
    skip_px = min(skip_px, travelled_N[-1] / 2)
    ends = [np.interp(at, travelled_N, points_N2[:, axis]) for at in (skip_px, skip_px + LOOK_PX) for axis in (0, 1)]
    step_2 = np.array([ends[2] - ends[0], ends[3] - ends[1]])
    return np.asarray(step_2 / max(float(np.linalg.norm(step_2)), 1e-9))


def angle_deg(one_2: Floats, other_2: Floats) -> float:
    """Return the angle between two unit vectors, 0 to 180 degrees."""
    return float(np.degrees(np.arccos(np.clip(one_2 @ other_2, -1, 1))))


def find_crossings(graph: CentrelineGraph, radius_HW: Floats) -> dict[int, Pairs]:
    """Make each crossing one node, in place, and return by node which ends of edges belong together.

    Args:
        graph: the pruned graph.
        radius_HW: distance from the middle of each pixel to the wall, in pixels.
    """
    found: dict[int, Pairs] = {}
    for node in graph.nodes:
        if graph.degree(node) == 4:
            radius_px = radius_at(radius_HW, graph.nodes[node])
            out = {arm: direction(graph, arm, radius_px) for arm in graph.arms(node)}
            one, two, three, four = graph.arms(node)
            ways = [((one, two), (three, four)), ((one, three), (two, four)), ((one, four), (two, three))]
            _keep(found, node, ways, out, MAX_BEND_DEG)
    for number in sorted(graph.edges, key=lambda n: graph.edges[n].length_px):
        if number in graph.edges:
            _resolve_overlap(graph, number, radius_HW, found)
    return found


def _resolve_overlap(graph: CentrelineGraph, number: int, radius_HW: Floats, found: dict[int, Pairs]) -> None:
    """Give a stretch to both vessels that pass it, if there are two, and note that its end is a crossing."""
    edge = graph.edges[number]
    if edge.start == edge.end or graph.degree(edge.start) != 3 or graph.degree(edge.end) != 3:
        return
    radius_px = max(radius_at(radius_HW, point_2) for point_2 in edge.points_N2)
    if edge.length_px > OVERLAP_RADII * radius_px:
        return
    near = [arm for arm in graph.arms(edge.start) if arm.edge != number]
    far = [arm for arm in graph.arms(edge.end) if arm.edge != number]
    if len({arm.edge for arm in near + far}) < 4:
        return
    out = {arm: direction(graph, arm, radius_px) for arm in near + far}
    is_long = edge.length_px > radius_px
    if is_long and not _point_away(edge.points_N2, near, far, out):
        return
    ways = [((near[0], far[0]), (near[1], far[1])), ((near[0], far[1]), (near[1], far[0]))]
    if _keep(found, edge.end, ways, out, MAX_SHARED_BEND_DEG if is_long else MAX_BEND_DEG):
        for arm in near:
            graph.lead_on(arm, edge.points_N2, edge.end)
        graph.remove_edge(number)


def _keep(found: dict[int, Pairs], node: int, ways: list[Pairs], out: dict[Arm, Floats], max_bend_deg: float) -> bool:
    """Note the straightest way to pass a node by two vessels, if it is straight enough; return whether it is."""
    bend_deg = {way: max(180 - angle_deg(out[one], out[two]) for one, two in way) for way in ways}
    best = min(ways, key=lambda way: bend_deg[way])
    if bend_deg[best] > max_bend_deg:
        return False
    found[node] = best
    return True


def _point_away(points_N2: Floats, near: list[Arm], far: list[Arm], out: dict[Arm, Floats]) -> bool:
    """Return whether at both ends of a stretch the other arms point away from it."""
    axis_2 = points_N2[-1] - points_N2[0]
    return all(float(out[arm] @ axis_2) < 0 for arm in near) and all(float(out[arm] @ axis_2) > 0 for arm in far)
