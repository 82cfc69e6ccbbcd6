"""What lies behind the coronary arteries: lungs, spine, ribs, diaphragm and heart shadow, seen by the same C-arm.

Attenuations are effective ones, after scatter, beam hardening and the display's compression of dynamic range; they are
set so that grey values spread as in clinical angiograms, not from tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from angiova.simulate.heart import Floats, Heart
from angiova.simulate.projection import CArm
from angiova.simulate.solids import Solid, chord_mm
from angiova.simulate.tubes import tube_path_mm

UPRIGHT: Final = np.eye(3, dtype=np.float32)
BONE_PX: Final = 256  # grid of what has edges: spine, ribs, lung vessels
SOFT_PX: Final = 128  # grid of what is smooth and moves
HEART_ATTENUATION_MM: Final = 0.0016


@dataclass(frozen=True, slots=True)
class Thorax:
    """A patient's chest as seen in one run.

    Attributes:
        fixed_HW: attenuation of what does not move, (BONE_PX, BONE_PX).
        texture_HW: attenuation of lung and soft-tissue texture, which moves with the breath, (BONE_PX, BONE_PX).
        domes: the halves of the diaphragm.
        heart: the ventricles, filled with blood.
        source_3: focal spot.
        rays_HW3: directions of the rays of the (SOFT_PX, SOFT_PX) grid.
    """

    fixed_HW: Floats
    texture_HW: Floats
    domes: tuple[Solid, ...]
    heart: Solid
    source_3: Floats
    rays_HW3: Floats

    def attenuation(self, size_px: int, breath_mm: float, systole: float, spacing_mm: float) -> Floats:
        """Return the attenuation of the chest, shape (size, size).

        Args:
            size_px: height and width wanted.
            breath_mm: how far the diaphragm has moved down.
            systole: how contracted the heart is, 0 to 1.
            spacing_mm: of the full image, in the plane of the heart.
        """
        down = np.array([0, 0, -breath_mm], dtype=np.float32)
        half = self.heart.half_3_mm
        beating = Solid(
            self.heart.centre_3 + down * 0.5,
            self.heart.axes_33,
            (half[0] * (1 - 0.05 * systole), half[1] * (1 - 0.08 * systole), half[2] * (1 - 0.08 * systole)),
            self.heart.attenuation_mm,
        )
        soft_HW = _add_up([*(dome.moved(down) for dome in self.domes), beating], self.source_3, self.rays_HW3)
        shift_px = breath_mm / spacing_mm * BONE_PX / size_px * 0.6
        bone_HW = self.fixed_HW + _shifted(self.texture_HW, shift_px)
        return enlarged(soft_HW, size_px) + enlarged(bone_HW, size_px)


def draw_thorax(rng: np.random.Generator, heart: Heart, c_arm: CArm, table_3: Floats) -> Thorax:
    """Return the chest of a random patient for one view.

    Args:
        rng: source of randomness.
        heart: the patient's heart, whose shadow is part of the picture.
        c_arm: the view.
        table_3: patient coordinates of the isocentre.
    """
    source_3, fine_HW3 = c_arm.rays(BONE_PX)
    lungs = [solid.moved(-table_3) for solid in _lungs(rng)]
    bones = [solid.moved(-table_3) for solid in [_trunk(rng), *_spine(rng)]]
    lung_HW = _add_up(lungs, source_3, fine_HW3)
    fixed_HW = gaussian_filter(_add_up(bones, source_3, fine_HW3), 0.8) + gaussian_filter(lung_HW, 1.0)
    fixed_HW += _ribs(rng, c_arm, table_3)
    aerated_HW = np.clip(-lung_HW / 0.25, 0.15, 1)
    texture_HW = _texture(rng) * (0.35 + 0.85 * aerated_HW) + aerated_HW * _lung_vessels(rng)
    middle = heart.to_patient(np.array([[heart.length_mm * 0.25, 0, 0]], dtype=np.float32))[0]
    half = (heart.length_mm * 0.8, heart.radius_mm * 1.1, heart.radius_mm * 1.15)
    shadow = Solid(middle - table_3, heart.axes_33, half, HEART_ATTENUATION_MM * float(rng.uniform(0.8, 2.2)))
    domes = tuple(dome.moved(-table_3) for dome in _diaphragm(rng))
    source_3, coarse_HW3 = c_arm.rays(SOFT_PX)
    return Thorax(fixed_HW.astype(np.float32), texture_HW.astype(np.float32), domes, shadow, source_3, coarse_HW3)


def enlarged(map_HW: Floats, size_px: int) -> Floats:
    """Return a map resampled to (size, size) with a bicubic kernel."""
    picture = Image.fromarray(np.ascontiguousarray(map_HW, dtype=np.float32))
    return np.asarray(picture.resize((size_px, size_px), Image.Resampling.BICUBIC), dtype=np.float32)


def _add_up(solids: Sequence[Solid], source_3: Floats, rays_HW3: Floats) -> Floats:
    total_HW = np.zeros(rays_HW3.shape[:2], dtype=np.float32)
    for solid in solids:
        total_HW += solid.attenuation_mm * chord_mm(solid, source_3, rays_HW3)
    return total_HW


def _shifted(map_HW: Floats, down_px: float) -> Floats:
    """Return a map moved down by a fraction of pixels; it wraps, which textures that wrap don't show."""
    whole = int(np.floor(down_px))
    rest = down_px - whole
    return (1 - rest) * np.roll(map_HW, whole, axis=0) + rest * np.roll(map_HW, whole + 1, axis=0)


