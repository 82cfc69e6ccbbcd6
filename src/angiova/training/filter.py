"""A run that trains a Frangi filter: no gradient, but the same folder and record as any other run."""

from __future__ import annotations

import json
import time

import numpy as np
import torch

from angiova.baselines.frangi import FILTER_PART, NUMBER_BYTES, FrangiBaseline, count_numbers
from angiova.baselines.settings import FrangiSettings
from angiova.baselines.tuning import LabelledImage, Tuned, tune
from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord, Split
from angiova.errors import DataError, ExitCode
from angiova.evaluation.cases import merged_targets
from angiova.files import write_json, write_text
from angiova.inference.baseline import BaselinePredictor
from angiova.run_record import METRICS_NAME, ModelPart, RunRecord, write_run
from angiova.training import record as facts
from angiova.training.checkpoints import complete_checkpoints, mark_complete
from angiova.training.config import Recipe
from angiova.training.phrase import phrase_to_train
from angiova.training.run_folder import CHECKPOINTS_DIR, prepare_folder, start_record
from angiova.training.validation import validate, validation_records

DEVICE = torch.device("cpu")


def tune_filter(recipe: Recipe, settings: FrangiSettings, resume: bool) -> ExitCode:
    """Choose the filter's parameters on training frames, look at the validation frames once, and record both.

    The search takes minutes and is not resumed: a run that was stopped is started anew. A finished one is left alone.

    Raises:
        ConfigError: the folder holds another run.
        DataError: no training frame has the phrase.
    """
    started = time.monotonic()
    if resume and complete_checkpoints(recipe.output / CHECKPOINTS_DIR):
        return ExitCode.DONE
    if not resume:
        prepare_folder(recipe.output, resume=False)
    manifest = Manifest(recipe.data.folder)
    phrase = phrase_to_train(settings, manifest, recipe)
    records = drawn_frames(manifest, recipe, settings.frames, phrase)
    record = start_record(recipe, manifest, [], 0, DEVICE, resume=False)
    try:
        write_run(recipe.output, record)
        record.status = "failed"
        tuned = tune([image for each in records for image in _labelled_images(manifest, each)])
        baseline = FrangiBaseline(phrase=phrase, parameters=tuned.parameters)
        _record_result(record, recipe, baseline, _validation(recipe, manifest, baseline), started)
        record.model_parts = [filter_part(tuned)]
        record.progress.samples_seen = len(records)
        record.messages.append(
            f"{tuned.num_tried} combinations of parameters tried on {len(records)} training frames; "
            f"the best has a mean Dice of {tuned.dice:.4f} on them"
        )
        record.status = "finished"
    except KeyboardInterrupt:
        record.status = "stopped"
        return ExitCode.FAILED
    finally:
        record.finished = facts.now()
        record.resources.seconds = {"total": round(time.monotonic() - started, 1)}
        record.resources.peak_rss_bytes = facts.peak_rss_bytes()
        write_run(recipe.output, record)
    return ExitCode.DONE


def drawn_frames(manifest: Manifest, recipe: Recipe, count: int, phrase: str) -> list[FrameRecord]:
    """Return training frames with the phrase, at most `count`, drawn without return by the recipe's seed.

    Raises:
        DataError: there is none.
    """
    split = Split(recipe.data.train_split)
    records = [r for r in (record.only((phrase,)) for record in manifest.records(split)) if r.targets]
    if not records:
        raise DataError(f"no frame with {phrase!r} in split {split.value!r}", where=manifest.folder)
    order = np.random.default_rng(recipe.seed).permutation(len(records))[:count]
    return [records[index] for index in sorted(order)]


def filter_part(tuned: Tuned) -> ModelPart:
    """Return the filter as a part of a model: its numbers are parameters, and all of them were chosen."""
    count = count_numbers(tuned.parameters)
    return ModelPart(name=FILTER_PART, total=count, trainable=count, num_bytes=count * NUMBER_BYTES)


def _labelled_images(manifest: Manifest, record: FrameRecord) -> list[LabelledImage]:
    """Return the frame with the mask of each observer, as evaluation counts them."""
    image_HW = manifest.read_image(record)
    return [LabelledImage(image_HW, rle.decode(target.mask)) for target in merged_targets(record)]


def _validation(recipe: Recipe, manifest: Manifest, baseline: FrangiBaseline) -> dict[str, float]:
    """Return the Dice of validation frames that the parameters were not chosen on; nothing without any."""
    if not recipe.validation.times:
        return {}
    watched = validation_records(manifest, recipe.validation, (baseline.phrase,))
    return validate(BaselinePredictor(baseline), manifest, watched, recipe.validation) if watched else {}


def _record_result(
    record: RunRecord, recipe: Recipe, baseline: FrangiBaseline, validation: dict[str, float], started: float
) -> None:
    """Write the checkpoint and what validation said of it."""
    folder = recipe.output / CHECKPOINTS_DIR / "checkpoint-0"
    write_json(folder / "config.json", baseline.model_dump(mode="json"))
    mark_complete(folder)
    record.checkpoints = [facts.checkpoint_facts(recipe.output, folder, "last", 0, validation)]
    seconds = round(time.monotonic() - started, 3)
    line = {"optimizer_step": 0, "samples_seen": 0, "epoch": 0, "seconds": seconds, "validation": validation}
    write_text(recipe.output / METRICS_NAME, json.dumps(line) + "\n" if validation else "")
