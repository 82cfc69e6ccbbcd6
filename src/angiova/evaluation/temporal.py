"""Masks of one object through a run: how steady they are along the image's motion, and whether they wear off.

Steadiness needs no truth. A mask that is always empty, or always full, is perfectly steady: read it beside Dice. True
masks are not perfectly steady either, since contrast comes and goes and motion is estimated; where they are known for
every frame, the same figures of the truth are what a method can be asked for.

What was looked at and not taken: DAVIS's temporal stability T (Perazzi et al., CVPR 2016), which matches one outline's
shape contexts with the next and so wants one closed outline, while a vessel tree has many that join and part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from statistics import fmean, median
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation

from angiova.data.rle import BoolMask
from angiova.evaluation.motion import Motion, carry
from angiova.evaluation.overlap import confusion, dice, iou
from angiova.evaluation.presence import EdgeError, offset_error, onset_error, presence_counts, presence_f1

# An outline that wavers by a pixel does not flicker.
FLICKER_TOLERANCE_PX: Final = 1
_EIGHT: Final = np.ones((3, 3), dtype=bool)
MIN_FOR_TREND: Final = 3


@dataclass(frozen=True, slots=True)
class Consistency:
    """Agreement of each mask with the one before, carried along the motion.

    Attributes:
        ious, dices: one value a pair of neighbouring frames; None where both masks are empty.
    """

    ious: tuple[float | None, ...]
    dices: tuple[float | None, ...]

    @property
    def mean_iou(self) -> float | None:
        """Mean over the pairs that have one; None where none has."""
        return _mean(self.ious)

    @property
    def mean_dice(self) -> float | None:
        """Mean over the pairs that have one; None where none has."""
        return _mean(self.dices)

    @property
    def num_empty(self) -> int:
        """Pairs in no mean, since both masks are empty."""
        return self.ious.count(None)


@dataclass(frozen=True, slots=True)
class RunMeasures:
    """One object in one run of T frames.

    Attributes:
        consistency: IoU of neighbouring masks along the motion, see `consistency`; None where all masks are empty.
        num_empty_pairs: pairs of neighbouring frames that are in no mean, both masks being empty.
        flicker: see `flicker`.
        area_flicker: see `area_flicker`.
        presence_f1: see `angiova.evaluation.presence`; None without truth, or where the object is in no frame.
        onset, offset: errors of the first and last frame; None without truth.
        dice_of_frame: Dice of each labelled frame in which the object is in truth or prediction.
        drift: change of Dice a frame of distance from the nearest key frame, see `trend`.
        consistency_drift: change of the consistency a frame, over the run.
    """

    consistency: float | None
    num_empty_pairs: int
    flicker: float | None
    area_flicker: float | None
    presence_f1: float | None = None
    onset: EdgeError | None = None
    offset: EdgeError | None = None
    dice_of_frame: Mapping[int, float] = field(default_factory=dict)
    drift: float | None = None
    consistency_drift: float | None = None


def measure_run(
    masks: Sequence[BoolMask],
    motions: Sequence[Motion],
    true_of_frame: Mapping[int, BoolMask] | None = None,
    key_frames: Sequence[int] = (),
) -> RunMeasures:
    """Measure one object in one run.

    Args:
        masks: predicted masks (H, W) of all T frames, in the order of time.
        motions: T - 1 motions between neighbouring frames, see `angiova.evaluation.motion`; those that every answer
            about the run is measured with.
        true_of_frame: true masks by index of their frame; some frames may be missing. None: no truth is known.
        key_frames: frames that the model was prompted in, for the drift.

    Raises:
        ValueError: numbers of masks and motions, or shapes, do not fit.
    """
    steady = consistency(masks, motions)
    course = {pair: value for pair, value in enumerate(steady.ious) if value is not None}
    measures = RunMeasures(
        consistency=steady.mean_iou,
        num_empty_pairs=steady.num_empty,
        flicker=flicker(masks, motions),
        area_flicker=area_flicker([int(np.count_nonzero(mask_HW)) for mask_HW in masks]),
        consistency_drift=trend(list(course), list(course.values())),
    )
    return _with_truth(measures, masks, true_of_frame, key_frames) if true_of_frame else measures


def consistency(masks: Sequence[BoolMask], motions: Sequence[Motion]) -> Consistency:
    """Return IoU and Dice of each mask with the one before, carried along the motion of the images.

    Over the pixels whose content was inside the frame before. Both masks empty: no value, counted; one empty: 0. A
    still run whose mask stays the same gives exactly 1.

    Source: Varghese et al., "Unsupervised Temporal Consistency Metric for Video Segmentation in Highly-Automated
    Driving", CVPR Workshops 2020: mean IoU of a prediction with the one before, warped by optical flow.

    Raises:
        ValueError: there is not one motion a pair of frames, or shapes differ.
    """
    values = [_agreement(before, after, motion) for (before, after), motion in _steps(masks, motions)]
    return Consistency(tuple(both[0] for both in values), tuple(both[1] for both in values))


def flicker(masks: Sequence[BoolMask], motions: Sequence[Motion]) -> float | None:
    """Return the share of the shown pixels that come for one frame only, or are gone for one only, along the motion.

    Of every three neighbouring frames a, b, c: pixels of b further than FLICKER_TOLERANCE_PX (8-neighbours) from the
    masks of a and of c, and pixels of a and of c further than it from that of b; all carried to c and added up over the
    run; over the pixels of the unions of the three. A mask that stays, comes or goes once has 0; every second mask
    empty gives 1. None where nothing is shown or there are fewer than three frames.

    This is ours; for video without motion, the like is called flickering of pixels.

    Raises:
        ValueError: there is not one motion a pair of frames, or shapes differ.
    """
    num_flickering, num_shown = 0, 0
    steps = _steps(masks, motions)
    for ((first, second), early), ((_, third), late) in pairwise(steps):
        came = carry(first, early)
        spurt = carry(second & came.known_HW & ~_widened(came.mask_HW), late)
        gap = carry(came.mask_HW & ~_widened(second), late)
        seen_HW = carry(came.known_HW, late).mask_HW
        spurts_HW = spurt.mask_HW & ~_widened(third)
        gaps_HW = gap.mask_HW & third
        shown_HW = carry(came.mask_HW | second, late).mask_HW | third
        num_flickering += int(np.count_nonzero((spurts_HW | gaps_HW) & seen_HW))
        num_shown += int(np.count_nonzero(shown_HW & seen_HW))
    return num_flickering / num_shown if num_shown else None


def area_flicker(areas_px: Sequence[int]) -> float | None:
    """Return how much the area of the masks jumps up and down: sum |a - 2 b + c| / sum (a + 2 b + c), 0 to 1.

    Over all three neighbouring frames with areas a, b, c. 0 where the area stays or changes evenly; 1 where every
    second mask is empty. None where nothing is shown or there are fewer than three frames.
    """
    areas = np.asarray(areas_px, dtype=np.int64)
    total = int((areas[:-2] + 2 * areas[1:-1] + areas[2:]).sum()) if len(areas) > 2 else 0
    return float(np.abs(np.diff(areas, 2)).sum()) / total if total else None


def trend(places: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the slope of values over places: the median of the slopes of all pairs, which single failures don't move.

    None below MIN_FOR_TREND values, or where all lie at one place.

    Source: Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63:1379-1389 (1968).
    """
    if len(values) < MIN_FOR_TREND or len(set(places)) < 2:
        return None
    pairs = combinations(zip(places, values, strict=True), 2)
    return median((after - before) / (there - here) for (here, before), (there, after) in pairs if there != here)


