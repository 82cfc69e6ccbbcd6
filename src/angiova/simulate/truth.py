"""What a measurement of a simulated frame should find: calibres, bifurcations and narrowings as they are projected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from angiova.data.rle import BoolMask
from angiova.simulate.cine import VISIBLE_DARKENING
from angiova.simulate.heart import Floats
from angiova.simulate.scene import Scene
from angiova.simulate.tubes import tube_path_mm

Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

NEAR_PX: Final = 2.0
THINNEST_PX: Final = 1.5
# A daughter is seen to leave when it gets this far beyond its parent's wall, plus so many of the parent's radii.
SEEN_PX: Final = 6.0
SEEN_RADII: Final = 0.6
# A narrowing is clear when so many samples to each side of its narrowest are alone, and this share of all.
AROUND: Final = 3
CLEAR_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class TrueFork:
    """A place where an artery leaves another.

    Attributes:
        path_N2: (row, column) of the daughter's centreline from its origin to where its wall is clear of its parent's.
        radius_px: radius of the parent there.
        is_clear: whether the daughter is seen to leave; not so where it is too short or too thin, leaves the image,
            lies over its parent, or a third artery lies over the place.
    """

    path_N2: Points
    radius_px: float
    is_clear: bool


@dataclass(frozen=True, slots=True)
class TrueStenosis:
    """A narrowing where it is projected.

    Attributes:
        segment: SYNTAX segment.
        percent: percent diameter stenosis.
        row: place of the narrowest sample.
        column: its column.
        reference_px: calibre that the narrowest sample would have without the narrowing.
        is_clear: whether the narrowest place and most of the rest is seen, with no other artery over or beside it.
    """

    segment: str
    percent: float
    row: float
    column: float
    reference_px: float
    is_clear: bool


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """One simulated frame; samples (N,) as in the tree.

    Attributes:
        mask_HW: the vessels.
        points_N2: (row, column) of the centrelines.
        calibre_N_px: calibre of the mask; 0 where nothing is seen.
        is_alone_N: whether the sample is seen in the image, with no other artery over or beside it.
        forks: the bifurcations.
        stenoses: the narrowings.
    """

    mask_HW: BoolMask
    points_N2: Points
    calibre_N_px: Points
    is_alone_N: BoolMask
    forks: tuple[TrueFork, ...]
    stenoses: tuple[TrueStenosis, ...]


def label_truth(scene: Scene, time_s: float) -> FrameTruth:
    """Return the truth about the label of the frame at `time_s` seconds from the start of a run.

    Where contrast takes too little of the beam away the label ends before the lumen does, so that its calibre is less.
    """
    shown = scene.opacified(time_s)
    least_mm = _least_mm(scene)
    mask_HW = shown.path_mm(np.ones(len(shown.rows_N), dtype=bool)) >= least_mm
    points_N2 = np.stack([shown.rows_N, shown.columns_N], axis=1).astype(np.float64)
    seen_N_px = _seen_px(scene, points_N2, shown.radius_N_px.astype(np.float64), shown.contrast_N_mm)
    return _truth(scene, np.asarray(mask_HW), points_N2, seen_N_px)


def lumen_truth(scene: Scene, time_s: float, thinnest_px: float = 2.0) -> FrameTruth:
    """Return the truth about the lumen, full of contrast or not, of arteries from a calibre on, as it is projected."""
    shown = scene.opacified(time_s)
    calibre_N_px = 2 * shown.radius_N_px.astype(np.float64)
    artery_N = scene.tree.artery_N
    # By artery: a narrowing must not cut one.
    usual = {artery: np.median(calibre_N_px[artery_N == artery]) for artery in np.unique(artery_N)}
    is_kept_N = np.array([usual[artery] for artery in artery_N]) >= thinnest_px
    # `tube_path_mm` softens edges over a pixel, half of it outside the radius.
    inner_N = shown.radius_N_px - np.float32(0.5)
    shape = (shown.size_px, shown.size_px)
    path_HW = tube_path_mm(shown.rows_N, shown.columns_N, inner_N, is_kept_N.astype(np.float32), shape)
    points_N2 = np.stack([shown.rows_N, shown.columns_N], axis=1).astype(np.float64)
    return _truth(scene, np.asarray(path_HW > 0), points_N2, np.where(is_kept_N, calibre_N_px, 0))


def _truth(scene: Scene, mask_HW: BoolMask, points_N2: Points, calibre_N_px: Points) -> FrameTruth:
    along_N_px = np.cumsum(scene.tree.step_N_mm, dtype=np.float64) / scene.c_arm.spacing_mm
    is_alone_N = _alone(points_N2, calibre_N_px / 2, scene.tree.artery_N, along_N_px, len(mask_HW))
    return FrameTruth(
        mask_HW=mask_HW,
        points_N2=points_N2,
        calibre_N_px=calibre_N_px,
        is_alone_N=is_alone_N,
        forks=tuple(_forks(scene, points_N2, calibre_N_px / 2)),
        stenoses=tuple(_stenoses(scene, points_N2, calibre_N_px, is_alone_N)),
    )


def _least_mm(scene: Scene) -> float:
    return float(-np.log(1 - VISIBLE_DARKENING) / scene.contrast_mm)


def _seen_px(scene: Scene, points_N2: Points, radius_N: Points, contrast_N_mm: Floats) -> Points:
    """Return the calibre (N,) of the label: twice the distance at which the path through contrast is just enough.

    A sample's discs add up to a path of 2 sqrt(r^2 - d^2) pixels at distance d, times its contrast over its step; see
    `angiova.simulate.tubes`.
    """
    step_N_px = np.empty(len(points_N2))
    for artery in np.unique(scene.tree.artery_N):
        own = np.flatnonzero(scene.tree.artery_N == artery)
        step_N_px[own] = np.linalg.norm(np.gradient(points_N2[own], axis=0), axis=1)
    half_chord_N = _least_mm(scene) * step_N_px / (2 * np.maximum(contrast_N_mm, 1e-9))
    return np.asarray(2 * np.sqrt(np.maximum(radius_N**2 - half_chord_N**2, 0)))


def _alone(
    points_N2: Points, radius_N: Points, artery_N: npt.NDArray[np.int16], along_N_px: Points, size_px: int
) -> BoolMask:
    """Return which samples lie in the image with nothing else near: no other artery, and no other part of their own.

    Args:
        points_N2: all samples.
        radius_N: their radii; 0 where nothing is seen.
        artery_N: their arteries.
        along_N_px: how far along in space they lie; an artery that runs along the beam hides itself.
        size_px: height and width of the image.
    """
    is_alone_N = _inside(points_N2, radius_N, size_px) & (radius_N > 0)
    seen = np.flatnonzero(radius_N > 0)
    reach_px = 2 * float(radius_N.max()) + NEAR_PX
    one_P, other_P = seen[KDTree(points_N2[seen]).query_pairs(reach_px, output_type="ndarray")].T
    gap_P = np.linalg.norm(points_N2[one_P] - points_N2[other_P], axis=1) - radius_N[one_P] - radius_N[other_P]
    is_bend_P = (
        np.abs(along_N_px[one_P] - along_N_px[other_P]) > 2 * (radius_N[one_P] + radius_N[other_P]) + 2 * NEAR_PX
    )
    met_P = (gap_P < NEAR_PX) & ((artery_N[one_P] != artery_N[other_P]) | is_bend_P)
    is_alone_N[one_P[met_P]] = False
    is_alone_N[other_P[met_P]] = False
    return is_alone_N


def _inside(points_N2: Points, radius_N: Points, size_px: int) -> BoolMask:
    margin_N1 = (radius_N + NEAR_PX)[:, None]
    return np.asarray(((points_N2 > margin_N1) & (points_N2 < size_px - 1 - margin_N1)).all(axis=1))


def _forks(scene: Scene, points_N2: Points, radius_N: Points) -> list[TrueFork]:
    """Return the bifurcations: of several arteries that leave at their parent's end, the first one carries it on."""
    artery_N = scene.tree.artery_N
    trunks: dict[int, list[int]] = {}
    forks = []
    for artery in range(1, int(artery_N[-1]) + 1):
        own = np.flatnonzero(artery_N == artery)
        origin = int(np.argmin(np.linalg.norm(scene.tree.points_N3[: own[0]] - scene.tree.points_N3[own[0]], axis=1)))
        parent = int(artery_N[origin])
        is_at_end = origin + 1 == len(artery_N) or artery_N[origin + 1] != parent
        trunk = trunks.setdefault(parent if is_at_end else -artery, [parent])
        if not is_at_end or len(trunk) > 1:
            forks.append(_fork(own, np.flatnonzero(np.isin(artery_N, trunk)), points_N2, radius_N, scene))
        if is_at_end:
            trunk.append(artery)
    return forks


