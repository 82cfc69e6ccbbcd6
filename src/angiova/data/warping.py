"""Moving an image and its masks together: turned, zoomed, shifted and bent, with sub-pixel care for thin vessels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask

Affine = tuple[float, float, float, float, float, float]
Box = tuple[int, int, int, int]
# Cells a side in which a bent image is moved, each as a quadrilateral: fine enough that its edges don't show.
CELLS: Final = 12
# Random numbers a side that a smooth field is made of: one hill or valley in a third of the image.
FIELD_NODES: Final = 4


@dataclass(frozen=True, slots=True)
class Warp:
    """Where each place of the new image lies in the old one, in pixels; centres of pixels are at halves.

    Attributes:
        matrix: (a, b, c, d, e, f): x of the old image is a x + b y + c, y is d x + e y + f.
        bend_CC2: what is added to (x, y) at the CELLS + 1 corners of the cells either way; None: nothing.
    """

    matrix: Affine
    bend_CC2: npt.NDArray[np.float32] | None = None

    def cells(self, size: tuple[int, int]) -> Iterator[tuple[Box, tuple[float, ...]]]:
        """Yield each cell of an image of (height, width) with its four corners in the old one, as Pillow takes them.

        Corners go round from the upper left over the lower left.
        """
        assert self.bend_CC2 is not None
        rows, columns = (np.linspace(0, side, CELLS + 1).round().astype(int) for side in size)
        y_CC, x_CC = np.meshgrid(rows, columns, indexing="ij")
        a, b, c, d, e, f = self.matrix
        old_CC2 = np.stack([a * x_CC + b * y_CC + c, d * x_CC + e * y_CC + f], axis=-1) + self.bend_CC2
        for i, j in np.ndindex(CELLS, CELLS):
            corners = (old_CC2[i, j], old_CC2[i + 1, j], old_CC2[i + 1, j + 1], old_CC2[i, j + 1])
            box = (int(columns[j]), int(rows[i]), int(columns[j + 1]), int(rows[i + 1]))
            if box[0] < box[2] and box[1] < box[3]:
                yield box, tuple(float(value) for corner in corners for value in corner)


def smooth_field(rng: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return a smooth random field of (height, width) with values of about -1 to 1."""
    nodes = rng.uniform(-1, 1, size=(FIELD_NODES, FIELD_NODES)).astype(np.float32)
    return np.asarray(Image.fromarray(nodes).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def warp_image(image_HW: GreyImage, warp: Warp) -> GreyImage:
    """Resample an image; what comes from outside takes the median grey."""
    image, fill = Image.fromarray(image_HW), int(np.median(image_HW))
    if warp.bend_CC2 is None:
        return np.asarray(_affine(image, warp.matrix, fill))
    return np.asarray(_meshed(image, list(warp.cells(image_HW.shape)), fill))


def warp_mask(mask_HW: BoolMask, warp: Warp) -> BoolMask:
    """Resample a mask with sub-pixel care: interpolated coverage above one half is foreground.

    Nearest-neighbour sampling would tear thin vessels into dots. Only where the mask can land is looked at: most name
    a piece of a vessel.
    """
    bounds = _bounds(mask_HW)
    if bounds is None:
        return np.zeros_like(mask_HW)
    image = Image.fromarray(mask_HW.astype(np.uint8) * np.uint8(255))
    if warp.bend_CC2 is not None:
        cells = [(box, quad) for box, quad in warp.cells(mask_HW.shape) if _meets(quad, bounds)]
        bent_HW: BoolMask = np.asarray(_meshed(image, cells, 0)) > 127
        return bent_HW
    warped_HW = np.zeros_like(mask_HW)
    box = _landing_box(bounds, warp.matrix, mask_HW.shape)
    if box is not None:
        left, top, right, bottom = box
        a, b, c, d, e, f = warp.matrix
        from_box = (a, b, c + a * left + b * top, d, e, f + d * left + e * top)
        coverage = _affine(image, from_box, 0, (right - left, bottom - top))
        warped_HW[top:bottom, left:right] = np.asarray(coverage) > 127
    return warped_HW


def _bounds(mask_HW: BoolMask) -> Box | None:
    """Return left, top, right and bottom of the pixels that a mask reaches between pixels; None: it is empty."""
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    if not len(rows):
        return None
    # An output pixel looks at four input pixels, so the mask reaches one pixel farther.
    return int(columns[0]) - 1, int(rows[0]) - 1, int(columns[-1]) + 2, int(rows[-1]) + 2


def _meets(quad: tuple[float, ...], bounds: Box) -> bool:
    """Say whether what a cell sees can overlap the bounds of a mask."""
    x, y = quad[::2], quad[1::2]
    return max(x) > bounds[0] and min(x) < bounds[2] and max(y) > bounds[1] and min(y) < bounds[3]


def _landing_box(bounds: Box, matrix: Affine, size: tuple[int, ...]) -> Box | None:
    """Return left, top, right and bottom of where an output pixel can see the mask; None: nowhere."""
    height, width = size
    a, b, c, d, e, f = matrix
    corners = [(x - c, y - f) for x in bounds[::2] for y in bounds[1::2]]
    inverse = a * e - b * d
    across = [(e * x - b * y) / inverse for x, y in corners]
    down = [(a * y - d * x) / inverse for x, y in corners]
    left, right = max(math.floor(min(across)), 0), min(math.ceil(max(across)), width)
    top, bottom = max(math.floor(min(down)), 0), min(math.ceil(max(down)), height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _affine(image: Image.Image, matrix: Affine, fill: int, size: tuple[int, int] | None = None) -> Image.Image:
    return image.transform(
        size or image.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR, fillcolor=fill
    )


def _meshed(image: Image.Image, cells: list[tuple[Box, tuple[float, ...]]], fill: int) -> Image.Image:
    return image.transform(image.size, Image.Transform.MESH, cells, resample=Image.Resampling.BILINEAR, fillcolor=fill)
