"""Secondary Captures: read back byte by byte, at the source's times, saying what they are; nothing invented."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage

from angiova.errors import DataError
from angiova.export.cine import overlays
from angiova.export.secondary_capture import write_secondary_capture
from dicoms import run_of, write_run

Pictures = npt.NDArray[np.uint8]
SHAPE_PX = (23, 37)  # neither square nor an even number of bytes


def pictures_of(num_frames: int, shape_px: tuple[int, int] = SHAPE_PX) -> Pictures:
    return np.random.default_rng(0).integers(0, 256, (num_frames, *shape_px, 3), dtype=np.uint8)


def run_file(path: Path, num_frames: int, **elements: Any) -> Path:  # noqa: ANN401
    return write_run(path, run_of(num_frames, shape_px=SHAPE_PX), **elements)


def written(folder: Path, num_frames: int = 3, **elements: Any) -> Dataset:  # noqa: ANN401
    source = run_file(folder / "run.dcm", num_frames, **elements)
    write_secondary_capture(folder / "sc.dcm", [source], pictures_of(num_frames))
    return dcmread(folder / "sc.dcm")


@pytest.mark.parametrize("num_frames", [1, 2, 7])
def test_pydicom_reads_every_byte_back(tmp_path: Path, num_frames: int) -> None:
    found = written(tmp_path, num_frames)
    pixels = found.pixel_array.reshape(num_frames, *SHAPE_PX, 3)
    np.testing.assert_array_equal(pixels, pictures_of(num_frames))
    assert found.SOPClassUID == MultiFrameTrueColorSecondaryCaptureImageStorage
    assert found.NumberOfFrames == num_frames


def test_overlays_of_a_run_go_in_one_by_one(tmp_path: Path) -> None:
    values_THW = run_of(3, shape_px=SHAPE_PX).astype(np.uint8)
    masks_THW = values_THW > 128
    source = write_run(tmp_path / "run.dcm", values_THW)
    write_secondary_capture(tmp_path / "sc.dcm", [source], overlays(values_THW, [[mask] for mask in masks_THW]))
    pixels = dcmread(tmp_path / "sc.dcm").pixel_array
    outside = ~masks_THW
    np.testing.assert_array_equal(pixels[outside], np.repeat(values_THW[outside][:, None], 3, axis=1))
    assert (pixels[masks_THW].max(axis=1) != pixels[masks_THW].min(axis=1)).mean() > 0.9  # coloured


def test_it_says_what_it_is_and_what_it_comes_from(tmp_path: Path) -> None:
    found, source = written(tmp_path), dcmread(tmp_path / "run.dcm")
    assert list(found.ImageType) == ["DERIVED", "SECONDARY"]
    assert "not for diagnosis" in found.ImageComments
    assert "not for diagnosis" in found.DerivationDescription
    (image,) = found.SourceImageSequence
    assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "ReferencedFrameNumber" not in image  # all of them
    assert found.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID


def test_it_joins_the_study_of_its_source(tmp_path: Path) -> None:
    found, source = written(tmp_path, StudyDate="20200101"), dcmread(tmp_path / "run.dcm")
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate"):
        assert found[keyword].value == source[keyword].value
    assert found.SeriesInstanceUID != source.SeriesInstanceUID


def test_the_frame_time_is_kept(tmp_path: Path) -> None:
    found = written(tmp_path, FrameTime="66.7")
    assert (found.FrameTime, found.FrameIncrementPointer) == (66.7, 0x00181063)


def test_uneven_frame_times_are_kept(tmp_path: Path) -> None:
    found = written(tmp_path, FrameTimeVector=["0", "66.7", "133.3"], FrameTime="1")
    assert (list(found.FrameTimeVector), found.FrameIncrementPointer) == ([0, 66.7, 133.3], 0x00181065)
    assert "FrameTime" not in found


def test_times_that_the_source_lacks_are_not_invented(tmp_path: Path) -> None:
    found = written(tmp_path)
    assert not {"FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate"} & set(found.dir())
    assert list(found.PageNumberVector) == [1, 2, 3]


def test_no_geometry_is_invented(tmp_path: Path) -> None:
    found = written(tmp_path, ImagerPixelSpacing=[0.3, 0.3])
    invented = {"ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "NominalScannedPixelSpacing"}
    assert not {element.keyword for element in found.iterall()} & invented


@pytest.mark.parametrize(("stated", "expected"), [("NO", "NO"), ("YES", "YES"), (None, "YES")])
def test_letters_in_the_source_are_reckoned_with(tmp_path: Path, stated: str | None, expected: str) -> None:
    elements = {} if stated is None else {"BurnedInAnnotation": stated}
    assert written(tmp_path, **elements).BurnedInAnnotation == expected


def test_single_frame_files_are_referred_to_one_by_one(tmp_path: Path) -> None:
    values_THW = run_of(3, shape_px=SHAPE_PX)
    sources = [write_run(tmp_path / f"{n}.dcm", values_THW[n][None], NumberOfFrames=None) for n in range(3)]
    write_secondary_capture(tmp_path / "sc.dcm", sources, pictures_of(3))
    found = dcmread(tmp_path / "sc.dcm")
    expected = [dcmread(source).SOPInstanceUID for source in sources]
    assert [image.ReferencedSOPInstanceUID for image in found.SourceImageSequence] == expected


@pytest.mark.parametrize(
    ("pictures", "problem"),
    [
        (pictures_of(2), "2 pictures for 3 frames"),
        (pictures_of(4), "4 pictures for 3 frames"),
        (pictures_of(3, (37, 23)), "a picture is"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(tmp_path: Path, pictures: Pictures, problem: str) -> None:
    source = run_file(tmp_path / "run.dcm", 3)
    with pytest.raises(DataError, match=problem):
        write_secondary_capture(tmp_path / "sc.dcm", [source], pictures)
    assert not (tmp_path / "sc.dcm").exists()


@pytest.mark.parametrize(
    ("num_frames", "elements"),
    [
        (1, {}),
        (1, {"NumberOfFrames": None}),
        (4, {}),
        (4, {"FrameTime": "66.7", "PixelSpacing": [0.2, 0.25]}),
        (4, {"FrameTimeVector": ["0", "60", "70", "80"]}),
    ],
)
def test_public_validator_finds_no_error(tmp_path: Path, num_frames: int, elements: dict[str, Any]) -> None:
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dciodvfy of Debian's dicom3tools is not installed")
    written(tmp_path, num_frames, StudyDate="20200101", StudyTime="101010", **elements)
    finished = subprocess.run([validator, str(tmp_path / "sc.dcm")], capture_output=True, text=True)
    said = finished.stdout + finished.stderr
    assert "MultiframeTrueColorSCImage" in said  # it knew what it looked at
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
