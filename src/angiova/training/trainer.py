"""A training run, told top to bottom."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PrinterCallback, ProgressCallback, TrainingArguments, set_seed

from angiova import __version__
from angiova.allocator import keep_freed_memory
from angiova.data.dataset import ExampleDataset
from angiova.data.manifest import Manifest
from angiova.data.records import Split
from angiova.errors import ConfigError, ExitCode, ModelError
from angiova.files import write_text
from angiova.inference.predictor import Predictor, choose_device
from angiova.model.adapters import Base, select_trainable
from angiova.model.fingerprint import fingerprint
from angiova.model.modeling import Sa2VAModel
from angiova.model.opening import checkpoint_folder, is_adapter, open_model
from angiova.model.parts import parameter_table
from angiova.model.presets import build, build_nano
from angiova.model.processing import Sa2VAProcessor
from angiova.model.trainable import TrainableSettings
from angiova.run_record import (
    METRICS_NAME,
    RUN_NAME,
    Interruption,
    Progress,
    Resources,
    RunRecord,
    read_run,
    write_run,
)
from angiova.training import record as facts
from angiova.training.callbacks import CleanStop, GradientGuard, MetricsFile, ProgressBar, read_metrics
from angiova.training.config import Recipe, dump_recipe
from angiova.training.loop import VALIDATION_METRIC, AdapterSaving, Sa2VATrainer, complete_checkpoints
from angiova.training.timing import StepTimer
from angiova.training.validation import validate, validation_records
from angiova.training.warmup import teach_names
from angiova.training.warnings_seen import CountedWarnings

CHECKPOINTS_DIR = "checkpoints"
# Parameters from which a checkpoint is fine-tuned through an adapter unless the recipe says otherwise.
LARGE_MODEL = 100_000_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many of everything a run has; a micro-step is one forward and backward pass on one device."""

    samples: int
    optimizer_steps: int
    samples_per_step: int
    steps_between_validations: int


def train(recipe: Recipe, resume: bool = False) -> ExitCode:
    """Train as the recipe says and return how it went.

    The run folder is described in `angiova.run_record`. Ctrl-C finishes the step, saves and returns FAILED; with
    `resume` the run goes on from its last complete checkpoint as if it had not been stopped.

    Raises:
        ConfigError: the folder holds another run, or there is nothing to resume.
        TrainingError: a loss or gradient is not finite; `run.json` and the last checkpoint are kept.
    """
    started, cpu_started_s = time.monotonic(), facts.cpu_seconds()
    keep_freed_memory()
    set_seed(recipe.seed)
    run = recipe.output
    last_checkpoint = _prepare_folder(run, resume)
    manifest = Manifest(recipe.data.folder)
    dataset = ExampleDataset(
        manifest,
        Split(recipe.data.train_split),
        recipe.data.repeats,
        recipe.seed,
        recipe.data.examples,
        recipe.data.augmentation,
    )
    schedule = plan_schedule(recipe, len(dataset))
    device = choose_device(recipe.device)
    model, processor = starting_model(recipe)
    trainable = trainable_settings(recipe, model)
    adapter = _prepare_weights(recipe, model, trainable, device)
    record = _start_record(recipe, manifest, model, schedule, device, resume)
    if recipe.language_warmup.steps and last_checkpoint is None:
        first, last = teach_names(model, processor, recipe.language_warmup, recipe.seed, device)
        record.messages.append(
            f"language warm-up: {recipe.language_warmup.steps} steps on text alone, loss {first:.2f} -> {last:.2f}"
        )
    write_run(run, record)

    watched = validation_records(manifest, recipe.validation) if schedule.steps_between_validations else []
    predictor = Predictor(model, processor, device)
    metrics = MetricsFile(run / METRICS_NAME, schedule.samples_per_step, len(dataset.records))
    progress, stop, timer, counted = ProgressBar(), CleanStop(), StepTimer(), CountedWarnings()
    trainer = Sa2VATrainer(
        model=model,
        args=_arguments(recipe, schedule, device),
        train_dataset=dataset,
        eval_dataset=watched or None,
        data_collator=processor.collate,
        processing_class=processor.tokenizer,
        callbacks=[metrics, progress, stop, GradientGuard(), timer],
        loss_weights=recipe.losses.model_dump(),
        lr_scale=recipe.optimizer.lr_scale,
        validate=lambda: validate(predictor, manifest, watched, recipe.validation),
        adapter=adapter,
    )
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    record.resources.seconds["setup"] = round(time.monotonic() - started, 1)
    status = "failed"
    try:
        with stop, counted:
            trainer.train(resume_from_checkpoint=None if last_checkpoint is None else str(last_checkpoint))
        if not stop.asked and _newest_step(run) < trainer.state.global_step:
            trainer._save_checkpoint(trainer.model, trial=None)
        status = "stopped" if stop.asked else "finished"
    finally:
        progress.close()
        record.resources.micro_step, record.resources.optimizer_step = timer.micro_step, timer.optimizer_step
        record.resources.cpu_seconds = round(
            (record.resources.cpu_seconds or 0.0) + facts.cpu_seconds() - cpu_started_s, 1
        )
        record.warnings = dict(Counter(record.warnings or {}) + counted.counts)
        _finish_record(record, recipe, trainer, status, device, started)
    return ExitCode.FAILED if stop.asked else ExitCode.DONE


