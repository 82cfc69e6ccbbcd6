"""A run that trains a Frangi filter: no gradient, but the same folder and record as any other run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch

from angiova.baselines.frangi import FrangiBaseline
from angiova.baselines.settings import FrangiSettings
from angiova.baselines.tuning import LabelledImage, Tuned, tune
from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord, Split
from angiova.errors import DataError, ExitCode
from angiova.files import write_json, write_text
from angiova.inference.answers import Answerer
from angiova.inference.baseline import BaselinePredictor
from angiova.run_record import METRICS_NAME, RunRecord, write_run
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
    write_run(recipe.output, record)
    record.status = "failed"
    try:
        tuned = tune([_labelled_image(manifest, each) for each in records])
        _record_result(record, recipe, tuned, len(records), _validation(recipe, manifest, tuned, phrase), phrase)
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


def _labelled_image(manifest: Manifest, record: FrameRecord) -> LabelledImage:
    target = rle.union([target.mask for target in record.targets])
    return LabelledImage(manifest.read_image(record), rle.decode(target))


def _validation(recipe: Recipe, manifest: Manifest, tuned: Tuned, phrase: str) -> dict[str, float]:
    """Return the Dice of validation frames that the parameters were not chosen on; nothing without any."""
    if not recipe.validation.times:
        return {}
    watched = validation_records(manifest, recipe.validation, (phrase,))
    answerer: Answerer = BaselinePredictor(FrangiBaseline(phrase=phrase, parameters=tuned.parameters))
    return validate(answerer, manifest, watched, recipe.validation) if watched else {}


def _record_result(
    record: RunRecord, recipe: Recipe, tuned: Tuned, num_frames: int, validation: dict[str, float], phrase: str
) -> None:
    """Write the checkpoint, its line of metrics, and both into the record."""
    run = recipe.output
    folder = run / CHECKPOINTS_DIR / "checkpoint-0"
    baseline = FrangiBaseline(phrase=phrase, parameters=tuned.parameters)
    write_json(folder / "config.json", baseline.model_dump(mode="json"))
    mark_complete(folder)
    record.checkpoints = [facts.checkpoint_facts(run, folder, "last", 0, validation)]
    record.progress.samples_seen = num_frames
    record.messages.append(
        f"{tuned.num_tried} combinations of parameters tried on {num_frames} training frames; "
        f"the best has a mean Dice of {tuned.dice:.4f} on them"
    )
    line = {"optimizer_step": 0, "samples_seen": num_frames, "epoch": 0, "seconds": 0, "validation": validation}
    _write_metrics(run / METRICS_NAME, [line] if validation else [])


def _write_metrics(path: Path, lines: list[dict[str, object]]) -> None:
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
