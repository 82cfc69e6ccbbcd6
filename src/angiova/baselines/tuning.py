"""Choosing a Frangi filter's parameters by mean Dice on training frames: a grid in two stages, no randomness.

First the filter, with the threshold that suits each candidate best: one histogram gives the Dice of all thresholds.
Then, for the best few filters, threshold, border and smallest piece together, which shift one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from angiova.baselines import frangi
from angiova.baselines.field_of_view import field_of_view
from angiova.baselines.frangi import FloatImage, FrangiParameters
from angiova.data.pixels import GreyImage
from angiova.data.progress import with_progress
from angiova.data.rle import BoolMask

Scores = npt.NDArray[np.float64]

VESSELNESS_STEPS: Final = 2**12


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """A training frame: 8-bit grey image and mask, both (H, W)."""

    image_HW: GreyImage
    target_HW: BoolMask


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What is tried; lengths in pixels.

    The defaults suit frames of about 512 x 512, on which coronary arteries are 2 to 20 pixels wide.

    Attributes:
        windows_px: see `FrangiParameters.window_px`.
        scales_px: sets of scales.
        betas: see `FrangiParameters.beta`.
        gammas: see `FrangiParameters.gamma`; one is enough, as the threshold does nearly the same.
        thresholds: see `FrangiParameters.threshold`.
        borders_px: see `FrangiParameters.border_px`.
        min_components_px: see `FrangiParameters.min_component_px`.
        num_finalists: filters that reach the second stage.
    """

    windows_px: tuple[float, ...] = (16.0, 32.0, 64.0)
    scales_px: tuple[tuple[float, ...], ...] = (
        (1.5, 2.0, 3.0),
        (2.0, 3.0, 4.0),
        (2.0, 3.0, 4.0, 6.0),
        (3.0, 4.0, 6.0),
        (3.0, 4.0, 6.0, 8.0),
        (4.0, 6.0, 8.0),
        (3.0, 4.0, 6.0, 8.0, 11.0),
    )
    betas: tuple[float, ...] = (0.3, 0.5, 1.0, 2.0)
    gammas: tuple[float, ...] = (1.0,)
    thresholds: tuple[float, ...] = tuple(np.geomspace(0.005, 0.9, 32).tolist())
    borders_px: tuple[int, ...] = (0, 6)
    min_components_px: tuple[int, ...] = (0, 50, 100, 200, 400, 800, 1600, 3200)
    num_finalists: int = 3


@dataclass(frozen=True, slots=True)
class Filter:
    """The part of the parameters that makes vesselness; see `FrangiParameters`."""

    window_px: float
    sigmas_px: tuple[float, ...]
    beta: float
    gamma: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the search found.

    Attributes:
        parameters: the best.
        dice: their mean Dice over the frames they were chosen on; flattering, as it is no held-out figure.
        num_tried: combinations of parameters whose mean Dice was measured.
    """

    parameters: FrangiParameters
    dice: float
    num_tried: int


def tune(frames: Sequence[LabelledImage], space: SearchSpace | None = None) -> Tuned:
    """Return the parameters of the highest mean Dice; of equals, the first in the order of the grid.

    Frames without foreground count as in evaluation: 0 when anything is found, left out when nothing is.

    Raises:
        ValueError: there is no frame.
    """
    if not frames:
        raise ValueError("no frame to choose parameters on")
    space = space or SearchSpace()
    filters = [Filter(*values) for values in product(space.windows_px, space.scales_px, space.betas, space.gammas)]
    first = mean_scores(_with_bar((_score_filters(frame, filters, space) for frame in frames), "filters", len(frames)))
    # A stable sort keeps the order of the grid among equals.
    order = np.argsort(-first.max(axis=1), kind="stable")[: space.num_finalists]
    finalists = [filters[index] for index in order]
    choices = list(product(finalists, space.borders_px, space.thresholds, space.min_components_px))
    second = mean_scores(_with_bar((_score_cuts(f, finalists, space) for f in frames), "thresholds", len(frames)))
    best = int(second.argmax())
    chosen, border_px, threshold, min_component_px = choices[best]
    parameters = FrangiParameters(
        window_px=chosen.window_px,
        sigmas_px=chosen.sigmas_px,
        beta=chosen.beta,
        gamma=chosen.gamma,
        border_px=border_px,
        threshold=threshold,
        min_component_px=min_component_px,
    )
    return Tuned(parameters, float(second[best]), first.size + second.size)


def mean_scores(scores: Iterable[Scores]) -> Scores:
    """Return the mean of each entry over frames; NaN marks a frame that doesn't count, and only NaN gives 0."""
    table = np.stack(list(scores))
    counted = (~np.isnan(table)).sum(axis=0)
    return np.asarray(np.nansum(table, axis=0) / np.maximum(counted, 1))


