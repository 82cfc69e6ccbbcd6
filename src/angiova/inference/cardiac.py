"""The heart's beat in a run, told from its frames: the rate, and where in the beat each frame lies.

Vessels, catheter and the heart's border come back to the same place once a beat. Each frame is made small, and what
changes slowly (contrast, breath, the table) is taken away; the images are then compared with themselves a time later
(autocorrelation, summed over all pixels). The shortest time at which they are alike again, after having been unlike, is
the beat. A run whose frames are not clearly alike again at any time has no beat that can be told.

No electrocardiogram is read. What moves for another reason at the rate of a heart is taken for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from skimage.transform import resize

from angiova.data.pixels import GreyImage
from angiova.errors import DataError

Floats = npt.NDArray[np.float64]

SLOWEST_BPM, FASTEST_BPM = 40.0, 180.0
# Small and smooth enough that neighbouring places of a vessel touch, so that likeness grows as it comes back.
SIDE_PX: Final = 64
BLUR_PX: Final = 1.0
# Slower than the slowest heart is no beat: what a Gaussian of this standard deviation keeps is taken away.
SLOW_S: Final = 0.35
# A beat must be seen this often, and its likeness must be this high and rise by this much from the unlikeness before.
# Measured on 60 frames at 15 a second: simulated hearts 0.54 to 0.62, up to 0.23 where the patient breathes deeply;
# frames that wander at random reach 0.34 in the worst of 40 cases (of 40 frames: above 0.35 in 7 of 40).
LEAST_BEATS: Final = 2.0
LEAST_LIKENESS: Final = 0.35
LEAST_RISE: Final = 0.3
# Of several times at which frames are alike the shortest is the beat, if hardly less alike than the best.
NEARLY: Final = 0.8
MINUTE_S: Final = 60.0
# The heart rests before it contracts: about a third of the beat.
REST_SHARE: Final = 0.3
FOLDS: Final = 40


class Unclear(StrEnum):
    """Why a run's beat cannot be told."""

    SHORT = "the run is too short"
    SLOW_FRAMES = "the frames are too far apart"
    STILL = "nothing moves"
    NO_TIMES = "the times of the frames are not known"
    NO_PEAK = "nothing comes back at the rate of a heart"


@dataclass(frozen=True, slots=True)
class CardiacPhase:
    """The beat of a run of T frames.

    Attributes:
        rate_bpm: beats a minute; None where unclear.
        phase_T: where in its beat each frame lies, 0 to below 1, 0 being the end of the heart's rest (about the end of
            diastole); None where unclear. The beat is taken as even.
        likeness: correlation of frames one beat apart, at most 1; 0 where none was found.
        unclear: why there is no rate; None where there is one.
    """

    rate_bpm: float | None
    phase_T: Floats | None
    likeness: float
    unclear: Unclear | None

    @property
    def is_clear(self) -> bool:
        """Whether a beat was found."""
        return self.unclear is None

    def beats_at(self) -> list[int]:
        """Return the frames that begin a beat; none where that is unclear."""
        if self.phase_T is None:
            return []
        return [frame for frame, (before, after) in enumerate(pairwise(self.phase_T), start=1) if after < before]


def measure_beat(images: Iterable[GreyImage], times_s: Sequence[float] | None) -> CardiacPhase:
    """Return the beat of a run; frames are taken one by one and kept at SIDE_PX only.

    Args:
        images: 8-bit grey frames (H, W), all of one shape.
        times_s: the time of each, rising; gaps are bridged. None where they are not known.

    Raises:
        DataError: there is not one time a frame, or the times don't rise.
    """
    if times_s is None:
        return _no_beat(Unclear.NO_TIMES)
    small_TP = np.array([_small(image_HW) for image_HW in images])
    times_T = np.asarray(times_s, dtype=np.float64)
    if len(small_TP) != len(times_T):
        raise DataError(f"{len(times_T)} times for {len(small_TP)} frames", remedy="give one time a frame")
    if len(times_T) > 1 and np.diff(times_T).min() <= 0:
        raise DataError("the times of the frames do not rise", remedy="give the frames in the order of time")
    if len(times_T) < 2 or times_T[-1] - times_T[0] < LEAST_BEATS * MINUTE_S / FASTEST_BPM:
        return _no_beat(Unclear.SHORT)
    step_s = float(np.median(np.diff(times_T)))
    if step_s > MINUTE_S / FASTEST_BPM / 2:
        return _no_beat(Unclear.SLOW_FRAMES)
    return _beat_of(small_TP, times_T, step_s)


def _beat_of(small_TP: Floats, times_T: Floats, step_s: float) -> CardiacPhase:
    even_N = np.arange(times_T[0], times_T[-1] + step_s / 2, step_s)
    quick_NP = _without_slow(_at_even_times(small_TP, times_T, even_N), step_s)
    if not quick_NP.any():
        return _no_beat(Unclear.STILL)
    likeness_L = _autocorrelation(quick_NP, step_s)
    lag = _beat_lag(likeness_L, step_s)
    if lag is None:
        is_short = (times_T[-1] - times_T[0]) < LEAST_BEATS * MINUTE_S / SLOWEST_BPM
        return _no_beat(Unclear.SHORT if is_short else Unclear.NO_PEAK)
    beat_s = _refined(likeness_L, lag) * step_s
    phase_T = ((times_T - _end_of_rest(quick_NP, even_N, beat_s)) / beat_s) % 1.0
    return CardiacPhase(MINUTE_S / beat_s, phase_T, float(likeness_L[lag]), None)


