"""What makes a set of scores impossible to believe, or less than it seems.

The first report that this package's first user was given had every metric at 1.0000 ± 0.0000. These findings are errors
so that such a table never again stands without its explanation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from angiova.data.records import Finding, Severity, Split, TargetKind
from angiova.data.rle import Rle
from angiova.evaluation.cases import Answers, Case, Outcome

Targets = Mapping[tuple[str, str, str | None], Rle]

MIN_FOR_CONSTANT: Final = 5
# Metrics whose equality to the last digit on different masks cannot be chance.
_GRADED: Final = ("iou", "precision", "recall", "accuracy", "assd_px")


def score_findings(cases: Sequence[Case], answers: Answers, targets: Targets) -> list[Finding]:
    """Return what is impossible or doubtful in the scores and answers themselves.

    Args:
        cases: every case.
        answers: the predictions.
        targets: masks of the targets, by frame_id, phrase and observer.
    """
    return [
        *_of_kinds(cases),
        *_identical_answers(cases, answers),
        *_copied_targets(cases),
        *_targets_of_other_frames(cases, answers, targets),
        *_constant_metrics(cases),
        *_no_answer_found_anything(cases),
        *_missing_answers(cases),
    ]


def split_findings(
    split: Split, num_patients: int | None, num_patients_in_training: int | None, frames_are_independent: bool
) -> list[Finding]:
    """Return what limits the meaning of the scores: patients unknown, too few, or seen in training."""
    findings = []
    if split is Split.TRAIN:
        message = "these frames were trained on; the figures say nothing about other patients"
        findings.append(Finding("evaluated-on-train", Severity.WARNING, split.value, message, "evaluate on test"))
    elif num_patients_in_training:
        message = f"{num_patients_in_training} patients of this split also have frames in train"
        findings.append(Finding("patients-trained-on", Severity.ERROR, split.value, message, "split again, by patient"))
    if num_patients is None:
        stated = "; the user stated that frames are independent" if frames_are_independent else ""
        message = (
            f"frames without patient id{stated}: no figure per patient can be given, intervals would be too narrow"
        )
        findings.append(Finding("no-patient-ids", Severity.WARNING, split.value, message, "import with patient ids"))
    elif num_patients < 2:
        message = "one patient: no interval can be given"
        findings.append(Finding("one-patient", Severity.WARNING, split.value, message, "evaluate on more patients"))
    return findings


def scope_findings(phrases: tuple[str, ...] | None, num_left_out: int) -> list[Finding]:
    """Return a note on targets that the model cannot be asked for, so that they are in no figure."""
    if phrases is None or not num_left_out:
        return []
    message = (
        f"the model answers only to {', '.join(phrases)}; {num_left_out} targets of other phrases are in no figure"
    )
    return [Finding("phrases-not-asked", Severity.NOTE, "model", message, "compare it on these phrases alone")]


def _of_kinds(cases: Sequence[Case]) -> Iterator[Finding]:
    for kind in TargetKind:
        values = [case.scores["dice"] for case in cases if case.kind is kind and case.scores is not None]
        if values and min(values) == 1.0:
            message = f"all {len(values)} scores are perfect (Dice exactly 1)"
            yield _impossible("scores-perfect", kind.value, message)
        elif len(values) > 1 and max(values) == 0.0:
            # A model that has not learnt a kind scores 0 everywhere; that is bad news, not a sign of a false report.
            message, remedy = f"all {len(values)} scores are 0", "the model has not learnt this kind of target"
            yield Finding("scores-zero", Severity.WARNING, kind.value, message, remedy)
        elif len(values) > 1 and min(values) == max(values):
            message = f"all {len(values)} scores are the same (Dice {values[0]:.4f})"
            yield _impossible("scores-constant", kind.value, message)


def _identical_answers(cases: Sequence[Case], answers: Answers) -> Iterator[Finding]:
    frames_of: dict[str, list[str]] = {}
    for case in cases:
        frames_of.setdefault(case.phrase, []).append(case.frame_id)
    for phrase, frame_ids in frames_of.items():
        given = [answers.get((frame_id, phrase)) for frame_id in dict.fromkeys(frame_ids)]
        masks = {None if answer is None else answer.mask for answer in given}
        mask = next(iter(masks))
        if len(given) > 1 and len(masks) == 1 and mask is not None and not mask.is_empty:
            message = f"the same mask was predicted on all {len(given)} frames"
            yield _impossible("predictions-identical", phrase, message)


def _copied_targets(cases: Sequence[Case]) -> Iterator[Finding]:
    if all(case.is_identical for case in cases) and any(case.counts.tp for case in cases):
        message = f"on all {len(cases)} targets the prediction equals the target in every pixel"
        yield _impossible("prediction-is-target", "predictions", message)


def _targets_of_other_frames(cases: Sequence[Case], answers: Answers, targets: Targets) -> Iterator[Finding]:
    """Yield an error where masks were drawn for one frame and handed in, pixel by pixel, for another."""
    owners: dict[tuple[str, Rle], set[str]] = {}
    for (frame_id, phrase, _), mask in targets.items():
        owners.setdefault((phrase, mask), set()).add(frame_id)
    copied = []
    for frame_id, phrase in dict.fromkeys((case.frame_id, case.phrase) for case in cases):
        answer = answers.get((frame_id, phrase))
        if answer is None or answer.mask is None or answer.mask.is_empty:
            continue
        found = owners.get((phrase, answer.mask), set())
        if found and frame_id not in found:
            copied.append(frame_id)
    if copied:
        message = f"on {len(copied)} frames the prediction equals, in every pixel, the target of another frame"
        yield _impossible("prediction-is-other-target", copied[0], message)


def _constant_metrics(cases: Sequence[Case]) -> Iterator[Finding]:
    """Yield a warning where a finely graded metric never varies although Dice does; perfect ones have their own."""
    for kind in TargetKind:
        scores = [case.scores for case in cases if case.kind is kind and case.outcome is Outcome.COMPARED]
        columns = {name: [s[name] for s in scores if s is not None] for name in ("dice", *_GRADED)}
        if len(scores) < MIN_FOR_CONSTANT or len(set(columns["dice"])) == 1:
            continue
        for name in _GRADED:
            if len(set(columns[name])) == 1:
                message = f"{name} is {columns[name][0]:.4f} in all {len(scores)} compared cases, though Dice varies"
                remedy = "check what was compared with what; over- or under-segmentation everywhere does this too"
                yield Finding("metric-constant", Severity.WARNING, kind.value, message, remedy)


def _no_answer_found_anything(cases: Sequence[Case]) -> Iterator[Finding]:
    present = [case for case in cases if case.counts.tp + case.counts.fn]
    if present and all(case.outcome is Outcome.MISSED for case in present):
        message = f"all {len(present)} targets were missed"
        remedy = "look at the predictions; the model or its checkpoint is not usable"
        yield Finding("nothing-found", Severity.ERROR, "predictions", message, remedy)


def _missing_answers(cases: Sequence[Case]) -> Iterator[Finding]:
    missing = [case for case in cases if not case.answered]
    if missing:
        message = f"{len(missing)} of {len(cases)} targets have no prediction; each was scored 0"
        where = f"{missing[0].frame_id}: {missing[0].phrase}"
        yield Finding("predictions-missing", Severity.WARNING, where, message, "predict the missing frames")


def _impossible(code: str, where: str, message: str) -> Finding:
    remedy = "do not use these figures; check what was compared with what"
    return Finding(code, Severity.ERROR, where, message, remedy)
