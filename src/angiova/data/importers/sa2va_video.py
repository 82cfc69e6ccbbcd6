"""The ``sa2va-video`` format: referring expressions over frames, as Sa2VA and Ref-YouTube-VOS keep them.

    SOURCE/meta_expressions.json   {"videos": {VIDEO: {"frames": ["00000", ...],
                                    "expressions": {ID: {"exp": "...", "anno_id": [...]}}}}}
    SOURCE/mask_dict.json          {ANNO_ID: [run lengths or null, one a frame]}
    SOURCE/FOLDER/VIDEO/00000.jpg  FOLDER is any, usually JPEGImages

A video is a run. Masks of several anno_ids of an expression are united; null means labelled and absent. The reference
also reads ``mask_dict.pkl``; a pickle can run any program when it is opened, so it is refused here by its name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from angiova.data.importers.categories import category_of_phrase
from angiova.data.importers.coco import unite
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
    typed,
    words,
)
from angiova.data.records import Target
from angiova.data.rle import Rle, empty
from angiova.errors import DataError

EXPRESSIONS_NAME: Final = "meta_expressions.json"
MASKS_NAME: Final = "mask_dict.json"
FRAME_SUFFIXES: Final = (".jpg", ".png", ".jpeg")


@dataclass(frozen=True, slots=True)
class Video:
    """One video: its frame names, and for each phrase the ids of its annotations."""

    name: str
    frames: list[str]
    anno_ids: Mapping[str, list[str]]


class Sa2vaVideoImporter:
    """Reads Sa2VA's referring video lists."""

    name = "sa2va-video"

    def recognises(self, source: Path) -> bool:
        """Return whether `source` holds ``meta_expressions.json``."""
        return (source / EXPRESSIONS_NAME).is_file()

    def read(self, source: Path, options: ImportOptions, findings: Findings) -> Reading:
        """Return the frames video by video, each with one target an expression."""
        try:
            _refuse_pickle(source)
            entries = typed(read_limited_json(source / EXPRESSIONS_NAME), "videos", dict)
            masks = read_limited_json(source / MASKS_NAME)
            if not isinstance(masks, dict):
                raise DataError("should map annotation ids to lists of masks", where=source / MASKS_NAME)
        except DataError as error:
            findings.refuse("json-malformed", error.where or source, error.problem, error.remedy or "check the file")
            return Reading(0, ())
        videos = [
            video for video in (_video(source, name, entry, findings) for name, entry in entries.items()) if video
        ]
        frames = (frame for video in videos for frame in _frames(source, video, masks, options, findings))
        return Reading(sum(len(video.frames) for video in videos), frames)


def _refuse_pickle(source: Path) -> None:
    pickles = sorted(source.glob("*.pkl"))
    if pickles and not (source / MASKS_NAME).is_file():
        remedy = f"a pickle can run any program when opened; write it as {MASKS_NAME} where you trust it"
        raise DataError("pickles are never opened", where=pickles[0], remedy=remedy)


def _video(source: Path, name: str, entry: object, findings: Findings) -> Video | None:
    try:
        frames = typed(entry, "frames", list)
        if not all(isinstance(frame, str) for frame in frames):
            raise DataError("field 'frames' should be a list of names")
        anno_ids: dict[str, list[str]] = defaultdict(list)
        for expression in typed(entry, "expressions", dict).values():
            anno_ids[words(expression, "exp")] += map(str, typed(expression, "anno_id", list))
        return Video(name, frames, anno_ids)
    except DataError as error:
        where = f"{source / EXPRESSIONS_NAME}: videos.{name}"
        findings.refuse("video-malformed", where, error.problem, error.remedy or "correct the entry")
        return None


def _frames(
    source: Path, video: Video, masks: Mapping[str, Any], options: ImportOptions, findings: Findings
) -> Iterator[SourceFrame]:
    naming = Naming(source, options, findings)
    tracks = _tracks(source, video, masks, findings)
    try:
        folder = _video_folder(source, video.name)
        images = [_image(source, folder, name) for name in video.frames]
    except DataError as error:
        findings.refuse("path-escapes", source / EXPRESSIONS_NAME, error.problem, error.remedy or "correct the entry")
        return
    note_unlisted(folder, images, findings)
    for index, image in enumerate(images):
        size_px = probe_size(image, findings)
        if size_px is not None:
            named = naming.of(image)
            yield SourceFrame(
                frame_id=frame_id_of((video.name, image.stem)),
                image=image,
                size_px=size_px,
                run=named.run_id(otherwise=frame_id_of((video.name,))),
                frame=index,
                named=named,
                targets=_targets(source, tracks, index, size_px, options, findings),
            )


def _video_folder(source: Path, name: str) -> Path:
    """Return the folder of the frames of the video `name`: the first folder of `source` that has it."""
    folders = [path for path in sorted(source.iterdir()) if path.is_dir()]
    found = [confined(source, name, folder) for folder in folders]
    return next((path for path in found if path.is_dir()), source / "JPEGImages" / name)


def _image(source: Path, folder: Path, name: str) -> Path:
    choices = [confined(source, f"{name}{suffix}", folder) for suffix in FRAME_SUFFIXES]
    return next((path for path in choices if path.is_file()), choices[0])


def _tracks(
    source: Path, video: Video, masks: Mapping[str, Any], findings: Findings
) -> dict[str, list[tuple[str, list[Any]]]]:
    """Return for each phrase the masks over the frames of every annotation, with its id."""
    tracks: dict[str, list[tuple[str, list[Any]]]] = {}
    for phrase, anno_ids in video.anno_ids.items():
        tracks[phrase] = [(anno_id, masks.get(anno_id, [])) for anno_id in anno_ids]
        for anno_id, track in tracks[phrase]:
            if not isinstance(track, list) or len(track) != len(video.frames):
                found = f"{len(track)} masks" if isinstance(track, list) else "no list"
                message = f"{found} for the {len(video.frames)} frames of video {video.name}"
                where = f"{source / MASKS_NAME}: {anno_id}"
                findings.refuse("track-length", where, message, "write one mask, or null, for every frame")
        if not anno_ids:
            where = f"{source / EXPRESSIONS_NAME}: videos.{video.name}"
            findings.refuse("expression-without-mask", where, f"{phrase!r} has no anno_id", "name its annotations")
    return tracks


def _targets(
    source: Path,
    tracks: Mapping[str, list[tuple[str, list[Any]]]],
    index: int,
    size_px: tuple[int, int],
    options: ImportOptions,
    findings: Findings,
) -> tuple[Target, ...]:
    targets = []
    for phrase, members in tracks.items():
        masks: list[Rle] = []
        for anno_id, track in members:
            where = f"{source / MASKS_NAME}: {anno_id}[{index}]"
            segmentation = track[index] if isinstance(track, list) and index < len(track) else None
            mask = (
                empty(*size_px) if segmentation is None else rle_of_segmentation(segmentation, size_px, where, findings)
            )
            masks += [] if mask is None else [mask]
        if masks:
            targets.append(unite(category_of_phrase(phrase), masks, options))
    return tuple(targets)
