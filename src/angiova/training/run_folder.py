"""The folder and the record of a run, at its start and at its end, whatever is trained."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from angiova import __version__
from angiova.data.manifest import Manifest
from angiova.errors import ConfigError
from angiova.files import write_text
from angiova.run_record import (
    METRICS_NAME,
    RUN_NAME,
    Interruption,
    ModelPart,
    Progress,
    Resources,
    RunRecord,
    read_run,
    write_run,
)
from angiova.training import processes
from angiova.training import record as facts
from angiova.training.callbacks import read_metrics
from angiova.training.checkpoints import complete_checkpoints
from angiova.training.config import Recipe, dump_recipe
from angiova.training.loop import VALIDATION_METRIC, Sa2VATrainer

CHECKPOINTS_DIR = "checkpoints"


def prepare_folder(run: Path, resume: bool) -> Path | None:
    """Return the checkpoint to go on from, or None for a fresh run.

    Raises:
        ConfigError: the folder holds another run, or there is nothing to resume.
    """
    if not resume:
        if (run / RUN_NAME).exists():
            raise ConfigError("folder already holds a run", where=run, remedy="add --resume, or choose another output")
        run.mkdir(parents=True, exist_ok=True)
        return None
    found = complete_checkpoints(run / CHECKPOINTS_DIR)
    if not found:
        raise ConfigError("no complete checkpoint to go on from", where=run, remedy="train without --resume")
    return found[-1]


def start_record(
    recipe: Recipe, manifest: Manifest, parts: list[ModelPart], planned_steps: int, device: torch.device, resume: bool
) -> RunRecord:
    """Write the recipe with every default, and return a record that says what is about to happen.

    Raises:
        ConfigError: a resumed run was planned with another number of optimizer steps.
    """
    earlier, resumed = (read_run(recipe.output) if resume else None), facts.now()
    planned_before = planned_steps if earlier is None else earlier.progress.planned_optimizer_steps
    if planned_before != planned_steps:
        raise ConfigError(
            f"the run was planned with {planned_before} optimizer steps, this is {planned_steps}",
            where=recipe.output,
            remedy="keep data.repeats, and batch.micro x batch.accumulation x devices, as they were",
        )
    if processes.is_main():
        write_text(recipe.output / "recipe.yaml", dump_recipe(recipe))
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
        model_preset=recipe.model.name,
        model_parts=parts,
        progress=Progress(planned_optimizer_steps=planned_steps),
        resources=earlier.resources if earlier else Resources(),
        messages=[*earlier.messages, f"resumed {resumed}"] if earlier else [],
        interruptions=[*earlier.interruptions, _interruption(recipe.output, earlier, resumed)] if earlier else [],
        warnings=earlier.warnings if earlier else None,
    )


def finish_record(
    record: RunRecord,
    recipe: Recipe,
    trainer: Sa2VATrainer,
    loss_weights: dict[str, float],
    status: str,
    started: float,
) -> None:
    """Write down how far the run came, what it cost and what it left.

    Args:
        record: as `start_record` made it, with what only the processes themselves could measure.
        recipe: of the run.
        trainer: after training.
        loss_weights: weight of each loss.
        status: how it ended.
        started: when, by `time.monotonic`.
    """
    state, run = trainer.state, recipe.output
    lines = read_metrics(run / METRICS_NAME)
    record.status, record.finished = status, facts.now()
    if status == "finished" and state.global_step < record.progress.planned_optimizer_steps:
        record.messages.append(
            f"ended early at optimizer step {state.global_step}: no better score in "
            f"{recipe.validation.patience} validations"
        )
    record.progress.optimizer_steps = state.global_step
    record.progress.micro_steps = state.global_step * recipe.batch.accumulation
    record.progress.samples_seen = record.progress.micro_steps * recipe.batch.micro * trainer.args.world_size
    record.losses = facts.loss_facts(lines, loss_weights)
    resources = record.resources
    seconds, spent = resources.seconds, time.monotonic() - started
    seconds["training"] = round(seconds.get("training", 0) + spent - seconds["setup"], 1)
    seconds["total"] = round(seconds.get("total", 0) + spent, 1)
    resources.peak_rss_bytes = max(resources.peak_rss_bytes, facts.peak_rss_bytes())
    resources.peak_device_bytes = [device.peak_allocated_bytes for device in resources.devices]
    validations = {line["optimizer_step"]: line["validation"] for line in lines if "validation" in line}
    best_step = max(validations, key=lambda step: validations[step][VALIDATION_METRIC], default=None)
    record.checkpoints = []
    for folder in complete_checkpoints(run / CHECKPOINTS_DIR):
        step = int(folder.name.rpartition("-")[2])
        role = "best" if step == best_step else "last"
        record.checkpoints.append(facts.checkpoint_facts(run, folder, role, step, validations.get(step, {})))
    write_run(run, record)


def newest_step(run: Path) -> int:
    """Return the optimizer step of a run's newest complete checkpoint; 0 without one."""
    found = complete_checkpoints(run / CHECKPOINTS_DIR)
    return int(found[-1].name.rpartition("-")[2]) if found else 0


def _interruption(run: Path, earlier: RunRecord, resumed: str) -> Interruption:
    """Return where the run had stopped; a record that still says "running" was left by a process that was killed."""
    return Interruption(stopped=earlier.finished, resumed=resumed, optimizer_step=newest_step(run))
