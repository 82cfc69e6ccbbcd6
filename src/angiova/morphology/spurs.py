"""Thinning leaves short side branches at every bump of a wall; they are taken off by one rule.

An edge with a free end is a spur when it is shorter than SPUR_RADII times the radius of the disc inscribed at its other
end, plus SPUR_PX: when it hardly leaves the vessel that it starts in. All spurs of a node are judged together, so that
the fork that thinning draws to the two corners of a blunt end falls as a whole; a node that has nothing but spurs
keeps the two longest. Removing spurs joins edges, so that the rule is applied until nothing changes. At last go pieces
of vessel shorter than MIN_PIECE_PX: crumbs of a contrast front, and noise.
"""

from __future__ import annotations

from typing import Final

from angiova.morphology.graph import Arm, CentrelineGraph, Floats, other_end

SPUR_RADII: Final = 1.4
SPUR_PX: Final = 3.0
MIN_PIECE_PX: Final = 4.0


def prune(graph: CentrelineGraph, radius_HW: Floats) -> None:
    """Remove spurs and crumbs in place.

    Args:
        graph: the traced skeleton.
        radius_HW: distance from the middle of each pixel to the wall, in pixels.
    """
    while found := [arm for node in graph.nodes for arm in _spurs(graph, node, radius_HW)]:
        for arm in found:
            graph.remove_edge(arm.edge)
        graph.join_all()
    for number, edge in list(graph.edges.items()):
        is_alone = graph.degree(edge.start) == graph.degree(edge.end) == 1
        if is_alone and edge.length_px < MIN_PIECE_PX:
            graph.remove_edge(number)


def radius_at(radius_HW: Floats, point_2: Floats) -> float:
    """Return the radius at the pixel nearest to a point (row, column), in pixels."""
    row, column = point_2.round().astype(int)
    return float(radius_HW[row, column])


def _spurs(graph: CentrelineGraph, node: int, radius_HW: Floats) -> list[Arm]:
    """Return the spurs that start at a node, less those that are kept."""
    arms = graph.arms(node)
    if len(arms) < 3:
        return []
    limit_px = SPUR_RADII * radius_at(radius_HW, graph.nodes[node]) + SPUR_PX
    ends_free = [arm for arm in arms if graph.degree(graph.node_at(other_end(arm))) == 1]
    short = [arm for arm in ends_free if graph.edges[arm.edge].length_px < limit_px]
    if len(short) == len(arms):
        short = sorted(short, key=lambda arm: graph.edges[arm.edge].length_px)[:-2]
    return short
