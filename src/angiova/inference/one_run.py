"""One run from its files to its folder: read once, ask, draw, write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from scipy.special import expit

from angiova.data import rle
from angiova.data.cine_runs import CineFrame, CineRun, SourceKind
from angiova.data.decoding.decoder import Decoder
from angiova.data.spool import FrameSpool
from angiova.data.tracked import TrackedObject, TrackedRun
from angiova.export.tracked import MASKS_NAME, Material, rising, write_outputs
from angiova.files import sha256_file, write_json
from angiova.inference.cardiac import measure_beat
from angiova.inference.cine import FrameLogits, ask, choose_frames, draw
from angiova.inference.opacification import Opacification, describe_levels, vessel_level
from angiova.inference.predictor import Predictor
from angiova.inference.progress import RunProgress
from angiova.inference.track_record import (
    RECORD_NAME,
    Request,
    facts_of,
    facts_of_beat,
    facts_of_run,
    facts_of_source,
    notes_on_answers,
)

DIGITS: Final = 4
PARTS: Final = ("reading", "asking", "tracking", "writing")


@dataclass(frozen=True, slots=True)
class Tracking:
    """What is the same for every run of a call.

    Attributes:
        predictor: the model, opened.
        model: its folder.
        request: what is asked of each run.
        decoder: opens files of others.
        progress: shows how far it is.
    """

    predictor: Predictor
    model: Path
    request: Request
    decoder: Decoder
    progress: RunProgress


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a run once gave, but its pixels."""

    opacification: Opacification
    times_s: tuple[float, ...] | None
    names: tuple[str, ...]
    spacing_mm: tuple[float, float] | None


def track_one(tracking: Tracking, run: CineRun, folder: Path) -> None:
    """Track a run and write it into `folder`, its record last.

    Raises:
        DataError: a frame cannot be read, or an output cannot be made.
    """
    predictor, request, progress = tracking.predictor, tracking.request, tracking.progress
    moments_s = [time.monotonic()]
    with FrameSpool() as spool:
        reading = read_run(progress.over(run.frames(tracking.decoder), "reading", None), spool)
        moments_s.append(time.monotonic())
        choice = choose_frames(request.mode, reading.opacification, request.key_frames)
        spoken = ask(predictor, [spool[key] for key in choice.frames], request.prompts) if choice.frames else None
        moments_s.append(time.monotonic())
        drawn = draw(predictor, spool, request.prompts, request.mode, choice.frames, spoken)
        objects = [objects_of(predictor, frame) for frame in progress.over(drawn, "tracking", len(spool))]
        moments_s.append(time.monotonic())
        tracked = tracked_run(request.prompts, objects, reading, spool.shape_px)
        dicoms = run.files if run.kind is SourceKind.DICOM else ()
        beat = measure_beat(spool, rising(reading.times_s))
        material = Material(tracked, spool, folder, dicoms, run.name, choice.frames, beat, run.records)
        write_outputs(material, request.outputs)
    moments_s.append(time.monotonic())
    height, width = tracked.shape_px
    record = {
        **facts_of(tracking.model, predictor.device, request),
        "source": facts_of_source(run),
        "frames": {"number": len(objects), "height": height, "width": width},
        **facts_of_run(reading.opacification, choice, request.prompts, spoken),
        "heart": facts_of_beat(beat),
        "notes": list(notes_on_answers(request.prompts, spoken)),
        "masks_sha256": sha256_file(folder / MASKS_NAME),
        "seconds": {part: round(b - a, 3) for part, (a, b) in zip(PARTS, pairwise(moments_s), strict=True)},
    }
    write_json(folder / RECORD_NAME, record)


def read_run(frames: Iterator[CineFrame], spool: FrameSpool) -> Reading:
    """Read a run once: its frames go to `spool`, what is said of them is returned.

    Raises:
        DataError: there is no frame, one cannot be read, or they are of different sizes.
    """
    levels: list[float] = []
    times_s: list[float | None] = []
    names: list[str] = []
    spacing_mm: set[tuple[float, float] | None] = set()
    for frame in frames:
        spool.append(frame.image_HW)
        levels.append(vessel_level(frame.image_HW))
        times_s.append(frame.time_s)
        names.append(frame.name)
        spacing_mm.add(frame.spacing_mm)
    known_s = [time_s for time_s in times_s if time_s is not None]
    return Reading(
        describe_levels(levels),
        tuple(known_s) if len(known_s) == len(levels) else None,
        tuple(names),
        spacing_mm.pop() if len(spacing_mm) == 1 else None,
    )


def objects_of(predictor: Predictor, frame: FrameLogits) -> tuple[TrackedObject, ...]:
    """Return the objects of a frame as they are kept: masks as run lengths, and two numbers each."""
    masks_NHW = predictor.masks_of(frame.logits_NHW, frame.presence_N)
    objects = []
    for mask_HW, logits_HW, presence in zip(masks_NHW, frame.logits_NHW, frame.presence_N, strict=True):
        inside = logits_HW[mask_HW].astype(np.float64)
        mean = round(float(expit(inside).mean()), DIGITS) if inside.size else None
        objects.append(TrackedObject(rle.encode(mask_HW), round(float(presence), DIGITS), mean))
    return tuple(objects)


def tracked_run(
    prompts: tuple[str, ...], objects: list[tuple[TrackedObject, ...]], reading: Reading, shape_px: tuple[int, int]
) -> TrackedRun:
    """Return a run with its masks and with what reading it gave."""
    shown = reading.opacification
    return TrackedRun(
        shape_px=shape_px,
        prompts=prompts,
        frames=objects,
        times_s=reading.times_s,
        levels=tuple(shown.levels_T.tolist()),
        phases=tuple(None if phase is None else phase.value for phase in shown.phases),
        names=reading.names,
        spacing_mm=reading.spacing_mm,
    )
