"""A training run, told top to bottom."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, TrainingArguments, set_seed

from angiova.allocator import keep_freed_memory
from angiova.baselines.settings import FrangiSettings, NnunetSettings
from angiova.data.dataset import ExampleDataset
from angiova.data.manifest import Manifest
from angiova.data.mixed import MixedExamples, num_samples
from angiova.data.records import Split
from angiova.errors import ConfigError, ExitCode, TrainingError
from angiova.files import write_text
from angiova.inference.predictor import choose_device
from angiova.model.modeling import Sa2VAModel
from angiova.model.parts import trained_parts
from angiova.run_record import METRICS_NAME, Resources, RunRecord, Throughput, write_run
from angiova.training import processes, strategies
from angiova.training import record as facts
from angiova.training.averaging import AveragedWeights
from angiova.training.callbacks import CleanStop, GradientGuard, MetricsFile, Patience, ProgressBar
from angiova.training.checkpoints import checkpoint_path
from angiova.training.config import Recipe, dump_recipe
from angiova.training.engine import uncompiled
from angiova.training.features import close_caches
from angiova.training.filter import tune_filter
from angiova.training.flops import FlopsCount, peak_flops, with_flops
from angiova.training.learner import Learner, make_learner, uses_bf16
from angiova.training.loop import VALIDATION_METRIC, CountingCollate, Sa2VATrainer
from angiova.training.nnunet import train_nnunet
from angiova.training.observing import PartGradients, count_events, describe_speed, slow_processes
from angiova.training.rehearsal import fit_batch, free_memory, halved, said
from angiova.training.run_folder import CHECKPOINTS_DIR, finish_record, newest_step, prepare_folder, start_record
from angiova.training.sampler import BucketedOrder
from angiova.training.saving import CheckpointWriter
from angiova.training.services import check_services
from angiova.training.sharded import ShardedTrainer
from angiova.training.timing import StepTimer
from angiova.training.unfreezing import Unfreezing
from angiova.training.validation import validate, validation_records
from angiova.training.warnings_seen import CountedWarnings

# Our schedules under transformers' names.
SCHEDULES = {
    "cosine": "cosine",
    "linear": "linear",
    "constant": "constant_with_warmup",
    "wsd": "warmup_stable_decay",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many of everything a run has; a micro-step is one forward and backward pass on one device."""

    samples: int
    optimizer_steps: int
    samples_per_step: int
    steps_between_validations: int


@dataclass(frozen=True, slots=True)
class Watchers:
    """Everything that looks on while a run trains."""

    metrics: MetricsFile
    progress: ProgressBar = field(default_factory=ProgressBar)
    stop: CleanStop = field(default_factory=CleanStop)
    guard: GradientGuard = field(default_factory=GradientGuard)
    timer: StepTimer = field(default_factory=StepTimer)
    flops: FlopsCount = field(default_factory=FlopsCount)
    warnings: CountedWarnings = field(default_factory=CountedWarnings)

    @property
    def callbacks(self) -> list[TrainerCallback]:
        """Those that the Trainer calls; the timer stands behind the guard, which waits for the device."""
        return [self.metrics, self.progress, self.stop, self.guard, self.timer]


def train(recipe: Recipe, resume: bool = False) -> ExitCode:
    """Train as the recipe says and return how it went.

    The run folder is described in `angiova.run_record`. Ctrl-C finishes the step, saves and returns FAILED; with
    `resume` the run goes on from its last complete checkpoint as if it had not been stopped.

    Raises:
        ConfigError: the folder holds another run, or there is nothing to resume.
        TrainingError: gradients are not finite several times in a row; `run.json` and the last checkpoint are kept.
    """
    match recipe.model.baseline:
        case FrangiSettings() as settings:
            return tune_filter(recipe, settings, resume)
        case NnunetSettings() as settings:
            return train_nnunet(recipe, settings, resume)
    return _train_by_gradient(recipe, resume)


