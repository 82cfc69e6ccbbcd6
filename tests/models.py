"""A model with all of nano's parts that trains in seconds, and data sets for it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from angiova.data import rle
from angiova.data.manifest import Manifest, Provenance, write_dataset
from angiova.data.records import FrameRecord, Origin, Split, Target, TargetKind
from angiova.data.syntax import TREE_PHRASE, segment_phrase
from angiova.files import sha256_bytes
from angiova.model.modeling import Sa2VAModel
from angiova.model.presets import build_nano
from angiova.model.processing import Sa2VAProcessor
from angiova.training.config import Recipe, parse_recipe

SIDE_PX = 96


def small_model(refiner_width: int | None = 8) -> tuple[Sa2VAModel, Sa2VAProcessor]:
    """Return nano's architecture at a sixteenth of its input, with random weights that are always the same."""
    torch.manual_seed(0)
    model, tokenizer = build_nano(tile_px=64, segmenter_px=128, refiner_width=refiner_width)
    return model, Sa2VAProcessor(tokenizer, model.config)


def write_start(folder: Path) -> Path:
    """Write a small model to FOLDER/start and frames to FOLDER/data."""
    model, processor = small_model()
    model.save_pretrained(folder / "start")
    processor.tokenizer.save_pretrained(folder / "start")
    write_frames(folder / "data")
    return folder


def quick_recipe(start: Path, name: str, **fields: Any) -> Recipe:  # noqa: ANN401
    """Return a recipe that trains what `write_start` wrote into the run `name` beside it: four steps on a CPU."""
    values = {
        "output": str(start / name),
        "model": {"checkpoint": str(start / "start")},
        "data": {"folder": str(start / "data"), "repeats": 4, "workers": 0},
        "batch": {"micro": 4},
        "device": "cpu",
        "validation": {"times": 0},
        "log_every": 1,
        "tensorboard": False,
    }
    return parse_recipe(values | fields, where="test")


def draw_frame(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a grey image with two crossing dark bars, and the mask of each."""
    rng = np.random.default_rng(seed)
    image = rng.integers(150, 190, size=(SIDE_PX, SIDE_PX)).astype(np.uint8)
    across, down = np.zeros((2, SIDE_PX, SIDE_PX), dtype=bool)
    row, column = rng.integers(15, SIDE_PX - 20, size=2)
    across[row : row + 5, 8:-8], down[8:-8, column : column + 5] = True, True
    image[across | down] = 60
    return image, across, down


def write_frames(folder: Path, frames: int = 8, patients: int = 4) -> Manifest:
    """Write a data set of drawn frames; the last patient is validation, the one before it test."""
    (folder / "images").mkdir(parents=True)
    return write_dataset(
        folder, (_record(folder, i, patients) for i in range(frames)), Provenance("test", "drawn", "0")
    )


def _record(folder: Path, index: int, patients: int) -> FrameRecord:
    image, across, down = draw_frame(index)
    Image.fromarray(image).save(folder / "images" / f"f{index}.png")
    patient = index % patients
    split = {patients - 1: Split.VAL, patients - 2: Split.TEST}.get(patient, Split.TRAIN)
    targets = (
        Target(TREE_PHRASE, TargetKind.VESSEL_TREE, rle.encode(across | down), Origin.SIMULATED),
        Target(segment_phrase("6"), TargetKind.SEGMENT, rle.encode(across), Origin.SIMULATED, segment="6"),
        Target(segment_phrase("11"), TargetKind.SEGMENT, rle.encode(down), Origin.SIMULATED, segment="11"),
    )
    return FrameRecord(
        frame_id=f"f{index}",
        image=f"images/f{index}.png",
        height=SIDE_PX,
        width=SIDE_PX,
        source="drawn",
        source_sha256=sha256_bytes(image.tobytes()),
        run=f"r{patient}",
        patient=f"p{patient}",
        targets=targets,
        split=split,
    )


RUN_LENGTH = 6


def write_runs(folder: Path, labelled: Collection[int] | None = None) -> Manifest:
    """Write four runs of a moving bar that is missing from the first frame; frames not `labelled` have no target.

    The last run's patient is validation, the one before it test.
    """
    (folder / "images").mkdir(parents=True)
    places = [(run, frame) for run in range(4) for frame in range(RUN_LENGTH)]
    records = (_run_record(folder, run, frame, labelled is None or frame in labelled) for run, frame in places)
    return write_dataset(folder, records, Provenance("test", "drawn", "0"))


def draw_run_frame(run: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the grey image of a frame of a run, and the mask of its bar."""
    image = np.random.default_rng([run, frame]).integers(150, 190, size=(SIDE_PX, SIDE_PX)).astype(np.uint8)
    bar, row = np.zeros((SIDE_PX, SIDE_PX), dtype=bool), 10 * run + 4 * frame
    if frame > 0:
        bar[20 + row : 26 + row, 8:-8] = True
    image[bar] = 60
    return image, bar


def _run_record(folder: Path, run: int, frame: int, is_labelled: bool) -> FrameRecord:
    image, bar = draw_run_frame(run, frame)
    name = f"r{run}-{frame}"
    Image.fromarray(image).save(folder / "images" / f"{name}.png")
    tree = Target(TREE_PHRASE, TargetKind.VESSEL_TREE, rle.encode(bar), Origin.SIMULATED)
    return FrameRecord(
        frame_id=name,
        image=f"images/{name}.png",
        height=SIDE_PX,
        width=SIDE_PX,
        source="drawn",
        source_sha256=sha256_bytes(image.tobytes()),
        run=f"r{run}",
        frame=frame,
        patient=f"p{run}",
        targets=(tree,) if is_labelled else (),
        split={3: Split.VAL, 2: Split.TEST}.get(run, Split.TRAIN),
    )
