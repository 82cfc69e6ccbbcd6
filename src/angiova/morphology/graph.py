"""The centreline as a graph: nodes where vessels end or meet, edges along the skeleton between them.

Skeleton pixels are neighbours when they share a side, or a corner with no skeleton pixel beside both of them; without
that rule every bend of a staircase would be a branching point. Pixels with three or more neighbours that touch each
other are one node.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

from angiova.data.rle import BoolMask
from angiova.errors import DataError

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.intp]

# A coronary tree has some hundred; noise of 512 x 512 has ten thousand and would take minutes.
MAX_EDGES = 8000

_EIGHT = np.ones((3, 3), dtype=bool)
_SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))
_CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True, slots=True)
class Arm:
    """One end of an edge, as a node sees it."""

    edge: int
    at_start: bool


@dataclass(slots=True)
class Edge:
    """A stretch of centreline; `points_N2` (row, column) leads from node `start` to node `end`, both included."""

    start: int
    end: int
    points_N2: Floats

    @property
    def length_px(self) -> float:
        """Length of the pixel path."""
        return float(np.linalg.norm(np.diff(self.points_N2, axis=0), axis=1).sum())

    def from_arm(self, arm: Arm) -> Floats:
        """Return the points (N, 2) that lead away from the node at that end."""
        return self.points_N2 if arm.at_start else self.points_N2[::-1]


@dataclass(slots=True)
class CentrelineGraph:
    """Nodes by number, as (row, column), and edges by number; numbers are not reused."""

    nodes: dict[int, Floats] = field(default_factory=dict)
    edges: dict[int, Edge] = field(default_factory=dict)
    _arms: dict[int, list[Arm]] = field(default_factory=dict)
    _next: int = 0

    def add_node(self, point_2: Floats) -> int:
        """Add a node and return its number."""
        number = self._number()
        self.nodes[number], self._arms[number] = point_2, []
        return number

    def add_edge(self, start: int, end: int, points_N2: Floats) -> int:
        """Add an edge between two nodes, or from a node to itself, and return its number."""
        number = self._number()
        self.edges[number] = Edge(start, end, points_N2)
        self._arms[start].append(Arm(number, True))
        self._arms[end].append(Arm(number, False))
        return number

    def remove_edge(self, number: int) -> Edge:
        """Remove an edge; a node that is left without any goes too."""
        edge = self.edges.pop(number)
        for node in {edge.start, edge.end}:
            self._arms[node] = [arm for arm in self._arms[node] if arm.edge != number]
            if not self._arms[node]:
                del self.nodes[node], self._arms[node]
        return edge

    def arms(self, node: int) -> list[Arm]:
        """Return the ends of edges at a node; an edge from the node to itself has two."""
        return self._arms[node]

    def degree(self, node: int) -> int:
        """Return how many ends of edges meet at a node."""
        return len(self._arms[node])

    def node_at(self, arm: Arm) -> int:
        """Return the node that an end of an edge lies at."""
        edge = self.edges[arm.edge]
        return edge.start if arm.at_start else edge.end

    def join_through(self, node: int) -> None:
        """Make the two edges that meet at a node one edge; the node goes. A ring keeps its only node."""
        first, second = self._arms[node]
        if first.edge == second.edge:
            return
        before_N2 = self.edges[first.edge].from_arm(first)[::-1]
        after_N2 = self.edges[second.edge].from_arm(second)
        start, end = self.node_at(other_end(first)), self.node_at(other_end(second))
        new = self.add_edge(start, end, np.concatenate([before_N2[:-1], after_N2[1:]]))
        self.remove_edge(first.edge)
        self.remove_edge(second.edge)
        if len(self.edges[new].points_N2) < 2:
            self.edges[new].points_N2 = np.stack([self.nodes[start], self.nodes[end]])

    def lead_on(self, arm: Arm, points_N2: Floats, node: int) -> None:
        """Lead an edge on from one of its ends along `points_N2` to `node`; the edge keeps its number."""
        edge = self.edges[arm.edge]
        path_N2 = np.concatenate([points_N2[::-1], edge.from_arm(arm)[1:]])
        left = self.node_at(arm)
        self._arms[left].remove(arm)
        self._arms[node].append(arm)
        if arm.at_start:
            edge.start, edge.points_N2 = node, path_N2
        else:
            edge.end, edge.points_N2 = node, path_N2[::-1]

    def join_all(self) -> None:
        """Join edges wherever just two meet."""
        for node in [node for node in self.nodes if self.degree(node) == 2]:
            self.join_through(node)

    def _number(self) -> int:
        self._next += 1
        return self._next


def other_end(arm: Arm) -> Arm:
    """Return the other end of the same edge."""
    return Arm(arm.edge, not arm.at_start)


def trace(skeleton_HW: BoolMask) -> CentrelineGraph:
    """Return the graph of a skeleton (H, W) that is one pixel wide.

    A ring that nothing leaves gets one node somewhere on it; a single pixel is a node without edges.

    Raises:
        DataError: there are more than MAX_EDGES branches.
    """
    pixels_N2 = np.argwhere(skeleton_HW)
    neighbours = _neighbours(skeleton_HW, pixels_N2)
    node_of, graph = _nodes(skeleton_HW, pixels_N2, neighbours)
    is_traced = np.zeros(len(pixels_N2), dtype=bool)
    known: set[tuple[int, int]] = set()
    for pixel in node_of:
        for first in neighbours[pixel]:
            if (pixel, first) not in known and node_of.get(first) != node_of[pixel]:
                path = _follow(pixel, first, neighbours, node_of)
                known.add((path[-1], path[-2]))
                is_traced[path] = True
                _add_path(graph, path, pixels_N2, node_of)
    for pixel in range(len(pixels_N2)):
        if not is_traced[pixel] and pixel not in node_of:
            ring = _follow(pixel, neighbours[pixel][0], neighbours, {pixel: 0})
            is_traced[ring] = True
            node = graph.add_node(pixels_N2[pixel].astype(np.float64))
            graph.add_edge(node, node, pixels_N2[ring].astype(np.float64))
    if len(graph.edges) > MAX_EDGES:
        problem = f"{len(graph.edges)} branches, the limit is {MAX_EDGES}"
        raise DataError(problem, remedy="give a mask of vessels; this one looks like noise")
    graph.join_all()
    return graph


def _neighbours(skeleton_HW: BoolMask, pixels_N2: Pixels) -> list[list[int]]:
    """Return for each pixel the indices of its neighbours, by the rule at the top of this module."""
    padded_HW = np.pad(skeleton_HW, 1)
    index_HW = np.full(padded_HW.shape, -1, dtype=np.intp)
    rows, columns = pixels_N2.T + 1
    index_HW[rows, columns] = np.arange(len(pixels_N2))
    found = [index_HW[rows + down, columns + right] for down, right in _SIDES]
    for down, right in _CORNERS:
        is_beside = padded_HW[rows + down, columns] | padded_HW[rows, columns + right]
        found.append(np.where(is_beside, -1, index_HW[rows + down, columns + right]))
    return [[index for index in row if index >= 0] for row in np.stack(found, axis=1).tolist()]


def _nodes(
    skeleton_HW: BoolMask, pixels_N2: Pixels, neighbours: list[list[int]]
) -> tuple[dict[int, int], CentrelineGraph]:
    """Return the node of each pixel that belongs to one, and a graph of these nodes without edges."""
    degrees_N = np.array([len(near) for near in neighbours])
    meeting_HW = np.zeros_like(skeleton_HW)
    meeting_HW[tuple(pixels_N2[degrees_N > 2].T)] = True
    cluster_HW, _ = label(meeting_HW, structure=_EIGHT)
    graph, node_of, node_of_cluster = CentrelineGraph(), {}, {}
    members: dict[int, list[int]] = {}
    for pixel in np.flatnonzero(degrees_N > 2).tolist():
        members.setdefault(int(cluster_HW[tuple(pixels_N2[pixel])]), []).append(pixel)
    for cluster, inside in members.items():
        node_of_cluster[cluster] = graph.add_node(pixels_N2[inside].mean(axis=0))
        node_of.update(dict.fromkeys(inside, node_of_cluster[cluster]))
    for pixel in np.flatnonzero(degrees_N < 2).tolist():
        node_of[pixel] = graph.add_node(pixels_N2[pixel].astype(np.float64))
    return node_of, graph


def _follow(pixel: int, first: int, neighbours: list[list[int]], node_of: dict[int, int]) -> list[int]:
    """Return the pixels from a node's pixel to the next node's, both included."""
    path = [pixel, first]
    while path[-1] not in node_of:
        one, two = neighbours[path[-1]]
        path.append(two if one == path[-2] else one)
    return path


def _add_path(graph: CentrelineGraph, path: list[int], pixels_N2: Pixels, node_of: dict[int, int]) -> None:
    start, end = node_of[path[0]], node_of[path[-1]]
    inner_N2 = pixels_N2[path[1:-1]].astype(np.float64)
    graph.add_edge(start, end, np.concatenate([[graph.nodes[start]], inner_N2, [graph.nodes[end]]]))
