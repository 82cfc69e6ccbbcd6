"""Mask images: which folders hold them, which image each belongs to, and what their pixels mean."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from angiova.data.importers.findings import Findings
from angiova.data.importers.source import image_files
from angiova.data.pixels import read_pixels, to_grey
from angiova.data.rle import BoolMask, Rle, encode
from angiova.errors import DataError

Pixels = npt.NDArray[Any]

MASK_FOLDER: Final = re.compile(r"(pseudo_)?(mask|label|annotation)s.*", re.IGNORECASE)
FIELD_OF_VIEW_FOLDER: Final = "fov"
# Endings that tell an image from its masks, as DRIVE, STARE, CHASE_DB1 and common drawing tools write them.
_SUFFIX: Final = re.compile(
    r"[_-](masks?|manual\d*|gt|labels?|seg|segmentation|annotations?|fov|vessels?|\d(?:st|nd)HO|image|img|training|test)$",
    re.IGNORECASE,
)
# A mask of classes numbers them from 1; an anti-aliased one has most of the range up to 255.
MAX_CLASS_NUMBER: Final = 31


@dataclass(frozen=True, slots=True)
class Pair:
    """An image with its masks.

    Attributes:
        image: the image file.
        masks: for each mask, the name of its folder and the file.
        field_of_view: where the image is valid, as a mask file.
    """

    image: Path
    masks: tuple[tuple[str, Path], ...] = ()
    field_of_view: Path | None = None


def mask_folder_of(parts: Sequence[str]) -> str | None:
    """Return the first folder name in a path relative to the source that says masks lie below it."""
    return next((part for part in parts if MASK_FOLDER.fullmatch(part) or part == FIELD_OF_VIEW_FOLDER), None)


def pair_up(source: Path, findings: Findings) -> list[Pair]:
    """Pair every image under `source` with its masks, in natural order.

    Image and mask belong together where their paths are the same once the folder ``images`` and the folder of masks are
    taken out of them, with or without an ending such as ``_mask``: ``p1/images/f1.jpg`` and ``p1/masks/f1_mask.png``,
    or ``images/p1/f1.jpg`` and ``masks/p1/f1.png``. A mask without an image, or two of one folder for one image, is a
    finding.
    """
    images: dict[PurePath, Path] = {}
    folders: dict[str, list[tuple[PurePath, Path]]] = defaultdict(list)
    twins: list[Pair] = []
    for path in image_files(source, findings):
        parts = path.relative_to(source).with_suffix("").parts
        folder = mask_folder_of(parts[:-1])
        key = PurePath(*(part for part in parts[:-1] if part not in ("images", folder)), parts[-1])
        if folder is not None:
            folders[folder].append((key, path))
        elif key in images:
            twins.append(Pair(path))  # the same name with another ending: refused later as a duplicate frame
        else:
            images[key] = path
    matched = {name: _match_folder(masks, list(images), findings) for name, masks in sorted(folders.items())}
    views = matched.pop(FIELD_OF_VIEW_FOLDER, {})
    return [
        *(Pair(path, _masks_of(key, matched), views.get(key)) for key, path in images.items()),
        *twins,
    ]


def _masks_of(key: PurePath, matched: Mapping[str, Mapping[PurePath, Path]]) -> tuple[tuple[str, Path], ...]:
    return tuple((name, masks[key]) for name, masks in matched.items() if key in masks)


def _match_folder(
    masks: Sequence[tuple[PurePath, Path]], images: Sequence[PurePath], findings: Findings
) -> dict[PurePath, Path]:
    exact, bare = set(images), [_bare(key) for key in images]
    count = Counter(bare)
    loose = {short: key for short, key in zip(bare, images, strict=True) if count[short] == 1}
    matched: dict[PurePath, Path] = {}
    for key, mask in masks:
        image = next((choice for choice in (key, _bare(key)) if choice in exact), loose.get(_bare(key)))
        if image is None:
            findings.repair("mask-without-image", mask, "no image has this name", "leave the mask out", "add its image")
        elif image in matched:
            message = f"{matched[image].name} is already the mask of {image} in this folder"
            findings.refuse("mask-twice", mask, message, "give every observer a folder")
        else:
            matched[image] = mask
    return matched


def _bare(key: PurePath) -> PurePath:
    return key.with_name(_SUFFIX.sub("", key.name) or key.name)


def read_mask(path: Path, size_px: tuple[int, int], findings: Findings) -> Rle | None:
    """Return the mask in an image file; the brighter of its two values is the object.

    Args:
        path: the mask image.
        size_px: (height, width) of the image that it belongs to.
        findings: told what is wrong.

    Returns:
        The mask, or None when it cannot be used, which then is a finding.
    """
    try:
        pixels = read_pixels(path)
    except DataError as error:
        findings.repair("mask-unreadable", path, error.problem, "leave the mask out", error.remedy or "")
        return None
    if pixels.shape[:2] != size_px:
        message = f"mask is {pixels.shape[1]} x {pixels.shape[0]}, its image {size_px[1]} x {size_px[0]}"
        # Never resized: a vessel of one or two pixels would not survive it.
        findings.refuse("mask-size-mismatch", path, message, "export the mask at the image's own size")
        return None
    mask_HW = _foreground(pixels, path, findings)
    return None if mask_HW is None else encode(mask_HW)


def _foreground(pixels: Pixels, path: Path, findings: Findings) -> BoolMask | None:
    single_HW = pixels if pixels.ndim == 2 else to_grey(pixels)
    values = np.unique(single_HW)
    if len(values) > 2 and pixels.ndim == 2 and values[-1] <= MAX_CLASS_NUMBER:
        message = f"{len(values)} classes in one mask"
        findings.refuse("mask-of-classes", path, message, "write one folder of masks a class, or use COCO")
        return None
    if len(values) > 2 or (len(values) == 2 and values[0] != 0):
        return _thresholded(single_HW, values, path, findings)
    if len(values) == 1 and values[0] != 0:
        findings.warn("mask-full", path, "every pixel is marked", "check the mask")
    return np.asarray(single_HW != 0)


def _thresholded(single_HW: Pixels, values: Pixels, path: Path, findings: Findings) -> BoolMask | None:
    half = float(values[-1]) / 2
    shown = ", ".join(str(value) for value in values[:4].tolist())
    message = f"{len(values)} values ({shown}{', ...' if len(values) > 4 else ''}) where a mask has 0 and one more"
    remedy = "export it without smoothing, as PNG"
    if findings.repair("mask-not-binary", path, message, f"count what is above {half:g} as the object", remedy):
        return np.asarray(single_HW > half)
    return None
