"""Videos: every frame, in order, at its time; a variable frame rate included."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest

from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord
from angiova.errors import DataError, ExitCode
from dicoms import run_of, write_run
from sources import run_import
from videos import STEADY, VARIABLE, Grey, number_in, numbered, write_video_file
from writing import background, written_on


def read_back(folder: Path) -> tuple[list[FrameRecord], list[Grey]]:
    manifest = Manifest(folder)
    records = list(manifest.records())
    return records, [manifest.read_image(record) for record in records]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.mp4", "libx264", "yuv420p"), ("a.mov", "mpeg4", "yuv420p"), ("a.mkv", "ffv1", "gray")],
)
@pytest.mark.parametrize("times_ms", [STEADY, VARIABLE], ids=["steady", "variable"])
def test_every_frame_is_kept_at_its_number_and_time(
    tmp_path: Path, name: str, codec: str, pixels: str, times_ms: list[int]
) -> None:
    write_video_file(tmp_path / "source" / name, times_ms, codec, pixels)
    report = run_import(tmp_path / "source", tmp_path / "out")
    records, images = read_back(tmp_path / "out")
    assert (report.format, report.num_runs) == ("video", 1)
    assert [record.frame for record in records] == list(range(len(times_ms)))
    assert [number_in(image_HW) for image_HW in images] == list(range(len(times_ms)))
    assert [record.time_s for record in records] == pytest.approx([time_ms / 1000 for time_ms in times_ms], abs=1e-3)


def test_avi_keeps_every_frame(tmp_path: Path) -> None:
    """AVI has one frame rate and no times of single frames."""
    path = tmp_path / "source" / "a.avi"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=15)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for number in range(150):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(numbered(number), format="gray").reformat(format="yuvj420p"))
            )
        container.mux(stream.encode(None))
    run_import(tmp_path / "source", tmp_path / "out")
    records, images = read_back(tmp_path / "out")
    assert [number_in(image_HW) for image_HW in images] == list(range(150))
    assert [record.time_s for record in records] == pytest.approx([number / 15 for number in range(150)], abs=1e-3)


def test_avi_with_empty_places_keeps_every_frame_at_its_time(tmp_path: Path) -> None:
    """A thousand places a second, most of them empty: how AVI holds a variable frame rate."""
    write_video_file(tmp_path / "source" / "a.avi", VARIABLE, "mpeg4")
    run_import(tmp_path / "source", tmp_path / "out")
    records, images = read_back(tmp_path / "out")
    assert [number_in(image_HW) for image_HW in images] == list(range(len(VARIABLE)))
    assert [record.time_s for record in records] == pytest.approx([time_ms / 1000 for time_ms in VARIABLE], abs=1e-3)


def test_lossless_grey_keeps_its_pixels(tmp_path: Path) -> None:
    write_video_file(tmp_path / "source" / "a.mkv", STEADY[:50], "ffv1", "gray")
    run_import(tmp_path / "source", tmp_path / "out")
    _, images = read_back(tmp_path / "out")
    np.testing.assert_array_equal(images, [numbered(number) for number in range(50)])


def test_limited_range_is_spread_to_the_full_one(tmp_path: Path) -> None:
    write_video_file(tmp_path / "source" / "a.mp4", STEADY[:50])
    run_import(tmp_path / "source", tmp_path / "out")
    _, images = read_back(tmp_path / "out")
    for number, image_HW in enumerate(images):
        assert abs(int(image_HW[40, 48]) - int(numbered(number)[40, 48])) <= 4  # H.264 loses some
        assert (image_HW[:8, :80].min() < 15, image_HW[:8, :80].max() > 240) == (True, number > 0)


def test_pattern_names_patient_and_run(tmp_path: Path) -> None:
    for name in ("p1_left.mp4", "p1_right.mp4", "p2_left.mp4"):
        write_video_file(tmp_path / "source" / name, STEADY[: 5 + len(name)])
    report = run_import(tmp_path / "source", tmp_path / "out", pattern="{patient}_{run}")
    records, _ = read_back(tmp_path / "out")
    assert (report.num_patients, report.num_runs) == (2, 3)
    assert {record.run for record in records} == {"p1_left", "p1_right", "p2_left"}


@pytest.mark.parametrize("masked", [False, True])
def test_burned_in_text_is_reported_and_blanked_only_when_asked(tmp_path: Path, masked: bool) -> None:
    frames = [written_on(background(seed), "DOE JANE", (12, 12), 20) for seed in range(3)]
    (tmp_path / "source").mkdir()
    with av.open(str(tmp_path / "source" / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=15)
        stream.width, stream.height, stream.pix_fmt = 512, 512, "gray"
        for image_HW in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image_HW, format="gray")))
        container.mux(stream.encode(None))
    report = run_import(tmp_path / "source", tmp_path / "out", mask_burned_in=masked)
    assert [finding.code for finding in report.findings] == ["burned-in-text"]
    _, images = read_back(tmp_path / "out")
    for image_HW, frame_HW in zip(images, frames, strict=True):
        np.testing.assert_array_equal(image_HW[60:], frame_HW[60:])
        assert (image_HW[10:45, 12:90].max() < 250) == masked


def test_single_file(tmp_path: Path) -> None:
    path = write_video_file(tmp_path / "cine.mp4", STEADY[:5])
    assert run_import(path, tmp_path / "out").num_frames == 5


def test_bad_video_among_good_ones_is_named_and_left_out_only_when_asked(tmp_path: Path) -> None:
    write_video_file(tmp_path / "source" / "good.mp4", STEADY[:5])
    bad = write_video_file(tmp_path / "source" / "bad.avi", STEADY[:50], "mpeg4")
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 4])  # half of it is the index
    (tmp_path / "source" / "empty.mov").write_bytes(b"")
    with pytest.raises(DataError, match=r"(?s)bad\.avi.*empty\.mov"):
        run_import(tmp_path / "source", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = run_import(tmp_path / "source", tmp_path / "out", fix=True)
    assert (report.num_frames, report.exit_code) == (5, ExitCode.SOME_CASES_FAILED)


def test_playlist_that_names_another_file_is_refused(tmp_path: Path) -> None:
    secret = write_video_file(tmp_path / "secret.mp4", STEADY[:5])
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")
    with pytest.raises(DataError, match=re.escape("a.mp4")):
        run_import(tmp_path / "source", tmp_path / "out")


def test_dicom_beside_video_is_dicom(tmp_path: Path) -> None:
    write_video_file(tmp_path / "source" / "a.mp4", STEADY[:5])
    write_run(tmp_path / "source" / "b.dcm", run_of())
    assert run_import(tmp_path / "source", tmp_path / "out", key=tmp_path / "key").format == "dicom"
