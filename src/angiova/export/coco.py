"""Masks as COCO object annotations: run-length encoded, one annotation a mask, read by pycocotools and by our importer.

An image whose phrase was asked and answered with nothing has no annotation of it, as COCO wants it; that it was asked
stands in the image's own field `absent_category_ids`, which other readers pass over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from angiova import __version__
from angiova.data.records import FrameRecord, Prediction
from angiova.data.rle import Rle, bounding_box, empty
from angiova.errors import DataError
from angiova.files import write_json

DESCRIPTION: Final = "Predicted masks. Research use only, not for diagnosis."


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One image and the masks asked for on it.

    Attributes:
        file_name: where the image lies, as the reader shall find it.
        height, width: in pixels.
        masks: by phrase, at the image's size; empty ones say that the thing is absent.
        scores: probability that the thing is there, by phrase, where known.
    """

    file_name: str
    height: int
    width: int
    masks: Mapping[str, Rle]
    scores: Mapping[str, float] = field(default_factory=dict)


def write_coco(path: Path, images: Iterable[CocoImage]) -> int:
    """Write images with their masks as one COCO file and return the number of annotations.

    Images get ids from 1 in their order, categories in the order of their names.

    Raises:
        DataError: a file name stands twice, or a mask is not of its image's size.
    """
    listed = list(images)
    _check(path, listed)
    phrases = sorted({phrase for image in listed for phrase in image.masks})
    ids = {phrase: number for number, phrase in enumerate(phrases, start=1)}
    annotations = [
        _annotation(number, ids[phrase], mask, image.scores.get(phrase))
        for number, image in enumerate(listed, start=1)
        for phrase, mask in image.masks.items()
        if not mask.is_empty
    ]
    write_json(
        path,
        {
            "info": {"description": DESCRIPTION, "contributor": f"angiova {__version__}"},
            "images": [_image(number, image, ids) for number, image in enumerate(listed, start=1)],
            "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, start=1)],
            "categories": [{"id": number, "name": phrase} for phrase, number in ids.items()],
        },
    )
    return len(annotations)


def images_of(records: Iterable[FrameRecord], predictions: Iterable[Prediction]) -> list[CocoImage]:
    """Return the frames of a run or a data set with what was predicted on them; frames without an answer stay in.

    An answer without a mask counts as absent.

    Raises:
        DataError: a prediction is about a frame that is not among the records.
    """
    images = {record.frame_id: CocoImage(record.image, record.height, record.width, {}) for record in records}
    masks: dict[str, dict[str, Rle]] = {frame_id: {} for frame_id in images}
    scores: dict[str, dict[str, float]] = {frame_id: {} for frame_id in images}
    for answer in predictions:
        if answer.frame_id not in images:
            remedy = "give the data set that the predictions were made on"
            raise DataError("a prediction about a frame that is not there", where=answer.frame_id, remedy=remedy)
        image = images[answer.frame_id]
        masks[answer.frame_id][answer.phrase] = answer.mask or empty(image.height, image.width)
        scores[answer.frame_id][answer.phrase] = answer.presence
    return [
        CocoImage(image.file_name, image.height, image.width, masks[frame_id], scores[frame_id])
        for frame_id, image in images.items()
    ]


def _check(path: Path, images: list[CocoImage]) -> None:
    seen: set[str] = set()
    for image in images:
        if image.file_name in seen:
            raise DataError(f"the image {image.file_name!r} stands twice", where=path, remedy="give each image once")
        seen.add(image.file_name)
        for phrase, mask in image.masks.items():
            if (mask.height, mask.width) != (image.height, image.width):
                problem = f"a mask is {mask.height} x {mask.width}, the image {image.height} x {image.width}"
                raise DataError(problem, where=f"{image.file_name}: {phrase}", remedy="predict at the image's size")


def _image(number: int, image: CocoImage, ids: Mapping[str, int]) -> dict[str, Any]:
    absent = [ids[phrase] for phrase, mask in image.masks.items() if mask.is_empty]
    return {
        "id": number,
        "file_name": image.file_name,
        "height": image.height,
        "width": image.width,
        "absent_category_ids": absent,
    }


def _annotation(image: int, category: int, mask: Rle, score: float | None) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": mask.as_coco(),
        "area": mask.area_px,
        "bbox": bounding_box(mask),
        "iscrowd": 0,
    } | ({} if score is None else {"score": score})
