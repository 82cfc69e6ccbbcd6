"""Filling in `run.json`: facts measured at the start, during and at the end of a run."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import torch
import transformers

from angiova import __version__
from angiova.code_version import code_commit as code_commit
from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord, Split
from angiova.data.training_frames import describe_frames, write_training_frames
from angiova.files import sha256_bytes, sha256_file
from angiova.run_record import Checkpoint, DataFacts, DeviceMemory, OtherDataFacts, SplitFacts
from angiova.training.checkpoints import COMPLETE_NAME, RESUME_NAMES
from angiova.training.config import Recipe
from angiova.training.loss_summary import loss_facts as loss_facts
from angiova.training_history import history_of


def now() -> str:
    """Return the date and time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def machine_facts(device: torch.device) -> dict[str, str | int | float | None]:
    """Return what the machine is."""
    cuda = device.type == "cuda"
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "angiova": __version__,
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "device_bytes": torch.cuda.get_device_properties(device).total_memory if cuda else None,
        "num_devices": int(os.environ.get("WORLD_SIZE", "1")),
        "cpu_cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def data_facts(manifest: Manifest, recipe: Recipe) -> DataFacts:
    """Return what was trained and validated on; write what evaluation needs to recognise frames trained on."""
    others = [(other, Manifest(other.folder)) for other in recipe.data.also]
    trained = Split(recipe.data.train_split)
    splits: dict[str, SplitFacts] = {}
    for name in sorted({recipe.data.train_split, recipe.validation.split}):
        splits[name] = _split_facts(list(manifest.records(Split(name))))
    return DataFacts(
        folder=str(manifest.folder),
        manifest_sha256=manifest.sha256(),
        frames_are_independent=manifest.provenance.frames_are_independent,
        splits=splits,
        importer=manifest.provenance.importer,
        source=manifest.provenance.source,
        licence=manifest.provenance.licence,
        training_frames_sha256=write_training_frames(
            recipe.output, _training_frames([manifest, *(each for _, each in others)], recipe)
        ),
        also=[
            OtherDataFacts(
                folder=str(each.folder),
                manifest_sha256=each.sha256(),
                share=other.share,
                trained=_split_facts(list(each.records(trained))),
                importer=each.provenance.importer,
                source=each.provenance.source,
                licence=each.provenance.licence,
            )
            for other, each in others
        ],
    )


def checkpoint_facts(
    run: Path, folder: Path, role: str, optimizer_step: int, validation: dict[str, float]
) -> Checkpoint:
    """Return what a checkpoint is: the size of all its files and the hash of its weights."""
    return Checkpoint(
        path=str(folder.relative_to(run)),
        role=role,
        optimizer_step=optimizer_step,
        num_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        sha256=_weights_sha256(folder),
        validation=validation,
    )


def _weights_sha256(folder: Path) -> str:
    """Return the hash of the weights file; of several, the hash of their names and hashes, a line each.

    A baseline without safetensors is hashed with all of its files.
    """
    weights = [path for path in folder.glob("*.safetensors") if path.name not in RESUME_NAMES]
    every = [path for path in folder.rglob("*") if path.is_file() and path.name != COMPLETE_NAME]
    files = sorted(weights or every)
    if len(files) == 1:
        return sha256_file(files[0])
    return sha256_bytes("".join(f"{path.relative_to(folder)} {sha256_file(path)}\n" for path in files).encode())


def peak_rss_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def cpu_seconds() -> float:
    """Return the processor time of this process and of those it has waited for, in seconds over all cores."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def device_memory(device: torch.device) -> list[DeviceMemory]:
    """Return the peak memory of this process's device; empty on a CPU."""
    if device.type != "cuda":
        return []
    properties = torch.cuda.get_device_properties(device)
    return [
        DeviceMemory(
            name=properties.name,
            total_bytes=properties.total_memory,
            peak_allocated_bytes=torch.cuda.max_memory_allocated(device),
            peak_reserved_bytes=torch.cuda.max_memory_reserved(device),
        )
    ]


def peak_device_bytes(device: torch.device) -> list[int]:
    """Return the most memory ever allocated on each device of this process; empty on a CPU."""
    return [torch.cuda.max_memory_allocated(device)] if device.type == "cuda" else []


def _training_frames(manifests: list[Manifest], recipe: Recipe) -> pl.DataFrame:
    """Return the frames trained on, and those that the model was trained on before this run, where they are known."""
    frames = [describe_frames(each, each.records(Split(recipe.data.train_split))) for each in manifests]
    earlier = None if recipe.model.checkpoint is None else history_of(recipe.model.checkpoint)
    return pl.concat(frames if earlier is None else [*frames, earlier])


def _split_facts(records: list[FrameRecord]) -> SplitFacts:
    patients = {record.patient for record in records}
    listing = "\n".join(sorted(record.frame_id for record in records))
    return SplitFacts(
        frames=len(records),
        patients=None if None in patients else len(patients),
        targets=sum(len(record.targets) for record in records),
        frame_ids_sha256=hashlib.sha256(listing.encode()).hexdigest(),
        runs=len({record.run for record in records}),
    )
