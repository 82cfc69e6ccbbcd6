"""The ``sa2va`` format: the list of images that Sa2VA is fine-tuned from.

    SOURCE/annotations.json   [{"image": "x.jpg", "mask": [[[x1, y1, ...], ...polygons], ...objects],
                                "text": [...one an object]}, ...]
    SOURCE/images/x.jpg

Source: bytedance/Sa2VA, docs/finetune.md. Overlapping polygons of an object are united here; the reference adds them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from angiova.data.importers.categories import category_of_phrase
from angiova.data.importers.coco import first_character, unite
from angiova.data.importers.findings import Findings
from angiova.data.importers.objects import rle_of_polygons
from angiova.data.importers.options import ImportOptions
from angiova.data.importers.source import (
    Naming,
    Reading,
    SourceFrame,
    confined,
    frame_id_of,
    note_unlisted,
    probe_size,
    read_limited_json,
    typed,
    words,
)
from angiova.data.records import Target
from angiova.data.rle import Rle
from angiova.errors import DataError


class Sa2vaImporter:
    """Reads Sa2VA's fine-tuning lists."""

    name = "sa2va"

    def recognises(self, source: Path) -> bool:
        """Return whether `source` has, or is, a JSON file that begins with a list."""
        path = _list_file(source)
        return path.is_file() and path.suffix.lower() == ".json" and first_character(path) == "["

    def read(self, source: Path, options: ImportOptions, findings: Findings) -> Reading:
        """Return the images of the list; objects of one phrase on an image are united."""
        path = _list_file(source)
        try:
            entries = read_limited_json(path)
            if not isinstance(entries, list):
                raise DataError("should be a list of images")
        except DataError as error:
            findings.refuse("json-malformed", path, error.problem, error.remedy or "see docs/finetune.md of Sa2VA")
            entries = []
        folder = _image_folder(path.parent)
        note_unlisted(folder, _listed(folder, entries), findings)
        return Reading(len(entries), _frames(path, entries, options, findings))


def _listed(folder: Path, entries: list[Any]) -> set[Path]:
    names = [entry.get("image") for entry in entries if isinstance(entry, dict)]
    return {folder / name for name in names if isinstance(name, str)}


def _list_file(source: Path) -> Path:
    return source / "annotations.json" if source.is_dir() else source


def _frames(path: Path, entries: list[Any], options: ImportOptions, findings: Findings) -> Iterator[SourceFrame]:
    naming = Naming(path.parent, options, findings)
    for index, entry in enumerate(entries):
        where = f"{path}[{index}]"
        try:
            name, objects, phrases = typed(entry, "image", str), typed(entry, "mask", list), typed(entry, "text", list)
            if len(objects) != len(phrases):
                raise DataError(f"{len(objects)} objects and {len(phrases)} texts; each object needs one text")
            phrases = [words({"text": phrase}, "text") for phrase in phrases]
            image = confined(path.parent, name, _image_folder(path.parent))
        except DataError as error:
            findings.refuse("entry-refused", where, error.problem, error.remedy or "correct the entry")
            continue
        size_px = probe_size(image, findings)
        if size_px is not None:
            frame_id, named = frame_id_of(Path(name).with_suffix("").parts), naming.of(image)
            targets = _targets(objects, phrases, size_px, where, options, findings)
            yield SourceFrame(
                frame_id, image, size_px, named.run_id(frame_id), named.frame or 0, named, targets=targets
            )


def _image_folder(root: Path) -> Path:
    return root / "images" if (root / "images").is_dir() else root


def _targets(
    objects: list[Any],
    phrases: list[str],
    size_px: tuple[int, int],
    where: str,
    options: ImportOptions,
    findings: Findings,
) -> tuple[Target, ...]:
    masks: dict[str, list[Rle]] = defaultdict(list)
    for index, (polygons, phrase) in enumerate(zip(objects, phrases, strict=True)):
        place = f"{where}.mask[{index}]"
        if not isinstance(polygons, list) or not polygons or not all(isinstance(item, list) for item in polygons):
            findings.refuse("object-malformed", place, "an object should be a list of polygons", "correct the entry")
            continue
        mask = rle_of_polygons(polygons, size_px, place, findings)
        if mask is not None:
            masks[phrase].append(mask)
    return tuple(unite(category_of_phrase(phrase), parts, options) for phrase, parts in masks.items())
