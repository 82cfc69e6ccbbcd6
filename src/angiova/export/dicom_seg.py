"""Writes masks of an X-ray run as a DICOM Segmentation that belongs to it (PS3.3 A.51, C.8.20).

One frame for every segment and every source frame, empty ones included, each with a reference to the frame that it was
derived from. Projections have no position in space: nothing of the kind is written, and pixel spacing only where the
source has it. highdicom reads such objects, but cannot write them for X-ray angiography (its issues 200 and 284).

The object joins the study of its source, so it carries the identity in it: it is for the archive of the source.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, SegmentationStorage, generate_uid

from angiova import __version__
from angiova.data.decoding.dicom_file import DicomFile, open_dicom
from angiova.data.decoding.limits import DecodeLimits
from angiova.data.rle import BoolMask
from angiova.errors import DataError
from angiova.files import atomic_path

LABEL_CHARACTERS: Final = 64  # VR LO
UNICODE: Final = "ISO_IR 192"
# What no LO may hold (PS3.5 6.2): control characters, and the backslash, which would make two values of one.
NOT_IN_LABELS: Final = re.compile(r"[\x00-\x1f\x7f\\]+")
# PS3.6 and PS3.16: the keywords by which a viewer finds frame and segment of each frame.
SEGMENT_NUMBER, SEGMENT_IDENTIFICATION = 0x0062000B, 0x0062000A
TEMPORAL_POSITION, FRAME_CONTENT = 0x00209128, 0x00209111
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


ANATOMY: Final = Code("91723000", "SCT", "Anatomical Structure")
BLOOD_VESSEL: Final = Code("59820001", "SCT", "Blood vessel")
CORONARY_ARTERY: Final = Code("41801008", "SCT", "Coronary artery")
SEGMENTED: Final = Code("113076", "DCM", "Segmentation")
SOURCE_IMAGE: Final = Code("121322", "DCM", "Source image for image processing operation")


@dataclass(frozen=True, slots=True)
class Segment:
    """One object through a run.

    Attributes:
        label: what a viewer shows, e.g. the phrase asked for, in any script; its first 64 characters are kept.
        masks: one mask a source frame, in their order, each of the size of the source.
        kind: what it is.
        category: what kind of thing that is.
    """

    label: str
    masks: Sequence[BoolMask]
    kind: Code = BLOOD_VESSEL
    category: Code = ANATOMY


@dataclass(frozen=True, slots=True)
class _SourceFrame:
    """A frame of the source: its instance, and its number from 1 where the instance has several."""

    class_uid: str
    instance_uid: str
    number: int | None


def write_dicom_seg(
    path: Path, sources: Sequence[Path], segments: Sequence[Segment], *, limits: DecodeLimits | None = None
) -> None:
    """Write `segments` as one DICOM Segmentation.

    Args:
        path: file to write.
        sources: the run: one multi-frame file, or single-frame files of one series in their order.
        segments: the objects; they may overlap.
        limits: what reading the sources' headers may cost.

    Raises:
        DataError: a source cannot be read, they do not belong together, masks do not fit them, or a label is empty.
    """
    headers, frames, shape_px = _read_sources(sources, limits or DecodeLimits())
    for segment in segments:
        _check_masks(segment, len(frames), shape_px)
    if not segments:
        raise DataError("no segment to write", where=path, remedy="a DICOM Segmentation has at least one")
    header = _header(headers[0], len(frames) * len(segments), shape_px)
    if not all(_label(segment).isascii() for segment in segments):
        # pydicom writes what was copied anew in it; otherwise that stays as the source has it, byte for byte.
        header.SpecificCharacterSet = UNICODE
    header.ReferencedSeriesSequence = [_series_reference(headers[0], frames)]
    header.SegmentSequence = [_segment_item(number, segment) for number, segment in enumerate(segments, start=1)]
    header.SharedFunctionalGroupsSequence = [_shared_groups(headers[0])]
    header.PerFrameFunctionalGroupsSequence = [
        _frame_groups(number, index, frame)
        for number in range(1, len(segments) + 1)
        for index, frame in enumerate(frames, start=1)
    ]
    header.PixelData = _packed(segments)
    header["PixelData"].VR = "OB"
    with atomic_path(path) as partial:
        dcmwrite(partial, header, implicit_vr=False, little_endian=True, enforce_file_format=True)


def _read_sources(
    sources: Sequence[Path], limits: DecodeLimits
) -> tuple[list[Dataset], list[_SourceFrame], tuple[int, int]]:
    headers, frames, shapes_px = [], [], set()
    for source in sources:
        file = _opened(source, limits)
        headers.append(file.header)
        shapes_px.add((file.shape.height, file.shape.width))
        numbers = range(1, file.shape.num_frames + 1) if _has_numbers(file) else [None]
        frames += [_SourceFrame(file.header.SOPClassUID, file.header.SOPInstanceUID, number) for number in numbers]
    series = {(header.get("StudyInstanceUID"), header.get("SeriesInstanceUID")) for header in headers}
    if len(series) != 1 or len(shapes_px) != 1:
        remedy = "give the files of one series and size"
        raise DataError("the sources are not one run", where=sources[0] if sources else None, remedy=remedy)
    return headers, frames, shapes_px.pop()


def _has_numbers(file: DicomFile) -> bool:
    """Return whether frames of a file are referred to by number; one of a single-frame class may not be (PS3.3 10.3).

    X-ray files that went through other software may be secondary captures.
    """
    is_single = file.header.SOPClassUID == SecondaryCaptureImageStorage and file.shape.num_frames == 1
    return "NumberOfFrames" in file.header and not is_single


def _opened(source: Path, limits: DecodeLimits) -> DicomFile:
    """Return a source with its header read; here, not in a process of its own, for it is the user's original."""
    try:
        with open_dicom(source, limits, also=SOURCE_KEYWORDS) as file:
            return file
    except DataError as error:
        raise DataError(error.problem, where=source, remedy=error.remedy) from None
    except Exception as error:  # parsers of damaged files raise anything
        raise DataError(f"is damaged ({type(error).__name__})", where=source, remedy="export it again") from None


