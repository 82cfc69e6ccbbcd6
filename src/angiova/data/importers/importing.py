"""Turns a source into a data set: all of it, or nothing with every reason why not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from angiova import __version__
from angiova.data.contact_sheet import SHEET_NAME, write_contact_sheet
from angiova.data.importers.coco import CocoImporter
from angiova.data.importers.dicom import DicomImporter
from angiova.data.importers.findings import Findings
from angiova.data.importers.frames import FrameImporter
from angiova.data.importers.masks import MaskImporter
from angiova.data.importers.options import ImportOptions
from angiova.data.importers.sa2va import Sa2vaImporter
from angiova.data.importers.sa2va_video import Sa2vaVideoImporter
from angiova.data.importers.source import Decoded, Importer, Reading, SourceFrame, unreadable
from angiova.data.importers.video import VideoImporter
from angiova.data.manifest import Manifest, ManifestWriter, Provenance
from angiova.data.pixel_hashes import pixels_sha256, write_pixel_hashes
from angiova.data.pixels import GreyImage, read_pixels, to_grey, write_png
from angiova.data.progress import with_progress
from angiova.data.records import Finding, FrameRecord, Photometry
from angiova.errors import ConfigError, DataError, ExitCode
from angiova.files import sha256_file, staged_folder, write_json

# Tried in this order: from the most particular to "images somewhere".
IMPORTERS: Final[tuple[Importer, ...]] = (
    Sa2vaVideoImporter(),
    Sa2vaImporter(),
    CocoImporter(),
    MaskImporter(),
    DicomImporter(),
    VideoImporter(),
    FrameImporter(),
)
PHRASE_FORMATS: Final = frozenset({"masks", "frames"})
TEXT_FORMATS: Final = frozenset({"dicom", "video"})
# Findings after which something of the source is not in the data set, though it was meant to be.
LEFT_OUT: Final = frozenset(
    {"dicom-unreadable", "dicom-instance-twice", "dicomdir-file-missing", "image-unreadable", "video-unreadable"}
)
REPORT_NAME: Final = "import.json"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        folder: the data set made.
        source: what was read.
        format: name of the importer.
        num_frames: frames imported.
        num_runs: cine runs among them.
        num_patients: patients named.
        num_unnamed: frames without a patient.
        targets_by_kind: number of targets of each kind.
        frames_by_split: number of frames in each part the publisher fixed.
        findings: everything noticed, repairs included.
        seconds: how long it took.
    """

    folder: Path
    source: Path
    format: str
    num_frames: int
    num_runs: int
    num_patients: int
    num_unnamed: int
    targets_by_kind: dict[str, int]
    frames_by_split: dict[str, int]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def exit_code(self) -> ExitCode:
        """DONE, or SOME_CASES_FAILED when files were left out because they cannot be used."""
        left_out = any(finding.code in LEFT_OUT for finding in self.findings)
        return ExitCode.SOME_CASES_FAILED if left_out else ExitCode.DONE

    @property
    def contact_sheet(self) -> Path:
        """The picture to look at."""
        return self.folder / SHEET_NAME


@dataclass(slots=True)
class Tally:
    """Counts over the frames imported so far."""

    num_frames: int = 0
    num_unnamed: int = 0
    runs: set[str] = field(default_factory=set)
    patients: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)

    def add(self, record: FrameRecord) -> None:
        """Count one frame."""
        self.num_frames += 1
        self.num_unnamed += record.patient is None
        self.runs.add(record.run)
        self.patients |= {record.patient} if record.patient is not None else set()
        self.kinds.update(target.kind.value for target in record.targets)
        self.splits.update([record.split.value] if record.split else [])


def import_dataset(source: Path, out: Path, *, format: str | None, options: ImportOptions) -> ImportReport:
    """Read `source` into a new data set `out`; the source is never changed.

    Args:
        source: folder or file with images and labels.
        out: folder to make; it appears only once everything is in it.
        format: coco, masks, dicom, video, frames, sa2va or sa2va-video; None chooses by looking.
        options: what the files don't say.

    Raises:
        DataError: the source is not known, or has problems; all of them are collected, and each is named with its file
            and reason.
        ConfigError: `format` or an option is unknown.
    """
    started_s = time.monotonic()
    importer = _choose(source, format)
    _check_places(source, out, options.key)
    findings = Findings(options.fix)
    if options.phrase and importer.name not in PHRASE_FORMATS:
        findings.note("phrase-unused", "--phrase", f"the format {importer.name} says itself what its masks show")
    if importer.name not in TEXT_FORMATS and options.mask_burned_in:
        findings.note("mask-unused", "--mask-burned-in", f"text is not looked for in the format {importer.name}")
    with staged_folder(out) as staging:
        reading = importer.read(source, options, findings)
        tally = _write(importer.name, reading, source, staging, options, findings)
        report = ImportReport(
            folder=out,
            source=source,
            format=importer.name,
            num_frames=tally.num_frames,
            num_runs=len(tally.runs),
            num_patients=len(tally.patients),
            num_unnamed=tally.num_unnamed,
            targets_by_kind=dict(sorted(tally.kinds.items())),
            frames_by_split=dict(sorted(tally.splits.items())),
            findings=findings.all,
            seconds=round(time.monotonic() - started_s, 3),
        )
        write_contact_sheet(Manifest(staging), staging / SHEET_NAME)
        write_json(staging / REPORT_NAME, _as_json(report, options, reading.hide))
    return report


