"""One case is one thing asked on one frame; here it gets its scores, empty masks included.

| target  | answer          | outcome    | scores                            |
|---------|-----------------|------------|-----------------------------------|
| present | not empty       | compared   | as measured                       |
| present | empty or none   | missed     | every metric 0                    |
| absent  | not empty       | false      | every metric 0                    |
| absent  | empty           | absent     | none: counted, and in no mean     |
| absent  | none            | unanswered | every metric 0                    |

*None* means that the predictions hold no row for the case. A mean that skips missed vessels rewards a model that finds
fewer of them, which is what NaN and `nanmean` do in the usual libraries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from angiova.data import rle
from angiova.data.records import FrameRecord, Origin, Prediction, Target, TargetKind
from angiova.data.rle import BoolMask, Rle
from angiova.errors import DataError
from angiova.evaluation import overlap
from angiova.evaluation.overlap import Counts
from angiova.evaluation.topology import cldice

Answers = Mapping[tuple[str, str], Prediction]
"""Predictions by frame_id and phrase."""

METRICS: Final = ("dice", "iou", "precision", "recall", "specificity", "accuracy", "cldice")


class Outcome(StrEnum):
    """What became of a case; see the table above."""

    COMPARED = "compared"
    MISSED = "missed"
    FALSE = "false"
    ABSENT = "absent"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing asked on one frame, measured.

    Attributes:
        frame_id: the frame.
        run: its cine run.
        frame: index of the frame in its run.
        patient: its patient, where known.
        kind: what the target shows.
        phrase: what was asked.
        segment: SYNTAX number of the target, for a named segment.
        observer: who drew the target, where known; a frame drawn by two observers gives two cases.
        origin: how the target was made.
        outcome: what became of it.
        answered: whether the predictions hold an answer at all.
        presence: the model's probability that the thing is there; None without an answer.
        counts: confusion counts in pixels.
        scores: each of METRICS, between 0 and 1; None for a case that is absent from target and answer alike.
    """

    frame_id: str
    run: str
    frame: int
    patient: str | None
    kind: TargetKind
    phrase: str
    segment: str | None
    observer: str | None
    origin: Origin
    outcome: Outcome
    answered: bool
    presence: float | None
    counts: Counts
    scores: Mapping[str, float] | None

    @property
    def is_identical(self) -> bool:
        """Whether the answer equals the target in every pixel."""
        return self.answered and self.counts.fp == 0 and self.counts.fn == 0


def merged_targets(record: FrameRecord) -> list[Target]:
    """Return one target for each phrase and observer of a frame, in order; several of one phrase are united.

    A phrase is asked once and answered by one mask, so two stenoses of a frame are one target of two pieces.
    """
    groups: dict[tuple[str, str | None], list[Target]] = {}
    for target in record.targets:
        groups.setdefault((target.phrase, target.observer), []).append(target)
    return [_united(targets) for targets in groups.values()]


def score_frame(record: FrameRecord, answers: Answers) -> Iterator[Case]:
    """Yield the case of every target of a frame.

    Raises:
        DataError: an answer is not of the frame's size.
    """
    for target in merged_targets(record):
        yield score_target(record, target, answers.get((record.frame_id, target.phrase)))


def score_target(record: FrameRecord, target: Target, answer: Prediction | None) -> Case:
    """Measure one answer, or the lack of it, against one target.

    Raises:
        DataError: the answer is not of the frame's size.
    """
    target_HW, answer_HW = rle.decode(target.mask), _answer_mask(record, answer)
    counts = overlap.confusion(target_HW, answer_HW)
    outcome = outcome_of(counts, answered=answer is not None)
    return Case(
        frame_id=record.frame_id,
        run=record.run,
        frame=record.frame,
        patient=record.patient,
        kind=target.kind,
        phrase=target.phrase,
        segment=target.segment,
        observer=target.observer,
        origin=target.origin,
        outcome=outcome,
        answered=answer is not None,
        presence=None if answer is None else answer.presence,
        counts=counts,
        scores=scores_of(outcome, counts, target_HW, answer_HW),
    )


def outcome_of(counts: Counts, *, answered: bool) -> Outcome:
    """Return the outcome of a case by the table at the top of this module."""
    if counts.tp + counts.fn:
        return Outcome.COMPARED if counts.tp + counts.fp else Outcome.MISSED
    if counts.fp:
        return Outcome.FALSE
    return Outcome.ABSENT if answered else Outcome.UNANSWERED


def scores_of(outcome: Outcome, counts: Counts, target_HW: BoolMask, answer_HW: BoolMask) -> dict[str, float] | None:
    """Return each of METRICS by the table at the top of this module; masks are (H, W)."""
    if outcome is Outcome.ABSENT:
        return None
    if outcome is not Outcome.COMPARED:
        return dict.fromkeys(METRICS, 0.0)
    return {
        "dice": overlap.dice(counts),
        "iou": overlap.iou(counts),
        "precision": overlap.precision(counts),
        "recall": overlap.recall(counts),
        "specificity": overlap.specificity(counts),
        "accuracy": overlap.accuracy(counts),
        "cldice": cldice(target_HW, answer_HW),
    }


def _united(targets: list[Target]) -> Target:
    first = targets[0]
    if len(targets) == 1:
        return first
    mask = rle.union([target.mask for target in targets])
    return Target(first.phrase, first.kind, mask, first.origin, first.observer, first.segment)


def _answer_mask(record: FrameRecord, answer: Prediction | None) -> BoolMask:
    mask = rle.empty(record.height, record.width) if answer is None or answer.mask is None else answer.mask
    _refuse_other_size(record, mask)
    return rle.decode(mask)


def _refuse_other_size(record: FrameRecord, mask: Rle) -> None:
    if (mask.height, mask.width) != (record.height, record.width):
        raise DataError(
            f"predicted mask is {mask.height} x {mask.width}, the frame is {record.height} x {record.width}",
            where=record.frame_id,
            remedy="predict again, at the size of the image",
        )
