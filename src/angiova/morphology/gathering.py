"""Graph, courses and flow together: numbered branches, bifurcations and narrowings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from angiova.data.rle import BoolMask
from angiova.morphology.anatomy import segment_of
from angiova.morphology.centreline import tangents, travelled_px
from angiova.morphology.courses import Course, Ground
from angiova.morphology.crossings import Pairs, angle_deg
from angiova.morphology.graph import Arm, CentrelineGraph, Floats
from angiova.morphology.measures import (
    Bifurcation,
    Branch,
    Node,
    NodeKind,
    Spacing,
    Stenosis,
    calibre_scale_mm,
)
from angiova.morphology.spurs import radius_at
from angiova.morphology.stenosis import Narrowing, find_narrowings
from angiova.morphology.vessels import Flow


def gather_nodes(
    graph: CentrelineGraph, crossings: Mapping[int, Pairs], ground: Ground
) -> tuple[dict[int, int], tuple[Node, ...]]:
    """Return the number of each node of the graph, and the nodes."""
    number_of = {node: number for number, node in enumerate(graph.nodes, start=1)}
    nodes = []
    for node, point_2 in graph.nodes.items():
        row, column = (point_2 + ground.corner_2).tolist()
        radius_px = radius_at(ground.radius_HW, point_2)
        nodes.append(Node(number_of[node], _kind(graph, crossings, node), row, column, radius_px))
    return number_of, tuple(nodes)


def gather_branches(
    graph: CentrelineGraph,
    courses: Mapping[int, Course],
    flow: Flow,
    number_of: Mapping[int, int],
    ground: Ground,
    spacing_mm: Spacing | None,
    segments: Mapping[str, BoolMask],
) -> tuple[dict[int, int], tuple[Branch, ...]]:
    """Return the number of each edge, and the branches: vessel by vessel, the longest times widest vessel first."""
    vessels = sorted(flow.vessels, key=lambda chain: -_size(courses, chain))
    branch_of: dict[int, int] = {}
    branches = []
    for vessel, chain in enumerate(vessels, start=1):
        for arm in chain:
            branch_of[arm.edge] = len(branch_of) + 1
            edge, course = graph.edges[arm.edge], courses[arm.edge].turned(not arm.at_start)
            start, end = (edge.start, edge.end) if arm.at_start else (edge.end, edge.start)
            points_N2 = course.points_N2 + ground.corner_2
            branches.append(
                Branch(
                    number=branch_of[arm.edge],
                    start=number_of[start],
                    end=number_of[end],
                    vessel=vessel,
                    points_N2=points_N2,
                    calibre_N_px=course.calibre_N_px,
                    is_measured_N=course.is_measured_N,
                    spacing_mm=spacing_mm,
                    segment=segment_of(points_N2, segments),
                )
            )
    return branch_of, tuple(branches)


def gather_bifurcations(
    flow: Flow, directions: Mapping[Arm, Floats], number_of: Mapping[int, int], branch_of: Mapping[int, int]
) -> tuple[Bifurcation, ...]:
    """Return the bifurcations with their angles."""
    return tuple(
        Bifurcation(
            node=number_of[fork.node],
            parent=branch_of[fork.parent.edge],
            daughters=tuple(branch_of[arm.edge] for arm in fork.daughters),
            bends_deg=tuple(180 - angle_deg(directions[fork.parent], directions[arm]) for arm in fork.daughters),
            opening_deg=angle_deg(directions[fork.daughters[0]], directions[fork.daughters[1]]),
        )
        for fork in flow.forks
    )


def gather_stenoses(branches: Sequence[Branch]) -> tuple[Stenosis, ...]:
    """Return the narrowings of all vessels, the most severe first; a vessel's branches are measured as one."""
    found = []
    for vessel in sorted({branch.vessel for branch in branches}):
        chain = [branch for branch in branches if branch.vessel == vessel]
        calibre_N = np.concatenate([branch.calibre_N_px for branch in chain])
        is_measured_N = np.concatenate([branch.is_measured_N for branch in chain])
        found += [_stenosis(chain, narrowing) for narrowing in find_narrowings(calibre_N, is_measured_N)]
    return tuple(sorted(found, key=lambda stenosis: -stenosis.percent))


def _kind(graph: CentrelineGraph, crossings: Mapping[int, Pairs], node: int) -> NodeKind:
    if node in crossings:
        return NodeKind.CROSSING
    if graph.degree(node) == 2:
        return NodeKind.RING
    return NodeKind.BIFURCATION if graph.degree(node) > 2 else NodeKind.END


def _size(courses: Mapping[int, Course], chain: Sequence[Arm]) -> float:
    """Return about the area of a vessel."""
    return sum(float(courses[arm.edge].calibre_N_px.sum()) for arm in chain)


def _stenosis(chain: Sequence[Branch], narrowing: Narrowing) -> Stenosis:
    """Return a narrowing with its place in the image."""
    ends = np.cumsum([len(branch.points_N2) for branch in chain])
    index = int(np.searchsorted(ends, narrowing.narrowest, side="right"))
    branch = chain[index]
    at = narrowing.narrowest - int(ends[index] - len(branch.points_N2))
    row, column = branch.points_N2[at].tolist()
    points_N2 = np.concatenate([part.points_N2 for part in chain])[narrowing.first : narrowing.last + 1]
    scale_mm, length_mm = None, None
    if branch.spacing_mm is not None:
        scale_mm = float(calibre_scale_mm(tangents(branch.points_N2), branch.spacing_mm)[at])
        length_mm = float(travelled_px(points_N2 * np.array(branch.spacing_mm))[-1])
    return Stenosis(
        branch=branch.number,
        vessel=branch.vessel,
        row=row,
        column=column,
        at_px=float(travelled_px(branch.points_N2)[at]),
        length_px=float(travelled_px(points_N2)[-1]),
        minimum_px=narrowing.minimum_px,
        reference_px=narrowing.reference_px,
        percent=narrowing.percent,
        segment=branch.segment,
        minimum_mm=None if scale_mm is None else narrowing.minimum_px * scale_mm,
        reference_mm=None if scale_mm is None else narrowing.reference_px * scale_mm,
        length_mm=length_mm,
    )
