"""Cine runs from folders of frames, and Sa2VA's two list formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from angiova.data.manifest import Manifest
from angiova.data.records import Origin, TargetKind
from angiova.data.rle import decode, encode
from sources import SHAPE_PX, SQUARE, noise, records_of, run_import, square_mask, write_image, write_sa2va, write_video

PATTERN = "{patient}_{run}/images/frame_{frame}"


def write_runs(folder: Path) -> Path:
    for number in (2, 10, 9):
        write_image(folder / "p1_run1" / "images" / f"frame_{number}.png", noise(number))
    write_image(folder / "p2_run1" / "images" / "frame_0.png", noise(0))
    write_image(folder / "p1_run1" / "masks" / "frame_9.png", square_mask())
    return folder


def test_runs_are_told_apart_and_frames_sorted_by_number(tmp_path: Path) -> None:
    report = run_import(write_runs(tmp_path / "source"), tmp_path / "out", pattern=PATTERN)
    frames = [(record.run, record.frame, record.patient) for record in Manifest(tmp_path / "out").records()]
    assert frames == [("p1_run1", 0, "p1"), ("p1_run1", 7, "p1"), ("p1_run1", 8, "p1"), ("p2_run1", 0, "p2")]
    assert (report.format, report.num_runs, report.num_patients) == ("frames", 2, 2)
    assert [finding.code for finding in report.findings] == ["frames-missing"]


def test_masks_are_optional(tmp_path: Path) -> None:
    run_import(write_runs(tmp_path / "source"), tmp_path / "out", pattern=PATTERN, phrase="coronary artery tree")
    targets = {name: len(record.targets) for name, record in records_of(tmp_path / "out").items()}
    assert targets == {"p1_run1-frame_2": 0, "p1_run1-frame_9": 1, "p1_run1-frame_10": 0, "p2_run1-frame_0": 0}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("run1/f1.png", "run1/masks/f1.png"),
        ("run1/f1.png", "masks/run1/f1.png"),
        ("images/run1/f1.png", "labels/run1/f1.png"),
        ("run1/images/f1.png", "run1/pseudo_masks/f1.png"),
    ],
)
def test_masks_are_found_beside_below_and_above(tmp_path: Path, image: str, mask: str) -> None:
    write_image(tmp_path / "source" / image, noise(1))
    write_image(tmp_path / "source" / mask, square_mask())
    run_import(tmp_path / "source", tmp_path / "out", format="frames")
    (record,) = Manifest(tmp_path / "out").records()
    assert (record.run, len(record.targets)) == ("run1", 1)


def test_patients_that_share_a_folder_share_no_run(tmp_path: Path) -> None:
    for name in ("p1_0", "p1_1", "p2_0"):
        write_image(tmp_path / "source" / f"{name}.png", noise(ord(name[1]) + ord(name[3]) * 7))
    run_import(tmp_path / "source", tmp_path / "out", pattern="{patient}_{frame}")
    runs = {name: record.run for name, record in records_of(tmp_path / "out").items()}
    assert runs == {"p1_0": "p1-source", "p1_1": "p1-source", "p2_0": "p2-source"}


def test_real_cine_runs_are_pseudo_labelled(shared_data: Path, tmp_path: Path) -> None:
    report = run_import(shared_data / "angiodata_video", tmp_path / "out", pattern=PATTERN, reference=True)
    assert (report.num_frames, report.num_runs, report.num_patients) == (108, 3, 3)
    records = list(Manifest(tmp_path / "out").records())
    assert {target.origin for record in records for target in record.targets} == {Origin.PSEUDO}
    for run in {record.run for record in records}:
        frames = [record.frame for record in records if record.run == run]
        assert frames == list(range(len(frames)))


def test_sa2va_list(tmp_path: Path) -> None:
    other = [20.0, 4.0, 24.0, 4.0, 24.0, 8.0, 20.0, 8.0]
    source = write_sa2va(tmp_path / "source", [[SQUARE, SQUARE], [other], [other]], ["left main", "wire", "left main"])
    report = run_import(source, tmp_path / "out")
    targets = {t.phrase: (t.kind, t.segment, t.mask.area_px) for t in records_of(tmp_path / "out")["x"].targets}
    # Two polygons over each other are one object, not twice its area; two objects of one phrase are united.
    assert targets == {"left main": (TargetKind.SEGMENT, "5", 80), "wire": (TargetKind.OTHER, None, 16)}
    assert report.format == "sa2va"


def test_sa2va_video_unites_annotations_and_null_means_absent(tmp_path: Path) -> None:
    rest_HW = np.zeros(SHAPE_PX, dtype=bool)
    rest_HW[20:22, 20:24] = True
    masks = {"0": [encode(square_mask()).as_coco(), None], "1": [encode(rest_HW).as_coco(), None]}
    report = run_import(write_video(tmp_path / "source", masks, anno_ids=["0", "1"]), tmp_path / "out")
    first, second = Manifest(tmp_path / "out").records()
    assert (report.format, report.num_runs, first.run, second.frame) == ("sa2va-video", 1, "v1", 1)
    np.testing.assert_array_equal(decode(first.targets[0].mask), (square_mask() > 0) | rest_HW)
    assert first.targets[0].phrase == "the vessel tree"
    assert second.targets[0].mask.is_empty
