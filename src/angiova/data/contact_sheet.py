"""One picture of a data set, so that a person sees at once whether labels lie where they should."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage, write_png
from angiova.data.records import FrameRecord, Target, TargetKind
from angiova.data.syntax import SEGMENT_NAMES
from angiova.export.overlay import COLOURS, Colour, ColourImage, contact_sheet, overlay

SHEET_NAME: Final = "contact_sheet.png"
NUM_FRAMES: Final = 12
GOLDEN: Final = 0.618
KIND_COLOURS: Final[dict[TargetKind, Colour]] = {
    TargetKind.VESSEL_TREE: (150, 60, 60),
    TargetKind.CATHETER: (235, 235, 235),
    TargetKind.STENOSIS: (255, 40, 40),
}


def write_contact_sheet(manifest: Manifest, path: Path) -> None:
    """Write up to NUM_FRAMES frames, spread over `manifest`, each bare and with its targets, as one PNG.

    Raises:
        DataError: an image of the data set cannot be read.
    """
    step = max(manifest.num_frames / NUM_FRAMES, 1.0)
    # The golden ratio spreads the frames over early, full and late ones even when each falls in another run.
    wanted = {int((index + index * GOLDEN % 1) * step) for index in range(NUM_FRAMES)}
    tiles: list[ColourImage] = []
    captions: list[str] = []
    for index, record in enumerate(manifest.records()):
        if index in wanted:
            image_HW = manifest.read_image(record)
            tiles += [np.repeat(image_HW[:, :, None], 3, axis=2), labelled(image_HW, record)]
            captions += [record.frame_id, _facts(record)]
    write_png(path, contact_sheet(tiles, captions))


def labelled(image_HW: GreyImage, record: FrameRecord) -> ColourImage:
    """Return the frame with its targets on it, the tree lowest; a named segment always has the same colour."""
    ordered = sorted(record.targets, key=lambda target: target.kind is not TargetKind.VESSEL_TREE)
    return overlay(image_HW, [rle.decode(target.mask) for target in ordered], [_colour(target) for target in ordered])


def _colour(target: Target) -> Colour:
    if target.segment is not None and target.segment in SEGMENT_NAMES:
        return COLOURS[list(SEGMENT_NAMES).index(target.segment) % len(COLOURS)]
    return KIND_COLOURS.get(target.kind, COLOURS[0])


def _facts(record: FrameRecord) -> str:
    """Return the second caption of a frame, e.g. "LAO 30 CRA 20, 5 targets"."""
    targets = f"{len(record.targets)} targets"
    if record.angles_deg is None:
        return targets
    primary, secondary = record.angles_deg
    side, tilt = ("LAO" if primary >= 0 else "RAO"), ("CRA" if secondary >= 0 else "CAU")
    return f"{side} {abs(primary):.0f} {tilt} {abs(secondary):.0f}, {targets}"
