"""From attenuation to the grey values on the monitor: beam, collimator, scatter, blur, noise and display."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask
from angiova.simulate.heart import Floats
from angiova.simulate.thorax import enlarged

REFERENCE_PX: Final = 512  # image size that the widths in pixels below are meant for
HARDENING: Final = 0.5
REDUCTION: Final = 4  # the blurs that are wide need only every fourth pixel


@dataclass(frozen=True, slots=True)
class Chain:
    """The imaging chain of one run.

    Attributes:
        quanta: X-ray quanta a pixel behind tissue of average thickness.
        scatter: scattered over primary intensity.
        blur_px: standard deviation of focal spot, detector and motion blur, at 512 pixels.
        grain_px: correlation length of the noise, at 512 pixels.
        gain: grey values a unit of logarithmic intensity.
        grey: grey value of average tissue.
        harmonise: share of the coarse structure that the display removes (dynamic-range compression).
        sharpen: share of finer structure that the display adds.
        shutter_grey: grey value behind the collimator.
        shutter_HW: how open the collimator is at each pixel, 0 to 1.
    """

    quanta: float
    scatter: float
    blur_px: float
    grain_px: float
    gain: float
    grey: float
    harmonise: float
    sharpen: float
    shutter_grey: float
    shutter_HW: Floats

    @property
    def field(self) -> BoolMask:
        """Where the collimator is open, shape (H, W)."""
        return np.asarray(self.shutter_HW > 0.5)


def draw_chain(rng: np.random.Generator, size_px: int) -> Chain:
    """Return the imaging chain of a random laboratory."""
    return Chain(
        quanta=float(rng.uniform(1500, 4200)),
        scatter=float(rng.uniform(0.35, 0.8)),
        blur_px=float(rng.uniform(0.45, 0.8)),
        grain_px=float(rng.uniform(0.45, 0.75)),
        gain=float(rng.uniform(150, 215)),
        grey=float(rng.uniform(95, 155)),
        harmonise=float(rng.uniform(0.3, 0.8)),
        sharpen=float(rng.uniform(0.2, 0.9)),
        shutter_grey=float(rng.choice([rng.uniform(0, 12), rng.uniform(18, 60)])),
        shutter_HW=_draw_shutter(rng, size_px),
    )


def hardened(attenuation_HW: Floats) -> Floats:
    """Return the attenuation of dense matter in a beam of many energies, (H, W), from that at its mean energy.

    Soft quanta go first, so that what is left is attenuated less; a fit with the right slope at zero.
    """
    return attenuation_HW / (1 + HARDENING * attenuation_HW)


def transmitted(attenuation_HW: Floats, scatter: float) -> Floats:
    """Return intensity behind the patient, shape (H, W), in units of the unattenuated beam.

    Primary intensity is exp(-attenuation) (Beer-Lambert); scatter adds a very smooth share of it.
    """
    primary_HW = np.exp(-attenuation_HW)
    coarse_HW = _coarse(primary_HW)
    smooth_HW = gaussian_filter(coarse_HW, 0.12 * len(coarse_HW), mode="nearest")
    return np.asarray(primary_HW + scatter * enlarged(smooth_HW, len(primary_HW)))


def expose(chain: Chain, attenuation_HW: Floats, level: float, rng: np.random.Generator) -> GreyImage:
    """Return the picture on the monitor, shape (H, W).

    Args:
        chain: the imaging chain.
        attenuation_HW: attenuation along each ray.
        level: attenuation that the dose control takes for average.
        rng: source of the quantum noise.

    The variance of a pixel's count equals its mean (Poisson), here in its Gaussian limit; noise is stronger, in the
    logarithm, where less radiation arrives.
    """
    scale = len(attenuation_HW) / REFERENCE_PX
    intensity_HW = transmitted(attenuation_HW - level, chain.scatter) / (1 + chain.scatter)
    intensity_HW = gaussian_filter(intensity_HW, chain.blur_px * scale, truncate=3.0)
    noise_HW = rng.standard_normal(intensity_HW.shape, dtype=np.float32)
    noise_HW = gaussian_filter(noise_HW, chain.grain_px, truncate=3.0)
    noise_HW *= 2 * np.sqrt(np.pi) * chain.grain_px / np.sqrt(chain.quanta)
    counted_HW = intensity_HW + np.sqrt(intensity_HW) * noise_HW
    return _display(chain, np.log(np.maximum(counted_HW, 0.02)), noise_HW, scale)


def _display(chain: Chain, log_HW: Floats, noise_HW: Floats, scale: float) -> GreyImage:
    """Return grey values: the logarithm, less its coarse structure, with finer structure and blades added."""
    open_HW = chain.shutter_HW
    # Blades are nearly opaque, but the display shows them at a fixed dark grey; the step drives its edge enhancement.
    step = (chain.grey - chain.shutter_grey) / chain.gain
    shown_HW = log_HW * open_HW - step * (1 - open_HW) + 0.25 * noise_HW * (1 - open_HW)
    coarse_HW = _coarse(shown_HW)
    wide_HW = gaussian_filter(coarse_HW, 45 * scale / REDUCTION, mode="nearest")
    fine_HW = gaussian_filter(coarse_HW, 6 * scale / REDUCTION, mode="nearest")
    correction_HW = enlarged(-chain.harmonise * wide_HW - 0.35 * chain.sharpen * fine_HW, len(shown_HW))
    shown_HW = (1 + 0.35 * chain.sharpen) * shown_HW + correction_HW
    return np.asarray(np.clip(np.rint(chain.grey + chain.gain * shown_HW), 0, 255), dtype=np.uint8)


def _coarse(map_HW: Floats) -> Floats:
    size = len(map_HW)
    if size % REDUCTION:
        return np.asarray(uniform_filter(map_HW, REDUCTION)[::REDUCTION, ::REDUCTION])
    folded = map_HW.reshape(size // REDUCTION, REDUCTION, size // REDUCTION, REDUCTION)
    return np.asarray(folded.mean(axis=(1, 3)), dtype=np.float32)


def _draw_shutter(rng: np.random.Generator, size_px: int) -> Floats:
    """Return a shutter: none, a rectangle with rounded corners, or a circle, with the blur of its blades."""
    kind = rng.choice(["open", "rectangle", "circle"], p=[0.4, 0.5, 0.1])
    row, column = np.mgrid[:size_px, :size_px].astype(np.float32) / size_px
    if kind == "open":
        return np.ones((size_px, size_px), dtype=np.float32)
    if kind == "circle":
        distance = np.hypot(row - 0.5, column - 0.5) - float(rng.uniform(0.47, 0.53))
    else:
        top, left, bottom, right = rng.choice([-0.05, 0.01, 0.03, 0.06, 0.12], 4, p=[0.15, 0.25, 0.25, 0.2, 0.15])
        corner = float(rng.uniform(0.005, 0.04))
        down = np.abs(row - (1 + top - bottom) / 2) - (1 - top - bottom) / 2 + corner
        across = np.abs(column - (1 + left - right) / 2) - (1 - left - right) / 2 + corner
        distance = np.hypot(np.maximum(down, 0), np.maximum(across, 0)) - corner
    width = float(rng.uniform(0.003, 0.012))
    return np.asarray(1 / (1 + np.exp(np.clip(distance / (width / 2), -40, 40))), dtype=np.float32)
