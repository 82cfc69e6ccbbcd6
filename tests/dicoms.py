"""Small DICOM files of every kind, written by the tests that read them."""

from __future__ import annotations

import warnings
import zlib
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
from pydicom import Dataset, FileDataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

XA = "1.2.840.10008.5.1.4.1.1.12.1"
Stored = npt.NDArray[Any]
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def run_of(num_frames: int = 3, bits: int = 8, shape_px: tuple[int, int] = (24, 32), signed: bool = False) -> Stored:
    """Return stored values (T, H, W) that no two frames share and that reach both ends of their range."""
    rng = np.random.default_rng(bits)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    kind = ("i" if signed else "u") + ("1" if bits <= 8 else "2")
    values = rng.integers(low, high, (num_frames, *shape_px), endpoint=True).astype(kind)
    values[:, 0, 0], values[:, 0, 1] = low, high
    return values


def dataset_of(values_THW: Stored, bits: int = 8, **elements: Any) -> FileDataset:  # noqa: ANN401
    """Return an XA dataset, not yet encoded; `elements` set or, when None, remove elements."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = XA
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    header.SOPClassUID, header.SOPInstanceUID = XA, meta.MediaStorageSOPInstanceUID
    header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
    header.PatientID, header.PatientName, header.Modality = "P1", "DOE^JANE", "XA"
    header.NumberOfFrames, header.Rows, header.Columns = values_THW.shape[:3]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = values_THW.dtype.itemsize * 8, bits, bits - 1
    header.PixelRepresentation = int(values_THW.dtype.kind == "i")
    content = values_THW.tobytes()
    header.PixelData = content + b"\0" * (len(content) % 2)
    header["PixelData"].VR = "OW" if values_THW.dtype.itemsize == 2 else "OB"
    change(header, elements)
    return header


def change(header: Dataset, elements: dict[str, Any]) -> None:
    """Set elements, whatever pydicom thinks of their values, or remove those that are None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in elements.items():
            if value is None:
                del header[keyword]
            else:
                setattr(header, keyword, value)


def write_dicom(path: Path, header: FileDataset, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a dataset under a native transfer syntax."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header.file_meta.TransferSyntaxUID = syntax
    little = syntax != ExplicitVRBigEndian
    if not little and header.BitsAllocated == 16:
        header.PixelData = np.frombuffer(header.PixelData, "<u2").astype(">u2").tobytes()
    implicit = syntax == ImplicitVRLittleEndian
    dcmwrite(path, header, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return path


def write_run(path: Path, values_THW: Stored, bits: int = 8, **elements: Any) -> Path:  # noqa: ANN401
    """Write stored values as an explicit little-endian XA file."""
    return write_dicom(path, dataset_of(values_THW, bits, **elements))


def write_deflated(path: Path, header: FileDataset, num_extra_bytes: int = 0) -> Path:
    """Write a deflated file; `num_extra_bytes` zeros follow its elements, inside what is deflated."""
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, header)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(buffer.getvalue() + bytes(num_extra_bytes)) + packer.flush()
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = DicomBytesIO()
    meta.is_implicit_VR, meta.is_little_endian = False, True
    write_file_meta_info(meta, header.file_meta, enforce_standard=True)
    path.write_bytes(bytes(128) + b"DICM" + meta.getvalue() + body + b"\0" * (len(body) % 2))
    return path


def write_compressed(path: Path, values_THW: Stored, bits: int, syntax: str) -> Path:
    """Write a run encoded losslessly: RLE by pydicom, JPEG-LS by CharLS, JPEG and JPEG 2000 by GDCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = dataset_of(values_THW, bits)
    if syntax in (RLELossless, JPEGLSLossless):
        header.compress(syntax, values_THW if len(values_THW) > 1 else values_THW[0], generate_instance_uid=False)
        return save_compressed(path, header)
    write_dicom(path, header)
    reader, change_syntax, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change_syntax.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change_syntax.SetInput(reader.GetImage())
    assert change_syntax.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change_syntax.GetOutput())
    assert writer.Write()
    return path


def save_compressed(path: Path, header: FileDataset) -> Path:
    """Write a dataset whose frames are encoded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)
    return path


def dicomdir_of(folder: Path, names: list[list[str]]) -> Path:
    """Write a DICOMDIR into `folder` that lists files by the parts of their paths."""
    header = Dataset()
    records = []
    for parts in names:
        record = Dataset()
        change(record, {"DirectoryRecordType": "IMAGE", "ReferencedFileID": parts})
        records.append(record)
    header.DirectoryRecordSequence = Sequence(records)
    base = dataset_of(run_of(1))
    for keyword in ("PixelData", "Rows", "Columns"):
        del base[keyword]
    base.update(header)
    base.file_meta.MediaStorageSOPClassUID = base.SOPClassUID = "1.2.840.10008.1.3.10"
    return write_dicom(folder / "DICOMDIR", base)
