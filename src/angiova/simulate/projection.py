"""The C-arm: from points and rays in the patient to pixels on the detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from angiova.simulate.heart import Floats

# (primary, secondary) angles in degrees, LAO and cranial positive; the views that a left or right study is made of.
LEFT_VIEWS: Final = ((-30, -20), (-20, -25), (-25, -15), (-8, 38), (-32, 28), (-5, -30), (45, -28), (38, 25))
RIGHT_VIEWS: Final = ((40, 0), (45, 3), (35, 20), (-30, 0), (0, 28), (50, -5), (30, 8))
ANGLE_JITTER_DEG: Final = 4.0


@dataclass(frozen=True, slots=True)
class CArm:
    """One position of the C-arm; the isocentre is the origin of its coordinates, which are DICOM's LPS in mm.

    Attributes:
        primary_deg: LAO positive.
        secondary_deg: cranial positive.
        source_to_isocentre_mm: from the focal spot to the isocentre.
        source_to_detector_mm: from the focal spot to the detector.
        pitch_mm: distance of pixel centres on the detector.
        size_px: height and width of the image.
    """

    primary_deg: float
    secondary_deg: float
    source_to_isocentre_mm: float
    source_to_detector_mm: float
    pitch_mm: float
    size_px: int

    @property
    def spacing_mm(self) -> float:
        """Distance of pixel centres in the plane of the isocentre."""
        return self.pitch_mm * self.source_to_isocentre_mm / self.source_to_detector_mm

    @property
    def axes_33(self) -> Floats:
        """Unit vectors, one a row: along the image's rows, down its columns, from the isocentre to the detector."""
        a, b = np.deg2rad(self.primary_deg), np.deg2rad(self.secondary_deg)
        towards = [np.sin(a) * np.cos(b), -np.cos(a) * np.cos(b), np.sin(b)]
        right = [np.cos(a), np.sin(a), 0.0]
        down = [np.sin(a) * np.sin(b), -np.cos(a) * np.sin(b), -np.cos(b)]
        return np.array([right, down, towards], dtype=np.float32)

    def project(self, points_N3: Floats) -> tuple[Floats, Floats, Floats]:
        """Return (rows, columns, magnification) of points (N, 3), in pixels and pixels a millimetre.

        Pixel centres have whole coordinates; the isocentre falls on the middle of the image.
        """
        right_N, down_N, towards_N = (points_N3 @ self.axes_33.T).T
        per_mm_N = self.source_to_detector_mm / (self.source_to_isocentre_mm + towards_N) / self.pitch_mm
        middle_px = (self.size_px - 1) / 2
        return middle_px + down_N * per_mm_N, middle_px + right_N * per_mm_N, per_mm_N

    def rays(self, size_px: int) -> tuple[Floats, Floats]:
        """Return the focal spot (3,) and the directions (size, size, 3) of rays through a coarser pixel grid.

        Args:
            size_px: rows and columns of the grid, which covers the whole image.
        """
        right, down, towards = self.axes_33
        half_mm = self.size_px * self.pitch_mm / 2
        at_mm = (np.arange(size_px, dtype=np.float32) + 0.5) * (2 * half_mm / size_px) - half_mm
        rays_HW3 = at_mm[None, :, None] * right + at_mm[:, None, None] * down + self.source_to_detector_mm * towards
        rays_HW3 /= np.linalg.norm(rays_HW3, axis=2, keepdims=True)
        return (-self.source_to_isocentre_mm * towards).astype(np.float32), rays_HW3.astype(np.float32)


def draw_c_arm(rng: np.random.Generator, side: str, size_px: int) -> CArm:
    """Return a clinically used view of one coronary tree, with jitter, at common distances and zoom."""
    views = LEFT_VIEWS if side == "left" else RIGHT_VIEWS
    primary_deg, secondary_deg = views[int(rng.integers(len(views)))] + rng.uniform(-1, 1, 2) * ANGLE_JITTER_DEG
    field_mm = float(rng.choice([145.0, 160.0, 180.0], p=[0.3, 0.45, 0.25]))
    return CArm(
        primary_deg=round(float(primary_deg), 1),
        secondary_deg=round(float(secondary_deg), 1),
        source_to_isocentre_mm=float(rng.uniform(720, 785)),
        source_to_detector_mm=float(rng.uniform(1000, 1120)),
        pitch_mm=field_mm / size_px,
        size_px=size_px,
    )
