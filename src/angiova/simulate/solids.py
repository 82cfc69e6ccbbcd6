"""Rays through ellipsoids and cylinders: the shapes that a chest is made of here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from angiova.simulate.heart import Floats


@dataclass(frozen=True, slots=True)
class Solid:
    """An ellipsoid, or a straight elliptic cylinder with flat ends.

    Attributes:
        centre_3: its centre, in mm.
        axes_33: its half axes as unit vectors, one a row.
        half_3_mm: length of the half axes.
        attenuation_mm: how much more than its surroundings it attenuates, a millimetre; may be negative.
        is_cylinder: whether the third axis is that of a cylinder.
    """

    centre_3: Floats
    axes_33: Floats
    half_3_mm: tuple[float, float, float]
    attenuation_mm: float
    is_cylinder: bool = False

    def moved(self, shift_3: Floats) -> Solid:
        """Return the solid shifted by (3,) mm."""
        return replace(self, centre_3=self.centre_3 + shift_3)


def chord_mm(solid: Solid, source_3: Floats, rays_HW3: Floats) -> Floats:
    """Return the length of each ray inside a solid, shape (H, W), in mm.

    Args:
        solid: the shape.
        source_3: where all rays start, outside the solid.
        rays_HW3: unit directions.

    Scaled by its half axes the ellipsoid is the unit sphere, and |q + t v| = 1 is a quadratic in t; of a cylinder,
    only two axes count and the third one limits t between the end planes.
    """
    scaled_33 = solid.axes_33 / np.asarray(solid.half_3_mm, dtype=np.float32)[:, None]
    q = scaled_33 @ (source_3 - solid.centre_3)
    v_HW3 = rays_HW3 @ scaled_33.T
    used = 2 if solid.is_cylinder else 3
    a = np.einsum("hwi,hwi->hw", v_HW3[..., :used], v_HW3[..., :used])
    b = v_HW3[..., :used] @ q[:used]
    c = float(q[:used] @ q[:used]) - 1
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    near, far = (-b - root) / a, (-b + root) / a
    if solid.is_cylinder:
        along = np.where(np.abs(v_HW3[..., 2]) < 1e-9, 1e-9, v_HW3[..., 2])
        first, second = (-1 - q[2]) / along, (1 - q[2]) / along
        near, far = np.maximum(near, np.minimum(first, second)), np.minimum(far, np.maximum(first, second))
    return np.asarray(np.maximum(far - near, 0), dtype=np.float32)
