"""Looks through a data set for what would spoil training or make an evaluation worthless."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from rich.console import Console

from angiova.data.duplicates import near_duplicates, thumbnail
from angiova.data.finding_list import print_finding_groups
from angiova.data.fingerprint import Fingerprint, Floats, tree_calibres_px
from angiova.data.manifest import Manifest
from angiova.data.pixel_hashes import pixels_sha256, read_pixel_hashes
from angiova.data.pixels import GreyImage
from angiova.data.progress import with_progress
from angiova.data.records import Finding, FrameRecord, Origin, Severity, Split, TargetKind
from angiova.data.rle import decode
from angiova.errors import DataError, ExitCode
from angiova.files import write_json

FINDINGS_NAME: Final = "findings.json"
FINGERPRINT_NAME: Final = "fingerprint.json"
MIN_TARGET_PX: Final = 10
# An observer's line may run a pixel or two over the rim of the field of view; more than that is another matter.
MAX_OUTSIDE_SHARE: Final = 0.01
MAX_EMPTY_TREE_SHARE: Final = 0.5
_BATCH: Final = 64
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        folder: the data set.
        findings: everything noticed.
        fingerprint: what the data set is made of, as written to fingerprint.json.
    """

    folder: Path
    findings: tuple[Finding, ...]
    fingerprint: dict[str, Any]

    @property
    def num_errors(self) -> int:
        """Number of findings that make the data set unfit."""
        return sum(finding.severity is Severity.ERROR for finding in self.findings)


