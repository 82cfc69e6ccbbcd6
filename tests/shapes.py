"""Shapes whose measures are known, drawn by which pixel centres lie in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from angiova.data.rle import BoolMask

SIDE = 200
# Off the grid, so that no edge runs along pixel centres.
MIDDLE = (99.7, 100.2)


def grid(side: int = SIDE) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rows, columns = np.mgrid[:side, :side].astype(np.float64)
    return rows, columns


def bar(width: float, angle_deg: float, length: float = 120, middle: tuple[float, float] = MIDDLE) -> BoolMask:
    """A straight bar with square ends; 0 degrees runs along a row, 90 down a column."""
    u, v = _along(angle_deg, middle)
    return np.asarray((np.abs(u) < length / 2) & (np.abs(v) < width / 2))


def limb(start: tuple[float, float], angle_deg: float, length: float, width: float) -> BoolMask:
    """A bar with round ends from `start`; angles as in `bar`."""
    rows, columns = grid()
    along = np.array([np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))])
    at = ((rows - start[0]) * along[0] + (columns - start[1]) * along[1]).clip(0, length)
    return np.asarray(np.hypot(rows - start[0] - at * along[0], columns - start[1] - at * along[1]) < width / 2)


def ring(radius: float, width: float) -> BoolMask:
    rows, columns = grid()
    return np.asarray(np.abs(np.hypot(rows - MIDDLE[0], columns - MIDDLE[1]) - radius) < width / 2)


def narrowed(percent: float, calibre: float = 12.3, taper: float = 0.0, length: float = 50.0) -> BoolMask:
    """A tube at 17 degrees, with a narrowing shaped like a squared cosine in its middle."""
    u, v = _along(17.0)
    share = np.where(np.abs(u) < length / 2, np.cos(np.pi * np.clip(u / length, -0.5, 0.5)) ** 2, 0)
    width = (calibre - taper * u) * (1 - percent / 100 * share)
    return np.asarray((np.abs(v) < width / 2) & (np.abs(u) < 90))


def contrast_tube(calibre: float, angle_deg: float) -> npt.NDArray[np.float64]:
    """The path of a beam through a round tube, (H, W) in pixels: a chord, and no step at the wall."""
    u, v = _along(angle_deg)
    return np.where(np.abs(u) < 60, 2 * np.sqrt(np.maximum(calibre**2 / 4 - v**2, 0)), 0)


def _along(
    angle_deg: float, middle: tuple[float, float] = MIDDLE
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how far each pixel lies along and across a line through `middle`."""
    rows, columns = grid()
    sine, cosine = np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))
    down, right = rows - middle[0], columns - middle[1]
    return down * sine + right * cosine, down * cosine - right * sine