def _train_by_gradient(recipe: Recipe, resume: bool) -> ExitCode:
    started, cpu_started_s = time.monotonic(), facts.cpu_seconds()
    check_services(recipe.report_to)
    keep_freed_memory()
    set_seed(recipe.seed)
    run, device = recipe.output, processes.own_device(choose_device(recipe.device))
    strategies.check_strategy(recipe, device)
    strategies.join(recipe.engine.strategy, device)
    last_checkpoint = prepare_folder(run, resume)
    processes.wait_for_all()
    recipe, adapted = strategies.adapt(recipe)
    manifest = Manifest(recipe.data.folder)
    learner = make_learner(recipe, manifest, device)
    dataset = _make_dataset(recipe, manifest, learner)
    schedule = plan_schedule(recipe, len(dataset))
    recipe, news = fit_batch(recipe, learner, dataset, device)
    record = start_record(recipe, manifest, learner.parts, schedule.optimizer_steps, device, resume)
    record.messages += adapted + news
    if learner.warm_up is not None and last_checkpoint is None:
        record.messages.append(learner.warm_up())
    if processes.is_main():
        write_run(run, record)

    timer, flops = StepTimer(), FlopsCount()
    peak = peak_flops(device, uses_bf16(recipe, device))

    def speed() -> Throughput | None:
        """Return how fast training has gone so far."""
        measured = timer.throughput(schedule.samples_per_step, processes.world_size())
        return with_flops(measured, flops.per_sample, peak)

    watchers = Watchers(
        MetricsFile(run / METRICS_NAME, schedule.samples_per_step, len(dataset.records)),
        ProgressBar(lambda: describe_speed(speed(), device)),
        timer=timer,
        flops=flops,
    )
    trainer = _make_trainer(recipe, learner, dataset, schedule, device, watchers)
    record.resources.seconds["setup"] = round(time.monotonic() - started, 1)
    status = "failed"
    try:
        with watchers.stop, watchers.warnings:
            while not _trains_to_the_end(trainer, last_checkpoint):
                recipe, last_checkpoint = _smaller(recipe, trainer, record)
                trainer = _make_trainer(recipe, learner, dataset, schedule, device, watchers)
        if not watchers.stop.asked and newest_step(run) < trainer.state.global_step:
            trainer._save_checkpoint(trainer.model, trial=None)
            trainer.finish_saving()
        status = "stopped" if watchers.stop.asked else "finished"
    finally:
        watchers.progress.close()
        trainer.wait_for_saving()
        record.resources.seconds["longest_save"] = round(trainer.longest_save_s, 3)
        events = count_events(watchers.timer, device) | {"skipped_steps": watchers.guard.num_skipped}
        record.resources.counters = close_caches(learner.caches) | events
        spent_s = facts.cpu_seconds() - cpu_started_s
        _note_costs(record.resources, watchers.timer, device, spent_s, is_together=status != "failed")
        record.resources.throughput = speed()
        record.warnings = dict(Counter(record.warnings or {}) + watchers.warnings.counts)
        if processes.is_main():
            finish_record(record, recipe, trainer, learner.loss_weights, status, started)
    return ExitCode.FAILED if watchers.stop.asked else ExitCode.DONE


def _make_dataset(recipe: Recipe, manifest: Manifest, learner: Learner) -> ExampleDataset | MixedExamples:
    """Return the samples of the run; every data set that is mixed in is passed over as often as its share needs."""

    def examples_of(source: Manifest, repeats: int) -> ExampleDataset:
        """Return the samples of one data set, passed over `repeats` times."""
        return ExampleDataset(
            source,
            Split(recipe.data.train_split),
            repeats,
            recipe.seed,
            learner.examples,
            recipe.data.augmentation,
            learner.phrases,
            recipe.data.clips,
            views=recipe.data.views,
            questions=recipe.data.questions,
        )

    first = examples_of(manifest, recipe.data.repeats)
    if not recipe.data.also:
        return first
    counts = num_samples(len(first), [other.share for other in recipe.data.also])
    others = []
    for other, count in zip(recipe.data.also, counts[1:], strict=True):
        once = examples_of(Manifest(other.folder), 1)
        others.append(examples_of(once.manifest, math.ceil(count / len(once))))
    return MixedExamples([first, *others], counts, recipe.seed)