def _check_masks(segment: Segment, num_frames: int, shape_px: tuple[int, int]) -> None:
    if not _label(segment):
        raise DataError("a segment without a label", remedy="say what it shows")
    if len(segment.masks) != num_frames:
        raise DataError(f"{len(segment.masks)} masks for {num_frames} frames", where=segment.label)
    wrong = next((mask.shape for mask in segment.masks if mask.shape != shape_px), None)
    if wrong is not None:
        raise DataError(f"a mask is {wrong}, the source {shape_px}", where=segment.label)


def _header(source: Dataset, num_frames: int, shape_px: tuple[int, int]) -> Dataset:
    now = datetime.now(UTC)
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = SegmentationStorage, generate_uid()
    for keyword in IDENTITY:
        setattr(header, keyword, source.get(keyword) or "")
    for keyword in COPIED_IF_THERE:
        if source.get(keyword):
            setattr(header, keyword, source[keyword].value)
    header.Modality, header.SeriesInstanceUID, header.SeriesNumber, header.InstanceNumber = "SEG", generate_uid(), 1, 1
    header.SeriesDescription = "angiova segmentation, research use only"
    header.Manufacturer, header.ManufacturerModelName = "angiova", "angiova"
    header.DeviceSerialNumber, header.SoftwareVersions = "0", __version__
    header.ContentDate, header.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    header.ContentLabel, header.ContentDescription, header.ContentCreatorName = "VESSELS", "Blood vessels", ""
    header.ImageType, header.SegmentationType, header.SegmentsOverlap = ["DERIVED", "PRIMARY"], "BINARY", "UNDEFINED"
    header.BurnedInAnnotation, header.LossyImageCompression = "NO", source.get("LossyImageCompression") or "00"
    header.PatientOrientation = ""  # asked for, and may be empty: a projection's is not known
    header.Rows, header.Columns = shape_px
    header.NumberOfFrames, header.SamplesPerPixel, header.PhotometricInterpretation = num_frames, 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 1, 1, 0, 0
    _add_dimensions(header)
    return header


