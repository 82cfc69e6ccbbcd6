"""Opens a DICOM file after checking, without decoding anything, that its header and its length agree."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self

from pydicom import Dataset, dcmread
from pydicom.encaps import generate_fragments, generate_frames, parse_basic_offsets
from pydicom.filebase import DicomFileLike
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from angiova.data.decoding.limits import MIB, DecodeLimits
from angiova.data.pixels import MAX_PIXELS
from angiova.errors import DataError

PREAMBLE_BYTES: Final = 128
MAGIC: Final = b"DICM"
# Of the file meta information, what precedes the bytes that its group length counts (PS3.10 7.1).
GROUP_LENGTH_BYTES: Final = 12
UNDEFINED_LENGTH: Final = 0xFFFFFFFF
# How a JPEG or JPEG-LS image begins, and a JPEG 2000 one.
FRAME_STARTS: Final = (b"\xff\xd8", b"\xff\x4f")
MONOCHROME: Final = ("MONOCHROME1", "MONOCHROME2")
COLOUR: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
MODALITIES: Final = ("XA", "RF")
# Everything that is read; of other elements not even the value is loaded.
WANTED: Final = [
    *("Modality", "PatientID", "PatientName", "PatientBirthDate", "IssuerOfPatientID", "BurnedInAnnotation"),
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AcquisitionNumber", "InstanceNumber"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelIntensityRelationship"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "VOILUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape", "SharedFunctionalGroupsSequence"),
    *("FrameTime", "FrameTimeVector", "PositionerMotion", "PositionerPrimaryAngle", "PositionerSecondaryAngle"),
    *("ImagerPixelSpacing", "PixelSpacing", "PixelSpacingCalibrationType"),
    *("EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector", "DistanceSourceToPatient"),
]


@dataclass(frozen=True, slots=True)
class Shape:
    """Size and sample format that a header claims.

    Attributes:
        height: rows, in pixels.
        width: columns, in pixels.
        num_frames: frames.
        channels: samples a pixel, 1 or 3.
        bits_allocated: bits a sample takes, 8 or 16.
        bits: bits of it that count.
    """

    height: int
    width: int
    num_frames: int
    channels: int
    bits_allocated: int
    bits: int

    @property
    def num_bytes(self) -> int:
        """Size of the decoded run."""
        return self.height * self.width * self.num_frames * self.channels * self.bits_allocated // 8


@dataclass(frozen=True, slots=True)
class DicomFile:
    """An image file whose header and length agree; nothing is decoded yet.

    Attributes:
        stream: the file, or what it inflates to.
        header: the elements of WANTED that it has.
        syntax: its transfer syntax.
        shape: size and sample format.
    """

    stream: BinaryIO
    header: Dataset
    syntax: UID
    shape: Shape

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()


def is_dicom(path: Path) -> bool:
    """Return whether a file says at byte 128 that it is DICOM."""
    with path.open("rb") as stream:
        stream.seek(PREAMBLE_BYTES)
        return stream.read(len(MAGIC)) == MAGIC


def open_dicom(path: Path, limits: DecodeLimits, also: Sequence[str] = ()) -> DicomFile:
    """Open an XA or RF image file.

    Args:
        path: the file.
        limits: what it may inflate to, and how large its run may be.
        also: keywords of elements to read beside WANTED.

    Raises:
        DataError: it is none, says something that cannot be, or is shorter than it says.
    """
    if not is_dicom(path):
        raise DataError("is no DICOM file (no DICM at byte 128)", remedy="export it as DICOM part 10")
    stream = _explicit(path, limits)
    try:
        return _checked(stream, limits, also)
    except BaseException:
        stream.close()
        raise


def _checked(stream: BinaryIO, limits: DecodeLimits, also: Sequence[str]) -> DicomFile:
    header = dcmread(stream, stop_before_pixels=True, specific_tags=[*WANTED, *also])
    _refuse_kind(header)
    syntax = UID(header.file_meta.TransferSyntaxUID)
    shape = _shape(header, limits)
    _check_length(stream, syntax, shape)
    return DicomFile(stream, header, syntax, shape)


def whole(header: Dataset, keyword: str, least: int, most: int, default: int | None = None) -> int:
    """Return a whole number of the header.

    Raises:
        DataError: it is missing without a default, is no number, or outside of `least` to `most`.
    """
    value = header.get(keyword)
    if value is None and default is not None:
        return default
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise DataError(f"{keyword} is no whole number from {least} to {most}")
    return number


def _explicit(path: Path, limits: DecodeLimits) -> BinaryIO:
    """Return the file; a deflated one inflated, up to the limit, as what it would be without deflating."""
    meta = read_file_meta_info(path)
    if "TransferSyntaxUID" not in meta:
        raise DataError("names no transfer syntax")
    if meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
        return path.open("rb")
    most = limits.inflated_mib * MIB
    with path.open("rb") as stream:
        stream.seek(PREAMBLE_BYTES + len(MAGIC) + GROUP_LENGTH_BYTES + int(meta.FileMetaInformationGroupLength))
        inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflating.decompress(stream.read(most), most + 1)
    if len(content) > most:
        raise DataError(f"inflates to more than {limits.inflated_mib} MiB", remedy="it may be made to do harm")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO(bytes(PREAMBLE_BYTES) + MAGIC)
    buffer.seek(0, 2)
    write_file_meta_info(DicomFileLike(buffer), meta, enforce_standard=False)
    buffer.write(content)
    buffer.seek(0)
    return buffer


def _refuse_kind(header: Dataset) -> None:
    if header.get("Modality") not in MODALITIES:
        raise DataError("modality is neither XA nor RF", remedy="leave the file out")
    if "SharedFunctionalGroupsSequence" in header:
        raise DataError("is an Enhanced XA object, which is not read yet", remedy="export it as XA multi-frame")


def _shape(header: Dataset, limits: DecodeLimits) -> Shape:
    channels = whole(header, "SamplesPerPixel", 1, 3)
    allocated = whole(header, "BitsAllocated", 8, 16)
    bits = whole(header, "BitsStored", 2, allocated)
    shape = Shape(
        height=whole(header, "Rows", 1, 65535),
        width=whole(header, "Columns", 1, 65535),
        num_frames=whole(header, "NumberOfFrames", 1, 2**31 - 1, default=1),
        channels=channels,
        bits_allocated=allocated,
        bits=bits,
    )
    if allocated not in (8, 16) or whole(header, "HighBit", 0, 15) != bits - 1:
        raise DataError("Bits Allocated, Bits Stored and High Bit do not fit together")
    known = {1: MONOCHROME, 3: COLOUR}.get(channels, ())
    if header.get("PhotometricInterpretation") not in known:
        expected = ", ".join(known) or "1 or 3 samples a pixel"
        raise DataError(f"Photometric Interpretation does not fit {channels} samples a pixel (known: {expected})")
    if shape.height * shape.width > MAX_PIXELS:
        raise DataError(f"claims {shape.height} x {shape.width} pixels, the limit is {MAX_PIXELS}")
    if shape.num_bytes > limits.run_mib * MIB:
        raise DataError(f"claims {shape.num_bytes} bytes of pixels, the limit is {limits.run_mib} MiB")
    return shape


def _check_length(stream: BinaryIO, syntax: UID, shape: Shape) -> None:
    """Compare what the header claims with what is there; the stream stands at the pixel data."""
    start = stream.tell()
    element = stream.read(12)
    order: Literal["little", "big"] = "little" if syntax.is_little_endian else "big"
    if len(element) < 12:
        raise DataError("has no pixel data", remedy="leave the file out, or copy it again")
    if syntax.is_compressed:
        _check_frames(stream, shape)
    else:
        offset = 8 if syntax.is_implicit_VR else 12
        claimed = int.from_bytes(element[offset - 4 : offset], order)
        there = min(claimed, stream.seek(0, 2) - start - offset)
        if there < shape.num_bytes or claimed > shape.num_bytes + 1:  # one byte pads to an even length
            raise DataError(f"its header promises {shape.num_bytes} bytes of pixels, {there} are there")
    stream.seek(0)


def _check_frames(stream: BinaryIO, shape: Shape) -> None:
    """Count the encoded frames, as fragments where one frame is promised: pydicom then joins whatever is there."""
    start = stream.tell()
    num_frames = sum(
        1 for _ in islice(generate_frames(stream, number_of_frames=shape.num_frames), shape.num_frames + 1)
    )
    if shape.num_frames == 1:
        stream.seek(start)
        parse_basic_offsets(stream)
        num_frames = max(num_frames, sum(part.startswith(FRAME_STARTS) for part in generate_fragments(stream)))
    if num_frames != shape.num_frames:
        there = "more" if num_frames > shape.num_frames else num_frames
        raise DataError(f"its header promises {shape.num_frames} frames, {there} are there")
