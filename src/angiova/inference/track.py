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

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from rich.console import Console

from angiova.data.cine_runs import CineRun, find_runs
from angiova.data.decoding.decoder import Decoder
from angiova.data.decoding.limits import DecodeLimits
from angiova.data.prompts import question_for
from angiova.errors import AngiovaError, ConfigError, DataError, ExitCode, ModelError
from angiova.export.tracked import parse_outputs
from angiova.files import staged_folder, write_json
from angiova.inference.cine import parse_mode
from angiova.inference.folder import DEFAULT_PHRASES
from angiova.inference.one_run import Tracking, track_one
from angiova.inference.predictor import Predictor, load
from angiova.inference.progress import RunProgress
from angiova.inference.track_record import Request, default_mode, finished, note_on_memory
from angiova.model.fingerprint import fingerprint
from angiova.model.opening import checkpoint_folder

INDEX_NAME: Final = "runs.json"


def track_runs(
    model: Path,
    source: Path,
    out: Path,
    *,
    prompts: Sequence[str] = (),
    mode: str | None = None,
    key_frames: int | None = None,
    outputs: str | None = None,
    only: Sequence[str] = (),
    device: str | None = None,
    threshold: float = 0.5,
    base: Path | None = None,
    limits: DecodeLimits | None = None,
    bright_vessels: bool = False,
) -> ExitCode:
    """Track every run of a source and write each into a folder of its own; see the module's docstring.

    Runs that are finished are skipped. A run that cannot be read is named, the others are done.

    Args:
        model: run or checkpoint folder.
        source: a DICOM or video file, a folder of frames, a data set, or a folder of several runs.
        out: folder to write.
        prompts: what to ask for, one object each; default: the vessel tree.
        mode: name of a `Mode`; default: track, or smooth where the memory is known to have seen no runs.
        key_frames: most frames that the language model sees; default: as the model is configured.
        outputs: names with commas between; see `angiova.export.tracked`.
        only: names of runs; default: all of them.
        device: where to run; default: the best there is.
        threshold: probability above which a pixel is foreground.
        base: where the base of an adapter lies now; default: where it lay in training.
        limits: what opening a file may cost.
        bright_vessels: whether vessels are brighter than their surroundings; frames are inverted then.

    Returns:
        DONE, or SOME_CASES_FAILED when a run could not be tracked.

    Raises:
        ConfigError: an option cannot be used, or OUT holds runs that were asked something else.
        ModelError: there is no model, or none that tracks.
        DataError: there is no run, every one failed, or OUT lies in the source.
    """
    chosen_mode = default_mode(model) if mode is None else parse_mode(mode)
    chosen_outputs = parse_outputs(outputs)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise DataError("lies in the source: its pictures would be runs", where=out, remedy="choose another folder")
    with Decoder(limits or DecodeLimits()) as decoder:
        runs = _chosen(find_runs(source, decoder, bright_vessels), only, source)
        predictor = _predictor(model, device, threshold, base)
        request = Request(
            model_sha256=fingerprint(checkpoint_folder(model)),
            prompts=tuple(prompts) or tuple(question_for(phrase) for phrase in DEFAULT_PHRASES),
            mode=chosen_mode,
            key_frames=predictor.model.config.num_key_frames if key_frames is None else key_frames,
            threshold=threshold,
            outputs=chosen_outputs,
            bright_vessels=bright_vessels,
        )
        _refuse_other_requests(runs, out, request)
        with RunProgress(len(runs)) as progress:
            states = _track_all(Tracking(predictor, model, request, decoder, progress), runs, out)
    note = note_on_memory(model, request.mode)
    if note is not None:
        Console(stderr=True).print(f"note: {note}", highlight=False)
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
        record = finished(out / run.name)
        before = {} if record is None else record["request"]
        before = {"bright_vessels": False} | before  # which older records don't say
        different = [name for name in wanted if record is not None and before.get(name) != wanted[name]]
        if different:
            name = different[0]
            problem = f"holds the run with {name} {before.get(name)!r}, asked is {wanted[name]!r}"
            raise ConfigError(problem, where=out / run.name, remedy="choose another OUT, or delete this folder")


def _track_all(tracking: Tracking, runs: Sequence[CineRun], out: Path) -> list[dict[str, str]]:
    """Return what became of each run; `runs.json` says it after each of them."""
    states: list[dict[str, str]] = []
    for run in runs:
        tracking.progress.start(run.name)
        try:
            state = {"run": run.name, "state": _track_or_skip(tracking, run, out / run.name)}
        except (AngiovaError, OSError, torch.OutOfMemoryError) as error:
            # A run that is too large for the device or the disk is no reason to leave the others out.
            state = {"run": run.name, "state": "failed", "problem": str(error)}
        states.append(state)
        write_json(out / INDEX_NAME, {"runs": states})
        tracking.progress.finish()
    return states


def _track_or_skip(tracking: Tracking, run: CineRun, folder: Path) -> str:
    before = finished(folder)
    if before is None:
        with staged_folder(folder) as staging:
            track_one(tracking, run, staging)
        return "done"
    if before["source"]["sha256"] != run.sha256():
        remedy = "choose another OUT, or delete this folder"
        raise DataError("holds a run of that name from other files", where=folder, remedy=remedy)
    return "skipped"


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
