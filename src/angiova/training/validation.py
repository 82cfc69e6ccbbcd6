"""Watching a run: real inference on a few held-out frames, scored by mean Dice."""

from __future__ import annotations

from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord, Split
from angiova.evaluation.evaluate import evaluate_records
from angiova.inference.predictor import Predictor
from angiova.training.config import ValidationSettings
from angiova.training.loop import VALIDATION_METRIC


def validation_records(manifest: Manifest, settings: ValidationSettings) -> list[FrameRecord]:
    """Return the frames to look at, spread evenly over the part."""
    records = [record for record in manifest.records(Split(settings.split)) if record.targets]
    count = min(settings.frames, len(records))
    return [records[i * len(records) // count] for i in range(count)]


def validate(
    predictor: Predictor, manifest: Manifest, records: list[FrameRecord], settings: ValidationSettings
) -> dict[str, float]:
    """Predict and return mean Dice of each kind, and their mean as the score to choose checkpoints by."""
    predictions = list(predictor.predict(manifest, records, settings.batch))
    by_kind = evaluate_records(records, predictions)
    dice = {f"dice_{kind}": value for kind, value in by_kind.items()}
    return dice | {VALIDATION_METRIC: sum(dice.values()) / max(len(dice), 1)}
