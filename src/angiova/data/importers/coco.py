"""The ``coco`` format: COCO object JSON with polygons or run lengths, and the layout of ARCADE.

    SOURCE/annotations/*.json + SOURCE/images/           plain COCO; SOURCE may also be one JSON file
    SOURCE/[TASK/]SPLIT/annotations/SPLIT.json + .../SPLIT/images/   ARCADE; TASK is syntax or stenosis

ARCADE: Popov et al., "Dataset for Automatic Region-based Coronary Artery Disease Diagnostics Using X-Ray Angiography
Images", Scientific Data 11:20 (2024), doi 10.1038/s41597-023-02871-z. Its categories are SYNTAX segment numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from angiova.data.importers.categories import Category, known_category, segment_category
from angiova.data.importers.findings import Findings
from angiova.data.importers.objects import rle_of_segmentation
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
    split_of_name,
    typed,
    words,
)
from angiova.data.records import Split, Target, TargetKind
from angiova.data.rle import Rle, union
from angiova.data.syntax import TREE_PHRASE
from angiova.errors import DataError

ARCADE_TASKS: Final = ("syntax", "stenosis")
_JSON_PLACES: Final = ("*.json", "annotations/*.json", "*/annotations/*.json", "*/*/annotations/*.json")


@dataclass(frozen=True, slots=True)
class CocoFile:
    """One COCO JSON file, read.

    Attributes:
        path: the file.
        root: the folder that its image paths may not leave.
        prefix: what frame ids begin with.
        split: the part that its place or name states.
        images: the image entries.
        annotations: the annotation entries by image id.
        categories: what each category id means.
    """

    path: Path
    root: Path
    prefix: tuple[str, ...]
    split: Split | None
    images: list[Any]
    annotations: Mapping[int, list[Mapping[str, Any]]]
    categories: Mapping[int, Category]


class CocoImporter:
    """Reads COCO object annotations."""

    name = "coco"

    def recognises(self, source: Path) -> bool:
        """Return whether JSON objects lie where COCO and ARCADE put them."""
        return any(first_character(path) == "{" for path in _json_files(source))

    def read(self, source: Path, options: ImportOptions, findings: Findings) -> Reading:
        """Return the images of every JSON file; annotations of one category on a frame are united."""
        paths = [path for path in _json_files(source) if first_character(path) == "{"]
        files = [file for file in (_read_file(path, source, len(paths), findings) for path in paths) if file]
        naming = Naming(source if source.is_dir() else _root_of_file(source), options, findings)
        frames = (frame for file in files for frame in _frames(file, naming, options, findings))
        _note_unlisted(files, findings)
        return Reading(sum(len(file.images) for file in files), frames)


def _note_unlisted(files: list[CocoFile], findings: Findings) -> None:
    """Note the images of each folder of images that none of the files lists."""
    folders = [_image_folder(file) for file in files]
    names = [_file_names(file.images) for file in files]
    listed = {folder / name for folder, of_file in zip(folders, names, strict=True) for name in of_file}
    for folder in sorted({folder for folder in folders if folder.name != "annotations"}):
        note_unlisted(folder, listed, findings)


def _file_names(images: Iterable[object]) -> list[str]:
    names = [image.get("file_name") for image in images if isinstance(image, dict)]
    return [name for name in names if isinstance(name, str)]


def first_character(path: Path) -> str:
    """Return the first character of a text file that is no white space; empty where there is none."""
    with path.open("rb") as stream:
        return stream.read(4096).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")[:1]


def _json_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source] if source.suffix.lower() == ".json" else []
    return sorted(path for place in _JSON_PLACES for path in source.glob(place) if path.is_file())


def _root_of_file(path: Path) -> Path:
    return path.parent.parent if path.parent.name == "annotations" else path.parent


def _read_file(path: Path, source: Path, num_files: int, findings: Findings) -> CocoFile | None:
    try:
        content = read_limited_json(path)
        images = typed(content, "images", list)
        categories = _categories(path, typed(content, "categories", list), _used(content), findings)
        annotations = _by_image(path, typed(content, "annotations", list), _ids(images), findings)
    except DataError as error:
        findings.refuse("json-malformed", path, error.problem, error.remedy or "check that it is COCO object JSON")
        return None
    root = source if source.is_dir() else _root_of_file(path)
    prefix, split = _prefix_and_split(path, num_files)
    return CocoFile(path, root, prefix, split, images, annotations, categories)


def _used(content: Mapping[str, Any]) -> set[object]:
    annotations = typed(content, "annotations", list)
    return {
        entry["category_id"]
        for entry in annotations
        if isinstance(entry, dict) and type(entry.get("category_id")) is int
    }


def _ids(images: Iterable[object]) -> set[object]:
    return {image["id"] for image in images if isinstance(image, dict) and type(image.get("id")) is int}


def _prefix_and_split(path: Path, num_files: int) -> tuple[tuple[str, ...], Split | None]:
    """Return ("syntax", "train") and train for ARCADE's places; otherwise the file's name where there are several."""
    part = path.resolve().parent.parent
    if path.parent.name == "annotations" and part.parent.name in ARCADE_TASKS and path.stem == part.name:
        return (part.parent.name, part.name), split_of_name(part.name)
    split = split_of_name(path.stem) or (split_of_name(part.name) if path.parent.name == "annotations" else None)
    return ((path.stem,) if num_files > 1 else ()), split


def _categories(path: Path, entries: list[Any], used: set[object], findings: Findings) -> dict[int, Category]:
    categories: dict[int, Category] = {}
    for entry in entries:
        number, name = typed(entry, "id", int), words(entry, "name")
        category = segment_category(name) or known_category(name)
        if category is None and number in used:
            message = f"category {name!r} is not known"
            findings.repair("category-unknown", path, message, "keep it as kind 'other' by its name", "rename it")
        categories[number] = category or Category(name, TargetKind.OTHER)
    return categories


def _by_image(
    path: Path, entries: list[Any], image_ids: set[object], findings: Findings
) -> dict[int, list[Mapping[str, Any]]]:
    grouped: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for index, entry in enumerate(entries):
        image_id = entry.get("image_id") if isinstance(entry, dict) else None
        if type(image_id) is int and image_id in image_ids:
            grouped[image_id].append(entry)
        else:
            where = f"{path}: annotations[{index}]"
            message = f"no image has the id {image_id!r}"
            findings.repair("annotation-without-image", where, message, "leave the annotation out", "add its image")
    return grouped


def _frames(file: CocoFile, naming: Naming, options: ImportOptions, findings: Findings) -> Iterator[SourceFrame]:
    folder = _image_folder(file)
    seen: set[int] = set()
    for index, entry in enumerate(file.images):
        where = f"{file.path}: images[{index}]"
        try:
            number, name = typed(entry, "id", int), typed(entry, "file_name", str)
            image = confined(file.root, name, folder)
        except DataError as error:
            findings.refuse("image-entry-refused", where, error.problem, error.remedy or "correct the entry")
            continue
        if number in seen:
            findings.refuse("image-id-twice", where, f"the id {number} stands twice", "give every image its own id")
        seen.add(number)
        size_px = probe_size(image, findings)
        if size_px is None or not _size_agrees(entry, size_px, image, findings):
            continue
        frame_id = frame_id_of((*file.prefix, *Path(name).with_suffix("").parts))
        targets = _targets(file, file.annotations.get(number, []), size_px, options, findings)
        if not targets:
            findings.note("image-without-annotation", image, "nothing is annotated; imported as not labelled")
        named = naming.of(image)
        yield SourceFrame(
            frame_id, image, size_px, named.run_id(frame_id), named.frame or 0, named, file.split, targets=targets
        )


def _image_folder(file: CocoFile) -> Path:
    """Return the folder that the file names start from: the first usual place that has one of the first images."""
    beside = _root_of_file(file.path)
    places = [beside / "images", beside / "images" / file.path.stem, beside / file.path.stem, beside, file.path.parent]
    names = _file_names(file.images[:20])  # not only one: it may be the one that is missing
    found = [place for place in places for name in names if place.is_dir() and _exists(place / name)]
    return found[0] if found else places[0]


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _size_agrees(entry: Mapping[str, Any], size_px: tuple[int, int], image: Path, findings: Findings) -> bool:
    stated = (entry.get("height", size_px[0]), entry.get("width", size_px[1]))
    if stated != size_px:
        message = f"the JSON says {stated[1]} x {stated[0]}, the image is {size_px[1]} x {size_px[0]}"
        findings.refuse("image-size-mismatch", image, message, "use the images that the labels were drawn on")
    return stated == size_px


def _targets(
    file: CocoFile,
    annotations: list[Mapping[str, Any]],
    size_px: tuple[int, int],
    options: ImportOptions,
    findings: Findings,
) -> tuple[Target, ...]:
    masks: dict[Category, list[Rle]] = defaultdict(list)
    for annotation in annotations:
        where = f"{file.path}: annotation {annotation.get('id')!r}"
        category = file.categories.get(annotation.get("category_id", -1)) if _has_category(annotation) else None
        if category is None:
            findings.refuse("category-missing", where, "its category_id is not in the file", "add the category")
            continue
        mask = rle_of_segmentation(annotation.get("segmentation"), size_px, where, findings)
        if mask is not None:
            masks[category].append(mask)
    targets = [unite(category, parts, options) for category, parts in masks.items()]
    return (*_whole_tree(targets), *targets)


def _has_category(annotation: Mapping[str, Any]) -> bool:
    return type(annotation.get("category_id")) is int


def unite(category: Category, masks: list[Rle], options: ImportOptions) -> Target:
    """Return one target for all masks of a category on a frame."""
    return Target(category.phrase, category.kind, union(masks), options.target_origin, segment=category.segment)


def _whole_tree(targets: list[Target]) -> list[Target]:
    """Return the union of all SYNTAX segments as a target of its own, where no tree was drawn as such."""
    segments = [target for target in targets if target.kind is TargetKind.SEGMENT]
    if not segments or any(target.kind is TargetKind.VESSEL_TREE for target in targets):
        return []
    mask = union([segment.mask for segment in segments])
    return [replace(segments[0], phrase=TREE_PHRASE, kind=TargetKind.VESSEL_TREE, mask=mask, segment=None)]
