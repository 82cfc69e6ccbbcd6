"""What is measured of one mask, as plain data: branches, bifurcations, narrowings.

Lengths and calibres are in pixels, and in millimetres where the spacing of the pixels is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from angiova.data.rle import BoolMask
from angiova.morphology.centreline import tangents, travelled_px
from angiova.morphology.graph import Floats

Spacing = tuple[float, float]


class NodeKind(StrEnum):
    """What happens at a node: a vessel ends, parts, is crossed by another, or closes a ring."""

    END = "end"
    BIFURCATION = "bifurcation"
    CROSSING = "crossing"
    RING = "ring"


@dataclass(frozen=True, slots=True)
class Node:
    """An end of branches.

    Attributes:
        number: from 1.
        kind: what happens there.
        row: place down the image, in pixels; pixel centres have whole coordinates.
        column: place across the image.
        radius_px: radius of the disc inscribed there.
    """

    number: int
    kind: NodeKind
    row: float
    column: float
    radius_px: float


@dataclass(frozen=True, slots=True)
class Branch:
    """A stretch of vessel between two nodes, from upstream to downstream as far as a mask can tell.

    Attributes:
        number: from 1.
        start: number of the node upstream.
        end: number of the node downstream.
        vessel: number of the vessel that it is a part of, from 1.
        points_N2: the centreline as (row, column), about a pixel apart.
        calibre_N_px: calibre at each point.
        is_measured_N: where the calibre is the branch's own; not within a bifurcation, a crossing or a vessel's tip.
        spacing_mm: (row, column) distance of pixel centres, where known.
        segment: SYNTAX number, where named segments were given and one of them holds most of the branch.
    """

    number: int
    start: int
    end: int
    vessel: int
    points_N2: Floats
    calibre_N_px: Floats
    is_measured_N: BoolMask
    spacing_mm: Spacing | None = None
    segment: str | None = None

    @property
    def length_px(self) -> float:
        """Length of the centreline."""
        return float(travelled_px(self.points_N2)[-1])

    @property
    def length_mm(self) -> float | None:
        """Length of the centreline as projected; None without a spacing."""
        if self.spacing_mm is None:
            return None
        return float(travelled_px(self.points_N2 * np.array(self.spacing_mm))[-1])

    @property
    def tortuosity(self) -> float | None:
        """Length over the distance of its ends, from 1 on; None for a closed branch."""
        chord_px = float(np.linalg.norm(self.points_N2[-1] - self.points_N2[0]))
        return max(self.length_px / chord_px, 1.0) if chord_px > 0.5 else None

    @property
    def own_calibres_px(self) -> Floats:
        """The calibres that are the branch's own; all, where none is."""
        return self.calibre_N_px[self.is_measured_N] if self.is_measured_N.any() else self.calibre_N_px

    @property
    def mean_calibre_px(self) -> float:
        """Mean of the branch's own calibres."""
        return float(self.own_calibres_px.mean())

    @property
    def narrowest(self) -> int:
        """Index of the point with the least calibre of its own."""
        own_N = np.where(self.is_measured_N, self.calibre_N_px, np.inf) if self.is_measured_N.any() else None
        return int(np.argmin(self.calibre_N_px if own_N is None else own_N))

    @property
    def calibre_N_mm(self) -> Floats | None:
        """Calibre at each point across the vessel in millimetres; None without a spacing."""
        if self.spacing_mm is None:
            return None
        is_closed = bool(np.allclose(self.points_N2[0], self.points_N2[-1]))
        return self.calibre_N_px * calibre_scale_mm(tangents(self.points_N2, is_closed), self.spacing_mm)


@dataclass(frozen=True, slots=True)
class Bifurcation:
    """A place where a branch parts.

    Attributes:
        node: its number.
        parent: number of the branch upstream.
        daughters: numbers of the branches downstream, the one that carries the vessel on first.
        bends_deg: for each daughter, how far it bends from its parent's direction; 0 is straight on.
        opening_deg: angle between the two first daughters.
    """

    node: int
    parent: int
    daughters: tuple[int, ...]
    bends_deg: tuple[float, ...]
    opening_deg: float


@dataclass(frozen=True, slots=True)
class Stenosis:
    """A narrowing; see `angiova.morphology.stenosis` for how it is measured.

    Attributes:
        branch: number of the branch with the narrowest place.
        vessel: number of the vessel.
        row: the narrowest place, down the image, in pixels.
        column: the narrowest place, across the image.
        at_px: how far along the branch it lies.
        length_px: length of the narrowed stretch.
        minimum_px: minimum lumen.
        reference_px: reference calibre there.
        percent: percent diameter stenosis.
        segment: SYNTAX number of the branch, where known.
        minimum_mm: minimum lumen, where the spacing is known.
        reference_mm: reference calibre, where the spacing is known.
        length_mm: length, where the spacing is known.
    """

    branch: int
    vessel: int
    row: float
    column: float
    at_px: float
    length_px: float
    minimum_px: float
    reference_px: float
    percent: float
    segment: str | None = None
    minimum_mm: float | None = None
    reference_mm: float | None = None
    length_mm: float | None = None


@dataclass(frozen=True, slots=True)
class VesselMeasures:
    """Everything measured of one mask.

    Attributes:
        shape: height and width of the mask.
        spacing_mm: (row, column) distance of pixel centres, where known.
        nodes: in order of their numbers.
        branches: in order of their numbers, the widest vessel first.
        bifurcations: from upstream to downstream.
        stenoses: the most severe first.
        num_pieces: connected pieces of vessel.
        num_loops: closed ways along the centreline that are no crossings.
    """

    shape: tuple[int, int]
    spacing_mm: Spacing | None
    nodes: tuple[Node, ...]
    branches: tuple[Branch, ...]
    bifurcations: tuple[Bifurcation, ...]
    stenoses: tuple[Stenosis, ...]
    num_pieces: int
    num_loops: int

    @property
    def length_px(self) -> float:
        """Length of all branches."""
        return sum(branch.length_px for branch in self.branches)

    @property
    def length_mm(self) -> float | None:
        """Length of all branches as projected; None without a spacing."""
        lengths = [branch.length_mm for branch in self.branches]
        return None if self.spacing_mm is None else sum(length for length in lengths if length is not None)

    @property
    def mean_calibre_px(self) -> float | None:
        """Mean over all places with a calibre of their own; None without branches."""
        calibres = [branch.own_calibres_px for branch in self.branches]
        return float(np.concatenate(calibres).mean()) if calibres else None

    def nodes_of(self, kind: NodeKind) -> Sequence[Node]:
        """Return the nodes of a kind."""
        return [node for node in self.nodes if node.kind is kind]

    def branch(self, number: int) -> Branch:
        """Return the branch of a number."""
        return self.branches[number - 1]


def calibre_scale_mm(tangents_N2: Floats, spacing_mm: Spacing) -> Floats:
    """Return millimetres a pixel across a vessel, (N,).

    A stretch of vessel keeps its area, so that its calibre grows by the factor of an area over that of its length:
    with square pixels just the spacing, else depending on which way the vessel runs.
    """
    along_N = np.linalg.norm(tangents_N2 * np.array(spacing_mm), axis=1)
    return np.asarray(spacing_mm[0] * spacing_mm[1] / np.maximum(along_N, 1e-9))
