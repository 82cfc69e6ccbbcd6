"""Checkpoints that are whole, or don't count: a marker with the size and hash of each file is written last."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from angiova.files import read_json, sha256_file, write_json
from angiova.training.averaging import AVERAGE_NAME, TRAINED_NAME

COMPLETE_NAME: Final = "complete.json"
# Checkpoints of a run, the best and the newest.
KEPT: Final = 2
# What resuming needs beside a bfloat16 adapter; nobody else reads it.
FULL_PRECISION_NAME: Final = "full_precision.safetensors"
# Weights in a checkpoint that only a resumed run opens.
RESUME_NAMES: Final = (FULL_PRECISION_NAME, AVERAGE_NAME, TRAINED_NAME)


def checkpoint_path(folder: Path, optimizer_step: int) -> Path:
    """Return where the checkpoint of a step lies in a run's checkpoint folder."""
    return folder / f"{PREFIX_CHECKPOINT_DIR}-{optimizer_step}"


def mark_complete(folder: Path) -> None:
    """Write the marker that makes a checkpoint count."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != COMPLETE_NAME)
    listing = {
        path.relative_to(folder).as_posix(): {"num_bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in files
    }
    write_json(folder / COMPLETE_NAME, {"files": listing})


def complete_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints of a run's checkpoint folder, oldest first; half-written ones don't count."""
    found = [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if _is_complete(path)]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def drop_older(folder: Path, best: Path | None, keep: int = KEPT) -> None:
    """Remove checkpoints but the best and the newest complete ones, so many in all; never before there are as many."""
    complete = complete_checkpoints(folder)
    ranked = sorted(complete, key=lambda path: (path == best, complete.index(path)), reverse=True)
    for path in ranked[keep:]:
        shutil.rmtree(path)


def _is_complete(folder: Path) -> bool:
    if not (folder / COMPLETE_NAME).exists():
        return False
    files: dict[str, dict[str, Any]] = read_json(folder / COMPLETE_NAME)["files"]
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == facts["num_bytes"]
        for name, facts in files.items()
    )