def _fork(own: Indices, trunk: Indices, points_N2: Points, radius_N: Points, scene: Scene) -> TrueFork:
    """Return one bifurcation.

    Args:
        own: the daughter's samples.
        trunk: the samples of what it leaves.
        points_N2: all samples.
        radius_N: their radii.
        scene: the run.
    """
    distance_K, nearest_K = KDTree(points_N2[trunk]).query(points_N2[own])
    gap_K = distance_K - radius_N[trunk][nearest_K]
    radius_px = float(radius_N[trunk][nearest_K[0]])
    leaves = _first(gap_K > radius_N[own])
    seen = _first(gap_K > SEEN_PX + SEEN_RADII * radius_px)
    way = own[:seen]
    others = np.setdiff1d(np.flatnonzero(radius_N > 0), np.concatenate([own, trunk]))
    is_clear = (
        seen < len(own)
        and bool(_inside(points_N2[way], radius_N[way] + SEEN_PX, scene.c_arm.size_px).all())
        and float(2 * radius_N[way].min()) >= THINNEST_PX
        and _is_apart(points_N2[way], radius_N[way], points_N2[others], radius_N[others])
    )
    return TrueFork(points_N2[own[: leaves + 1]], radius_px, is_clear)


def _first(is_so_K: BoolMask) -> int:
    """Return the first index where something is so, or how many there are where it never is."""
    return int(np.argmax(is_so_K)) if is_so_K.any() else len(is_so_K)


