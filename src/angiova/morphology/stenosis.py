"""Narrowings of a vessel by quantitative coronary analysis: minimum lumen against an interpolated reference.

    percent diameter stenosis = 100 (1 - minimum lumen / reference calibre)

The reference is the calibre that the vessel would have there were it healthy, interpolated between the stretches
before and after: J. H. C. Reiber et al., Circulation 71:280-288 (1985). A narrowing is found as what a closing of the
calibre profile fills (the least profile without valleys shorter than LONGEST_CALIBRES): J. Serra, Image Analysis
and Mathematical Morphology (1982). A closing fills only what has a wider place on both sides, so that tapering is no
narrowing, and one at the very end of a vessel is not found. Where the vessel before or after has too short a stretch of
its own, as at the origin of a daughter, the other side is the reference alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, grey_closing, label, median_filter

from angiova.data.rle import BoolMask
from angiova.morphology.graph import Floats

Indices = npt.NDArray[np.intp]

LONGEST_CALIBRES: Final = 14.0
SHORTEST_PX: Final = 3
LEAST_PERCENT: Final = 20.0
LEAST_REFERENCE_PX: Final = 3.0  # a mask's own coarseness is a third of that
EDGE_SHARE: Final = 0.06
REFERENCE_CALIBRES: Final = 1.5
REFERENCE_PX: Final = 6.0
LEAST_REFERENCE_SHARE: Final = 0.35
PROFILE_SMOOTHING: Final = 1.0


@dataclass(frozen=True, slots=True)
class Narrowing:
    """One narrowing of a calibre profile.

    Attributes:
        first: index where it begins.
        last: index where it ends.
        narrowest: index of the minimum lumen.
        minimum_px: the minimum lumen.
        reference_px: the interpolated reference calibre there.
    """

    first: int
    last: int
    narrowest: int
    minimum_px: float
    reference_px: float

    @property
    def percent(self) -> float:
        """Percent diameter stenosis."""
        return 100 * (1 - self.minimum_px / self.reference_px)


def bridged(calibre_N: Floats, is_measured_N: BoolMask) -> Floats:
    """Return the profile (N,) with places that have no calibre of their own interpolated, and single outliers removed.

    Before the first such place the calibre stays as it is: that of the parent.
    """
    at_N = np.arange(len(calibre_N))
    first = int(np.argmax(is_measured_N))
    between_N = np.interp(at_N, at_N[is_measured_N], calibre_N[is_measured_N])
    whole_N = np.where(at_N < first, calibre_N, between_N)
    return np.asarray(gaussian_filter1d(median_filter(whole_N, 3, mode="nearest"), PROFILE_SMOOTHING, mode="nearest"))


def find_narrowings(calibre_N: Floats, is_measured_N: BoolMask) -> list[Narrowing]:
    """Return the narrowings of a vessel, from LEAST_PERCENT and a reference of LEAST_REFERENCE_PX on, in order.

    Args:
        calibre_N: calibre at places a pixel apart, in pixels.
        is_measured_N: where the calibre is the vessel's own, and not that of a bifurcation or a crossing.
    """
    if int(np.count_nonzero(is_measured_N)) < SHORTEST_PX:
        return []
    profile_N = bridged(calibre_N, is_measured_N)
    usual_px = float(np.percentile(profile_N, 75))
    width = int(LONGEST_CALIBRES * usual_px) | 1
    padded_N = np.pad(profile_N, width, mode="edge")
    filled_N = grey_closing(padded_N, size=width)[width:-width]
    is_narrow_N = profile_N < (1 - EDGE_SHARE) * filled_N
    parts_N, count = label(is_narrow_N)
    found = [_measure(profile_N, is_measured_N, np.flatnonzero(parts_N == n)) for n in range(1, count + 1)]
    return [narrowing for narrowing in found if narrowing is not None and _is_kept(narrowing)]


def _is_kept(narrowing: Narrowing) -> bool:
    return narrowing.percent >= LEAST_PERCENT and narrowing.reference_px >= LEAST_REFERENCE_PX


def _measure(profile_N: Floats, is_measured_N: BoolMask, part: Indices) -> Narrowing | None:
    """Return the narrowing of one part of a profile, where it is measured and has a reference on both sides."""
    first, last = int(part[0]), int(part[-1])
    own = part[is_measured_N[part]]
    if last - first + 1 < SHORTEST_PX or not own.size:
        return None
    narrowest = int(own[np.argmin(profile_N[own])])
    before = _reference(profile_N, is_measured_N, first, -1)
    after = _reference(profile_N, is_measured_N, last, 1)
    before, after = before or after, after or before
    if before is None or after is None:
        return None
    reference_px = float(np.interp(narrowest, [before[0], after[0]], [before[1], after[1]]))
    return Narrowing(first, last, narrowest, float(profile_N[narrowest]), reference_px)


def _reference(profile_N: Floats, is_measured_N: BoolMask, border: int, step: int) -> tuple[float, float] | None:
    """Return (place, median calibre) of the measured stretch beyond a border of a narrowing; None if it is too short.

    It ends where the calibre falls to half: what follows is another vessel.
    """
    reach = int(REFERENCE_CALIBRES * profile_N[border] + REFERENCE_PX)
    beyond = border + step * np.arange(1, 3 * reach)
    beyond = beyond[(beyond >= 0) & (beyond < len(profile_N))]
    is_less = profile_N[beyond] < profile_N[border] / 2
    beyond = beyond[: int(np.argmax(is_less))] if is_less.any() else beyond
    chosen = beyond[is_measured_N[beyond]][:reach]
    if len(chosen) < LEAST_REFERENCE_SHARE * reach:
        return None
    return float(chosen.mean()), float(np.median(profile_N[chosen]))
