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
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import SegmentationStorage, generate_uid

from angiova import __version__
from angiova.data.decoding.limits import DecodeLimits
from angiova.data.rle import BoolMask
from angiova.errors import DataError
from angiova.export.dicom_derived import (
    SEGMENTED,
    SOURCE_IMAGE,
    Code,
    SourceFrame,
    SourceRun,
    derived_header,
    instance_item,
    read_sources,
    write_derived,
)

LABEL_CHARACTERS: Final = 64  # VR LO
UNICODE: Final = "ISO_IR 192"
# What no LO may hold (PS3.5 6.2): control characters, and the backslash, which would make two values of one.
NOT_IN_LABELS: Final = re.compile(r"[\x00-\x1f\x7f\\]+")
# PS3.6 and PS3.16: the keywords by which a viewer finds frame and segment of each frame.
SEGMENT_NUMBER, SEGMENT_IDENTIFICATION = 0x0062000B, 0x0062000A
TEMPORAL_POSITION, FRAME_CONTENT = 0x00209128, 0x00209111
ANATOMY: Final = Code("91723000", "SCT", "Anatomical Structure")
BLOOD_VESSEL: Final = Code("59820001", "SCT", "Blood vessel")
CORONARY_ARTERY: Final = Code("41801008", "SCT", "Coronary artery")


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
    source = read_sources(sources, limits)
    for segment in segments:
        _check_masks(segment, len(source.frames), source.shape_px)
    if not segments:
        raise DataError("no segment to write", where=path, remedy="a DICOM Segmentation has at least one")
    header = _header(source, len(segments))
    if not all(_label(segment).isascii() for segment in segments):
        # pydicom writes what was copied anew in it; otherwise that stays as the source has it, byte for byte.
        header.SpecificCharacterSet = UNICODE
    header.SegmentSequence = [_segment_item(number, segment) for number, segment in enumerate(segments, start=1)]
    header.SharedFunctionalGroupsSequence = [_shared_groups(source.header)]
    header.PerFrameFunctionalGroupsSequence = [
        _frame_groups(number, index, frame)
        for number in range(1, len(segments) + 1)
        for index, frame in enumerate(source.frames, start=1)
    ]
    header.PixelData = _packed(segments)
    write_derived(path, header)


def _check_masks(segment: Segment, num_frames: int, shape_px: tuple[int, int]) -> None:
    if not _label(segment):
        raise DataError("a segment without a label", remedy="say what it shows")
    if len(segment.masks) != num_frames:
        raise DataError(f"{len(segment.masks)} masks for {num_frames} frames", where=segment.label)
    wrong = next((mask.shape for mask in segment.masks if mask.shape != shape_px), None)
    if wrong is not None:
        raise DataError(f"a mask is {wrong}, the source {shape_px}", where=segment.label)


def _header(source: SourceRun, num_segments: int) -> Dataset:
    header = derived_header(source, SegmentationStorage, "angiova segmentation, research use only")
    header.Modality, header.BurnedInAnnotation = "SEG", "NO"
    header.ContentLabel, header.ContentDescription, header.ContentCreatorName = "VESSELS", "Blood vessels", ""
    header.ImageType, header.SegmentationType, header.SegmentsOverlap = ["DERIVED", "PRIMARY"], "BINARY", "UNDEFINED"
    header.NumberOfFrames = num_segments * len(source.frames)
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
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


def _frame_groups(segment: int, index: int, frame: SourceFrame) -> Dataset:
    """Return the functional groups of one frame: where it belongs, whose it is, and what it was derived from."""
    groups, content, identification, derivation = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues, content.TemporalPositionIndex = [segment, index], index
    identification.ReferencedSegmentNumber = segment
    image = instance_item(frame.class_uid, frame.instance_uid)
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