@dataclass(frozen=True, slots=True)
class FrameCheck:
    """What one frame gave; `image`, (H, W), is None where it could not be read."""

    record: FrameRecord
    image: GreyImage | None
    pixels_sha256: str
    calibres_px: Floats
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Gathered:
    """What is kept of every frame: a few words and a thumbnail, never the image."""

    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    findings: list[Finding] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    thumbnails: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    splits_of_patient: dict[str, set[Split]] = field(default_factory=lambda: defaultdict(set))
    num_unnamed: int = 0
    num_without_spacing: int = 0
    num_pseudo: int = 0
    num_trees: int = 0
    num_empty_trees: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame belongs, and the hash of its pixels; its owner is the patient or, where unknown, the run."""

    frame_id: str
    pixels_sha256: str
    owner: str
    split: Split | None


def check_dataset(folder: Path) -> CheckReport:
    """Read every frame of a data set once; write findings.json and fingerprint.json into it.

    Raises:
        DataError: `folder` is no data set. Anything wrong inside one is a finding.
    """
    manifest = Manifest(folder)
    hashes = read_pixel_hashes(folder)
    gathered = _Gathered()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        records = with_progress(manifest.records(), "checking", manifest.num_frames)
        for batch in _batches(records, _BATCH):
            for checked in pool.map(lambda record: _check_frame(manifest, record, hashes), batch):
                _gather(gathered, checked)
    findings = (*gathered.findings, *_of_patients(gathered), *_of_targets(gathered), *_of_duplicates(gathered))
    report = CheckReport(folder, findings, gathered.fingerprint.as_json())
    write_json(folder / FINGERPRINT_NAME, report.fingerprint)
    write_json(
        folder / FINDINGS_NAME, {"manifest_sha256": manifest.sha256(), "findings": [asdict(f) for f in findings]}
    )
    return report


def print_findings(report: CheckReport) -> int:
    """Print the findings by code and a line of facts; return 0 without errors, 1 with."""
    console = Console(soft_wrap=True)
    facts = report.fingerprint
    frames = f"{facts['num_frames']} frames, {facts['num_runs']} runs, {facts['num_patients']} patients"
    console.print(f"{frames}; see {report.folder / FINGERPRINT_NAME}", markup=False)
    print_finding_groups(console, report.findings)
    verdict = f"{report.num_errors} errors" if report.num_errors else "no errors"
    console.print(f"{verdict}, {len(report.findings) - report.num_errors} other findings", markup=False)
    return ExitCode.FAILED if report.num_errors else ExitCode.DONE


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _check_frame(manifest: Manifest, record: FrameRecord, hashes: dict[str, str]) -> FrameCheck:
    where, findings = str(manifest.image_path(record)), []
    try:
        image_HW: GreyImage | None = manifest.read_image(record)
    except DataError as error:
        code = "image-missing" if "not found" in error.problem else "image-unreadable"
        findings.append(Finding(code, Severity.ERROR, where, error.problem, error.remedy or "import again"))
        image_HW = None
    digest = "" if image_HW is None else pixels_sha256(image_HW)
    if image_HW is not None:
        findings += _of_image(record, image_HW, where, changed=hashes.get(record.frame_id, digest) != digest)
    return FrameCheck(record, image_HW, digest, tree_calibres_px(record), (*findings, *_of_masks(record)))


def _of_image(record: FrameRecord, image_HW: GreyImage, where: str, changed: bool) -> list[Finding]:
    found = []
    if changed:
        message = f"the image of {record.frame_id} was changed after the import"
        found.append(Finding("image-changed", Severity.ERROR, where, message, "import again"))
    if image_HW.min() == image_HW.max():
        message = f"every pixel is {image_HW.min()}"
        found.append(Finding("image-constant", Severity.ERROR, where, message, "leave the frame out"))
    return found


def _of_masks(record: FrameRecord) -> list[Finding]:
    found = []
    view_HW = None if record.field_of_view is None else decode(record.field_of_view)
    for target in record.targets:
        where, area_px = f"{record.frame_id}: {target.phrase}", target.mask.area_px
        if 0 < area_px < MIN_TARGET_PX:
            message = f"{area_px} pixels; below {MIN_TARGET_PX} overlap measures say little"
            found.append(Finding("target-tiny", Severity.WARNING, where, message, "look whether it is a stray click"))
        outside_px = 0 if view_HW is None else int((decode(target.mask) & ~view_HW).sum())
        if outside_px > MAX_OUTSIDE_SHARE * area_px:
            message = f"{outside_px} of {area_px} pixels lie outside the field of view"
            found.append(Finding("target-outside-view", Severity.WARNING, where, message, "check mask and view"))
    return found


def _gather(gathered: _Gathered, checked: FrameCheck) -> None:
    record = checked.record
    gathered.fingerprint.add(record, checked.image, checked.calibres_px)
    gathered.findings += checked.findings
    gathered.num_unnamed += record.patient is None
    gathered.num_without_spacing += record.spacing_mm is None
    gathered.num_pseudo += sum(target.origin is Origin.PSEUDO for target in record.targets)
    trees = [target for target in record.targets if target.kind is TargetKind.VESSEL_TREE]
    gathered.num_trees += len(trees)
    gathered.num_empty_trees += sum(tree.mask.is_empty for tree in trees)
    if record.patient is not None and record.split is not None:
        gathered.splits_of_patient[record.patient].add(record.split)
    if checked.image is not None:
        view_HW = None if record.field_of_view is None else decode(record.field_of_view)
        owner = f"patient {record.patient}" if record.patient is not None else f"run {record.run}"
        gathered.places.append(Place(record.frame_id, checked.pixels_sha256, owner, record.split))
        gathered.thumbnails.append(thumbnail(checked.image, view_HW))


def _of_patients(gathered: _Gathered) -> list[Finding]:
    found = []
    if gathered.num_unnamed:
        message = f"{gathered.num_unnamed} frames name no patient"
        remedy = "import with --pattern; otherwise `split` needs --frames-are-independent and reports say so"
        found.append(Finding("no-patient", Severity.WARNING, "patients", message, remedy))
    for patient, splits in sorted(gathered.splits_of_patient.items()):
        if len(splits) > 1:
            message = f"patient {patient} is in {', '.join(sorted(splits))}"
            found.append(Finding("patient-in-several-splits", Severity.ERROR, patient, message, "split with --resplit"))
    return found


def _of_targets(gathered: _Gathered) -> list[Finding]:
    found = []
    if gathered.num_empty_trees:
        share = gathered.num_empty_trees / gathered.num_trees
        severity = Severity.WARNING if share > MAX_EMPTY_TREE_SHARE else Severity.NOTE
        message = f"{gathered.num_empty_trees} of {gathered.num_trees} vessel trees are empty ({share:.0%})"
        found.append(Finding("empty-trees", severity, "targets", message))
    if gathered.num_without_spacing:
        message = f"{gathered.num_without_spacing} frames without pixel spacing; lengths stay in pixels"
        found.append(Finding("no-spacing", Severity.NOTE, "spacing", message))
    if gathered.num_pseudo:
        message = f"{gathered.num_pseudo} targets were made by a program; don't evaluate against them"
        found.append(Finding("pseudo-labels", Severity.NOTE, "targets", message))
    return found


def _of_duplicates(gathered: _Gathered) -> list[Finding]:
    """Return a finding for each pair of frames, of different patients or runs, that show the same thing."""
    if not gathered.places:
        return []
    owners = np.unique([place.owner for place in gathered.places], return_inverse=True)[1].astype(np.int64)
    pairs = near_duplicates(np.stack(gathered.thumbnails), owners).tolist()
    apart = [_of_pair(gathered.places[i], gathered.places[j]) for i, j in pairs]
    return [*apart, *_of_repeats(gathered.places)]


def _of_repeats(places: Sequence[Place]) -> list[Finding]:
    """Return one note on images that occur again in their own run or patient, where they leak nothing."""
    first: dict[tuple[str, str], Place] = {}
    pairs = [(first.setdefault((place.owner, place.pixels_sha256), place), place) for place in places]
    repeats = [(one, again) for one, again in pairs if one is not again]
    if not repeats:
        return []
    one, again = repeats[0]
    message = f"{len(repeats)} frames repeat another of their patient or run, e.g. {again.frame_id} {one.frame_id}"
    return [Finding("repeated-frames", Severity.NOTE, "images", message)]


def _of_pair(first: Place, second: Place) -> Finding:
    where = f"{first.frame_id}, {second.frame_id}"
    same = first.pixels_sha256 == second.pixels_sha256
    code, seen = ("duplicates", "are the same image") if same else ("near-duplicates", "show nearly the same")
    if first.split is second.split:
        place = f" in {first.split}" if first.split else ""
        return Finding(code, Severity.NOTE, where, f"{seen}{place}")
    message = f"{seen}, in {first.split or 'no split'} and {second.split or 'no split'}: probably one patient"
    severity = Severity.ERROR if same else Severity.WARNING
    return Finding(f"{code}-across-splits", severity, where, message, "split with --resplit, or leave one out")
