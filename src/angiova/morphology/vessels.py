"""From branches to vessels: at each bifurcation the wider and straighter daughter carries its parent's vessel on.

The blood comes from the root: of the branches with a free end, that with the widest place in each connected piece.
From there every branch gets its direction. A branch that is reached twice, because vessels close a loop, keeps the
direction in which it was reached first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from angiova.morphology.crossings import Pairs, angle_deg
from angiova.morphology.graph import Arm, CentrelineGraph, Floats, other_end

# A daughter that bends by this much and one of this many times its calibre are equally likely to carry the vessel on.
EQUAL_BEND_DEG: Final = 60.0
EQUAL_RATIO: Final = 2.0


@dataclass(frozen=True, slots=True)
class Fork:
    """A bifurcation, or a place with more daughters.

    Attributes:
        node: the node.
        parent: the end of the edge that blood comes by.
        daughters: the other ends, the one that carries the vessel on first.
    """

    node: int
    parent: Arm
    daughters: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """Where blood goes.

    Attributes:
        entries: for each edge, the end by which blood comes in.
        forks: the bifurcations.
        vessels: edges that carry each other on, from upstream to downstream, each named by its entry.
    """

    entries: Mapping[int, Arm]
    forks: Sequence[Fork]
    vessels: Sequence[Sequence[Arm]]


def follow_flow(
    graph: CentrelineGraph,
    crossings: Mapping[int, Pairs],
    calibre_px: Mapping[int, float],
    widest_px: Mapping[int, float],
    directions: Mapping[Arm, Floats],
) -> Flow:
    """Return where blood goes.

    Args:
        graph: the graph.
        crossings: which ends of edges belong together where vessels cross.
        calibre_px: typical calibre of each edge.
        widest_px: largest calibre of each edge.
        directions: unit vector of each end, away from its node.
    """
    entries: dict[int, Arm] = {}
    forks: list[Fork] = []
    following: dict[int, Arm] = {}
    for root in _roots(graph, widest_px):
        if root.edge in entries:
            continue
        entries[root.edge] = root
        queue = deque([root])
        while queue:
            came = other_end(queue.popleft())
            node = graph.node_at(came)
            onwards = [a for a in _passable(graph, crossings, node, came) if a.edge not in entries]
            onwards.sort(key=lambda arm: _cost(came, arm, calibre_px, directions))
            if onwards:
                following[came.edge] = onwards[0]
            if onwards and node not in crossings and len(onwards) > 1:
                forks.append(Fork(node, came, tuple(onwards)))
            for arm in onwards:
                if arm.edge not in entries:
                    entries[arm.edge] = arm
                    queue.append(arm)
    return Flow(entries, forks, _chains(entries, following))


def _roots(graph: CentrelineGraph, widest_px: Mapping[int, float]) -> list[Arm]:
    """Return the ends from which to start: free ends, the widest first, then any end for rings."""
    everything = [Arm(edge, at_start) for edge in graph.edges for at_start in (True, False)]
    free = [arm for arm in everything if graph.degree(graph.node_at(arm)) == 1]
    free.sort(key=lambda arm: -widest_px[arm.edge])
    return free + everything


def _passable(graph: CentrelineGraph, crossings: Mapping[int, Pairs], node: int, came: Arm) -> list[Arm]:
    if node in crossings:
        return [b if a == came else a for a, b in crossings[node] if came in (a, b)]
    return [arm for arm in graph.arms(node) if arm != came]


def _cost(came: Arm, arm: Arm, calibre_px: Mapping[int, float], directions: Mapping[Arm, Floats]) -> float:
    """Return how little an end looks like the continuation of the edge that blood came by."""
    bend = (180 - angle_deg(directions[came], directions[arm])) / EQUAL_BEND_DEG
    return bend - calibre_px[arm.edge] / max(calibre_px[came.edge], 1e-6) * EQUAL_RATIO


def _chains(entries: Mapping[int, Arm], following: Mapping[int, Arm]) -> list[list[Arm]]:
    """Return the edges that follow each other, each chain from its first edge on."""
    carried_on = {arm.edge for arm in following.values()}
    chains = []
    for edge, entry in entries.items():
        if edge not in carried_on:
            chain = [entry]
            while chain[-1].edge in following:
                chain.append(following[chain[-1].edge])
            chains.append(chain)
    return chains
