"""Video files made to do harm end in a typed error within seconds; nothing outside of the source is opened."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from angiova.data.decoding.decoder import Decoder
from angiova.data.decoding.limits import DecodeLimits
from angiova.errors import DataError
from sources import run_import
from videos import STEADY, write_video_file

MAX_SECONDS = 5.0
pytestmark = pytest.mark.timeout(30)


def half(folder: Path) -> None:
    path = write_video_file(folder / "a.mp4", STEADY[:50])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def huge_claim(folder: Path) -> None:
    """The header of an uncompressed AVI claims 60,000 x 60,000 pixels."""
    path = write_video_file(folder / "a.avi", STEADY[:5], "rawvideo", "yuv420p")
    content = path.read_bytes()
    at = content.index(b"strf") + 12  # size of the chunk, size of the header, then width and height
    path.write_bytes(content[:at] + struct.pack("<ii", 60_000, 60_000) + content[at + 8 :])


def frames_missing(folder: Path) -> None:
    """The index of an MP4 stays, its frames are zeros."""
    path = write_video_file(folder / "a.mp4", STEADY[:50])
    content = path.read_bytes()
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])


def concat_list(folder: Path) -> None:
    secret = write_video_file(folder.parent / "secret.mp4", STEADY[:5])
    folder.mkdir()
    (folder / "a.mp4").write_text(f"ffconcat version 1.0\nfile '{secret}'\n")


def session_description(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.mp4").write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n")


def link_out(folder: Path) -> None:
    secret = write_video_file(folder.parent / "secret.mp4", STEADY[:5])
    folder.mkdir()
    (folder / "a.mp4").symlink_to(secret)


def noise(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.avi").write_bytes(np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8).tobytes())


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "half": (half, "a.mp4"),
    "huge claim": (huge_claim, "a.avi"),
    "frames missing": (frames_missing, "a.mp4"),
    "list of other files": (concat_list, "a.mp4"),
    "network stream": (session_description, "a.mp4"),
    "link out": (link_out, "link out"),
    "noise": (noise, "a.avi"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_video_is_refused(tmp_path: Path, name: str) -> None:
    make, reason = HOSTILE[name]
    make(tmp_path / "source")
    before = sorted(path.name for path in tmp_path.iterdir())
    started_s = time.monotonic()
    with pytest.raises(DataError, match=f"(?s){reason}"):
        run_import(tmp_path / "source", tmp_path / "out", "video")
    assert time.monotonic() - started_s < MAX_SECONDS
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mjpeg"), ("a.mkv", "ffv1")])
def test_any_change_of_bytes_is_read_or_refused_by_name(tmp_path: Path, name: str, codec: str) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    content = np.frombuffer(write_video_file(tmp_path / name, STEADY[:10], codec, pixels).read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(len(content))
    outcomes = {"read": 0, "refused": 0}
    with Decoder(DecodeLimits(seconds=5)) as decoder:
        for number in range(40):
            changed = content.copy()
            places = rng.integers(0, len(content), 5)
            changed[places] = rng.integers(0, 256, len(places), dtype=np.uint8)
            path = tmp_path / f"{number}{Path(name).suffix}"
            path.write_bytes(changed.tobytes()[: len(content) if number % 4 else rng.integers(10, len(content))])
            try:
                assert sum(1 for _ in decoder.ask("video-frames", path)) >= 1
                outcomes["read"] += 1
            except DataError as error:
                assert str(error).strip()
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 0
