"""What `angiova track` writes of a run: pictures, tables and objects for other programs, made from its masks."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from angiova.data import rle
from angiova.data.pixels import GreyImage, write_png
from angiova.data.records import FrameRecord
from angiova.data.tracked import TrackedRun, write_masks
from angiova.errors import ConfigError
from angiova.evaluation.motion import motions_of
from angiova.evaluation.tracked_runs import measure_tracked, phrase_of, truth_of
from angiova.export.cine import MILLI, overlays, write_gif, write_mp4
from angiova.export.coco import CocoImage, write_coco
from angiova.export.dicom_seg import Segment, write_dicom_seg
from angiova.export.overlay import ColourImage, overlay
from angiova.export.secondary_capture import write_secondary_capture
from angiova.files import atomic_path, write_json
from angiova.inference.cardiac import CardiacPhase, Unclear
from angiova.inference.opacification import describe_levels
from angiova.report.run_picture import ShownRun, write_run_picture

MASKS_NAME: Final = "masks.json"
NO_BEAT: Final = CardiacPhase(None, None, 0.0, Unclear.NO_TIMES)
WHITE: Final = 255
COLUMNS: Final = (
    *("frame", "name", "time_s", "contrast_level", "phase", "object", "prompt"),
    *("presence", "area_px", "area_mm2", "mean_probability"),
)


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that an output is made from.

    Attributes:
        run: the masks.
        images: the frames, 8-bit grey (H, W).
        folder: where outputs go.
        dicoms: the DICOM files of the run in order; none where it has another source.
        name: name of the run.
        key_frames: frames that the language model saw.
        beat: what `angiova.inference.cardiac` says of the run.
        records: its frames with their labels, of a run in a data set.
    """

    run: TrackedRun
    images: Sequence[GreyImage]
    folder: Path
    dicoms: tuple[Path, ...] = ()
    name: str = ""
    key_frames: tuple[int, ...] = ()
    beat: CardiacPhase = NO_BEAT
    records: tuple[FrameRecord, ...] = ()

    @property
    def rising_times_s(self) -> tuple[float, ...] | None:
        """The times of the frames where a film can have them."""
        return rising(self.run.times_s)

    def pictures(self) -> Iterator[ColourImage]:
        """Yield each frame with the masks of its objects laid over it."""
        return overlays(self.images, self.run.masks_by_frame())


