"""All metrics of one answer, empty masks included: the one table of what an empty mask earns.

| target  | answer        | outcome    | shares, clDice | distances          | b0, b1 errors | bias        |
|---------|---------------|------------|----------------|--------------------|---------------|-------------|
| present | not empty     | compared   | as measured    | as measured        | as counted    | as measured |
| present | empty or none | missed     | 0              | image's diagonal   | as counted    | area -1     |
| absent  | not empty     | false      | 0              | image's diagonal   | as counted    | -           |
| absent  | empty         | absent     | -              | -                  | -             | -           |
| absent  | none          | unanswered | 0              | image's diagonal   | -             | -           |

An absent case has no score at all: it is counted, and in no mean. *None* means that the predictions hold no row for
the case. A mean that skips missed vessels rewards a model that finds
fewer of them, which is what NaN and `nanmean` do in the usual libraries. A metric that a case cannot have at all is
left out of its scores: recall of thin branches where the target has none, millimetres without a spacing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import hypot

from angiova.data.rle import BoolMask
from angiova.evaluation import boundary, overlap
from angiova.evaluation.boundary import TOLERANCE_MM, TOLERANCE_PX, BoundaryDistances
from angiova.evaluation.branches import BranchCounts, CalibreClass, branches_found, calibre_bias_px, count_branches
from angiova.evaluation.geometry import MaskGeometry, inside
from angiova.evaluation.overlap import Counts
from angiova.evaluation.topology import centreline_dice

Spacing = tuple[float, float]


class Outcome(StrEnum):
    """What became of a case; see the table above."""

    COMPARED = "compared"
    MISSED = "missed"
    FALSE = "false"
    ABSENT = "absent"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Scores:
    """What was measured on one answer.

    Attributes:
        outcome: what became of it.
        counts: confusion counts in pixels.
        values: each metric that the case can have, by name; None for a case absent from target and answer alike.
        branches: the target's branches by calibre class.
    """

    outcome: Outcome
    counts: Counts
    values: Mapping[str, float] | None
    branches: Mapping[CalibreClass, BranchCounts] = field(default_factory=dict)


def score_masks(
    target_HW: BoolMask, answer_HW: BoolMask, *, answered: bool = True, spacing_mm: Spacing | None = None
) -> Scores:
    """Measure one answer against one target by the table at the top of this module.

    Args:
        target_HW: the target.
        answer_HW: the answer, of the same shape; empty where there is none.
        answered: whether there is an answer.
        spacing_mm: (row, column) distance of pixel centres, where known.

    Raises:
        ValueError: the shapes differ.
    """
    counts = overlap.confusion(target_HW, answer_HW)
    outcome = outcome_of(counts, answered=answered)
    if outcome is Outcome.ABSENT:
        return Scores(outcome, counts, None)
    target, answer = MaskGeometry(target_HW), MaskGeometry(answer_HW)
    branches = count_branches(target, answer)
    values = _ratios(counts) if outcome is Outcome.COMPARED else dict.fromkeys(_RATIOS, 0.0)
    values |= _centrelines(target, answer) | _boundaries(target, answer, spacing_mm)
    if outcome is not Outcome.UNANSWERED:
        values["b0_error"] = float(abs(answer.num_pieces - target.num_pieces))
        values["b1_error"] = float(abs(answer.num_holes - target.num_holes))
    values |= _branches(branches) | _biases(counts, target, answer)
    return Scores(outcome, counts, values, branches)


def outcome_of(counts: Counts, *, answered: bool) -> Outcome:
    """Return the outcome of a case by the table at the top of this module."""
    if counts.tp + counts.fn:
        return Outcome.COMPARED if counts.tp + counts.fp else Outcome.MISSED
    if counts.fp:
        return Outcome.FALSE
    return Outcome.ABSENT if answered else Outcome.UNANSWERED


_RATIOS = ("dice", "iou", "precision", "recall", "specificity", "accuracy")


def _ratios(counts: Counts) -> dict[str, float]:
    return {name: getattr(overlap, name)(counts) for name in _RATIOS}


def _centrelines(target: MaskGeometry, answer: MaskGeometry) -> dict[str, float]:
    if target.is_empty or answer.is_empty:
        return {"cldice": 0.0}
    precision = float(inside(answer.centreline_N2, target.mask_HW).mean())
    sensitivity = float(inside(target.centreline_N2, answer.mask_HW).mean())
    return {"cldice": centreline_dice(precision, sensitivity)}


def _boundaries(target: MaskGeometry, answer: MaskGeometry, spacing_mm: Spacing | None) -> dict[str, float]:
    if target.is_empty or answer.is_empty:
        return _farthest(target.mask_HW.shape, spacing_mm)
    found = boundary.boundary_distances(target, answer)
    values = {
        "nsd": boundary.nsd(found, TOLERANCE_PX),
        "hd95_px": boundary.hd95(found),
        "assd_px": boundary.assd(found),
    }
    if spacing_mm is not None:
        found_mm = _in_mm(found, target, answer, spacing_mm)
        values["nsd_mm"] = boundary.nsd(found_mm, TOLERANCE_MM)
        values["hd95_mm"], values["assd_mm"] = boundary.hd95(found_mm), boundary.assd(found_mm)
    return values


def _in_mm(
    found: BoundaryDistances, target: MaskGeometry, answer: MaskGeometry, spacing_mm: Spacing
) -> BoundaryDistances:
    if spacing_mm[0] == spacing_mm[1]:
        return found.scaled(spacing_mm[0])
    return boundary.boundary_distances(target, answer, spacing_mm)


def _farthest(shape: tuple[int, ...], spacing_mm: Spacing | None) -> dict[str, float]:
    """Return the worst boundary scores there are in an image of this shape."""
    values = {"nsd": 0.0} | dict.fromkeys(("hd95_px", "assd_px"), hypot(*shape))
    if spacing_mm is not None:
        diagonal_mm = hypot(shape[0] * spacing_mm[0], shape[1] * spacing_mm[1])
        values |= {"nsd_mm": 0.0} | dict.fromkeys(("hd95_mm", "assd_mm"), diagonal_mm)
    return values


def _branches(counts: Mapping[CalibreClass, BranchCounts]) -> dict[str, float]:
    values = {f"recall_{name}": found.recall for name, found in counts.items()}
    return values | ({"branches_found": branches_found(counts)} if counts else {})


def _biases(counts: Counts, target: MaskGeometry, answer: MaskGeometry) -> dict[str, float]:
    area_px = counts.tp + counts.fn
    values = {"area_bias": (counts.fp - counts.fn) / area_px} if area_px else {}
    bias = calibre_bias_px(target, answer)
    return values if bias is None else values | {"calibre_bias_px": bias}
