"""DICOM Segmentations: read back bit by bit by two readers, every frame where it belongs, nothing invented."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from angiova.errors import DataError
from angiova.export.dicom_seg import CORONARY_ARTERY, Segment, write_dicom_seg
from dicoms import run_of, write_run

Masks = npt.NDArray[np.bool_]
SHAPE_PX = (23, 37)  # neither square nor a whole number of bytes


def masks_of(num_frames: int, seed: int, shape_px: tuple[int, int] = SHAPE_PX) -> Masks:
    masks_THW = np.random.default_rng(seed).random((num_frames, *shape_px)) < 0.3
    masks_THW[num_frames // 2] = False  # a frame without vessel
    return masks_THW


def run_file(path: Path, num_frames: int, **elements: Any) -> Path:  # noqa: ANN401
    return write_run(path, run_of(num_frames, shape_px=SHAPE_PX), **elements)


def segments_of(*masks: Masks) -> list[Segment]:
    return [Segment(f"segment {n}", list(masks_THW), CORONARY_ARTERY) for n, masks_THW in enumerate(masks, start=1)]


@pytest.mark.parametrize("num_frames", [1, 2, 200])
@pytest.mark.parametrize("num_segments", [1, 3])
def test_pydicom_reads_every_bit_back(tmp_path: Path, num_frames: int, num_segments: int) -> None:
    source = run_file(tmp_path / "run.dcm", num_frames)
    masks = [masks_of(num_frames, seed) for seed in range(num_segments)]
    write_dicom_seg(tmp_path / "seg.dcm", [source], segments_of(*masks))
    found = dcmread(tmp_path / "seg.dcm")
    pixels = found.pixel_array.reshape(num_segments * num_frames, *SHAPE_PX)
    np.testing.assert_array_equal(pixels.astype(bool), np.concatenate(masks))
    for number, group in enumerate(found.PerFrameFunctionalGroupsSequence):
        segment, frame = divmod(number, num_frames)
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert image.ReferencedSOPInstanceUID == dcmread(source).SOPInstanceUID
        assert image.ReferencedFrameNumber == frame + 1
        assert group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == segment + 1
        assert list(group.FrameContentSequence[0].DimensionIndexValues) == [segment + 1, frame + 1]


@pytest.mark.parametrize("num_frames", [1, 2, 200])
def test_highdicom_reads_every_bit_back_by_source_frame(tmp_path: Path, num_frames: int) -> None:
    source = run_file(tmp_path / "run.dcm", num_frames)
    masks = [masks_of(num_frames, seed) for seed in range(2)]
    write_dicom_seg(tmp_path / "seg.dcm", [source], segments_of(*masks))
    found = highdicom.seg.segread(tmp_path / "seg.dcm")
    pixels = found.get_pixels_by_source_frame(
        source_sop_instance_uid=dcmread(source).SOPInstanceUID,
        source_frame_numbers=list(range(1, num_frames + 1)),
        ignore_spatial_locations=True,
    )
    for number, masks_THW in enumerate(masks):
        np.testing.assert_array_equal(pixels[..., number].astype(bool), masks_THW)
    assert [found.get_segment_description(n).segment_label for n in (1, 2)] == ["segment 1", "segment 2"]


def test_single_frame_files_of_a_series_are_referred_to_one_by_one(tmp_path: Path) -> None:
    values_THW = run_of(3, shape_px=SHAPE_PX)
    sources = [
        write_run(tmp_path / f"{number}.dcm", values_THW[number][None], NumberOfFrames=None) for number in range(3)
    ]
    masks_THW = masks_of(3, 0)
    write_dicom_seg(tmp_path / "seg.dcm", sources, segments_of(masks_THW))
    found = highdicom.seg.segread(tmp_path / "seg.dcm")
    pixels = found.get_pixels_by_source_instance(
        [dcmread(source).SOPInstanceUID for source in sources], ignore_spatial_locations=True
    )
    np.testing.assert_array_equal(pixels[..., 0].astype(bool), masks_THW)
    groups = dcmread(tmp_path / "seg.dcm").PerFrameFunctionalGroupsSequence
    assert all("ReferencedFrameNumber" not in g.DerivationImageSequence[0].SourceImageSequence[0] for g in groups)


def test_no_geometry_is_invented(tmp_path: Path) -> None:
    source = run_file(tmp_path / "run.dcm", 2, ImagerPixelSpacing=[0.3, 0.3])
    write_dicom_seg(tmp_path / "seg.dcm", [source], segments_of(masks_of(2, 0)))
    invented = {
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "SpacingBetweenSlices",
    }
    assert not {element.keyword for element in dcmread(tmp_path / "seg.dcm").iterall()} & invented


def test_spacing_of_the_source_is_kept(tmp_path: Path) -> None:
    source = run_file(tmp_path / "run.dcm", 2, PixelSpacing=[0.2, 0.25])
    write_dicom_seg(tmp_path / "seg.dcm", [source], segments_of(masks_of(2, 0)))
    shared = dcmread(tmp_path / "seg.dcm").SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.2, 0.25]


def test_it_joins_the_study_of_its_source(tmp_path: Path) -> None:
    source = run_file(tmp_path / "run.dcm", 2, StudyDate="20200101", AccessionNumber="A1")
    write_dicom_seg(tmp_path / "seg.dcm", [source], segments_of(masks_of(2, 0)))
    read, found = dcmread(source), dcmread(tmp_path / "seg.dcm")
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert found[keyword].value == read[keyword].value
    assert found.SeriesInstanceUID != read.SeriesInstanceUID
    assert found.SOPInstanceUID == found.file_meta.MediaStorageSOPInstanceUID


@pytest.mark.parametrize(
    ("asked", "label"),
    [
        ("segment the LAD", "segment the LAD"),
        ("分割左前降支", "分割左前降支"),
        ("artère circonflexe", "artère circonflexe"),
        ("LAD\\LCx\nand RCA", "LAD LCx and RCA"),  # a backslash would make two values of it
        ("血" * 100, "血" * 64),
    ],
)
@pytest.mark.parametrize(
    ("character_set", "name"), [(None, "DOE^JANE"), ("ISO_IR 100", "DÜRER^JÖRG"), ("GB18030", "Wang^XiaoDong=王^小东")]
)
def test_labels_and_names_come_back_in_any_script(
    tmp_path: Path, asked: str, label: str, character_set: str | None, name: str
) -> None:
    elements = {} if character_set is None else {"SpecificCharacterSet": character_set}
    source = run_file(tmp_path / "run.dcm", 2, **elements, PatientName=name)
    write_dicom_seg(tmp_path / "seg.dcm", [source], [Segment(asked, list(masks_of(2, 0)))])
    found = dcmread(tmp_path / "seg.dcm")
    assert found.SegmentSequence[0].SegmentLabel == label
    assert str(found.PatientName) == name
    if label.isascii():
        assert found.get("SpecificCharacterSet") == character_set


@pytest.mark.parametrize("label", ["", " \n", "\\"])
def test_a_segment_without_a_label_is_refused(tmp_path: Path, label: str) -> None:
    source = run_file(tmp_path / "run.dcm", 2)
    with pytest.raises(DataError, match="without a label"):
        write_dicom_seg(tmp_path / "seg.dcm", [source], [Segment(label, list(masks_of(2, 0)))])
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.parametrize(
    ("masks_THW", "problem"),
    [(masks_of(3, 0), "3 masks for 2 frames"), (masks_of(2, 0, (37, 23)), "a mask is")],
)
def test_masks_that_do_not_fit_are_refused(tmp_path: Path, masks_THW: Masks, problem: str) -> None:
    source = run_file(tmp_path / "run.dcm", 2)
    with pytest.raises(DataError, match=problem):
        write_dicom_seg(tmp_path / "seg.dcm", [source], segments_of(masks_THW))
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.parametrize("num_bytes", [0, 200, 600, 1000])
def test_damaged_source_is_named(tmp_path: Path, num_bytes: int) -> None:
    source = run_file(tmp_path / "run.dcm", 2)
    source.write_bytes(source.read_bytes()[:num_bytes])
    with pytest.raises(DataError, match=r"run\.dcm"):
        write_dicom_seg(tmp_path / "seg.dcm", [source], segments_of(masks_of(2, 0)))


def test_files_of_two_series_are_no_run(tmp_path: Path) -> None:
    sources = [run_file(tmp_path / f"{number}.dcm", 1, SeriesInstanceUID=f"1.{number}") for number in (1, 2)]
    with pytest.raises(DataError, match="not one run"):
        write_dicom_seg(tmp_path / "seg.dcm", sources, segments_of(masks_of(2, 0)))


@pytest.mark.parametrize(
    ("num_frames", "elements"),
    [
        (4, {}),
        (4, {"PixelSpacing": [0.2, 0.25]}),
        (1, {}),
        (1, {"NumberOfFrames": None}),
        (1, {"SOPClassUID": SecondaryCaptureImageStorage}),
    ],
)
@pytest.mark.parametrize("label", ["left main", "左主干"])
def test_public_validator_finds_no_error(tmp_path: Path, num_frames: int, elements: dict[str, Any], label: str) -> None:
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dciodvfy of Debian's dicom3tools is not installed")
    source = run_file(tmp_path / "run.dcm", num_frames, StudyDate="20200101", StudyTime="101010", **elements)
    segments = [Segment(f"{label} {seed}", list(masks_of(num_frames, seed))) for seed in range(2)]
    write_dicom_seg(tmp_path / "seg.dcm", [source], segments)
    finished = subprocess.run([validator, str(tmp_path / "seg.dcm")], capture_output=True, text=True)
    said = finished.stdout + finished.stderr
    assert "Segmentation" in said  # it knew what it looked at
    assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_real_cine_run(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "dicom_xa" / "rubo_xa_0002.dcm"
    masks_THW = masks_of(96, 0, (512, 512))
    write_dicom_seg(tmp_path / "seg.dcm", [source], segments_of(masks_THW))
    found = highdicom.seg.segread(tmp_path / "seg.dcm")
    pixels = found.get_pixels_by_source_frame(
        dcmread(source, stop_before_pixels=True).SOPInstanceUID, list(range(1, 97)), ignore_spatial_locations=True
    )
    np.testing.assert_array_equal(pixels[..., 0].astype(bool), masks_THW)