def rising(times_s: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Return times of which each is at least a millisecond after the one before; None where they are not so."""
    if times_s is None or any(round(b * MILLI) <= round(a * MILLI) for a, b in pairwise(times_s)):
        return None
    return times_s


def _masks(material: Material) -> None:
    write_masks(material.folder / MASKS_NAME, material.run)


def _pngs(material: Material) -> None:
    """Write a folder of masks for each object, 0 and 255, numbered as the frames are."""
    for frame, masks in enumerate(material.run.masks_by_frame()):
        for number, mask_HW in enumerate(masks, start=1):
            path = material.folder / "png" / f"object{number}" / f"{frame:05d}.png"
            write_png(path, mask_HW.astype("uint8") * WHITE)


def _mp4(material: Material) -> None:
    write_mp4(material.folder / "overlay.mp4", material.pictures(), material.rising_times_s)


def _gif(material: Material) -> None:
    write_gif(material.folder / "overlay.gif", material.pictures(), material.rising_times_s)


def _csv(material: Material) -> None:
    """Write one row a frame and object."""
    run, path = material.run, material.folder / "frames.csv"
    pixel_mm2 = None if run.spacing_mm is None else run.spacing_mm[0] * run.spacing_mm[1]
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for frame, objects in enumerate(run.frames):
            time_s = None if run.times_s is None else round(run.times_s[frame], 6)
            for number, (prompt, each) in enumerate(zip(run.prompts, objects, strict=True), start=1):
                area_px = each.mask.area_px
                area_mm2 = None if pixel_mm2 is None else round(area_px * pixel_mm2, 4)
                shown = (frame, run.names[frame], time_s, round(run.levels[frame], 6), run.phases[frame])
                table.writerow((*shown, number, prompt, each.presence, area_px, area_mm2, each.mean_probability))


def _dicom_seg(material: Material) -> None:
    if material.dicoms:
        prompts = enumerate(material.run.prompts)
        segments = [Segment(prompt, material.run.masks_of(number)) for number, prompt in prompts]
        write_dicom_seg(material.folder / "segmentation.dcm", material.dicoms, segments)


def _coco(material: Material) -> None:
    """Write the frames and one COCO file about them: a data set that other programs, and our importer, read."""
    folder, (height, width) = material.folder / "coco", material.run.shape_px
    categories = _categories(material.run.prompts)
    images = []
    for frame, (image_HW, objects) in enumerate(zip(material.images, material.run.frames, strict=True)):
        name = f"{frame:05d}.png"
        write_png(folder / "images" / name, image_HW)
        of_category = list(zip(categories, objects, strict=True))
        masks = {category: each.mask for category, each in of_category}
        scores = {category: each.presence for category, each in of_category}
        images.append(CocoImage(name, height, width, masks, scores))
    write_coco(folder / "annotations.json", images)


def _categories(prompts: Sequence[str]) -> list[str]:
    """Return a name for each object: its prompt, numbered where several have the same."""
    numbered = [prompts[:place].count(prompt) + 1 for place, prompt in enumerate(prompts)]
    return [prompt if n == 1 else f"{prompt} ({n})" for prompt, n in zip(prompts, numbered, strict=True)]


def _secondary_capture(material: Material) -> None:
    if material.dicoms:
        write_secondary_capture(material.folder / "overlay.dcm", material.dicoms, material.pictures())


def _picture(material: Material) -> None:
    """Write the run in one picture, with the key frames and their masks."""
    run, shown = material.run, describe_levels(material.run.levels)
    frames = material.key_frames or (shown.peak,)
    pictures = {
        frame: overlay(material.images[frame], [rle.decode(each.mask) for each in run.frames[frame]])
        for frame in frames
    }
    write_run_picture(
        material.folder / "run.svg", ShownRun(material.name, material.rising_times_s, shown, material.beat, pictures)
    )


def _measures(material: Material) -> None:
    """Write how steady the masks of each object are, and how good where the source is labelled."""
    run, motions = material.run, list(motions_of(material.images))
    objects = []
    for number, prompt in enumerate(run.prompts):
        truth = truth_of(material.records, phrase_of(prompt))
        found = measure_tracked(
            material.name, material.records, run.masks_of(number), motions, truth, material.key_frames
        )
        objects.append({"prompt": prompt, "labelled_frames": len(truth)} | found.as_json())
    write_json(material.folder / "measures.json", {"run": material.name, "objects": objects})


# What `--outputs` chooses from; masks.json is always written.
WRITERS: Final[dict[str, Callable[[Material], None]]] = {
    "png": _pngs,
    "mp4": _mp4,
    "gif": _gif,
    "csv": _csv,
    "coco": _coco,
    "dicom-seg": _dicom_seg,
    "secondary-capture": _secondary_capture,
    "picture": _picture,
    "measures": _measures,
}
DEFAULT_OUTPUTS: Final = ("png", "mp4", "csv", "dicom-seg", "picture")


def parse_outputs(text: str | None) -> tuple[str, ...]:
    """Return the outputs that a list with commas names; the usual ones where there is none.

    Raises:
        ConfigError: one of them is not known.
    """
    if text is None:
        return DEFAULT_OUTPUTS
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in WRITERS]
    if unknown:
        remedy = f"choose from {','.join(WRITERS)}"
        raise ConfigError(f"no output {unknown[0]!r}", where="--outputs", remedy=remedy)
    return tuple(name for name in WRITERS if name in names)


def write_outputs(material: Material, outputs: Sequence[str]) -> None:
    """Write `masks.json` and the outputs named.

    Raises:
        DataError: one of them cannot be made of this run.
    """
    _masks(material)
    for name in outputs:
        WRITERS[name](material)
