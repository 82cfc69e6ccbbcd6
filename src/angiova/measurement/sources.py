"""What can be measured: masks as files, a data set, kept predictions, what `angiova predict` or `track` wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from angiova.data import rle
from angiova.data.manifest import DATASET_NAME, Manifest
from angiova.data.pixels import IMAGE_SUFFIXES, open_image, read_pixels
from angiova.data.predictions import read_predictions
from angiova.data.records import FrameRecord, TargetKind
from angiova.data.rle import BoolMask, Rle
from angiova.data.syntax import CATHETER_PHRASE, SEGMENT_NAMES, TREE_PHRASE, VESSELS_PHRASE
from angiova.data.tracked import read_masks
from angiova.errors import DataError
from angiova.files import read_json

PREDICTIONS_NAME: Final = "predictions.parquet"
ANSWERS_NAME: Final = "answers.json"
MASKS_NAME: Final = "masks.json"
MAX_MASK_PIXELS: Final = 4096 * 4096
NUMBER_OF: Final = {name: number for number, name in SEGMENT_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame to measure.

    Attributes:
        name: unique and safe as a file name.
        vessels: the masks whose union is measured, or the file of one.
        run: the run that it belongs to.
        index: its place in the run.
        time_s: seconds from the start of the run, where known.
        spacing_mm: (row, column) distance of pixel centres, where known.
        segments: masks of named segments by SYNTAX number.
        catheter: mask of the catheter, where there is one.
        image: the image file, where known.
    """

    name: str
    vessels: Path | Sequence[Rle]
    run: str
    index: int = 0
    time_s: float | None = None
    spacing_mm: tuple[float, float] | None = None
    segments: Mapping[str, Rle] = field(default_factory=dict)
    catheter: Rle | None = None
    image: Path | None = None

    def mask(self) -> BoolMask:
        """Return the mask to measure, (H, W).

        Raises:
            DataError: the file is no mask, or the masks have different sizes.
        """
        if isinstance(self.vessels, Path):
            return read_mask(self.vessels)
        if len({(mask.height, mask.width) for mask in self.vessels}) > 1:
            raise DataError("masks of different sizes", where=self.name, remedy="predict again")
        return rle.decode(rle.union(self.vessels))


def find_frames(source: Path) -> list[Frame]:
    """Return the frames of a mask file, a folder of masks, a data set, predictions, or what predict or track wrote.

    Raises:
        DataError: there is none with vessels to measure, or a file is damaged.
    """
    if not source.exists():
        raise DataError("not found", where=source)
    found = list(_read(source))
    if not found:
        raise DataError(
            "no masks of vessels found",
            where=source,
            remedy="give a mask, a folder of masks, a data set, a predictions file, or what predict or track wrote",
        )
    names = [frame.name for frame in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"two masks named {twice!r}", where=source, remedy="rename one")
    return found


def read_mask(path: Path) -> BoolMask:
    """Return a mask file as booleans (H, W).

    Raises:
        DataError: it cannot be read, or has more than two values, so that it is no mask.
    """
    open_image(path, MAX_MASK_PIXELS).close()
    pixels = read_pixels(path)
    if pixels.ndim == 3:
        colours = pixels[..., :3]
        if not (colours == colours[..., :1]).all():
            raise DataError("a colour image is no mask", where=path, remedy="give a mask of two values")
        pixels = colours[..., 0]
    if len(np.unique(pixels)) > 2:
        raise DataError("more than two values, so no mask", where=path, remedy="give 0 and 255, or 0 and 1")
    return np.asarray(pixels != 0)


def _read(source: Path) -> Iterable[Frame]:
    if source.is_file():
        return _of_predictions(source) if source.suffix == ".parquet" else [Frame(safe_name(source.stem), source, "")]
    if (source / DATASET_NAME).exists():
        manifest = Manifest(source)
        return filter(None, (_of_record(manifest, record) for record in manifest.records()))
    if (source / PREDICTIONS_NAME).exists():
        return _of_predictions(source / PREDICTIONS_NAME)
    tracked = sorted(source.glob(MASKS_NAME)) or sorted(source.glob(f"*/{MASKS_NAME}"))
    if tracked:
        return [frame for path in tracked for frame in _of_tracked(path)]
    if (source / ANSWERS_NAME).exists():
        return _of_answers(source / ANSWERS_NAME)
    files = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return [Frame(safe_name(path.stem), path, source.name, index) for index, path in enumerate(files)]


