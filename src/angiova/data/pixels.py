"""Reading and writing image files, with sizes checked before anything is decoded."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from angiova.errors import DataError
from angiova.files import write_bytes

GreyImage = npt.NDArray[np.uint8]

MAX_PIXELS = 64 * 1024 * 1024
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def open_image(path: Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an image lazily after checking the size its header claims.

    Raises:
        DataError: the file is missing, is no image, or claims more than `max_pixels`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except FileNotFoundError:
        raise DataError("image not found", where=path) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot be read as an image ({error})", where=path, remedy="export it again as PNG") from None
    if image.width * image.height > max_pixels:
        image.close()
        raise DataError(
            f"the header claims {image.width} x {image.height} pixels, the limit is {max_pixels}",
            where=path,
            remedy="check the file; angiograms are rarely above 4096 x 4096",
        )
    return image


def read_pixels(path: Path) -> npt.NDArray[np.generic]:
    """Return the stored pixels, (H, W) or (H, W, C), without any conversion but palette expansion.

    Raises:
        DataError: the file cannot be decoded.
    """
    with open_image(path) as image:
        try:
            return np.asarray(image.convert("RGB") if image.mode in {"P", "CMYK", "YCbCr"} else image)
        except (OSError, ValueError, SyntaxError, MemoryError) as error:
            raise DataError(f"image data is damaged ({error})", where=path, remedy="copy or export it again") from None


def read_grey(path: Path) -> GreyImage:
    """Return an image as 8-bit grey, shape (H, W).

    Colour becomes luma (ITU-R BT.601); 16-bit values are scaled from their own range to 0..255.
    """
    return to_grey(read_pixels(path))


def inverted(image_HW: GreyImage) -> GreyImage:
    """Return an image whose bright vessels are dark, as models expect them, or the other way round."""
    return np.uint8(255) - image_HW


def to_grey(pixels: npt.NDArray[np.generic]) -> GreyImage:
    """Convert stored pixels, (H, W) or (H, W, C), to 8-bit grey of shape (H, W)."""
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        pixels = pixels[..., 0]
    elif pixels.ndim == 3:
        pixels = pixels[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        return np.rint(pixels).clip(0, 255).astype(np.uint8)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    values = pixels.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) * (255.0 / max(high - low, 1.0))).astype(np.uint8)


def png_bytes(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return `pixels`, (H, W) grey or (H, W, 3) colour, as a PNG file; the same pixels give the same bytes."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write `pixels`, (H, W) grey or (H, W, 3) colour, losslessly and atomically."""
    write_bytes(path, png_bytes(pixels))
