"""Comparison pictures: image, target, prediction and where they agree, side by side over a line of scores."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage, write_png
from angiova.data.records import FrameRecord, Prediction
from angiova.data.rle import BoolMask
from angiova.evaluation.cases import merged_targets
from angiova.evaluation.result import Evaluation, Picture

Colour = tuple[int, int, int]
ColourImage = npt.NDArray[np.uint8]

# Okabe and Ito's colours, told apart by colour-blind eyes and, by lightness, in grey print too.
AGREED: Final[Colour] = (86, 180, 233)
MISSED: Final[Colour] = (240, 228, 66)
FALSE: Final[Colour] = (213, 94, 0)
MASK: Final[Colour] = (0, 158, 115)

_PANEL_PX: Final = 512
_GAP_PX: Final = 8
_CAPTION_PX: Final = 88
_INK: Final = (32, 32, 32)


def write_comparisons(
    folder: Path, manifest: Manifest, evaluation: Evaluation, predictions: Iterable[Prediction]
) -> None:
    """Write the pictures that `evaluation` names, replacing those of an earlier evaluation.

    Raises:
        DataError: an image cannot be read.
    """
    for old in folder.glob("*.png"):
        old.unlink()
    wanted: dict[str, list[Picture]] = {}
    for picture in evaluation.pictures:
        wanted.setdefault(picture.frame_id, []).append(picture)
    answers = {(p.frame_id, p.phrase): p for p in predictions if p.frame_id in wanted}
    for record in manifest.records(evaluation.split):
        for picture in wanted.get(record.frame_id, ()):
            answer = answers.get((picture.frame_id, picture.phrase))
            write_png(folder / picture.file, _draw(picture, record, manifest.read_image(record), answer))


def compare(image_HW: GreyImage, target_HW: BoolMask, prediction_HW: BoolMask) -> ColourImage:
    """Return image, target, prediction and agreement side by side on white, as 8-bit RGB.

    All of shape (H, W); panels keep the image's own pixels, unless it is larger than 512 px, and then shrink to that.
    """
    agreement = _painted(
        image_HW,
        (target_HW & prediction_HW, AGREED),
        (target_HW & ~prediction_HW, MISSED),
        (prediction_HW & ~target_HW, FALSE),
    )
    panels = [_painted(image_HW), _painted(image_HW, (target_HW, MASK)), _painted(image_HW, (prediction_HW, MASK))]
    return _side_by_side([_shrunk(panel) for panel in (*panels, agreement)])


def _draw(picture: Picture, record: FrameRecord, image_HW: GreyImage, answer: Prediction | None) -> ColourImage:
    target = next(t for t in merged_targets(record) if (t.phrase, t.observer) == (picture.phrase, picture.observer))
    empty = rle.empty(record.height, record.width)
    predicted = empty if answer is None or answer.mask is None else answer.mask
    return _captioned(compare(image_HW, rle.decode(target.mask), rle.decode(predicted)), picture)


def _painted(image_HW: GreyImage, *layers: tuple[BoolMask, Colour]) -> ColourImage:
    """Return the image in colour with each mask laid over it; where there are layers the image is dimmed."""
    strength = 0.75 if layers else 1.0
    picture_HWC = np.repeat((image_HW * strength).astype(np.uint8)[..., None], 3, axis=2)
    for mask_HW, colour in layers:
        blended = 0.15 * picture_HWC[mask_HW] + 0.85 * np.array(colour)
        picture_HWC[mask_HW] = blended.astype(np.uint8)
    return picture_HWC


def _shrunk(panel_HWC: ColourImage) -> ColourImage:
    if max(panel_HWC.shape) <= _PANEL_PX:
        return panel_HWC
    image = Image.fromarray(panel_HWC)
    image.thumbnail((_PANEL_PX, _PANEL_PX))
    return np.asarray(image)


def _side_by_side(panels: list[ColourImage]) -> ColourImage:
    gap = np.full((panels[0].shape[0], _GAP_PX, 3), 255, dtype=np.uint8)
    pieces = [piece for panel in panels for piece in (panel, gap)]
    return np.concatenate(pieces[:-1], axis=1)


def _captioned(panels_HWC: ColourImage, picture: Picture) -> ColourImage:
    """Return the panels over two lines: what they show, and the frame with its scores."""
    height, width = panels_HWC.shape[:2]
    canvas = Image.new("RGB", (width, height + _CAPTION_PX), "white")
    canvas.paste(Image.fromarray(panels_HWC), (0, 0))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=max(9, min(30, width // 70)))
    panel_width = (width + _GAP_PX) // 4
    for index, name in enumerate(("image", "truth", "prediction")):
        pen.text((index * panel_width, height + 6), name, fill=_INK, font=font)
    _legend(pen, font, 3 * panel_width, height + 6)
    scores = (
        f"{picture.role}: {picture.frame_id} · {picture.phrase} · Dice {picture.dice:.3f} · clDice {picture.cldice:.3f}"
    )
    pen.text((0, height + 48), scores, fill=_INK, font=font)
    return np.asarray(canvas)


def _legend(pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, left: int, top: int) -> None:
    for name, colour in (("both", AGREED), ("missed", MISSED), ("false", FALSE)):
        side = 18
        pen.rectangle((left, top + 8, left + side, top + 8 + side), fill=colour, outline=_INK)
        pen.text((left + side + 7, top), name, fill=_INK, font=font)
        left += side + 28 + int(pen.textlength(name, font=font))
