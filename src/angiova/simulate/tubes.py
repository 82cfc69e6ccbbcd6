"""How much of a tube an X-ray passes through, pixel by pixel."""

from __future__ import annotations

import numpy as np

from angiova.simulate.heart import Floats


def tube_path_mm(
    rows_N: Floats, columns_N: Floats, radius_N_px: Floats, step_N_mm: Floats, shape: tuple[int, int]
) -> Floats:
    """Return the length of ray inside tubes, shape (H, W), in mm; tubes that overlap add up.

    Args:
        rows_N: rows of samples along the centrelines, in pixels.
        columns_N: their columns.
        radius_N_px: radius of the tube at each sample, as projected.
        step_N_mm: length of centreline in space that each sample stands for, times any weight such as concentration.
        shape: rows and columns of the image.

    Each sample stamps a uniform disc of its step's length. Along a straight tube at right angles to the beam the discs
    over a pixel at distance d add up to the disc's chord, 2 sqrt(r^2 - d^2), which is the path through a circular
    tube; where the tube runs obliquely they lie closer together, by just the factor by which the path is longer.
    """
    height, width = shape
    path = np.zeros(height * width, dtype=np.float64)
    reach_N = np.ceil(radius_N_px + 0.5).astype(np.int32)
    row_N, column_N = np.rint(rows_N).astype(np.int32), np.rint(columns_N).astype(np.int32)
    near_N = (row_N >= -reach_N) & (row_N < height + reach_N) & (column_N >= -reach_N) & (column_N < width + reach_N)
    near_N &= step_N_mm > 0
    for reach in np.unique(reach_N[near_N]):
        chosen = np.flatnonzero(near_N & (reach_N == reach))
        offset = np.arange(-reach, reach + 1, dtype=np.int32)
        down_2 = (offset[None, :] + (row_N - rows_N)[chosen, None]) ** 2
        right_2 = (offset[None, :] + (column_N - columns_N)[chosen, None]) ** 2
        distance = np.sqrt(down_2[:, :, None] + right_2[:, None, :])
        disc = np.clip(radius_N_px[chosen, None, None] + 0.5 - distance, 0, 1).astype(np.float32)
        # The softened edge of a disc below a pixel's size has too large an area; its mass must stay pi r^2.
        area = np.pi * radius_N_px[chosen] ** 2
        disc *= (step_N_mm[chosen] * area / np.maximum(disc.sum(axis=(1, 2)), 1e-6))[:, None, None]
        at_row = (row_N[chosen, None] + offset)[:, :, None]
        at_column = (column_N[chosen, None] + offset)[:, None, :]
        inside = (at_row >= 0) & (at_row < height) & (at_column >= 0) & (at_column < width)
        path += np.bincount((at_row * width + at_column)[inside], disc[inside], minlength=height * width)
    return path.reshape(shape).astype(np.float32)