def plan_schedule(recipe: Recipe, num_samples: int) -> Schedule:
    """Return the run's counts; a last incomplete optimizer step is not made."""
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    per_step = recipe.batch.micro * recipe.batch.accumulation * devices
    steps = num_samples // per_step
    if steps == 0:
        raise ConfigError(
            f"{num_samples} samples do not fill one optimizer step of {per_step}",
            where="batch",
            remedy="raise data.repeats or lower batch.micro and batch.accumulation",
        )
    times = recipe.validation.times
    return Schedule(steps * per_step, steps, per_step, math.ceil(steps / times) if times else 0)


def starting_model(recipe: Recipe) -> tuple[Sa2VAModel, Sa2VAProcessor]:
    """Return the model that the recipe starts from, on the CPU.

    Raises:
        ModelError: the checkpoint cannot be opened, or is an adapter.
    """
    if recipe.model.preset is not None:
        side = recipe.model.segmenter_px
        model, tokenizer = build(recipe.model.preset) if side is None else build_nano(segmenter_px=side)
        return model, Sa2VAProcessor(tokenizer, model.config)
    assert recipe.model.checkpoint is not None
    folder = checkpoint_folder(recipe.model.checkpoint)
    if is_adapter(folder):
        raise ModelError("training cannot start from an adapter", where=folder, remedy="fold it in: angiova merge")
    model, processor = open_model(folder)
    return model.train(), processor


def trainable_settings(recipe: Recipe, model: Sa2VAModel) -> TrainableSettings:
    """Return what is trained: what the recipe says, else an adapter on a large checkpoint, everything otherwise."""
    is_large = sum(parameter.numel() for parameter in model.parameters()) >= LARGE_MODEL
    everything = recipe.model.preset is not None or not is_large
    return recipe.trainable or (TrainableSettings.everything() if everything else TrainableSettings())


def _prepare_weights(
    recipe: Recipe, model: Sa2VAModel, trainable: TrainableSettings, device: torch.device
) -> AdapterSaving | None:
    """Choose what is trained, always in float32; below an adapter, store what is frozen as it is used.

    Raises:
        ConfigError: an adapter would have random weights as its base, which nobody could open again.
    """
    if not trainable.is_adapter:
        select_trainable(model.float(), trainable)
        return None
    if recipe.model.checkpoint is None:
        raise ConfigError(
            "an adapter needs a base on disk, not random weights of a preset",
            where="trainable.language_model",
            remedy="give model.checkpoint, or use language_model: full",
        )
    folder = checkpoint_folder(recipe.model.checkpoint).resolve()
    base = Base(folder=folder, fingerprint=fingerprint(folder))
    select_trainable(model, trainable)
    bf16 = uses_bf16(recipe, device)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16 if bf16 and not parameter.requires_grad else torch.float32)
    return AdapterSaving(base, trainable, torch.bfloat16 if bf16 else torch.float32)


def _prepare_folder(run: Path, resume: bool) -> Path | None:
    """Return the checkpoint to go on from, or None for a fresh run."""
    if not resume:
        if (run / RUN_NAME).exists():
            raise ConfigError("folder already holds a run", where=run, remedy="add --resume, or choose another output")
        run.mkdir(parents=True, exist_ok=True)
        return None
    found = complete_checkpoints(run / CHECKPOINTS_DIR)
    if not found:
        raise ConfigError("no complete checkpoint to go on from", where=run, remedy="train without --resume")
    return found[-1]


def uses_bf16(recipe: Recipe, device: torch.device) -> bool:
    """Say whether training computes in bfloat16."""
    available = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return recipe.precision == "bf16" or (recipe.precision == "auto" and available)


