"""`angiova track` on files: what is written, going on after a stop, runs that fail, and requests that don't fit."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

from angiova.data import rle
from angiova.data.cine_runs import CineFrame, CineRun
from angiova.data.decoding.decoder import Decoder
from angiova.data.spool import FrameSpool
from angiova.data.tracked import read_masks
from angiova.errors import ConfigError, DataError, ExitCode
from angiova.files import sha256_file
from angiova.inference.one_run import read_run
from angiova.inference.track import track_runs
from dicoms import run_of, write_run
from models import RUN_LENGTH, SIDE_PX, small_model, write_runs
from videos import write_video_file

PROMPTS = ["[SEG]", "the catheter [SEG]"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    model, processor = small_model()
    model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources") / "data"
    write_runs(folder)
    return folder


def call(checkpoint: Path, source: Path, out: Path, **options: Any) -> ExitCode:  # noqa: ANN401
    return track_runs(checkpoint, source, out, **{"prompts": PROMPTS, "device": "cpu", "outputs": "csv"} | options)


def index(out: Path) -> list[tuple[str, str]]:
    return [(entry["run"], entry["state"]) for entry in json.loads((out / "runs.json").read_text())["runs"]]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_everything_written_of_a_run_agrees(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outputs = "png,mp4,gif,csv,dicom-seg"
    assert call(checkpoint, dataset, out, only=["r1"], outputs=outputs, key_frames=2) is ExitCode.DONE
    folder = out / "r1"
    assert names(folder) == {"track.json", "masks.json", "frames.csv", "png", "overlay.mp4", "overlay.gif"}
    prompts, frames = read_masks(folder / "masks.json")
    assert (list(prompts), len(frames)) == (PROMPTS, RUN_LENGTH)
    rows = list(csv.DictReader((folder / "frames.csv").read_text().splitlines()))
    for row in rows:
        frame, number = int(row["frame"]), int(row["object"])
        each, png = frames[frame][number - 1], folder / "png" / f"object{number}" / f"{frame:05d}.png"
        assert row["name"] == f"r1-{frame}"
        assert int(row["area_px"]) == each.mask.area_px
        assert np.array_equal(np.asarray(Image.open(png)) > 0, rle.decode(each.mask))
        assert (each.mean_probability is None) == each.mask.is_empty
        assert each.mean_probability is None or 0.5 <= each.mean_probability <= 1
    with av.open(str(folder / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == RUN_LENGTH
    record = json.loads((folder / "track.json").read_text())
    assert record["masks_sha256"] == sha256_file(folder / "masks.json")
    assert record["frames"] == {"number": RUN_LENGTH, "height": SIDE_PX, "width": SIDE_PX}
    assert len(record["key_frames"]["frames"]) == 2
    assert len(record["opacification"]["levels"]) == len(record["opacification"]["phases"]) == RUN_LENGTH
    assert record["heart"] == {"rate_bpm": None, "beats_at": [], "unclear": "the times of the frames are not known"}
    assert [(answer["prompt"], answer["masks"] > 0) for answer in record["answers"]] == [(p, True) for p in PROMPTS]
    assert list(record["seconds"]) == ["reading", "asking", "tracking", "writing"]
    assert "not a medical device" in record["use"]


def test_finished_runs_are_skipped_and_an_interrupted_one_is_done_again(
    checkpoint: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    whole = CineRun.frames

    def stopped(run: CineRun, decoder: Decoder) -> Iterator[CineFrame]:
        for place, frame in enumerate(whole(run, decoder)):
            if run.name == "r1" and place == 3:
                raise KeyboardInterrupt
            yield frame

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CineRun, "frames", stopped)
        call(checkpoint, dataset, out, only=["r0", "r1"])
    assert names(out) == {"r0", "runs.json"}
    kept = (out / "r0" / "track.json").stat().st_mtime_ns
    assert call(checkpoint, dataset, out) is ExitCode.DONE
    assert index(out) == [("r0", "skipped"), ("r1", "done"), ("r2", "done"), ("r3", "done")]
    assert (out / "r0" / "track.json").stat().st_mtime_ns == kept
    assert names(out) == {"r0", "r1", "r2", "r3", "runs.json"}


def test_a_run_that_fails_is_named_and_the_others_are_done(checkpoint: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_video_file(source / "good.mp4", [0, 40, 80])
    (source / "bad.mp4").write_bytes((source / "good.mp4").read_bytes()[:900])
    (source / "mixed").mkdir()
    for number, side_px in enumerate((64, 96)):
        Image.fromarray(np.full((side_px, 64), 100, np.uint8)).save(source / "mixed" / f"{number}.png")
    assert call(checkpoint, source, out) is ExitCode.SOME_CASES_FAILED
    assert dict(index(out)) == {"good": "done", "bad": "failed", "mixed": "failed"}
    assert names(out) == {"good", "runs.json"}
    (source / "good.mp4").unlink()
    with pytest.raises(DataError, match="no run could be tracked"):
        call(checkpoint, source, tmp_path / "other")


def test_a_finished_run_whose_files_went_away_does_not_stop_the_others(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    copy, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(dataset, copy)
    call(checkpoint, copy, out, only=["r0"])
    (copy / "images" / "r0-2.png").unlink()
    assert call(checkpoint, copy, out, only=["r0", "r1"]) is ExitCode.SOME_CASES_FAILED
    assert index(out) == [("r0", "failed"), ("r1", "done")]
    assert "r0-2.png" in json.loads((out / "runs.json").read_text())["runs"][0]["problem"]
    assert names(out) == {"r0", "r1", "runs.json"}


def test_a_run_too_large_for_the_device_does_not_stop_the_others(
    checkpoint: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = CineRun.frames

    def too_large(run: CineRun, decoder: Decoder) -> Iterator[CineFrame]:
        if run.name == "r0":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(run, decoder)

    monkeypatch.setattr(CineRun, "frames", too_large)
    assert call(checkpoint, dataset, tmp_path, only=["r0", "r1"]) is ExitCode.SOME_CASES_FAILED
    assert index(tmp_path) == [("r0", "failed"), ("r1", "done")]


def test_dicom_gets_a_segmentation_that_belongs_to_it(checkpoint: Path, tmp_path: Path) -> None:
    spacing = {"ImagerPixelSpacing": [0.4, 0.4], "EstimatedRadiographicMagnificationFactor": 2}
    path = write_run(tmp_path / "cine.dcm", run_of(4, shape_px=(23, 37)), FrameTime=66.5, **spacing)
    assert call(checkpoint, path, tmp_path / "out", outputs="csv,dicom-seg,secondary-capture") is ExitCode.DONE
    _, frames = read_masks(tmp_path / "out" / "cine" / "masks.json")
    capture = pydicom.dcmread(tmp_path / "out" / "cine" / "overlay.dcm")
    segmentation = pydicom.dcmread(tmp_path / "out" / "cine" / "segmentation.dcm")
    assert capture.pixel_array.shape == (4, 23, 37, 3)
    expected = np.array([[rle.decode(objects[number].mask) for objects in frames] for number in range(2)])
    assert np.array_equal(segmentation.pixel_array.reshape(2, 4, 23, 37), expected)
    assert segmentation.StudyInstanceUID == "1.2.3.4"
    rows = list(csv.DictReader((tmp_path / "out" / "cine" / "frames.csv").read_text().splitlines()))
    assert [float(row["time_s"]) for row in rows[::2]] == pytest.approx([0, 0.0665, 0.133, 0.1995])
    assert [float(row["area_mm2"]) for row in rows] == pytest.approx([0.04 * int(row["area_px"]) for row in rows])


def test_another_question_does_not_mix_into_a_folder(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call(checkpoint, dataset, out, only=["r0"])
    before = (out / "runs.json").read_bytes()
    with pytest.raises(ConfigError, match="mode 'track', asked is 'frame'"):
        call(checkpoint, dataset, out, mode="frame")
    with pytest.raises(ConfigError, match="prompts"):
        call(checkpoint, dataset, out, prompts=["[SEG]"])
    with pytest.raises(ConfigError, match="bright_vessels False, asked is True"):
        call(checkpoint, dataset, out, bright_vessels=True)
    assert (out / "runs.json").read_bytes() == before


def test_another_run_of_the_same_name_is_not_taken_for_finished(checkpoint: Path, tmp_path: Path) -> None:
    for side, times_ms in (("a", [0, 40, 80]), ("b", [0, 40])):
        write_video_file(tmp_path / side / "run.mp4", times_ms)
        write_video_file(tmp_path / side / f"only_{side}.mp4", [0, 40])
    call(checkpoint, tmp_path / "a", tmp_path / "out")
    assert call(checkpoint, tmp_path / "b", tmp_path / "out") is ExitCode.SOME_CASES_FAILED
    assert dict(index(tmp_path / "out")) == {"run": "failed", "only_b": "done"}


def test_a_folder_of_something_else_is_not_written_over(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "r0").mkdir(parents=True)
    (tmp_path / "out" / "r0" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not written by"):
        call(checkpoint, dataset, tmp_path / "out")
    assert names(tmp_path / "out") == {"r0"}


def test_nothing_is_written_into_the_source(checkpoint: Path, dataset: Path) -> None:
    with pytest.raises(DataError, match="lies in the source"):
        call(checkpoint, dataset, dataset / "out")
    assert not (dataset / "out").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"mode": "best"}, "no mode"), ({"outputs": "jpg"}, "no output"), ({"only": ["r9"]}, "no run 'r9'")],
)
def test_options_that_cannot_be_used_are_refused(
    checkpoint: Path, dataset: Path, tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        call(checkpoint, dataset, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_times_and_spacing_count_only_where_all_frames_agree() -> None:
    blank = np.zeros((8, 8), dtype=np.uint8)
    frames = [CineFrame(blank, "a", 0.0, (1.0, 1.0)), CineFrame(blank, "b", None, (1.0, 2.0))]
    with FrameSpool() as spool:
        reading = read_run(iter(frames), spool)
    assert (reading.times_s, reading.spacing_mm, reading.names) == (None, None, ("a", "b"))
    with FrameSpool() as spool, pytest.raises(DataError, match="without frames"):
        read_run(iter([]), spool)
