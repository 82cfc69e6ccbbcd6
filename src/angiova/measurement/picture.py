"""A picture of what was measured: branches numbered and coloured by calibre, narrowings marked, with a colour bar."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask
from angiova.export.overlay import ColourImage
from angiova.morphology.graph import Floats
from angiova.morphology.measures import Branch, NodeKind, VesselMeasures

SIDE_PX: Final = 1200
BAR_PX: Final = 150
FONT_PX: Final = 20
SMALL_PX: Final = 15
LEAST_NUMBERED_PX: Final = 12.0
MARKED_PERCENT: Final = 30.0
# Anchors of the colour map "plasma" (S. van der Walt and N. Smith, CC0): even steps of lightness, for the colour-blind
# too; its dark end is left out, which could not be seen on a dark frame.
ANCHORS: Final = np.array(
    [(126, 3, 168), (170, 35, 149), (204, 71, 120), (229, 108, 91), (248, 149, 64), (253, 195, 40), (240, 249, 33)]
)
INK: Final = (20, 20, 20)
PAPER: Final = (255, 255, 255)
STENOSIS: Final = (0, 230, 255)


def draw_measures(measures: VesselMeasures, mask_HW: BoolMask, image_HW: GreyImage | None = None) -> ColourImage:
    """Return the picture, (H, W, 3), enlarged to about SIDE_PX, with a colour bar at its right.

    Args:
        measures: what was measured.
        mask_HW: the mask, drawn as a tint on the frame, or in grey without one.
        image_HW: the frame.

    Branches shorter than LEAST_NUMBERED_PX have no number in the picture; the tables have all of them.
    """
    scale = max(SIDE_PX // max(measures.shape), 1)
    ground_HW3 = _ground(mask_HW, image_HW)
    height, width = measures.shape[0] * scale, measures.shape[1] * scale
    picture = Image.new("RGB", (width + BAR_PX, height), PAPER)
    picture.paste(Image.fromarray(ground_HW3).resize((width, height), Image.Resampling.NEAREST))
    draw = ImageDraw.Draw(picture)
    low_px, high_px = calibre_range_px(measures)
    for branch in measures.branches:
        _draw_branch(draw, branch, scale, low_px, high_px)
    for branch in measures.branches:
        if branch.length_px >= LEAST_NUMBERED_PX:
            middle_2 = branch.points_N2[len(branch.points_N2) // 2]
            _write(draw, _place(middle_2, scale), str(branch.number), SMALL_PX, PAPER)
    for node in measures.nodes:
        if node.kind in (NodeKind.BIFURCATION, NodeKind.CROSSING):
            _draw_node(draw, node.row, node.column, node.kind, scale)
    for stenosis in measures.stenoses:
        if stenosis.percent >= MARKED_PERCENT:
            _mark(draw, _place(np.array([stenosis.row, stenosis.column]), scale), f"{stenosis.percent:.0f} %")
    _draw_bar(draw, measures, (width, height), low_px, high_px)
    return np.asarray(picture)


def calibre_range_px(measures: VesselMeasures) -> tuple[float, float]:
    """Return the calibres at both ends of the colour bar: whole pixels around most of the vessels."""
    if not measures.branches:
        return 0.0, 1.0
    calibres_N = np.concatenate([branch.own_calibres_px for branch in measures.branches])
    low_px, high_px = np.floor(np.percentile(calibres_N, 1)), np.ceil(np.percentile(calibres_N, 99))
    return float(low_px), float(max(high_px, low_px + 1))


def colours_of(calibre_N_px: Floats, low_px: float, high_px: float) -> ColourImage:
    """Return the colour (N, 3) of calibres."""
    at_N = np.clip((calibre_N_px - low_px) / (high_px - low_px), 0, 1) * (len(ANCHORS) - 1)
    channels = [np.interp(at_N, np.arange(len(ANCHORS)), ANCHORS[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=1)), dtype=np.uint8)


def _ground(mask_HW: BoolMask, image_HW: GreyImage | None) -> ColourImage:
    if image_HW is None:
        grey_HW = np.where(mask_HW, 95, 25).astype(np.uint8)
        return np.repeat(grey_HW[:, :, None], 3, axis=2)
    ground_HW3 = np.repeat((image_HW * 0.75)[:, :, None], 3, axis=2)
    ground_HW3[mask_HW] = 0.7 * ground_HW3[mask_HW] + 0.3 * np.array([70, 90, 140])
    return np.asarray(ground_HW3, dtype=np.uint8)


def _place(point_2: Floats, scale: int) -> tuple[float, float]:
    """Return (x, y) in the picture of (row, column) in the image."""
    return (float(point_2[1]) + 0.5) * scale, (float(point_2[0]) + 0.5) * scale


def _draw_branch(draw: ImageDraw.ImageDraw, branch: Branch, scale: int, low_px: float, high_px: float) -> None:
    colours_N3 = colours_of(branch.calibre_N_px, low_px, high_px)
    places = [_place(point_2, scale) for point_2 in branch.points_N2]
    line_px = max(2 * scale // 2 + 1, 3)
    for before, after, colour, is_own in zip(
        places[:-1], places[1:], colours_N3.tolist(), branch.is_measured_N.tolist(), strict=False
    ):
        draw.line([before, after], fill=tuple(colour) if is_own else (150, 150, 150), width=line_px if is_own else 2)


def _draw_node(draw: ImageDraw.ImageDraw, row: float, column: float, kind: NodeKind, scale: int) -> None:
    x, y = _place(np.array([row, column]), scale)
    if kind is NodeKind.BIFURCATION:
        draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=PAPER, outline=INK)
    else:
        draw.rectangle([x - 4, y - 4, x + 4, y + 4], fill=INK, outline=PAPER)


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, fill: tuple[int, int, int]
) -> None:
    font = ImageFont.load_default(size)
    draw.text((at[0] + 7, at[1]), text, fill=fill, font=font, stroke_width=3, stroke_fill=INK, anchor="lm")


def _mark(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str) -> None:
    draw.ellipse([at[0] - 14, at[1] - 14, at[0] + 14, at[1] + 14], outline=STENOSIS, width=3)
    _write(draw, (at[0] + 12, at[1] - 14), text, FONT_PX, STENOSIS)


def _draw_bar(
    draw: ImageDraw.ImageDraw, measures: VesselMeasures, size: tuple[int, int], low_px: float, high_px: float
) -> None:
    """Draw the colour bar with round ticks in pixels, and in millimetres where pixels are square, and a legend."""
    left, top, bottom = size[0] + 16, 70, max(size[1] - 150, 120)
    spacing_mm = measures.spacing_mm
    is_square = spacing_mm is not None and abs(spacing_mm[0] - spacing_mm[1]) < 1e-3 * spacing_mm[0]
    font, small = ImageFont.load_default(FONT_PX), ImageFont.load_default(SMALL_PX)
    draw.text((left, 12), "calibre", fill=INK, font=font)
    draw.text((left, 40), "px  (mm)" if is_square else "px", fill=INK, font=small)
    for y in range(top, bottom):
        value_px = high_px - (high_px - low_px) * (y - top) / (bottom - top)
        colour = colours_of(np.array([value_px]), low_px, high_px)[0].tolist()
        draw.line([(left, y), (left + 24, y)], fill=tuple(colour))
    step_px = max(round((high_px - low_px) / 6), 1)
    for value_px in np.arange(low_px, high_px + 0.5, step_px).tolist():
        y = bottom - (bottom - top) * (value_px - low_px) / (high_px - low_px)
        draw.line([(left + 24, y), (left + 30, y)], fill=INK)
        text = f"{value_px:g}" + (f"  ({value_px * spacing_mm[0]:.1f})" if is_square and spacing_mm else "")
        draw.text((left + 34, y), text, fill=INK, font=small, anchor="lm")
    _draw_legend(draw, left, bottom + 22, small)


def _draw_legend(
    draw: ImageDraw.ImageDraw, left: float, top: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> None:
    draw.ellipse([left + 4, top, left + 12, top + 8], fill=PAPER, outline=INK)
    draw.text((left + 22, top + 4), "bifurcation", fill=INK, font=font, anchor="lm")
    draw.rectangle([left + 4, top + 24, left + 12, top + 32], fill=INK)
    draw.text((left + 22, top + 28), "crossing", fill=INK, font=font, anchor="lm")
    draw.ellipse([left, top + 46, left + 16, top + 62], outline=(0, 150, 170), width=3)
    draw.text((left + 22, top + 54), "narrowing", fill=INK, font=font, anchor="lm")
    draw.line([(left, top + 80), (left + 16, top + 80)], fill=(150, 150, 150), width=2)
    draw.text((left + 22, top + 80), "not measured", fill=INK, font=font, anchor="lm")
