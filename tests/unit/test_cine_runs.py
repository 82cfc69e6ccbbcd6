"""Runs are found wherever they lie, under names of their own, and their frames come in the order of time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from angiova.data.cine_runs import CineRun, SourceKind, find_runs
from angiova.data.decoding.decoder import Decoder
from angiova.data.decoding.limits import DecodeLimits
from angiova.errors import DataError
from dicoms import dataset_of, dicomdir_of, run_of, write_dicom, write_run
from models import RUN_LENGTH, draw_run_frame, write_runs
from videos import VARIABLE, number_in, numbered, write_video_file


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeLimits()) as opened:
        yield opened


def write_frame_folder(folder: Path, numbers: range) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        Image.fromarray(numbered(number)).save(folder / f"frame_{number}.png")
    return folder


def by_name(runs: list[CineRun]) -> dict[str, CineRun]:
    return {run.name: run for run in runs}


def test_a_dicom_file_is_a_run_with_times_and_spacing(tmp_path: Path, decoder: Decoder) -> None:
    values = run_of(3)
    spacing = {"ImagerPixelSpacing": [0.4, 0.3], "EstimatedRadiographicMagnificationFactor": 2}
    path = write_run(tmp_path / "cine.dcm", values, FrameTime=66.5, WindowCenter=128, WindowWidth=256, **spacing)
    (run,) = find_runs(path, decoder)
    frames = list(run.frames(decoder))
    assert (run.name, run.kind) == ("cine", SourceKind.DICOM)
    assert np.array_equal([frame.image_HW for frame in frames], values)
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.0665, 0.133])
    assert [frame.name for frame in frames] == ["00000", "00001", "00002"]
    assert {frame.spacing_mm for frame in frames} == {(0.2, 0.15)}


def test_frames_of_a_run_with_bright_vessels_are_inverted(tmp_path: Path, decoder: Decoder) -> None:
    values = run_of(3)
    path = write_run(tmp_path / "cine.dcm", values, WindowCenter=128, WindowWidth=256)
    (run,) = find_runs(path, decoder, bright_vessels=True)
    assert np.array_equal([frame.image_HW for frame in run.frames(decoder)], 255 - values)


def test_single_frame_files_of_a_series_are_one_run_in_the_order_of_their_numbers(
    tmp_path: Path, decoder: Decoder
) -> None:
    values = run_of(3)
    for index, number in enumerate((3, 1, 2)):
        one = dataset_of(values[index : index + 1], NumberOfFrames=None, InstanceNumber=number)
        write_dicom(tmp_path / f"{index}.dcm", one)
    (run,) = find_runs(tmp_path, decoder)
    assert [path.name for path in run.files] == ["1.dcm", "2.dcm", "0.dcm"]
    assert [frame.name for frame in run.frames(decoder)] == ["1", "2", "0"]


def test_a_video_has_the_times_of_its_file(tmp_path: Path, decoder: Decoder) -> None:
    path = write_video_file(tmp_path / "a.mp4", VARIABLE[:20])
    (run,) = find_runs(path, decoder)
    frames = list(run.frames(decoder))
    assert [number_in(frame.image_HW) for frame in frames] == list(range(20))
    assert [frame.time_s for frame in frames] == pytest.approx([time_ms / 1000 for time_ms in VARIABLE[:20]])


def test_a_folder_of_frames_is_one_run_and_masks_beside_it_are_none(tmp_path: Path, decoder: Decoder) -> None:
    write_frame_folder(tmp_path / "p1_run2" / "images", range(8, 12))
    write_frame_folder(tmp_path / "p1_run2" / "pseudo_masks", range(8, 12))
    (run,) = find_runs(tmp_path / "p1_run2", decoder)
    frames = list(run.frames(decoder))
    assert run.name == "p1_run2"
    assert [frame.name for frame in frames] == ["frame_8", "frame_9", "frame_10", "frame_11"]
    assert [number_in(frame.image_HW) for frame in frames] == [8, 9, 10, 11]


def test_a_data_set_gives_its_runs(tmp_path: Path, decoder: Decoder) -> None:
    write_runs(tmp_path / "data")
    runs = by_name(find_runs(tmp_path / "data", decoder))
    frames = list(runs["r2"].frames(decoder))
    assert sorted(runs) == ["r0", "r1", "r2", "r3"]
    assert [frame.name for frame in frames] == [f"r2-{frame}" for frame in range(RUN_LENGTH)]
    assert np.array_equal(frames[3].image_HW, draw_run_frame(2, 3)[0])


def test_a_folder_of_everything_gives_every_run_a_name_of_its_own(tmp_path: Path, decoder: Decoder) -> None:
    write_run(tmp_path / "a.dcm", run_of())
    write_video_file(tmp_path / "A.mp4", [0, 40])
    write_frame_folder(tmp_path / "sub" / "a", range(2))
    write_frame_folder(tmp_path / "b", range(2))
    runs = find_runs(tmp_path, decoder)
    assert sorted(run.name for run in runs) == ["A-2", "a", "b", "sub-a"]
    assert {run.kind for run in runs} == {SourceKind.DICOM, SourceKind.VIDEO, SourceKind.FRAMES}


def test_a_broken_file_is_a_run_that_says_why(tmp_path: Path, decoder: Decoder) -> None:
    write_run(tmp_path / "good.dcm", run_of())
    (tmp_path / "bad.dcm").write_bytes((tmp_path / "good.dcm").read_bytes()[:200])
    runs = by_name(find_runs(tmp_path, decoder))
    assert len(list(runs["good"].frames(decoder))) == 3
    with pytest.raises(DataError, match=r"bad\.dcm"):
        list(runs["bad"].frames(decoder))


def problems_of(source: Path, decoder: Decoder) -> dict[str, str]:
    """Return the problem of each run that has one, by name."""
    return {run.name: run.problem.problem for run in find_runs(source, decoder) if run.problem is not None}


def test_an_instance_that_is_there_twice_gives_no_frame_twice(tmp_path: Path, decoder: Decoder) -> None:
    for number in range(3):
        one = dataset_of(run_of(3)[number : number + 1], NumberOfFrames=None, InstanceNumber=number + 1)
        write_dicom(tmp_path / f"f{number}.dcm", one)
    shutil.copy(tmp_path / "f1.dcm", tmp_path / "f1_copy.dcm")
    runs = by_name(find_runs(tmp_path, decoder))
    assert [path.name for path in runs["f0"].files] == ["f0.dcm", "f1.dcm", "f2.dcm"]
    assert problems_of(tmp_path, decoder) == {"f1_copy": "is there twice: f1.dcm has the same SOP Instance UID"}


def test_what_a_dicomdir_promises_and_has_not_is_told(tmp_path: Path, decoder: Decoder) -> None:
    write_run(tmp_path / "IM1", run_of())
    dicomdir_of(tmp_path, [["IM1"], ["GONE"], ["..", "outside"]])
    assert set(by_name(find_runs(tmp_path, decoder))) == {"IM1", "DICOMDIR", "DICOMDIR-2"}
    told = problems_of(tmp_path, decoder)
    assert told["DICOMDIR"] == "lists a file that is not there"
    assert set(told) == {"DICOMDIR", "DICOMDIR-2"}


@pytest.mark.parametrize("name", ["link.mp4", "link.dcm", "link.png"])
def test_a_link_that_leads_out_of_the_source_is_not_followed(tmp_path: Path, decoder: Decoder, name: str) -> None:
    write_video_file(tmp_path / "in" / "good.mp4", VARIABLE[:3])
    (tmp_path / "secret").write_bytes(b"not yours")
    (tmp_path / "in" / name).symlink_to(tmp_path / "secret")
    assert set(problems_of(tmp_path / "in", decoder)) == {"link"}
    assert set(by_name(find_runs(tmp_path / "in", decoder))) == {"good", "link"}


def test_hidden_files_are_no_runs(tmp_path: Path, decoder: Decoder) -> None:
    write_frame_folder(tmp_path / "run", range(2))
    write_frame_folder(tmp_path / ".run.partial", range(2))
    write_video_file(tmp_path / "._clip.mp4", VARIABLE[:3])
    assert [run.name for run in find_runs(tmp_path, decoder)] == ["run"]


def test_nothing_there_is_refused(tmp_path: Path, decoder: Decoder) -> None:
    with pytest.raises(DataError, match="no run here"):
        find_runs(tmp_path, decoder)
    with pytest.raises(DataError, match="not found"):
        find_runs(tmp_path / "missing", decoder)


def test_the_hash_follows_the_content_and_the_order(tmp_path: Path, decoder: Decoder) -> None:
    write_frame_folder(tmp_path / "one", range(3))
    write_frame_folder(tmp_path / "same", range(3))
    write_frame_folder(tmp_path / "other", range(1, 4))
    runs = by_name(find_runs(tmp_path, decoder))
    hashes = {name: run.sha256() for name, run in runs.items()}
    assert hashes["one"] == hashes["same"] != hashes["other"]
    (tmp_path / "one" / "frame_1.png").unlink()
    with pytest.raises(DataError, match=r"frame_1\.png"):
        runs["one"].sha256()
