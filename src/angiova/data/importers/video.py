"""The ``video`` format: MP4, AVI, MOV and MKV files, one or a folder of them; each file is a run.

Every frame is kept, in the order of its time; the time comes from the file, so that a variable frame rate stays one.
Files are opened in a process of their own, with limits. Unlike a DICOM header, the name of a file is kept: it names run
and frames, and `--pattern` reads patient, study and run from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from angiova.data.decoding.decoder import Decoder
from angiova.data.decoding.messages import Message
from angiova.data.importers.burned_in import Box, blank, find_text, report_text
from angiova.data.importers.findings import Findings
from angiova.data.importers.options import ImportOptions
from angiova.data.importers.source import Decoded, Naming, Reading, SourceFrame, frame_id_of, natural_key, stays_inside
from angiova.data.pixels import GreyImage
from angiova.data.records import Photometry
from angiova.errors import ConfigError, DataError
from angiova.files import sha256_file

SUFFIXES: Final = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv"})
BITS: Final = 8


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A video whose frames were all decoded once, and where text is to be blanked in it."""

    path: Path
    num_frames: int
    text: tuple[Box, ...]


class VideoImporter:
    """Reads cine runs from video files."""

    name = "video"

    def recognises(self, source: Path) -> bool:
        """Return whether `source` is a video, or a folder that holds one."""
        return is_video(source) if source.is_file() else any(is_video(path) for path in source.rglob("*"))

    def read(self, source: Path, options: ImportOptions, findings: Findings) -> Reading:
        """Return the frames video by video."""
        if options.reference:
            raise ConfigError("cannot refer to frames inside files", where="--reference", remedy="leave it out")
        root = source.parent if source.is_file() else source
        naming = Naming(root, options, findings)
        decoder = Decoder(options.limits)  # closed by `_frames`, which goes on with it
        videos = list(_readable(_files(source, findings), decoder, options, findings))
        return Reading(
            sum(video.num_frames for video in videos), _frames(videos, root, naming, decoder, options, findings)
        )


def is_video(path: Path) -> bool:
    """Return whether a path names a video file, by its ending."""
    return path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file()


def _files(source: Path, findings: Findings) -> list[Path]:
    if source.is_file():
        return [source]
    files = [path for path in source.rglob("*") if is_video(path) and stays_inside(path, source, findings)]
    return sorted(files, key=natural_key)


def _readable(paths: list[Path], decoder: Decoder, options: ImportOptions, findings: Findings) -> Iterator[VideoFile]:
    """Decode every frame once, so that a file which breaks off is known before anything of it is kept."""
    for path in paths:
        try:
            video = _looked_through(path, decoder)
        except DataError as error:
            findings.repair("video-unreadable", path, error.problem, "leave the file out", error.remedy or "")
            continue
        if video.text:
            report_text(path, video.text, options, findings)
        yield video if options.mask_burned_in else replace(video, text=())


def _looked_through(path: Path, decoder: Decoder) -> VideoFile:
    darkest: GreyImage | None = None
    brightest: GreyImage | None = None
    num_frames = 0
    for message in decoder.ask("video-frames", path):
        grey_HW = pixels_of(message)
        darkest = grey_HW if darkest is None else np.minimum(darkest, grey_HW)
        brightest = grey_HW if brightest is None else np.maximum(brightest, grey_HW)
        num_frames += 1
    text = () if darkest is None or brightest is None else find_text(darkest, brightest, num_frames)
    return VideoFile(path, num_frames, text)


def _frames(
    videos: list[VideoFile],
    root: Path,
    naming: Naming,
    decoder: Decoder,
    options: ImportOptions,
    findings: Findings,
) -> Iterator[SourceFrame]:
    with decoder:
        for video in videos:
            named, digest = naming.of(video.path), sha256_file(video.path)
            run = named.run_id(otherwise=frame_id_of(video.path.relative_to(root).with_suffix("").parts))
            try:
                for index, message in enumerate(decoder.ask("video-frames", video.path)):
                    decoded = _decoded(video, message, digest, options)
                    yield SourceFrame(
                        frame_id=frame_id_of((f"{run}-{index:05d}",)),
                        image=video.path,
                        size_px=(decoded.pixels.shape[0], decoded.pixels.shape[1]),
                        run=run,
                        frame=index,
                        named=named,
                        decoded=decoded,
                    )
            except DataError as error:  # it could be decoded a moment ago
                findings.refuse("video-unreadable", video.path, error.problem, error.remedy or "")


def _decoded(video: VideoFile, message: Message, digest: str, options: ImportOptions) -> Decoded:
    fields, grey_HW = message.fields, pixels_of(message)
    return Decoded(
        pixels=options.with_dark_vessels(blank(grey_HW, video.text) if video.text else grey_HW),
        source=str(video.path.resolve()),
        source_sha256=digest,
        photometry=Photometry(BITS, int(fields["channels"]), options.bright_vessels),
        time_s=None if fields["time_s"] is None else float(fields["time_s"]),
    )


def pixels_of(message: Message) -> GreyImage:
    """Return the grey values (H, W) of the answer to `video-frames`.

    Raises:
        DataError: there are fewer or more than its size says.
    """
    height, width = int(message.fields["height"]), int(message.fields["width"])
    if len(message.payload) != height * width:
        raise DataError("made its decoder answer nonsense", remedy="leave the file out")
    return np.frombuffer(message.payload, dtype=np.uint8).reshape(height, width)
