"""`angiova measure`: every frame measured, one that cannot be is named and the others are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from angiova.data import rle
from angiova.data.pixels import read_grey, write_png
from angiova.data.progress import with_progress
from angiova.errors import AngiovaError, DataError, ExitCode
from angiova.files import write_json, write_text
from angiova.measurement import tables
from angiova.measurement.curves import run_curves
from angiova.measurement.picture import draw_measures
from angiova.measurement.sources import Frame, find_frames, read_mask, safe_name
from angiova.morphology.anatomy import dominance, tree_side
from angiova.morphology.calibration import catheter_spacing_mm, french_mm
from angiova.morphology.measures import Spacing
from angiova.morphology.measuring import measure_vessels


@dataclass(slots=True)
class _Results:
    """What is written at the end."""

    frames: list[tables.Row] = field(default_factory=list)
    branches: list[tables.Row] = field(default_factory=list)
    bifurcations: list[tables.Row] = field(default_factory=list)
    stenoses: list[tables.Row] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)


def measure(
    source: Path,
    out: Path,
    *,
    run: str | None = None,
    image: Path | None = None,
    spacing_mm: Spacing | None = None,
    catheter_french: float | None = None,
    catheter: Path | None = None,
    refine: bool = False,
    pictures: bool = True,
) -> ExitCode:
    """Measure the vessels of every frame of a source and write tables, pictures and curves.

    OUT gets `frames.csv`, `branches.csv`, `bifurcations.csv`, `stenoses.csv`, `measures/FRAME.json`,
    `pictures/FRAME.png`, `curves/RUN.svg` for runs of at least two frames, and `measures.json`, written last, with all
    settings.

    Args:
        source: see `angiova.measurement.sources`.
        out: folder to write.
        run: measure this run alone.
        image: the frame that a single mask belongs to.
        spacing_mm: (row, column) distance of pixel centres; goes before what the source says.
        catheter_french: diameter of the catheter; its mask then gives the spacing, as the median of each run.
        catheter: mask file of the catheter, for a single mask.
        refine: whether walls are refined on grey values.
        pictures: whether pictures are drawn.

    Returns:
        DONE, or SOME_CASES_FAILED when a frame could not be measured.

    Raises:
        DataError: nothing can be measured, or every frame failed.
    """
    frames = _chosen(find_frames(source), source, run)
    if image is not None:
        frames = [replace(_only(frames, "--image"), image=image)]
    if catheter is not None:
        frames = [replace(_only(frames, "--catheter"), catheter=rle.encode(read_mask(catheter)))]
    spacings = _spacings(frames, spacing_mm, catheter_french)
    results = _Results()
    for frame in with_progress(frames, "measuring", len(frames)):
        try:
            _measure_frame(frame, spacings.get(frame.run, frame.spacing_mm), refine, pictures, out, results)
        except AngiovaError as error:
            results.failed.append({"frame": frame.name, "problem": str(error)})
    if not results.frames:
        raise DataError("no frame could be measured", where=source, remedy=results.failed[0]["problem"])
    settings = {"source": str(source), "refine": refine, "catheter_french": catheter_french}
    _write(out, results, frames, settings)
    return _say(out, results)


def _chosen(frames: Sequence[Frame], source: Path, run: str | None) -> list[Frame]:
    chosen = [frame for frame in frames if run is None or frame.run == run]
    if not chosen:
        known = ", ".join(sorted({frame.run for frame in frames})[:5])
        raise DataError(f"no run {run!r} with vessels", where=source, remedy=f"there are {known}")
    return chosen


def _only(frames: Sequence[Frame], option: str) -> Frame:
    if len(frames) != 1:
        raise DataError(f"{len(frames)} frames, {option} is for one", where=option, remedy="give a single mask")
    return frames[0]


def _spacings(frames: Sequence[Frame], spacing_mm: Spacing | None, french: float | None) -> Mapping[str, Spacing]:
    """Return the spacing of each run that the source's own does not hold for."""
    runs = {frame.run for frame in frames}
    if spacing_mm is not None:
        return dict.fromkeys(runs, spacing_mm)
    if french is None:
        return {}
    french_mm(french)  # a wrong size is no fault of the frames, which are passed over below
    return {run: _calibrated([f for f in frames if f.run == run], run, french) for run in runs}


