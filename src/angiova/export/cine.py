"""Runs as moving pictures: MP4 (H.264) for any player, GIF for a page; every frame once, at its own time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import av
import numpy as np
from PIL import Image
from PIL.GifImagePlugin import getdata, getheader

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask
from angiova.errors import DataError
from angiova.export.overlay import ColourImage, overlay
from angiova.files import atomic_path

# Used where a run has no times; what most machines record at.
DEFAULT_RATE: Final = 15.0
TIME_BASE: Final = Fraction(1, 1000)
MILLI: Final = 1000
# H.264's constant quality, and half the usual distance: thin outlines are what the picture is for.
QUALITY: Final = "12"
# GIF counts in hundredths of a second, and players slow down what is below two of them.
GIF_STEP_MS, GIF_LEAST_MS = 10, 20
GIF_END: Final = b";"


def overlays(images: Iterable[GreyImage], masks: Iterable[Sequence[BoolMask]]) -> Iterator[ColourImage]:
    """Yield each 8-bit grey image (H, W) of a run with its masks laid over it, (H, W, 3)."""
    for image_HW, masks_of_frame in zip(images, masks, strict=True):
        yield overlay(image_HW, list(masks_of_frame))


def write_mp4(path: Path, pictures: Iterable[ColourImage], times_s: Sequence[float] | None = None) -> int:
    """Write pictures (H, W, 3) as an MP4 file and return how many; they are taken one by one.

    Args:
        path: file to write.
        pictures: all of one size; an odd height or width gets one black row or column, as H.264 asks for.
        times_s: the time of each, rising; default: DEFAULT_RATE a second.

    Raises:
        DataError: there is none, their number is not that of the times, or the times don't rise.
    """
    num_frames = 0
    with atomic_path(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(DEFAULT_RATE), options={"crf": QUALITY})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        times_ms = _times_ms(times_s)
        for picture in pictures:
            time_ms = next(times_ms, None)
            if time_ms is None:
                raise DataError("more pictures than times", where=path)
            even = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)))
            if not num_frames:
                stream.height, stream.width = even.shape[:2]
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            frame.pts, frame.time_base = time_ms, TIME_BASE
            container.mux(stream.encode(frame))
            num_frames += 1
        if num_frames == 0 or (times_s is not None and num_frames != len(times_s)):
            raise DataError(f"{num_frames} pictures", where=path, remedy="give at least one, and one time each")
        container.mux(stream.encode(None))
    return num_frames


def write_gif(path: Path, pictures: Iterable[ColourImage], times_s: Sequence[float] | None = None) -> int:
    """Write pictures as a GIF that repeats and return how many; they are taken one by one, times rounded to 10 ms.

    Not with Pillow's `save`: it holds every picture, and makes one of neighbours that are the same (11 to 13).

    Args:
        path: file to write.
        pictures: (H, W, 3), all of one size; each gets the 256 colours that suit it best.
        times_s: the time of each, rising; default: DEFAULT_RATE a second.

    Raises:
        DataError: there is none, their number is not that of the times, or the times don't rise.
    """
    num_frames = 0
    with atomic_path(path) as partial, partial.open("wb") as stream:
        stays_ms = _stays_ms(times_s)
        for picture in pictures:
            stay_ms = next(stays_ms, None)
            if stay_ms is None:
                raise DataError("more pictures than times", where=path)
            image = Image.fromarray(picture).convert("P", palette=Image.Palette.ADAPTIVE)
            if not num_frames:
                header, _ = getheader(image.copy(), info={"loop": 0})
                stream.writelines(header)
            parts = getdata(image, duration=stay_ms, include_color_table=True)
            stream.writelines(parts)
            parts.clear()  # Pillow's side of it lives until the next garbage collection
            num_frames += 1
        if num_frames == 0 or (times_s is not None and num_frames != len(times_s)):
            raise DataError(f"{num_frames} pictures", where=path, remedy="give at least one, and one time each")
        stream.write(GIF_END)
    return num_frames


def _times_ms(times_s: Sequence[float] | None) -> Iterator[int]:
    """Yield the time of each frame in whole milliseconds, without end where none are given."""
    if times_s is None:
        frame = 0
        while True:
            yield round(frame * MILLI / DEFAULT_RATE)
            frame += 1
    last_ms = -1
    for time_s in times_s:
        time_ms = round((time_s - times_s[0]) * MILLI)
        if time_ms <= last_ms:
            raise DataError("the times of the frames do not rise by at least a millisecond")
        last_ms = time_ms
        yield time_ms


def _stays_ms(times_s: Sequence[float] | None) -> Iterator[int]:
    """Yield how long each picture of a GIF stays, without letting the rounding add up; the last as the one before."""
    ticks_ms = (round(time_ms / GIF_STEP_MS) * GIF_STEP_MS for time_ms in _times_ms(times_s))
    stay_ms = round(MILLI / DEFAULT_RATE / GIF_STEP_MS) * GIF_STEP_MS
    for before_ms, after_ms in pairwise(ticks_ms):
        stay_ms = max(after_ms - before_ms, GIF_LEAST_MS)
        yield stay_ms
    yield stay_ms
