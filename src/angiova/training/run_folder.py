"""The start of every run, whatever is trained: its folder, and the first version of its record."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from angiova import __version__
from angiova.data.manifest import Manifest
from angiova.errors import ConfigError
from angiova.files import write_text
from angiova.run_record import RUN_NAME, ModelPart, Progress, Resources, RunRecord, read_run
from angiova.training import processes
from angiova.training import record as facts
from angiova.training.checkpoints import complete_checkpoints
from angiova.training.config import Recipe, dump_recipe

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
    earlier = read_run(recipe.output) if resume else None
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
        messages=[*earlier.messages, f"resumed {facts.now()}"] if earlier else [],
    )
