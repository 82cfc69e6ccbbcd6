"""Which files of a source are DICOM images: found in folders under any name, or listed by a DICOMDIR."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from angiova.data.decoding.decoder import Decoder
from angiova.data.importers.findings import Findings
from angiova.data.importers.source import confined, natural_key, stays_inside
from angiova.errors import DataError

SUFFIXES: Final = frozenset({".dcm", ".dicom", ".dic", ".ima"})
DIRECTORY_NAME: Final = "DICOMDIR"
PREAMBLE_BYTES: Final = 128
MAGIC: Final = b"DICM"
# Looked at to recognise a source; a folder of a hundred other files first is none of DICOM.
MAX_PROBED: Final = 100


def is_source(source: Path) -> bool:
    """Return whether `source` is a DICOM file, a DICOMDIR, or a folder that holds some."""
    if source.is_file():
        return _is_image(source) or _is_directory(source)
    files = (path for path in sorted(source.rglob("*")) if path.is_file())
    return any(_is_image(path) for _, path in zip(range(MAX_PROBED), files, strict=False))


def image_files(source: Path, decoder: Decoder, findings: Findings) -> list[Path]:
    """Return the files to open, in natural order; what is neither listed nor DICOM is counted and left out."""
    if source.is_file():
        return _listed(source, decoder, findings) if _is_directory(source) else [source]
    everything = [path for path in source.rglob("*") if path.name[0] != "." and not path.is_dir()]
    inside = [path for path in everything if stays_inside(path, source, findings) and path.is_file()]
    directories = [path for path in inside if _is_directory(path)]
    images = {path for path in inside if _is_image(path) and not _is_directory(path)}
    for directory in directories:
        images.update(_listed(directory, decoder, findings))
    others = len(everything) - len(images) - len(directories)
    if others:
        findings.note("not-dicom", source, f"{others} files that are not DICOM were left out")
    return sorted(images, key=natural_key)


def _is_directory(path: Path) -> bool:
    return path.name.upper() == DIRECTORY_NAME


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            stream.seek(PREAMBLE_BYTES)
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _listed(directory: Path, decoder: Decoder, findings: Findings) -> list[Path]:
    try:
        files = decoder.one("dicomdir", directory).fields["files"]
    except DataError as error:
        findings.refuse("dicomdir-unreadable", directory, error.problem, error.remedy or "")
        return []
    return list(_existing(directory, files, findings))


def _existing(directory: Path, files: list[list[str]], findings: Findings) -> Iterator[Path]:
    for parts in files:
        try:
            # Names on the medium are in capitals; copies of it may not be.
            choices = [confined(directory.parent, "/".join(names)) for names in (parts, [p.lower() for p in parts])]
        except DataError as error:
            findings.refuse("path-escapes", directory, error.problem, error.remedy or "")
            continue
        found = next((path for path in choices if path.is_file()), None)
        if found is None:
            message, repair = "lists a file that is not there", "leave the file out"
            findings.repair("dicomdir-file-missing", directory, message, repair, "copy the whole medium")
        else:
            yield found
