"""Programs that stand in for nnU-Net's where it is not installed: its arguments, variables and files, but no network.

`write_tools(folder)` writes them. They refuse what nnU-Net would refuse, note each call in the file that the
variable CALLS names, and "segment" by calling dark pixels vessels. What nnU-Net itself makes of the same calls is in
docs/explanation/log.md.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
from PIL import Image

DATASET = "Dataset001_vessels"
FAIL_ONCE = "stop_in_training"
CALLS = "STAND_IN_CALLS"
DARK = 100


def write_tools(folder: Path) -> None:
    """Write one program a tool into `folder`."""
    folder.mkdir(parents=True)
    for name in ("nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict_from_modelfolder"):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__)}" {name} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


def folder_of(kind: str) -> Path:
    """Return one of the three folders that nnU-Net is told of by variables."""
    return Path(os.environ[f"nnUNet_{kind}"])


def plan(arguments: argparse.Namespace) -> None:
    raw = folder_of("raw") / DATASET
    description = json.loads((raw / "dataset.json").read_text())
    labels = sorted((raw / "labelsTr").glob("*" + description["file_ending"]))
    assert len(labels) == description["numTraining"]
    for label in labels:
        with Image.open(label) as mask, Image.open(raw / "imagesTr" / f"{label.stem}_0000.png") as image:
            assert image.size == mask.size
            assert set(np.unique(np.asarray(mask))) <= set(description["labels"].values())
    assert arguments.pl == "nnUNetPlannerResEncM"
    (folder_of("preprocessed") / DATASET).mkdir(parents=True)


def train(arguments: argparse.Namespace) -> None:
    (fold,) = json.loads((folder_of("preprocessed") / DATASET / "splits_final.json").read_text())
    assert fold["train"]
    assert fold["val"]
    results = folder_of("results")
    model = results / DATASET / f"{arguments.tr}__{arguments.p}__{arguments.rest[1]}"
    (model / "fold_0").mkdir(parents=True, exist_ok=True)
    latest = model / "fold_0" / "checkpoint_latest.pth"
    assert latest.exists() == arguments.c
    if (results.parent / FAIL_ONCE).exists():
        (results.parent / FAIL_ONCE).unlink()
        latest.write_bytes(b"half way")
        sys.exit(1)
    (model / "plans.json").write_text(json.dumps({"configurations": {"2d": {"batch_size": 7}}}))
    (model / "dataset.json").write_text("{}")
    (model / "fold_0" / "checkpoint_final.pth").write_bytes(b"weights")


def predict(arguments: argparse.Namespace) -> None:
    assert (Path(arguments.m) / "fold_0" / arguments.chk).read_bytes() == b"weights"
    out = Path(arguments.o)
    out.mkdir()
    for path in Path(arguments.i).iterdir():
        with Image.open(path) as image:
            mask = (np.asarray(image) < DARK).astype(np.uint8)
        Image.fromarray(mask).save(out / path.name.replace("_0000", ""))


def main() -> None:
    tool, *words = sys.argv[1:]
    with Path(os.environ[CALLS]).open("a") as stream:
        stream.write(tool + "\n")
    parser = argparse.ArgumentParser()
    parser.add_argument("rest", nargs="*")
    for name in ("-d", "-pl", "-tr", "-p", "-device", "-i", "-o", "-m", "-f", "-chk", "-npp", "-nps"):
        parser.add_argument(name)
    parser.add_argument("--c", action="store_true")
    parser.add_argument("--verify_dataset_integrity", action="store_true")
    if tool == "nnUNetv2_plan_and_preprocess":
        parser.add_argument("-c", dest="configuration")
    {"nnUNetv2_plan_and_preprocess": plan, "nnUNetv2_train": train}.get(tool, predict)(parser.parse_args(words))


if __name__ == "__main__":
    main()
