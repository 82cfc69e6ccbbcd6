"""No patient in two splits, ever; the same seed gives the same split; a publisher's split is kept."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from angiova.data.manifest import Manifest, Provenance, write_dataset
from angiova.data.pixels import write_png
from angiova.data.records import FrameRecord, Split
from angiova.data.splits import SplitReport, divide, print_split, split_dataset
from angiova.errors import ConfigError, DataError
from angiova.files import read_json

SHARES = {Split.TRAIN: 0.65, Split.VAL: 0.15, Split.TEST: 0.2}


def record(index: int, patient: str | None, run: str | None = None, split: Split | None = None) -> FrameRecord:
    name = f"f{index:04d}"
    return FrameRecord(name, f"images/{name}.png", 16, 16, "made here", "0", run or name, patient=patient, split=split)


def write(folder: Path, records: list[FrameRecord], twins: tuple[tuple[int, int], ...] = ()) -> Path:
    seeds = {index: index for index in range(len(records))} | {second: first for first, second in twins}
    for index, frame in enumerate(records):
        pixels = np.random.default_rng(seeds[index]).integers(0, 256, (16, 16), dtype=np.uint8)
        write_png(folder / frame.image, pixels)
    write_dataset(folder, records, Provenance("test", "made here", "0"))
    return folder


def split(folder: Path, **options: Any) -> SplitReport:  # noqa: ANN401
    settings = {"val": 0.15, "test": 0.2, "seed": 0, "frames_are_independent": False, "resplit": False}
    return split_dataset(folder, **{**settings, **options})


def splits_of(folder: Path) -> dict[str, Split | None]:
    return {frame.frame_id: frame.split for frame in Manifest(folder).records()}


patients_of_frames = st.lists(st.integers(0, 12), min_size=3, max_size=60).filter(lambda ids: len(set(ids)) >= 3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patients_of_frames, st.integers(0, 1000))
def test_no_patient_is_in_two_splits(tmp_path_factory: pytest.TempPathFactory, ids: list[int], seed: int) -> None:
    folder = tmp_path_factory.mktemp("data")
    records = [record(index, f"p{number}", run=f"r{index % 7}") for index, number in enumerate(ids)]
    write_dataset(folder, records, Provenance("test", "made here", "0"))
    report = split(folder, seed=seed)
    seen = defaultdict(set)
    for frame in Manifest(folder).records():
        seen[frame.patient].add(frame.split)
    assert all(len(splits) == 1 and None not in splits for splits in seen.values())
    assert sum(report.num_frames.values()) == len(ids)
    assert all(report.num_frames.values())
    assert sorted(patient for names in report.patients.values() for patient in names) == sorted({f"p{n}" for n in ids})


@given(st.lists(st.integers(1, 30), min_size=20, max_size=60), st.integers(0, 1000))
def test_shares_are_met_to_half_of_the_largest_unit_and_nothing_is_lost(sizes: list[int], seed: int) -> None:
    units = {f"u{i}": [f"u{i}f{j}" for j in range(size)] for i, size in enumerate(sizes)}
    split_of = divide(units, SHARES, seed)
    assert sorted(split_of) == sorted(frame for frames in units.values() for frame in frames)
    for part, share in SHARES.items():
        got = sum(chosen is part for chosen in split_of.values())
        assert abs(got - share * sum(sizes)) <= max(sizes)


def test_same_seed_same_split_and_another_seed_another(tmp_path: Path) -> None:
    folder = write(tmp_path, [record(index, f"p{index}") for index in range(30)])
    split(folder, seed=3)
    first = splits_of(folder)
    split(folder, seed=4)
    second = splits_of(folder)
    split(folder, seed=3)
    assert splits_of(folder) == first != second


def test_order_of_frames_does_not_matter() -> None:
    units = {f"p{index}": [f"f{index}"] for index in range(20)}
    assert divide(units, SHARES, 1) == divide(dict(reversed(units.items())), SHARES, 1)


def test_few_patients_of_unequal_size_come_as_close_as_they_can() -> None:
    units = {name: [f"{name}{i}" for i in range(size)] for name, size in (("a", 20), ("b", 53), ("c", 35))}
    split_of = divide(units, SHARES, 0)
    assert (split_of["b0"], split_of["c0"], split_of["a0"]) == (Split.TRAIN, Split.TEST, Split.VAL)


def test_a_share_of_zero_gets_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, [record(index, f"p{index}") for index in range(10)])
    assert split(folder, test=0).num_frames["test"] == 0


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, [record(index, f"p{index % 2}") for index in range(10)])
    with pytest.raises(DataError, match="2 patients cannot fill 3 parts"):
        split(folder)


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (1.0, 0.0), (0.8, 0.3)])
def test_shares_must_leave_something_to_train_on(tmp_path: Path, val: float, test: float) -> None:
    folder = write(tmp_path, [record(index, f"p{index}") for index in range(4)])
    with pytest.raises(ConfigError, match="--val, --test"):
        split(folder, val=val, test=test)


@pytest.mark.parametrize("named", [0, 9])
def test_frames_without_patient_are_refused_unless_stated(tmp_path: Path, named: int) -> None:
    folder = write(tmp_path, [record(index, f"p{index}" if index < named else None) for index in range(10)])
    with pytest.raises(DataError, match="--frames-are-independent"):
        split(folder)
    assert set(splits_of(folder).values()) == {None}
    report = split(folder, frames_are_independent=True)
    assert (report.method, sum(report.num_without_patient.values())) == ("independent frames", 10 - named)
    assert Manifest(folder).provenance.frames_are_independent


def test_independent_frames_keep_runs_patients_and_twins_together(tmp_path: Path) -> None:
    records = [record(index, None, run=f"r{index // 2}") for index in range(20)]
    records += [record(20 + index, f"p{index // 3}") for index in range(9)]
    folder = write(tmp_path, records, twins=((0, 10), (1, 20)))
    for seed in range(5):
        split(folder, frames_are_independent=True, seed=seed)
        chosen = list(splits_of(folder).values())
        assert all(chosen[index] is chosen[index + 1] for index in range(0, 20, 2))
        # Frame 0 looks like 10, 1 like 20; so the runs of 0 and 10 and the patient of 20 are all one unit.
        assert len({chosen[index] for index in (0, 1, 10, 11, 20, 21, 22)}) == 1


def test_publishers_split_is_kept_and_reported(tmp_path: Path) -> None:
    parts = [Split.TRAIN] * 6 + [Split.VAL] * 2
    folder = write(tmp_path, [record(index, None, split=part) for index, part in enumerate(parts)])
    report = split(folder, frames_are_independent=True)
    assert (report.method, report.num_frames) == ("publisher", {"train": 6, "val": 2, "test": 0})
    assert list(splits_of(folder).values()) == parts
    assert Manifest(folder).provenance.frames_are_independent
    assert split(folder).method == "publisher"  # and again, now that split.json is there


def test_publishers_split_is_replaced_when_told(tmp_path: Path) -> None:
    folder = write(tmp_path, [record(index, f"p{index}", split=Split.TRAIN) for index in range(8)])
    assert split(folder, resplit=True).method == "patient"
    assert set(splits_of(folder).values()) == set(Split)


def test_publishers_split_that_leaks_or_has_holes_is_refused(tmp_path: Path) -> None:
    leaking = [record(0, "p", split=Split.TRAIN), record(1, "p", split=Split.VAL)]
    with pytest.raises(DataError, match="several parts: p"):
        split(write(tmp_path / "leaking", leaking))
    with pytest.raises(DataError, match="f0001 is in no part"):
        split(write(tmp_path / "holes", [record(0, "p", split=Split.TRAIN), record(1, "q")]))


def test_split_is_written_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, [record(index, f"p{index % 5}") for index in range(10)])
    report = split(folder, seed=5)
    written = read_json(folder / "split.json")
    assert (written["method"], written["seed"], written["num_frames"]) == ("patient", 5, report.num_frames)
    assert written["patients"] == report.patients
    print_split(report)
    assert "split by patient, seed 5" in capsys.readouterr().out
