"""Whether a frame is good enough for anybody to answer questions about its vessels.

Only what makes an answer worthless is told; a poor frame is the user's to judge. Each limit is less than half of the
worst among 45 frames of ARCADE and 64 simulated ones: greys from the 5th to the 95th percentile spread over at least
42 levels there, at most 2.6 % of the pixels are black or white, and at least 0.24 % look like a vessel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from angiova.baselines.field_of_view import field_of_view
from angiova.data.pixels import GreyImage
from angiova.inference.opacification import vessel_level
from angiova.report.text import Text, fill

LEAST_SIDE_PX: Final = 64
LEAST_SPREAD: Final = 20
MOST_CLIPPED_SHARE: Final = 0.25
BLACK, WHITE = 2, 253
LEAST_LEVEL: Final = 0.001

SMALL: Final = ("the frame has only {side} pixels across", "画面边长仅 {side} 像素")
FLAT: Final = (
    "the frame is nearly of one grey: {spread} of 256 levels",
    "画面几乎只有一种灰度：256 级中仅占 {spread} 级",
)
CLIPPED: Final = ("{percent} % of the frame is black or white", "画面有 {percent}% 的像素为纯黑或纯白")
NOTHING: Final = ("nothing in the frame looks like a vessel", "画面中没有类似血管的结构")


def faults_of(image_HW: GreyImage) -> list[Text]:
    """Return what makes a frame useless, in both languages; nothing for a frame that can be asked about.

    Args:
        image_HW: 8-bit grey, (H, W).
    """
    return list(_faults(image_HW))


def _faults(image_HW: GreyImage) -> Iterator[Text]:
    side_px = min(image_HW.shape)
    if side_px < LEAST_SIDE_PX:
        yield fill(SMALL, {"side": side_px})
        return
    seen = image_HW[field_of_view(image_HW).inside_HW]
    low, high = np.percentile(seen, [5, 95])
    clipped_share = float(np.mean((seen <= BLACK) | (seen >= WHITE)))
    if high - low < LEAST_SPREAD:
        yield fill(FLAT, {"spread": round(high - low)})
    elif clipped_share > MOST_CLIPPED_SHARE:
        yield fill(CLIPPED, {"percent": round(100 * clipped_share)})
    elif vessel_level(image_HW) < LEAST_LEVEL:
        yield fill(NOTHING, {})
