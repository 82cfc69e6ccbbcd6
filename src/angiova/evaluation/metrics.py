"""The metrics of a case: name, unit, which way is better, and the definition that stands beside every figure.

What a metric is when a mask is empty is decided in `angiova.evaluation.scores`, in one table for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from angiova.evaluation.boundary import TOLERANCE_MM, TOLERANCE_PX
from angiova.evaluation.branches import FOUND_SHARE, MEDIUM_PX, MIN_BRANCH_PX, THICK_PX


class Unit(StrEnum):
    """What a figure counts."""

    SHARE = "share"
    PX = "px"
    MM = "mm"
    COUNT = "count"
    RELATIVE = "relative"


class Better(StrEnum):
    """Which figures are better."""

    HIGHER = "higher"
    LOWER = "lower"
    ZERO = "nearer to 0"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: its name in every file.
        unit: what it counts; a share lies between 0 and 1.
        better: which way is better.
        definition: how it is computed, in words and symbols.
    """

    name: str
    unit: Unit
    better: Better
    definition: str


def _share(name: str, definition: str) -> Metric:
    return Metric(name, Unit.SHARE, Better.HIGHER, definition)


_BOUNDARY: Final = "foreground pixels with background, or the image's edge, among their 4 neighbours"
_HD95: Final = (
    "the larger of the two directed 95th percentiles (linear interpolation) of the distances from each boundary pixel "
    "of one mask to the nearest of the other; one mask empty: the image's diagonal"
)
_ASSD: Final = (
    "mean over the boundary pixels of both masks, pooled, of the distance to the nearest of the other mask (average "
    "symmetric surface distance); one mask empty: the image's diagonal"
)
_RECALL: Final = (
    "share of the target's centreline that the prediction covers, over branches of calibre {}; where the target has any"
)

ALL_METRICS: Final = (
    _share("dice", "2 TP / (2 TP + FP + FN) over all pixels of the image; also called F1"),
    _share("iou", "TP / (TP + FP + FN)"),
    _share("precision", "TP / (TP + FP)"),
    _share("recall", "TP / (TP + FN)"),
    _share("specificity", "TN / (TN + FP)"),
    _share("accuracy", "(TP + TN) / all pixels"),
    _share("cldice", "harmonic mean of each hard skeleton's share inside the other mask (Shit et al., CVPR 2021)"),
    _share(
        "nsd",
        f"normalised surface Dice: share of the boundary pixels of both masks within {TOLERANCE_PX:g} px of the "
        f"other's boundary (Nikolov et al., 2021); boundary: {_BOUNDARY}",
    ),
    _share("nsd_mm", f"as nsd, within {TOLERANCE_MM:g} mm, where the pixel spacing is known"),
    Metric("hd95_px", Unit.PX, Better.LOWER, _HD95),
    Metric("hd95_mm", Unit.MM, Better.LOWER, "as hd95_px, in mm, where the pixel spacing is known"),
    Metric("assd_px", Unit.PX, Better.LOWER, _ASSD),
    Metric("assd_mm", Unit.MM, Better.LOWER, "as assd_px, in mm, where the pixel spacing is known"),
    Metric(
        "b0_error",
        Unit.COUNT,
        Better.LOWER,
        "|pieces of the prediction - pieces of the target|; pieces are 8-connected",
    ),
    Metric(
        "b1_error",
        Unit.COUNT,
        Better.LOWER,
        "|holes of the prediction - holes of the target|; holes are 4-connected background that does not reach the rim",
    ),
    _share("recall_thin", _RECALL.format(f"below {MEDIUM_PX:g} px")),
    _share("recall_medium", _RECALL.format(f"{MEDIUM_PX:g} to below {THICK_PX:g} px")),
    _share("recall_thick", _RECALL.format(f"{THICK_PX:g} px and more")),
    _share(
        "branches_found",
        f"share of the target's branches of which the prediction covers at least {FOUND_SHARE:.0%} of the centreline; "
        f"a branch lies between end or branching points and is at least {MIN_BRANCH_PX} px long",
    ),
    Metric("area_bias", Unit.RELATIVE, Better.ZERO, "(predicted area - target area) / target area"),
    Metric(
        "calibre_bias_px",
        Unit.PX,
        Better.ZERO,
        "mean calibre of the prediction along its centreline inside the target, less that of the target along its "
        "centreline inside the prediction; calibre: twice the distance to the nearest background pixel",
    ),
)
METRICS: Final = tuple(metric.name for metric in ALL_METRICS)
SHARE_METRICS: Final = tuple(metric.name for metric in ALL_METRICS if metric.unit is Unit.SHARE)

RULES: Final = {
    "empty": "absent from target and answer: in no mean, counted; missed, false or unanswered: every share 0, every "
    "distance the image's diagonal, errors of b0 and b1 as counted",
    "lacking": "a metric that a case cannot have (no such branch in the target, spacing unknown) is in no mean; n says "
    "how many frames have it",
    "frame": "targets of a frame are averaged, then mean and sample standard deviation over frames",
    "patient": "frames averaged in a run, runs in a patient; mean, sample standard deviation and 95 % interval over "
    "patients, not clipped to 0..1: Student's t below 30 patients, BCa bootstrap from 30",
    "challenge_f1": "Dice of every named segment asked, averaged in each image, then over images",
    "chance": "Dice of a named segment's target with the answers for the other segments present in the same frame",
    "ece": "expected calibration error: mean over pixels of |share of vessel - mean probability| in ten bins of equal "
    "width (Guo et al., ICML 2017)",
    "ece_foreground": "the same over the pixels to which the model gives a probability of 0.1 and more",
}
DEFINITIONS: Final = {metric.name: metric.definition for metric in ALL_METRICS} | RULES
