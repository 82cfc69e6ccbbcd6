"""A frame with the masks of an answer laid over it, and below it which colour is which vessel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask
from angiova.export.overlay import COLOURS, ColourImage, overlay

LINE_PX: Final = 22
FONT_PX: Final = 14
SQUARE_PX: Final = 12
PAPER: Final = (24, 24, 24)
INK: Final = (230, 230, 230)


def answer_picture(image_HW: GreyImage, masks: Sequence[BoolMask], names: Sequence[str]) -> ColourImage:
    """Return the picture, (H + a line a mask, W, 3).

    Args:
        image_HW: the frame, 8-bit grey.
        masks: masks (H, W).
        names: what each shows; letters that the built-in font lacks, such as Chinese ones, are left out.
    """
    drawn_HW3 = overlay(image_HW, list(masks))
    height, width = image_HW.shape
    picture = Image.new("RGB", (width, height + LINE_PX * len(masks)), PAPER)
    picture.paste(Image.fromarray(drawn_HW3))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_PX)
    for number, name in enumerate(names):
        top = height + number * LINE_PX + (LINE_PX - SQUARE_PX) // 2
        draw.rectangle((6, top, 6 + SQUARE_PX, top + SQUARE_PX), fill=COLOURS[number % len(COLOURS)])
        latin = name.encode("ascii", "ignore").decode().strip()
        draw.text((12 + SQUARE_PX, top - 2), f"{number + 1}  {latin}", fill=INK, font=font)
    return np.asarray(picture)
