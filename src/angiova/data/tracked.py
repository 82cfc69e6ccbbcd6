"""The masks of several objects through a run, as data, and `masks.json`, the file that holds them.

    {
      "format": "angiova-masks/1",
      "height": 512, "width": 512, "num_frames": 60,
      "objects": [{"id": 1, "prompt": "segment the vessel tree"}],
      "masks": [
        {"frame": 0, "object": 1, "presence": 0.0312, "mean_probability": null,
         "rle": {"size": [512, 512], "counts": "..."}},
        ...
      ]
    }

One entry a frame and object, in this order, empty masks included. `rle` is COCO's compressed run lengths, as
pycocotools reads them; frames count from 0, objects from 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from angiova.data import rle
from angiova.data.rle import BoolMask, Rle
from angiova.errors import DataError
from angiova.files import atomic_path, read_json

FORMAT: Final = "angiova-masks/1"


@dataclass(frozen=True, slots=True)
class TrackedObject:
    """One object in one frame.

    Attributes:
        mask: its mask at image resolution; empty where it is judged absent.
        presence: probability that it is in the frame.
        mean_probability: mean over the pixels of the mask; None where the mask is empty.
    """

    mask: Rle
    presence: float
    mean_probability: float | None


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """N objects in the T frames of a run.

    Attributes:
        shape_px: (height, width) of every frame.
        prompts: what each object was asked for by, N of them.
        frames: for each frame its N objects.
        times_s: seconds from the first frame, where all are known.
        levels: share of each frame that looks like vessel, 0 to 1: how much contrast there is.
        phases: phase of the contrast in each frame; None each where it is not clear.
        names: the frames' own names.
        spacing_mm: (row, column) spacing in the plane of the vessel, where known.
    """

    shape_px: tuple[int, int]
    prompts: tuple[str, ...]
    frames: Sequence[tuple[TrackedObject, ...]]
    times_s: tuple[float, ...] | None
    levels: tuple[float, ...]
    phases: tuple[str | None, ...]
    names: tuple[str, ...]
    spacing_mm: tuple[float, float] | None

    def masks_of(self, object_index: int) -> Sequence[BoolMask]:
        """Return the masks (H, W) of one object, frame by frame; each is decoded when it is asked for."""
        return _Masks([objects[object_index].mask for objects in self.frames])

    def masks_by_frame(self) -> Iterator[list[BoolMask]]:
        """Yield the masks (H, W) of all objects, frame by frame."""
        for objects in self.frames:
            yield [rle.decode(each.mask) for each in objects]


class _Masks(Sequence[BoolMask]):
    def __init__(self, masks: list[Rle]) -> None:
        self._masks = masks

    def __len__(self) -> int:
        return len(self._masks)

    def __getitem__(self, index: int) -> BoolMask:  # type: ignore[override]  # a slice would hold many masks
        return rle.decode(self._masks[index])


def write_masks(path: Path, run: TrackedRun) -> None:
    """Write the masks of a run as `masks.json`, atomically and entry by entry."""
    height, width = run.shape_px
    head = {
        "format": FORMAT,
        "height": height,
        "width": width,
        "num_frames": len(run.frames),
        "objects": [{"id": number, "prompt": prompt} for number, prompt in enumerate(run.prompts, start=1)],
    }
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as stream:
        stream.write("{\n" + "".join(f'"{key}": {_line(value)},\n' for key, value in head.items()) + '"masks": [')
        for number, entry in enumerate(_entries(run)):
            stream.write((",\n" if number else "\n") + _line(entry))
        stream.write("\n]\n}\n")


def read_masks(path: Path) -> tuple[tuple[str, ...], list[tuple[TrackedObject, ...]]]:
    """Return the prompts, and for each frame its objects, of a `masks.json`.

    Raises:
        DataError: it cannot be read, or entries are missing or broken.
    """
    content = read_json(path)
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}")
        prompts = tuple(str(entry["prompt"]) for entry in content["objects"])
        size_px = (int(content["height"]), int(content["width"]))
        places = [(frame, number) for frame in range(content["num_frames"]) for number in range(1, len(prompts) + 1)]
        if [(entry["frame"], entry["object"]) for entry in content["masks"]] != places:
            raise ValueError("its entries are not one a frame and object, in this order")
        objects = [_object(entry, size_px) for entry in content["masks"]]
    except (KeyError, TypeError, ValueError, DataError) as error:
        raise DataError(f"not a file of masks ({error})", where=path, remedy="track the run again") from None
    count = len(prompts)
    return prompts, [tuple(objects[start : start + count]) for start in range(0, len(objects), count)]


def _entries(run: TrackedRun) -> Iterator[dict[str, Any]]:
    for frame, objects in enumerate(run.frames):
        for number, each in enumerate(objects, start=1):
            yield {
                "frame": frame,
                "object": number,
                "presence": each.presence,
                "mean_probability": each.mean_probability,
                "rle": each.mask.as_coco(),
            }


def _object(entry: dict[str, Any], size_px: tuple[int, int]) -> TrackedObject:
    if tuple(entry["rle"]["size"]) != size_px:
        raise ValueError(f"a mask of {entry['rle']['size']} pixels")
    mean = entry["mean_probability"]
    mask = rle.from_counts(str(entry["rle"]["counts"]), *size_px)
    return TrackedObject(mask, float(entry["presence"]), None if mean is None else float(mean))


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
