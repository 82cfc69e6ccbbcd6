"""Small sources in every format, written by the tests that import them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from angiova.data.importers import ImportOptions, ImportReport, import_dataset
from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord

Grey = npt.NDArray[np.uint8]
SQUARE = [4.0, 4.0, 12.0, 4.0, 12.0, 12.0, 4.0, 12.0]  # 8 x 8 pixels from (4, 4) on
SHAPE_PX = (24, 32)


def noise(seed: int, shape_px: tuple[int, int] = SHAPE_PX) -> Grey:
    """Return an image that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, shape_px, dtype=np.uint8)


def square_mask(shape_px: tuple[int, int] = SHAPE_PX, value: int = 255) -> Grey:
    """Return the mask that SQUARE outlines."""
    mask_HW = np.zeros(shape_px, dtype=np.uint8)
    mask_HW[4:12, 4:12] = value
    return mask_HW


def write_image(path: Path, pixels: npt.NDArray[Any]) -> Path:
    """Write `pixels` in the format that the file's ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_json(path: Path, value: object) -> Path:
    """Write `value` as JSON, NaN included, as Python's own writer does by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def coco(
    images: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    """Return COCO object JSON whose category ids count from 1."""
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return {"images": list(images), "annotations": list(annotations), "categories": categories}


def coco_image(number: int, name: str, shape_px: tuple[int, int] = SHAPE_PX) -> dict[str, Any]:
    """Return one image entry."""
    return {"id": number, "file_name": name, "height": shape_px[0], "width": shape_px[1]}


def annotation(image: int, category: int, segmentation: object) -> dict[str, Any]:
    """Return one annotation entry."""
    return {"id": 1, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0}


def write_coco(folder: Path, segmentation: object = (SQUARE,), name: str = "6", file_name: str = "1.png") -> Path:
    """Write a COCO source with one image and one annotation, and return its folder."""
    write_image(folder / "images" / "1.png", noise(1))
    content = coco([coco_image(1, file_name)], [annotation(1, 1, segmentation)], [name])
    write_json(folder / "annotations" / "labels.json", content)
    return folder


def write_masks(folder: Path, num_images: int = 2) -> Path:
    """Write a source with images and masks, and return its folder."""
    for number in range(num_images):
        write_image(folder / "images" / f"a{number}.png", noise(number))
        write_image(folder / "masks" / f"a{number}.png", square_mask())
    return folder


def write_sa2va(folder: Path, mask: object = ((SQUARE,),), text: Sequence[object] = ("left main",)) -> Path:
    """Write a Sa2VA fine-tuning list with one image, and return its folder."""
    write_image(folder / "images" / "x.jpg", noise(1))
    write_json(folder / "annotations.json", [{"image": "x.jpg", "mask": mask, "text": list(text)}])
    return folder


def write_video(folder: Path, masks: Mapping[str, Any], anno_ids: Sequence[str] = ("0",), num_frames: int = 2) -> Path:
    """Write a Sa2VA video list with one video, and return its folder."""
    names = [f"{number:05d}" for number in range(num_frames)]
    for number, name in enumerate(names):
        write_image(folder / "JPEGImages" / "v1" / f"{name}.jpg", noise(number))
    expressions = {"0": {"exp": "the vessel tree", "obj_id": [0], "anno_id": list(anno_ids)}}
    write_json(folder / "meta_expressions.json", {"videos": {"v1": {"frames": names, "expressions": expressions}}})
    write_json(folder / "mask_dict.json", masks)
    return folder


def run_import(source: Path, out: Path, format: str | None = None, **options: Any) -> ImportReport:  # noqa: ANN401
    """Import `source` into `out` with the given options."""
    return import_dataset(source, out, format=format, options=ImportOptions(**options))


def records_of(folder: Path) -> dict[str, FrameRecord]:
    """Return the frames of a data set by their id."""
    return {record.frame_id: record for record in Manifest(folder).records()}


def tree_bytes(folder: Path) -> dict[str, bytes]:
    """Return the content of every file under `folder`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
