"""Watching a run: real inference on a few held-out frames, scored by mean Dice."""

from __future__ import annotations

from statistics import fmean

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord, Prediction, Split, Target
from angiova.evaluation.cases import merged_targets
from angiova.evaluation.overlap import confusion, dice
from angiova.evaluation.statistics import Observation, frame_means, patient_means
from angiova.inference.answers import Answerer
from angiova.training import processes
from angiova.training.config import ValidationSettings
from angiova.training.loop import VALIDATION_METRIC


def validation_records(
    manifest: Manifest, settings: ValidationSettings, phrases: tuple[str, ...] | None = None
) -> list[FrameRecord]:
    """Return the frames to look at, spread evenly over the part, with the targets of these phrases; None: with all."""
    records = [r for r in (record.only(phrases) for record in manifest.records(Split(settings.split))) if r.targets]
    count = min(settings.frames, len(records))
    return [records[i * len(records) // count] for i in range(count)]


def validate(
    predictor: Answerer, manifest: Manifest, records: list[FrameRecord], settings: ValidationSettings
) -> dict[str, float]:
    """Predict and return mean Dice of each kind of target, and their mean as the score to choose checkpoints by.

    Means are over patients where they are known (frames averaged in a run, runs in a patient), else over frames.
    Targets that are absent and rightly not found are left out, as in evaluation. Several processes share the frames.
    """
    own = records[processes.rank() :: processes.world_size()]
    answers = {(p.frame_id, p.phrase): p for p in predictor.predict(manifest, own, settings.batch)}
    scores = [
        (f"dice_{target.kind}", Observation(record.frame_id, record.run, record.patient, value))
        for record in own
        for target in merged_targets(record)
        if (value := _dice(target, answers[record.frame_id, target.phrase])) is not None
    ]
    observations: dict[str, list[Observation]] = {}
    for name, observation in processes.gather(scores):
        observations.setdefault(name, []).append(observation)
    means = {name: _mean(of_kind) for name, of_kind in sorted(observations.items())}
    return means | {VALIDATION_METRIC: fmean(means.values()) if means else 0.0}


def _mean(observations: list[Observation]) -> float:
    # In the order of frames, so that a sum does not depend on which process measured what.
    frames = frame_means(sorted(observations, key=lambda observation: observation.frame_id))
    patients = patient_means(frames)
    return fmean([frame.value for frame in frames] if patients is None else patients.values())


def _dice(target: Target, answer: Prediction) -> float | None:
    """Return the Dice coefficient, or None when the object is absent and was not found."""
    if target.mask.is_empty and (answer.mask is None or answer.mask.is_empty):
        return None
    if answer.mask is None:
        return 0.0
    return dice(confusion(rle.decode(target.mask), rle.decode(answer.mask)))
