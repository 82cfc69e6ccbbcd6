"""Divides a data set by patient, so that nobody seen in training is met again in the test."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from angiova.data.duplicates import duplicate_groups, near_duplicates, thumbnail
from angiova.data.manifest import Manifest, assign_splits
from angiova.data.records import Split
from angiova.data.rle import decode
from angiova.errors import ConfigError, DataError
from angiova.files import read_json, write_json

SPLIT_NAME: Final = "split.json"
PUBLISHER: Final = "publisher"
BY_PATIENT: Final = "patient"
INDEPENDENT: Final = "independent frames"
MAX_ORDERS: Final = 64
CLOSE_SHARE: Final = 0.01

Division = dict[Split, list[str]]


@dataclass(frozen=True, slots=True)
class Member:
    """What matters of a frame when splitting."""

    frame_id: str
    run: str
    patient: str | None
    split: Split | None


@dataclass(frozen=True, slots=True)
class SplitReport:
    """How a data set was split.

    Attributes:
        folder: the data set.
        method: "publisher", "patient" or "independent frames".
        seed: seed of the shuffle; None for a publisher's split.
        frames_are_independent: the user stated it.
        num_frames: frames in each split.
        patients: patients in each split, sorted.
        num_without_patient: frames that name none, in each split.
    """

    folder: Path
    method: str
    seed: int | None
    frames_are_independent: bool
    num_frames: dict[str, int]
    patients: dict[str, list[str]]
    num_without_patient: dict[str, int]


def split_dataset(
    folder: Path, *, val: float, test: float, seed: int, frames_are_independent: bool, resplit: bool
) -> SplitReport:
    """Assign every frame of a data set to train, val or test, and write split.json.

    A patient's frames stay together. Where the user states that frames without a patient are independent, a run and
    images that show the same thing still stay together. The same seed gives the same split. A split that the publisher
    fixed is kept unless `resplit`.

    Args:
        folder: the data set.
        val: share of the frames for validation, which whole patients approach.
        test: share for the test.
        seed: of the shuffle.
        frames_are_independent: take frames without a patient as independent.
        resplit: replace the publisher's split.

    Raises:
        ConfigError: the shares leave nothing for training.
        DataError: frames name no patient, there are fewer patients than parts, or the publisher's split is incomplete
            or puts a patient into several parts.
    """
    if val + test >= 1:
        raise ConfigError(f"val {val} and test {test} leave nothing to train on", where="--val, --test")
    manifest = Manifest(folder)
    members = _members(manifest)
    if _is_published(folder, members) and not resplit:
        split_of, method = _published(folder, members), PUBLISHER
    else:
        units = _units(manifest, members, frames_are_independent)
        split_of = divide(units, {Split.TRAIN: 1 - val - test, Split.VAL: val, Split.TEST: test}, seed)
        method = BY_PATIENT if all(member.patient is not None for member in members) else INDEPENDENT
    assign_splits(manifest, split_of, frames_are_independent)
    report = _report(folder, method, None if method == PUBLISHER else seed, frames_are_independent, members, split_of)
    _write(report)
    return report


def divide(units: Mapping[str, Sequence[str]], shares: Mapping[Split, float], seed: int) -> dict[str, Split]:
    """Return the split of every frame, units kept whole.

    Args:
        units: the frame ids of each unit, such as a patient.
        shares: wanted share of the frames of each split, adding to 1; a share of 0 gets nothing.
        seed: of the shuffle.

    Units are shuffled, then each goes where most frames are still wanted; a split left empty takes the smallest unit of
    the one with the most units. With few units an unlucky order misses the shares by far, so up to 64 orders are tried
    until one comes within 1 %, and the closest is kept.

    Raises:
        DataError: there are fewer units than splits.
    """
    num_frames = sum(map(len, units.values()))
    wanted = {split: share * num_frames for split, share in shares.items() if share > 0}
    if len(units) < len(wanted):
        parts = ", ".join(wanted)
        remedy = "add patients, or set --val or --test to 0"
        raise DataError(f"{len(units)} patients cannot fill {len(wanted)} parts ({parts})", remedy=remedy)
    sizes = {name: len(frame_ids) for name, frame_ids in units.items()}
    chosen = _closest(sizes, wanted, random.Random(seed))
    return {frame_id: split for split, names in chosen.items() for name in names for frame_id in units[name]}


def _closest(sizes: Mapping[str, int], wanted: Mapping[Split, float], shuffler: random.Random) -> Division:
    names = sorted(sizes)
    tried: list[tuple[float, int, Division]] = []
    while len(tried) < MAX_ORDERS:
        shuffler.shuffle(names)
        division = _greedy(names, sizes, wanted)
        missed = sum(abs(wanted[split] - sum(sizes[name] for name in chosen)) for split, chosen in division.items())
        tried.append((missed, len(tried), division))
        if missed <= CLOSE_SHARE * sum(sizes.values()):
            break
    return min(tried)[2]


def _greedy(names: Sequence[str], sizes: Mapping[str, int], wanted: Mapping[Split, float]) -> Division:
    chosen: Division = {split: [] for split in wanted}
    still = dict(wanted)
    for name in names:
        split = max(still, key=lambda part: still[part])
        chosen[split].append(name)
        still[split] -= sizes[name]
    for members in chosen.values():
        if not members:
            donor = max(chosen.values(), key=len)
            smallest = min(donor, key=lambda name: sizes[name])
            donor.remove(smallest)
            members.append(smallest)
    return chosen


def _members(manifest: Manifest) -> list[Member]:
    rows = manifest.scan().select("frame_id", "run", "patient", "split").collect()
    return [
        Member(frame_id, run, patient, None if split is None else Split(split))
        for frame_id, run, patient, split in rows.iter_rows()
    ]


def _is_published(folder: Path, members: Sequence[Member]) -> bool:
    """Return whether the split in the manifest is the publisher's, not one of ours."""
    if not any(member.split for member in members):
        return False
    path = folder / SPLIT_NAME
    return not path.exists() or read_json(path).get("method") == PUBLISHER