def _add_dimensions(header: Dataset) -> None:
    """Say what the two Dimension Index Values of every frame mean: the segment, and the place in time."""
    organization = Dataset()
    organization.DimensionOrganizationUID = generate_uid()
    header.DimensionOrganizationSequence = [organization]
    header.DimensionIndexSequence = []
    for pointer, group, label in (
        (SEGMENT_NUMBER, SEGMENT_IDENTIFICATION, "Segment"),
        (TEMPORAL_POSITION, FRAME_CONTENT, "Frame"),
    ):
        index = Dataset()
        index.DimensionOrganizationUID = organization.DimensionOrganizationUID
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, group
        index.DimensionDescriptionLabel = label
        header.DimensionIndexSequence.append(index)


def _series_reference(source: Dataset, frames: Sequence[_SourceFrame]) -> Dataset:
    reference = Dataset()
    reference.SeriesInstanceUID = source.SeriesInstanceUID
    instances = dict.fromkeys((frame.class_uid, frame.instance_uid) for frame in frames)
    reference.ReferencedInstanceSequence = [_instance(*instance) for instance in instances]
    return reference


def _instance(class_uid: str, instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid, instance_uid
    return item


def _segment_item(number: int, segment: Segment) -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, _label(segment)
    item.SegmentAlgorithmType, item.SegmentAlgorithmName = "AUTOMATIC", f"angiova {__version__}"
    item.SegmentedPropertyCategoryCodeSequence = [segment.category.item()]
    item.SegmentedPropertyTypeCodeSequence = [segment.kind.item()]
    return item


def _label(segment: Segment) -> str:
    """Return the label as an LO element takes it."""
    return NOT_IN_LABELS.sub(" ", segment.label).strip()[:LABEL_CHARACTERS].rstrip()


def _shared_groups(source: Dataset) -> Dataset:
    groups = Dataset()
    if source.get("PixelSpacing"):
        measures = Dataset()
        measures.PixelSpacing = source.PixelSpacing
        groups.PixelMeasuresSequence = [measures]
    return groups


def _frame_groups(segment: int, index: int, frame: _SourceFrame) -> Dataset:
    """Return the functional groups of one frame: where it belongs, whose it is, and what it was derived from."""
    groups, content, identification, derivation = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues, content.TemporalPositionIndex = [segment, index], index
    identification.ReferencedSegmentNumber = segment
    image = _instance(frame.class_uid, frame.instance_uid)
    if frame.number is not None:
        image.ReferencedFrameNumber = frame.number
    image.PurposeOfReferenceCodeSequence = [SOURCE_IMAGE.item()]
    derivation.SourceImageSequence, derivation.DerivationCodeSequence = [image], [SEGMENTED.item()]
    groups.FrameContentSequence, groups.SegmentIdentificationSequence = [content], [identification]
    groups.DerivationImageSequence = [derivation]
    return groups


def _packed(segments: Sequence[Segment]) -> bytes:
    """Return all frames as bits, lowest first; frames follow each other without gaps (PS3.5 8.1.1).

    Eight frames at a time: together they fill whole bytes, whatever their size.
    """
    masks = (mask for segment in segments for mask in segment.masks)
    parts = []
    while eight := list(islice(masks, 8)):
        parts.append(np.packbits(np.stack(eight).reshape(-1), bitorder="little").tobytes())
    content = b"".join(parts)
    return content + b"\0" * (len(content) % 2)
