"""Writing a data set in nnU-Net's raw layout, with our split, so that it trains on the same patients.

    RAW/Dataset001_vessels/
      dataset.json                    channel, labels, number of cases, file ending
      imagesTr/FRAME_0000.png         8-bit grey, one channel
      labelsTr/FRAME.png              0 background, 1 vessel
      splits_final.json               one fold: our train and val; nnU-Net reads it beside its preprocessed data

Layout as in nnU-Net's `documentation/dataset_format.md` (version 2). Test patients are not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import write_png
from angiova.data.progress import with_progress
from angiova.data.records import FrameRecord, Split
from angiova.errors import DataError
from angiova.files import write_json

DATASET_ID: Final = 1
DATASET_FOLDER: Final = f"Dataset{DATASET_ID:03d}_vessels"
SPLITS_NAME: Final = "splits_final.json"
ENDING: Final = ".png"


def export_nnunet(manifest: Manifest, raw: Path, phrase: str, train: Split, val: Split) -> Path:
    """Write the frames of two splits on which `phrase` is labelled, and return the data set's folder.

    Several masks of the phrase on a frame, also of several observers, are united. `dataset.json` is written last.

    Raises:
        DataError: a split has no such frame, or an image cannot be read.
    """
    folder = raw / DATASET_FOLDER
    members = {split: _labelled(manifest, split, phrase) for split in (train, val)}
    records = {record.frame_id: record for part in members.values() for record in part}
    for record in with_progress(records.values(), "writing for nnU-Net", len(records)):
        write_png(folder / "imagesTr" / f"{record.frame_id}_0000{ENDING}", manifest.read_image(record))
        mask_HW = rle.decode(rle.union([target.mask for target in record.targets]))
        write_png(folder / "labelsTr" / f"{record.frame_id}{ENDING}", mask_HW.astype(np.uint8))
    write_json(folder / SPLITS_NAME, [_fold(members, train, val)])
    write_json(
        folder / "dataset.json",
        {
            "channel_names": {"0": "grey"},
            "labels": {"background": 0, phrase: 1},
            "numTraining": len(records),
            "file_ending": ENDING,
        },
    )
    return folder


def _labelled(manifest: Manifest, split: Split, phrase: str) -> list[FrameRecord]:
    records = [record for record in (r.only((phrase,)) for r in manifest.records(split)) if record.targets]
    if not records:
        problem = f"no frame with {phrase!r} in split {split.value!r}"
        raise DataError(problem, where=manifest.folder, remedy="nnU-Net needs frames to train and to validate on")
    return records


def _fold(members: Mapping[Split, list[FrameRecord]], train: Split, val: Split) -> dict[str, list[str]]:
    return {name: [r.frame_id for r in members[split]] for name, split in (("train", train), ("val", val))}
