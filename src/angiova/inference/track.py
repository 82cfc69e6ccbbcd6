"""`angiova track`: the masks of objects through one run or many, each run in a folder of its own.

    OUT/
      runs.json            what became of each run: done, skipped or failed, and why
      NAME/                one folder a run; it appears once everything is in it
        track.json         what was asked of which model on which source, the key frames and why, times and hashes
        masks.json         the masks; see `angiova.data.tracked`
        frames.csv         one row a frame and object
        png/object1/       masks of the first prompt, 0 and 255, one a frame
        overlay.mp4        the run with the masks laid over it, each frame at its own time; overlay.gif if asked for
        segmentation.dcm   a DICOM Segmentation, where the source is DICOM

Key frames are needed first and are known last, while decoders only go forward and may be slow. So a run is decoded
once, its contrast measured on the way, and its frames kept in a temporary file on disk; memory does not grow with it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import transformers
from rich.console import Console

from angiova import __version__
from angiova.code_version import code_commit
from angiova.data import rle
from angiova.data.cine_runs import CineFrame, CineRun, SourceKind, find_runs
from angiova.data.decoding.decoder import Decoder
from angiova.data.decoding.limits import DecodeLimits
from angiova.data.prompts import question_for
from angiova.data.spool import FrameSpool
from angiova.data.tracked import TrackedObject, TrackedRun
from angiova.errors import AngiovaError, ConfigError, DataError, ExitCode, ModelError
from angiova.export.tracked import MASKS_NAME, Material, parse_outputs, write_outputs
from angiova.files import read_json, sha256_file, staged_folder, write_json
from angiova.inference.cine import (
    FrameLogits,
    KeyFrameChoice,
    Mode,
    Spoken,
    ask,
    choose_frames,
    draw,
    parse_mode,
)
from angiova.inference.folder import DEFAULT_PHRASES
from angiova.inference.opacification import Opacification, describe_levels, vessel_level
from angiova.inference.predictor import Predictor, load
from angiova.inference.progress import RunProgress
from angiova.model.fingerprint import fingerprint
from angiova.model.opening import checkpoint_folder

FORMAT: Final = "angiova-track/1"
RECORD_NAME: Final = "track.json"
INDEX_NAME: Final = "runs.json"
RESEARCH_USE: Final = "Research use only; not a medical device."
DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of every run; a finished run counts as such for the same request alone.

    Attributes:
        model_sha256: fingerprint of the model's weights.
        prompts: what to ask for; one object each.
        mode: how masks are made.
        key_frames: most frames that the language model sees.
        threshold: probability above which a pixel is foreground.
        outputs: what is written beside the masks.
    """

    model_sha256: str
    prompts: tuple[str, ...]
    mode: Mode
    key_frames: int
    threshold: float
    outputs: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the request as JSON has it."""
        return asdict(self) | {
            "prompts": list(self.prompts),
            "mode": self.mode.value,
            "outputs": list(self.outputs),
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a run once gave, but its pixels."""

    opacification: Opacification
    times_s: tuple[float, ...] | None
    names: tuple[str, ...]
    spacing_mm: tuple[float, float] | None


def track_runs(
    model: Path,
    source: Path,
    out: Path,
    *,
    prompts: Sequence[str] = (),
    mode: str = Mode.TRACK.value,
    key_frames: int | None = None,
    outputs: str | None = None,
    only: Sequence[str] = (),
    device: str | None = None,
    threshold: float = 0.5,
    base: Path | None = None,
    limits: DecodeLimits | None = None,
) -> ExitCode:
    """Track every run of a source and write each into a folder of its own; see the module's docstring.

    Runs that are finished are skipped. A run that cannot be read is named, the others are done.

    Args:
        model: run or checkpoint folder.
        source: a DICOM or video file, a folder of frames, a data set, or a folder of several runs.
        out: folder to write.
        prompts: what to ask for, one object each; default: the vessel tree.
        mode: name of a `Mode`.
        key_frames: most frames that the language model sees; default: as the model is configured.
        outputs: names with commas between; see `angiova.export.tracked`.
        only: names of runs; default: all of them.
        device: where to run; default: the best there is.
        threshold: probability above which a pixel is foreground.
        base: where the base of an adapter lies now; default: where it lay in training.
        limits: what opening a file may cost.

    Returns:
        DONE, or SOME_CASES_FAILED when a run could not be tracked.

    Raises:
        ConfigError: an option cannot be used, or OUT holds runs that were asked something else.
        ModelError: there is no model, or none that tracks.
        DataError: there is no run, every one failed, or OUT lies in the source.
    """
    chosen_mode, chosen_outputs = parse_mode(mode), parse_outputs(outputs)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise DataError("lies in the source: its pictures would be runs", where=out, remedy="choose another folder")
    predictor = _predictor(model, device, threshold, base)
    request = Request(
        model_sha256=fingerprint(checkpoint_folder(model)),
        prompts=tuple(prompts) or tuple(question_for(phrase) for phrase in DEFAULT_PHRASES),
        mode=chosen_mode,
        key_frames=predictor.model.config.num_key_frames if key_frames is None else key_frames,
        threshold=threshold,
        outputs=chosen_outputs,
    )
    with Decoder(limits or DecodeLimits()) as decoder:
        runs = _chosen(find_runs(source, decoder), only, source)
        _refuse_other_requests(runs, out, request)
        states = _track_all(predictor, runs, decoder, out, request, model)
    return _conclude(states, source, out)


