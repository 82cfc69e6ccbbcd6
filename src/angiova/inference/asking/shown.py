"""What is asked about: one frame, or a run, of which the language model sees key frames with contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from angiova.data.cine_runs import CineRun, find_runs
from angiova.data.decoding.decoder import Decoder
from angiova.data.decoding.limits import DecodeLimits
from angiova.data.manifest import DATASET_NAME
from angiova.data.pixels import IMAGE_SUFFIXES, GreyImage, inverted, read_grey
from angiova.data.spool import FrameSpool
from angiova.errors import ConfigError, DataError
from angiova.inference.cine import Mode, choose_frames
from angiova.inference.one_run import Reading, read_run
from angiova.inference.opacification import Opacification, describe_levels, vessel_level

NAMES_TOLD = 10


@dataclass(frozen=True, slots=True)
class Shown:
    """What the model sees.

    Attributes:
        name: of the file or run.
        images: the frame alone, or the key frames in the order of time; 8-bit grey, (H, W) each.
        frames: their indices in the run; (0,) for an image file.
        measured: which of `images` is measured: the one with most contrast.
        num_frames: how many frames the run has.
        why: why these are the key frames; None for one frame.
        opacification: what the run shows over time; None for one frame.
        spacing_mm: (row, column) distance of pixel centres in the plane of the vessels, where known.
    """

    name: str
    images: tuple[GreyImage, ...]
    frames: tuple[int, ...]
    measured: int = 0
    num_frames: int = 1
    why: str | None = None
    opacification: Opacification | None = None
    spacing_mm: tuple[float, float] | None = None

    @property
    def is_run(self) -> bool:
        """Whether the images are key frames of a run."""
        return self.opacification is not None

    @property
    def image_HW(self) -> GreyImage:
        """The frame that is measured."""
        return self.images[self.measured]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which part of a source is asked about.

    Attributes:
        key_frames: how many frames of a run the language model sees, at most.
        run: name of the run; None where the source has only one.
        frame: index of a frame of the run that is asked about alone; None for the whole run.
        limits: what opening a DICOM or video file may cost.
        bright_vessels: whether vessels are brighter than their surroundings; files are inverted then.
    """

    key_frames: int
    run: str | None = None
    frame: int | None = None
    limits: DecodeLimits | None = None
    bright_vessels: bool = False


def show(source: str | Path | npt.NDArray[np.generic], choice: Choice) -> Shown:
    """Return what a source shows: of a path see `open_source`, of pixels `of_pixels`.

    Raises:
        ConfigError: the choice does not fit the source.
        DataError: there is nothing to see, or it cannot be read.
    """
    if choice.key_frames < 1:
        raise ConfigError(f"{choice.key_frames} key frames", where="--key-frames", remedy="ask about at least one")
    return of_pixels(source, choice) if isinstance(source, np.ndarray) else open_source(Path(source), choice)


def open_source(source: Path, choice: Choice) -> Shown:
    """Return what an image, a DICOM or video file, a folder of frames, or a run of a data set shows.

    A run is read once; its frames wait in a temporary file until the key frames are known.
    """
    if source.is_file() and source.suffix.lower() in IMAGE_SUFFIXES:
        if choice.run is not None:
            raise ConfigError("an image has no runs", where="--run", remedy="leave it out")
        _check_frame(choice, 1)
        image_HW = read_grey(source)
        return Shown(source.stem, (inverted(image_HW) if choice.bright_vessels else image_HW,), (0,))
    with Decoder(choice.limits or DecodeLimits()) as decoder, FrameSpool() as spool:
        run = _chosen(find_runs(source, decoder, choice.bright_vessels), choice.run, source)
        return _of_run(run.name, spool, read_run(run.frames(decoder), spool), choice)


def of_pixels(pixels: npt.NDArray[np.generic], choice: Choice) -> Shown:
    """Return what 8-bit grey pixels show: a frame (H, W) or a run (T, H, W).

    Raises:
        DataError: they have another type or shape.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not pixels.size:
        problem = f"pixels of type {pixels.dtype} and shape {pixels.shape}"
        raise DataError(problem, remedy="give uint8 of (height, width), or (frames, height, width)")
    if pixels.ndim == 2:
        _check_frame(choice, 1)
        return Shown("frame", (pixels.astype(np.uint8, copy=False),), (0,))
    images = list(pixels.astype(np.uint8, copy=False))
    levels = [vessel_level(image_HW) for image_HW in images]
    return _of_run("run", images, Reading(describe_levels(levels), None, (), None), choice)


def _of_run(name: str, images: Sequence[GreyImage], reading: Reading, choice: Choice) -> Shown:
    num_frames, spacing_mm = len(images), reading.spacing_mm
    _check_frame(choice, num_frames)
    if choice.frame is not None or num_frames == 1:
        frame = choice.frame or 0
        return Shown(name, (images[frame],), (frame,), num_frames=num_frames, spacing_mm=spacing_mm)
    chosen = choose_frames(Mode.TRACK, reading.opacification, choice.key_frames)
    levels = reading.opacification.smooth_T[list(chosen.frames)]
    return Shown(
        name,
        tuple(images[frame] for frame in chosen.frames),
        chosen.frames,
        measured=int(np.argmax(levels)),
        num_frames=num_frames,
        why=chosen.why,
        opacification=reading.opacification,
        spacing_mm=spacing_mm,
    )


def _check_frame(choice: Choice, num_frames: int) -> None:
    if choice.frame is not None and not 0 <= choice.frame < num_frames:
        remedy = f"frames count from 0 to {num_frames - 1}"
        raise ConfigError(f"no frame {choice.frame}", where="--frame", remedy=remedy)


def _chosen(runs: Sequence[CineRun], name: str | None, source: Path) -> CineRun:
    found = [run for run in runs if name is None or run.name == name]
    if len(found) == 1:
        return found[0]
    names = ", ".join(run.name for run in runs[:NAMES_TOLD]) + (" ..." if len(runs) > NAMES_TOLD else "")
    problem = f"{len(runs)} runs in {source}" if name is None else f"no run {name!r} in {source}"
    folder = " (a data set)" if (source / DATASET_NAME).exists() else ""
    raise ConfigError(problem + folder, where="--run", remedy=f"choose one of: {names}")
