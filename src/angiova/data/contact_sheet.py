"""One picture of a data set, so that a person sees at once whether labels lie where they should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from angiova.data.manifest import Manifest
from angiova.data.pixels import write_png
from angiova.data.records import FrameRecord, TargetKind
from angiova.data.rle import BoolMask, decode
from angiova.export.overlay import contact_sheet, overlay


def write_contact_sheet(manifest: Manifest, path: Path, num_frames: int = 24) -> None:
    """Write up to `num_frames` frames, spread evenly over `manifest`, with their targets as one PNG.

    Raises:
        DataError: an image of the data set cannot be read.
    """
    tiles, captions = [], []
    for record in _spread(manifest, num_frames):
        tiles.append(overlay(manifest.read_image(record), _masks_to_draw(record)))
        captions.append(record.frame_id)
    write_png(path, contact_sheet(tiles, captions))


def _spread(manifest: Manifest, num_frames: int) -> Iterator[FrameRecord]:
    last = manifest.num_frames - 1
    wanted = {int(index) for index in np.linspace(0, last, min(num_frames, manifest.num_frames)).round()}
    return (record for index, record in enumerate(manifest.records()) if index in wanted)


def _masks_to_draw(record: FrameRecord) -> list[BoolMask]:
    """Return the masks to draw; a tree is left out where its named segments show the same pixels in more detail."""
    kinds = {target.kind for target in record.targets}
    hidden = {TargetKind.VESSEL_TREE} if TargetKind.SEGMENT in kinds else set()
    return [decode(target.mask) for target in record.targets if target.kind not in hidden]