def _trains_to_the_end(trainer: Sa2VATrainer, checkpoint: Path | None) -> bool:
    """Train, and say whether memory was enough; several processes cannot go on from where one of them ran out of it."""
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        trainer.finish_saving()
    except torch.OutOfMemoryError as error:
        if processes.world_size() > 1:
            raise TrainingError(
                f"out of memory at optimizer step {trainer.state.global_step}",
                where="batch.micro",
                remedy="halve it, double batch.accumulation, and go on with --resume",
            ) from error
        return False
    return True


def _smaller(recipe: Recipe, trainer: Sa2VATrainer, record: RunRecord) -> tuple[Recipe, Path | None]:
    """Halve the micro-batch; return the new recipe and a checkpoint of the last step that was made."""
    batch, step = halved(recipe.batch), trainer.state.global_step
    trainer.model.zero_grad(set_to_none=True)
    free_memory()
    record.messages.append(said(recipe.batch, batch))
    Console(stderr=True).print(record.messages[-1])
    recipe = recipe.model_copy(update={"batch": batch})
    record.recipe = recipe.model_dump(mode="json")
    write_text(recipe.output / "recipe.yaml", dump_recipe(recipe))
    if step == 0:
        return recipe, None
    trainer._save_checkpoint(trainer.model, trial=None)
    trainer.finish_saving()
    return recipe, checkpoint_path(recipe.output / CHECKPOINTS_DIR, step)


def _make_trainer(
    recipe: Recipe,
    learner: Learner,
    dataset: ExampleDataset | MixedExamples,
    schedule: Schedule,
    device: torch.device,
    watchers: Watchers,
) -> Sa2VATrainer:
    watched = []
    if schedule.steps_between_validations:
        watched = validation_records(dataset.manifest, recipe.validation, learner.phrases)
    answerer, decay = learner.answerer(), recipe.optimizer.average

    def look() -> dict[str, float]:
        """Validate the model as it is."""
        with uncompiled(recipe.engine):
            return validate(answerer, dataset.manifest, watched, recipe.validation)

    strategy = recipe.engine.strategy
    is_replica = strategy == "ddp"
    kind = Sa2VATrainer if is_replica else partial(ShardedTrainer, strategy=strategy, bf16=uses_bf16(recipe, device))
    options = _arguments(recipe, schedule, device) | strategies.arguments(recipe, learner.model, device)
    trainer = kind(
        model=learner.model,
        args=TrainingArguments(**options),
        train_dataset=dataset,
        eval_dataset=watched or None,
        data_collator=CountingCollate(learner.collate, with_keys=bool(learner.caches)),
        processing_class=learner.tokenizer,
        callbacks=[*_unfreezing(recipe, learner), *watchers.callbacks, *_patience(recipe)],
        loss_weights=learner.loss_weights,
        lr_scale=recipe.optimizer.lr_scale,
        validate=look,
        adapter=learner.adapter,
        average=None if decay is None else AveragedWeights(learner.model, decay),
        timer=watchers.timer,
        caches=learner.caches,
        order=_order(recipe, dataset, schedule),
        gradients=_part_gradients(recipe, learner),
        writer=CheckpointWriter(recipe.engine.save_in_background),
        flops=watchers.flops if is_replica else None,
        guard=watchers.guard,
        first=learner.first,
    )
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    return trainer


def _note_costs(
    resources: Resources, timer: StepTimer, device: torch.device, cpu_spent_s: float, is_together: bool
) -> None:
    """Write down what was measured; a process that failed cannot wait for the others and notes its own costs alone."""
    spent_s, devices = [cpu_spent_s], facts.device_memory(device)
    if is_together:
        resources.slow_processes = slow_processes(timer)
        spent_s, devices = processes.gather(spent_s), processes.gather(devices)
    resources.cpu_seconds = round((resources.cpu_seconds or 0.0) + sum(spent_s), 1)
    resources.devices = devices
    resources.micro_step, resources.optimizer_step = timer.micro_step, timer.optimizer_step
    if timer.first_step_s is not None:
        resources.seconds["first_step"] = round(timer.first_step_s, 1)