def _calibrated(frames: Sequence[Frame], run: str, french: float) -> Spacing:
    """Return the median spacing by the catheter over the frames of a run that show enough of it."""
    found = []
    for frame in frames:
        if frame.catheter is not None:
            try:
                found.append(catheter_spacing_mm(rle.decode(frame.catheter), french))
            except DataError:
                continue  # the catheter may leave the image in some frames
    if not found:
        raise DataError(
            "no frame shows enough of a catheter", where=run or frames[0].name, remedy="give the spacing with --spacing"
        )
    spacing_mm = float(np.median(found))
    return spacing_mm, spacing_mm


def _measure_frame(
    frame: Frame, spacing_mm: Spacing | None, refine: bool, pictures: bool, out: Path, results: _Results
) -> None:
    mask_HW = frame.mask()
    image_HW = read_grey(frame.image) if frame.image is not None and (refine or pictures) else None
    if refine and image_HW is None:
        raise DataError("no image to refine walls on", where=frame.name, remedy="give --image, or leave --refine out")
    if image_HW is not None and image_HW.shape != mask_HW.shape:
        raise DataError(f"the image is {image_HW.shape}, the mask {mask_HW.shape}", remedy="give the mask's own frame")
    segments = {number: rle.decode(mask) for number, mask in frame.segments.items()}
    measures = measure_vessels(mask_HW, spacing_mm=spacing_mm, image_HW=image_HW if refine else None, segments=segments)
    side = tree_side({number: mask.area_px for number, mask in frame.segments.items()})
    about = {"run": frame.run, "index": frame.index, "time_s": frame.time_s, "tree": side}
    row = {**tables.frame_row(frame.name, measures), **about}
    write_json(out / "measures" / f"{frame.name}.json", tables.as_json(row, measures))
    if pictures:
        write_png(out / "pictures" / f"{frame.name}.png", draw_measures(measures, mask_HW, image_HW))
    results.frames.append(row)
    results.branches += tables.branch_rows(frame.name, measures)
    results.bifurcations += tables.bifurcation_rows(frame.name, measures)
    results.stenoses += tables.stenosis_rows(frame.name, measures)


def _write(out: Path, results: _Results, frames: Sequence[Frame], settings: dict[str, Any]) -> None:
    for name, columns, rows in (
        ("frames", tables.FRAME_COLUMNS, results.frames),
        ("branches", tables.BRANCH_COLUMNS, results.branches),
        ("bifurcations", tables.BIFURCATION_COLUMNS, results.bifurcations),
        ("stenoses", tables.STENOSIS_COLUMNS, results.stenoses),
    ):
        tables.write_table(out / f"{name}.csv", columns, rows)
    by_run: dict[str, list[tables.Row]] = {}
    for row in results.frames:
        by_run.setdefault(row["run"], []).append(row)
    for run, rows in by_run.items():
        if len(rows) > 1:
            write_text(out / "curves" / f"{safe_name(run)}.svg", run_curves(run, rows).svg("en"))
    runs = [{"run": run, "num_frames": len(rows), "dominance": _dominance(frames, run)} for run, rows in by_run.items()]
    frame_rows = [{name: tables.rounded(value) for name, value in row.items()} for row in results.frames]
    write_json(out / "measures.json", {**settings, "runs": runs, "frames": frame_rows, "failed": results.failed})


def _dominance(frames: Sequence[Frame], run: str) -> str | None:
    """Return which artery gives the posterior descending artery, where the segments of a run agree on one."""
    try:
        return dominance({number for frame in frames if frame.run == run for number in frame.segments})
    except DataError:
        return None


def _say(out: Path, results: _Results) -> ExitCode:
    console = Console()
    severe = sum(row["percent"] >= 50 for row in results.stenoses)
    summary = f"{len(results.frames)} frames, {len(results.branches)} branches, {severe} narrowings of 50 % and more"
    console.print(f"{summary}, in {out}", highlight=False)
    for failure in results.failed:
        console.print(f"failed: {failure['frame']}: {failure['problem']}", style="red", highlight=False)
    return ExitCode.SOME_CASES_FAILED if results.failed else ExitCode.DONE
