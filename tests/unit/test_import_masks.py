"""Folders of images and masks: names, observers, field of view, and the pattern language."""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from angiova.data.importers import ImportOptions
from angiova.data.importers.pattern import PathPattern
from angiova.data.manifest import Manifest
from angiova.data.records import Origin, Split, TargetKind
from angiova.data.rle import decode
from angiova.errors import ConfigError
from sources import noise, records_of, run_import, square_mask, write_image, write_masks


def test_masks_of_the_same_name_belong_to_an_image(tmp_path: Path) -> None:
    report = run_import(write_masks(tmp_path / "source"), tmp_path / "out")
    assert (report.format, report.num_frames, report.targets_by_kind) == ("masks", 2, {"vessel_tree": 2})
    (target,) = records_of(tmp_path / "out")["a0"].targets
    assert (target.phrase, target.kind, target.observer) == ("blood vessels", TargetKind.VESSEL_TREE, None)
    np.testing.assert_array_equal(decode(target.mask), square_mask() > 0)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("21.png", "21_mask.png"),
        ("21_training.png", "21_manual1.png"),
        ("Image_01L.jpg", "Image_01L_1stHO.png"),
        ("p1/f2.png", "p1/f2.png"),
        ("a_test.png", "a_test.png"),
        ("images.png", "images.png"),
        ("masks.png", "masks.png"),
    ],
)
def test_endings_of_names_are_understood(tmp_path: Path, image: str, mask: str) -> None:
    write_image(tmp_path / "source" / "images" / image, noise(1))
    write_image(tmp_path / "source" / "masks" / mask, square_mask())
    run_import(tmp_path / "source", tmp_path / "out")
    (record,) = Manifest(tmp_path / "out").records()
    assert [target.mask.area_px for target in record.targets] == [64]


def test_folders_of_masks_are_observers_and_fov_is_the_field_of_view(tmp_path: Path) -> None:
    source = write_masks(tmp_path / "source", num_images=1)
    write_image(source / "masks_second" / "a0.png", square_mask())
    write_image(source / "pseudo_masks" / "a0.png", square_mask())
    write_image(source / "fov" / "a0.png", square_mask())
    run_import(source, tmp_path / "out")
    (record,) = Manifest(tmp_path / "out").records()
    assert [(target.observer, target.origin) for target in record.targets] == [
        ("masks", Origin.MANUAL),
        ("masks_second", Origin.MANUAL),
        ("pseudo_masks", Origin.PSEUDO),
    ]
    assert record.field_of_view is not None
    assert record.field_of_view.area_px == 64


def test_split_folders_are_kept(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write_masks(tmp_path / "source" / part, num_images=1)
        write_image(tmp_path / "source" / part / "images" / "a0.png", noise(len(part) + ord(part[1])))
    run_import(tmp_path / "source", tmp_path / "out")
    splits = {name: record.split for name, record in records_of(tmp_path / "out").items()}
    assert splits == {"train-a0": Split.TRAIN, "val-a0": Split.VAL, "test-a0": Split.TEST}


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 7)])
def test_any_two_values_with_zero_are_a_mask(tmp_path: Path, values: tuple[int, int]) -> None:
    source = write_masks(tmp_path / "source", num_images=1)
    write_image(source / "masks" / "a0.png", square_mask(value=values[1]))
    run_import(source, tmp_path / "out")
    assert records_of(tmp_path / "out")["a0"].targets[0].mask.area_px == 64


def test_empty_mask_is_labelled_and_absent(tmp_path: Path) -> None:
    source = write_masks(tmp_path / "source", num_images=1)
    write_image(source / "masks" / "a0.png", np.zeros_like(square_mask()))
    run_import(source, tmp_path / "out")
    assert [target.mask.is_empty for target in records_of(tmp_path / "out")["a0"].targets] == [True]


def test_colour_image_becomes_grey_and_says_so(tmp_path: Path) -> None:
    source = write_masks(tmp_path / "source", num_images=1)
    colour = np.stack([noise(1), noise(2), noise(3)], axis=-1)
    write_image(source / "images" / "a0.png", colour)
    run_import(source, tmp_path / "out")
    manifest = Manifest(tmp_path / "out")
    (record,) = manifest.records()
    assert (record.photometry.channels, record.photometry.bits, record.photometry.inverted) == (3, 8, False)
    grey_HW = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(manifest.read_image(record) - grey_HW).max() <= 0.51


def test_bright_vessels_are_stored_dark(tmp_path: Path) -> None:
    source = write_masks(tmp_path / "source", num_images=1)
    run_import(source, tmp_path / "out", bright_vessels=True)
    manifest = Manifest(tmp_path / "out")
    (record,) = manifest.records()
    stored = np.asarray(Image.open(source / "images" / "a0.png"))
    np.testing.assert_array_equal(manifest.read_image(record), 255 - stored)
    assert record.photometry.inverted
    with pytest.raises(ConfigError, match="leave --reference out"):
        ImportOptions(bright_vessels=True, reference=True)


def test_same_pixels_under_two_names_are_a_warning(tmp_path: Path) -> None:
    source = write_masks(tmp_path / "source")
    write_image(source / "images" / "a1.png", noise(0))
    report = run_import(source, tmp_path / "out")
    assert [(finding.code, finding.severity) for finding in report.findings] == [("duplicate-pixels", "warning")]
    assert report.num_frames == 2


@pytest.mark.parametrize(
    ("pattern", "path", "patient", "run", "frame"),
    [
        ("images/Image_{patient}{*}", "images/Image_01L.png", "01", None, None),
        ("{patient}_{run}/images/frame_{frame}", "p1_run2/images/frame_00007.jpg", "p1", "run2", 7),
        ("{patient}/{run}/{frame}", "Doe/3/12.png", "Doe", "3", 12),
        ("{*}/{patient}-{frame}", "a/b/x-1.png", "x", None, 1),
        ("{patient}{run}/{*}", "AB12/x.png", "AB", "12", None),
        ("{patient}.{frame}", "1.2.840.5.png", "1.2.840", None, 5),
    ],
)
def test_pattern_reads_paths(pattern: str, path: str, patient: str, run: str | None, frame: int | None) -> None:
    named = PathPattern(pattern).match(PurePath(path))
    assert named is not None
    assert (named.patient, named.run, named.frame) == (patient, run, frame)


@pytest.mark.parametrize("path", ["images/Image_.png", "Image_01L.png", "images/Image__1.png"])
def test_pattern_must_fit_the_whole_path(path: str) -> None:
    assert PathPattern("images/Image_{patient}{*}").match(PurePath(path)) is None


@pytest.mark.parametrize("pattern", ["{person}", "{patient}/{patient}", "nothing", "{patient", "{}"])
def test_pattern_that_makes_no_sense_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="--pattern"):
        PathPattern(pattern)


def test_real_chase_has_two_observers_and_a_field_of_view(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "chase_db1"
    report = run_import(source, tmp_path / "out", pattern="images/Image_{patient}{*}", reference=True)
    records = records_of(tmp_path / "out")
    assert (report.num_frames, report.num_patients, report.targets_by_kind) == (14, 7, {"vessel_tree": 28})
    assert records["Image_01L"].patient == records["Image_01R"].patient == "01"
    for record in records.values():
        assert [target.observer for target in record.targets] == ["masks", "masks_observer2"]
        assert (record.photometry.channels, record.photometry.inverted) == (3, False)
        assert record.field_of_view is not None
        assert 0.5 < record.field_of_view.area_px / (record.height * record.width) < 0.9
