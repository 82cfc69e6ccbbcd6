"""Joint augmentation of an angiogram and its masks, chosen so that vessels and their names stay true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from pydantic import BaseModel, ConfigDict, Field

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask
from angiova.data.warping import CELLS, Affine, Warp, smooth_field, warp_image, warp_mask

IDENTITY: Final[Affine] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class AugmentSettings(BaseModel):
    """How strongly training frames are varied; every range is drawn from uniformly.

    Attributes:
        flip: probability of a left-right flip. A flip turns a left coronary view into no view at all, so frames
            whose targets name segments are never flipped.
        rotation_deg: largest rotation either way, in degrees.
        scale: smallest and largest zoom; above 1 enlarges.
        shift: largest shift either way, as a share of the image side.
        bend: largest displacement by a smooth random field, as a share of the longer side; courses differ between
            patients more than turning and zooming tell.
        gamma: smallest and largest exponent of the grey values.
        contrast: smallest and largest factor around the mean grey value.
        noise: largest standard deviation of added Gaussian noise, as a share of the grey range.
        blur_px: largest standard deviation of Gaussian blur, in pixels; half of the frames stay sharp.
        shade: largest darkening or brightening by a smooth random field, as a share of the grey range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: float = Field(0.5, ge=0, le=1)
    rotation_deg: float = Field(20.0, ge=0, le=180)
    scale: tuple[float, float] = (0.85, 1.2)
    shift: float = Field(0.06, ge=0, le=0.5)
    bend: float = Field(0.0, ge=0, le=0.05)
    gamma: tuple[float, float] = (0.7, 1.4)
    contrast: tuple[float, float] = (0.75, 1.3)
    noise: float = Field(0.03, ge=0, le=0.5)
    blur_px: float = Field(0.0, ge=0, le=10)
    shade: float = Field(0.0, ge=0, le=0.5)


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
    warp = _random_warp(images[0].shape, settings, rng, may_flip)
    varied_masks = [list(of_frame) for of_frame in masks]
    if warp is not None:
        images = [warp_image(image_HW, warp) for image_HW in images]
        varied_masks = [[m if m is None else warp_mask(m, warp) for m in of_frame] for of_frame in masks]
    return _vary_grey(images, settings, rng), varied_masks


def _random_warp(
    size: tuple[int, ...], settings: AugmentSettings, rng: np.random.Generator, may_flip: bool
) -> Warp | None:
    """Return how a frame is moved, or None for not at all."""
    matrix = _random_affine(size, settings, rng, may_flip)
    if settings.bend == 0:
        return None if matrix is None else Warp(matrix)
    fields = [smooth_field(rng, (CELLS + 1, CELLS + 1)) for _ in "xy"]
    return Warp(matrix or IDENTITY, np.stack(fields, axis=-1) * np.float32(settings.bend * max(size)))


def _random_affine(
    size: tuple[int, ...], settings: AugmentSettings, rng: np.random.Generator, may_flip: bool
) -> Affine | None:
    """Return the matrix of a `Warp`, or None for the identity."""
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
    if settings.blur_px > 0:
        images = _blurred(images, rng.uniform(-settings.blur_px, settings.blur_px))
    height, width = images[0].shape
    shade_HW = smooth_field(rng, (height, width)) * np.float32(settings.shade) if settings.shade > 0 else np.float32(0)
    grey = np.arange(256, dtype=np.float32) / 255
    curve = grey**gamma
    mean = fmean(float(curve[image_HW].mean()) for image_HW in images)
    exposed = ((curve - mean) * contrast + mean).astype(np.float32)
    return [_with_noise(exposed[image_HW] + shade_HW, noise, rng) for image_HW in images]


def _blurred(images: Sequence[GreyImage], deviation_px: float) -> Sequence[GreyImage]:
    if deviation_px <= 0:
        return images
    return [np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(deviation_px))) for image in images]


def _with_noise(values_HW: npt.NDArray[np.float32], deviation: float, rng: np.random.Generator) -> GreyImage:
    if deviation > 0:
        values_HW = values_HW + rng.standard_normal(values_HW.shape, dtype=np.float32) * np.float32(deviation)
    return np.rint(values_HW * 255).clip(0, 255).astype(np.uint8)
