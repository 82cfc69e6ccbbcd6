"""Writes a run with its masks burned in as a DICOM Multi-frame True Color Secondary Capture Image (PS3.3 A.8.5).

For viewers that show no segmentations: plain colour frames, one for every source frame, at its time. The object says
that it is derived, from what, and that it is not for diagnosis. Projections have no position in space: nothing of the
kind is written. Like the segmentation it joins the study of its source and carries the identity in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage

from angiova import __version__
from angiova.data.decoding.limits import DecodeLimits
from angiova.errors import DataError
from angiova.export.dicom_derived import (
    SEGMENTED,
    SOURCE_IMAGE,
    SourceRun,
    derived_header,
    instance_item,
    read_sources,
    write_derived,
)
from angiova.export.overlay import ColourImage

NOTICE: Final = "Research use only, not for diagnosis."
# Beside the identity: when frames were taken, and what is known about letters and losses in the pixels.
KEYWORDS: Final = (
    *("FrameTime", "FrameTimeVector", "BurnedInAnnotation"),
    *("LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)
MOST_BYTES: Final = 2**32 - 2  # what the length of an element can say (PS3.5 7.1)


def write_secondary_capture(
    path: Path, sources: Sequence[Path], pictures: Iterable[ColourImage], *, limits: DecodeLimits | None = None
) -> None:
    """Write pictures of a run, e.g. `angiova.export.cine.overlays`, as one Secondary Capture.

    Args:
        path: file to write.
        sources: the run: one multi-frame file, or single-frame files of one series in their order.
        pictures: one (H, W, 3) for each source frame, of its size.
        limits: what reading the sources' headers may cost.

    Raises:
        DataError: a source cannot be read, they do not belong together, pictures do not fit them, or they are more than
            a DICOM file can hold uncompressed.
    """
    source = read_sources(sources, limits, KEYWORDS)
    header = _header(source)
    header.PixelData = _pixels(path, source, pictures)
    write_derived(path, header)


def _pixels(path: Path, source: SourceRun, pictures: Iterable[ColourImage]) -> bytes:
    num_frames, shape = len(source.frames), (*source.shape_px, 3)
    num_bytes = num_frames * shape[0] * shape[1] * shape[2]
    if num_bytes > MOST_BYTES:
        raise DataError(f"{num_bytes} bytes of pixels", where=path, remedy="write an MP4 instead")
    content = bytearray()
    for picture in pictures:
        if picture.shape != shape:
            raise DataError(f"a picture is {picture.shape}, the source wants {shape}", where=path)
        content += picture.tobytes()
    if len(content) != num_bytes:
        problem = f"{len(content) * num_frames // num_bytes} pictures for {num_frames} frames"
        raise DataError(problem, where=path, remedy="give one picture a source frame")
    return bytes(content) + b"\0" * (num_bytes % 2)


def _header(source: SourceRun) -> Dataset:
    class_uid = MultiFrameTrueColorSecondaryCaptureImageStorage
    header = derived_header(source, class_uid, "angiova overlay, research use only")
    header.Modality, header.ConversionType = "OT", "WSD"
    header.Laterality = ""  # asked for where the part of the body is not stated to be unpaired
    header.ImageType, header.ImageComments = ["DERIVED", "SECONDARY"], NOTICE
    header.DerivationDescription = f"Masks by angiova {__version__} drawn over the source frames. {NOTICE}"
    header.DerivationCodeSequence = [SEGMENTED.item()]
    header.SourceImageSequence = [_source_item(*instance) for instance in source.instances]
    # Letters in the source are in the copy: what it does not deny must be reckoned with.
    header.BurnedInAnnotation = source.header.get("BurnedInAnnotation") or "YES"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if source.header.get(keyword):
            setattr(header, keyword, source.header[keyword].value)
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    header.NumberOfFrames = len(source.frames)
    _add_times(header, source)
    return header


def _add_times(header: Dataset, source: SourceRun) -> None:
    """Say when frames come, by what the source says; where it says nothing, only count them as pages."""
    num_frames = len(source.frames)
    vector = source.header.get("FrameTimeVector")
    if vector and num_frames > 1 and len(vector) == num_frames:
        header.FrameTimeVector, header.FrameIncrementPointer = list(vector), Tag("FrameTimeVector")
    elif source.header.get("FrameTime"):
        header.FrameTime, header.FrameIncrementPointer = source.header.FrameTime, Tag("FrameTime")
    elif num_frames > 1:
        header.PageNumberVector = list(range(1, num_frames + 1))
        header.FrameIncrementPointer = Tag("PageNumberVector")


def _source_item(class_uid: str, instance_uid: str) -> Dataset:
    """Return the item of one source file; all of its frames, in their order, are those of the picture."""
    item = instance_item(class_uid, instance_uid)
    item.PurposeOfReferenceCodeSequence = [SOURCE_IMAGE.item()]
    return item
