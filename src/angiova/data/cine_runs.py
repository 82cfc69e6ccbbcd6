"""Runs to look at, wherever they lie: DICOM and video files, folders of frames, data sets, and folders of all these.

Nothing is imported: the frames of a run come one by one, decoded as they are asked for. DICOM and video files are
opened in the decoding process alone. Names of files and folders are kept, as they name what is written.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

from angiova.data.decoding.decoder import Decoder
from angiova.data.importers.dicom import ImageFile, facts_of, runs_of, shown_frames, value_range_of
from angiova.data.importers.dicom_files import image_files, is_source
from angiova.data.importers.findings import Findings
from angiova.data.importers.mask_files import pair_up
from angiova.data.importers.source import frame_id_of, natural_key, stays_inside
from angiova.data.importers.video import is_video, pixels_of
from angiova.data.manifest import DATASET_NAME, Manifest
from angiova.data.pixels import GreyImage, inverted, read_grey
from angiova.data.records import FrameRecord
from angiova.errors import DataError
from angiova.files import sha256_file

# What an import would say of files that could be runs and cannot be used.
UNUSABLE: Final = ("dicomdir-unreadable", "dicomdir-file-missing", "path-escapes")
KNOWN: Final = "a DICOM or video file, a folder of frames, a data set, or a folder of several runs"


class SourceKind(StrEnum):
    """What a run lies in."""

    DICOM = "dicom"
    VIDEO = "video"
    FRAMES = "frames"
    DATASET = "dataset"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CineFrame:
    """One frame of a run.

    Attributes:
        image_HW: 8-bit grey.
        name: the frame's own name: of its file, its id in the data set, or its index.
        time_s: seconds from the start of the run, where known.
        spacing_mm: (row, column) spacing in the plane of the vessel, where known.
    """

    image_HW: GreyImage
    name: str
    time_s: float | None = None
    spacing_mm: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class CineRun:
    """A run that can be read.

    Attributes:
        name: unique among the runs found with it, and safe as a file name.
        kind: what it lies in.
        files: the files it is read from, in order.
        dicoms: the same with their headers, of DICOM files.
        records: the frames, of a run in a data set.
        problem: why it cannot be read, where that showed already.
        bright_vessels: whether its vessels are brighter than their surroundings, so that its frames are inverted.
    """

    name: str
    kind: SourceKind
    files: tuple[Path, ...]
    dicoms: tuple[ImageFile, ...] = ()
    records: tuple[FrameRecord, ...] = ()
    problem: DataError | None = None
    bright_vessels: bool = False

    def frames(self, decoder: Decoder) -> Iterator[CineFrame]:
        """Yield the frames in the order of time, with dark vessels; files of others are opened by `decoder`.

        Raises:
            DataError: a file cannot be read.
        """
        for frame in self._stored_frames(decoder):
            yield replace(frame, image_HW=inverted(frame.image_HW)) if self.bright_vessels else frame

    def _stored_frames(self, decoder: Decoder) -> Iterator[CineFrame]:
        if self.problem is not None:
            raise self.problem
        if self.kind is SourceKind.DICOM:
            yield from _dicom_frames(self.dicoms, decoder)
        elif self.kind is SourceKind.VIDEO:
            yield from _video_frames(self.files[0], decoder)
        elif self.kind is SourceKind.DATASET:
            for path, record in zip(self.files, self.records, strict=True):
                yield CineFrame(read_grey(path), record.frame_id, record.time_s, record.spacing_mm)
        else:
            for path in self.files:
                yield CineFrame(read_grey(path), path.stem)

    def sha256(self) -> str:
        """Return a SHA-256 over the contents of all its files, in order.

        Raises:
            DataError: a file cannot be read.
        """
        try:
            hashes = [sha256_file(path) for path in self.files]
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})", where=error.filename) from None
        return hashes[0] if len(hashes) == 1 else sha256("\n".join(hashes).encode()).hexdigest()


def find_runs(source: Path, decoder: Decoder, bright_vessels: bool = False) -> list[CineRun]:
    """Return the runs in a file, a data set or a folder (searched through), each under a name of its own.

    What cannot be used is a run with a problem, so that it is told and the others can go on: a DICOM file that cannot
    be opened or is there twice, a file that a DICOMDIR lists and that is missing, a link that leads out of the source.
    Hidden files are left out.

    Args:
        source: where to look.
        decoder: opens DICOM and video files.
        bright_vessels: whether the vessels of all of them are bright; see `CineRun`.

    Raises:
        DataError: there is none.
    """
    return [replace(run, bright_vessels=bright_vessels) for run in _found(source, decoder)]


def _found(source: Path, decoder: Decoder) -> list[CineRun]:
    if not source.exists():
        raise DataError("source not found", where=source)
    if (source / DATASET_NAME).exists():
        return runs_of_dataset(Manifest(source))
    root = source.parent if source.is_file() else source
    findings = Findings(fix=True)
    runs = _of_dicom(source, root, decoder, findings) + _of_videos(source, root, findings)
    if source.is_dir():
        runs += _of_images(source, findings)
    runs += _left_out(findings, root)
    if not runs:
        raise DataError("no run here", where=source, remedy=f"give {KNOWN}")
    return _with_own_names(runs)


def runs_of_dataset(manifest: Manifest) -> list[CineRun]:
    """Return the runs of a data set, each under the name that it is tracked under."""
    members: dict[str, list[FrameRecord]] = defaultdict(list)
    for record in manifest.records():
        members[record.run].append(record)
    runs = []
    for run, unordered in members.items():
        records = sorted(unordered, key=lambda record: record.frame)
        paths = tuple(manifest.image_path(record) for record in records)
        runs.append(CineRun(frame_id_of((run,)), SourceKind.DATASET, paths, records=tuple(records)))
    return _with_own_names(runs)


def _of_dicom(source: Path, root: Path, decoder: Decoder, findings: Findings) -> list[CineRun]:
    if (source.is_file() and is_video(source)) or not is_source(source):
        return []
    readable, broken = [], []
    path_of_instance: dict[str, Path] = {}
    for path in image_files(source, decoder, findings):
        try:
            file = ImageFile(path, facts_of(path, decoder))
            first = path_of_instance.setdefault(file.facts.instance, path)
            if first != path:
                raise DataError(f"is there twice: {first.name} has the same SOP Instance UID", remedy="remove one")
            readable.append(file)
        except DataError as error:
            problem = DataError(error.problem, where=path, remedy=error.remedy)
            broken.append(CineRun(_name(path, root), SourceKind.DICOM, (path,), problem=problem))
    runs = [
        CineRun(_name(files[0].path, root), SourceKind.DICOM, tuple(f.path for f in files), dicoms=tuple(files))
        for files in runs_of(readable)
    ]
    return runs + broken


def _of_videos(source: Path, root: Path, findings: Findings) -> list[CineRun]:
    paths = [source] if source.is_file() else sorted(source.rglob("*"), key=natural_key)
    videos = [path for path in paths if is_video(path) and not _is_hidden(path, root)]
    return [
        CineRun(_name(path, root), SourceKind.VIDEO, (path,))
        for path in videos
        if source.is_file() or stays_inside(path, root, findings)
    ]


def _of_images(source: Path, findings: Findings) -> list[CineRun]:
    """Return each folder with images as a run; folders of masks beside them are left out as an import does."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for pair in pair_up(source, findings):
        if not _is_hidden(pair.image, source):
            folders[pair.image.parent].append(pair.image)
    runs = []
    for folder, paths in folders.items():
        parts = [part for part in folder.relative_to(source).parts if part != "images"]
        name = frame_id_of(parts or [source.resolve().name])
        runs.append(CineRun(name, SourceKind.FRAMES, tuple(sorted(paths, key=natural_key))))
    return runs


