"""The phase of the contrast in a run, told from how much vessel its labelled frames show.

No record states the phase. Where enough frames of a run have a labelled vessel tree, the area of the tree tells it:
empty before and after the contrast; full from the first to the last frame with most of the run's largest area.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from angiova.data.records import TargetKind
from angiova.evaluation.cases import Case

MIN_FRAMES: Final = 3
FULL_SHARE: Final = 0.8


class Phase(StrEnum):
    """What the contrast does in a frame."""

    NONE = "1 no contrast"
    FILLING = "2 filling"
    FULL = "3 full"
    WASHOUT = "4 washout"


def phases(area_of_frame: Mapping[int, int]) -> dict[int, Phase]:
    """Return the phase of each labelled frame of one run; none below three frames, or where no vessel was labelled.

    Args:
        area_of_frame: area of the vessel tree in pixels, by index of the frame in the run.
    """
    largest = max(area_of_frame.values(), default=0)
    if len(area_of_frame) < MIN_FRAMES or not largest:
        return {}
    full = [frame for frame, area_px in area_of_frame.items() if area_px >= FULL_SHARE * largest]
    return {frame: _phase(frame, area_px, min(full), max(full)) for frame, area_px in area_of_frame.items()}


def with_phases(cases: Sequence[Case]) -> list[Case]:
    """Return the cases with the phase of their frame, where it can be told."""
    areas: dict[tuple[str | None, str], dict[int, int]] = {}
    for case in cases:
        if case.kind is TargetKind.VESSEL_TREE:
            areas.setdefault((case.patient, case.run), {})[case.frame] = case.counts.tp + case.counts.fn
    found = {run: phases(area_of_frame) for run, area_of_frame in areas.items()}
    return [replace(case, phase=found.get((case.patient, case.run), {}).get(case.frame)) for case in cases]


def _phase(frame: int, area_px: int, first_full: int, last_full: int) -> Phase:
    if area_px == 0:
        return Phase.NONE
    if first_full <= frame <= last_full:
        return Phase.FULL
    return Phase.FILLING if frame < first_full else Phase.WASHOUT
