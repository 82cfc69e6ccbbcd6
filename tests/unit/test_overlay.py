"""Overlays show thin vessels, and contact sheets have the size that their grid says."""

from __future__ import annotations

import numpy as np
import pytest

from angiova.export.overlay import CAPTION_PX, COLOURS, contact_sheet, overlay


def test_fill_is_blended_outline_is_stronger_and_the_rest_untouched() -> None:
    image_HW = np.full((7, 7), 100, dtype=np.uint8)
    mask_HW = np.zeros((7, 7), dtype=bool)
    mask_HW[1:6, 1:6] = True
    picture = overlay(image_HW, [mask_HW], colours=[(200, 0, 100)], alpha=0.25)
    assert picture[3, 3].tolist() == [125, 75, 100]  # a quarter of the colour
    assert picture[1, 3].tolist() == [150, 50, 100]  # half of it on the outline
    assert picture[0, 0].tolist() == [100, 100, 100]


def test_a_line_one_pixel_wide_is_all_outline() -> None:
    mask_HW = np.eye(9, dtype=bool)
    picture = overlay(np.zeros((9, 9), dtype=np.uint8), [mask_HW], colours=[(100, 100, 100)], alpha=0.5)
    assert (picture[mask_HW] == 100).all() and (picture[~mask_HW] == 0).all()


def test_colours_repeat_after_the_palette_and_too_few_are_refused() -> None:
    masks = [np.eye(4, dtype=bool)] * (len(COLOURS) + 1)
    picture = overlay(np.zeros((4, 4), dtype=np.uint8), masks, alpha=1.0)
    assert tuple(picture[0, 0]) == COLOURS[0]
    with pytest.raises(ValueError, match="shorter"):
        overlay(np.zeros((4, 4), dtype=np.uint8), masks, colours=COLOURS)


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="mask is"):
        overlay(np.zeros((4, 4), dtype=np.uint8), [np.zeros((4, 5), dtype=bool)])


def test_sheet_has_a_place_for_each_tile_and_keeps_proportions() -> None:
    tiles = [np.full((20, 40, 3), 200, dtype=np.uint8)] * 4
    sheet = contact_sheet(tiles, ["a", "b", "c", "d"], columns=3, tile_px=32)
    assert sheet.shape == (2 * (32 + CAPTION_PX), 3 * 32, 3)
    assert sheet[16, 16].tolist() == [200] * 3 and sheet[2, 16, 0] < 100  # wide tile: bars above and below
    with pytest.raises(ValueError, match=r"shorter|longer"):
        contact_sheet(tiles, ["a"])
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], [])
