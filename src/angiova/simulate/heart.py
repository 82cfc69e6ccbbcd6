"""The heart as an ellipsoid: the surface that coronary arteries run on, and how it beats.

Coordinates, in millimetres:
  local    (along the long axis towards the apex, up, left), origin in the middle of the atrioventricular plane;
  patient  DICOM's LPS: x to the patient's left, y to the back, z to the head, same origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# Apex forward, down and to the left, so that LAO 45 caudal 30 looks along the axis from the apex ("spider view").
LONG_AXIS_LPS = (0.62, -0.55, -0.56)
TILT_DEG = 6.0


@dataclass(frozen=True, slots=True)
class Heart:
    """Size and position of one patient's heart.

    Attributes:
        radius_mm: radius of the atrioventricular groove.
        length_mm: from the atrioventricular plane to the apex.
        right_bulge: how much wider than a circle the groove is on the right.
        axes_33: unit vectors (towards the apex, up, left) in patient coordinates, one a row.
    """

    radius_mm: float
    length_mm: float
    right_bulge: float
    axes_33: Floats

    def surface(self, places_N3: Floats) -> Floats:
        """Return local points (N, 3) of places on the heart.

        Args:
            places_N3: (elevation, azimuth, depth). Elevation in degrees: 0 in the atrioventricular groove, 90 at the
                apex, negative over the atria. Azimuth in degrees about the long axis: 0 along the anterior
                interventricular groove, 90 at the left border, -90 at the right border, 180 along the posterior
                interventricular groove. Depth: 1 on the surface, 0 on the axis.
        """
        elevation, azimuth = np.deg2rad(places_N3[:, 0]), np.deg2rad(places_N3[:, 1])
        radius_mm = self.radius_mm * (1 + self.right_bulge * np.maximum(-np.sin(azimuth), 0))
        radius_mm = radius_mm * places_N3[:, 2] * np.cos(elevation)
        along_mm = self.length_mm * np.sin(elevation) * np.where(elevation < 0, 0.6, 1.0)
        return np.stack([along_mm, radius_mm * np.cos(azimuth), radius_mm * np.sin(azimuth)], axis=1).astype(np.float32)

    def outward(self, local_N3: Floats) -> Floats:
        """Return unit normals (N, 3) of the ellipsoid through local points (N, 3)."""
        scale = np.array([self.length_mm, self.radius_mm, self.radius_mm], dtype=np.float32) ** 2
        normals = local_N3 / scale
        return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9))

    def contract(self, local_N3: Floats, systole: float) -> Floats:
        """Return local points (N, 3) moved by the beat.

        Args:
            local_N3: points at end diastole.
            systole: 0 at end diastole, 1 at end systole.

        The groove descends towards the apex by about 12 mm, the walls move inwards and the apex twists by about
        8 degrees: the usual echocardiographic figures.
        """
        along, up, left = local_N3.T
        towards_apex = np.clip(along / self.length_mm, 0, 1)
        twist = np.deg2rad(8.0) * systole * towards_apex
        inwards = 1 - 0.10 * systole
        new_along = along + 12.0 * systole * (1 - towards_apex) - 2.0 * systole * towards_apex
        new_up = inwards * (up * np.cos(twist) - left * np.sin(twist))
        new_left = inwards * (up * np.sin(twist) + left * np.cos(twist))
        return np.stack([new_along, new_up, new_left], axis=1).astype(np.float32)

    def to_patient(self, local_N3: Floats) -> Floats:
        """Return patient coordinates (N, 3) of local points (N, 3)."""
        return (local_N3 @ self.axes_33).astype(np.float32)


def draw_heart(rng: np.random.Generator) -> Heart:
    """Return the heart of a random adult."""
    long_axis = np.array(LONG_AXIS_LPS) + rng.normal(0, np.deg2rad(TILT_DEG), 3)
    long_axis /= np.linalg.norm(long_axis)
    up = np.array([0.0, 0.0, 1.0]) - long_axis[2] * long_axis
    up /= np.linalg.norm(up)
    left = np.cross(up, long_axis)
    roll = np.deg2rad(rng.normal(0, TILT_DEG))
    rolled_up = np.cos(roll) * up + np.sin(roll) * left
    axes_33 = np.stack([long_axis, rolled_up, np.cross(rolled_up, long_axis)]).astype(np.float32)
    return Heart(float(rng.uniform(37, 46)), float(rng.uniform(86, 104)), float(rng.uniform(0.05, 0.25)), axes_33)


def systole_at(time_s: float, beat_s: float) -> float:
    """Return how contracted the heart is, 0 to 1, at `time_s` after an end diastole; systole is the first 40 %."""
    phase = (time_s / beat_s) % 1.0
    if phase < 0.3:
        return float(np.sin(np.pi * phase / 0.6) ** 2)
    return float(np.cos(np.pi * min((phase - 0.3) / 0.35, 1.0) / 2) ** 2)