def _predictor(model: Path, device: str | None, threshold: float, base: Path | None) -> Predictor:
    predictor = load(model, device, threshold, base)
    if not isinstance(predictor, Predictor):
        raise ModelError("a baseline can neither be asked nor track", where=model, remedy="use `angiova predict`")
    return predictor


def _chosen(runs: list[CineRun], only: Sequence[str], source: Path) -> list[CineRun]:
    missing = set(only).difference(run.name for run in runs)
    if missing:
        names = ", ".join(run.name for run in runs[:10])
        raise ConfigError(f"no run {min(missing)!r} in {source}", where="--run", remedy=f"there are: {names}")
    return [run for run in runs if not only or run.name in only]


def _refuse_other_requests(runs: Sequence[CineRun], out: Path, request: Request) -> None:
    """Refuse to mix answers to different questions in one folder, before any time is spent."""
    wanted = request.as_json()
    for run in runs:
        record = _finished(out / run.name)
        before = {} if record is None else record["request"]
        different = [name for name in wanted if record is not None and before.get(name) != wanted[name]]
        if different:
            name = different[0]
            problem = f"holds the run with {name} {before.get(name)!r}, asked is {wanted[name]!r}"
            raise ConfigError(problem, where=out / run.name, remedy="choose another OUT, or delete this folder")


def _finished(folder: Path) -> dict[str, Any] | None:
    """Return the record of a finished run; None where there is none."""
    if not folder.exists():
        return None
    try:
        record = read_json(folder / RECORD_NAME)
        if record["format"] != FORMAT:
            raise KeyError("format")
        return dict(record) if isinstance(record["request"], dict) else None
    except (DataError, KeyError, TypeError):
        remedy = "choose another OUT, or delete this folder"
        raise DataError("was not written by `angiova track`", where=folder, remedy=remedy) from None


def _track_all(
    predictor: Predictor, runs: Sequence[CineRun], decoder: Decoder, out: Path, request: Request, model: Path
) -> list[dict[str, str]]:
    """Return what became of each run; `runs.json` says it after each of them."""
    states: list[dict[str, str]] = []
    with RunProgress(len(runs)) as progress:
        for run in runs:
            progress.start(run.name)
            try:
                state = {
                    "run": run.name,
                    "state": _track_or_skip(predictor, run, decoder, out, request, model, progress),
                }
            except (AngiovaError, OSError, torch.OutOfMemoryError) as error:
                # A file that went away or a run too large for the device is no reason to leave the others out.
                state = {"run": run.name, "state": "failed", "problem": str(error)}
            states.append(state)
            write_json(out / INDEX_NAME, {"runs": states})
            progress.finish()
    return states


def _track_or_skip(
    predictor: Predictor,
    run: CineRun,
    decoder: Decoder,
    out: Path,
    request: Request,
    model: Path,
    progress: RunProgress,
) -> str:
    folder = out / run.name
    before = _finished(folder)
    if before is not None:
        if before["source"]["sha256"] != run.sha256():
            remedy = "choose another OUT, or delete this folder"
            raise DataError("holds a run of that name from other files", where=folder, remedy=remedy)
        return "skipped"
    with staged_folder(folder) as staging, FrameSpool() as spool:
        _track_one(predictor, run, decoder, spool, staging, request, model, progress)
    return "done"


