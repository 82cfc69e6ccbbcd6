"""Masks as COCO run-length encodings: column-major runs over the whole image, starting with background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from angiova.errors import DataError

BoolMask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rle:
    """A binary mask at image resolution.

    Attributes:
        height: rows of the image, in pixels.
        width: columns of the image, in pixels.
        counts: COCO's compressed run lengths, as ASCII text.
    """

    height: int
    width: int
    counts: str

    @property
    def area_px(self) -> int:
        """Number of foreground pixels."""
        return int(coco_mask.area(self.as_coco()))

    @property
    def is_empty(self) -> bool:
        """Whether no pixel is foreground."""
        return self.area_px == 0

    def as_coco(self) -> dict[str, object]:
        """Return the mapping that pycocotools and COCO files use."""
        return {"size": [self.height, self.width], "counts": self.counts}


def encode(mask_HW: npt.NDArray[np.generic]) -> Rle:
    """Encode a binary mask of shape (H, W); every non-zero pixel is foreground."""
    height, width = mask_HW.shape
    packed = coco_mask.encode(np.asfortranarray(mask_HW != 0, dtype=np.uint8))
    return Rle(height, width, packed["counts"].decode("ascii"))


def decode(rle: Rle) -> BoolMask:
    """Return the mask of shape (H, W) as booleans.

    Raises:
        DataError: the run lengths are broken or overflow the mask; those of `encode` and `from_counts` never do.
    """
    try:
        return np.asarray(coco_mask.decode(rle.as_coco()), dtype=bool)
    except ValueError:
        problem = f"run lengths do not fill a mask of {rle.height} x {rle.width}"
        raise DataError(problem, remedy="import or predict again") from None


def empty(height: int, width: int) -> Rle:
    """Return the encoding of a mask without foreground."""
    return encode(np.zeros((height, width), dtype=bool))


def bounding_box(rle: Rle) -> list[float]:
    """Return COCO's [x, y, width, height] of the foreground, in pixels."""
    return [float(value) for value in coco_mask.toBbox(rle.as_coco())]


def union(rles: Sequence[Rle]) -> Rle:
    """Return the union of one or more masks of the same size."""
    merged = coco_mask.merge([rle.as_coco() for rle in rles], intersect=False)
    return Rle(rles[0].height, rles[0].width, merged["counts"].decode("ascii"))


def from_counts(counts: str | bytes | Sequence[int], height: int, width: int) -> Rle:
    """Read either flavour of COCO run lengths: compressed text, or a plain list of run lengths.

    Raises:
        DataError: the runs do not fill an image of `height` x `width` exactly.
    """
    if isinstance(counts, str | bytes):
        text = counts.decode("ascii", "replace") if isinstance(counts, bytes) else counts
        lengths = _runs_of_compressed(text)
    else:
        lengths = [int(run) for run in counts]
    if any(run < 0 for run in lengths) or sum(lengths) != height * width:
        raise DataError(
            f"run lengths cover {sum(lengths)} pixels, the image has {height} x {width} = {height * width}",
            remedy="export the mask again at the image's own size, in COCO order (column by column)",
        )
    packed = coco_mask.frPyObjects({"size": [height, width], "counts": lengths}, height, width)
    return Rle(height, width, packed["counts"].decode("ascii"))


def from_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> Rle:
    """Rasterise polygons [x1, y1, x2, y2, ...] and return their union (never their sum)."""
    packed = coco_mask.frPyObjects([list(polygon) for polygon in polygons], height, width)
    merged = coco_mask.merge(packed, intersect=False)
    return Rle(height, width, merged["counts"].decode("ascii"))


def _runs_of_compressed(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed text: base-32 digits offset by 48, differences from the third on.

    Written here because pycocotools decodes hostile text without checking its length.
    """
    runs: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            if position >= len(text) or not 48 <= ord(text[position]) < 112 or shift > 40:
                raise DataError("broken run-length text", remedy="export the mask again")
            digit = ord(text[position]) - 48
            value |= (digit & 0x1F) << shift
            more = bool(digit & 0x20)
            position, shift = position + 1, shift + 5
            if not more and digit & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
