"""The guiding catheter, up to the ostium."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from angiova.simulate.heart import Floats

STEP_MM: Final = 0.3
BEND_MM: Final = 6.0  # standard deviation that rounds the bends
FRENCH_MM: Final = 1 / 3  # outer diameter of one French
INNER_SHARE: Final = 0.86
WALL_ATTENUATION_MM: Final = 0.30


@dataclass(frozen=True, slots=True)
class Catheter:
    """A catheter whose tip sits in the ostium.

    Attributes:
        points_N3: its axis in patient coordinates at end diastole, tip first, in mm.
        radius_mm: outer radius.
        inner_mm: radius of its lumen.
        swing_N: how much of the ostium's motion each sample follows, 1 at the tip.
        filled: concentration of contrast in the lumen before the injection.
    """

    points_N3: Floats
    radius_mm: float
    inner_mm: float
    swing_N: Floats
    filled: float


def draw_catheter(rng: np.random.Generator, ostium_3: Floats, into_3: Floats, side: str) -> Catheter:
    """Return a Judkins-like catheter.

    Args:
        rng: source of randomness.
        ostium_3: the ostium, in patient coordinates.
        into_3: unit vector from the ostium into the artery.
        side: "left" or "right"; the left catheter dips below the ostium and comes up to it.

    The ascending aorta runs up, slightly to the right and forward, before it arches to the back.
    """
    wall = ostium_3 - into_3 * float(rng.uniform(16, 22))
    dip_mm = float(rng.uniform(3, 11)) if side == "left" else float(rng.uniform(-4, 4))
    low = 0.45 * ostium_3 + 0.55 * wall - np.array([0, 0, dip_mm])
    rise = wall + np.array([float(rng.normal(-4, 4)), float(rng.normal(-3, 3)), 25.0])
    high = rise + np.array([float(rng.normal(-2, 8)), float(rng.normal(4, 5)), 45.0])
    arch = high + np.array([float(rng.normal(6, 14)), 25.0, 45.0])
    tip = ostium_3 + 2.0 * into_3
    knots = np.stack([tip, ostium_3 - 3.0 * into_3, low, wall + np.array([0, 0, 5.0]), rise, high, arch])
    at = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    even = np.arange(0, at[-1], STEP_MM)
    curve_N3 = gaussian_filter1d(CubicSpline(at, knots)(even), BEND_MM / STEP_MM, axis=0, mode="nearest")
    swing_N = np.exp(-even / 30.0).astype(np.float32)
    points_N3 = (curve_N3 + (tip - curve_N3[0]) * swing_N[:, None] ** 4).astype(np.float32)
    radius_mm = float(rng.choice([5, 6, 7], p=[0.3, 0.6, 0.1])) * FRENCH_MM / 2
    filled = float(rng.choice([0.1, 0.4, 0.8]))
    return Catheter(points_N3, radius_mm, radius_mm * INNER_SHARE, swing_N, filled)
