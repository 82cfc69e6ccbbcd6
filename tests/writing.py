"""Pictures like angiograms, with writing on them or without."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Grey = npt.NDArray[np.uint8]


def background(seed: int, size_px: int = 512) -> Grey:
    """Return a smooth, noisy picture with dark curves, as an angiogram is."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    picture = 120 + 60 * np.sin(3 * rows + seed) * np.cos(4 * columns) + rng.normal(0, 5, (size_px, size_px))
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        draw.line([tuple(point) for point in rng.uniform(0, size_px, (5, 2)).tolist()], fill=60, width=4)
    return np.asarray(image)


def written_on(image_HW: Grey, text: str, at: tuple[int, int], height_px: int) -> Grey:
    """Return the image with white text whose upper left corner is at (x, y)."""
    image = Image.fromarray(image_HW)
    ImageDraw.Draw(image).text(at, text, fill=255, font=ImageFont.load_default(height_px))
    return np.asarray(image)
