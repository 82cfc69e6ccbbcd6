"""The verbs about runs and their masks: `angiova measure` and `angiova track`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from angiova.cli_options import Base, BrightVessels, Out, Places
from angiova.shipped import model_and_source


def measure(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MASK|RUN",
            help="A mask, a folder of masks, a data set, a predictions file, or what `predict` or `track` wrote.",
            show_default=False,
        ),
    ],
    out: Out,
    run: Annotated[str | None, typer.Option(help="Measure this run of a data set alone.")] = None,
    image: Annotated[Path | None, typer.Option(help="The frame that a single mask belongs to.")] = None,
    spacing: Annotated[
        str | None, typer.Option(metavar="MM[,MM]", help="Distance of pixels, down and across where they differ.")
    ] = None,
    catheter_french: Annotated[
        float | None, typer.Option(help="Diameter of the catheter in the masks: gives the spacing.")
    ] = None,
    catheter: Annotated[Path | None, typer.Option(help="Mask of the catheter, for a single mask.")] = None,
    refine: Annotated[bool, typer.Option("--refine", help="Move walls to where grey values change fastest.")] = False,
    pictures: Annotated[bool, typer.Option(help="Draw a picture of each frame.")] = True,
) -> None:
    """Measure vessels in masks: branches, bifurcations, calibres and narrowings, as tables and pictures."""
    from angiova.measurement.measure import measure as run_measurement
    from angiova.measurement.settings import parse_spacing

    code = run_measurement(
        source,
        out,
        run=run,
        image=image,
        spacing_mm=parse_spacing(spacing),
        catheter_french=catheter_french,
        catheter=catheter,
        refine=refine,
        pictures=pictures,
    )
    raise typer.Exit(code)


def track(
    places: Places,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help='What to track, e.g. --prompt "segment the proximal LAD"; may be repeated, one object each.'),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="track, frame, smooth, reference or sa2va-i; default: track, or smooth where the model's memory was "
            "never taught on runs.",
            show_default=False,
        ),
    ] = None,
    key_frames: Annotated[
        int | None,
        typer.Option(min=1, help="Frames that the language model sees, at most; default: as the model is configured."),
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(
            help="What to write beside masks.json: png,mp4,gif,csv,coco,dicom-seg,secondary-capture,picture,measures; "
            "default: png,mp4,csv,picture, and dicom-seg where the source is DICOM.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", help="Only the run of this name; may be repeated. Default: all.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: the best there is.")] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Probability above which a pixel is vessel.")] = 0.5,
    decode_memory: Annotated[
        int, typer.Option(min=256, help="DICOM and video: memory that opening one file may use, in MiB.")
    ] = 1024,
    decode_seconds: Annotated[
        float, typer.Option(min=1, help="DICOM and video: seconds that one pass over one file may take.")
    ] = 120.0,
    base: Base = None,
    bright_vessels: BrightVessels = False,
) -> None:
    """Follow objects through cine runs: masks of every frame, overlays, tables and DICOM-SEG.

    SOURCE is a DICOM or video file, a folder of frames, a data set, or a folder of several runs. Finished runs in OUT
    are skipped, so that the same command goes on where it was stopped.
    """
    from angiova.data.decoding.limits import DecodeLimits
    from angiova.inference.track import track_runs

    model, source, out = model_and_source(places)
    raise typer.Exit(
        track_runs(
            model,
            source,
            out,
            prompts=prompt or [],
            mode=mode,
            key_frames=key_frames,
            outputs=outputs,
            only=run or [],
            device=device,
            threshold=threshold,
            base=base,
            limits=DecodeLimits(memory_mib=decode_memory, seconds=decode_seconds),
            bright_vessels=bright_vessels,
        )
    )