def _small(image_HW: GreyImage) -> Floats:
    """Return a small, smooth frame as a row; logarithmic and about 0, so that the exposure does not count."""
    height, width = image_HW.shape
    scale = min(SIDE_PX / max(height, width), 1.0)
    shape = max(round(height * scale), 1), max(round(width * scale), 1)
    small_hw = resize(np.log1p(image_HW.astype(np.float64)), shape, anti_aliasing=scale < 1)
    smooth_hw = np.asarray(gaussian_filter(small_hw, BLUR_PX))
    return np.asarray(smooth_hw - smooth_hw.mean()).ravel()


def _at_even_times(values_TP: Floats, times_T: Floats, even_N: Floats) -> Floats:
    """Return rows at even times, linear between their neighbours."""
    after_N = np.clip(np.searchsorted(times_T, even_N, side="right"), 1, len(times_T) - 1)
    before_N = after_N - 1
    share_N = np.clip((even_N - times_T[before_N]) / (times_T[after_N] - times_T[before_N]), 0, 1)[:, None]
    return np.asarray((1 - share_N) * values_TP[before_N] + share_N * values_TP[after_N])


def _without_slow(values_NP: Floats, step_s: float) -> Floats:
    slow_NP = gaussian_filter1d(values_NP, SLOW_S / step_s, axis=0, mode="nearest")
    quick_NP = values_NP - slow_NP
    return np.where(np.abs(quick_NP) < 1e-9, 0.0, quick_NP)


def _autocorrelation(values_NP: Floats, step_s: float) -> Floats:
    """Return the mean correlation of rows with those `lag` later, at most 1, for each lag that is seen enough.

    Each row counts the same, so that a leap of the exposure in a few frames does not drown the others.
    """
    slowest = round(MINUTE_S / SLOWEST_BPM / step_s) + 1
    most = min(slowest, int(len(values_NP) / LEAST_BEATS))
    norms_N1 = np.linalg.norm(values_NP, axis=1, keepdims=True)
    unit_NP = values_NP / np.where(norms_N1 > 0, norms_N1, 1.0)
    return np.array([1.0, *(float((unit_NP[lag:] * unit_NP[:-lag]).sum(1).mean()) for lag in range(1, most + 1))])


def _beat_lag(likeness_L: Floats, step_s: float) -> int | None:
    """Return the lag of one beat: the first peak nearly as high as the highest, if that stands out."""
    shortest, longest = MINUTE_S / FASTEST_BPM / step_s, MINUTE_S / SLOWEST_BPM / step_s
    peaks = [
        lag
        for lag in range(1, len(likeness_L) - 1)
        if shortest <= lag <= longest and likeness_L[lag - 1] < likeness_L[lag] >= likeness_L[lag + 1]
    ]
    clear = [
        lag
        for lag in peaks
        if likeness_L[lag] >= LEAST_LIKENESS and likeness_L[lag] - likeness_L[:lag].min() >= LEAST_RISE
    ]
    if not clear:
        return None
    highest = max(likeness_L[lag] for lag in clear)
    return next(lag for lag in clear if likeness_L[lag] >= NEARLY * highest)


def _refined(likeness_L: Floats, lag: int) -> float:
    """Return the top of the parabola through a peak and its neighbours, in lags."""
    before, at, after = likeness_L[lag - 1 : lag + 2]
    return lag + 0.5 * float((before - after) / (before - 2 * at + after))


def _end_of_rest(quick_NP: Floats, even_N: Floats, beat_s: float) -> float:
    """Return a time at which the heart's rest ends: of the beats laid over each other, where motion was least before.

    Motion is the change between neighbouring rows; its mean over the beats is taken in FOLDS parts of a beat.
    """
    change_M = np.sqrt((np.diff(quick_NP, axis=0) ** 2).mean(axis=1))
    middle_M = (even_N[:-1] + even_N[1:]) / 2
    places_F = (np.arange(FOLDS) + 0.5) / FOLDS
    apart_FM = np.abs((places_F[:, None] - (middle_M / beat_s) % 1.0 + 0.5) % 1.0 - 0.5)
    weights_FM = np.exp(-0.5 * (apart_FM / (1.0 / FOLDS + (even_N[1] - even_N[0]) / beat_s / 2)) ** 2)
    course_F = (weights_FM * change_M).sum(axis=1) / weights_FM.sum(axis=1)
    width = round(REST_SHARE * FOLDS)
    rest_F = [np.take(course_F, range(start, start + width), mode="wrap").mean() for start in range(FOLDS)]
    return float((int(np.argmin(rest_F)) + width) / FOLDS * beat_s)


def _no_beat(why: Unclear) -> CardiacPhase:
    return CardiacPhase(None, None, 0.0, why)
