"""Moving pictures hold every frame once, at its number and time."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from angiova.data.manifest import Manifest
from angiova.errors import DataError
from angiova.export.cine import overlays, write_gif, write_mp4
from angiova.export.overlay import ColourImage
from sources import run_import
from videos import number_in, numbered

TIMES_S = [0.0, 0.066, 0.1, 0.4, 0.433, 1.2]


def coloured(number: int) -> ColourImage:
    return np.repeat(numbered(number)[:, :, None], 3, axis=2)


def frames_of(path: Path) -> list[tuple[int, int]]:
    """Return the number that each frame of a GIF shows, and how many milliseconds it stays."""
    found = []
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            found.append((number_in(np.asarray(image.convert("L"))), image.info["duration"]))
    return found


def test_mp4_comes_back_frame_by_frame(tmp_path: Path) -> None:
    times_s = np.cumsum([0, *([0.066, 0.033, 0.133] * 60)]).tolist()
    assert write_mp4(tmp_path / "videos" / "a.mp4", map(coloured, range(len(times_s))), times_s) == len(times_s)
    run_import(tmp_path / "videos", tmp_path / "out")
    manifest = Manifest(tmp_path / "out")
    records = list(manifest.records())
    assert [number_in(manifest.read_image(record)) for record in records] == list(range(len(times_s)))
    assert [record.time_s for record in records] == pytest.approx(times_s, abs=1.1e-3)


def test_mp4_without_times_is_steady(tmp_path: Path) -> None:
    write_mp4(tmp_path / "a.mp4", map(coloured, range(30)))
    with av.open(str(tmp_path / "a.mp4")) as container:
        times_s = [frame.time for frame in container.decode(video=0)]
    assert times_s == pytest.approx([number / 15 for number in range(30)], abs=1e-3)


def test_odd_sizes_are_padded_and_nothing_is_scaled(tmp_path: Path) -> None:
    picture = np.full((33, 47, 3), 200, dtype=np.uint8)
    write_mp4(tmp_path / "a.mp4", [picture] * 3)
    with av.open(str(tmp_path / "a.mp4")) as container:
        (first, *_) = container.decode(video=0)
    assert (first.height, first.width) == (34, 48)
    read = first.to_ndarray(format="rgb24")
    assert read[:32, :46].min() > 190
    assert read[33, :40].max() < 60


def test_gif_holds_every_frame_for_its_time(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", map(coloured, range(6)), TIMES_S)
    frames, stays_ms = zip(*frames_of(tmp_path / "a.gif"), strict=True)
    assert frames == (0, 1, 2, 3, 4, 5)
    # By hand: 0, 70, 100, 400, 430, 1200 ms after rounding; the last stays as long as the one before.
    assert stays_ms == (70, 30, 300, 30, 770, 770)


def test_gif_keeps_frames_that_are_the_same(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", map(coloured, [3, 3, 3, 5, 5, 3]), TIMES_S)
    assert [number for number, _ in frames_of(tmp_path / "a.gif")] == [3, 3, 3, 5, 5, 3]


def test_gif_without_times_is_steady_and_repeats(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", map(coloured, range(31)))
    assert sum(stay_ms for _, stay_ms in frames_of(tmp_path / "a.gif")) == pytest.approx(31 / 15 * 1000, abs=10)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["loop"] == 0


def test_gif_shows_the_colours_of_the_masks_in_every_frame(tmp_path: Path) -> None:
    grey_HW = np.random.default_rng(0).integers(0, 256, (64, 96)).astype(np.uint8)
    mask_HW = np.zeros((64, 96), dtype=bool)
    mask_HW[20:30, 20:60] = True
    pictures = list(overlays([grey_HW] * 3, [[mask_HW], [], [mask_HW]]))
    write_gif(tmp_path / "a.gif", pictures)
    with Image.open(tmp_path / "a.gif") as image:
        for number, picture in enumerate(pictures):
            image.seek(number)
            apart = np.abs(np.asarray(image.convert("RGB")).astype(int) - picture)
            assert apart.mean() < 6


@pytest.mark.parametrize("write", [write_mp4, write_gif])
def test_pictures_are_taken_one_by_one(tmp_path: Path, write: object) -> None:
    assert callable(write)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)

    def peak_bytes(num_frames: int) -> int:
        tracemalloc.start()
        write(tmp_path / "a", (np.roll(noise, number, axis=0) for number in range(num_frames)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(24) < peak_bytes(4) + noise.nbytes


@pytest.mark.parametrize("write", [write_mp4, write_gif])
@pytest.mark.parametrize("times_s", [[0.0, 0.1], [0.0, 0.1, 0.2, 0.3], [0.0, 0.2, 0.1], [0.0, 0.1, 0.1]])
def test_wrong_times_are_refused_and_leave_no_file(tmp_path: Path, write: object, times_s: list[float]) -> None:
    assert callable(write)
    with pytest.raises(DataError):
        write(tmp_path / "a", map(coloured, range(3)), times_s)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [write_mp4, write_gif])
def test_nothing_is_no_moving_picture(tmp_path: Path, write: object) -> None:
    assert callable(write)
    with pytest.raises(DataError):
        write(tmp_path / "a", [])


def test_overlays_lie_on_their_own_frames() -> None:
    images = [numbered(number) for number in range(4)]
    masks = [[np.zeros(images[0].shape, dtype=bool)] for _ in images]
    masks[2][0][30:40, 30:40] = True
    pictures = list(overlays(images, masks))
    changed = [bool((p != np.repeat(i[:, :, None], 3, 2)).any()) for p, i in zip(pictures, images, strict=True)]
    assert changed == [False, False, True, False]
