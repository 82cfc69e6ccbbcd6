"""The ``masks`` format: a folder ``images`` with folders of masks beside it, one an observer.

    SOURCE/images/Image_01L.png          or SOURCE/train/images/..., SOURCE/val/images/...
    SOURCE/masks/Image_01L.png           also masks_ANYTHING, labels*, annotations*, pseudo_masks*
    SOURCE/masks_observer2/Image_01L_mask.png
    SOURCE/fov/Image_01L.png             where the image is valid, if at all

Masks belong to the image of the same name, with or without an ending such as ``_mask`` or ``_manual1``. With several
folders of masks, each target's observer is the folder's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from angiova.data.importers.categories import category_of_phrase
from angiova.data.importers.findings import Findings
from angiova.data.importers.mask_files import MASK_FOLDER, Pair, pair_up, read_mask
from angiova.data.importers.options import ImportOptions
from angiova.data.importers.source import Naming, Reading, SourceFrame, frame_id_of, probe_size, split_of_name
from angiova.data.records import Origin, Target
from angiova.data.syntax import VESSELS_PHRASE


class MaskImporter:
    """Reads images with mask images of the same name."""

    name = "masks"

    def recognises(self, source: Path) -> bool:
        """Return whether `source`, or a part of it named by a split, has images and masks side by side."""
        return any(_has_images_and_masks(folder) for folder in (source, *_parts(source)))

    def read(self, source: Path, options: ImportOptions, findings: Findings) -> Reading:
        """Return every image with its masks; an image without any is a problem, which `--fix` imports unlabelled."""
        pairs = []
        for pair in pair_up(source, findings):
            if "images" in pair.image.relative_to(source).parts[:-1]:
                pairs.append(pair)
            else:
                findings.note("image-ignored", pair.image, "lies in no folder 'images', nor in one of masks")
        return Reading(len(pairs), _frames(source, pairs, options, findings))


def _parts(source: Path) -> list[Path]:
    return [path for path in sorted(source.iterdir()) if split_of_name(path.name)] if source.is_dir() else []


def _has_images_and_masks(folder: Path) -> bool:
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return "images" in names and any(MASK_FOLDER.fullmatch(name) for name in names)


def _frames(source: Path, pairs: list[Pair], options: ImportOptions, findings: Findings) -> Iterator[SourceFrame]:
    naming, observers = Naming(source, options, findings), observers_of(pairs)
    for pair in pairs:
        if not pair.masks:
            findings.repair("image-without-mask", pair.image, "no mask", "import it as not labelled", "add its mask")
        size_px = probe_size(pair.image, findings)
        if size_px is None:
            continue
        relative = pair.image.relative_to(source)
        frame_id, named = frame_id_of(relative.with_suffix("").parts), naming.of(pair.image)
        yield SourceFrame(
            frame_id=frame_id,
            image=pair.image,
            size_px=size_px,
            run=named.run_id(otherwise=frame_id),
            frame=named.frame or 0,
            named=named,
            split=split_of_name(relative.parts[0]) if relative.parts[0] != "images" else None,
            field_of_view=read_mask(pair.field_of_view, size_px, findings) if pair.field_of_view else None,
            targets=targets_of_pair(pair, size_px, observers, options, findings),
        )


def observers_of(pairs: Sequence[Pair]) -> Mapping[str, str | None]:
    """Return the observer for each name of a folder of masks; None where there is but one, whose name says nothing."""
    names = sorted({name for pair in pairs for name, _ in pair.masks})
    return {name: name if len(names) > 1 else None for name in names}


def targets_of_pair(
    pair: Pair,
    size_px: tuple[int, int],
    observers: Mapping[str, str | None],
    options: ImportOptions,
    findings: Findings,
) -> tuple[Target, ...]:
    """Return one target for each usable mask of `pair`; folders called ``pseudo...`` hold a program's work."""
    category = category_of_phrase(options.phrase or VESSELS_PHRASE)
    targets = []
    for folder, path in pair.masks:
        mask = read_mask(path, size_px, findings)
        if mask is not None:
            origin = Origin.PSEUDO if folder.lower().startswith("pseudo") else options.target_origin
            targets.append(
                Target(category.phrase, category.kind, mask, origin, observers[folder], segment=category.segment)
            )
    return tuple(targets)
