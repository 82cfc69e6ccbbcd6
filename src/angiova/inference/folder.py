"""`angiova predict`: images in, masks (PNG and COCO), overlays and words out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from angiova import __version__
from angiova.data import rle
from angiova.data.manifest import DATASET_NAME, Manifest
from angiova.data.pixels import IMAGE_SUFFIXES, GreyImage, inverted, read_grey, write_png
from angiova.data.prompts import question_for
from angiova.data.syntax import TREE_PHRASE
from angiova.errors import AngiovaError, DataError, ExitCode
from angiova.export.overlay import overlay
from angiova.files import write_json
from angiova.inference.answers import Answer, Answerer, batched
from angiova.inference.predictor import load

DEFAULT_PHRASES = (TREE_PHRASE,)


@dataclass(frozen=True, slots=True)
class Source:
    """One image to predict.

    Attributes:
        name: unique and safe as a file name.
        path: the image file.
    """

    name: str
    path: Path


def predict_folder(
    model: Path,
    source: Path,
    out: Path,
    *,
    prompts: Sequence[str] = (),
    device: str | None = None,
    batch: int = 4,
    threshold: float = 0.5,
    base: Path | None = None,
    bright_vessels: bool = False,
) -> ExitCode:
    """Answer every prompt about every image and write the answers.

    OUT holds `masks/NAME__PROMPT.png` (0 and 255, image size), `overlays/NAME.png`, `masks.coco.json` and
    `answers.json`. An image that cannot be read is named, the others are done. Images with bright vessels are inverted
    first.

    Returns:
        DONE, or SOME_CASES_FAILED when an image could not be read.

    Raises:
        DataError: there is no image at all, or every one failed.
    """
    sources = find_images(source)
    predictor = load(model, device, threshold, base)
    prompts = list(prompts) or [question_for(phrase) for phrase in predictor.phrases or DEFAULT_PHRASES]
    answers: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    shown = _shown(sources, bright_vessels, failures)
    for item, image_HW, replies in _answered(predictor, shown, len(sources), prompts, batch):
        answers.append(_write_answers(out, item, image_HW, prompts, replies))
    if not answers:
        raise DataError("no image could be predicted", where=source, remedy=failures[0]["problem"])
    write_json(out / "answers.json", {"model": str(model), "answers": answers, "failed": failures})
    write_json(out / "masks.coco.json", _coco(answers, prompts))
    console = Console()
    console.print(f"{len(answers)} images, {len(prompts)} prompts each, in {out}", highlight=False)
    for failure in failures:
        console.print(f"failed: {failure['image']}: {failure['problem']}", style="red", highlight=False)
    return ExitCode.SOME_CASES_FAILED if failures else ExitCode.DONE


def find_images(source: Path) -> list[Source]:
    """Return the images of a file, a data set or a folder (searched through), in order of their names.

    Raises:
        DataError: there is none.
    """
    if (source / DATASET_NAME).exists():
        manifest = Manifest(source)
        return [Source(record.frame_id, manifest.image_path(record)) for record in manifest.records()]
    if source.is_file():
        return [Source(source.stem, source)]
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise DataError("no images found", where=source, remedy=f"known endings: {', '.join(sorted(IMAGE_SUFFIXES))}")
    return [Source(_safe("_".join(path.relative_to(source).with_suffix("").parts)), path) for path in found]


def _shown(
    sources: Sequence[Source], bright_vessels: bool, failures: list[dict[str, str]]
) -> Iterator[tuple[Source, GreyImage | None]]:
    """Yield each source with what the model is shown of it: None of what cannot be read, which `failures` names."""
    for item in sources:
        try:
            image_HW = read_grey(item.path)
            yield item, inverted(image_HW) if bright_vessels else image_HW
        except AngiovaError as error:
            failures.append({"image": str(item.path), "problem": error.problem})
            yield item, None


def _answered(
    predictor: Answerer,
    shown: Iterator[tuple[Source, GreyImage | None]],
    total: int,
    prompts: Sequence[str],
    batch: int,
) -> Iterator[tuple[Source, GreyImage, list[Answer]]]:
    """Yield each image that could be read with its answers."""
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TextColumn("images, left"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        for group in batched(shown, batch):
            readable = [(item, image_HW) for item, image_HW in group if image_HW is not None]
            questions = list(prompts) * len(readable)
            about = [i for i in range(len(readable)) for _ in prompts]
            replies = predictor.answer([image for _, image in readable], questions, about) if readable else []
            for i, (item, image_HW) in enumerate(readable):
                yield item, image_HW, replies[i * len(prompts) : (i + 1) * len(prompts)]
            bar.advance(task, len(group))


def _write_answers(
    out: Path, item: Source, image_HW: GreyImage, prompts: Sequence[str], replies: Sequence[Answer]
) -> dict[str, Any]:
    """Write the masks and the overlay of one image; return what `answers.json` says of it."""
    rows = []
    for prompt, reply in zip(prompts, replies, strict=True):
        masks = []
        for number, answer in enumerate(reply.masks):
            suffix = f"_{number + 1}" if len(reply.masks) > 1 else ""
            path = out / "masks" / f"{item.name}__{_safe(prompt)}{suffix}.png"
            write_png(path, answer.mask_HW.astype("uint8") * 255)
            masks.append(
                {
                    "file": str(path.relative_to(out)),
                    "presence": round(answer.presence, 4),
                    "rle": rle.encode(answer.mask_HW).as_coco(),
                }
            )
        rows.append({"prompt": prompt, "text": reply.text, "masks": masks})
    drawn = [answer.mask_HW for reply in replies for answer in reply.masks]
    write_png(out / "overlays" / f"{item.name}.png", overlay(image_HW, drawn))
    height, width = image_HW.shape
    return {"name": item.name, "image": str(item.path), "height": height, "width": width, "prompts": rows}


def _coco(answers: Sequence[dict[str, Any]], prompts: Sequence[str]) -> dict[str, Any]:
    """Return the answers as a COCO file: one category a prompt, compressed RLE."""
    annotations: list[dict[str, Any]] = []
    for image_id, entry in enumerate(answers, start=1):
        for category_id, row in enumerate(entry["prompts"], start=1):
            for mask in row["masks"]:
                height, width = mask["rle"]["size"]
                encoded = rle.Rle(height, width, mask["rle"]["counts"])
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": category_id,
                        "segmentation": mask["rle"],
                        "area": encoded.area_px,
                        "bbox": rle.bounding_box(encoded),
                        "iscrowd": 0,
                        "score": mask["presence"],
                    }
                )
    images = [
        {"id": i, "file_name": entry["image"], "height": entry["height"], "width": entry["width"]}
        for i, entry in enumerate(answers, start=1)
    ]
    categories = [{"id": i, "name": prompt} for i, prompt in enumerate(prompts, start=1)]
    return {
        "info": {"description": f"angiova {__version__}; research use only"},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def _safe(text: str) -> str:
    """Return `text` as part of a file name: letters, digits, dot, dash and underscore, at most 80 characters."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.UNICODE).strip("-.")[:80] or "unnamed"