def plan_schedule(recipe: Recipe, num_samples: int) -> Schedule:
    """Return the run's counts; a last incomplete optimizer step is not made."""
    per_step = recipe.batch.micro * recipe.batch.accumulation * processes.world_size()
    steps = num_samples // per_step
    if steps == 0:
        raise ConfigError(
            f"{num_samples} samples do not fill one optimizer step of {per_step}",
            where="batch",
            remedy="raise data.repeats or lower batch.micro and batch.accumulation",
        )
    times = recipe.validation.times
    return Schedule(steps * per_step, steps, per_step, math.ceil(steps / times) if times else 0)


def _order(recipe: Recipe, dataset: ExampleDataset | MixedExamples, schedule: Schedule) -> BucketedOrder | None:
    if not recipe.data.bucketing:
        return None
    lengths = [dataset.size_of(index)[1] for index in range(len(dataset))]
    return BucketedOrder(lengths, schedule.samples_per_step, recipe.data.bucketing, recipe.seed)


def _unfreezing(recipe: Recipe, learner: Learner) -> list[Unfreezing]:
    starts = recipe.optimizer.unfreeze
    if not starts or not isinstance(learner.model, Sa2VAModel):
        return []
    parts = trained_parts(learner.model)
    unknown = sorted(set(starts) - set(parts))
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)} is not trained at all",
            where="optimizer.unfreeze",
            remedy=f"one of: {', '.join(parts)}",
        )
    return [Unfreezing(parts, starts)]


def _part_gradients(recipe: Recipe, learner: Learner) -> PartGradients | None:
    """Measure gradients where every device has them whole."""
    if recipe.engine.strategy != "ddp" or not isinstance(learner.model, Sa2VAModel):
        return None
    return PartGradients(trained_parts(learner.model))


def _patience(recipe: Recipe) -> list[Patience]:
    return [] if recipe.validation.patience is None else [Patience(recipe.validation.patience)]


def _arguments(recipe: Recipe, schedule: Schedule, device: torch.device) -> dict[str, Any]:
    bf16 = uses_bf16(recipe, device)
    every = schedule.steps_between_validations
    workers = recipe.data.workers if recipe.data.workers is not None else min(os.cpu_count() or 1, 8)
    if recipe.tensorboard:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(recipe.output / "tensorboard")
    return {
        "output_dir": str(recipe.output / CHECKPOINTS_DIR),
        "max_steps": schedule.optimizer_steps,
        "per_device_train_batch_size": recipe.batch.micro,
        "gradient_accumulation_steps": recipe.batch.accumulation,
        "dataloader_num_workers": workers,
        "dataloader_drop_last": True,
        "dataloader_pin_memory": device.type == "cuda",
        "accelerator_config": {"non_blocking": device.type == "cuda"},
        "remove_unused_columns": False,
        "learning_rate": recipe.optimizer.lr,
        "weight_decay": recipe.optimizer.weight_decay,
        "adam_beta1": recipe.optimizer.betas[0],
        "adam_beta2": recipe.optimizer.betas[1],
        "lr_scheduler_type": SCHEDULES[recipe.optimizer.schedule],
        "lr_scheduler_kwargs": _schedule_options(recipe, schedule),
        "warmup_steps": round(recipe.optimizer.warmup * schedule.optimizer_steps),
        "max_grad_norm": recipe.optimizer.clip,
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,
        "bf16": bf16,
        "use_cpu": device.type == "cpu",
        "logging_steps": recipe.log_every,
        "logging_nan_inf_filter": False,
        "report_to": [*(["tensorboard"] if recipe.tensorboard else []), *recipe.report_to],
        "disable_tqdm": True,
        "eval_strategy": "steps" if every else "no",
        "save_strategy": "steps" if every else "no",
        "eval_steps": every or None,
        "save_steps": every or schedule.optimizer_steps,
        "load_best_model_at_end": False,
        "metric_for_best_model": VALIDATION_METRIC if every else None,
        "greater_is_better": True if every else None,
        "seed": recipe.seed,
    }


def _schedule_options(recipe: Recipe, schedule: Schedule) -> dict[str, int]:
    if recipe.optimizer.schedule != "wsd":
        return {}
    return {"num_decay_steps": round(recipe.optimizer.cooldown * schedule.optimizer_steps)}
