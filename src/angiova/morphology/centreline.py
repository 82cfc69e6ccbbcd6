"""From a path over pixels to a smooth curve: length, tangents and places between the pixels.

A path over pixels is a staircase, up to 8 % too long. Smoothed with a Gaussian of SMOOTHING_PX along its length, its
ends held, it is close to the curve that was thinned, and lengths come out right at every angle.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from angiova.morphology.graph import Floats

STEP_PX: Final = 1.0
SMOOTHING_PX: Final = 2.5


def smooth_curve(points_N2: Floats, closed: bool = False) -> Floats:
    """Return the smooth curve (M, 2) through a path over pixels, sampled about every STEP_PX.

    Args:
        points_N2: (row, column) from pixel to pixel.
        closed: whether the path ends where it starts.
    """
    even_N2 = evenly(points_N2, STEP_PX)
    return evenly(smooth_along(even_N2, SMOOTHING_PX / STEP_PX, closed), STEP_PX)


def evenly(points_N2: Floats, step_px: float) -> Floats:
    """Return points about `step_px` apart on a polyline, both ends included."""
    travelled_N = travelled_px(points_N2)
    count = max(round(float(travelled_N[-1]) / step_px), 1) + 1
    at_M = np.linspace(0, travelled_N[-1], count)
    return np.stack([np.interp(at_M, travelled_N, points_N2[:, axis]) for axis in (0, 1)], axis=1)


def smooth_along(values_NC: Floats, sigma: float, closed: bool = False) -> Floats:
    """Return values (N, C) along a curve smoothed over `sigma` samples; the first and the last stay as they are."""
    if closed:
        ring_NC = gaussian_filter1d(values_NC[:-1], sigma, axis=0, mode="wrap")
        return np.concatenate([ring_NC, ring_NC[:1]])
    reach = min(int(np.ceil(4 * sigma)), len(values_NC) - 1)
    before_RC = 2 * values_NC[0] - values_NC[reach:0:-1]
    after_RC = 2 * values_NC[-1] - values_NC[-2 : -reach - 2 : -1]
    long_NC = gaussian_filter1d(np.concatenate([before_RC, values_NC, after_RC]), sigma, axis=0, mode="nearest")
    return np.asarray(long_NC[reach : reach + len(values_NC)])


def travelled_px(points_N2: Floats) -> Floats:
    """Return how far each point (N,) lies along a polyline."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_N2, axis=0), axis=1))])


def tangents(points_N2: Floats, closed: bool = False) -> Floats:
    """Return unit tangents (N, 2) of a curve."""
    if closed:
        wrapped_N2 = np.concatenate([points_N2[-2:-1], points_N2, points_N2[1:2]])
        steps_N2 = (wrapped_N2[2:] - wrapped_N2[:-2]) / 2
    else:
        steps_N2 = np.gradient(points_N2, axis=0)
    return np.asarray(steps_N2 / np.maximum(np.linalg.norm(steps_N2, axis=1, keepdims=True), 1e-9))


def extended(points_N2: Floats, at_start: bool, reach_px: float, inside_HW: Floats) -> Floats:
    """Return a curve lengthened along its end's direction to the wall: thinning stops short of a vessel's end.

    Args:
        points_N2: the curve.
        at_start: which end.
        reach_px: how far at most.
        inside_HW: how far inside the mask a pixel is, 0 to 1; the wall is at a half.
    """
    outwards_N2 = points_N2 if at_start else points_N2[::-1]
    look = min(max(int(reach_px), 3), len(outwards_N2) - 1)
    along_2 = outwards_N2[0] - outwards_N2[look]
    along_2 = along_2 / max(float(np.linalg.norm(along_2)), 1e-9)
    added = []
    for step in np.arange(STEP_PX, reach_px + STEP_PX, STEP_PX):
        point_2 = outwards_N2[0] + step * along_2
        row, column = (point_2 + 0.5).astype(int)
        if point_2.min() < -0.5 or row >= inside_HW.shape[0] or column >= inside_HW.shape[1]:
            break
        if inside_HW[row, column] < 0.5:
            break
        added.append(point_2)
    if not added:
        return points_N2
    longer_N2 = np.concatenate([np.array(added[::-1]), outwards_N2])
    return longer_N2 if at_start else longer_N2[::-1]