def _solid(centre: tuple[float, float, float], half: tuple[float, float, float], mu: float, *, flat: bool) -> Solid:
    return Solid(np.array(centre, dtype=np.float32), UPRIGHT, half, mu, flat)


def _trunk(rng: np.random.Generator) -> Solid:
    half = (float(rng.uniform(145, 185)), float(rng.uniform(100, 130)), 400.0)
    return _solid((-10.0, 5.0, 0.0), half, 0.0012, flat=True)


def _lungs(rng: np.random.Generator) -> list[Solid]:
    mu = -float(rng.uniform(0.0018, 0.0042))
    base = float(rng.uniform(10, 30))
    return [
        _solid((-78, float(rng.uniform(-5, 20)), base), (float(rng.uniform(48, 62)), 88, 115), mu, flat=False),
        _solid((88, float(rng.uniform(0, 25)), base), (float(rng.uniform(40, 52)), 82, 110), mu, flat=False),
    ]


def _diaphragm(rng: np.random.Generator) -> list[Solid]:
    top_mm = float(rng.normal(-46, 16))
    mu = float(rng.uniform(0.0022, 0.005))
    right, left = float(rng.uniform(75, 95)), float(rng.uniform(70, 90))
    return [
        _solid((-62, 0, top_mm - right), (82, 95, right), mu, flat=False),
        _solid((68, 5, top_mm - left - float(rng.uniform(4, 18))), (76, 90, left), mu, flat=False),
    ]


def _spine(rng: np.random.Generator) -> list[Solid]:
    """Return the thoracic vertebrae with end plates, pedicles and spinous processes, in front of the back."""
    x, y = float(rng.normal(-14, 5)), float(rng.uniform(68, 82))
    mu, pitch_mm = float(rng.uniform(0.006, 0.014)), float(rng.uniform(25, 29))
    parts = [_solid((x, y, 0), (19, 16, 400.0), 0.5 * mu, flat=True)]
    for number in range(-6, 6):
        z = number * pitch_mm + float(rng.normal(0, 0.6))
        tilted_33 = _tilted(rng)
        body = _solid((x, y, z), (18, 15, 0.40 * pitch_mm), 0.6 * mu, flat=True)
        parts.append(replace(body, axes_33=tilted_33))
        for end in (-0.40, 0.40):
            plate = _solid((x, y, z), (20, 16, 1.2), 0.45 * mu, flat=True).moved(end * pitch_mm * tilted_33[2])
            parts.append(replace(plate, axes_33=tilted_33))
        for side in (-11.0, 11.0):
            parts.append(_solid((x + side, y + 18, z + 4), (4.2, 9, 6.0), 1.5 * mu, flat=False))
            parts.append(_solid((x + side, y + 18, z + 4), (2.6, 9, 4.2), -1.4 * mu, flat=False))
        parts.append(_solid((x, y + 36, z - 8), (3.0, 14, 8.0), 0.6 * mu, flat=False))
    return parts


