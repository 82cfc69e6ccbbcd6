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
    reach_N = np.ceil(radius_N_px + 0.5).astype(np.int32)
    row_N, column_N = np.rint(rows_N).astype(np.int32), np.rint(columns_N).astype(np.int32)
    near_N = (row_N >= -reach_N) & (row_N < height + reach_N) & (column_N >= -reach_N) & (column_N < width + reach_N)
    near_N &= step_N_mm > 0
    # Room around the image for every disc that touches it spares testing each pixel of each disc.
    margin = 2 * int(reach_N[near_N].max(initial=0))
    padded_width = width + 2 * margin
    path = np.zeros((height + 2 * margin) * padded_width, dtype=np.float64)
    for reach in np.unique(reach_N[near_N]):
        chosen = np.flatnonzero(near_N & (reach_N == reach))
        offset = np.arange(-reach, reach + 1, dtype=np.int32)
        down = (row_N - rows_N)[chosen, None] + offset
        across = (column_N - columns_N)[chosen, None] + offset
        disc = _discs(down, across, radius_N_px[chosen]) * step_N_mm[chosen, None, None]
        at_row, at_column = row_N[chosen, None] + (offset + margin), column_N[chosen, None] + (offset + margin)
        pixels = at_row[:, :, None] * padded_width + at_column[:, None, :]
        path += np.bincount(pixels.ravel(), disc.ravel(), minlength=len(path))
    padded = path.reshape(-1, padded_width)[margin : margin + height, margin : margin + width]
    return np.asarray(padded, dtype=np.float32)


def _discs(down_NK: Floats, across_NK: Floats, radius_N: Floats) -> Floats:
    """Return discs (N, K, K) with edges softened over a pixel, given rows and columns from their centres.

    The softened edge of a disc below a pixel's size has too large an area, so each is scaled to the mass pi r^2.
    """
    distance = np.sqrt((down_NK**2)[:, :, None] + (across_NK**2)[:, None, :])
    discs = np.clip(radius_N[:, None, None] + np.float32(0.5) - distance, 0, 1)
    mass_N = np.maximum(discs.sum(axis=(1, 2)), 1e-6)
    return np.asarray(discs * (np.pi * radius_N**2 / mass_N)[:, None, None], dtype=np.float32)
