"""The tasks of the decoding process on DICOM files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import dcmread

from angiova.data.decoding.dicom_file import open_dicom
from angiova.data.decoding.dicom_header import facts_of
from angiova.data.decoding.dicom_pixels import shown, stored_frames
from angiova.data.decoding.limits import DecodeLimits
from angiova.data.decoding.messages import Message
from angiova.errors import DataError

MAX_LISTED_FILES: Final = 100_000


def facts(path: Path, limits: DecodeLimits, request: Mapping[str, Any]) -> Iterator[Message]:
    """Answer with what the header says."""
    with open_dicom(path, limits) as file:
        yield Message(asdict(facts_of(file)))


def value_range(path: Path, limits: DecodeLimits, request: Mapping[str, Any]) -> Iterator[Message]:
    """Answer with the lowest and the highest value of all frames, after the modality LUT."""
    with open_dicom(path, limits) as file:
        ends = [(float(frame.min()), float(frame.max())) for frame in stored_frames(file)]
    yield Message({"low": min(low for low, _ in ends), "high": max(high for _, high in ends)})


def extremes(path: Path, limits: DecodeLimits, request: Mapping[str, Any]) -> Iterator[Message]:
    """Answer with the darkest and the brightest that every pixel gets, as shown: two images of uint8, one payload."""
    darkest, brightest = None, None
    with open_dicom(path, limits) as file:
        for frame in stored_frames(file):
            grey_HW = shown(frame, file.header, tuple(request["range"]))
            darkest = grey_HW if darkest is None else np.minimum(darkest, grey_HW)
            brightest = grey_HW if brightest is None else np.maximum(brightest, grey_HW)
    if darkest is not None and brightest is not None:
        yield Message({}, darkest.tobytes() + brightest.tobytes())


def frames(path: Path, limits: DecodeLimits, request: Mapping[str, Any]) -> Iterator[Message]:
    """Answer with the frames as shown, one a message."""
    with open_dicom(path, limits) as file:
        for index, frame in enumerate(stored_frames(file)):
            yield Message({"frame": index}, shown(frame, file.header, tuple(request["range"])).tobytes())


def listed(path: Path, limits: DecodeLimits, request: Mapping[str, Any]) -> Iterator[Message]:
    """Answer with the files that a DICOMDIR lists, each as the parts of its path."""
    directory = dcmread(path, specific_tags=["DirectoryRecordSequence"])
    files = []
    for record in directory.get("DirectoryRecordSequence") or ():
        parts = record.get("ReferencedFileID")
        if parts is not None and parts != "":
            files.append([parts] if isinstance(parts, str) else [str(part) for part in parts])
    if len(files) > MAX_LISTED_FILES:
        raise DataError(f"lists {len(files)} files, the limit is {MAX_LISTED_FILES}")
    yield Message({"files": files})


TASKS: Final[dict[str, Callable[[Path, DecodeLimits, Mapping[str, Any]], Iterator[Message]]]] = {
    "dicom-facts": facts,
    "dicom-range": value_range,
    "dicom-extremes": extremes,
    "dicom-frames": frames,
    "dicomdir": listed,
}
