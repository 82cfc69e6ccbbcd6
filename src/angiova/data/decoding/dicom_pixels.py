"""From stored values to 8-bit grey as the file asks to be shown: modality LUT, window or VOI LUT, polarity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_rescale, apply_voi
from pydicom.pixels.utils import iter_pixels

from angiova.data.decoding.dicom_file import DicomFile
from angiova.data.pixels import GreyImage, to_grey
from angiova.errors import DataError

Values = npt.NDArray[np.generic]
Range = tuple[float, float]
WHITE: Final = 255.0
SMALLEST: Final = 1e-6  # a window of width 1, or a flat image, is a step and no division by zero


def has_window(header: Dataset) -> bool:
    """Return whether the header says what to show as black and as white."""
    return bool(header.get("VOILUTSequence")) or (_first(header, "WindowWidth") is not None)


def stored_frames(file: DicomFile) -> Iterator[Values]:
    """Yield the frames after the modality LUT, (H, W), or colour as RGB, (H, W, 3).

    Raises:
        DataError: a frame has another size than the header says.
    """
    shape = file.shape
    expected = (shape.height, shape.width) if shape.channels == 1 else (shape.height, shape.width, shape.channels)
    num_frames = 0
    file.stream.seek(0)
    for frame in iter_pixels(file.stream):
        if frame.shape != expected:
            raise DataError("a frame has another size than the header says")
        num_frames += 1
        yield frame if shape.channels > 1 else _modality(_low_bits(frame, file), file.header)
    if num_frames != shape.num_frames:
        raise DataError(f"its header promises {shape.num_frames} frames, {num_frames} are there")


def shown(values: Values, header: Dataset, value_range: Range) -> GreyImage:
    """Return `values` as 8-bit grey, dark vessels on bright ground whatever the file's polarity.

    Args:
        values: a frame of `stored_frames`.
        header: says the window or LUT, and the polarity.
        value_range: black and white where the header has no window.

    Raises:
        DataError: the window is none, or its function is unknown.
    """
    if values.ndim == 3:
        return to_grey(values)
    grey_HW = _voi(values, header, value_range)
    is_inverse = header.PhotometricInterpretation == "MONOCHROME1" or header.get("PresentationLUTShape") == "INVERSE"
    return np.rint(WHITE - grey_HW if is_inverse else grey_HW).astype(np.uint8)


def window(values: Values, centre: float, width: float, function: str) -> npt.NDArray[np.float32]:
    """Return `values` windowed to 0..255 (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Raises:
        DataError: the width is too small for the function, or the function is unknown.
    """
    if width <= 0 or (width < 1 and function == "LINEAR"):
        raise DataError("Window Width is too small")
    x = values.astype(np.float32)
    if function == "LINEAR":
        share = (x - (centre - 0.5)) / max(width - 1, SMALLEST) + 0.5
    elif function == "LINEAR_EXACT":
        share = (x - centre) / width + 0.5
    elif function == "SIGMOID":
        share = 1 / (1 + np.exp(-4 * (x - centre) / width))
    else:
        raise DataError("VOI LUT Function is none of LINEAR, LINEAR_EXACT, SIGMOID")
    return np.asarray(np.clip(share, 0, 1) * WHITE, dtype=np.float32)


def _low_bits(frame: Values, file: DicomFile) -> Values:
    """Drop bits above those stored: old files keep overlays there."""
    spare = frame.dtype.itemsize * 8 - file.shape.bits
    if spare <= 0 or file.syntax.is_compressed:
        return frame
    return np.right_shift(np.left_shift(frame, spare), spare)  # keeps the sign of signed values


def _modality(frame: Values, header: Dataset) -> Values:
    """Apply rescale or modality LUT, but not a LUT that undoes the logarithm of the values meant to be shown.

    For XA and RF the Modality LUT takes LOG and DISP values back to linear ones, for measuring (PS3.3 C.8.7.1.1.2).
    """
    if header.get("ModalityLUTSequence"):
        is_for_measuring = header.get("PixelIntensityRelationship") in ("LOG", "DISP")
        return frame if is_for_measuring else apply_modality_lut(frame, header)
    return apply_rescale(frame, header)


def _voi(values: Values, header: Dataset, value_range: Range) -> npt.NDArray[np.float32]:
    if header.get("VOILUTSequence"):
        bits = min(max(int(header.VOILUTSequence[0].LUTDescriptor[2]), 8), 16)
        return apply_voi(values, header).astype(np.float32) * np.float32(WHITE / (2**bits - 1))
    centre, width = _first(header, "WindowCenter"), _first(header, "WindowWidth")
    if centre is not None and width is not None:
        return window(values, centre, width, str(header.get("VOILUTFunction") or "LINEAR"))
    low, high = value_range
    share = (values.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, SMALLEST))
    return np.asarray(np.clip(share, 0, 1) * np.float32(WHITE), dtype=np.float32)


def _first(header: Dataset, keyword: str) -> float | None:
    """Return the number of an element, or its first; None where it is missing or is none."""
    value = header.get(keyword)
    try:
        return None if value in (None, "") else float(str(value if np.isscalar(value) else value[0]))
    except (TypeError, ValueError, IndexError):
        raise DataError(f"{keyword} is no number") from None
