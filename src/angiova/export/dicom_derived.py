"""What every DICOM object made from an X-ray run shares: its sources read, their identity, references to them.

Such an object joins the study of its source, so it carries the identity in it: it is for the archive of the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from angiova import __version__
from angiova.data.decoding.dicom_file import DicomFile, open_dicom
from angiova.data.decoding.limits import DecodeLimits
from angiova.errors import DataError
from angiova.files import atomic_path

# Copied from the source, empty where it has none: the Type 1 and 2 attributes of patient and study.
IDENTITY: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
COPIED_IF_THERE: Final = ("SpecificCharacterSet", "IssuerOfPatientID", "StudyDescription", "FrameOfReferenceUID")
SOURCE_KEYWORDS: Final = (*IDENTITY, *COPIED_IF_THERE, "SOPClassUID", "LossyImageCompression")


@dataclass(frozen=True, slots=True)
class Code:
    """A concept: its value, the scheme that defines it, and what it means."""

    value: str
    scheme: str
    meaning: str

    def item(self) -> Dataset:
        """Return the item of a code sequence."""
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = self.value, self.scheme, self.meaning
        return item


SEGMENTED: Final = Code("113076", "DCM", "Segmentation")
SOURCE_IMAGE: Final = Code("121322", "DCM", "Source image for image processing operation")


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """A frame of the source: its instance, and its number from 1 where the instance has several."""

    class_uid: str
    instance_uid: str
    number: int | None


@dataclass(frozen=True, slots=True)
class SourceRun:
    """The run that an object is made from.

    Attributes:
        header: header of its first file.
        frames: its frames in their order.
        shape_px: height and width.
    """

    header: Dataset
    frames: tuple[SourceFrame, ...]
    shape_px: tuple[int, int]

    @property
    def instances(self) -> list[tuple[str, str]]:
        """Class and instance UID of each file, in order."""
        return list(dict.fromkeys((frame.class_uid, frame.instance_uid) for frame in self.frames))


def read_sources(sources: Sequence[Path], limits: DecodeLimits | None, also: Sequence[str] = ()) -> SourceRun:
    """Read the headers of a run.

    Args:
        sources: one multi-frame file, or single-frame files of one series in their order.
        limits: what reading may cost.
        also: keywords wanted beside SOURCE_KEYWORDS.

    Raises:
        DataError: a source cannot be read, or they do not belong together.
    """
    headers, frames, shapes_px = [], [], set()
    for source in sources:
        file = _opened(source, limits or DecodeLimits(), (*SOURCE_KEYWORDS, *also))
        headers.append(file.header)
        shapes_px.add((file.shape.height, file.shape.width))
        numbers = range(1, file.shape.num_frames + 1) if _has_numbers(file) else [None]
        frames += [SourceFrame(file.header.SOPClassUID, file.header.SOPInstanceUID, number) for number in numbers]
    series = {(header.get("StudyInstanceUID"), header.get("SeriesInstanceUID")) for header in headers}
    if len(series) != 1 or len(shapes_px) != 1:
        remedy = "give the files of one series and size"
        raise DataError("the sources are not one run", where=sources[0] if sources else None, remedy=remedy)
    return SourceRun(headers[0], tuple(frames), shapes_px.pop())


def derived_header(source: SourceRun, class_uid: UID, description: str) -> Dataset:
    """Return the header of a new object in the source's study and in a series of its own.

    Args:
        source: the run that it is made from.
        class_uid: what kind of object it is.
        description: of its series.
    """
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = class_uid, generate_uid()
    for keyword in IDENTITY:
        setattr(header, keyword, source.header.get(keyword) or "")
    for keyword in COPIED_IF_THERE:
        if source.header.get(keyword):
            setattr(header, keyword, source.header[keyword].value)
    header.SeriesInstanceUID, header.SeriesNumber, header.InstanceNumber = generate_uid(), 1, 1
    header.SeriesDescription = description
    header.Manufacturer, header.ManufacturerModelName = "angiova", "angiova"
    header.DeviceSerialNumber, header.SoftwareVersions = "0", __version__
    now = datetime.now(UTC)
    header.ContentDate, header.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    header.LossyImageCompression = source.header.get("LossyImageCompression") or "00"
    header.PatientOrientation = ""  # asked for, and may be empty: a projection's is not known
    header.Rows, header.Columns = source.shape_px
    header.ReferencedSeriesSequence = [_series_reference(source)]
    return header


def instance_item(class_uid: str, instance_uid: str) -> Dataset:
    """Return the item that refers to one object."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid, instance_uid
    return item


def write_derived(path: Path, header: Dataset) -> None:
    """Write a finished object, whole or not at all; its pixels are bytes."""
    header["PixelData"].VR = "OB"
    with atomic_path(path) as partial:
        dcmwrite(partial, header, implicit_vr=False, little_endian=True, enforce_file_format=True)


def _has_numbers(file: DicomFile) -> bool:
    """Return whether frames of a file are referred to by number; one of a single-frame class may not be (PS3.3 10.3).

    X-ray files that went through other software may be secondary captures.
    """
    is_single = file.header.SOPClassUID == SecondaryCaptureImageStorage and file.shape.num_frames == 1
    return "NumberOfFrames" in file.header and not is_single


def _opened(source: Path, limits: DecodeLimits, keywords: tuple[str, ...]) -> DicomFile:
    """Return a source with its header read; here, not in a process of its own, for it is the user's original."""
    try:
        with open_dicom(source, limits, also=keywords) as file:
            return file
    except DataError as error:
        raise DataError(error.problem, where=source, remedy=error.remedy) from None
    except Exception as error:  # parsers of damaged files raise anything
        raise DataError(f"is damaged ({type(error).__name__})", where=source, remedy="export it again") from None


def _series_reference(source: SourceRun) -> Dataset:
    reference = Dataset()
    reference.SeriesInstanceUID = source.header.SeriesInstanceUID
    reference.ReferencedInstanceSequence = [instance_item(*instance) for instance in source.instances]
    return reference