def _track_one(
    predictor: Predictor,
    run: CineRun,
    decoder: Decoder,
    spool: FrameSpool,
    folder: Path,
    request: Request,
    model: Path,
    progress: RunProgress,
) -> None:
    started_s = time.monotonic()
    reading = read_run(progress.over(run.frames(decoder), "reading", None), spool)
    read_s = time.monotonic()
    choice = choose_frames(request.mode, reading.opacification, request.key_frames)
    spoken = ask(predictor, [spool[key] for key in choice.frames], request.prompts) if choice.frames else None
    asked_s = time.monotonic()
    drawn = draw(predictor, spool, request.prompts, request.mode, choice.frames, spoken)
    objects = [objects_of(predictor, frame) for frame in progress.over(drawn, "tracking", len(spool))]
    tracked_s = time.monotonic()
    tracked = TrackedRun(
        shape_px=spool.shape_px,
        prompts=request.prompts,
        frames=objects,
        times_s=reading.times_s,
        levels=tuple(reading.opacification.levels_T.tolist()),
        phases=tuple(None if phase is None else phase.value for phase in reading.opacification.phases),
        names=reading.names,
        spacing_mm=reading.spacing_mm,
    )
    dicoms = run.files if run.kind is SourceKind.DICOM else ()
    write_outputs(Material(tracked, spool, folder, dicoms), request.outputs)
    moments_s = (started_s, read_s, asked_s, tracked_s, time.monotonic())
    record = _record(predictor, model, run, request, reading, choice, spoken, tracked, folder)
    names = ("reading", "asking", "tracking", "writing")
    seconds = {name: round(b - a, 3) for name, (a, b) in zip(names, pairwise(moments_s), strict=True)}
    write_json(folder / RECORD_NAME, record | {"seconds": seconds})


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
        mean = round(float((1 / (1 + np.exp(-inside))).mean()), DIGITS) if inside.size else None
        objects.append(TrackedObject(rle.encode(mask_HW), round(float(presence), DIGITS), mean))
    return tuple(objects)


def _record(
    predictor: Predictor,
    model: Path,
    run: CineRun,
    request: Request,
    reading: Reading,
    choice: KeyFrameChoice,
    spoken: Spoken | None,
    tracked: TrackedRun,
    folder: Path,
) -> dict[str, Any]:
    shown = reading.opacification
    return {
        "format": FORMAT,
        "use": RESEARCH_USE,
        "angiova_version": __version__,
        "code_commit": code_commit(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "device": str(predictor.device),
        "model": str(model),
        "request": request.as_json(),
        "source": {
            "kind": run.kind.value,
            "files": len(run.files),
            "first": str(run.files[0]),
            "sha256": run.sha256(),
        },
        "frames": {"number": len(tracked.frames), "height": tracked.shape_px[0], "width": tracked.shape_px[1]},
        "key_frames": {"frames": list(choice.frames), "why": choice.why},
        "opacification": {
            "is_clear": shown.is_clear,
            "onset": shown.onset,
            "peak": shown.peak,
            "levels": [round(level, 6) for level in shown.levels_T.tolist()],
        },
        "answers": [] if spoken is None else _answers(request.prompts, spoken),
        "masks_sha256": sha256_file(folder / MASKS_NAME),
    }


def _answers(prompts: Sequence[str], spoken: Spoken) -> list[dict[str, Any]]:
    """Return what was said to each prompt; of several masks in one answer the first is the one kept."""
    return [
        {"prompt": prompt, "text": text, "masks": count}
        for prompt, text, count in zip(prompts, spoken.answers, spoken.num_masks, strict=True)
    ]


def _conclude(states: Sequence[dict[str, str]], source: Path, out: Path) -> ExitCode:
    """Say what was done.

    Raises:
        DataError: every run failed.
    """
    failed = [state for state in states if state["state"] == "failed"]
    if len(failed) == len(states):
        raise DataError("no run could be tracked", where=source, remedy=failed[0]["problem"])
    num_skipped = sum(state["state"] == "skipped" for state in states)
    console = Console()
    done = f"{len(states) - len(failed) - num_skipped} runs tracked, {num_skipped} were finished before, in {out}"
    console.print(done, highlight=False)
    for state in failed:
        console.print(f"failed: {state['run']}: {state['problem']}", style="red", highlight=False, markup=False)
    return ExitCode.SOME_CASES_FAILED if failed else ExitCode.DONE