def _arguments(recipe: Recipe, schedule: Schedule, device: torch.device) -> TrainingArguments:
    bf16 = uses_bf16(recipe, device)
    every = schedule.steps_between_validations
    workers = recipe.data.workers if recipe.data.workers is not None else min(os.cpu_count() or 1, 8)
    if recipe.tensorboard:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(recipe.output / "tensorboard")
    return TrainingArguments(
        output_dir=str(recipe.output / CHECKPOINTS_DIR),
        max_steps=schedule.optimizer_steps,
        per_device_train_batch_size=recipe.batch.micro,
        gradient_accumulation_steps=recipe.batch.accumulation,
        dataloader_num_workers=workers,
        dataloader_drop_last=True,
        dataloader_pin_memory=device.type == "cuda",
        remove_unused_columns=False,
        learning_rate=recipe.optimizer.lr,
        weight_decay=recipe.optimizer.weight_decay,
        adam_beta1=recipe.optimizer.betas[0],
        adam_beta2=recipe.optimizer.betas[1],
        lr_scheduler_type="cosine",
        warmup_steps=round(recipe.optimizer.warmup * schedule.optimizer_steps),
        max_grad_norm=recipe.optimizer.clip,
        bf16=bf16,
        use_cpu=device.type == "cpu",
        logging_steps=recipe.log_every,
        logging_nan_inf_filter=False,
        report_to=["tensorboard"] if recipe.tensorboard else [],
        disable_tqdm=True,
        eval_strategy="steps" if every else "no",
        save_strategy="steps" if every else "no",
        eval_steps=every or None,
        save_steps=every or schedule.optimizer_steps,
        save_total_limit=2,
        load_best_model_at_end=False,
        metric_for_best_model=VALIDATION_METRIC if every else None,
        greater_is_better=True if every else None,
        seed=recipe.seed,
    )


def _start_record(
    recipe: Recipe, manifest: Manifest, model: Sa2VAModel, schedule: Schedule, device: torch.device, resume: bool
) -> RunRecord:
    write_text(recipe.output / "recipe.yaml", dump_recipe(recipe))
    earlier, resumed = (read_run(recipe.output) if resume else None), facts.now()
    return RunRecord(
        angiova_version=__version__,
        code_commit=facts.code_commit(),
        command=sys.argv,
        status="running",
        started=earlier.started if earlier else facts.now(),
        machine=facts.machine_facts(device),
        recipe=recipe.model_dump(mode="json"),
        seed=recipe.seed,
        data=facts.data_facts(manifest, recipe),
        model_preset=recipe.model.preset or str(recipe.model.checkpoint),
        model_parts=parameter_table(model),
        progress=Progress(planned_optimizer_steps=schedule.optimizer_steps),
        resources=earlier.resources if earlier else Resources(),
        messages=[*earlier.messages, f"resumed {resumed}"] if earlier else [],
        interruptions=[*earlier.interruptions, _interruption(recipe.output, earlier, resumed)] if earlier else [],
        warnings=earlier.warnings if earlier else None,
    )


def _interruption(run: Path, earlier: RunRecord, resumed: str) -> Interruption:
    """Return where the run had stopped; a record that still says "running" was left by a process that was killed."""
    return Interruption(stopped=earlier.finished, resumed=resumed, optimizer_step=_newest_step(run))


def _finish_record(
    record: RunRecord, recipe: Recipe, trainer: Sa2VATrainer, status: str, device: torch.device, started: float
) -> None:
    """Write down how far the run came, what it cost and what it left."""
    state, run = trainer.state, recipe.output
    lines = read_metrics(run / METRICS_NAME)
    record.status, record.finished = status, facts.now()
    record.progress.optimizer_steps = state.global_step
    record.progress.micro_steps = state.global_step * recipe.batch.accumulation
    record.progress.samples_seen = record.progress.micro_steps * recipe.batch.micro * trainer.args.world_size
    record.losses = facts.loss_facts(lines, recipe.losses.model_dump())
    seconds = record.resources.seconds
    seconds["training"] = round(seconds.get("training", 0) + time.monotonic() - started - seconds["setup"], 1)
    seconds["total"] = round(seconds.get("total", 0) + time.monotonic() - started, 1)
    record.resources.peak_rss_bytes = max(record.resources.peak_rss_bytes, facts.peak_rss_bytes())
    record.resources.peak_device_bytes = facts.peak_device_bytes(device)
    record.resources.devices = facts.device_memory(device)
    validations = {line["optimizer_step"]: line["validation"] for line in lines if "validation" in line}
    best_step = max(validations, key=lambda step: validations[step][VALIDATION_METRIC], default=None)
    record.checkpoints = []
    for folder in complete_checkpoints(run / CHECKPOINTS_DIR):
        step = int(folder.name.rpartition("-")[2])
        role = "best" if step == best_step else "last"
        record.checkpoints.append(facts.checkpoint_facts(run, folder, role, step, validations.get(step, {})))
    write_run(run, record)


def _newest_step(run: Path) -> int:
    found = complete_checkpoints(run / CHECKPOINTS_DIR)
    return int(found[-1].name.rpartition("-")[2]) if found else 0
