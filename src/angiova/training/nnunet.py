"""A run that lets nnU-Net train itself on our split, and keeps its model as a checkpoint of ours.

RUN/nnunet/raw            the data set as `angiova.export.nnunet` writes it
RUN/nnunet/preprocessed   nnU-Net's plans and preprocessed frames
RUN/nnunet/results        its logs, curves and checkpoints
RUN/checkpoints/          its model folder, once it has finished
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Final

import torch

from angiova.baselines.nnunet import MODEL_DIR, WEIGHTS_NAME, NnunetConfig, find_tool, run_tool
from angiova.baselines.settings import NnunetSettings
from angiova.data.manifest import Manifest
from angiova.data.records import Split
from angiova.errors import ExitCode
from angiova.export.nnunet import DATASET_FOLDER, DATASET_ID, SPLITS_NAME, export_nnunet
from angiova.files import read_json, write_json
from angiova.inference.predictor import choose_device
from angiova.run_record import RunRecord, write_run
from angiova.training import record as facts
from angiova.training.checkpoints import complete_checkpoints, mark_complete
from angiova.training.config import Recipe
from angiova.training.phrase import phrase_to_train
from angiova.training.run_folder import CHECKPOINTS_DIR, prepare_folder, start_record

CONFIGURATION: Final = "2d"
PLANS_OF: Final = {
    "ExperimentPlanner": "nnUNetPlans",
    "nnUNetPlannerResEncM": "nnUNetResEncUNetMPlans",
    "nnUNetPlannerResEncL": "nnUNetResEncUNetLPlans",
}
FOLD: Final = 0
# nnU-Net's own constant, `num_iterations_per_epoch`.
STEPS_AN_EPOCH: Final = 250


def train_nnunet(recipe: Recipe, settings: NnunetSettings, resume: bool) -> ExitCode:
    """Export, plan, train, and keep the result; with `resume` nnU-Net goes on from its own last checkpoint.

    Raises:
        ConfigError: nnU-Net is not installed, or the folder holds another run.
        DataError: there are no frames to train or to validate on.
        ModelError: one of nnU-Net's tools failed.
    """
    started = time.monotonic()
    find_tool("nnUNetv2_train")
    if resume and complete_checkpoints(recipe.output / CHECKPOINTS_DIR):
        return ExitCode.DONE
    if not resume:
        prepare_folder(recipe.output, resume=False)
    device = choose_device(recipe.device)
    manifest = Manifest(recipe.data.folder)
    phrase = phrase_to_train(settings, manifest, recipe)
    record = start_record(recipe, manifest, [], STEPS_AN_EPOCH * settings.epochs, device, resume)
    if not resume:
        record.messages.append(f"nnU-Net's losses and curves are in {MODEL_DIR}/results, in its own words")
    try:
        write_run(recipe.output, record)
        record.status = "failed"
        _run_tools(recipe, settings, manifest, phrase, device)
        _keep(record, recipe, settings, phrase)
        record.status = "finished"
    except KeyboardInterrupt:
        record.status = "stopped"
        return ExitCode.FAILED
    finally:
        record.finished = facts.now()
        seconds = record.resources.seconds
        seconds["total"] = round(seconds.get("total", 0) + time.monotonic() - started, 1)
        write_run(recipe.output, record)
    return ExitCode.DONE


def trainer_name(epochs: int) -> str:
    """Return nnU-Net's name for its trainer of so many epochs."""
    if epochs == NnunetSettings.model_fields["epochs"].default:
        return "nnUNetTrainer"
    return f"nnUNetTrainer_{epochs}epoch{'s' if epochs > 1 else ''}"


def model_folder(folder: Path, settings: NnunetSettings) -> Path:
    """Return where nnU-Net puts what it trained."""
    name = f"{trainer_name(settings.epochs)}__{PLANS_OF[settings.planner]}__{CONFIGURATION}"
    return folder / "results" / DATASET_FOLDER / name


def _run_tools(recipe: Recipe, settings: NnunetSettings, manifest: Manifest, phrase: str, device: torch.device) -> None:
    """Do the steps that are not done yet; each leaves the file that shows it was done."""
    folder = recipe.output / MODEL_DIR
    raw, prepared = folder / "raw", folder / "preprocessed" / DATASET_FOLDER
    if not (raw / DATASET_FOLDER / "dataset.json").exists():
        export_nnunet(manifest, raw, phrase, Split(recipe.data.train_split), Split(recipe.validation.split))
    if not (prepared / SPLITS_NAME).exists():
        options: list[object] = ["-d", DATASET_ID, "-c", CONFIGURATION, "-pl", settings.planner]
        run_tool("nnUNetv2_plan_and_preprocess", [*options, "--verify_dataset_integrity"], folder)
        shutil.copy(raw / DATASET_FOLDER / SPLITS_NAME, prepared / SPLITS_NAME)
    begun = (model_folder(folder, settings) / f"fold_{FOLD}" / "checkpoint_latest.pth").exists()
    options = [DATASET_ID, CONFIGURATION, FOLD, "-tr", trainer_name(settings.epochs)]
    options += ["-p", PLANS_OF[settings.planner], "-device", device.type]
    workers = {} if recipe.data.workers is None else {"nnUNet_n_proc_DA": str(recipe.data.workers)}
    run_tool("nnUNetv2_train", [*options, *(["--c"] if begun else [])], folder, workers)


def _keep(record: RunRecord, recipe: Recipe, settings: NnunetSettings, phrase: str) -> None:
    """Copy what prediction needs into a checkpoint, and write down how much was trained."""
    trained, steps = model_folder(recipe.output / MODEL_DIR, settings), STEPS_AN_EPOCH * settings.epochs
    folder = recipe.output / CHECKPOINTS_DIR / f"checkpoint-{steps}"
    fold = f"fold_{FOLD}"
    (folder / MODEL_DIR / fold).mkdir(parents=True, exist_ok=True)
    for name in ("dataset.json", "plans.json", f"{fold}/{WEIGHTS_NAME}"):
        shutil.copy(trained / name, folder / MODEL_DIR / name)
    write_json(folder / "config.json", NnunetConfig(phrase=phrase).model_dump())
    mark_complete(folder)
    record.checkpoints = [facts.checkpoint_facts(recipe.output, folder, "last", steps, {})]
    batch = int(read_json(trained / "plans.json")["configurations"][CONFIGURATION]["batch_size"])
    record.progress.optimizer_steps = record.progress.micro_steps = steps
    record.progress.samples_seen = steps * batch
