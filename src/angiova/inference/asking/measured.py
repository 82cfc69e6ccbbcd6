"""What is measured on the masks that the model draws, for each kind of question; and why it can't be told."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from angiova.data.questions.facts import narrowest_px, num_branches
from angiova.data.questions.kinds import Asked, Kind, Value
from angiova.data.rle import BoolMask
from angiova.data.syntax import CATHETER_PHRASE, RIGHT_SEGMENTS
from angiova.inference.answers import Answerer
from angiova.inference.asking import wording
from angiova.inference.asking.quality import faults_of
from angiova.inference.asking.reply import Statement, Verdict
from angiova.inference.asking.shown import Shown
from angiova.inference.asking.vessels import DrawnVessels
from angiova.inference.predictor import PRESENCE_THRESHOLD
from angiova.morphology.anatomy import tree_side
from angiova.morphology.measures import VesselMeasures
from angiova.morphology.measuring import measure_vessels
from angiova.report.text import Text, fill

# Presence scores in between say neither that an object is there nor that it is not.
UNSURE: Final = (0.4, 0.6)
ABOUT_VESSELS: Final = frozenset({Kind.TREE, Kind.SEGMENTS, Kind.VISIBLE, Kind.BRANCHES, Kind.NARROWEST, Kind.STENOSIS})


class Measured:
    """Measurements of what is shown, each made when it is needed, and once.

    Args:
        predictor: draws the masks.
        shown: what is asked about.
    """

    def __init__(self, predictor: Answerer, shown: Shown) -> None:
        self._shown = shown
        self._vessels = DrawnVessels(predictor, shown.image_HW)

    @cached_property
    def faults(self) -> list[Text]:
        """What makes the frame useless."""
        return faults_of(self._shown.image_HW)

    @cached_property
    def tree(self) -> VesselMeasures | None:
        """The vessels as a whole; None where the model does not know them or judges them absent."""
        drawn = self._vessels.tree()
        if drawn is None or drawn.presence < PRESENCE_THRESHOLD:
            return None
        return self.of(drawn.mask_HW)

    @cached_property
    def segments(self) -> dict[str, BoolMask]:
        """Masks (H, W) of the segments that are judged present, by SYNTAX number."""
        return self._vessels.segments()

    @property
    def tree_HW(self) -> BoolMask | None:
        """The mask that `tree` is measured on."""
        drawn = self._vessels.tree()
        return None if drawn is None else drawn.mask_HW

    def of(self, mask_HW: BoolMask) -> VesselMeasures:
        """Return the measures of a mask (H, W) of the frame."""
        return measure_vessels(mask_HW, spacing_mm=self._shown.spacing_mm)

    def beside(self, phrase: str) -> Statement:
        """Return what is measured of what a phrase names."""
        drawn = self._vessels.found(phrase)
        if drawn is None:
            return Statement(phrase, None, None, Verdict.NOT_COMPARED)
        is_seen = drawn.presence >= PRESENCE_THRESHOLD and bool(drawn.mask_HW.any())
        measures = self.of(drawn.mask_HW) if is_seen else None
        size = wording.size_of(drawn.presence, int(drawn.mask_HW.sum()), measures)
        return Statement(phrase, None, size, Verdict.NOT_COMPARED, drawn.mask_HW if is_seen else None)

    def doubts(self, asked: Sequence[Asked]) -> list[Text]:
        """Return why nobody can tell what is asked; nothing where one can."""
        if self.faults:
            return self.faults
        kinds = {each.kind for each in asked}
        if kinds & ABOUT_VESSELS:
            return self._doubts_on_vessels()
        if Kind.BEST_FRAME in kinds:
            shown = self._shown.opacification
            return [wording.ONE_FRAME_SHOWN] if shown is None else [] if shown.is_clear else [wording.STEADY]
        if Kind.CATHETER in kinds:
            return self._unsure(self._presence(Kind.CATHETER), wording.CATHETER)
        if Kind.CONTRAST in kinds:
            return self._unsure(self._presence(Kind.CONTRAST), wording.CONTRAST)
        return []

    def value(self, asked: Asked) -> Value | None:
        """Return what is measured of what is asked; None where that could not be measured."""
        match asked.kind:
            case Kind.TREE:
                return tree_side(self._segment_areas_px())
            case Kind.SEGMENTS:
                return frozenset(self.segments) or None
            case Kind.VISIBLE:
                return asked.segment in self.segments
            case Kind.CATHETER | Kind.CONTRAST:
                presence = self._presence(asked.kind)
                return None if presence is None else presence >= PRESENCE_THRESHOLD
            case Kind.BEST_FRAME:
                shown = self._shown.opacification
                return None if shown is None else float(shown.peak)
        if self.tree is None or not self.tree.branches:
            return None
        match asked.kind:
            case Kind.BRANCHES:
                return float(num_branches(self.tree, asked.threshold))
            case Kind.NARROWEST:
                return narrowest_px(self.tree)[0]
            case Kind.STENOSIS:
                return any(stenosis.percent >= asked.threshold for stenosis in self.tree.stenoses)

    def detail(self, asked: Asked) -> Text | None:
        """Return what belongs to a measured value: its place, or how many pixels say so; None where nothing does."""
        if asked.kind is Kind.TREE:
            areas_px = self._segment_areas_px()
            right = sum(area for number, area in areas_px.items() if number in RIGHT_SEGMENTS)
            share = max(right, sum(areas_px.values()) - right) / max(sum(areas_px.values()), 1)
            return fill(wording.SHARE, {"percent": round(100 * share)})
        if asked.kind is Kind.NARROWEST and self.tree is not None and self.tree.branches:
            _, row, column = narrowest_px(self.tree)
            return fill(wording.PLACE, {"row": round(row), "column": round(column)})
        if asked.kind is Kind.STENOSIS and self.tree is not None and self.tree.stenoses:
            worst = self.tree.stenoses[0]
            values: dict[str, object] = {"row": round(worst.row), "column": round(worst.column)}
            return fill(wording.WORST, {**values, "percent": round(worst.percent)})
        return None

    def _segment_areas_px(self) -> dict[str, int]:
        return {number: int(mask_HW.sum()) for number, mask_HW in self.segments.items()}

    def _presence(self, kind: Kind) -> float | None:
        """Return the probability that there is a catheter or contrast; None where the model has no mask for it."""
        drawn = self._vessels.found(CATHETER_PHRASE) if kind is Kind.CATHETER else self._vessels.tree()
        return None if drawn is None else drawn.presence

    def _doubts_on_vessels(self) -> list[Text]:
        presence = self._presence(Kind.CONTRAST)
        if presence is None or presence >= PRESENCE_THRESHOLD:
            return []
        return [fill(wording.UNSEEN, {"presence": f"{presence:.2f}", "threshold": PRESENCE_THRESHOLD})]

    def _unsure(self, presence: float | None, name: Text) -> list[Text]:
        if presence is None or not UNSURE[0] <= presence < UNSURE[1]:
            return []
        return [fill(wording.UNSURE, {"name": name, "presence": f"{presence:.2f}"})]
