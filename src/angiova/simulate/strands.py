"""Curved rods in space, as which devices are drawn: wires, leads, cables, clips and struts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.interpolate import CubicSpline

from angiova.data.rle import BoolMask
from angiova.simulate.heart import Floats, Heart
from angiova.simulate.projection import CArm
from angiova.simulate.tubes import tube_path_mm

# Linear attenuation at 60 keV, about the mean of a filtered 80 kV beam, a millimetre: mass attenuation of NIST's XCOM
# (Berger et al., NIST Standard Reference Database 8) times density. Leads and stents are made of the cobalt alloys
# MP35N and L605.
STEEL_MM: Final = 0.95
TITANIUM_MM: Final = 0.34
COPPER_MM: Final = 1.43
COBALT_ALLOY_MM: Final = 1.3
PLATINUM_MM: Final = 9.3
# Iodine of 350 mg/ml has 0.27 a millimetre in the same table, and contrast here about half of that, which allows for
# the softness of scatter, veiling glare and the display; metal is seen through the same chain.
EFFECTIVE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Strand:
    """Rods as N samples of their axes, at end diastole; several may follow each other.

    Attributes:
        points_N3: patient coordinates, in mm.
        radius_N_mm: radius of the rod.
        attenuation_N: attenuation of its material, a millimetre.
        step_N_mm: length of axis that a sample stands for.
        swing_N: how much of the heart's motion a sample follows: 0 stays with the chest, 1 moves with the heart.
    """

    points_N3: Floats
    radius_N_mm: Floats
    attenuation_N: Floats
    step_N_mm: Floats
    swing_N: Floats

    def chosen(self, is_chosen_N: BoolMask) -> Strand:
        """Return the samples where `is_chosen_N` is true."""
        return Strand(*(values[is_chosen_N] for values in _fields(self)))

    def moved(self, heart: Heart, systole: float, breath_3: Floats) -> Floats:
        """Return patient coordinates (N, 3) at a moment.

        Args:
            heart: the patient's heart.
            systole: how contracted it is, 0 to 1.
            breath_3: how far the breath has moved it, in mm.
        """
        beating_N3 = heart.to_patient(heart.contract(self.points_N3 @ heart.axes_33.T, systole))
        move_N3 = beating_N3 - self.points_N3 + breath_3
        return np.asarray(self.points_N3 + self.swing_N[:, None] * move_N3, dtype=np.float32)

    def attenuation(self, c_arm: CArm, points_N3: Floats) -> Floats:
        """Return the attenuation along the rays, (H, W), with the samples at `points_N3` in C-arm coordinates."""
        rows, columns, per_mm = c_arm.project(points_N3)
        weight_N = self.step_N_mm * self.attenuation_N
        return tube_path_mm(rows, columns, self.radius_N_mm * per_mm, weight_N, (c_arm.size_px, c_arm.size_px))


def strand(
    points_N3: Floats, radius_mm: Floats | float, attenuation: Floats | float, swing: Floats | float = 0.0
) -> Strand:
    """Return one rod.

    Args:
        points_N3: samples of its axis, in patient coordinates, in mm.
        radius_mm: its radius, one or (N,).
        attenuation: of its material at 60 keV, a millimetre, one or (N,); EFFECTIVE is applied here.
        swing: how much of the heart's motion it follows, one or (N,).
    """
    step_N = np.linalg.norm(np.gradient(points_N3, axis=0), axis=1)
    num = len(points_N3)
    values = (radius_mm, EFFECTIVE * np.asarray(attenuation), step_N, swing)
    radius_N, attenuation_N, step_N, swing_N = (np.broadcast_to(v, num).astype(np.float32) for v in values)
    return Strand(points_N3.astype(np.float32), radius_N, attenuation_N, step_N, swing_N)


def joined(strands: Sequence[Strand]) -> Strand:
    """Return all samples of some rods, none where there are no rods."""
    if not strands:
        nothing = np.zeros(0, dtype=np.float32)
        return Strand(np.zeros((0, 3), dtype=np.float32), nothing, nothing, nothing, nothing)
    return Strand(*(np.concatenate(values) for values in zip(*map(_fields, strands), strict=True)))


def curve(knots_K3: Floats, step_mm: float) -> Floats:
    """Return points (N, 3) about `step_mm` apart on a smooth curve through knots (K, 3)."""
    at_K = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots_K3, axis=0), axis=1))])
    fine_M3 = CubicSpline(at_K, knots_K3)(np.linspace(0, at_K[-1], 600))
    return evenly(fine_M3, step_mm)


def evenly(points_M3: Floats, step_mm: float) -> Floats:
    """Return points (N, 3) about `step_mm` apart on the line through points (M, 3)."""
    travelled_M = travelled_mm(points_M3)
    even_N = np.linspace(0, travelled_M[-1], max(int(travelled_M[-1] / step_mm), 2))
    return np.stack([np.interp(even_N, travelled_M, axis_M) for axis_M in points_M3.T], axis=1).astype(np.float32)


def travelled_mm(points_N3: Floats) -> Floats:
    """Return how far along a line its points lie, (N,), in mm."""
    steps = np.linalg.norm(np.diff(points_N3, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)]).astype(np.float32)


def _fields(rod: Strand) -> tuple[Floats, ...]:
    return rod.points_N3, rod.radius_N_mm, rod.attenuation_N, rod.step_N_mm, rod.swing_N
