"""What the labels of a frame say to a question: the truth that answers are made of and held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from angiova.data.questions.kinds import Asked, Kind, Value
from angiova.data.records import Target, TargetKind
from angiova.data.rle import BoolMask
from angiova.data.syntax import RIGHT_SEGMENTS
from angiova.morphology.anatomy import tree_side
from angiova.morphology.measures import VesselMeasures
from angiova.morphology.measuring import measure_vessels

# A segment of which less is left in view, after cropping and turning, is neither asked about nor named.
LEAST_SEGMENT_PX: Final = 40
# What a label of a narrowing and a measured one may lie apart.
NEAR_PX: Final = 6


@dataclass(frozen=True)
class Facts:
    """The labels of a frame as it is shown; what they do not tell is None.

    Attributes:
        targets: what is labelled.
        masks: the mask (H, W) of each, as shown.
        complete: whether every segment in view is labelled, so that one without a label is not there.
    """

    targets: tuple[Target, ...]
    masks: tuple[BoolMask, ...]
    complete: bool

    def value(self, asked: Asked) -> Value | None:
        """Return the answer to a question; None where the labels do not tell."""
        match asked.kind:
            case Kind.TREE:
                return tree_side({number: int(mask.sum()) for number, mask in self._segments.items()})
            case Kind.SEGMENTS:
                return self.visible if self.complete and self.visible else None
            case Kind.VISIBLE:
                return self._is_visible(asked.segment)
            case Kind.CATHETER:
                return self._is_there(TargetKind.CATHETER)
            case Kind.CONTRAST:
                return self._is_there(TargetKind.VESSEL_TREE)
            case Kind.STENOSIS:
                return self._has_stenosis(asked.threshold)
            case Kind.BRANCHES | Kind.NARROWEST:
                return self._measured(asked)
            case Kind.BEST_FRAME:
                return None

    @cached_property
    def visible(self) -> frozenset[str]:
        """SYNTAX numbers of the segments in view."""
        return frozenset(number for number, mask in self._segments.items() if mask.sum() >= LEAST_SEGMENT_PX)

    @cached_property
    def tree(self) -> VesselMeasures | None:
        """What is measured of the labelled tree; None where it is not labelled or not there."""
        mask_HW = self._mask(TargetKind.VESSEL_TREE)
        return measure_vessels(mask_HW) if mask_HW is not None and mask_HW.any() else None

    @cached_property
    def _segments(self) -> dict[str, BoolMask]:
        found: dict[str, BoolMask] = {}
        for target, mask_HW in zip(self.targets, self.masks, strict=True):
            if target.segment is not None:  # several observers may have drawn it
                found[target.segment] = found.get(target.segment, np.zeros_like(mask_HW)) | mask_HW
        return found

    def _mask(self, kind: TargetKind) -> BoolMask | None:
        masks = [mask for target, mask in zip(self.targets, self.masks, strict=True) if target.kind is kind]
        return np.asarray(np.any(masks, axis=0)) if masks else None

    def _is_there(self, kind: TargetKind) -> bool | None:
        mask_HW = self._mask(kind)
        return None if mask_HW is None else bool(mask_HW.any())

    def _is_visible(self, segment: str) -> bool | None:
        """Say whether a segment is in view; None where too little of it is, or where it may lack a label.

        A frame shows one coronary tree, so segments of the other one are never in view.
        """
        if segment in self.visible:
            return True
        mask_HW = self._segments.get(segment)
        if mask_HW is not None:
            return None if mask_HW.any() else False
        sides = {number in RIGHT_SEGMENTS for number in self._segments}
        is_elsewhere = len(sides) == 1 and (segment in RIGHT_SEGMENTS) not in sides
        return False if is_elsewhere or (self.complete and sides) else None

    def _has_stenosis(self, threshold: float) -> bool | None:
        """Say whether a labelled narrowing reaches a percentage; None where one is labelled and measured as less.

        Less may be measured because of the view, or because another vessel lies over it.
        """
        label_HW = self._mask(TargetKind.STENOSIS)
        if label_HW is None or self.tree is None:
            return None
        if not label_HW.any():
            return False
        places_N2 = np.argwhere(label_HW)
        found = (s for s in self.tree.stenoses if s.percent >= threshold)
        is_found = any(np.linalg.norm(places_N2 - (s.row, s.column), axis=1).min() <= NEAR_PX for s in found)
        return True if is_found else None

    def _measured(self, asked: Asked) -> float | None:
        if self.tree is None or not self.tree.branches:
            return None
        if asked.kind is Kind.BRANCHES:
            return float(num_branches(self.tree, asked.threshold))
        return narrowest_px(self.tree)[0]


def num_branches(tree: VesselMeasures, least_px: float) -> int:
    """Return how many branches are at least so long."""
    return sum(branch.length_px >= least_px for branch in tree.branches)


def narrowest_px(tree: VesselMeasures) -> tuple[float, float, float]:
    """Return the least calibre of all branches, and the row and column where it is."""
    branch = min(tree.branches, key=lambda branch: branch.calibre_N_px[branch.narrowest])
    row, column = branch.points_N2[branch.narrowest].tolist()
    return float(branch.calibre_N_px[branch.narrowest]), row, column


def described(facts: Facts, kinds: Sequence[Asked]) -> dict[Asked, Value]:
    """Return what the labels tell of several things, in order."""
    told = {asked: facts.value(asked) for asked in kinds}
    return {asked: value for asked, value in told.items() if value is not None}