def distances_from(key_frames: Sequence[int], frames: Sequence[int]) -> list[int]:
    """Return how far each frame lies from the nearest key frame, in frames; at least one key frame is given."""
    return [min(abs(frame - key_frame) for key_frame in key_frames) for frame in frames]


def _with_truth(
    measures: RunMeasures,
    masks: Sequence[BoolMask],
    true_of_frame: Mapping[int, BoolMask],
    key_frames: Sequence[int],
) -> RunMeasures:
    there = {frame: bool(mask_HW.any()) for frame, mask_HW in true_of_frame.items()}
    shown = [bool(mask_HW.any()) for mask_HW in masks]
    dices = {
        frame: dice(confusion(true_of_frame[frame], masks[frame]))
        for frame in sorted(true_of_frame)
        if there[frame] or shown[frame]
    }
    return replace(
        measures,
        presence_f1=presence_f1(presence_counts(there, shown)),
        onset=onset_error(there, shown),
        offset=offset_error(there, shown),
        dice_of_frame=dices,
        drift=trend(distances_from(key_frames, list(dices)), list(dices.values())) if key_frames else None,
    )


def _steps(masks: Sequence[BoolMask], motions: Sequence[Motion]) -> list[tuple[tuple[BoolMask, BoolMask], Motion]]:
    return list(zip(pairwise(masks), motions, strict=True))


def _agreement(before_HW: BoolMask, after_HW: BoolMask, motion: Motion) -> tuple[float | None, float | None]:
    carried = carry(before_HW, motion)
    counts = confusion(carried.mask_HW, after_HW & carried.known_HW)
    return (iou(counts), dice(counts)) if counts.tp + counts.fp + counts.fn else (None, None)


def _widened(mask_HW: BoolMask) -> npt.NDArray[np.bool_]:
    return np.asarray(binary_dilation(mask_HW, _EIGHT, iterations=FLICKER_TOLERANCE_PX))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
