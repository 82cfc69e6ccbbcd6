"""One case is one thing asked on one frame; here it gets its scores, empty masks included (see `scores`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from angiova.data import rle
from angiova.data.records import FrameRecord, Origin, Prediction, Target, TargetKind
from angiova.data.rle import BoolMask, Rle
from angiova.errors import DataError
from angiova.evaluation.branches import BranchCounts, CalibreClass
from angiova.evaluation.calibration import BinCounts, count_bins
from angiova.evaluation.metrics import METRICS
from angiova.evaluation.overlap import Counts
from angiova.evaluation.scores import Outcome, score_masks
from angiova.evaluation.views import view_of

Answers = Mapping[tuple[str, str], Prediction]
"""Predictions by frame_id and phrase."""

__all__ = ["METRICS", "Answers", "Case", "Outcome", "merged_targets", "score_frame", "score_target"]


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
        scores: each of METRICS that the case can have; None for a case that is absent from target and answer alike.
        branches: the target's branches by calibre class, and how far the answer covers them.
        bins: pixels by the probability that the model gave them; None where probabilities were not kept.
        view: where the C-arm stood, see `angiova.evaluation.views`; None where the angles are unknown.
        phase: of the contrast in the run, see `angiova.evaluation.phases`; None where it cannot be told.
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
    branches: Mapping[CalibreClass, BranchCounts] = field(default_factory=dict)
    bins: BinCounts | None = None
    view: str | None = None
    phase: str | None = None

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
    found = score_masks(target_HW, answer_HW, answered=answer is not None, spacing_mm=record.spacing_mm)
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
        outcome=found.outcome,
        answered=answer is not None,
        presence=None if answer is None else answer.presence,
        counts=found.counts,
        scores=found.values,
        branches=found.branches,
        bins=_bins(record, target, answer),
        view=None if record.angles_deg is None else view_of(*record.angles_deg),
    )


def _bins(record: FrameRecord, target: Target, answer: Prediction | None) -> BinCounts | None:
    if answer is None or answer.levels is None:
        return None
    for level in answer.levels.at_least:
        _refuse_other_size(record, level)
    return count_bins(target.mask, answer.levels)


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
