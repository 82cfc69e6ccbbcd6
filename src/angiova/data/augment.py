"""Joint augmentation of an angiogram and its masks, chosen so that vessels and their names stay true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask


class AugmentSettings(BaseModel):
    """How strongly training frames are varied; every range is drawn from uniformly.

    Attributes:
        flip: probability of a left-right flip. A flip turns a left coronary view into no view at all, so frames
            whose targets name segments are never flipped.
        rotation_deg: largest rotation either way, in degrees.
        scale: smallest and largest zoom; above 1 enlarges.
        shift: largest shift either way, as a share of the image side.
        gamma: smallest and largest exponent of the grey values.
        contrast: smallest and largest factor around the mean grey value.
        noise: largest standard deviation of added Gaussian noise, as a share of the grey range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: float = Field(0.5, ge=0, le=1)
    rotation_deg: float = Field(20.0, ge=0, le=180)
    scale: tuple[float, float] = (0.85, 1.2)
    shift: float = Field(0.06, ge=0, le=0.5)
    gamma: tuple[float, float] = (0.7, 1.4)
    contrast: tuple[float, float] = (0.75, 1.3)
    noise: float = Field(0.03, ge=0, le=0.5)


NO_AUGMENTATION = AugmentSettings(flip=0, rotation_deg=0, scale=(1, 1), shift=0, gamma=(1, 1), contrast=(1, 1), noise=0)


def augment(
    image_HW: GreyImage,
    masks: Sequence[BoolMask],
    settings: AugmentSettings,
    rng: np.random.Generator,
    may_flip: bool,
) -> tuple[GreyImage, list[BoolMask]]:
    """Return one random variation of an image and its masks, of the same size.

    Args:
        image_HW: 8-bit grey image.
        masks: masks of the same size.
        settings: what may vary.
        rng: source of all randomness.
        may_flip: whether a left-right flip leaves every target's name true.
    """
    [varied_HW], [varied_masks] = augment_clip([image_HW], [masks], settings, rng, may_flip)
    return varied_HW, [mask for mask in varied_masks if mask is not None]


def augment_clip(
    images: Sequence[GreyImage],
    masks: Sequence[Sequence[BoolMask | None]],
    settings: AugmentSettings,
    rng: np.random.Generator,
    may_flip: bool,
) -> tuple[list[GreyImage], list[list[BoolMask | None]]]:
    """Return one random variation of the frames of a run and their masks; only the noise differs between frames.

    Args:
        images: 8-bit grey images of one size.
        masks: the masks of each frame, of the same size; None where there is none.
        settings: what may vary.
        rng: source of all randomness.
        may_flip: whether a left-right flip leaves every target's name true.
    """
    matrix = _random_affine(images[0].shape, settings, rng, may_flip)
    varied_masks = [list(of_frame) for of_frame in masks]
    if matrix is not None:
        images = [warp_image(image_HW, matrix) for image_HW in images]
        varied_masks = [[m if m is None else warp_mask(m, matrix) for m in of_frame] for of_frame in masks]
    return _vary_grey(images, settings, rng), varied_masks


def warp_image(image_HW: GreyImage, matrix: tuple[float, ...]) -> GreyImage:
    """Resample an image; what comes from outside takes the median grey."""
    fill = int(np.median(image_HW))
    return np.asarray(_affine(Image.fromarray(image_HW), matrix, fill))


def warp_mask(mask_HW: BoolMask, matrix: tuple[float, ...]) -> BoolMask:
    """Resample a mask with sub-pixel care: interpolated coverage above one half is foreground.

    Nearest-neighbour sampling would tear thin vessels into dots. Only where the mask can land is looked at: most name
    a piece of a vessel.
    """
    warped_HW = np.zeros_like(mask_HW)
    box = _landing_box(mask_HW, matrix)
    if box is not None:
        left, top, right, bottom = box
        a, b, c, d, e, f = matrix
        from_box = (a, b, c + a * left + b * top, d, e, f + d * left + e * top)
        image = Image.fromarray(mask_HW.astype(np.uint8) * np.uint8(255))
        coverage = _affine(image, from_box, 0, (right - left, bottom - top))
        warped_HW[top:bottom, left:right] = np.asarray(coverage) > 127
    return warped_HW


def _landing_box(mask_HW: BoolMask, matrix: tuple[float, ...]) -> tuple[int, int, int, int] | None:
    """Return left, top, right and bottom of where an output pixel can see the mask; None: nowhere."""
    height, width = mask_HW.shape
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    if not len(rows):
        return None
    a, b, c, d, e, f = matrix
    # An output pixel looks at four input pixels, so the mask reaches one pixel farther.
    corners = [(x - c, y - f) for x in (columns[0] - 1, columns[-1] + 2) for y in (rows[0] - 1, rows[-1] + 2)]
    inverse = a * e - b * d
    across = [(e * x - b * y) / inverse for x, y in corners]
    down = [(a * y - d * x) / inverse for x, y in corners]
    left, right = max(math.floor(min(across)), 0), min(math.ceil(max(across)), width)
    top, bottom = max(math.floor(min(down)), 0), min(math.ceil(max(down)), height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _affine(
    image: Image.Image, matrix: tuple[float, ...], fill: int, size: tuple[int, int] | None = None
) -> Image.Image:
    return image.transform(
        size or image.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR, fillcolor=fill
    )


def _random_affine(
    size: tuple[int, ...], settings: AugmentSettings, rng: np.random.Generator, may_flip: bool
) -> tuple[float, ...] | None:
    """Return the output-to-input matrix (a, b, c, d, e, f) that Pillow takes, or None for the identity."""
    height, width = size
    angle = math.radians(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    zoom = math.exp(rng.uniform(math.log(settings.scale[0]), math.log(settings.scale[1])))
    shift_x, shift_y = rng.uniform(-settings.shift, settings.shift, size=2) * (width, height)
    mirror = -1.0 if rng.random() < settings.flip and may_flip else 1.0
    if (angle, zoom, shift_x, shift_y, mirror) == (0.0, 1.0, 0.0, 0.0, 1.0):
        return None
    a, b = mirror * math.cos(angle) / zoom, mirror * math.sin(angle) / zoom
    d, e = -math.sin(angle) / zoom, math.cos(angle) / zoom
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    # Pillow samples at pixel centres (+0.5), so the centre is given in the same convention.
    centre_x, centre_y = centre_x + 0.5, centre_y + 0.5
    c = centre_x - a * (centre_x + shift_x) - b * (centre_y + shift_y)
    f = centre_y - d * (centre_x + shift_x) - e * (centre_y + shift_y)
    return a, b, c, d, e, f


def _vary_grey(images: Sequence[GreyImage], settings: AugmentSettings, rng: np.random.Generator) -> list[GreyImage]:
    gamma = math.exp(rng.uniform(math.log(settings.gamma[0]), math.log(settings.gamma[1])))
    contrast = rng.uniform(*settings.contrast)
    noise = rng.uniform(0, settings.noise)
    grey = np.arange(256, dtype=np.float32) / 255
    curve = grey**gamma
    mean = fmean(float(curve[image_HW].mean()) for image_HW in images)
    exposed = ((curve - mean) * contrast + mean).astype(np.float32)
    return [_with_noise(exposed[image_HW], noise, rng) for image_HW in images]


def _with_noise(values_HW: npt.NDArray[np.float32], deviation: float, rng: np.random.Generator) -> GreyImage:
    if deviation > 0:
        values_HW = values_HW + rng.standard_normal(values_HW.shape, dtype=np.float32) * np.float32(deviation)
    return np.rint(values_HW * 255).clip(0, 255).astype(np.uint8)