def _choose(source: Path, format: str | None) -> Importer:
    names = ", ".join(importer.name for importer in IMPORTERS)
    if not source.exists():
        raise DataError("source not found", where=source)
    if format is not None:
        chosen = [importer for importer in IMPORTERS if importer.name == format]
        if not chosen:
            raise ConfigError(f"unknown format {format!r}", where="--format", remedy=f"choose one of {names}")
    else:
        chosen = [importer for importer in IMPORTERS if importer.recognises(source)][:1]
    if not chosen:
        raise DataError("no known layout here", where=source, remedy=f"name it with --format: {names}")
    return chosen[0]


def _check_places(source: Path, out: Path, key: Path | None) -> None:
    """Refuse to write into the source, over anything, or a key beside what it protects."""
    if out.resolve().is_relative_to(source.resolve()):
        raise DataError("lies in the source, which is never changed", where=out, remedy="choose another folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError("is not empty", where=out, remedy="choose another folder or delete it")
    if key is not None and any(key.resolve().is_relative_to(place.resolve()) for place in (source, out)):
        remedy = "keep it where the data set is not passed on with it"
        raise ConfigError("the key lies in the source or the data set", where="--key", remedy=remedy)


def _write(
    importer: str, reading: Reading, source: Path, folder: Path, options: ImportOptions, findings: Findings
) -> Tally:
    provenance = Provenance(
        importer=importer,
        source=reading.hide(str(source.resolve())),
        angiova_version=__version__,
        options=options.as_record(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        licence=options.licence,
    )
    store, tally = _Store(folder, options, findings), Tally()
    with ManifestWriter(folder, provenance) as writer:
        for frame in with_progress(reading.frames, "importing", reading.num_frames):
            record = store.keep(frame)
            if record is not None:
                writer.add(record)
                tally.add(record)
        if not tally.num_frames and not findings.refused:
            findings.refuse("no-frames", source, "no frame to import", "check the folder, or give --format")
        findings.raise_if_refused(source)
    write_pixel_hashes(folder, store.hash_of_frame)
    return tally


class _Store:
    """Copies, or refers to, the image of each frame, and notices frames that are there twice."""

    def __init__(self, folder: Path, options: ImportOptions, findings: Findings) -> None:
        self._folder, self._options, self._findings = folder, options, findings
        self._image_of_id: dict[str, Path] = {}
        self._id_of_pixels: dict[str, str] = {}
        self.hash_of_frame: dict[str, str] = {}

    def keep(self, frame: SourceFrame) -> FrameRecord | None:
        """Return the record of `frame`, its image stored; None, and a finding, where that cannot be."""
        if frame.frame_id in self._image_of_id:
            message = f"frame {frame.frame_id!r} is already {self._image_of_id[frame.frame_id]}"
            self._findings.refuse("duplicate-frame", frame.image, message, "rename one of them")
            return None
        self._image_of_id[frame.frame_id] = frame.image
        try:
            decoded = frame.decoded or _decode(frame.image, self._options)
        except DataError as error:
            unreadable(frame.image, error, self._findings)
            return None
        self._notice_duplicate(frame, decoded.pixels)
        return replace(_record(frame, decoded), image=self._place(frame, decoded.pixels))

    def _notice_duplicate(self, frame: SourceFrame, grey_HW: GreyImage) -> None:
        digest = pixels_sha256(grey_HW)
        self.hash_of_frame[frame.frame_id] = digest
        first = self._id_of_pixels.setdefault(digest, frame.frame_id)
        if first != frame.frame_id:
            message = f"frame {frame.frame_id} has the same pixels as {first}"
            self._findings.warn("duplicate-pixels", frame.image, message, "keep both in one split, or remove one")

    def _place(self, frame: SourceFrame, grey_HW: GreyImage) -> str:
        """Return what the manifest calls the image; written only while nothing stands against the import."""
        if self._options.reference:
            return str(frame.image.resolve())
        name = f"images/{frame.frame_id}.png"
        if not self._findings.refused:
            write_png(self._folder / name, grey_HW)
        return name


def _decode(path: Path, options: ImportOptions) -> Decoded:
    """Return the pixels of an image file, and what it says of them."""
    pixels = read_pixels(path)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    bits = 1 if pixels.dtype.kind == "b" else pixels.dtype.itemsize * 8
    return Decoded(
        pixels=options.with_dark_vessels(to_grey(pixels)),
        source=str(path.resolve()),
        source_sha256=sha256_file(path),
        photometry=Photometry(bits, channels, options.bright_vessels),
    )


def _record(frame: SourceFrame, decoded: Decoded) -> FrameRecord:
    return FrameRecord(
        frame_id=frame.frame_id,
        image="",
        height=frame.size_px[0],
        width=frame.size_px[1],
        source=decoded.source,
        source_sha256=decoded.source_sha256,
        run=frame.run,
        frame=frame.frame,
        patient=frame.named.patient,
        study=frame.named.study,
        time_s=decoded.time_s,
        spacing_mm=decoded.spacing_mm,
        angles_deg=decoded.angles_deg,
        photometry=decoded.photometry,
        field_of_view=frame.field_of_view,
        targets=frame.targets,
        split=frame.split,
    )


def _as_json(report: ImportReport, options: ImportOptions, hide: Callable[[str], str]) -> dict[str, object]:
    counts = Counter(finding.code for finding in report.findings)
    return {
        **asdict(report),
        "folder": str(report.folder),
        "source": hide(str(report.source)),
        "options": options.as_record(),
        "findings": [asdict(replace(finding, where=hide(finding.where))) for finding in report.findings],
        "num_findings_by_code": dict(sorted(counts.items())),
    }
