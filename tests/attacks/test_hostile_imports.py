"""Sources made to do harm end in a typed error within seconds, and nothing is read or written outside."""

from __future__ import annotations

import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from angiova.errors import DataError
from sources import (
    SHAPE_PX,
    SQUARE,
    noise,
    run_import,
    write_coco,
    write_image,
    write_json,
    write_masks,
    write_sa2va,
    write_video,
)

pytestmark = pytest.mark.timeout(5)


def png_bomb(path: Path, side_px: int = 60_000) -> None:
    """Write a PNG of a few hundred bytes that claims 3.6e9 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def bomb_image(folder: Path) -> None:
    write_coco(folder)
    png_bomb(folder / "images" / "1.png")


def bomb_mask(folder: Path) -> None:
    write_masks(folder)
    png_bomb(folder / "masks" / "a0.png")


def traversal(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        write_image(folder.parent / "secret.png", noise(9))
        write_coco(folder, file_name=name.format(parent=folder.parent))

    return make


def sa2va_traversal(folder: Path) -> None:
    write_image(folder.parent / "secret.png", noise(9))
    write_sa2va(folder)
    entry = {"image": "../../secret.png", "mask": [[SQUARE]], "text": ["x"]}
    write_json(folder / "annotations.json", [entry])


def video_traversal(folder: Path) -> None:
    write_video(folder, {"0": [None]}, num_frames=1)
    expressions = {"0": {"exp": "x", "anno_id": ["0"]}}
    content = {"videos": {"../../v": {"frames": ["00000"], "expressions": expressions}}}
    write_json(folder / "meta_expressions.json", content)


def link_out(folder: Path) -> None:
    secret = write_image(folder.parent / "secret.png", noise(9))
    write_coco(folder)
    (folder / "images" / "1.png").unlink()
    (folder / "images" / "1.png").symlink_to(secret)


def link_out_of_masks(folder: Path) -> None:
    secret = write_image(folder.parent / "secret.png", noise(9))
    write_masks(folder)
    (folder / "masks" / "a0.png").unlink()
    (folder / "masks" / "a0.png").symlink_to(secret)


def link_circle(folder: Path) -> None:
    write_coco(folder)
    (folder / "images" / "1.png").unlink()
    (folder / "images" / "1.png").symlink_to(folder / "images" / "1.png")


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def pickled_masks(folder: Path) -> None:
    write_video(folder, {})
    (folder / "mask_dict.json").unlink()
    (folder / "mask_dict.pkl").write_bytes(pickle.dumps(Bomb(folder.parent / "exploded")))


def nested_json(folder: Path) -> None:
    write_coco(folder)
    depth = 5_000_000
    (folder / "annotations" / "labels.json").write_text('{"images":' + "[" * depth + "]" * depth + "}")


def long_number(folder: Path) -> None:
    write_coco(folder)
    (folder / "annotations" / "labels.json").write_text('{"images": [{"id": ' + "9" * 100_000 + "}]}")


def huge_json(folder: Path) -> None:
    write_coco(folder)
    with (folder / "annotations" / "labels.json").open("r+b") as stream:
        stream.truncate(3 * 1024**3)  # sparse: takes no room on the disk


def folder_as_json(folder: Path) -> None:
    write_video(folder, {})
    (folder / "mask_dict.json").unlink()
    (folder / "mask_dict.json").mkdir()


def runs(counts: object, size: object = SHAPE_PX) -> Callable[[Path], object]:
    return lambda folder: write_coco(folder, {"size": size, "counts": counts})


def polygon(points: object) -> Callable[[Path], object]:
    return lambda folder: write_coco(folder, [points])


def zigzag(folder: Path) -> None:
    """A polygon whose rasterisation would need 20 GB: a million strokes across the image."""
    write_image(folder / "images" / "1.png", noise(1, (1024, 1024)))
    points = [float(value) for number in range(100_000) for value in (1023 * (number % 2), number % 1023)]
    write_sa2va(folder)
    write_image(folder / "images" / "x.jpg", noise(1, (1024, 1024)))
    write_json(folder / "annotations.json", [{"image": "x.jpg", "mask": [[points]], "text": ["x"]}])


def half_a_character(folder: Path) -> None:
    write_sa2va(folder, text=["\ud800"])


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "bomb as image": (bomb_image, "60000 x 60000|bomb"),
    "bomb as mask": (bomb_mask, "60000 x 60000|bomb"),
    "dots": (traversal("../../secret.png"), "leaves the source"),
    "backslash dots": (traversal("..\\..\\secret.png"), "leaves the source"),
    "absolute": (traversal("{parent}/secret.png"), "leaves the source"),
    "drive": (traversal("C:/secret.png"), "leaves the source"),
    "zero byte": (traversal("1.png\0.txt"), "no usable path"),
    "half a character in a path": (traversal("\ud800.png"), "no usable path"),
    "endless name": (traversal("a" * 5000 + ".png"), "no usable path"),
    "dots in a list": (sa2va_traversal, "leaves the source"),
    "dots in a video": (video_traversal, "leaves the source"),
    "link out": (link_out, "link out"),
    "link out of masks": (link_out_of_masks, "link out"),
    "links in a circle": (link_circle, "no usable path"),
    "pickle": (pickled_masks, "mask_dict.pkl.*pickle"),
    "nested JSON": (nested_json, "nested too deeply"),
    "long number": (long_number, "not valid JSON"),
    "huge JSON": (huge_json, "the limit is"),
    "folder as JSON": (folder_as_json, "cannot be read"),
    "half a character": (half_a_character, "no proper text"),
    "runs for another size": (runs([10], [2, 5]), "run lengths are for"),
    "runs for a huge size": (runs([10**18], [10**9, 10**9]), "run lengths are for"),
    "runs too long": (runs([0, 10**15]), "run lengths cover"),
    "runs too short": (runs([5, 5]), "run lengths cover"),
    "runs below zero": (runs([-5, 24 * 32 + 5]), "run lengths cover"),
    "runs as words": (runs(["1", "2"]), "whole numbers"),
    "runs of endless text": (runs("o" * 100_000), "broken run-length text"),
    "not a number": (polygon([float("nan")] * 8), "not finite"),
    "infinity": (polygon([0, 0, float("inf"), 0, 5, 5]), "not finite"),
    "far away": (polygon([0, 0, 1e300, 0, 1e300, 1e300]), "outside the image"),
    "whole number beyond floats": (polygon([0, 0, 10**400, 0, 5, 5]), "outside the image|not finite"),
    "zigzag": (zigzag, "outline longer"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_source_is_refused(tmp_path: Path, name: str) -> None:
    make, reason = HOSTILE[name]
    make(tmp_path / "source")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(DataError, match=f"(?s){reason}"):
        run_import(tmp_path / "source", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("points", [[0, 0, 1e300, 0, 1e300, 1e300], [-1e300, -1e300, 1e300, 0, 5, 1e308]])
def test_far_polygon_survives_the_repair(tmp_path: Path, points: list[float]) -> None:
    write_coco(tmp_path / "source", [points])
    report = run_import(tmp_path / "source", tmp_path / "out", fix=True)
    assert report.num_frames == 1


def test_json_limit_is_checked_before_reading(tmp_path: Path) -> None:
    huge_json(tmp_path / "source")
    with pytest.raises(DataError, match="3221225472 bytes"):
        run_import(tmp_path / "source", tmp_path / "out", "coco")