def _is_apart(points_K2: Points, radius_K: Points, others_M2: Points, radius_M: Points) -> bool:
    """Return whether discs keep NEAR_PX from all others."""
    if not len(others_M2):
        return True
    gap_KM = np.linalg.norm(points_K2[:, None] - others_M2[None], axis=2) - radius_K[:, None] - radius_M[None]
    return bool(gap_KM.min() > NEAR_PX)


def _stenoses(scene: Scene, points_N2: Points, calibre_N_px: Points, is_alone_N: BoolMask) -> list[TrueStenosis]:
    """Return the narrowings; the reference lies on the line between the calibres at both ends of a narrowing."""
    tree = scene.tree
    found = []
    for stenosis in tree.stenoses:
        samples = np.flatnonzero(tree.stenosis_N & (tree.segment_N == tree.segments.index(stenosis.segment)))
        narrowest = int(np.argmin(tree.radius_N_mm[samples]))
        calibre_K = calibre_N_px[samples]
        reference_px = float(np.interp(narrowest, [0, len(samples) - 1], calibre_K[[0, -1]]))
        percent = 100 * (1 - float(calibre_K[narrowest]) / max(reference_px, 1e-9))
        row, column = points_N2[samples[narrowest]].tolist()
        is_alone_K = is_alone_N[samples]
        near_K = is_alone_K[max(narrowest - AROUND, 0) : narrowest + AROUND + 1]
        is_clear = bool(near_K.all()) and float(is_alone_K.mean()) >= CLEAR_SHARE
        found.append(TrueStenosis(stenosis.segment, percent, row, column, reference_px, is_clear))
    return found
