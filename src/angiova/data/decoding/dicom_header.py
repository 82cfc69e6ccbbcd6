"""Reads the facts that a run needs from a DICOM header; what cannot be right is left out and said."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Final

from pydicom import Dataset

from angiova.data.decoding.dicom_file import DicomFile, whole
from angiova.data.decoding.dicom_pixels import has_window
from angiova.data.decoding.facts import DicomFacts
from angiova.errors import DataError

MAX_TEXT: Final = 1024
MAX_NUMBER: Final = 2**31 - 1
FULL_BYTE: Final = 8
MILLI: Final = 1e-3


def facts_of(file: DicomFile) -> DicomFacts:
    """Return the facts of an image file.

    Raises:
        DataError: it has no SOP Instance UID, or a number that is none.
    """
    header, shape = file.header, file.shape
    instance = _text(header, "SOPInstanceUID")
    if instance is None:
        raise DataError("has no SOP Instance UID")
    notes: list[str] = []
    return DicomFacts(
        patient=_patient(header),
        study=_text(header, "StudyInstanceUID"),
        series=_text(header, "SeriesInstanceUID"),
        instance=instance,
        acquisition=_number(header, "AcquisitionNumber"),
        number=_number(header, "InstanceNumber"),
        height=shape.height,
        width=shape.width,
        num_frames=shape.num_frames,
        bits=shape.bits,
        channels=shape.channels,
        inverted=header.PhotometricInterpretation == "MONOCHROME1",
        needs_range=shape.channels == 1 and not has_window(header) and not _fills_a_byte(file),
        times_s=_times_s(header, shape.num_frames, notes),
        spacing_mm=_spacing_mm(header, notes),
        angles_deg=_angles_deg(header, notes),
        says_burned_in=_text(header, "BurnedInAnnotation") == "YES",
        notes=tuple(notes),
    )


def _fills_a_byte(file: DicomFile) -> bool:
    scaled = "RescaleSlope" in file.header or "ModalityLUTSequence" in file.header
    return file.shape.bits == FULL_BYTE and not scaled and not file.header.get("PixelRepresentation", 0)


def _text(header: Dataset, keyword: str) -> str | None:
    text = str(header.get(keyword) or "").strip().strip("\0")
    return text[:MAX_TEXT] or None


def _number(header: Dataset, keyword: str) -> int | None:
    return whole(header, keyword, -MAX_NUMBER, MAX_NUMBER) if _text(header, keyword) else None


def _patient(header: Dataset) -> str | None:
    """Return who it is: the ID with its issuer, or else name and date of birth."""
    parts = [_text(header, keyword) for keyword in ("PatientID", "IssuerOfPatientID")]
    if parts[0] is None:
        parts = [_text(header, keyword) for keyword in ("PatientName", "PatientBirthDate")]
    return None if parts[0] is None else "\\".join(part or "" for part in parts)


def _numbers(header: Dataset, keyword: str) -> list[float] | None:
    """Return the numbers of an element; None where it is missing, empty or holds anything but finite numbers."""
    value = header.get(keyword)
    if value is None or value == "":
        return None
    try:
        numbers = [
            float(str(part))
            for part in (value if not isinstance(value, str) and hasattr(value, "__len__") else [value])
        ]
    except (TypeError, ValueError):
        return None
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def _times_s(header: Dataset, num_frames: int, notes: list[str]) -> tuple[float, ...] | None:
    """Return when each frame was taken, from Frame Time Vector or Frame Time (PS3.3 C.7.6.5), both in ms."""
    vector, step = _numbers(header, "FrameTimeVector"), _numbers(header, "FrameTime")
    if vector is not None and len(vector) == num_frames and min(vector) >= 0:
        # The first number is the distance of the first frame from nothing; the standard asks for 0.
        return tuple(time * MILLI for time in accumulate([0.0, *vector[1:]]))
    if vector is not None:
        notes.append("frame-time-vector-unusable")
    if step is not None and len(step) == 1 and step[0] > 0 and num_frames > 1:
        return tuple(frame * step[0] * MILLI for frame in range(num_frames))
    return None


def _spacing_mm(header: Dataset, notes: list[str]) -> tuple[float, float] | None:
    """Return the spacing in the plane of the patient.

    Imager Pixel Spacing is that of the detector; the magnification, stated or from the two distances, takes it to the
    patient (PS3.3 C.8.7.5). Pixel Spacing counts where it was calibrated (PS3.3 10.7.1.3). Without either the spacing
    is not known: that of the detector would make every vessel too wide.
    """
    detector, calibrated = _positive_pair(header, "ImagerPixelSpacing"), _positive_pair(header, "PixelSpacing")
    if calibrated is not None and _text(header, "PixelSpacingCalibrationType") in ("FIDUCIAL", "GEOMETRY"):
        return calibrated
    magnification = _magnification(header)
    if detector is not None and magnification is not None:
        return detector[0] / magnification, detector[1] / magnification
    if detector is not None or calibrated is not None:
        notes.append("spacing-of-detector-only")
    return None


def _positive_pair(header: Dataset, keyword: str) -> tuple[float, float] | None:
    numbers = _numbers(header, keyword)
    return (numbers[0], numbers[1]) if numbers and len(numbers) == 2 and min(numbers) > 0 else None


def _magnification(header: Dataset) -> float | None:
    keywords = ("EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector", "DistanceSourceToPatient")
    stated, detector_mm, patient_mm = (numbers[0] if (numbers := _numbers(header, k)) else 0.0 for k in keywords)
    if stated >= 1:
        return stated
    return detector_mm / patient_mm if 0 < patient_mm <= detector_mm else None


def _angles_deg(header: Dataset, notes: list[str]) -> tuple[float, float] | None:
    """Return the positioner angles; LAO and cranial are positive in DICOM too (PS3.3 C.8.7.5.1.2)."""
    if _text(header, "PositionerMotion") == "DYNAMIC":
        notes.append("positioner-moves")
        return None
    primary, secondary = (_numbers(header, k) for k in ("PositionerPrimaryAngle", "PositionerSecondaryAngle"))
    return (primary[0], secondary[0]) if primary and secondary else None
