"""Nothing that identifies a patient is in what an import writes; text burned into the pixels is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import FileDataset
from pydicom.datadict import DicomDictionary
from pydicom.sequence import Sequence

from angiova.data.importers.burned_in import find_text
from angiova.data.manifest import Manifest
from angiova.data.pixels import read_grey
from dicoms import dataset_of, run_of, write_dicom, write_run
from sources import run_import
from writing import background, written_on

Grey = npt.NDArray[np.uint8]
PLANTED = "ZQJXKVWY"  # every planted value holds it
TEXT_VRS = ("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR")
# What the importer must read to know how to show the image: text there is a refusal, not a leak.
NEEDED = {"Modality", "PhotometricInterpretation", "VOILUTFunction", "PresentationLUTShape"}


def textual_keywords() -> Iterator[str]:
    """Yield every textual attribute of the standard's main data set that repeats in no group."""
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if (
            vr in TEXT_VRS
            and not retired
            and keyword
            and tag >> 16 not in (0x0000, 0x0002, 0x0004)
            and keyword not in NEEDED
        ):
            yield keyword


def plant(header: FileDataset) -> int:
    keywords = list(textual_keywords())
    for number, keyword in enumerate(keywords):
        setattr(header, keyword, f"{PLANTED}{number}"[:16])
    header.PatientID, header.PatientName = f"{PLANTED}ID", f"{PLANTED}^NAME"
    header.ImageType = ["DERIVED", PLANTED]
    header.PatientBirthDate, header.StudyDate = "19500101", "20200101"
    private = header.private_block(0x0011, f"{PLANTED} PRIVATE", create=True)
    private.add_new(0x01, "LO", f"{PLANTED} private")
    item = dataset_of(run_of(1))
    del item.PixelData
    item.PatientID = f"{PLANTED}NESTED"
    header.RequestAttributesSequence = Sequence([item])
    header.preamble = PLANTED.encode().ljust(128, b"\0")
    return len(keywords)


def all_bytes(folder: Path) -> bytes:
    return b"\n".join([path.read_bytes() + str(path).encode() for path in sorted(folder.rglob("*")) if path.is_file()])


def test_no_planted_identity_is_in_any_byte_of_the_data_set(tmp_path: Path) -> None:
    header = dataset_of(run_of(3), FrameTime=50)
    assert plant(header) > 200
    source = write_dicom(tmp_path / f"{PLANTED} folder" / f"{PLANTED}.dcm", header)
    planted = source.read_bytes()
    assert planted.count(PLANTED.encode()) > 200
    write_run(source.parent / f"{PLANTED}_broken.dcm", run_of(2), PhotometricInterpretation=PLANTED)
    (source.parent / f"{PLANTED}.txt").write_text(PLANTED)
    report = run_import(source.parent, tmp_path / "out", key=tmp_path / "key", fix=True)
    written = all_bytes(tmp_path / "out")
    assert len(written) > 1000
    for secret in (PLANTED, "DOE^JANE", "19500101", "20200101", header.StudyInstanceUID, header.SOPInstanceUID):
        assert secret.encode() not in written
        assert secret.encode("utf-16-le") not in written
    # The user, who named the folder, is told which file it was.
    assert any(PLANTED in finding.where for finding in report.findings)
    assert not any(PLANTED in finding.message for finding in report.findings)


CORNERS = [(12, 12), (330, 12), (12, 470), (330, 470)]


@pytest.mark.parametrize("at", CORNERS)
@pytest.mark.parametrize("height_px", [12, 16, 24, 32])
@pytest.mark.parametrize("text", ["DOE JANE", "ID 7741203", "12.03.1950"])
def test_text_is_found_wherever_it_stands(at: tuple[int, int], height_px: int, text: str) -> None:
    frames = np.stack([written_on(background(seed), text, at, height_px) for seed in range(4)])
    boxes = find_text(frames.min(axis=0), frames.max(axis=0), len(frames))
    assert boxes
    assert all(at[0] - 10 <= box.left and at[1] - 5 <= box.top <= at[1] + 1.5 * height_px for box in boxes)


@pytest.mark.parametrize("height_px", [12, 16, 24, 32])
def test_text_is_found_on_a_single_frame(height_px: int) -> None:
    image_HW = written_on(background(0), "DOE JANE 1950", (12, 12), height_px)
    assert find_text(image_HW, image_HW, 1)


def test_pictures_without_text_raise_no_alarm() -> None:
    for seed in range(20):
        image_HW = background(seed)
        assert find_text(image_HW, image_HW, 1) == ()
        moved = [background(seed), np.roll(background(seed), 2, axis=0)]
        assert find_text(np.minimum(*moved), np.maximum(*moved), 2) == ()


def test_real_angiograms_raise_no_alarm(shared_data: Path) -> None:
    paths = sorted((shared_data / "arcade" / "syntax" / "val" / "images").glob("*.png"))
    alarms = [path.name for path in paths if find_text(read_grey(path), read_grey(path), 1)]
    assert len(paths) == 200
    assert alarms == []


@pytest.mark.parametrize("masked", [False, True])
def test_burned_in_text_is_reported_and_blanked_only_when_asked(tmp_path: Path, masked: bool) -> None:
    frames = np.stack([written_on(background(seed), "DOE JANE", (12, 12), 20) for seed in range(3)])
    write_run(tmp_path / "source" / "a", frames)
    report = run_import(tmp_path / "source", tmp_path / "out", key=tmp_path / "key", mask_burned_in=masked)
    (finding,) = [finding for finding in report.findings if finding.code == "burned-in-text"]
    assert ("blanked" in finding.message) == masked
    manifest = Manifest(tmp_path / "out")
    for record, frame_HW in zip(manifest.records(), frames, strict=True):
        image_HW = manifest.read_image(record)
        np.testing.assert_array_equal(image_HW[60:], frame_HW[60:])
        assert (image_HW[10:45, 12:90].max() < 250) == masked


def test_what_the_header_says_of_burned_in_identity_is_passed_on(tmp_path: Path) -> None:
    elements: dict[str, Any] = {"BurnedInAnnotation": "YES"}
    write_run(tmp_path / "source" / "a", run_of(), **elements)
    report = run_import(tmp_path / "source", tmp_path / "out", key=tmp_path / "key")
    assert "burned-in-declared" in [finding.code for finding in report.findings]
