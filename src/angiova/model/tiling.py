"""InternVL's tiles: a grid of squares whose shape is close to the image's, and the whole image once more."""

from __future__ import annotations

from PIL import Image


def choose_grid(width_px: int, height_px: int, tile_px: int, max_tiles: int) -> tuple[int, int]:
    """Return (columns, rows) of the grid of at most `max_tiles` tiles whose aspect ratio is closest to the image's.

    Of grids that are equally close a finer one is taken only if the image has more than half its pixels. The rule is
    InternVL's (Chen et al., "How far are we to GPT-4V?", arXiv 2404.16821, dynamic resolution).
    """
    grids = [(i, j) for i in range(1, max_tiles + 1) for j in range(1, max_tiles // i + 1)]
    best, best_difference = (1, 1), float("inf")
    for columns, rows in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        difference = abs(width_px / height_px - columns / rows)
        fills_it = width_px * height_px > 0.5 * tile_px**2 * columns * rows
        if difference < best_difference or (difference == best_difference and fills_it):
            best, best_difference = (columns, rows), difference
    return best


def cut_tiles(image: Image.Image, tile_px: int, max_tiles: int) -> list[Image.Image]:
    """Return square tiles, row by row, and last the whole image as one tile unless it already is the only one.

    The image is resized to the size of the grid first, so its aspect ratio is kept only nearly.

    Args:
        image: an 8-bit grey or RGB image.
        tile_px: side of a tile in pixels.
        max_tiles: most tiles in the grid; 1 gives the whole image alone.
    """
    columns, rows = choose_grid(*image.size, tile_px, max_tiles)
    whole = resize_to(image, (tile_px, tile_px))
    if columns * rows == 1:
        return [whole]
    grid = resize_to(image, (columns * tile_px, rows * tile_px))
    corners = [(column * tile_px, row * tile_px) for row in range(rows) for column in range(columns)]
    return [*(grid.crop((left, top, left + tile_px, top + tile_px)) for left, top in corners), whole]


def resize_to(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the image at (width, height) pixels, bicubic; the aspect ratio is not kept."""
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
