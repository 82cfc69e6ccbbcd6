"""DICOM files made to do harm end in a typed error within seconds and a gigabyte, and nothing is left behind."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from angiova.data.decoding.decoder import Decoder
from angiova.data.decoding.limits import DecodeLimits
from angiova.data.decoding.messages import MAX_JSON_BYTES, read_message
from angiova.errors import DataError
from dicoms import dataset_of, dicomdir_of, run_of, write_compressed, write_deflated, write_dicom, write_run
from sources import run_import

MAX_SECONDS = 5.0
pytestmark = pytest.mark.timeout(30)


def truncated(folder: Path) -> None:
    path = write_run(folder / "a.dcm", run_of(3))
    path.write_bytes(path.read_bytes()[:-1000])


def cut_in_the_header(folder: Path) -> None:
    path = write_run(folder / "a.dcm", run_of(3))
    path.write_bytes(path.read_bytes()[:400])


def cut_in_a_compressed_frame(folder: Path) -> None:
    path = write_compressed(folder / "a.dcm", run_of(3), 8, JPEGLSLossless)
    path.write_bytes(path.read_bytes()[:-1500])


def nested(folder: Path, depth: int = 5000, tag: tuple[int, int] = (0x0040, 0x0275)) -> None:
    """Put sequences of undefined length into each other, before the pixel data."""
    path = write_run(folder / "a.dcm", run_of(3))
    content = path.read_bytes()
    start = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    at = content.index(struct.pack("<HH", 0x7FE0, 0x0010))
    path.write_bytes(content[:at] + start * depth + end * depth + content[at:])


def nested_lookup_table(folder: Path) -> None:
    """The same inside an element that is read."""
    nested(folder, tag=(0x0028, 0x3010))


def deflate_bomb(folder: Path) -> None:
    path = write_deflated(folder / "a.dcm", dataset_of(run_of(3)), num_extra_bytes=2**29)
    assert path.stat().st_size < 2**20


def huge_claim(rows: int, columns: int, frames: int) -> Callable[[Path], object]:
    return lambda folder: write_run(folder / "a.dcm", run_of(3), Rows=rows, Columns=columns, NumberOfFrames=frames)


def huge_claim_in_a_jpeg(folder: Path) -> None:
    """A JPEG 2000 frame whose own header claims 2^31 pixels a side."""
    path = write_compressed(folder / "a.dcm", run_of(1), 8, JPEG2000Lossless)
    content = path.read_bytes()
    at = content.index(b"\xff\x51") + 6  # SIZ: length, capabilities, then width and height
    path.write_bytes(content[:at] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + content[at + 8 :])


def lying(num_frames: int, syntax: str | None) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        path = folder / "a.dcm"
        if syntax is None:
            write_run(path, run_of(3), NumberOfFrames=num_frames)
            return
        write_compressed(path, run_of(3), 8, syntax)
        content = path.read_bytes()
        count = struct.pack("<HH2sH", 0x0028, 0x0008, b"IS", 2)
        at = content.index(count) + len(count)
        path.write_bytes(content[:at] + f"{num_frames} ".encode() + content[at + 2 :])

    return make


def with_elements(**elements: object) -> Callable[[Path], object]:
    return lambda folder: write_run(folder / "a.dcm", run_of(3), **elements)


def other_size_in_the_jpeg(folder: Path) -> None:
    path = write_compressed(folder / "a.dcm", run_of(1), 8, JPEGLosslessSV1)
    content = path.read_bytes()
    rows = struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 24)
    path.write_bytes(content.replace(rows, rows[:-2] + struct.pack("<H", 240)))


def noise_as_frames(folder: Path) -> None:
    path = write_compressed(folder / "a.dcm", run_of(1), 8, JPEG2000Lossless)
    content = path.read_bytes()
    at = content.index(b"\xff\x51")
    junk = np.random.default_rng(0).integers(0, 256, len(content) - at - 10, dtype=np.uint8).tobytes()
    path.write_bytes(content[:at] + junk + content[-10:])


def link_out(folder: Path) -> None:
    secret = write_run(folder.parent / "secret.dcm", run_of(3))
    write_run(folder / "b.dcm", run_of(2))
    (folder / "a.dcm").symlink_to(secret)


def traversal(*parts: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        write_run(folder.parent / "secret.dcm", run_of(3))
        write_run(folder / "b.dcm", run_of(2))
        dicomdir_of(folder, [list(parts)])

    return make


def unknown_syntax(folder: Path) -> None:
    write_run(folder / "a.dcm", run_of(3))
    path = folder / "a.dcm"
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0"))


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncated, "promises 2304 bytes of pixels, 1304 are there"),
    "cut in the header": (cut_in_the_header, "a.dcm"),
    "cut in a compressed frame": (cut_in_a_compressed_frame, "a.dcm"),
    "nested lookup tables": (nested_lookup_table, "nested too deeply|damaged"),
    "deflate bomb": (deflate_bomb, "inflates to more than 256 MiB"),
    "huge image": (huge_claim(65535, 65535, 1000), "65535 x 65535 pixels"),
    "huge run": (huge_claim(8192, 8192, 2_000_000_000), "bytes of pixels, the limit is"),
    "more than there is": (huge_claim(4096, 4096, 10), "are there"),
    "no rows": (huge_claim(0, 32, 3), "Rows is no whole number"),
    "frames below zero": (huge_claim(24, 32, -3), "NumberOfFrames is no whole number"),
    "huge claim in a JPEG 2000": (huge_claim_in_a_jpeg, "a.dcm"),
    "four frames promised": (lying(4, None), "promises 3072 bytes"),
    "two frames promised": (lying(2, None), "promises 1536 bytes"),
    "four RLE frames promised": (lying(4, RLELossless), "a.dcm"),
    "two RLE frames promised": (lying(2, RLELossless), "a.dcm"),
    "nine JPEG frames promised": (lying(9, JPEGLosslessSV1), "a.dcm"),
    "one JPEG frame promised": (lying(1, JPEGLosslessSV1), "a.dcm"),
    "colour in one channel": (with_elements(PhotometricInterpretation="RGB"), "Photometric Interpretation"),
    "unknown colour": (with_elements(PhotometricInterpretation="SECRET^NAME"), "Photometric Interpretation"),
    "palette": (with_elements(PhotometricInterpretation="PALETTE COLOR"), "Photometric Interpretation"),
    "grey in three channels": (with_elements(SamplesPerPixel=3), "Photometric Interpretation"),
    "three channels that are not there": (
        with_elements(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0),
        "promises 6912 bytes",
    ),
    "64 bits": (with_elements(BitsAllocated=64), "BitsAllocated"),
    "more bits stored than there are": (with_elements(BitsStored=12), "BitsStored"),
    "high bit elsewhere": (with_elements(HighBit=3), "do not fit together"),
    "window of no width": (with_elements(WindowCenter=5, WindowWidth=0), "Window Width is too small"),
    "window below zero": (with_elements(WindowCenter=5, WindowWidth=-3), "Window Width is too small"),
    "unknown window function": (
        with_elements(WindowCenter=5, WindowWidth=9, VOILUTFunction="CUBIC"),
        "VOI LUT Function",
    ),
    "no photometric interpretation": (with_elements(PhotometricInterpretation=None), "Photometric Interpretation"),
    "other size in the JPEG": (other_size_in_the_jpeg, "a.dcm"),
    "noise as frames": (noise_as_frames, "a.dcm"),
    "link out": (link_out, "link out"),
    "dots in a DICOMDIR": (traversal("..", "secret.dcm"), "leaves the source"),
    "dots further in": (traversal("x", "..", "..", "secret.dcm"), "leaves the source"),
    "absolute path in a DICOMDIR": (traversal("", "etc", "passwd"), "leaves the source"),
    "slashes in a DICOMDIR": (traversal("../secret.dcm"), "leaves the source"),
    "unknown transfer syntax": (unknown_syntax, "a.dcm"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused(tmp_path: Path, name: str) -> None:
    make, reason = HOSTILE[name]
    make(tmp_path / "source")
    before = sorted(path.name for path in tmp_path.iterdir())
    started_s = time.monotonic()
    with pytest.raises(DataError, match=f"(?s){reason}"):
        run_import(tmp_path / "source", tmp_path / "out", "dicom", key=tmp_path / "source.key")
    assert time.monotonic() - started_s < MAX_SECONDS
    (tmp_path / "source.key").unlink(missing_ok=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("depth", [200, 5000])
def test_nested_sequences_that_nobody_reads_cost_nothing_or_are_refused(tmp_path: Path, depth: int) -> None:
    nested(tmp_path / "source", depth)
    started_s = time.monotonic()
    try:
        report = run_import(tmp_path / "source", tmp_path / "out", key=tmp_path / "key")
        assert report.num_frames == 3
    except DataError as error:
        assert "nested too deeply" in str(error)
    assert time.monotonic() - started_s < MAX_SECONDS


def test_words_of_a_hostile_header_are_not_repeated(tmp_path: Path) -> None:
    write_run(tmp_path / "source" / "a.dcm", run_of(3), PhotometricInterpretation="SECRET^NAME")
    with pytest.raises(DataError) as caught:
        run_import(tmp_path / "source", tmp_path / "out", key=tmp_path / "key")
    assert "SECRET^NAME" not in str(caught.value)


def test_file_that_needs_more_memory_than_allowed_is_refused_and_the_next_one_read(tmp_path: Path) -> None:
    large = write_dicom(tmp_path / "large.dcm", dataset_of(run_of(1, 16, (7000, 7000)), 16))
    small = write_run(tmp_path / "small.dcm", run_of(3))
    with Decoder(DecodeLimits(memory_mib=320)) as decoder:
        with pytest.raises(DataError, match=r"320 MiB|broke down"):
            list(decoder.ask("dicom-frames", large, range=[0, 65535]))
        assert len(list(decoder.ask("dicom-frames", small, range=[0, 255]))) == 3


def test_file_that_takes_too_long_is_refused_and_the_next_one_read(tmp_path: Path) -> None:
    slow = write_compressed(tmp_path / "slow.dcm", run_of(60, 16, (512, 512)), 16, JPEG2000Lossless)
    small = write_run(tmp_path / "small.dcm", run_of(3))
    with Decoder(DecodeLimits(seconds=1)) as decoder:
        assert len(list(decoder.ask("dicom-frames", small, range=[0, 255]))) == 3
        started_s = time.monotonic()
        with pytest.raises(DataError, match=r"took longer than 1 s|reached its limits"):
            list(decoder.ask("dicom-range", slow))
        assert time.monotonic() - started_s < MAX_SECONDS
        assert len(list(decoder.ask("dicom-frames", small, range=[0, 255]))) == 3


def test_reader_that_stops_half_way_gets_no_frames_of_the_file_before(tmp_path: Path) -> None:
    first, second = run_of(5), run_of(3, 12)
    write_run(tmp_path / "first.dcm", first)
    write_run(tmp_path / "second.dcm", second, 12)
    with Decoder(DecodeLimits()) as decoder:
        next(decoder.ask("dicom-frames", tmp_path / "first.dcm", range=[0, 255]))
        assert decoder.one("dicom-facts", tmp_path / "second.dcm").fields["bits"] == 12


FUZZED: dict[str, Callable[[Path], Path]] = {
    "native": lambda path: write_run(path, run_of(3, 12), 12, WindowCenter=5, WindowWidth=9, FrameTime=40),
    "RLE": lambda path: write_compressed(path, run_of(3), 8, RLELossless),
    "JPEG-LS": lambda path: write_compressed(path, run_of(3), 8, JPEGLSLossless),
    "JPEG lossless": lambda path: write_compressed(path, run_of(3), 8, JPEGLosslessSV1),
    "JPEG 2000": lambda path: write_compressed(path, run_of(3), 8, JPEG2000Lossless),
    "deflated": lambda path: write_deflated(path, dataset_of(run_of(3))),
}


@pytest.mark.parametrize("name", FUZZED)
def test_any_change_of_bytes_is_read_or_refused_by_name(tmp_path: Path, name: str) -> None:
    """Sixty copies of a file with some bytes changed, most of them in the header: no other outcome than these two."""
    content = np.frombuffer(FUZZED[name](tmp_path / "good.dcm").read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(len(content))
    outcomes = {"read": 0, "refused": 0}
    with Decoder(DecodeLimits(seconds=5)) as decoder:
        for number in range(60):
            changed = content.copy()
            places = rng.integers(128, min(len(content), 1200), rng.integers(1, 6))
            changed[places] = rng.integers(0, 256, len(places), dtype=np.uint8)
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(changed.tobytes()[: len(content) if number % 4 else rng.integers(132, len(content))])
            try:
                decoder.one("dicom-facts", path)
                assert sum(1 for _ in decoder.ask("dicom-frames", path, range=[0, 255])) >= 1
                outcomes["read"] += 1
            except DataError as error:
                assert str(error).strip()
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 0  # the changes were neither harmless nor all fatal


def test_decoding_process_cannot_write_files(tmp_path: Path) -> None:
    write_run(tmp_path / "a.dcm", run_of(3))
    with Decoder(DecodeLimits()) as decoder:
        decoder.one("dicom-facts", tmp_path / "a.dcm")
        assert decoder._process is not None
        limits = Path(f"/proc/{decoder._process.pid}/limits").read_text()
    rows = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()[1:]}
    assert (rows["Max file size"], rows["Max core file size"]) == ("0", "0")
    assert int(rows["Max address space"]) == DecodeLimits().memory_mib * 2**20


@pytest.mark.parametrize(
    "content",
    [
        struct.pack(">I", MAX_JSON_BYTES + 1),
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 3) + b"{{{",
        struct.pack(">I", 16) + b'{"num_bytes":-1}',
        struct.pack(">I", 18) + b'{"num_bytes":true}',
    ],
)
def test_nonsense_from_a_decoder_that_was_taken_over_is_refused(content: bytes) -> None:
    position = 0

    def read_exactly(num_bytes: int) -> bytes:
        nonlocal position
        position += num_bytes
        return content[position - num_bytes : position]

    with pytest.raises(DataError, match="nonsense"):
        read_message(read_exactly)
