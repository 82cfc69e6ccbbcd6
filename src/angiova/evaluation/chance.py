"""Does the model follow the name it was asked for? Its answers are compared with those for *other* names.

A model that answers every segment's name with the same mask has a margin of 0, however good the mask looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from angiova.data import rle
from angiova.data.records import FrameRecord, Target
from angiova.data.rle import Rle
from angiova.evaluation.cases import Answers, merged_targets
from angiova.evaluation.result import ChanceLevel
from angiova.evaluation.statistics import Observation, mean_interval, patient_means


@dataclass(frozen=True, slots=True)
class FrameChance:
    """Mean Dice of a frame's named segments with their own answer and with those for the others.

    Attributes:
        num_pairs: ordered pairs of a target and another segment's answer.
        by_segment: mean Dice with the others' answers, by SYNTAX number.
    """

    frame_id: str
    run: str
    patient: str | None
    num_pairs: int
    asked: float
    chance: float
    by_segment: dict[str, float]


def chance_of_frame(record: FrameRecord, answers: Answers) -> FrameChance | None:
    """Score each named segment of a frame against its own answer and against every other segment's; None below two.

    Only segments present in the target take part, on both sides: an empty answer, right for a segment that is not
    there, would lower the chance level and flatter the margin.
    """
    targets = [target for target in merged_targets(record) if target.segment is not None and not target.mask.is_empty]
    if len({target.phrase for target in targets}) < 2:
        return None
    dice_TT = _dice_matrix(targets, [_answer(record, target, answers) for target in targets])
    own_TT = np.array([[target.phrase == other.phrase for other in targets] for target in targets])
    chance_T = [float(row[~own].mean()) for row, own in zip(dice_TT, own_TT, strict=True)]
    by_segment: dict[str, list[float]] = {}
    for target, value in zip(targets, chance_T, strict=True):
        by_segment.setdefault(str(target.segment), []).append(value)
    return FrameChance(
        frame_id=record.frame_id,
        run=record.run,
        patient=record.patient,
        num_pairs=int(np.count_nonzero(~own_TT)),
        asked=float(np.diagonal(dice_TT).mean()),
        chance=fmean(dice_TT[~own_TT].tolist()),
        by_segment={segment: fmean(values) for segment, values in by_segment.items()},
    )


def chance_level(frames: Sequence[FrameChance]) -> ChanceLevel | None:
    """Summarise the margin over patients, or over frames where a frame has no patient; None without frames.

    `asked`, `chance` and `margin` are means over the same unit as the interval, see `mean_interval`.
    """
    if not frames:
        return None
    asked, chance, margins = (
        _unit_means(frames, values)
        for values in ([f.asked for f in frames], [f.chance for f in frames], [f.asked - f.chance for f in frames])
    )
    return ChanceLevel(
        num_frames=len(frames),
        num_pairs=sum(frame.num_pairs for frame in frames),
        asked=fmean(asked),
        chance=fmean(chance),
        margin=fmean(margins),
        unit="frame" if any(frame.patient is None for frame in frames) else "patient",
        interval=mean_interval(margins),
        chance_by_segment=_segment_means(frames),
    )


def _unit_means(frames: Sequence[FrameChance], values: Sequence[float]) -> list[float]:
    observations = [Observation(f.frame_id, f.run, f.patient, v) for f, v in zip(frames, values, strict=True)]
    means = patient_means(observations)
    return list(values) if means is None else list(means.values())


def _segment_means(frames: Sequence[FrameChance]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for frame in frames:
        for segment, value in frame.by_segment.items():
            values.setdefault(segment, []).append(value)
    return {segment: fmean(of_segment) for segment, of_segment in values.items()}


def _answer(record: FrameRecord, target: Target, answers: Answers) -> Rle:
    answer = answers.get((record.frame_id, target.phrase))
    return rle.empty(record.height, record.width) if answer is None or answer.mask is None else answer.mask


def _dice_matrix(targets: Sequence[Target], answers: Sequence[Rle]) -> npt.NDArray[np.float64]:
    """Return Dice of every target (row) with every answer (column), from IoU: Dice = 2 IoU / (1 + IoU)."""
    rows, columns = [target.mask.as_coco() for target in targets], [answer.as_coco() for answer in answers]
    iou_TT = coco_mask.iou(rows, columns, [0] * len(columns))
    dice_TT: npt.NDArray[np.float64] = 2 * iou_TT / (1 + iou_TT)
    return dice_TT
