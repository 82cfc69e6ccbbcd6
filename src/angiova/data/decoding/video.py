"""The tasks of the decoding process on video files: every frame, in the order of its time, with that time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.video.frame import VideoFrame

from angiova.data.decoding.limits import MIB, DecodeLimits
from angiova.data.decoding.messages import Message
from angiova.data.pixels import MAX_PIXELS, GreyImage, to_grey
from angiova.errors import DataError

GREY_FORMATS: Final = ("gray", "gray8")
RGB_CHANNELS: Final = 3


def frames(path: Path, limits: DecodeLimits, request: Mapping[str, Any]) -> Iterator[Message]:
    """Answer with size, channels, time and grey values of every frame."""
    decoded_bytes, last_s = 0, None
    try:
        for index, (frame, time_s) in enumerate(_decoded(path)):
            decoded_bytes += frame.height * frame.width
            if decoded_bytes > limits.run_mib * MIB:
                raise DataError(f"holds more than {limits.run_mib} MiB of frames")
            if time_s is not None and last_s is not None and time_s <= last_s:
                raise DataError("its frames are not in the order of their times")
            last_s = time_s
            is_grey = frame.format.name in GREY_FORMATS
            yield Message(
                {
                    "frame": index,
                    "height": frame.height,
                    "width": frame.width,
                    "channels": 1 if is_grey else RGB_CHANNELS,
                    "time_s": time_s,
                },
                _grey(frame, is_grey).tobytes(),
            )
    except av.error.FFmpegError as error:
        raise DataError(f"cannot be decoded as a video ({type(error).__name__})") from None


def _decoded(path: Path) -> Iterator[tuple[VideoFrame, float | None]]:
    """Yield the frames of the only video stream; times count from the first frame."""
    # Only the file itself: playlists and the like could name others, or addresses.
    with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
        if len(container.streams.video) != 1:
            raise DataError(f"holds {len(container.streams.video)} video streams, not one")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        if stream.width * stream.height > MAX_PIXELS:
            raise DataError(f"claims {stream.height} x {stream.width} pixels, the limit is {MAX_PIXELS}")
        first_s, size_px = None, None
        places: list[int | None] = []
        for frame in container.decode(stream):
            size_px = size_px or (frame.height, frame.width)
            if (frame.height, frame.width) != size_px:
                raise DataError("its frames have several sizes")
            if frame.is_corrupt:
                raise DataError(f"frame {len(places)} is damaged")
            first_s = frame.time if first_s is None else first_s
            yield frame, None if frame.time is None or first_s is None else frame.time - first_s
            places.append(frame.pts)
        if not places or _breaks_off(places, stream.frames, container.format.name):
            raise DataError(f"breaks off after {len(places)} frames, its header promises more")


def _breaks_off(places: list[int | None], promised: int, container: str) -> bool:
    """Return whether frames are missing at the end of a video.

    AVI counts places for frames; one may be empty, and then the frame before it stays. So its last frame has to lie
    within two of the longest such stays of the end. Other containers count frames, or nothing.
    """
    known = [place for place in places if place is not None]
    if container != "avi" or len(known) < len(places):
        return promised > len(places)
    longest = max((after - before for before, after in pairwise(known)), default=1)
    return promised - 1 - known[-1] > 2 * longest


def _grey(frame: VideoFrame, is_grey: bool) -> GreyImage:
    """Return the luma over the full range, whatever range the file stores it in."""
    return np.ascontiguousarray(frame.to_ndarray() if is_grey else to_grey(frame.to_ndarray(format="rgb24")))


TASKS: Final[dict[str, Callable[[Path, DecodeLimits, Mapping[str, Any]], Iterator[Message]]]] = {"video-frames": frames}