def _score_filters(frame: LabelledImage, filters: Sequence[Filter], space: SearchSpace) -> Scores:
    """Return the Dice of every filter at every threshold, shape (filters, thresholds)."""
    maps = _vesselness_maps(frame.image_HW, filters)
    return np.stack([_dice_at(vesselness_HW, frame.target_HW, space.thresholds) for vesselness_HW in maps])


def _vesselness_maps(image_HW: GreyImage, filters: Sequence[Filter]) -> Iterator[FloatImage]:
    """Yield the vesselness of each filter; filters that differ in their last fields share what they can."""
    view = field_of_view(image_HW)
    curvatures: dict[tuple[float, float], tuple[FloatImage, FloatImage]] = {}
    scales: dict[tuple[float, float, float, float], FloatImage] = {}
    for window_px in dict.fromkeys(each.window_px for each in filters):
        even_HW = frangi.even_out(image_HW, view, window_px)
        for sigma in {sigma for each in filters if each.window_px == window_px for sigma in each.sigmas_px}:
            curvatures[window_px, sigma] = frangi.hessian_eigenvalues(even_HW, sigma)
    for each in filters:
        for sigma in each.sigmas_px:
            key = (each.window_px, sigma, each.beta, each.gamma)
            if key not in scales:
                scales[key] = frangi.vesselness(*curvatures[each.window_px, sigma], each.beta, each.gamma)
        yield frangi.strongest(scales[each.window_px, sigma, each.beta, each.gamma] for sigma in each.sigmas_px)


def _dice_at(vesselness_HW: FloatImage, target_HW: BoolMask, thresholds: Sequence[float]) -> Scores:
    """Return the Dice at each threshold, from histograms of VESSELNESS_STEPS bins."""
    bins_HW = (vesselness_HW * (VESSELNESS_STEPS - 1)).astype(np.int64)
    at = np.ceil(np.array(thresholds) * (VESSELNESS_STEPS - 1)).astype(np.int64)
    found, hit = (_counts_from(values, at) for values in (bins_HW.ravel(), bins_HW[target_HW]))
    return _dice(hit, found, int(target_HW.sum()))


def _counts_from(bins: npt.NDArray[np.int64], at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many values lie in each bin of `at` or above."""
    counts = np.bincount(bins, minlength=VESSELNESS_STEPS)
    return np.asarray(counts[::-1].cumsum()[::-1][at])


def _score_cuts(frame: LabelledImage, finalists: Sequence[Filter], space: SearchSpace) -> Scores:
    """Return the Dice of each finalist, border, threshold and smallest piece, flat in that order."""
    depth_HW, size = field_of_view(frame.image_HW).depth_HW, int(frame.target_HW.sum())
    scores: list[Scores] = []
    for vesselness_HW in _vesselness_maps(frame.image_HW, finalists):
        for border_px, threshold in product(space.borders_px, space.thresholds):
            mask_HW = (vesselness_HW > threshold) & (depth_HW > border_px)
            pieces_HW, areas = frangi.measured_pieces(mask_HW)
            hits = np.bincount(pieces_HW[frame.target_HW], minlength=len(areas))
            areas[0], hits[0] = 0, 0
            kept = areas >= np.array(space.min_components_px)[:, None]
            scores.append(_dice(kept @ hits, kept @ areas, size))
    return np.concatenate(scores)


def _dice(hit: npt.NDArray[np.int64], found: npt.NDArray[np.int64], size: int) -> Scores:
    """Return 2 TP / (found + target); NaN where there is neither."""
    total = (found + size).astype(np.float64)
    dice: Scores = np.divide(2.0 * hit, total, out=np.full(total.shape, np.nan), where=total > 0)
    return dice


def _with_bar(scores: Iterable[Scores], what: str, total: int) -> Iterator[Scores]:
    return with_progress(scores, f"choosing {what}", total)