def _published(folder: Path, members: Sequence[Member]) -> dict[str, Split]:
    splits_of_patient: dict[str, set[Split]] = defaultdict(set)
    for member in members:
        if member.split is None:
            problem = f"frame {member.frame_id} is in no part of the publisher's split"
            raise DataError(problem, where=folder, remedy="use --resplit to split by patient")
        if member.patient is not None:
            splits_of_patient[member.patient].add(member.split)
    shared = sorted(patient for patient, splits in splits_of_patient.items() if len(splits) > 1)
    if shared:
        problem = f"the publisher's split has patients in several parts: {', '.join(shared[:5])}"
        raise DataError(problem, where=folder, remedy="use --resplit to split by patient")
    return {member.frame_id: member.split for member in members if member.split is not None}


def _units(manifest: Manifest, members: Sequence[Member], frames_are_independent: bool) -> dict[str, list[str]]:
    """Return the frame ids of each unit: a patient, or what is known to belong together where there is none."""
    unnamed = sum(member.patient is None for member in members)
    if unnamed and not frames_are_independent:
        problem = f"{unnamed} of {len(members)} frames name no patient, so one patient could be in training and test"
        remedy = "import with a --pattern that names {patient}, or state --frames-are-independent; reports will say so"
        raise DataError(problem, where=manifest.folder, remedy=remedy)
    names = _names_of_groups(manifest, members) if unnamed else [f"patient {member.patient}" for member in members]
    units: dict[str, list[str]] = defaultdict(list)
    for member, name in zip(members, names, strict=True):
        units[name].append(member.frame_id)
    return units


def _names_of_groups(manifest: Manifest, members: Sequence[Member]) -> list[str]:
    """Return a unit name for each frame: frames of one patient, of one run, or showing the same thing share it."""
    links = [*_links([member.run for member in members]), *_links([member.patient for member in members])]
    thumbnails, runs = [], np.unique([member.run for member in members], return_inverse=True)[1].astype(np.int64)
    for record in manifest.records():
        view_HW = None if record.field_of_view is None else decode(record.field_of_view)
        thumbnails.append(thumbnail(manifest.read_image(record), view_HW))
    same = near_duplicates(np.stack(thumbnails), runs)
    pairs = np.concatenate([np.asarray(links, dtype=np.int64).reshape(-1, 2), same])
    groups = duplicate_groups(len(members), pairs)
    first = {int(group): index for index, group in reversed(list(enumerate(groups)))}
    return [f"group of {members[first[int(group)]].frame_id}" for group in groups]


def _links(values: Sequence[str | None]) -> list[tuple[int, int]]:
    """Return pairs of indices that join each value to its first occurrence; None joins nothing."""
    first: dict[str, int] = {}
    return [(first.setdefault(value, index), index) for index, value in enumerate(values) if value is not None]


def _report(
    folder: Path,
    method: str,
    seed: int | None,
    frames_are_independent: bool,
    members: Sequence[Member],
    split_of: Mapping[str, Split],
) -> SplitReport:
    patients: dict[str, set[str]] = {split.value: set() for split in Split}
    num_frames: Counter[str] = Counter()
    unnamed: Counter[str] = Counter()
    for member in members:
        split = split_of[member.frame_id].value
        num_frames[split] += 1
        unnamed[split] += member.patient is None
        patients[split] |= set() if member.patient is None else {member.patient}
    return SplitReport(
        folder=folder,
        method=method,
        seed=seed,
        frames_are_independent=frames_are_independent,
        num_frames={split.value: num_frames[split] for split in Split},
        patients={split: sorted(names) for split, names in patients.items()},
        num_without_patient={split.value: unnamed[split] for split in Split},
    )


def _write(report: SplitReport) -> None:
    num_patients = {split: len(names) for split, names in report.patients.items()}
    write_json(
        report.folder / SPLIT_NAME,
        {
            "method": report.method,
            "seed": report.seed,
            "frames_are_independent": report.frames_are_independent,
            "num_frames": report.num_frames,
            "num_patients": num_patients,
            "num_frames_without_patient": report.num_without_patient,
            "patients": report.patients,
        },
    )


def print_split(report: SplitReport) -> None:
    """Print how many frames and patients each split has."""
    console = Console(soft_wrap=True)
    kept = (
        "kept the publisher's split" if report.method == PUBLISHER else f"split by {report.method}, seed {report.seed}"
    )
    console.print(f"{kept}; see {report.folder / SPLIT_NAME}", markup=False)
    table = Table("split", "frames", "patients", "frames without patient", box=None, padding=(0, 2, 0, 0))
    for split, num_frames in report.num_frames.items():
        unnamed = str(report.num_without_patient[split])
        table.add_row(split, str(num_frames), str(len(report.patients[split])), unnamed)
    console.print(table)
    if report.frames_are_independent:
        console.print("frames without patient are taken as independent, as stated; every report will say so")
