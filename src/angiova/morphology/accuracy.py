"""How far measures are from the truth, place by place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.spatial import KDTree

from angiova.data.rle import BoolMask
from angiova.morphology.graph import Floats
from angiova.morphology.measures import NodeKind, VesselMeasures

TOLERANCE_PX: Final = 5.0


@dataclass(frozen=True, slots=True)
class FoundCounts:
    """What was found of what there is.

    Attributes:
        num_found: truths that were found.
        num_missed: truths that were not.
        num_false: finds without a truth.
    """

    num_found: int
    num_missed: int
    num_false: int

    def __add__(self, other: FoundCounts) -> FoundCounts:
        return FoundCounts(
            self.num_found + other.num_found, self.num_missed + other.num_missed, self.num_false + other.num_false
        )

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall.

        Raises:
            ZeroDivisionError: there is nothing, and nothing was found.
        """
        return 2 * self.num_found / (2 * self.num_found + self.num_missed + self.num_false)


def match_bifurcations(
    measures: VesselMeasures, paths: Sequence[Floats], radii_px: Sequence[float], counts: Sequence[bool]
) -> FoundCounts:
    """Return which bifurcations were found, each find used once, the nearest first.

    Args:
        measures: what was measured.
        paths: for each true bifurcation the daughter's way (N, 2) out of the parent; a find lies near any of it.
        radii_px: the parent's radius at each; a find is as near as the larger of it and TOLERANCE_PX.
        counts: whether each has to be found; one that is hidden counts when it is found, and not when it is missed.
    """
    found_M2 = np.array([(n.row, n.column) for n in measures.nodes_of(NodeKind.BIFURCATION)]).reshape(-1, 2)
    pairs = []
    for truth, (path_N2, radius_px) in enumerate(zip(paths, radii_px, strict=True)):
        for find, point_2 in enumerate(found_M2):
            gap_px = float(np.linalg.norm(path_N2 - point_2, axis=1).min())
            if gap_px <= max(TOLERANCE_PX, radius_px):
                pairs.append((not counts[truth], gap_px, truth, find))
    used: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, truth, find in sorted(pairs):
        if truth not in used and find not in taken:
            used[truth] = find
            taken.add(find)
    num_missed = sum(must and truth not in used for truth, must in enumerate(counts))
    return FoundCounts(len(used), num_missed, len(found_M2) - len(taken))


def calibre_errors_px(measures: VesselMeasures, points_N2: Floats, calibre_N_px: Floats) -> Floats:
    """Return measured less true calibre at each true place (M,) that a measured one lies within half a calibre of.

    Args:
        measures: what was measured.
        points_N2: true places (row, column) that have a calibre of their own.
        calibre_N_px: true calibres there.
    """
    own = [(b.points_N2[b.is_measured_N], b.calibre_N_px[b.is_measured_N]) for b in measures.branches]
    places_M2 = np.concatenate([points for points, _ in own]) if own else np.empty((0, 2))
    if not len(places_M2) or not len(points_N2):
        return np.empty(0)
    calibre_M = np.concatenate([calibres for _, calibres in own])
    distance_N, nearest_N = KDTree(places_M2).query(points_N2)
    is_met_N: BoolMask = distance_N <= calibre_N_px / 2
    return np.asarray(calibre_M[nearest_N[is_met_N]] - calibre_N_px[is_met_N])


def percent_at(measures: VesselMeasures, row: float, column: float, within_px: float) -> float:
    """Return the percent diameter stenosis of the narrowing nearest to a place; 0 where none is as near."""
    gaps = [(float(np.hypot(s.row - row, s.column - column)), s.percent) for s in measures.stenoses]
    gap_px, percent = min(gaps, default=(np.inf, 0.0))
    return percent if gap_px <= within_px else 0.0
