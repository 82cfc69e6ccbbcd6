"""What is asked about, whatever it lies in; and frames that nobody could answer questions about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from angiova.errors import ConfigError, DataError
from angiova.inference.asking.quality import faults_of
from angiova.inference.asking.shown import Choice, show
from dicoms import run_of, write_run
from models import RUN_LENGTH, SIDE_PX, draw_frame, draw_run_frame, write_runs
from videos import write_video_file

SEVERAL = Choice(key_frames=3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources") / "data"
    write_runs(folder)
    return folder


def run_pixels(run: int) -> np.ndarray:
    return np.stack([draw_run_frame(run, frame)[0] for frame in range(RUN_LENGTH)])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_image_is_a_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"lad{suffix}"
    Image.fromarray(draw_frame(1)[0]).save(path, quality=95)
    shown = show(path, SEVERAL)
    assert (shown.name, shown.frames, shown.is_run, shown.num_frames) == ("lad", (0,), False, 1)
    assert np.abs(shown.image_HW.astype(int) - draw_frame(1)[0]).mean() < 8
    with pytest.raises(ConfigError, match="an image has no runs"):
        show(path, Choice(3, run="r0"))
    with pytest.raises(ConfigError, match=r"no frame 1.*count from 0 to 0"):
        show(path, Choice(3, frame=1))


def test_bright_vessels_are_shown_dark(tmp_path: Path) -> None:
    Image.fromarray(255 - draw_frame(1)[0]).save(tmp_path / "lad.png")
    shown = show(tmp_path / "lad.png", Choice(3, bright_vessels=True))
    np.testing.assert_array_equal(shown.image_HW, draw_frame(1)[0])


def test_a_dicom_run_and_one_frame_of_it(tmp_path: Path) -> None:
    write_run(tmp_path / "IM1", run_of(4))
    run, alone = show(tmp_path / "IM1", SEVERAL), show(tmp_path / "IM1", Choice(3, frame=2))
    assert (run.is_run, run.num_frames, len(run.images)) == (True, 4, 3)
    assert (alone.is_run, alone.frames, alone.num_frames) == (False, (2,), 4)


def test_a_video_is_a_run(tmp_path: Path) -> None:
    write_video_file(tmp_path / "run.mp4", [0, 40, 80, 120])
    shown = show(tmp_path / "run.mp4", Choice(key_frames=2))
    assert (shown.is_run, shown.num_frames, len(shown.frames)) == (True, 4, 2)


def test_a_run_of_a_data_set_is_the_run_of_its_pixels(dataset: Path) -> None:
    by_name, by_pixels = show(dataset, Choice(3, run="r1")), show(run_pixels(1), SEVERAL)
    assert (by_name.name, by_name.num_frames) == ("r1", RUN_LENGTH)
    assert (by_name.frames, by_name.measured, by_name.why) == (by_pixels.frames, by_pixels.measured, by_pixels.why)
    for frame, image_HW, other_HW in zip(by_name.frames, by_name.images, by_pixels.images, strict=True):
        assert np.array_equal(image_HW, run_pixels(1)[frame])
        assert np.array_equal(image_HW, other_HW)
    levels = by_name.opacification.smooth_T[list(by_name.frames)]
    assert levels[by_name.measured] == levels.max()


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        (Choice(3), "4 runs in .*choose one of: r0, r1, r2, r3"),
        (Choice(3, run="r9"), "no run 'r9'"),
        (Choice(3, run="r1", frame=RUN_LENGTH), f"no frame {RUN_LENGTH}"),
        (Choice(0, run="r1"), "0 key frames"),
    ],
)
def test_what_the_source_does_not_have_is_refused(dataset: Path, choice: Choice, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        show(dataset, choice)


@pytest.mark.parametrize(
    "pixels", [np.zeros((8, 8), np.float32), np.zeros((1, 2, 8, 8), np.uint8), np.zeros((0, 8, 8), np.uint8)]
)
def test_other_pixels_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(DataError, match="give uint8 of"):
        show(pixels, SEVERAL)


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="source not found"):
        show(tmp_path / "nothing", SEVERAL)
    with pytest.raises(DataError, match=r"image not found|cannot be read"):
        (tmp_path / "broken.png").write_bytes(b"no image")
        show(tmp_path / "broken.png", SEVERAL)


def test_a_good_frame_has_no_fault() -> None:
    assert faults_of(draw_frame(1)[0]) == []
    assert faults_of(255 - (255 - draw_frame(1)[0]) // 2) == []  # half the contrast is still enough


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (draw_frame(1)[0][:63], "only 63 pixels"),
        (np.full((SIDE_PX, SIDE_PX), 128, np.uint8), "0 of 256 levels"),
        (np.rint(120 + draw_frame(1)[0] / 20).astype(np.uint8), "nearly of one grey"),
        (np.where(np.indices((SIDE_PX, SIDE_PX))[0] < 60, 255, draw_frame(1)[0]).astype(np.uint8), "62 % of the frame"),
        (
            np.rint(gaussian_filter(draw_frame(1)[0].astype(float), 20) * 3 - 300).clip(5, 250).astype(np.uint8),
            "vessel",
        ),
    ],
)
def test_a_frame_that_is_worth_nothing_is_told(image: np.ndarray, fault: str) -> None:
    (found,) = faults_of(image)
    assert fault in found.en
    assert found.zh != found.en
