"""What a run shows over time: how much vessel is opacified, the phase of the contrast, and the frames worth showing.

Only arrays come in, one frame at a time; no model is needed. The level of a frame is the share of its pixels that look
like a dark ridge (Frangi's measure, after evening out), so that it grows with the length of the tree that is filled.
Catheter, ribs and diaphragm look so too: they are there from the first frame on and fall away with the lowest level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter
from skimage.transform import resize

from angiova.baselines.field_of_view import field_of_view
from angiova.baselines.frangi import FrangiParameters, frangi
from angiova.data.pixels import GreyImage
from angiova.errors import DataError
from angiova.evaluation.phases import Phase

Floats = npt.NDArray[np.float64]

# Levels need no detail: at this side a frame takes some 50 ms. At a gamma of 0.2 noise drowns the vessels (correlation
# with the true area -0.5 to 0.97 over six simulated runs), at 1.0 hardly anything is left; at 0.5 it is 0.92 to 0.99.
SIDE_PX: Final = 256
FILTER: Final = FrangiParameters(
    window_px=16, sigmas_px=(1.5, 2.5), beta=0.5, gamma=0.5, border_px=6, threshold=0.4, min_component_px=0
)
# Single frames may be blurred by the beat; the median over as many neighbours takes no edge in time away.
SMOOTHING_FRAMES: Final = 5
# Shares of the way from the lowest to the highest level: above the first contrast is there, above the second full.
THERE_SHARE: Final = 0.25
FULL_SHARE: Final = 0.75
# A run whose level rises by less than this, in shares of all pixels, or to less than that many times its lowest level,
# shows no contrast coming or going. The lowest and highest levels are these percentiles.
LEAST_RISE: Final = 0.005
LEAST_RATIO: Final = 1.25
LOWEST_PERCENT, HIGHEST_PERCENT = 5, 95


@dataclass(frozen=True, slots=True)
class Opacification:
    """What a run of T frames shows.

    Attributes:
        levels_T: share of the pixels of each frame that look like vessel, 0 to 1.
        smooth_T: the levels without single outliers, from 0 (lowest of the run) to 1 (highest).
        phases: phase of each frame; None each where the run has no clear rise or fall.
        peak: index of the frame with the highest smoothed level.
        is_clear: whether the level changes enough for phases to be told.
    """

    levels_T: Floats
    smooth_T: Floats
    phases: tuple[Phase | None, ...]
    peak: int
    is_clear: bool

    @property
    def onset(self) -> int | None:
        """First frame with contrast; None where that is not clear or the run begins with contrast."""
        there = [i for i, phase in enumerate(self.phases) if phase is not Phase.NONE]
        return there[0] if self.is_clear and there and there[0] > 0 else None


def vessel_level(image_HW: GreyImage) -> float:
    """Return the share of the pixels in the field of view that look like vessel, 0 to 1.

    Args:
        image_HW: 8-bit grey frame, vessels dark.
    """
    height, width = image_HW.shape
    scale = SIDE_PX / max(height, width)
    if scale != 1:
        shape = (max(round(height * scale), 1), max(round(width * scale), 1))
        image_HW = np.rint(resize(image_HW, shape, preserve_range=True, anti_aliasing=scale < 1)).astype(np.uint8)
    inside_HW = field_of_view(image_HW).depth_HW > FILTER.border_px
    found_HW = frangi(image_HW, FILTER) > FILTER.threshold
    return float(np.count_nonzero(found_HW & inside_HW)) / max(int(np.count_nonzero(inside_HW)), 1)


def measure_run(images: Iterable[GreyImage]) -> Opacification:
    """Return what a run shows; its frames are taken one by one and none is kept.

    Raises:
        DataError: the run has no frame.
    """
    return describe_levels([vessel_level(image_HW) for image_HW in images])


def describe_levels(levels: Sequence[float]) -> Opacification:
    """Return peak and phases of a run from the level of each frame, `vessel_level` or any other that grows with it.

    Raises:
        DataError: there is no level.
    """
    if not levels:
        raise DataError("a run without frames", remedy="give at least one frame")
    levels_T = np.asarray(levels, dtype=np.float64)
    filtered_T = median_filter(levels_T, size=min(SMOOTHING_FRAMES, len(levels_T)), mode="nearest")
    low, high = np.percentile(filtered_T, [LOWEST_PERCENT, HIGHEST_PERCENT])
    is_clear = bool(high - low >= LEAST_RISE and high >= LEAST_RATIO * low)
    smooth_T = np.clip((filtered_T - low) / (high - low), 0, 1) if high > low else np.zeros_like(filtered_T)
    peak = int(np.argmax(filtered_T))
    phases = _phases(smooth_T) if is_clear else (None,) * len(levels_T)
    return Opacification(levels_T, smooth_T, phases, peak, is_clear)


def choose_opacified(run: Opacification, wanted: int) -> list[int]:
    """Return at most `wanted` frames spread over the part with contrast: the middles of equal parts of it.

    Spread over the whole run where the phases are not known.

    Raises:
        DataError: `wanted` is below 1.
    """
    if wanted < 1:
        raise DataError(f"{wanted} key frames", remedy="ask for at least one")
    everything = range(len(run.phases))
    candidates = [i for i in everything if not run.is_clear or run.smooth_T[i] >= THERE_SHARE]
    count = min(wanted, len(candidates))
    return [candidates[(2 * part + 1) * len(candidates) // (2 * count)] for part in range(count)]


def _phases(smooth_T: Floats) -> tuple[Phase, ...]:
    """Return phases from the first and last frame above each share; dips in between count as above."""
    full, there = np.flatnonzero(smooth_T >= FULL_SHARE), np.flatnonzero(smooth_T >= THERE_SHARE)
    first_full, last_full, first = int(full[0]), int(full[-1]), int(there[0])
    phases = []
    for frame in range(len(smooth_T)):
        if frame < first:
            phases.append(Phase.NONE)
        elif frame < first_full:
            phases.append(Phase.FILLING)
        else:
            phases.append(Phase.FULL if frame <= last_full else Phase.WASHOUT)
    return tuple(phases)
