"""Tiles: worked grids, nothing lost, and one tile where one is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from angiova.model.tiling import choose_grid, cut_tiles


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((512, 512), (1, 1)),
        ((633, 633), (1, 1)),  # 633^2 is just below half the pixels of 2 x 2 tiles of 448
        ((634, 634), (2, 2)),
        ((1024, 1024), (3, 3)),
        ((640, 480), (4, 3)),
        ((700, 300), (5, 2)),
        ((100, 1200), (1, 12)),
    ],
)
def test_grids_worked_out_by_hand(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert choose_grid(*size, tile_px=448, max_tiles=12) == grid


def test_one_tile_is_the_whole_image_without_a_thumbnail() -> None:
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    (only,) = cut_tiles(image, tile_px=8, max_tiles=1)
    assert np.array_equal(np.asarray(only), np.asarray(image))


def test_tiles_are_the_image_row_by_row_and_the_thumbnail_comes_last() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(16, 24), dtype=np.uint8)
    tiles = [np.asarray(tile) for tile in cut_tiles(Image.fromarray(pixels), tile_px=8, max_tiles=6)]
    assert len(tiles) == 7
    assert np.array_equal(np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:6])]), pixels)
    assert abs(float(tiles[-1].mean()) - float(pixels.mean())) < 3