def _of_record(manifest: Manifest, record: FrameRecord) -> Frame | None:
    """Return a frame of a data set; None where no vessel is labelled."""
    trees = [t.mask for t in record.targets if t.kind is TargetKind.VESSEL_TREE]
    segments = {t.segment: t.mask for t in record.targets if t.kind is TargetKind.SEGMENT and t.segment is not None}
    catheters = [t.mask for t in record.targets if t.kind is TargetKind.CATHETER]
    if not trees and not segments:
        return None
    return Frame(
        name=record.frame_id,
        vessels=trees or list(segments.values()),
        run=record.run,
        index=record.frame,
        time_s=record.time_s,
        spacing_mm=record.spacing_mm,
        segments=segments,
        catheter=catheters[0] if catheters else None,
        image=manifest.image_path(record),
    )


def _of_predictions(path: Path) -> Iterable[Frame]:
    masks: dict[str, dict[str, Rle]] = {}
    for prediction in read_predictions(path):
        if prediction.mask is not None:
            mask = _checked(prediction.mask.counts, prediction.mask.height, prediction.mask.width)
            masks.setdefault(prediction.frame_id, {})[prediction.phrase] = mask
    return _of_phrases(masks, path.parent.name, {})


def _of_tracked(path: Path) -> Iterable[Frame]:
    """Return the frames of one run that was tracked."""
    prompts, frames = read_masks(path)
    run = safe_name(path.resolve().parent.name)
    masks = {
        f"{run}-f{index:03d}": {
            _phrase_in(prompt): _checked(each.mask.counts, each.mask.height, each.mask.width)
            for prompt, each in zip(prompts, objects, strict=True)
        }
        for index, objects in enumerate(frames)
    }
    return _of_phrases(masks, run, {})


def _of_answers(path: Path) -> Iterable[Frame]:
    try:
        answers = read_json(path)["answers"]
        masks = {str(entry["name"]): dict(_masks_of_answer(entry)) for entry in answers}
        images = {str(entry["name"]): Path(entry["image"]) for entry in answers}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not what `angiova predict` writes ({error!r})", where=path, remedy="predict again") from None
    return _of_phrases(masks, path.parent.name, images)


def _checked(counts: str, height: int, width: int) -> Rle:
    """Return a stored mask after checking that it fills an image of a size that can be measured."""
    if min(height, width) < 1 or height * width > MAX_MASK_PIXELS:
        raise DataError(f"a mask of {height} x {width} pixels", remedy=f"the limit is {MAX_MASK_PIXELS} pixels")
    return rle.from_counts(counts, height, width)


def _masks_of_answer(entry: Mapping[str, Any]) -> Iterable[tuple[str, Rle]]:
    """Yield phrase and mask of one image; the union where one prompt has several."""
    for row in entry["prompts"]:
        found = [_checked(m["rle"]["counts"], *map(int, m["rle"]["size"])) for m in row["masks"]]
        if found:
            yield _phrase_in(str(row["prompt"])), rle.union(found)


def _phrase_in(prompt: str) -> str:
    """Return the known phrase that a prompt names, or the prompt."""
    known = [TREE_PHRASE, VESSELS_PHRASE, CATHETER_PHRASE, *NUMBER_OF]
    named = [phrase for phrase in known if phrase.lower() in prompt.lower()]
    return max(named, key=len, default=prompt)


def _of_phrases(masks: Mapping[str, Mapping[str, Rle]], run: str, images: Mapping[str, Path]) -> Iterable[Frame]:
    """Yield frames: the tree where it was asked for, else all named segments."""
    for index, (name, by_phrase) in enumerate(masks.items()):
        trees = [by_phrase[phrase] for phrase in (TREE_PHRASE, VESSELS_PHRASE) if phrase in by_phrase]
        segments = {NUMBER_OF[phrase]: mask for phrase, mask in by_phrase.items() if phrase in NUMBER_OF}
        if trees or segments:
            image = images.get(name)
            yield Frame(
                name=safe_name(name),
                vessels=trees[:1] or list(segments.values()),
                run=run,
                index=index,
                segments=segments,
                catheter=by_phrase.get(CATHETER_PHRASE),
                image=image if image is not None and image.exists() else None,
            )


def safe_name(text: str) -> str:
    """Return `text` as a file name: letters, digits, dot, dash and underscore, at most 80 characters."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:80] or "unnamed"
