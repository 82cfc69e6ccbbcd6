"""Labelled coronary angiograms from anatomy and physics: no patient, no permission, exact masks."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from angiova import __version__
from angiova.data.contact_sheet import SHEET_NAME, write_contact_sheet
from angiova.data.manifest import Manifest, ManifestWriter, Provenance
from angiova.files import write_json
from angiova.simulate.cine import RenderedRun, render_run
from angiova.simulate.plan import RunPlan, plan_runs

__all__ = ["simulate"]

TRUTH_NAME: Final = "simulation.json"


def simulate(
    out: Path,
    *,
    num_runs: int = 36,
    num_frames: int = 1219,
    seed: int = 0,
    size_px: int = 512,
    workers: int | None = None,
) -> Manifest:
    """Make a data set of simulated coronary angiograms and return its manifest.

    Beside the data set's own files `out` gets simulation.json (what is known about each run: tree, narrowings in
    per cent, devices, heart beat, injection) and contact_sheet.png. The same seed gives the same bytes, whatever
    `workers` is.

    Args:
        out: folder to write; must not hold a data set already.
        num_runs: cine runs, about 1.3 a patient.
        num_frames: frames in all runs together.
        seed: of everything random.
        size_px: height and width of the frames.
        workers: processes; None takes one a core.

    Raises:
        ConfigError: there are fewer frames than runs.
        DataError: `out` already holds a data set.
    """
    plans = plan_runs(num_runs, num_frames, seed)
    options = {"num_runs": num_runs, "num_frames": num_frames, "seed": seed, "size_px": size_px}
    truths = []
    with ManifestWriter(out, Provenance("simulate", "simulated", __version__, options)) as writer:
        for run in _with_progress(_render(plans, size_px, out, workers), plans):
            for record in run.records:
                writer.add(record)
            truths.append(run.truth)
        write_json(out / TRUTH_NAME, truths)
    manifest = Manifest(out)
    write_contact_sheet(manifest, out / SHEET_NAME)
    return manifest


def _render(plans: Sequence[RunPlan], size_px: int, out: Path, workers: int | None) -> Iterator[RenderedRun]:
    """Yield the rendered runs in the order of their plans."""
    render = partial(render_run, size_px=size_px, out=out)
    num_workers = min(workers or multiprocessing.cpu_count(), len(plans))
    if num_workers == 1:
        yield from map(render, plans)
        return
    # Spawned processes don't inherit locks that threads of this one may hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=_end_on_interrupt)
    try:
        yield from pool.map(render, plans)
    finally:
        pool.shutdown(cancel_futures=True)


def _end_on_interrupt() -> None:
    """Let Ctrl-C end a worker at once and silently, so that the command need not wait for the runs in hand."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _with_progress(runs: Iterator[RenderedRun], plans: Sequence[RunPlan]) -> Iterator[RenderedRun]:
    """Yield `runs`, showing on stderr how many frames are done and how long the rest will take."""
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=sum(plan.num_frames for plan in plans))
        for run in runs:
            progress.advance(task, len(run.records))
            yield run
