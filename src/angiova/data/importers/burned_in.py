"""Finds text that is burned into the pixels: strokes brighter than all around them, that stay, side by side in lines.

It finds what a scanner or a frame grabber writes: white characters of some 6 to 60 rows on the picture or on black. It
is a help for a person who looks at the contact sheet, not a proof that there is no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from angiova.data.importers.findings import Findings
from angiova.data.importers.options import ImportOptions
from angiova.data.pixels import GreyImage

# A stroke stands out from what lies within this many pixels, in a share of the image's height with a floor.
STROKE_SHARE, MIN_STROKE_PX = 1 / 64, 7
CONTRAST: Final = 70
# Writing is white; what is merely brighter than the dark vessels on both sides of it is not.
WHITE: Final = 180
# Strokes that stay: over a run they change by less than this, JPEG's noise included.
STEADY: Final = 48
MIN_HEIGHT_PX, MAX_HEIGHT_SHARE = 6, 1 / 12
MAX_ASPECT: Final = 1.6
MIN_FILL, MAX_FILL = 0.12, 0.95
MIN_CHARACTERS: Final = 3
MIN_CHARACTERS_ALONE: Final = 4
MARGIN_PX: Final = 2
MAX_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels: rows `top` to before `bottom`, columns `left` to before `right`."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height_px(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width_px(self) -> int:
        """Columns."""
        return self.right - self.left

    def around(self, other: Box) -> Box:
        """Return the smallest box that holds both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )


def find_text(darkest_HW: GreyImage, brightest_HW: GreyImage, num_frames: int) -> tuple[Box, ...]:
    """Return where text seems to be burned into a run, line by line.

    Args:
        darkest_HW: the darkest grey that each pixel has in the run.
        brightest_HW: the brightest.
        num_frames: frames in the run; of a single one nothing is known to stay, so a line needs more characters.
    """
    strokes_HW = _strokes(darkest_HW) & (brightest_HW.astype(np.int16) - darkest_HW < STEADY)
    characters = _characters(strokes_HW)
    least = MIN_CHARACTERS if num_frames > 1 else MIN_CHARACTERS_ALONE
    return tuple(_padded(line, darkest_HW.shape) for line in _lines(characters, least))


def report_text(path: Path, boxes: tuple[Box, ...], options: ImportOptions, findings: Findings) -> None:
    """Record where text seems to be burned into the run in `path`, and whether it is blanked."""
    places = ", ".join(f"rows {b.top}-{b.bottom} columns {b.left}-{b.right}" for b in boxes[:MAX_NAMED])
    more = f" and {len(boxes) - MAX_NAMED} more" if len(boxes) > MAX_NAMED else ""
    state = "blanked" if options.mask_burned_in else "left as it is"
    message = f"what looks like text is burned in and was {state}: {places}{more}"
    remedy = "look at the contact sheet" if options.mask_burned_in else "look, and blank it with --mask-burned-in"
    findings.warn("burned-in-text", path, message, remedy)


def blank(grey_HW: GreyImage, boxes: tuple[Box, ...]) -> GreyImage:
    """Return the image with black boxes."""
    blanked_HW = grey_HW.copy()
    for box in boxes:
        blanked_HW[box.top : box.bottom, box.left : box.right] = 0
    return blanked_HW


def _strokes(image_HW: GreyImage) -> npt.NDArray[np.bool_]:
    """Return what is thin and much brighter than its surroundings (a white top-hat)."""
    size_px = max(MIN_STROKE_PX, int(image_HW.shape[0] * STROKE_SHARE) | 1)
    opened_HW = ndimage.grey_opening(image_HW, size=(size_px, size_px))
    return np.asarray((image_HW >= WHITE) & (image_HW.astype(np.int16) - opened_HW >= CONTRAST))


def _characters(strokes_HW: npt.NDArray[np.bool_]) -> list[Box]:
    labels_HW, _ = ndimage.label(strokes_HW, structure=np.ones((3, 3)))
    most_px = max(strokes_HW.shape[0] * MAX_HEIGHT_SHARE, 2 * MIN_HEIGHT_PX)
    boxes = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels_HW), start=1):
        box = Box(rows.start, columns.start, rows.stop, columns.stop)
        fill = np.count_nonzero(labels_HW[rows, columns] == number) / (box.height_px * box.width_px)
        has_size = MIN_HEIGHT_PX <= box.height_px <= most_px and box.width_px <= MAX_ASPECT * box.height_px
        # A full box may be an I or a 1, but not a wide block.
        if has_size and fill >= MIN_FILL and (fill <= MAX_FILL or 3 * box.width_px <= box.height_px):
            boxes.append(box)
    return sorted(boxes, key=lambda box: (box.left, box.top))


def _lines(characters: list[Box], least: int) -> list[Box]:
    """Join characters, from left to right, to lines of at least `least`."""
    open_lines: list[list[Box]] = []
    for box in characters:
        line = next((line for line in reversed(open_lines) if _continues(line[-1], box)), None)
        if line is None:
            open_lines.append([box])
        else:
            line.append(box)
    lines = []
    for line in open_lines:
        if len(line) >= least:
            whole = line[0]
            for box in line[1:]:
                whole = whole.around(box)
            lines.append(whole)
    return sorted(lines, key=lambda box: (box.top, box.left))


def _continues(last: Box, box: Box) -> bool:
    """Return whether `box` follows `last` in a line: as high, level with it, and no further than two characters."""
    height_px = max(last.height_px, box.height_px)
    level = abs((last.top + last.bottom) - (box.top + box.bottom)) <= height_px * 0.6
    alike = height_px <= 1.7 * min(last.height_px, box.height_px)
    return level and alike and -0.3 * height_px <= box.left - last.right <= 2.0 * height_px


def _padded(box: Box, shape_px: tuple[int, ...]) -> Box:
    return Box(
        max(box.top - MARGIN_PX, 0),
        max(box.left - MARGIN_PX, 0),
        min(box.bottom + MARGIN_PX, shape_px[0]),
        min(box.right + MARGIN_PX, shape_px[1]),
    )
