"""The contact sheet of a simulated data set: what a person looks at first."""

from __future__ import annotations

from typing import Final

import numpy as np

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage, write_png
from angiova.data.records import FrameRecord, TargetKind
from angiova.data.syntax import SEGMENT_NAMES
from angiova.export.overlay import COLOURS, Colour, ColourImage, contact_sheet, overlay

SHEET_NAME: Final = "contact_sheet.png"
NUM_TILES: Final = 24
GOLDEN: Final = 0.618
CATHETER_COLOUR: Final[Colour] = (235, 235, 235)
STENOSIS_COLOUR: Final[Colour] = (255, 40, 40)
TREE_COLOUR: Final[Colour] = (150, 60, 60)


def write_contact_sheet(manifest: Manifest) -> None:
    """Write contact_sheet.png into the data set's folder: frames over all runs, bare and with their labels."""
    step = max(manifest.num_frames / (NUM_TILES // 2), 1.0)
    # The golden ratio spreads the tiles over early, full and late frames even when each falls in another run.
    wanted = {int((index + index * GOLDEN % 1) * step) for index in range(NUM_TILES // 2)}
    tiles: list[ColourImage] = []
    captions: list[str] = []
    for index, record in enumerate(manifest.records()):
        if index in wanted:
            image_HW = manifest.read_image(record)
            tiles += [np.repeat(image_HW[:, :, None], 3, axis=2), _labelled(image_HW, record)]
            primary, secondary = record.angles_deg or (0.0, 0.0)
            captions += [record.frame_id, f"{_view(primary, secondary)}, {len(record.targets)} targets"]
    write_png(manifest.folder / SHEET_NAME, contact_sheet(tiles, captions))


def _labelled(image_HW: GreyImage, record: FrameRecord) -> ColourImage:
    """Return the frame with tree, segments, catheter and stenosis on it, a segment always in the same colour."""
    order = list(SEGMENT_NAMES)
    colour_of = {TargetKind.VESSEL_TREE: TREE_COLOUR, TargetKind.CATHETER: CATHETER_COLOUR}
    masks, colours = [], []
    for target in record.targets:
        masks.append(rle.decode(target.mask))
        segment_colour = COLOURS[order.index(target.segment) % len(COLOURS)] if target.segment else STENOSIS_COLOUR
        colours.append(colour_of.get(target.kind, segment_colour))
    return overlay(image_HW, masks, colours)


def _view(primary_deg: float, secondary_deg: float) -> str:
    side, tilt = ("LAO" if primary_deg >= 0 else "RAO"), ("CRA" if secondary_deg >= 0 else "CAU")
    return f"{side} {abs(primary_deg):.0f} {tilt} {abs(secondary_deg):.0f}"
