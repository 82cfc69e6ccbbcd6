"""Small videos whose frames show their own numbers, written by the tests that read them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
BITS = 10
BLOCK_PX = 8
TIME_BASE = Fraction(1, 1000)
STEADY = list(range(0, 40 * 300, 40))
# A trigger at 15, 30 and 7.5 frames a second in turn, and a pause.
VARIABLE = np.cumsum([0, *([66, 33, 133] * 40), 900, *([33] * 50)]).tolist()


def numbered(number: int, shape_px: tuple[int, int] = (64, 96)) -> Grey:
    """Return a picture that holds `number` as black and white blocks, and as its grey elsewhere."""
    image_HW = np.full(shape_px, 40 + number % 120, dtype=np.uint8)
    for bit in range(BITS):
        image_HW[:BLOCK_PX, bit * BLOCK_PX : (bit + 1) * BLOCK_PX] = 255 * (number >> bit & 1)
    return image_HW


def number_in(image_HW: Grey) -> int:
    """Return the number that the blocks of a picture show."""
    middle = BLOCK_PX // 2
    return sum(int(image_HW[middle, bit * BLOCK_PX + middle] > 127) << bit for bit in range(BITS))


def write_video_file(path: Path, times_ms: Sequence[int], codec: str = "libx264", pixels: str = "yuv420p") -> Path:
    """Write one numbered frame at each time, in the format that the file's ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        stream.codec_context.time_base = TIME_BASE
        stream.time_base = TIME_BASE
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="gray").reformat(format=pixels)
            frame.pts, frame.time_base = time_ms, TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