def _tilted(rng: np.random.Generator) -> Floats:
    """Return upright axes, tilted by the curvature of the spine."""
    forward, sideways = np.deg2rad(rng.normal((7.0, 0.0), 3.0))
    axes_33, _ = np.linalg.qr(np.array([[1, 0, -sideways], [0, 1, -forward], [sideways, forward, 1]]).T)
    return np.asarray((axes_33 * np.sign(np.diag(axes_33))).T, dtype=np.float32)


def _ribs(rng: np.random.Generator, c_arm: CArm, table_3: Floats) -> Floats:
    """Return the ribs as tubes with a dense rim, (BONE_PX, BONE_PX)."""
    mu, spacing_mm, phase_mm = float(rng.uniform(0.006, 0.016)), float(rng.uniform(26, 32)), float(rng.uniform(0, 30))
    half_x, half_y = float(rng.uniform(115, 135)), float(rng.uniform(85, 100))
    turn = np.deg2rad(np.linspace(-150, 150, 500))
    total_HW = np.zeros((BONE_PX, BONE_PX), dtype=np.float32)
    for number in range(-4, 7):
        top_mm = number * spacing_mm + phase_mm
        droop_mm = 75 * (1 - np.cos(turn)) / 2
        ring = np.stack([-10 + half_x * np.sin(turn), 5 + half_y * np.cos(turn), top_mm - droop_mm], axis=1)
        rows, columns, per_mm = c_arm.project(ring.astype(np.float32) - table_3)
        scale = BONE_PX / c_arm.size_px
        step_mm = np.linalg.norm(np.gradient(ring, axis=0), axis=1).astype(np.float32)
        for radius_mm, density in ((5.5, 1.0), (4.4, -0.95)):
            radius_px = (radius_mm * per_mm * scale).astype(np.float32)
            tube_HW = tube_path_mm(rows * scale, columns * scale, radius_px, step_mm, total_HW.shape)
            total_HW += mu * density * tube_HW
    return np.asarray(gaussian_filter(total_HW, 0.9), dtype=np.float32)


def _texture(rng: np.random.Generator) -> Floats:
    """Return mottle at several scales, (BONE_PX, BONE_PX), which wraps at the borders."""
    mottle_HW = np.zeros((BONE_PX, BONE_PX), dtype=np.float32)
    for sigma_px, weight in ((1.0, 0.010), (2.0, 0.016), (4.0, 0.026), (7.0, 0.03), (13.0, 0.05), (35.0, 0.06)):
        white_HW = rng.standard_normal((BONE_PX, BONE_PX)).astype(np.float32)
        smooth_HW = gaussian_filter(white_HW, sigma_px, mode="wrap")
        mottle_HW += weight * float(rng.uniform(0.5, 1.3)) * smooth_HW / smooth_HW.std()
    return mottle_HW


def _lung_vessels(rng: np.random.Generator) -> Floats:
    """Return the shadows of pulmonary vessels as faint wandering tubes, (BONE_PX, BONE_PX)."""
    num_tubes, num_steps = int(rng.integers(50, 120)), 90
    heading = rng.uniform(0, 2 * np.pi, (num_tubes, 1)) + np.cumsum(rng.normal(0, 0.08, (num_tubes, num_steps)), axis=1)
    rows = rng.uniform(0, BONE_PX, (num_tubes, 1)) + np.cumsum(np.sin(heading), axis=1)
    columns = rng.uniform(0, BONE_PX, (num_tubes, 1)) + np.cumsum(np.cos(heading), axis=1)
    radius = rng.gamma(2.0, 0.6, (num_tubes, 1)).clip(0.4, 2.2) * np.linspace(1, 0.3, num_steps)
    row_N, column_N, radius_N = (values.astype(np.float32).ravel() for values in (rows, columns, radius))
    shadows_HW = tube_path_mm(row_N, column_N, radius_N, np.full_like(row_N, 0.016), (BONE_PX, BONE_PX))
    return np.asarray(gaussian_filter(shadows_HW, 0.9), dtype=np.float32)
