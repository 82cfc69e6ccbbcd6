"""What is written for nnU-Net says the same as the data set: images, masks, and who belongs to which part."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from angiova.data import rle
from angiova.data.manifest import Manifest, write_dataset
from angiova.data.records import Split, Target
from angiova.data.syntax import TREE_PHRASE, segment_phrase
from angiova.errors import DataError
from angiova.export.nnunet import DATASET_FOLDER, export_nnunet
from models import write_frames


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return write_frames(tmp_path / "data")


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_images_and_masks_come_back(manifest: Manifest, tmp_path: Path) -> None:
    folder = export_nnunet(manifest, tmp_path / "raw", TREE_PHRASE, Split.TRAIN, Split.VAL)
    assert folder == tmp_path / "raw" / DATASET_FOLDER
    records = [*manifest.records(Split.TRAIN), *manifest.records(Split.VAL)]
    for record in records:
        np.testing.assert_array_equal(
            read(folder / "imagesTr" / f"{record.frame_id}_0000.png"), manifest.read_image(record)
        )
        label = read(folder / "labelsTr" / f"{record.frame_id}.png")
        np.testing.assert_array_equal(label, rle.decode(record.targets[0].mask).astype(np.uint8))
    names = {path.name for path in (folder / "labelsTr").iterdir()}
    assert names == {f"{record.frame_id}.png" for record in records}
    assert len(list((folder / "imagesTr").iterdir())) == len(records)


def test_the_split_is_ours_and_test_patients_are_not_there(manifest: Manifest, tmp_path: Path) -> None:
    folder = export_nnunet(manifest, tmp_path / "raw", TREE_PHRASE, Split.TRAIN, Split.VAL)
    (fold,) = json.loads((folder / "splits_final.json").read_text())
    members = {split: {r.frame_id for r in manifest.records(split)} for split in Split}
    assert (set(fold["train"]), set(fold["val"])) == (members[Split.TRAIN], members[Split.VAL])
    written = {path.stem for path in (folder / "labelsTr").iterdir()}
    assert not written & members[Split.TEST]
    description = json.loads((folder / "dataset.json").read_text())
    assert description["numTraining"] == len(written)
    assert description["labels"] == {"background": 0, TREE_PHRASE: 1}
    assert (description["file_ending"], description["channel_names"]) == (".png", {"0": "grey"})


def test_two_observers_are_united(manifest: Manifest, tmp_path: Path) -> None:
    def second(target: Target) -> Target:
        flipped = rle.encode(np.flipud(rle.decode(target.mask)))
        return replace(target, mask=flipped, observer="second")

    records = [replace(r, targets=(r.targets[0], second(r.targets[0]))) for r in manifest.records()]
    records = [replace(r, image=str(manifest.image_path(r))) for r in records]
    (tmp_path / "two").mkdir()
    two = write_dataset(tmp_path / "two", records, manifest.provenance)
    folder = export_nnunet(two, tmp_path / "raw", TREE_PHRASE, Split.TRAIN, Split.VAL)
    one = rle.decode(records[0].targets[0].mask)
    np.testing.assert_array_equal(read(folder / "labelsTr" / f"{records[0].frame_id}.png"), one | np.flipud(one))


def test_a_part_without_the_phrase_is_named(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no frame with 'left main' in split 'train'"):
        export_nnunet(manifest, tmp_path / "raw", "left main", Split.TRAIN, Split.VAL)
    assert not (tmp_path / "raw" / DATASET_FOLDER / "dataset.json").exists()


def test_nnunet_itself_finds_nothing_wrong(manifest: Manifest, tmp_path: Path) -> None:
    if importlib.util.find_spec("nnunetv2") is None:
        pytest.skip("nnU-Net is not installed; it checks the export in every run of `method: nnunet`")
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    folder = export_nnunet(manifest, tmp_path / "raw", segment_phrase("6"), Split.TRAIN, Split.VAL)
    verify_dataset_integrity(str(folder), num_processes=1)
