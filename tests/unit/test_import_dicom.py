"""DICOM runs: the same pixels whatever the encoding, shown as the header asks, timed and grouped as it says."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from angiova.data.importers.importing import ImportReport
from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord
from angiova.errors import ConfigError, DataError, ExitCode
from dicoms import (
    NATIVE,
    Stored,
    dataset_of,
    dicomdir_of,
    run_of,
    save_compressed,
    write_compressed,
    write_deflated,
    write_dicom,
    write_run,
)
from sources import noise, run_import, write_image

Grey = npt.NDArray[np.uint8]
ENCODINGS: dict[str, str] = {
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}


def imported(tmp_path: Path, source: Path | None = None, **options: Any) -> ImportReport:  # noqa: ANN401
    options.setdefault("key", tmp_path / "keys" / "key")
    return run_import(source or tmp_path / "source", tmp_path / "out", **options)


def frames_of(tmp_path: Path) -> list[FrameRecord]:
    return list(Manifest(tmp_path / "out").records())


def images_of(tmp_path: Path) -> list[Grey]:
    manifest = Manifest(tmp_path / "out")
    return [manifest.read_image(record) for record in manifest.records()]


def shown_by_hand(values_THW: Stored) -> Grey:
    """The range of the run, both ends reached, stretched to 0..255."""
    low, high = float(values_THW.min()), float(values_THW.max())
    return np.rint((values_THW.astype(np.float64) - low) * 255 / (high - low)).astype(np.uint8)


def assert_within_one(images: list[Grey], expected_THW: npt.NDArray[Any]) -> None:
    assert len(images) == len(expected_THW)
    for image_HW, expected_HW in zip(images, expected_THW, strict=True):
        assert np.abs(image_HW.astype(int) - expected_HW.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("syntax", "bits", "signed"),
    [
        *((syntax, bits, signed) for syntax in NATIVE for bits, signed in ((8, False), (16, True))),
        *((ExplicitVRLittleEndian, bits, signed) for bits, signed in ((8, True), (10, False), (12, True), (16, False))),
    ],
)
def test_native_frames_keep_their_pixels(tmp_path: Path, syntax: str, bits: int, signed: bool) -> None:
    values_THW = run_of(bits=bits, signed=signed)
    write_dicom(tmp_path / "source" / "a", dataset_of(values_THW, bits), syntax)
    imported(tmp_path)
    assert_within_one(images_of(tmp_path), shown_by_hand(values_THW))
    assert {record.photometry.bits for record in frames_of(tmp_path)} == {bits}


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize(("bits", "num_frames"), [(8, 1), (8, 4), (12, 3), (16, 2)])
def test_lossless_encodings_give_the_same_pixels(tmp_path: Path, name: str, bits: int, num_frames: int) -> None:
    values_THW = run_of(num_frames, bits)
    write_compressed(tmp_path / "source" / "a.dcm", values_THW, bits, ENCODINGS[name])
    imported(tmp_path)
    assert_within_one(images_of(tmp_path), shown_by_hand(values_THW))


def test_jpeg_baseline(tmp_path: Path) -> None:
    smooth_HW = np.add.outer(np.arange(0, 128, 2), np.arange(0, 128, 2)).astype(np.uint8)
    header = dataset_of(smooth_HW[None])
    buffer = BytesIO()
    Image.fromarray(smooth_HW).save(buffer, format="JPEG", quality=98)
    header.PixelData = encapsulate([buffer.getvalue()])
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    save_compressed(tmp_path / "source" / "a.dcm", header)
    imported(tmp_path)
    assert np.abs(images_of(tmp_path)[0].astype(int) - smooth_HW).max() <= 3  # lossy


def test_deflated(tmp_path: Path) -> None:
    values_THW = run_of()
    write_deflated(tmp_path / "source" / "a.dcm", dataset_of(values_THW))
    imported(tmp_path)
    np.testing.assert_array_equal(images_of(tmp_path), values_THW)


def test_overlay_bits_above_the_stored_ones_are_dropped(tmp_path: Path) -> None:
    values_THW = run_of(bits=10)
    write_run(tmp_path / "source" / "a.dcm", values_THW | np.uint16(0x8000), 10)
    imported(tmp_path)
    assert_within_one(images_of(tmp_path), shown_by_hand(values_THW))


@pytest.mark.parametrize("bits", [8, 12])
def test_monochrome1_is_shown_with_dark_vessels(tmp_path: Path, bits: int) -> None:
    values_THW = run_of(bits=bits)
    write_run(tmp_path / "source" / "a.dcm", values_THW, bits, PhotometricInterpretation="MONOCHROME1")
    imported(tmp_path)
    assert_within_one(images_of(tmp_path), 255 - shown_by_hand(values_THW))
    assert all(record.photometry.inverted for record in frames_of(tmp_path))


def test_bright_vessels_of_a_subtracted_run_are_stored_dark(tmp_path: Path) -> None:
    values_THW = run_of(bits=8)
    write_run(tmp_path / "source" / "a.dcm", values_THW, 8)
    imported(tmp_path, bright_vessels=True)
    assert_within_one(images_of(tmp_path), 255 - shown_by_hand(values_THW))
    assert all(record.photometry.inverted for record in frames_of(tmp_path))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2, -300)])
def test_window_is_applied_as_pydicom_does(tmp_path: Path, function: str, slope: int, intercept: int) -> None:
    values_THW = run_of(bits=12)
    header = dataset_of(values_THW, 12, WindowCenter=1500, WindowWidth=900, VOILUTFunction=function)
    header.RescaleSlope, header.RescaleIntercept = slope, intercept
    expected_THW = apply_windowing(values_THW.astype(np.int32) * slope + intercept, header)
    low, high = intercept, (2**12 - 1) * slope + intercept
    write_dicom(tmp_path / "source" / "a.dcm", header)
    imported(tmp_path)
    assert_within_one(images_of(tmp_path), np.rint((expected_THW - low) * 255 / (high - low)))


def test_first_of_several_windows_counts(tmp_path: Path) -> None:
    values_THW = run_of(bits=12)
    write_run(tmp_path / "source" / "a.dcm", values_THW, 12, WindowCenter=[100, 3000], WindowWidth=[11, 50])
    imported(tmp_path)
    # By hand, PS3.3 C.11.2.1.2: black up to 100 - 0.5 - 5 = 94.5, white above 104.5.
    image_HW = images_of(tmp_path)[0]
    assert (image_HW[values_THW[0] <= 94] == 0).all()
    assert (image_HW[values_THW[0] >= 105] == 255).all()


def test_inverse_presentation_is_inverted(tmp_path: Path) -> None:
    values_THW = run_of()
    write_run(tmp_path / "source" / "a.dcm", values_THW, PresentationLUTShape="INVERSE")
    imported(tmp_path)
    np.testing.assert_array_equal(images_of(tmp_path), 255 - values_THW)


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_becomes_luma(tmp_path: Path, planar: int) -> None:
    values_HWC = np.stack([noise(seed) for seed in range(3)], axis=-1)
    stored = values_HWC if planar == 0 else values_HWC.transpose(2, 0, 1)
    elements = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": planar}
    write_run(tmp_path / "source" / "a.dcm", values_HWC[..., 0][None], **elements, PixelData=stored.tobytes())
    imported(tmp_path)
    luma_HW = values_HWC @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert_within_one(images_of(tmp_path), luma_HW[None])
    assert frames_of(tmp_path)[0].photometry.channels == 3


def lookup_table(values: list[int], bits: int) -> Sequence:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [len(values), 0, bits], values
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "US"
    return Sequence([table])


def test_voi_lut(tmp_path: Path) -> None:
    values_THW = run_of()
    table = [255 - value for value in range(256)]
    write_run(tmp_path / "source" / "a.dcm", values_THW, VOILUTSequence=lookup_table(table, 8))
    imported(tmp_path)
    assert_within_one(images_of(tmp_path), 255 - values_THW)


@pytest.mark.parametrize(("relationship", "applied"), [("LIN", True), ("LOG", False), ("DISP", False)])
def test_modality_lut_is_for_display_only_where_it_is_not_for_measuring(
    tmp_path: Path, relationship: str, applied: bool
) -> None:
    values_THW = run_of()
    table = [value**2 for value in range(256)]
    elements = {"ModalityLUTSequence": lookup_table(table, 16), "PixelIntensityRelationship": relationship}
    write_run(tmp_path / "source" / "a.dcm", values_THW, **elements)
    imported(tmp_path)
    expected_THW = values_THW.astype(np.int64) ** 2 if applied else values_THW
    assert_within_one(images_of(tmp_path), shown_by_hand(expected_THW))


def test_range_is_that_of_the_run_not_of_each_frame(tmp_path: Path) -> None:
    values_THW = np.full((2, 24, 32), 100, dtype=np.uint16)
    values_THW[0, 0, 0], values_THW[1, 0, 0] = 0, 1000
    write_run(tmp_path / "source" / "a.dcm", values_THW, 12)
    imported(tmp_path)
    first_HW, second_HW = images_of(tmp_path)
    assert first_HW[5, 5] == second_HW[5, 5] == round(100 * 255 / 1000)


def test_frame_time(tmp_path: Path) -> None:
    write_run(tmp_path / "source" / "a.dcm", run_of(4), FrameTime=66.5)
    imported(tmp_path)
    assert [record.time_s for record in frames_of(tmp_path)] == pytest.approx([0, 0.0665, 0.133, 0.1995])


def test_frame_time_vector(tmp_path: Path) -> None:
    write_run(tmp_path / "source" / "a.dcm", run_of(4), FrameTimeVector=[0, 40, 40, 120], FrameTime=1)
    imported(tmp_path)
    assert [record.time_s for record in frames_of(tmp_path)] == pytest.approx([0, 0.04, 0.08, 0.2])


def test_unfit_frame_time_vector_is_said_and_not_used(tmp_path: Path) -> None:
    write_run(tmp_path / "source" / "a.dcm", run_of(4), FrameTimeVector=[0, 40])
    report = imported(tmp_path)
    assert [finding.code for finding in report.findings] == ["frame-time-vector-unusable"]
    assert {record.time_s for record in frames_of(tmp_path)} == {None}


@pytest.mark.parametrize(
    ("elements", "spacing_mm"),
    [
        ({"ImagerPixelSpacing": [0.3, 0.2], "EstimatedRadiographicMagnificationFactor": 1.5}, (0.2, 0.2 / 1.5)),
        (
            {
                "ImagerPixelSpacing": [0.3, 0.3],
                "DistanceSourceToDetector": 1000,
                "DistanceSourceToPatient": 750,
            },
            (0.225, 0.225),
        ),
        ({"ImagerPixelSpacing": [0.3, 0.3]}, None),
        ({"PixelSpacing": [0.2, 0.2]}, None),
        ({"PixelSpacing": [0.2, 0.25], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.2, 0.25)),
        ({"ImagerPixelSpacing": [-1, 0], "EstimatedRadiographicMagnificationFactor": 1.5}, None),
    ],
)
def test_spacing_is_that_in_the_patient_or_none(
    tmp_path: Path, elements: dict[str, Any], spacing_mm: tuple[float, float] | None
) -> None:
    write_run(tmp_path / "source" / "a.dcm", run_of(), **elements)
    imported(tmp_path)
    (found,) = {record.spacing_mm for record in frames_of(tmp_path)}
    assert found == (None if spacing_mm is None else pytest.approx(spacing_mm))


def test_angles_of_a_still_positioner(tmp_path: Path) -> None:
    angles = {"PositionerPrimaryAngle": -30.5, "PositionerSecondaryAngle": 20}
    write_run(tmp_path / "source" / "still.dcm", run_of(), PositionerMotion="STATIC", **angles)
    write_run(tmp_path / "source" / "moving.dcm", run_of(2, 12), 12, PositionerMotion="DYNAMIC", **angles)
    report = imported(tmp_path)
    assert {(record.photometry.bits, record.angles_deg) for record in frames_of(tmp_path)} == {
        (8, (-30.5, 20.0)),
        (12, None),
    }
    assert "positioner-moves" in [finding.code for finding in report.findings]


def test_single_frames_of_a_series_are_a_run_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    values_THW = run_of(3)
    for number, name in ((4, "z"), (2, "b"), (3, "a")):
        write_run(tmp_path / "source" / name, values_THW[number - 2][None], InstanceNumber=number)
    imported(tmp_path)
    records = frames_of(tmp_path)
    assert [record.frame for record in records] == [0, 1, 2]
    assert len({record.run for record in records}) == 1
    np.testing.assert_array_equal(images_of(tmp_path), values_THW)


def test_acquisitions_and_multi_frame_files_are_runs_of_their_own(tmp_path: Path) -> None:
    for number in range(4):
        values_THW = noise(number)[None]
        write_run(tmp_path / "source" / f"{number}", values_THW, InstanceNumber=number, AcquisitionNumber=number // 2)
    for number in (10, 11):
        write_run(tmp_path / "source" / f"{number}", np.stack([noise(number), noise(number + 10)]))
    report = imported(tmp_path)
    assert (report.num_runs, report.num_frames) == (4, 8)


def test_patients_keep_their_names_under_one_key_only(tmp_path: Path) -> None:
    for number, patient in enumerate(("P1", "P2", "P1")):
        study = {"StudyInstanceUID": f"1.2.{number}"}
        write_run(tmp_path / "source" / f"{number}", noise(number)[None], PatientID=patient, **study)
    found = []
    for number, key in enumerate(("first", "first", "second")):
        run_import(tmp_path / "source", tmp_path / f"out{number}", key=tmp_path / "keys" / key)
        records = list(Manifest(tmp_path / f"out{number}").records())
        assert (len({r.patient for r in records}), len({r.study for r in records})) == (2, 3)
        found.append({record.patient for record in records})
    assert found[0] == found[1]
    assert not found[0] & found[2]
    assert (tmp_path / "keys" / "first").stat().st_mode & 0o777 == 0o600


def test_without_patient_id_name_and_birth_date_tell_patients_apart(tmp_path: Path) -> None:
    for number, (name, born) in enumerate((("A^B", "19500101"), ("A^B", "19600101"), ("", ""))):
        elements = {"PatientID": "", "PatientName": name, "PatientBirthDate": born, "StudyInstanceUID": f"1.{number}"}
        write_run(tmp_path / "source" / f"{number}", noise(number)[None], **elements, SeriesInstanceUID=f"2.{number}")
    report = imported(tmp_path)
    assert (report.num_patients, report.num_unnamed) == (2, 1)


@pytest.mark.parametrize("place", ["source/key", "out/key"])
def test_key_may_not_lie_with_the_data(tmp_path: Path, place: str) -> None:
    write_run(tmp_path / "source" / "a", run_of())
    with pytest.raises(ConfigError, match="the key lies in"):
        imported(tmp_path, key=tmp_path / place)
    assert not (tmp_path / place).exists()


def test_key_file_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    write_run(tmp_path / "source" / "a", run_of())
    (tmp_path / "notes").write_text("no key")
    with pytest.raises(ConfigError, match="holds no key"):
        imported(tmp_path, key=tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "no key"


def test_default_key_lies_in_the_configuration_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    write_run(tmp_path / "source" / "a", run_of())
    imported(tmp_path, key=None)
    assert len(bytes.fromhex((tmp_path / "config" / "angiova" / "identity.key").read_text())) == 32


def test_dicomdir_lists_its_files_in_either_case(tmp_path: Path) -> None:
    write_run(tmp_path / "source" / "IMG" / "A", run_of(2))
    write_run(tmp_path / "source" / "img2" / "b", run_of(3, 12), 12)
    write_run(tmp_path / "source" / "unlisted", run_of(1, 10), 10)
    directory = dicomdir_of(tmp_path / "source", [["IMG", "A"], ["IMG2", "B"]])
    assert imported(tmp_path, directory).num_frames == 5


def test_folder_with_a_dicomdir_gives_all_its_files_once(tmp_path: Path) -> None:
    write_run(tmp_path / "source" / "IMG" / "A", run_of(2))
    write_run(tmp_path / "source" / "unlisted", run_of(1, 10), 10)
    dicomdir_of(tmp_path / "source", [["IMG", "A"]])
    assert imported(tmp_path).num_frames == 3


def test_dicomdir_that_lists_too_much_is_refused_or_repaired(tmp_path: Path) -> None:
    write_run(tmp_path / "source" / "IMG" / "A", run_of(2))
    dicomdir_of(tmp_path / "source", [["IMG", "A"], ["IMG", "GONE"]])
    with pytest.raises(DataError, match="lists a file that is not there"):
        imported(tmp_path)
    report = imported(tmp_path, fix=True)
    assert (report.num_frames, report.exit_code) == (2, ExitCode.SOME_CASES_FAILED)


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def other_modality(path: Path) -> None:
    write_run(path, run_of(), Modality="CT")


def no_pixels(path: Path) -> None:
    write_run(path, run_of(), PixelData=None)


def same_instance(path: Path) -> None:
    path.write_bytes((path.parent / "good.dcm").read_bytes())


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (spoil, "promises 2304 bytes of pixels"),
    "computed tomography": (other_modality, "neither XA nor RF"),
    "no pixels": (no_pixels, "no pixel data"),
    "twice": (same_instance, "same SOP Instance UID"),
    "text": (lambda path: path.write_text("not DICOM"), "no DICM"),
    "empty": (lambda path: path.write_bytes(b""), "no DICM"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_among_good_ones_is_named_and_left_out_only_when_asked(tmp_path: Path, name: str) -> None:
    make, reason = BAD[name]
    write_run(tmp_path / "source" / "good.dcm", run_of(4))
    write_run(tmp_path / "source" / "inner" / "bad.dcm", run_of(3, 8))
    write_run(tmp_path / "source" / "best.dcm", run_of(2, 12), 12)
    bad = tmp_path / "source" / "worst.dcm"
    (tmp_path / "source" / "inner" / "bad.dcm").rename(bad)
    make(bad)
    with pytest.raises(DataError, match=f"(?s)worst.dcm.*{reason}"):
        imported(tmp_path)
    assert not (tmp_path / "out").exists()
    report = imported(tmp_path, fix=True)
    assert (report.num_frames, report.exit_code) == (6, ExitCode.SOME_CASES_FAILED)


def test_other_files_are_counted_and_left_alone(tmp_path: Path) -> None:
    write_run(tmp_path / "source" / "a", run_of())
    write_image(tmp_path / "source" / "preview.png", noise(1))
    report = imported(tmp_path)
    assert (report.format, report.exit_code) == ("dicom", ExitCode.DONE)
    assert [finding.code for finding in report.findings] == ["not-dicom"]


@pytest.mark.parametrize(("option", "value"), [("reference", True), ("pattern", "{patient}")])
def test_options_that_mean_nothing_here_are_refused(tmp_path: Path, option: str, value: object) -> None:
    write_run(tmp_path / "source" / "a", run_of())
    with pytest.raises(ConfigError, match=f"--{option}"):
        imported(tmp_path, **{option: value})


def test_real_angiograms(shared_data: Path, tmp_path: Path) -> None:
    report = imported(tmp_path, shared_data / "dicom_xa")
    assert (report.num_frames, report.num_runs, report.num_patients) == (98, 3, 2)
    # Two files hold one image under RLE and JPEG-LS: each decoder speaks for the other.
    assert [finding.code for finding in report.findings] == ["not-dicom", "duplicate-pixels"]
    cine = [record for record in frames_of(tmp_path) if record.height == 512]
    assert [record.frame for record in cine] == list(range(96))
    assert cine[-1].time_s == pytest.approx(95 * 0.033)
    assert cine[0].angles_deg == (-32.0, 2.0)
