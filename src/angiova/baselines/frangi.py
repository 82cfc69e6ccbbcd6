"""A Frangi filter for dark vessels: no learning, only a handful of parameters.

Frangi et al., "Multiscale vessel enhancement filtering" (MICCAI 1998), on grey values that were freed of exposure
before: the logarithm turns absorption into a sum, and dividing by the local spread makes one threshold fit a bright
lung and a dark spine. On ARCADE that step alone is worth 0.1 Dice (docs/explanation/log.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage
from skimage.feature import hessian_matrix, hessian_matrix_eigvals
from skimage.measure import label

from angiova.baselines.baseline import Drawing
from angiova.baselines.field_of_view import FieldOfView, field_of_view
from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask

FloatImage = npt.NDArray[np.float32]
Sigma = Annotated[float, Field(gt=0)]
FRANGI_TYPE: Final = "angiova_frangi"
# How reports count the filter: its numbers are its parameters, of 64 bits each.
FILTER_PART: Final = "filter"
NUMBER_BYTES: Final = 8
# Added to the local spread of log grey values, so that noise of a flat background isn't blown up to vessels.
SPREAD_FLOOR: Final = 0.02


class FrangiParameters(BaseModel):
    """All that decides what the filter calls a vessel; lengths in pixels of the image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_px: float = Field(gt=0, description="Standard deviation of the Gaussian that local mean and spread are of.")
    sigmas_px: tuple[Sigma, ...] = Field(min_length=1, description="Scales; about a third of the vessels' widths.")
    beta: float = Field(gt=0, description="Tolerance for what is round rather than long.")
    gamma: float = Field(gt=0, description="Curvature, in local standard deviations, at which a ridge counts.")
    border_px: int = Field(ge=0, description="Width along the collimator in which nothing is a vessel.")
    threshold: float = Field(gt=0, lt=1, description="Vesselness above which a pixel is foreground.")
    min_component_px: int = Field(ge=0, description="Connected pieces below this area are dropped.")


def count_numbers(parameters: FrangiParameters) -> int:
    """Return how many numbers the parameters are."""
    values = parameters.model_dump().values()
    return sum(len(value) if isinstance(value, tuple) else 1 for value in values)


class FrangiBaseline(BaseModel):
    """A tuned filter, as it lies in the config.json of a checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    images_a_call: ClassVar[int] = 1

    model_type: Literal["angiova_frangi"] = FRANGI_TYPE
    phrase: str
    parameters: FrangiParameters

    def segment(self, images: Sequence[GreyImage], threshold: float) -> list[Drawing]:
        """Return the mask of each image; vesselness is no probability, so there is none."""
        return [Drawing(frangi_mask(image, self.parameters, threshold)) for image in images]


def frangi_mask(image_HW: GreyImage, parameters: FrangiParameters, cut: float = 0.5) -> BoolMask:
    """Return the vessels of an image, shape (H, W).

    Vesselness v counts as the odds v / threshold, so a `cut` of one half is the threshold that was chosen; it orders
    pixels and is not calibrated.
    """
    vesselness_HW = frangi(image_HW, parameters)
    kept = vesselness_HW * (1 - cut) > parameters.threshold * cut
    return drop_small(kept, parameters.min_component_px)


def frangi(image_HW: GreyImage, parameters: FrangiParameters) -> FloatImage:
    """Return the vesselness of every pixel, between 0 and 1; 0 outside the field of view and along its border."""
    view = field_of_view(image_HW)
    even_HW = even_out(image_HW, view, parameters.window_px)
    curvatures = (hessian_eigenvalues(even_HW, sigma) for sigma in parameters.sigmas_px)
    vesselness_HW = strongest(vesselness(*pair, parameters.beta, parameters.gamma) for pair in curvatures)
    return np.where(view.depth_HW > parameters.border_px, vesselness_HW, np.float32(0))


def even_out(image_HW: GreyImage, view: FieldOfView, window_px: float) -> FloatImage:
    """Return log grey values with local mean 0 and spread 1; outside the view the nearest pixel inside is repeated."""
    logs_HW = np.log1p(view.fill(image_HW).astype(np.float32))
    centred_HW = logs_HW - ndimage.gaussian_filter(logs_HW, window_px)
    spread_HW = np.sqrt(ndimage.gaussian_filter(centred_HW**2, window_px))
    return np.asarray(centred_HW / (spread_HW + SPREAD_FLOOR), dtype=np.float32)


def hessian_eigenvalues(image_HW: FloatImage, sigma_px: float) -> tuple[FloatImage, FloatImage]:
    """Return the eigenvalues of the Hessian at one scale, the larger in magnitude first, times sigma squared.

    The factor makes the scales comparable (Lindeberg, IJCV 30:79-116, 1998); scikit-image's own `frangi` leaves it out
    and takes gamma from its first scale.
    """
    hessian = hessian_matrix(image_HW, sigma_px, mode="nearest", use_gaussian_derivatives=True)
    high_HW, low_HW = hessian_matrix_eigvals(hessian) * np.float32(sigma_px**2)
    high_is_main = np.abs(high_HW) >= np.abs(low_HW)
    return np.where(high_is_main, high_HW, low_HW), np.where(high_is_main, low_HW, high_HW)


def vesselness(main_HW: FloatImage, minor_HW: FloatImage, beta: float, gamma: float) -> FloatImage:
    """Return Frangi's equation 15 for dark ridges, between 0 and 1.

    Args:
        main_HW: eigenvalue of larger magnitude; positive across a dark ridge.
        minor_HW: the other eigenvalue.
        beta: tolerance for blobs.
        gamma: Frangi's c, in the unit of the eigenvalues.
    """
    blobness_HW = (minor_HW / np.where(main_HW > 0, main_HW, np.float32(1))) ** 2
    structure_HW = main_HW**2 + minor_HW**2
    ridge_HW = np.exp(blobness_HW / np.float32(-2 * beta**2)) * -np.expm1(structure_HW / np.float32(-2 * gamma**2))
    return np.where(main_HW > 0, ridge_HW, np.float32(0))


def strongest(maps: Iterable[FloatImage]) -> FloatImage:
    """Return the largest value of each pixel over the scales."""
    strongest_HW: FloatImage = np.maximum.reduce(list(maps))
    return strongest_HW


def drop_small(mask_HW: BoolMask, min_component_px: int) -> BoolMask:
    """Return the mask without 8-connected pieces of less than `min_component_px` pixels."""
    pieces_HW, areas = measured_pieces(mask_HW)
    return np.asarray(mask_HW & (areas[pieces_HW] >= min_component_px))


def measured_pieces(mask_HW: BoolMask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the number of the 8-connected piece that each pixel belongs to, and the area of each piece."""
    pieces_HW = label(mask_HW, connectivity=2)
    return pieces_HW, np.bincount(pieces_HW.ravel())
