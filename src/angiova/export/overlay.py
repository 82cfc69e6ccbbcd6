"""Pictures of masks on images, and sheets of such pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask

Colour = tuple[int, int, int]
ColourImage = npt.NDArray[np.uint8]

# Okabe and Ito's palette, told apart by the colour-blind too (https://jfly.uni-koeln.de/color), then lighter shades.
COLOURS: Final[tuple[Colour, ...]] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (160, 220, 140),
    (255, 150, 150),
    (170, 150, 240),
    (120, 230, 230),
    (200, 180, 140),
)
CAPTION_PX: Final = 18
SHEET_GREY: Final = 24


def overlay(
    image_HW: GreyImage,
    masks: list[BoolMask],
    colours: Sequence[Colour] | None = None,
    alpha: float = 0.45,
) -> ColourImage:
    """Return the image in colour, (H, W, 3), with masks laid over it: a translucent fill and an opaque outline.

    Args:
        image_HW: 8-bit grey image.
        masks: masks of the same shape; later ones lie on top.
        colours: RGB of each mask; default: COLOURS in order, again from the start when they run out.
        alpha: opacity of the fill, 0 to 1; the outline is twice as opaque, up to 1. Vessels two pixels wide are all
            outline, and so stay visible.

    Raises:
        ValueError: a mask has another shape than the image, or there are fewer colours than masks.
    """
    palette = list(colours) if colours is not None else [COLOURS[i % len(COLOURS)] for i in range(len(masks))]
    picture = np.repeat(image_HW[:, :, None], 3, axis=2).astype(np.float32)
    for mask_HW, colour in zip(masks, palette[: len(masks)], strict=True):
        if mask_HW.shape != image_HW.shape:
            raise ValueError(f"mask is {mask_HW.shape}, the image {image_HW.shape}")
        inside_HW = binary_erosion(mask_HW)
        _blend(picture, inside_HW, colour, alpha)
        _blend(picture, mask_HW & ~inside_HW, colour, min(2 * alpha, 1.0))
    return np.rint(picture).astype(np.uint8)


def contact_sheet(tiles: list[ColourImage], captions: list[str], columns: int = 6, tile_px: int = 256) -> ColourImage:
    """Return a grid of pictures with a line of text below each, shape (H, W, 3).

    Args:
        tiles: pictures (H, W, 3); each is scaled to fit `tile_px` and keeps its proportions.
        captions: one line a picture, cut where it does not fit.
        columns: pictures a row.
        tile_px: height and width of a place in the grid, without its caption.

    Raises:
        ValueError: there are no pictures, or not as many captions as pictures.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one picture")
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * tile_px, rows * (tile_px + CAPTION_PX)), (SHEET_GREY,) * 3)
    for index, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(index, columns)
        sheet.paste(_place(tile, caption, tile_px), (column * tile_px, row * (tile_px + CAPTION_PX)))
    return np.asarray(sheet)


def _blend(picture: npt.NDArray[np.float32], where_HW: BoolMask, colour: Colour, alpha: float) -> None:
    picture[where_HW] = (1 - alpha) * picture[where_HW] + alpha * np.array(colour, dtype=np.float32)


def _place(tile: ColourImage, caption: str, tile_px: int) -> Image.Image:
    """Return one place of the grid: the picture, and its caption below."""
    place = Image.new("RGB", (tile_px, tile_px + CAPTION_PX), (SHEET_GREY,) * 3)
    picture = Image.fromarray(tile)
    picture.thumbnail((tile_px, tile_px), Image.Resampling.LANCZOS)
    place.paste(picture, ((tile_px - picture.width) // 2, (tile_px - picture.height) // 2))
    ImageDraw.Draw(place).text((4, tile_px + 3), caption, fill=(230, 230, 230))
    return place
