"""Predictions against a data set: every number of the report is made here, from files that stay beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from angiova import __version__
from angiova.data.manifest import Manifest
from angiova.data.predictions import read_predictions
from angiova.data.records import Prediction, Split
from angiova.data.rle import Rle
from angiova.errors import ConfigError, DataError
from angiova.evaluation.cases import Answers, Case, merged_targets, score_frame
from angiova.evaluation.chance import FrameChance, chance_level, chance_of_frame
from angiova.evaluation.findings import scope_findings, score_findings, split_findings
from angiova.evaluation.groups import by_calibre, by_name, by_probability, main_kind, observations
from angiova.evaluation.leakage import leakage_findings
from angiova.evaluation.phases import with_phases
from angiova.evaluation.result import Evaluation, LeakageFacts, MetricSummary
from angiova.evaluation.selection import select_pictures
from angiova.evaluation.statistics import summarise
from angiova.evaluation.store import EVALUATION_NAME, read_evaluation, write_evaluation


def evaluate(
    manifest: Manifest,
    split: Split,
    predictions: Iterable[Prediction],
    phrases: tuple[str, ...] | None = None,
    leakage: LeakageFacts | None = None,
) -> Evaluation:
    """Measure predictions against every target of one split; frames are read one by one.

    `phrases` is what the model can be asked for at all, for one that knows only some: targets of other phrases are left
    out of every figure, and a finding says how many they are. None: it can be asked for anything.

    A target without a prediction scores 0 and is counted. Predictions for phrases that nobody labelled on their frame
    are counted and not scored, since nobody knows whether they are right.

    Args:
        manifest: the data set.
        split: the part to measure on.
        predictions: the answers.
        leakage: what the split shares with what the model was trained on, see `angiova.evaluation.leakage`; None where
            that is not known.

    Raises:
        DataError: the split has no targets, a prediction is given twice, or one is not of its frame's size.
    """
    answers = _answers_by_target(predictions)
    measured = _measure(manifest, split, answers, phrases)
    cases, patients = with_phases(measured.cases), _Patients.of(manifest, split)
    kind = main_kind(cases)
    main = [case for case in cases if case.kind is kind]
    independent = manifest.provenance.frames_are_independent
    return Evaluation(
        angiova_version=__version__,
        dataset=str(manifest.folder),
        manifest_sha256=manifest.sha256(),
        split=split,
        frames_are_independent=independent,
        phrases_asked=phrases,
        num_frames=len({case.frame_id for case in cases}),
        num_patients=patients.total,
        num_patients_in_training=patients.in_training,
        origins=dict(Counter(case.origin.value for case in cases)),
        num_missing_predictions=sum(not case.answered for case in cases),
        num_unasked_predictions=len(answers.keys() - {(case.frame_id, case.phrase) for case in cases}),
        kinds=by_name(cases, [case.kind.value for case in cases]),
        phrases=by_name(cases, [case.phrase for case in cases]),
        segments=by_name(cases, [case.segment for case in cases]),
        challenge_f1=challenge_f1(cases),
        chance=chance_level(measured.chances),
        leakage=leakage,
        main_kind=kind,
        patients={} if patients.total is None else by_name(main, [case.patient for case in main]),
        phases=by_name(main, [case.phase for case in main]),
        views=by_name(main, [case.view for case in main]),
        calibres=by_calibre(cases),
        calibration=by_probability(cases),
        findings=[
            *score_findings(cases, answers, measured.targets),
            *scope_findings(phrases, measured.num_left_out),
            *leakage_findings(leakage),
            *split_findings(split, patients.total, patients.in_training, independent),
        ],
        pictures=select_pictures(cases),
        cases=tuple(cases),
    )


def evaluate_files(dataset: Path, predictions: Path, split: str, out: Path) -> Evaluation:
    """Compute everything again from a data set folder and a predictions file, and write it to the folder `out`.

    Whether the model was trained on these frames cannot be seen from masks: it is taken from the evaluation that lies
    beside the predictions, where that is of the same data set and split.

    Raises:
        ConfigError: `split` is not train, val or test.
        DataError: a file is missing or unusable; see also `evaluate`.
    """
    if split not in set(Split):
        raise ConfigError(f"no such split: {split!r}", where="--split", remedy="choose train, val or test")
    manifest, answers = Manifest(dataset), read_predictions(predictions)
    earlier = _earlier(predictions.parent, manifest, Split(split))
    known, leakage = (None, None) if earlier is None else (earlier.phrases_asked, earlier.leakage)
    evaluation = evaluate(manifest, Split(split), answers, known, leakage)
    write_evaluation(out, manifest, evaluation, answers)
    return evaluation


def _earlier(folder: Path, manifest: Manifest, split: Split) -> Evaluation | None:
    """Return what was said beside the predictions about the model that made them, if it was about the same frames."""
    if not (folder / EVALUATION_NAME).exists():
        return None
    try:
        earlier = read_evaluation(folder)
    except DataError:  # of an earlier format, which computing again is the remedy for
        return None
    is_same = earlier.manifest_sha256 == manifest.sha256() and earlier.split is split
    return earlier if is_same else None


def challenge_f1(cases: Sequence[Case]) -> MetricSummary | None:
    """Return the figure that the ARCADE challenge ranks by, for named segments; None without any.

    F1 (equal to Dice) of each segment, averaged over the segments of an image, then over images. The segments of an
    image are those present in its target, missed ones scoring 0, and those asked, absent, and yet answered with a mask,
    which score 0 too. An image without any is in no mean.

    In the challenge the model must also find out *which* segments are there. Here it is asked for the labelled ones,
    so a segment that was never asked cannot be wrong, and the figure is an upper bound of the challenge's.

    Source: https://arcade.grand-challenge.org/tasks/ ("F1 score will be calculated for each image, and final F1 score
    of a participant is the average of F1 Scores of all images"); Popov et al., Scientific Data 11:20 (2024).
    """
    found = observations([case for case in cases if case.segment is not None], "dice")
    return summarise(found) if found else None


@dataclass(frozen=True, slots=True)
class _Measured:
    cases: list[Case] = field(default_factory=list)
    chances: list[FrameChance] = field(default_factory=list)
    num_left_out: int = 0
    targets: dict[tuple[str, str, str | None], Rle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Patients:
    """Patients of a split, and how many of them are in train too; None where a frame has no patient."""

    total: int | None
    in_training: int | None

    @classmethod
    def of(cls, manifest: Manifest, split: Split) -> _Patients:
        table = manifest.scan().select("patient", "split").collect()
        found = set(table.filter(pl.col("split") == split.value)["patient"])
        if None in found:
            return cls(None, None)
        trained = set(table.filter(pl.col("split") == Split.TRAIN.value)["patient"])
        return cls(len(found), len(found & trained))


def _measure(manifest: Manifest, split: Split, answers: Answers, phrases: tuple[str, ...] | None) -> _Measured:
    measured, num_targets = _Measured(), 0
    for whole in manifest.records(split):
        record = whole.only(phrases)
        num_targets += len(merged_targets(whole))
        measured.cases.extend(score_frame(record, answers))
        for target in merged_targets(record):
            measured.targets[record.frame_id, target.phrase, target.observer] = target.mask
        chance = chance_of_frame(record, answers)
        if chance is not None:
            measured.chances.append(chance)
    if not measured.cases:
        remedy = "run `angiova split`, or choose another --split"
        raise DataError(f"no labelled frames in split {split.value!r}", where=manifest.path, remedy=remedy)
    return replace(measured, num_left_out=num_targets - len(measured.cases))


def _answers_by_target(predictions: Iterable[Prediction]) -> Answers:
    answers: dict[tuple[str, str], Prediction] = {}
    for prediction in predictions:
        key = (prediction.frame_id, prediction.phrase)
        if key in answers:
            raise DataError("two predictions for one phrase", where=": ".join(key), remedy="predict into a new folder")
        answers[key] = prediction
    return answers