def _left_out(findings: Findings, root: Path) -> list[CineRun]:
    """Return what was found unusable as runs with problems, each once."""
    found = {(f.where, f.message): f for f in findings.all if f.code in UNUSABLE}
    return [
        CineRun(
            _name(Path(finding.where), root),
            SourceKind.UNKNOWN,
            (Path(finding.where),),
            problem=DataError(finding.message, where=finding.where, remedy=finding.remedy),
        )
        for finding in found.values()
    ]


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _name(path: Path, root: Path) -> str:
    """Return a file's path in the source as a name; its ending belongs to it where that is no known one."""
    relative = path.relative_to(root)
    return frame_id_of((relative.with_suffix("") if re.fullmatch(r"\.[A-Za-z]\w*", path.suffix) else relative).parts)


def _with_own_names(runs: Sequence[CineRun]) -> list[CineRun]:
    """Number the runs whose names would be the same, also where a file system does not tell capitals apart."""
    taken: set[str] = set()
    named = []
    for run in runs:
        name, number = run.name, 2
        while name.casefold() in taken:
            name, number = f"{run.name}-{number}", number + 1
        taken.add(name.casefold())
        named.append(CineRun(name, run.kind, run.files, run.dicoms, run.records, run.problem))
    return named


def _dicom_frames(files: Sequence[ImageFile], decoder: Decoder) -> Iterator[CineFrame]:
    value_range = value_range_of(files, decoder)
    for file in files:
        for index, image_HW in shown_frames(file, value_range, decoder):
            name = f"{index:05d}" if len(files) == 1 else file.path.stem
            time_s = None if file.facts.times_s is None or len(files) > 1 else file.facts.times_s[index]
            yield CineFrame(image_HW, name, time_s, file.facts.spacing_mm)


def _video_frames(path: Path, decoder: Decoder) -> Iterator[CineFrame]:
    for index, message in enumerate(decoder.ask("video-frames", path)):
        time_s = message.fields["time_s"]
        yield CineFrame(pixels_of(message), f"{index:05d}", None if time_s is None else float(time_s))
