"""Masks drawn over images, and many of them on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from angiova.data.pixels import GreyImage

ColourImage = npt.NDArray[np.uint8]

# Okabe and Ito's palette: told apart by people with any common colour blindness.
COLOURS: Final[tuple[tuple[int, int, int], ...]] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
CAPTION_PX: Final = 16


def overlay(
    image_HW: GreyImage,
    masks: Sequence[npt.NDArray[np.bool_]],
    colours: Sequence[tuple[int, int, int]] | None = None,
    alpha: float = 0.45,
) -> ColourImage:
    """Return `image_HW` as colour, (H, W, 3), with each mask, (H, W), tinted in its colour; later masks lie on top."""
    palette = colours or COLOURS
    tinted_HWC = np.repeat(image_HW[..., None], 3, axis=2).astype(np.float32)
    for index, mask_HW in enumerate(masks):
        colour = np.asarray(palette[index % len(palette)], dtype=np.float32)
        tinted_HWC[mask_HW] = (1 - alpha) * tinted_HWC[mask_HW] + alpha * colour
    return np.rint(tinted_HWC).astype(np.uint8)


def contact_sheet(
    tiles: Sequence[ColourImage], captions: Sequence[str], columns: int = 6, tile_px: int = 256
) -> ColourImage:
    """Return a sheet of `tiles`, each (H, W, 3), shrunk to fit `tile_px` squares with its caption under it."""
    rows = max(1, -(-len(tiles) // columns))
    width = min(columns, max(1, len(tiles))) * tile_px
    sheet = Image.new("RGB", (width, rows * (tile_px + CAPTION_PX)))
    draw = ImageDraw.Draw(sheet)
    for index, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left, top = index % columns * tile_px, index // columns * (tile_px + CAPTION_PX)
        shrunk = Image.fromarray(tile)
        shrunk.thumbnail((tile_px, tile_px))
        sheet.paste(shrunk, (left, top))
        draw.text((left + 2, top + tile_px + 1), caption, fill=(255, 255, 255))
    return np.asarray(sheet)
